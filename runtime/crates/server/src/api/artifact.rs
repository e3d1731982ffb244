//! What is shown of artifacts.

use serde::{Deserialize, Serialize};
use sunaba_task::{Artifact, ArtifactKind};

/// The artifacts of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactsView {
    /// The task.
    pub id: String,
    /// By name.
    pub artifacts: Vec<ArtifactView>,
}

/// A file or a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactView {
    /// Unique in its task.
    pub name: String,
    /// Of the file, as its maker says.
    pub media_type: String,
    /// Of a file; null of a link.
    pub size_bytes: Option<u64>,
    /// Of a file; null of a link.
    pub digest: Option<String>,
    /// Where a link leads; null of a file.
    pub url: Option<String>,
    /// The attempt that has put it, from 1.
    pub attempt: u32,
    /// When it was put.
    pub created_at: String,
}

impl From<Artifact> for ArtifactView {
    fn from(artifact: Artifact) -> Self {
        let (size_bytes, digest) = (artifact.size_bytes(), artifact.digest().map(|digest| digest.to_string()));
        let url = match artifact.kind {
            ArtifactKind::Url(url) => Some(url),
            ArtifactKind::File { .. } => None,
        };
        Self {
            name: artifact.name.into(),
            media_type: artifact.media_type,
            size_bytes,
            digest,
            url,
            attempt: artifact.attempt,
            created_at: artifact.created_at.to_string(),
        }
    }
}
