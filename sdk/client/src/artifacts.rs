//! Artifacts: lists them, and takes a file piece by piece.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Response, header};
use sunaba_server::api::ArtifactsView;
use sunaba_task::{ArtifactName, Digest, TaskId};

use crate::{Client, ClientError};

/// How long a file may take as a whole. Its head, and each piece, may take as long as any answer.
const DOWNLOAD_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    client: Client,
    response: Response,
}

impl Client {
    /// What a task has left, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_artifacts(&self, id: TaskId) -> Result<ArtifactsView, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/tasks/{id}/artifacts"))).await
    }

    /// Begins to take a file. Neither its head nor any piece of it is waited for longer than [`ClientBuilder::timeout`] says.
    ///
    /// [`ClientBuilder::timeout`]: crate::ClientBuilder::timeout
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_artifact(&self, id: TaskId, name: &ArtifactName) -> Result<Download, ClientError> {
        let request = self.request_at(Method::GET, &["v1", "tasks", &id.to_string(), "artifacts", name.as_str()]);
        let response = self.open(request.timeout(DOWNLOAD_TIME)).await?;
        Ok(Download { client: self.clone(), response })
    }
}

impl Download {
    /// The digest that the whole file has, as the host says.
    pub fn digest(&self) -> Option<Digest> {
        let tag = self.response.headers().get(header::ETAG)?.to_str().ok()?;
        tag.trim_matches('"').parse().ok()
    }

    /// The next piece; none at its end.
    ///
    /// # Errors
    /// [`ClientError`]: the connection was lost before the end, or nothing comes any more.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(self.client.answer_time, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.client.failed(&error)),
            Err(_) => Err(self.client.late()),
        }
    }
}
