//! A worker's or a client's way to the store: passes everything on, writes it down, and can be cut for a while.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sunaba_runtime::store::{
    AccessStore, Activation, ApiKeys, AuditPage, AuditQuery, AwaiteePage, Blobs, BulkAction, BulkPage, CancelWish,
    Cancelled, CheckpointError, CompleteError, DeleteError, Deployed, EmbeddedStore, EventPage, EventQuery,
    HandlerStatus, JobPage, JobQuery, LeaseRequest, Leased, NewArtifact, NewCompletion, NewPackage, NewSecret, Note,
    Observations, Package, PackageVersion, PlanPage, PlanQuery, PutArtifactError, QueueStatus, Rerun, RerunError,
    RetryJob, RetryJobError, SecretInfo, SessionLimits, SettleError, Settlement, Standing, Store, StoreError,
    StoreFuture, SubmitChildError, SubmitError, SubmitJobError, Submitted, SubmittedJob, TaskPage, TaskQuery, Unready,
    Usage, UsageOf,
};
use sunaba_runtime::task::job::{Awaited, Job, JobId, NewJob, Node, NodeName};
use sunaba_runtime::task::{
    ApiKey, Artifact, ArtifactName, AttemptDetail, Clock as _, CompletionToken, Digest, Durability, HandlerChange,
    HandlerControl, HandlerName, KeyId, LeaseToken, NewApiKey, NewTask, Payload, Progress, QueueChange, QueueSettings,
    Retention, Secret, SessionId, Task, TaskId,
};

use super::book::Book;
use super::clock::SimulatedClock;
use super::gate::Gate;
use super::journal::Fault;

/// One in so many calls that may be repeated is.
const DOUBLES_ONE_IN: u32 = 4;

/// Clones are the same way.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) store: EmbeddedStore,
    pub(super) book: Arc<Book>,
    pub(super) clock: SimulatedClock,
    /// Whether anything passes.
    pub(super) gate: Arc<Gate>,
    /// The process has ended: nobody is there any more to hear an answer.
    pub(super) dead: Arc<AtomicBool>,
    /// Whether the worker must mind its own clock.
    pub(super) is_remote: bool,
    /// Asked for a session so often. A store that is elsewhere cannot be reached every other time.
    pub(super) asked: Arc<AtomicU32>,
    /// Calls that may reach the store twice, so many.
    pub(super) calls: Arc<AtomicU32>,
    /// The session that came last.
    pub(super) session: Arc<Mutex<Option<SessionId>>>,
}

impl Link {
    pub(super) fn new(store: EmbeddedStore, book: Arc<Book>, clock: SimulatedClock, dead: Arc<AtomicBool>) -> Self {
        Self {
            store,
            book,
            clock,
            gate: Arc::new(Gate::open()),
            dead,
            is_remote: false,
            asked: Arc::default(),
            calls: Arc::default(),
            session: Arc::default(),
        }
    }

    /// Whether the next call reaches the store twice: whoever sends it had no answer the first time.
    fn is_doubled(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % DOUBLES_ONE_IN == 1
    }

    /// Waits until the way is open.
    async fn passable(&self) {
        self.gate.pass().await;
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Passes a call on; `note` writes down the answer as the store gave it, whether or not it arrives.
    pub(super) async fn pass<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
        note: impl FnOnce(&Book, Duration, &T),
    ) -> Result<T, StoreError> {
        self.passable().await;
        let asked = self.clock.elapsed();
        let answer = call.await;
        if let Ok(answer) = &answer {
            note(&self.book, asked, answer);
        }
        self.passable().await;
        answer
    }
}

/// What is passed on without a word.
macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> StoreFuture<'_, $answer> {
            Box::pin(self.pass(self.store.$name($($argument),*), |_, _, _| {}))
        })*
    };
}

pub(super) use pass_on;

impl Store for Link {
    fn is_in_process(&self) -> bool {
        !self.is_remote
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn failure(&self) -> Option<StoreError> {
        self.store.failure()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.store.blobs()
    }

    fn submit(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, Vec<Result<Submitted, SubmitError>>> {
        Box::pin(self.pass(self.store.submit(tasks), |book, asked, answers| {
            answers.iter().flatten().for_each(|submitted| book.submitted(asked, submitted.clone()));
        }))
    }

    fn open_session(&self, worker: String, lease_time: Duration) -> StoreFuture<'_, SessionId> {
        if self.is_remote && self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Box::pin(async { Err(StoreError::Unreachable("simulated".into())) });
        }
        Box::pin(self.pass(self.store.open_session(worker, lease_time), move |book, asked, session| {
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(*session);
            book.opened(*session, lease_time, asked);
        }))
    }

    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<Leased>> {
        let session = request.session;
        Box::pin(self.pass(self.store.lease(request), move |book, _, leased| {
            leased.iter().for_each(|leased| book.leased(session, leased));
        }))
    }

