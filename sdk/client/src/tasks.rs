//! Tasks: submits them, shows them, and does things to one or to many.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;
use sunaba_host::Story;
use sunaba_server::api::{
    Bulk, BulkView, Cancel, Deleted, Filter, GroupsView, LogsView, NewInput, ResultView, Submit, SubmitAll,
    SubmittedAll, TaskView, TasksView,
};
use sunaba_task::TaskId;

use crate::{Client, ClientError};

/// Tasks that are asked for at a time.
const PAGE: usize = 500;

/// What can be done to many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkVerb {
    /// Cancels what has not ended.
    Cancel,
    /// Makes due what waits for an instant.
    RunNow,
    /// Makes new tasks of those that have ended without success.
    Rerun,
    /// Deletes what has ended.
    Delete,
}

impl Client {
    /// Submits a task. When this returns, the task is on the host's stable storage. With an idempotency key it is tried again if the
    /// answer is lost.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn submit_task(&self, submit: &Submit) -> Result<TaskView, ClientError> {
        let request = self.request(Method::POST, "/v1/tasks").json(submit);
        if submit.idempotency_key.is_some() { self.send_again(request).await } else { self.send(request).await }
    }

    /// A task.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_task(&self, id: TaskId) -> Result<TaskView, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/tasks/{id}"))).await
    }

    /// Submits many tasks, in one commit; each as [`Submit`] has it, as JSON. The answers are in their order. If each has an
    /// idempotency key, it is tried again if the answer is lost.
    ///
    /// # Errors
    /// [`ClientError`]: none of them was taken on, or nobody knows.
    pub async fn submit_tasks(&self, tasks: Vec<Box<RawValue>>) -> Result<SubmittedAll, ClientError> {
        #[derive(Deserialize)]
        struct Keyed {
            idempotency_key: Option<IgnoredAny>,
        }
        let is_keyed = |task: &RawValue| {
            serde_json::from_str(task.get()).is_ok_and(|keyed: Keyed| keyed.idempotency_key.is_some())
        };
        let may_repeat = tasks.iter().all(|task| is_keyed(task));
        let request = self.request(Method::POST, "/v1/tasks/bulk").json(&SubmitAll { tasks });
        if may_repeat { self.send_again(request).await } else { self.send(request).await }
    }

    /// A task, once it has ended. Waits as long as that takes; dropping the future stops the wait.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait(&self, id: TaskId) -> Result<TaskView, ClientError> {
        loop {
            let shortest = self.shortest_wait();
            let path = format!("/v1/tasks/{id}?wait_ms={}", self.poll_time().as_millis());
            let task: TaskView = self.send(self.request(Method::GET, &path)).await?;
            if task.state.is_terminal() {
                return Ok(task);
            }
            shortest.await;
        }
    }

    /// The same, but no longer than this. None: it has not ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait_at_most(&self, id: TaskId, longest: Duration) -> Result<Option<TaskView>, ClientError> {
        // Who loses: a look, which changes nothing.
        tokio::time::timeout(longest, self.wait(id)).await.ok().transpose()
    }

    /// What came of a task.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_task_result(&self, id: TaskId) -> Result<ResultView, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/tasks/{id}/result"))).await
    }

    /// What the attempts of a task said.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_task_logs(&self, id: TaskId) -> Result<LogsView, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/tasks/{id}/logs"))).await
    }

    /// Tasks, the newest first: all that the filter asks for, or as many as `limit` says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_tasks(&self, filter: &Filter, limit: usize) -> Result<TasksView, ClientError> {
        let mut all = TasksView { tasks: Vec::new(), next: filter.before.clone() };
        loop {
            let page = (limit - all.tasks.len()).min(PAGE);
            let question = Filter { before: all.next.take(), limit: Some(page), ..filter.clone() };
            let page: TasksView = self.ask("/v1/tasks", &question).await?;
            all.tasks.extend(page.tasks);
            all.next = page.next;
            if all.next.is_none() || all.tasks.len() >= limit {
                return Ok(all);
            }
        }
    }

    /// Does something to a page of tasks; go on with [`BulkView::next`] as the filter's `before`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bulk(&self, verb: BulkVerb, bulk: &Bulk) -> Result<BulkView, ClientError> {
        match verb {
            BulkVerb::Cancel => self.cancel_tasks(bulk).await,
            BulkVerb::RunNow => self.run_tasks_now(bulk).await,
            BulkVerb::Rerun => self.rerun_tasks(bulk).await,
            BulkVerb::Delete => self.delete_tasks(bulk).await,
        }
    }

    /// Cancels a page of tasks that have not ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_tasks(&self, bulk: &Bulk) -> Result<BulkView, ClientError> {
        self.send(self.request(Method::POST, "/v1/tasks/cancel").json(bulk)).await
    }

    /// Makes due a page of tasks that wait for an instant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run_tasks_now(&self, bulk: &Bulk) -> Result<BulkView, ClientError> {
        self.send(self.request(Method::POST, "/v1/tasks/run-now").json(bulk)).await
    }

    /// Makes new tasks of a page of those that have ended without success.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rerun_tasks(&self, bulk: &Bulk) -> Result<BulkView, ClientError> {
        self.send(self.request(Method::POST, "/v1/tasks/rerun").json(bulk)).await
    }

    /// Deletes a page of tasks that have ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_tasks(&self, bulk: &Bulk) -> Result<BulkView, ClientError> {
        self.send(self.request(Method::POST, "/v1/tasks/delete").json(bulk)).await
    }

    /// Dead letters by what they died of.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_dead_groups(&self, filter: &Filter) -> Result<GroupsView, ClientError> {
        self.ask("/v1/dead/groups", filter).await
    }

    /// Why a task is where it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain_task(&self, id: TaskId) -> Result<Story, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/tasks/{id}/explain"))).await
    }

    /// Cancels a task.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_task(&self, id: TaskId, cancel: &Cancel) -> Result<TaskView, ClientError> {
        self.send(self.request(Method::POST, &format!("/v1/tasks/{id}/cancel")).json(cancel)).await
    }

    /// Makes a task that waits for an instant due now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run_task_now(&self, id: TaskId) -> Result<TaskView, ClientError> {
        self.send(self.request(Method::POST, &format!("/v1/tasks/{id}/run-now")).json(&json!({}))).await
    }

    /// Makes a new task of one that has ended; the new one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rerun_task(&self, id: TaskId, input: &NewInput) -> Result<TaskView, ClientError> {
        self.send(self.request(Method::POST, &format!("/v1/tasks/{id}/rerun")).json(input)).await
    }

    /// Deletes a task that has ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_task(&self, id: TaskId) -> Result<Deleted, ClientError> {
        self.send(self.request(Method::DELETE, &format!("/v1/tasks/{id}"))).await
    }
}
