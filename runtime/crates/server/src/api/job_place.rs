//! Where a task stands in its job.

use serde::{Deserialize, Serialize};
use sunaba_task::job::JobLink;

/// Where a task stands in its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobPlaceView {
    /// The job.
    pub id: String,
    /// The task's name in its plan.
    pub name: String,
    /// The task whose plan it is in, or which it undoes. Null: the job's own.
    pub parent: Option<String>,
    /// Whether it undoes what its parent did.
    pub undoes: bool,
}

impl From<&JobLink> for JobPlaceView {
    fn from(link: &JobLink) -> Self {
        Self {
            id: link.job.to_string(),
            name: link.name.to_string(),
            parent: link.parent.map(|parent| parent.to_string()),
            undoes: link.undoes,
        }
    }
}
