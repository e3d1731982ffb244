//! The worker groups of a host.

use reqwest::Method;
use sunaba_server::api::{SetWorker, WorkerView, WorkersView};

use crate::{Client, ClientError};

impl Client {
    /// The worker groups, in the order in which they were declared.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_workers(&self) -> Result<Vec<WorkerView>, ClientError> {
        let WorkersView { workers } = self.send(self.request(Method::GET, "/v1/workers")).await?;
        Ok(workers)
    }

    /// Has a worker group run so many attempts at a time, until the host ends: a number, or a range, such as `1..8`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_worker(&self, id: &str, slots: &str) -> Result<WorkerView, ClientError> {
        let change = SetWorker { slots: slots.to_owned() };
        self.send(self.request_at(Method::PATCH, &["v1", "workers", id]).json(&change)).await
    }
}