    fn renew(&self, session: SessionId, wait: Duration) -> StoreFuture<'_, Vec<Cancelled>> {
        Box::pin(self.pass(self.store.renew(session, wait), move |book, asked, _| book.renewed(session, asked)))
    }

    fn settle(&self, settlements: Vec<Settlement>) -> StoreFuture<'_, Vec<Result<Task, SettleError>>> {
        let said: Vec<_> = settlements.iter().map(|one| (one.token, one.decision.verdict)).collect();
        let again = (self.is_remote && self.is_doubled()).then(|| settlements.clone());
        let tell = move |book: &Book, asked, answers: &Vec<Result<Task, SettleError>>| {
            said.iter()
                .zip(answers)
                .for_each(|((token, verdict), answer)| book.settled(asked, token, *verdict, answer));
        };
        let call = async move {
            let answer = self.store.settle(settlements).await;
            if let (Some(again), Ok(_)) = (again, &answer) {
                self.book.fired(Fault::Doubled);
                // What was settled is not settled again, and what was not is not either.
                let answers = self.store.settle(again).await.unwrap_or_default();
                let taken = answers.iter().flatten().count();
                self.book.check_twice(taken == 0, "a settlement");
            }
            answer
        };
        Box::pin(self.pass(call, tell))
    }

    fn close_session(&self, session: SessionId) -> StoreFuture<'_, ()> {
        self.book.closing(session);
        Box::pin(self.pass(self.store.close_session(session), |_, _, ()| {}))
    }

    fn cancel(&self, tasks: Vec<TaskId>, wish: CancelWish) -> StoreFuture<'_, Vec<Option<Task>>> {
        Box::pin(self.pass(self.store.cancel(tasks, wish), |book, asked, answers| {
            answers.iter().flatten().for_each(|task| book.cancelled(asked, task));
        }))
    }

    fn submit_child(&self, token: LeaseToken, child: Node) -> StoreFuture<'_, Result<Submitted, SubmitChildError>> {
        let again = (self.is_remote && self.is_doubled()).then(|| child.clone());
        let call = async move {
            let answer = self.store.submit_child(token, child).await;
            if let (Some(again), Ok(Ok(made))) = (again, &answer) {
                self.book.fired(Fault::Doubled);
                let id = made.clone().into_task().id;
                let second = self.store.submit_child(token, again).await;
                let created = matches!(second, Ok(Ok(Submitted::Created(_))));
                let other = matches!(second, Ok(Ok(Submitted::Existing(found))) if found.id != id);
                self.book.check_twice(!created && !other, "a child");
            }
            answer
        };
        Box::pin(self.pass(call, |book, asked, answer| {
            if let Ok(Submitted::Created(task) | Submitted::Existing(task)) = answer {
                book.found(asked, task);
            }
        }))
    }

    fn submit_job(&self, job: NewJob) -> StoreFuture<'_, Result<SubmittedJob, SubmitJobError>> {
        let again = (job.spec.idempotency_key.is_some() && self.is_doubled()).then(|| job.clone());
        let call = async move {
            let answer = self.store.submit_job(job).await;
            if let (Some(again), Ok(Ok(_))) = (again, &answer) {
                self.book.fired(Fault::Doubled);
                let second = self.store.submit_job(again).await;
                self.book.check_twice(!matches!(second, Ok(Ok(SubmittedJob::Created(_)))), "a job");
            }
            answer
        };
        Box::pin(self.pass(call, |book, asked, answer| {
            answer.iter().for_each(|submitted| book.jobs.taken_on(asked, submitted));
        }))
    }

    fn cancel_job(&self, id: JobId, wish: CancelWish) -> StoreFuture<'_, Option<Job>> {
        self.book.jobs.wants_cancel(id);
        Box::pin(self.pass(self.store.cancel_job(id, wish), |book, asked, job| {
            job.iter().for_each(|job| book.jobs.cancelled(asked, job));
        }))
    }

    fn retry_job(&self, request: RetryJob) -> StoreFuture<'_, Result<Job, RetryJobError>> {
        let old = request.job;
        Box::pin(self.pass(self.store.retry_job(request), move |book, asked, job| {
            job.iter().for_each(|job| book.jobs.made_again(asked, old, job));
        }))
    }

    fn job(&self, id: JobId) -> StoreFuture<'_, Option<Job>> {
        Box::pin(self.pass(self.store.job(id), |book, asked, job| {
            job.iter().for_each(|job| book.jobs.saw(asked, job));
        }))
    }

    fn wait_job(&self, id: JobId, wait: Duration) -> StoreFuture<'_, Option<Job>> {
        Box::pin(self.pass(self.store.wait_job(id, wait), |book, asked, job| {
            job.iter().for_each(|job| book.jobs.saw(asked, job));
        }))
    }

    fn jobs(&self, query: JobQuery) -> StoreFuture<'_, JobPage> {
        Box::pin(self.pass(self.store.jobs(query), |book, asked, page| {
            page.jobs.iter().for_each(|job| book.jobs.saw(asked, job));
        }))
    }

    fn plan(&self, query: PlanQuery) -> StoreFuture<'_, PlanPage> {
        Box::pin(self.pass(self.store.plan(query), |book, asked, page| {
            page.tasks.iter().for_each(|task| book.found(asked, task));
        }))
    }

    fn task(&self, id: TaskId) -> StoreFuture<'_, Option<Task>> {
        Box::pin(self.pass(self.store.task(id), |book, asked, task| {
            task.iter().for_each(|task| book.saw(asked, task));
        }))
    }

    fn wait(&self, id: TaskId, wait: Duration) -> StoreFuture<'_, Option<Task>> {
        Box::pin(self.pass(self.store.wait(id, wait), |book, asked, task| {
            task.iter().for_each(|task| book.saw(asked, task));
        }))
    }

    fn tasks(&self, query: TaskQuery) -> StoreFuture<'_, TaskPage> {
        Box::pin(self.pass(self.store.tasks(query), |book, asked, page| {
            page.tasks.iter().for_each(|task| book.saw(asked, task));
        }))
    }

    pass_on! {
        progress(reports: Vec<(LeaseToken, Progress)>) -> ();
        checkpoint(token: LeaseToken, bytes: Bytes) -> Result<(), CheckpointError>;
        last_checkpoint(task: TaskId) -> Option<Bytes>;
        set_unready(session: SessionId, unready: Unready) -> ();
        complete(task: TaskId, completion: NewCompletion) -> Result<Task, CompleteError>;
        completion_token(task: TaskId) -> CompletionToken;
        run_now(tasks: Vec<TaskId>) -> Vec<Option<Task>>;
        rerun(requests: Vec<Rerun>) -> Vec<Result<Task, RerunError>>;
        delete(tasks: Vec<TaskId>) -> Vec<Result<(), DeleteError>>;
        bulk(action: BulkAction, query: TaskQuery) -> BulkPage;
        input(id: TaskId) -> Option<Payload>;
        output(id: TaskId) -> Option<Payload>;
        standing(id: TaskId) -> Standing;
        events(query: EventQuery) -> EventPage;
        attempt_detail(id: TaskId, number: u32) -> Option<AttemptDetail>;
        put_artifact(token: LeaseToken, artifact: NewArtifact) -> Result<Artifact, PutArtifactError>;
        artifact(task: TaskId, name: ArtifactName) -> Option<Artifact>;
        artifacts(task: TaskId) -> Vec<Artifact>;
        queues(after: Option<String>) -> Vec<QueueStatus>;
        queue(name: String) -> QueueStatus;
        set_queue(queue: String, changes: Vec<QueueChange>) -> QueueStatus;
        set_queue_if(queue: String, seen: QueueSettings, changes: Vec<QueueChange>) -> QueueStatus;
        handlers(after: Option<HandlerName>) -> Vec<HandlerStatus>;
        set_handler(handler: HandlerName, changes: Vec<HandlerChange>) -> HandlerStatus;
        set_handler_if(handler: HandlerName, seen: HandlerControl, changes: Vec<HandlerChange>) -> HandlerStatus;
        retention() -> Retention;
        set_retention(retention: Retention) -> ();
        limit_session(session: SessionId, limits: SessionLimits) -> ();
        deploy(package: NewPackage, component: Bytes) -> Deployed;
        versions(package: String) -> Vec<PackageVersion>;
        activate(activation: Activation) -> Package;
        usage(of: UsageOf, after: Option<String>) -> Vec<Usage>;
        observe(after: u64) -> Observations;
        notes(prefix: String, after: Option<String>) -> Vec<Note>;
        set_notes(notes: Vec<Note>) -> ();
        secrets() -> Vec<SecretInfo>;
        set_secret(secret: NewSecret) -> SecretInfo;
        remove_secret(name: String) -> bool;
        secret(name: String) -> Option<Secret>;
        packages() -> Vec<Package>;
        component(digest: Digest) -> Option<Bytes>;
        job_output(id: JobId) -> Option<Payload>;
        awaited(task: TaskId, only: Awaited, after: Option<NodeName>) -> AwaiteePage;
    }
}

impl AccessStore for Link {
    pass_on! {
        create_key(key: NewApiKey) -> ApiKey;
        api_keys() -> ApiKeys;
        revoke_key(id: KeyId) -> Option<ApiKey>;
        keys_used(ids: Vec<KeyId>) -> ();
        log_change(before: Value, after: Value) -> ();
        audit_log(query: AuditQuery) -> AuditPage;
    }
}
