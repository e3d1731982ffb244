//! Has jobs made over again.

use std::time::Duration;

use reqwest::Method;
use sunaba_server::api::{JobRetry, JobView};
use sunaba_task::job::JobId;

use crate::{Client, ClientError};

/// A large plan takes a while to read.
const RETRY_TIME: Duration = Duration::from_secs(300);

impl Client {
    /// Makes a new job of one that has ended: what has succeeded in that stands, and is not run again. When this returns, it is on
    /// the host's stable storage.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn retry_job(&self, id: JobId, retry: &JobRetry) -> Result<JobView, ClientError> {
        let path = format!("/v1/jobs/{id}/retry");
        self.send(self.request(Method::POST, &path).timeout(RETRY_TIME).json(retry)).await
    }
}
