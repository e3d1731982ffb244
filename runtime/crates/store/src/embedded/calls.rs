//! The calls of a store: each a change or a read of the planner, handed to the commit thread; what takes long to check or to write is
//! done here before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::job::{Awaited, Job, JobId, NewJob, Node, NodeName};
use sunaba_task::{
    Artifact, ArtifactName, AttemptDetail, CompletionToken, Digest, Durability, HandlerChange, HandlerControl,
    HandlerName, LeaseToken, NewTask, Payload, Progress, QueueChange, QueueSettings, Retention, Secret, SessionId,
    Task, TaskId,
};

use crate::children::{PreparedChild, PreparedSettlement};
use crate::jobs::PreparedJob;
use crate::retry;
use crate::{
    Activation, AwaiteePage, Blobs, BulkAction, BulkPage, CancelWish, Cancelled, CheckpointError, CompleteError,
    DeleteError, Deployed, EventPage, EventQuery, HandlerStatus, JobPage, JobQuery, LeaseRequest, Leased, NewArtifact,
    NewCompletion, NewPackage, NewSecret, Note, Observations, Package, PackageVersion, PlanPage, PlanQuery,
    PutArtifactError, QueueStatus, Rerun, RerunError, RetryJob, RetryJobError, SecretInfo, SessionLimits, SettleError,
    Settlement, Standing, Store, StoreError, StoreFuture, SubmitChildError, SubmitError, SubmitJobError, Submitted,
    SubmittedJob, TaskPage, TaskQuery, Unready, Usage, UsageOf,
};

use super::EmbeddedStore;

impl Store for EmbeddedStore {
    fn is_in_process(&self) -> bool {
        true
    }

    fn durability(&self) -> Durability {
        self.inner.durability
    }

    fn failure(&self) -> Option<StoreError> {
        self.inner.failure.get().cloned().map(StoreError::Failed)
    }

    fn submit(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, Vec<Result<Submitted, SubmitError>>> {
        Box::pin(self.change(|planner, turn| planner.submit(turn, tasks)))
    }

    fn open_session(&self, worker: String, lease_time: Duration) -> StoreFuture<'_, SessionId> {
        Box::pin(self.change(move |planner, turn| Ok(planner.open_session(turn, worker, lease_time))))
    }

