//! Completes tasks from outside.

use reqwest::Method;
use sunaba_server::api::{Complete, CompletedView};
use sunaba_task::TaskId;

use crate::{Client, ClientError};

impl Client {
    /// Gives a task its output in place of its handler: one that waits for that has succeeded when this returns.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn complete_task(&self, id: TaskId, complete: &Complete) -> Result<CompletedView, ClientError> {
        self.send(self.request(Method::POST, &format!("/v1/tasks/{id}/complete")).json(complete)).await
    }
}
