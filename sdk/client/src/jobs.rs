//! Jobs: submits them, shows them, waits for them, and cancels them.

use std::time::Duration;

use reqwest::Method;
use sunaba_server::api::{
    Cancel, CancelJobs, CancelledJobs, JobCancelView, JobFilter, JobOutputsView, JobResultView, JobView, JobsView,
    PlanFilter, PlanView, SubmitJob,
};
use sunaba_task::job::JobId;

use crate::{Client, ClientError};

/// Jobs, or tasks of a plan, that are asked for at a time.
const PAGE: usize = 200;
/// A hundred thousand tasks take a while to check.
const SUBMIT_TIME: Duration = Duration::from_secs(300);

impl Client {
    /// Submits a job. When this returns, its plan is on the host's stable storage. With an idempotency key it is tried again if the
    /// answer is lost.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn submit_job(&self, submit: &SubmitJob) -> Result<JobView, ClientError> {
        let request = self.request(Method::POST, "/v1/jobs").timeout(SUBMIT_TIME).json(submit);
        if submit.idempotency_key.is_some() { self.send_again(request).await } else { self.send(request).await }
    }

    /// A job.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_job(&self, id: JobId) -> Result<JobView, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/jobs/{id}"))).await
    }

    /// A job, once it has ended. Waits as long as that takes; dropping the future stops the wait.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait_job(&self, id: JobId) -> Result<JobView, ClientError> {
        loop {
            let shortest = self.shortest_wait();
            let path = format!("/v1/jobs/{id}?wait_ms={}", self.poll_time().as_millis());
            let job: JobView = self.send(self.request(Method::GET, &path)).await?;
            if job.state.is_terminal() {
                return Ok(job);
            }
            shortest.await;
        }
    }

    /// The same, but no longer than this. None: it has not ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait_job_at_most(&self, id: JobId, longest: Duration) -> Result<Option<JobView>, ClientError> {
        // Who loses: a look, which changes nothing.
        tokio::time::timeout(longest, self.wait_job(id)).await.ok().transpose()
    }

    /// Jobs, the newest first: all that the filter asks for, or as many as `limit` says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_jobs(&self, filter: &JobFilter, limit: usize) -> Result<JobsView, ClientError> {
        let mut all = JobsView { jobs: Vec::new(), next: filter.before.clone() };
        loop {
            let page = (limit - all.jobs.len()).min(PAGE);
            let question = JobFilter { before: all.next.take(), limit: Some(page), ..filter.clone() };
            let page: JobsView = self.ask("/v1/jobs", &question).await?;
            all.jobs.extend(page.jobs);
            all.next = page.next;
            if all.next.is_none() || all.jobs.len() >= limit {
                return Ok(all);
            }
        }
    }

    /// Tasks of a job's plan, by their names: all that the filter asks for, or as many as `limit` says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_job_tasks(&self, id: JobId, filter: &PlanFilter, limit: usize) -> Result<PlanView, ClientError> {
        let mut all = PlanView { tasks: Vec::new(), next: filter.cursor.clone() };
        loop {
            let page = (limit - all.tasks.len()).min(PAGE);
            let question = PlanFilter { cursor: all.next.take(), limit: Some(page), ..filter.clone() };
            let page: PlanView = self.ask(&format!("/v1/jobs/{id}/tasks"), &question).await?;
            all.tasks.extend(page.tasks);
            all.next = page.next;
            if all.next.is_none() || all.tasks.len() >= limit {
                return Ok(all);
            }
        }
    }

    /// What came of a job.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_job_result(&self, id: JobId) -> Result<JobResultView, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/jobs/{id}/result"))).await
    }

    /// A page of what the tasks of a job's plan gave, by their names; go on with [`JobOutputsView::next`] as the filter's
    /// `cursor`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_job_outputs(&self, id: JobId, filter: &PlanFilter) -> Result<JobOutputsView, ClientError> {
        self.ask(&format!("/v1/jobs/{id}/outputs"), filter).await
    }

    /// Cancels a job; what that has stopped, and what still runs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_job(&self, id: JobId, cancel: &Cancel) -> Result<JobCancelView, ClientError> {
        self.send(self.request(Method::POST, &format!("/v1/jobs/{id}/cancel")).json(cancel)).await
    }

    /// Cancels a page of jobs; go on with [`CancelledJobs::next`] as the filter's `before`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_jobs(&self, cancel: &CancelJobs) -> Result<CancelledJobs, ClientError> {
        self.send(self.request(Method::POST, "/v1/jobs/cancel").timeout(SUBMIT_TIME).json(cancel)).await
    }
}
