//! What is said when there is no job, or no task, of an id: it may be the id of the other kind. Who is bound to queues
//! is not told, since it may be of another one.

use sunaba_task::TaskId;
use sunaba_task::job::JobId;

use super::{Shared, jobs};
use crate::access::Caller;
use crate::problem::Problem;

impl Shared {
    /// There is no job of this id. Who has a task's is told so.
    pub(super) async fn no_job(&self, id: JobId) -> Problem {
        if Caller::now().queues().is_some() {
            return jobs::no_job(id);
        }
        // A store that does not answer now changes nothing about the job.
        let task = self.runtime.store().task(TaskId::from_bytes(*id.as_bytes())).await.ok().flatten();
        let Some(task) = task else { return jobs::no_job(id) };
        let hint = match &task.job {
            Some(link) => format!("that is a task of job {job}: `sunaba job get {job}`", job = link.job),
            None => format!("that is a task, and of no job: `sunaba task get {id}`"),
        };
        Problem::not_found(format!("there is no job {id}\nhint: {hint}"))
    }

    /// There is no task of this id. Who has a job's is told so.
    pub(super) async fn no_task(&self, id: TaskId) -> Problem {
        if Caller::now().queues().is_some() {
            return Problem::no_task(id);
        }
        match self.runtime.store().job(JobId::from_bytes(*id.as_bytes())).await {
            Ok(Some(_)) => {
                let hint = format!("that is a job: `sunaba job get {id}`, and `sunaba job tasks {id}`");
                Problem::not_found(format!("there is no task {id}\nhint: {hint}"))
            }
            _ => Problem::no_task(id),
        }
    }
}
