//! The schedules of a host.

use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde_json::json;
use sunaba_server::api::{
    DeletedSchedule, FireView, FiresView, PutSchedule, ScheduleFilter, ScheduleView, SchedulesView, TriggeredView,
};
use sunaba_store::Expected;
use sunaba_task::schedule::ScheduleName;

use crate::{Client, ClientError};

impl Client {
    /// Makes a schedule, or changes it, if it is as it is expected to be.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_schedule(
        &self,
        name: &ScheduleName,
        put: &PutSchedule,
        expected: Expected,
    ) -> Result<ScheduleView, ClientError> {
        self.send(expecting(self.request_at(Method::PUT, &["v1", "schedules", name.as_str()]), expected).json(put))
            .await
    }

    /// A schedule, with the input of its tasks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_schedule(&self, name: &ScheduleName) -> Result<ScheduleView, ClientError> {
        self.send(self.request_at(Method::GET, &["v1", "schedules", name.as_str()])).await
    }

    /// Every schedule, or every one of a package, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_schedules(&self, package: Option<&str>) -> Result<Vec<ScheduleView>, ClientError> {
        let mut filter = ScheduleFilter { package: package.map(str::to_owned), ..ScheduleFilter::default() };
        let mut all = Vec::new();
        loop {
            let page: SchedulesView = self.ask("/v1/schedules", &filter).await?;
            all.extend(page.schedules);
            filter.after = page.next;
            if filter.after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Has the ticks of a schedule pass by.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pause_schedule(&self, name: &ScheduleName, expected: Expected) -> Result<ScheduleView, ClientError> {
        let request = self.request_at(Method::POST, &["v1", "schedules", name.as_str(), "pause"]);
        self.send(expecting(request, expected).json(&json!({}))).await
    }

    /// Has the ticks of a schedule make tasks again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume_schedule(&self, name: &ScheduleName, expected: Expected) -> Result<ScheduleView, ClientError> {
        let request = self.request_at(Method::POST, &["v1", "schedules", name.as_str(), "resume"]);
        self.send(expecting(request, expected).json(&json!({}))).await
    }

    /// Has a schedule make a task now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn trigger_schedule(&self, name: &ScheduleName) -> Result<TriggeredView, ClientError> {
        self.send(self.request_at(Method::POST, &["v1", "schedules", name.as_str(), "trigger"]).json(&json!({}))).await
    }

    /// What comes next of a schedule, the soonest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_schedule_fires(&self, name: &ScheduleName, count: usize) -> Result<Vec<FireView>, ClientError> {
        #[derive(Serialize)]
        struct Question {
            count: usize,
        }
        let FiresView { fires } = self.ask(&format!("/v1/schedules/{name}/next"), &Question { count }).await?;
        Ok(fires)
    }

    /// Forgets a schedule. Its tasks are not touched.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_schedule(
        &self,
        name: &ScheduleName,
        expected: Expected,
    ) -> Result<DeletedSchedule, ClientError> {
        let request = self.request_at(Method::DELETE, &["v1", "schedules", name.as_str()]);
        self.send(expecting(request, expected)).await
    }
}

/// A request that is refused if there is something else than expected.
pub(super) fn expecting(request: RequestBuilder, expected: Expected) -> RequestBuilder {
    match expected {
        Expected::Any => request,
        Expected::Absent => request.header("if-none-match", "*"),
        Expected::Revision(revision) => request.header("if-match", format!("\"{revision}\"")),
    }
}