    fn set_unready(&self, session: SessionId, unready: Unready) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, _| planner.set_unready(session, unready)))
    }

    fn limit_session(&self, session: SessionId, limits: SessionLimits) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, _| planner.limit_session(session, limits)))
    }

    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<Leased>> {
        Box::pin(async {
            let granted = self.park(|planner, turn, reply| planner.park_lease(turn, request, reply)).await?;
            Ok(granted.take())
        })
    }

    fn renew(&self, session: SessionId, wait: Duration) -> StoreFuture<'_, Vec<Cancelled>> {
        Box::pin(self.park(move |planner, turn, reply| planner.park_renew(turn, session, wait, reply)))
    }

    fn settle(&self, settlements: Vec<Settlement>) -> StoreFuture<'_, Vec<Result<Task, SettleError>>> {
        // Before the commit thread, which has others to serve: a plan may be large.
        let prepared = settlements.into_iter().map(PreparedSettlement::new).collect();
        Box::pin(self.change(|planner, turn| planner.settle(turn, prepared)))
    }

    fn submit_child(&self, token: LeaseToken, child: Node) -> StoreFuture<'_, Result<Submitted, SubmitChildError>> {
        Box::pin(async move {
            match PreparedChild::new(child) {
                Ok(prepared) => self.change(move |planner, turn| planner.submit_child(turn, &token, prepared)).await,
                Err(error) => Ok(Err(error)),
            }
        })
    }

    fn close_session(&self, session: SessionId) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, turn| planner.close_session(turn, session)))
    }

    fn progress(&self, reports: Vec<(LeaseToken, Progress)>) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, turn| planner.progress(turn, reports)))
    }

    fn checkpoint(&self, token: LeaseToken, bytes: Bytes) -> StoreFuture<'_, Result<(), CheckpointError>> {
        Box::pin(self.change(move |planner, turn| planner.checkpoint(turn, &token, &bytes)))
    }

    fn last_checkpoint(&self, task: TaskId) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(self.read(move |planner, turn| planner.last_checkpoint(turn, task)))
    }

    fn cancel(&self, tasks: Vec<TaskId>, wish: CancelWish) -> StoreFuture<'_, Vec<Option<Task>>> {
        Box::pin(self.change(move |planner, turn| planner.cancel(turn, &tasks, &wish)))
    }

    fn complete(&self, task: TaskId, completion: NewCompletion) -> StoreFuture<'_, Result<Task, CompleteError>> {
        // Not on the commit thread: it may be large.
        let digest = Digest::of(&completion.output.bytes);
        Box::pin(self.change(move |planner, turn| planner.complete(turn, task, completion, digest)))
    }

    fn completion_token(&self, task: TaskId) -> StoreFuture<'_, CompletionToken> {
        Box::pin(self.read_settings(move |planner, _| Ok(planner.completion_token(task))))
    }

    fn run_now(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Option<Task>>> {
        Box::pin(self.change(move |planner, turn| planner.run_now(turn, &tasks)))
    }

    fn rerun(&self, requests: Vec<Rerun>) -> StoreFuture<'_, Vec<Result<Task, RerunError>>> {
        Box::pin(self.change(move |planner, turn| planner.rerun(turn, requests)))
    }

    fn delete(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Result<(), DeleteError>>> {
        Box::pin(self.change(move |planner, turn| planner.delete(turn, &tasks)))
    }

    fn bulk(&self, action: BulkAction, query: TaskQuery) -> StoreFuture<'_, BulkPage> {
        Box::pin(self.change(move |planner, turn| planner.bulk(turn, &action, &query)))
    }

    fn submit_job(&self, job: NewJob) -> StoreFuture<'_, Result<SubmittedJob, SubmitJobError>> {
        Box::pin(async {
            match PreparedJob::new(job) {
                Ok(prepared) => self.change(|planner, turn| planner.submit_job(turn, prepared)).await,
                Err(error) => Ok(Err(error)),
            }
        })
    }

    fn cancel_job(&self, id: JobId, wish: CancelWish) -> StoreFuture<'_, Option<Job>> {
        Box::pin(self.change(move |planner, turn| planner.cancel_job(turn, id, &wish)))
    }

    fn retry_job(&self, RetryJob { job, from }: RetryJob) -> StoreFuture<'_, Result<Job, RetryJobError>> {
        Box::pin(async move {
            let Some(old) = self.job(job).await? else { return Ok(Err(RetryJobError::Unknown(job))) };
            if let Err(error) = retry::check(&old) {
                return Ok(Err(error));
            }
            let (mut nodes, mut query) = (Vec::new(), PlanQuery::of(job, crate::MAX_PAGE));
            loop {
                let asked = query.clone();
                let (page, next) = self.read(move |planner, turn| planner.old_nodes(turn, &asked)).await?;
                nodes.extend(page);
                match next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            match retry::prepare(&old, nodes, &from) {
                Ok(prepared) => self.change(|planner, turn| planner.retry_job(turn, prepared)).await,
                Err(error) => Ok(Err(error)),
            }
        })
    }

    fn job(&self, id: JobId) -> StoreFuture<'_, Option<Job>> {
        Box::pin(self.read(move |planner, turn| planner.job(turn, id)))
    }

    fn job_output(&self, id: JobId) -> StoreFuture<'_, Option<Payload>> {
        Box::pin(self.read(move |planner, turn| planner.job_output(turn, id)))
    }

    fn wait_job(&self, id: JobId, wait: Duration) -> StoreFuture<'_, Option<Job>> {
        Box::pin(async move {
            if wait.is_zero() {
                return self.job(id).await;
            }
            let told = self.park(move |planner, turn, reply| planner.park_job(turn, id, wait, reply)).await;
            let has_ended = |job: &Option<Job>| job.as_ref().is_none_or(|job| job.state.is_terminal());
            self.or_what_is_there(told, self.job(id), has_ended).await
        })
    }

    fn jobs(&self, query: JobQuery) -> StoreFuture<'_, JobPage> {
        Box::pin(self.read(move |planner, turn| planner.jobs(turn, &query)))
    }

    fn plan(&self, query: PlanQuery) -> StoreFuture<'_, PlanPage> {
        Box::pin(self.read(move |planner, turn| planner.plan(turn, &query)))
    }

    fn awaited(&self, task: TaskId, only: Awaited, after: Option<NodeName>) -> StoreFuture<'_, AwaiteePage> {
        Box::pin(self.read(move |planner, turn| planner.awaited(turn, task, &only, after.as_ref())))
    }

    fn task(&self, id: TaskId) -> StoreFuture<'_, Option<Task>> {
        Box::pin(self.read(move |planner, turn| planner.task(turn, id)))
    }

    fn wait(&self, id: TaskId, wait: Duration) -> StoreFuture<'_, Option<Task>> {
        Box::pin(async move {
            if wait.is_zero() {
                return self.task(id).await;
            }
            let told = self.park(move |planner, turn, reply| planner.park_wait(turn, id, wait, reply)).await;
            let has_ended = |task: &Option<Task>| task.as_ref().is_none_or(|task| task.state.is_terminal());
            self.or_what_is_there(told, self.task(id), has_ended).await
        })
    }

    fn tasks(&self, query: TaskQuery) -> StoreFuture<'_, TaskPage> {
        Box::pin(self.read(move |planner, turn| planner.tasks(turn, &query)))
    }

    fn input(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>> {
        Box::pin(self.read(move |planner, turn| planner.input(turn, id)))
    }

    fn output(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>> {
        Box::pin(self.read(move |planner, turn| planner.output(turn, id)))
    }

    fn attempt_detail(&self, id: TaskId, number: u32) -> StoreFuture<'_, Option<AttemptDetail>> {
        Box::pin(self.read(move |planner, turn| planner.attempt_detail(turn, id, number)))
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.inner.blobs.clone())
    }

    fn put_artifact(
        &self,
        token: LeaseToken,
        artifact: NewArtifact,
    ) -> StoreFuture<'_, Result<Artifact, PutArtifactError>> {
        let blobs = self.inner.blobs.clone();
        Box::pin(self.change(move |planner, turn| planner.put_artifact(turn, &token, artifact, &blobs)))
    }

    fn artifact(&self, task: TaskId, name: ArtifactName) -> StoreFuture<'_, Option<Artifact>> {
        Box::pin(self.read(move |planner, turn| planner.artifact(turn, task, &name)))
    }

    fn artifacts(&self, task: TaskId) -> StoreFuture<'_, Vec<Artifact>> {
        Box::pin(self.read(move |planner, turn| planner.artifacts(turn, task)))
    }

    fn standing(&self, id: TaskId) -> StoreFuture<'_, Standing> {
        Box::pin(self.read_settings(move |planner, turn| planner.standing(turn, id)))
    }

    fn events(&self, query: EventQuery) -> StoreFuture<'_, EventPage> {
        Box::pin(async move {
            let (asked, is_patient) = (query.clone(), !query.wait.is_zero());
            let told = self.park(move |planner, turn, reply| planner.park_events(turn, query, reply)).await;
            let events = self.read(move |planner, turn| planner.events(turn, &asked));
            self.or_what_is_there(told, events, |page| !is_patient || page.missed || !page.events.is_empty()).await
        })
    }

    fn queues(&self, after: Option<String>) -> StoreFuture<'_, Vec<QueueStatus>> {
        Box::pin(self.read_settings(move |planner, turn| planner.queues(turn, after.as_deref())))
    }

    fn queue(&self, name: String) -> StoreFuture<'_, QueueStatus> {
        Box::pin(self.read_settings(move |planner, turn| planner.queue_status(turn, &name)))
    }

    fn set_queue(&self, queue: String, changes: Vec<QueueChange>) -> StoreFuture<'_, QueueStatus> {
        Box::pin(self.change(move |planner, turn| planner.set_queue(turn, &queue, &changes)))
    }

    fn set_queue_if(
        &self,
        queue: String,
        seen: QueueSettings,
        changes: Vec<QueueChange>,
    ) -> StoreFuture<'_, QueueStatus> {
        Box::pin(self.change(move |planner, turn| planner.set_queue_if(turn, &queue, &seen, &changes)))
    }

    fn handlers(&self, after: Option<HandlerName>) -> StoreFuture<'_, Vec<HandlerStatus>> {
        Box::pin(self.read_settings(move |planner, turn| planner.handlers(turn, after.as_ref())))
    }

    fn set_handler(&self, handler: HandlerName, changes: Vec<HandlerChange>) -> StoreFuture<'_, HandlerStatus> {
        Box::pin(self.change(move |planner, turn| planner.set_handler(turn, &handler, &changes)))
    }

    fn set_handler_if(
        &self,
        handler: HandlerName,
        seen: HandlerControl,
        changes: Vec<HandlerChange>,
    ) -> StoreFuture<'_, HandlerStatus> {
        Box::pin(self.change(move |planner, turn| planner.set_handler_if(turn, &handler, &seen, &changes)))
    }

    fn retention(&self) -> StoreFuture<'_, Retention> {
        Box::pin(self.read_settings(|planner, _| Ok(planner.retention())))
    }

    fn set_retention(&self, retention: Retention) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, turn| planner.set_retention(turn, retention)))
    }

    fn deploy(&self, package: NewPackage, component: Bytes) -> StoreFuture<'_, Deployed> {
        Box::pin(self.change(move |planner, turn| planner.deploy(turn, package, &component)))
    }

    fn versions(&self, package: String) -> StoreFuture<'_, Vec<PackageVersion>> {
        Box::pin(self.read(move |planner, turn| planner.versions(turn, &package)))
    }

    fn activate(&self, activation: Activation) -> StoreFuture<'_, Package> {
        Box::pin(self.change(move |planner, turn| planner.activate(turn, &activation)))
    }

    fn packages(&self) -> StoreFuture<'_, Vec<Package>> {
        Box::pin(self.read(|planner, turn| planner.packages(turn)))
    }

    fn component(&self, digest: Digest) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(self.read(move |planner, turn| planner.component(turn, digest)))
    }

    fn usage(&self, of: UsageOf, after: Option<String>) -> StoreFuture<'_, Vec<Usage>> {
        Box::pin(self.read(move |planner, turn| planner.usage(turn, of, after.as_deref())))
    }

    fn observe(&self, after: u64) -> StoreFuture<'_, Observations> {
        Box::pin(self.read(move |planner, turn| Ok(planner.observe(turn, after))))
    }

    fn notes(&self, prefix: String, after: Option<String>) -> StoreFuture<'_, Vec<Note>> {
        Box::pin(self.read(move |planner, turn| planner.notes(turn, &prefix, after.as_deref())))
    }

    fn set_notes(&self, notes: Vec<Note>) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, turn| planner.set_notes(turn, notes)))
    }

    fn secrets(&self) -> StoreFuture<'_, Vec<SecretInfo>> {
        Box::pin(self.read(|planner, turn| planner.secrets(turn)))
    }

    fn set_secret(&self, secret: NewSecret) -> StoreFuture<'_, SecretInfo> {
        Box::pin(self.change(|planner, turn| planner.set_secret(turn, secret)))
    }

    fn remove_secret(&self, name: String) -> StoreFuture<'_, bool> {
        Box::pin(self.change(move |planner, turn| planner.remove_secret(turn, &name)))
    }

    fn secret(&self, name: String) -> StoreFuture<'_, Option<Secret>> {
        Box::pin(self.read(move |planner, turn| planner.secret(turn, &name)))
    }
}
