//! Jobs that are to be made over again.

use serde::{Deserialize, Serialize};
use sunaba_store::RetryJob;
use sunaba_task::job::{Awaited, JobId};

/// From where on a job is made over again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobRetry {
    /// Tasks of its own plan by their names, or groups by `GROUP/*`, that are run anew although they have succeeded. What waits for
    /// them is, too. What has not succeeded is always run anew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Awaited>,
}

impl JobRetry {
    pub(crate) fn of(self, job: JobId) -> RetryJob {
        RetryJob { job, from: self.from }
    }
}
