//! A store, workers that run what it gives them, and a hand that lets things happen, one at a time and by chance. What is seen is
//! written into the book, which holds it against what must be.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    CancelWish, EmbeddedStore, Engine as _, LeaseRequest, Leased, ManualClock, MemoryEngine, NewCompletion, PlanQuery,
    Queues, RetryJob, RetryJobError, Settlement, Store, Writes,
};
use sunaba_task::job::{Awaited, Job, JobId, JobLink, NewJob};
use sunaba_task::{
    AttemptDetail, Block, BoxFuture, Clock, Decision, Ending, Payload, Policy, SessionId, State, Task, TaskId,
    Timestamp, Verdict,
};
use tokio::task::JoinHandle;

use crate::book::Book;
use crate::plans::Trouble;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// A job of so few tasks that has not ended by then never will.
const MAX_STEPS: usize = 8_000;

/// A clock that moves when it is told to. Who does not wait at all lets others go first, so that requests come between any two
/// turns.
#[derive(Clone)]
pub(crate) struct Hand(pub(crate) ManualClock);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let sleep = self.0.sleep(duration);
        Box::pin(async move {
            tokio::task::yield_now().await;
            sleep.await;
        })
    }
}

/// Somebody who runs tasks.
pub(crate) struct Worker {
    pub(crate) session: SessionId,
    pub(crate) leased: Vec<Leased>,
}

pub(crate) struct World {
    pub(crate) random: fastrand::Rng,
    pub(crate) clock: Hand,
    pub(crate) engine: MemoryEngine,
    pub(crate) store: EmbeddedStore,
    serve: JoinHandle<()>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) trouble: Trouble,
    /// What a turn does at most of what is to be done for jobs.
    pub(crate) steps: usize,
    pub(crate) jobs: Vec<JobId>,
    pub(crate) book: Book,
    pub(crate) log: Vec<String>,
}

pub(crate) fn link(task: &Task) -> &JobLink {
    task.job.as_ref().expect("it is of a job")
}

/// A settlement of what was leased, as a worker would send it.
pub(crate) fn settlement(leased: &Leased, revision: u64, verdict: Verdict) -> Settlement {
    let failed = || Ending::Failed { kind: "k".into(), message: "m".into() };
    let ending = match verdict {
        Verdict::Succeed => Ending::Completed,
        Verdict::Decompose => Ending::Decomposed { children: 0 },
        Verdict::Snooze(_) | Verdict::Await(_) => Ending::Snoozed { reason: "r".into() },
        Verdict::Requeue => Ending::HandedBack,
        Verdict::Retry(_) | Verdict::GiveUp | Verdict::Cancel => failed(),
    };
    let said = leased.task.job.as_ref().map_or(String::new(), |link| link.name.to_string());
    Settlement {
        token: leased.token,
        revision,
        ending,
        decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output: (verdict == Verdict::Succeed).then(|| Payload::json(format!("\"{said} {}\"", leased.task.id))),
        detail: AttemptDetail::default(),
        plan: None,
    }
}

impl World {
    pub(crate) async fn new(seed: u64, trouble: Trouble) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let steps = [1, 2, 5, 1_000][random.usize(..4)];
        Self::with(random, trouble, steps).await
    }

    /// In which a turn does all that it does outside of tests, and nothing happens by itself.
    pub(crate) async fn whole(seed: u64) -> Self {
        Self::with(fastrand::Rng::with_seed(seed), Trouble::default(), 1_000).await
    }

    /// In which a turn does one step of what is to be done for jobs.
    pub(crate) async fn step_by_step(seed: u64) -> Self {
        Self::with(fastrand::Rng::with_seed(seed), Trouble::default(), 1).await
    }

    async fn with(mut random: fastrand::Rng, trouble: Trouble, steps: usize) -> Self {
        let clock = Hand(ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
        let engine = MemoryEngine::default();
        let (store, serve) = open(&engine, &clock, random.u64(..), steps);
        let book = Book::default();
        let (workers, jobs, log) = (Vec::new(), Vec::new(), vec![format!("{steps} steps")]);
        let mut world = Self { random, clock, engine, store, serve, workers, trouble, steps, jobs, book, log };
        world.hire().await;
        world
    }

    async fn hire(&mut self) {
        for _ in 0..self.random.usize(1..3) {
            let session = self.store.open_session("w".into(), SECOND * 1_000_000).await.expect("it works");
            self.workers.push(Worker { session, leased: Vec::new() });
        }
    }

    pub(crate) async fn task(&self, id: TaskId) -> Task {
        self.store.task(id).await.expect("it works").expect("it is there")
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.expect("it works").expect("it is there")
    }

    /// The tasks of a job, whatever they are below.
    pub(crate) async fn tree(&self, job: JobId) -> Vec<Task> {
        let (mut all, mut plans) = (Vec::new(), vec![None]);
        while let Some(parent) = plans.pop() {
            let query = PlanQuery { parent, ..PlanQuery::of(job, 100) };
            let tasks = self.store.plan(query).await.expect("it works").tasks;
            let has_more = |task: &&Task| task.has_children || link(task).can_be_undone;
            plans.extend(tasks.iter().filter(has_more).map(|task| Some(task.id)));
            all.extend(tasks);
        }
        all
    }

    pub(crate) fn say(&mut self, line: String) {
        self.log.push(line);
    }

    pub(crate) async fn submit(&mut self, job: NewJob) -> JobId {
        let submitted = self.store.submit_job(job.clone()).await.expect("it works");
        let id = submitted.expect("it is taken on").into_job().id;
        self.say(format!("submit {id} {:?}", job.spec.budget));
        self.book.taken_on(id, job);
        self.jobs.push(id);
        id
    }

    pub(crate) async fn lease(&mut self) -> usize {
        let mut before = Vec::new();
        for job in self.jobs.clone() {
            before.push(self.job(job).await);
        }
        let (worker, request) = self.request();
        let leased = self.store.lease(request).await.expect("the session lives");
        if leased.is_empty() && self.workers.iter().all(|worker| worker.leased.is_empty()) {
            crate::claims::nothing_waits_for_nothing(self, &before).await;
        }
        self.has_leased(worker, leased, &before).await
    }

    fn request(&mut self) -> (usize, LeaseRequest) {
        let (worker, slots) = (self.random.usize(..self.workers.len()), self.random.usize(1..4));
        let session = self.workers[worker].session;
        (worker, LeaseRequest { session, queues: Queues::All, slots, wait: Duration::ZERO })
    }

    async fn has_leased(&mut self, worker: usize, leased: Vec<Leased>, before: &[Job]) -> usize {
        for leased in &leased {
            let line = format!("lease {} {} {:?}", link(&leased.task).depth, link(&leased.task).name, leased.task.id);
            self.say(line);
            crate::claims::may_run(self, leased, before).await;
            self.book.leased(leased);
        }
        let count = leased.len();
        self.workers[worker].leased.extend(leased);
        count
    }

    /// Cancels somebody who waits for others, mostly below a task.
    async fn cancel_a_waiter(&mut self) {
        let Some(job) = self.some_job() else { return };
        let all = self.tree(job).await;
        let is_below = self.random.bool();
        let waits = |task: &&Task| {
            matches!(task.state, State::Blocked(Block::Others { .. })) && link(task).parent.is_some() == is_below
        };
        let waiting: Vec<_> = all.iter().filter(waits).map(|task| task.id).collect();
        if !waiting.is_empty() {
            let one = waiting[self.random.usize(..waiting.len())];
            self.say("cancel a waiter".into());
            self.store.cancel(vec![one], CancelWish::default()).await.expect("it works");
            self.book.task_cancelled(one);
        }
    }

    /// Somebody gives the output of a task.
    pub(crate) async fn complete(&mut self, id: TaskId) {
        let output = Payload::json(format!("\"given {}\"", "x".repeat(self.random.usize(0..400))));
        let given = NewCompletion { output, by: None, with_token: false };
        if let Ok(task) = self.store.complete(id, given).await.expect("it works") {
            self.say(format!("complete {} {}", link(&task).name, task.state.name()));
            self.book.completed(&task);
        }
    }

    async fn complete_one(&mut self) {
        let Some(job) = self.some_job() else { return };
        let waiting: Vec<_> = self.tree(job).await.into_iter().filter(|task| task.awaits.is_some()).collect();
        if !waiting.is_empty() {
            let one = waiting[self.random.usize(..waiting.len())].id;
            self.complete(one).await;
        }
    }

    fn some_job(&mut self) -> Option<JobId> {
        let count = self.jobs.len();
        (count > 0).then(|| self.jobs[self.random.usize(..count)])
    }

    async fn cancel(&mut self) {
        let Some(job) = self.some_job() else { return };
        if self.random.bool() {
            let before = self.job(job).await;
            self.say(format!("cancel {}", before.state));
            self.book.job_cancelled(&before);
            let mut all = Vec::new();
            for other in self.jobs.clone().into_iter().filter(|other| *other != job) {
                all.push(self.job(other).await);
            }
            // In one turn: nothing may slip through between the cancel and what it takes to stop all of the job.
            let (worker, request) = self.request();
            let (told, leased) =
                tokio::join!(self.store.cancel_job(job, CancelWish::default()), self.store.lease(request));
            all.push(told.expect("it works").expect("it is there"));
            self.has_leased(worker, leased.expect("the session lives"), &all).await;
        } else {
            let tasks = self.tree(job).await;
            let waiting: Vec<_> = tasks.into_iter().filter(|task| !task.state.is_terminal()).collect();
            if !waiting.is_empty() {
                let one = &waiting[self.random.usize(..waiting.len())];
                self.say(format!("cancel {}, {}", link(one).name, one.state.name()));
                self.book.task_cancelled(one.id);
                let mut all = Vec::new();
                for job in self.jobs.clone() {
                    all.push(self.job(job).await);
                }
                // In one turn, as above.
                let (worker, request) = self.request();
                let cancel = self.store.cancel(vec![one.id], CancelWish::default());
                let (told, leased) = tokio::join!(cancel, self.store.lease(request));
                told.expect("it works");
                self.has_leased(worker, leased.expect("the session lives"), &all).await;
            }
        }
    }

    /// Ends the process, and starts again on what is durable.
    pub(crate) async fn restart(&mut self) {
        self.say("restart".into());
        self.stop().await;
        self.reopen().await;
    }

    /// Ends the process. What is durable is there for another.
    pub(crate) async fn stop(&mut self) {
        self.serve.abort();
        // That it was aborted is no news.
        let _ = (&mut self.serve).await;
        self.engine = copy(&self.engine, |_| true);
    }

    pub(crate) async fn reopen(&mut self) {
        let seed = self.random.u64(..);
        (self.store, self.serve) = open(&self.engine, &self.clock, seed, self.steps);
        self.workers.clear();
        self.book.lost();
        self.hire().await;
    }

    /// A worker stops in good order.
    async fn dismiss(&mut self) {
        let at = self.random.usize(..self.workers.len());
        let worker = self.workers.swap_remove(at);
        self.say("a worker stops".into());
        self.store.close_session(worker.session).await.expect("it works");
        worker.leased.iter().for_each(|leased| self.book.handed_back(leased));
        if self.workers.is_empty() {
            self.hire().await;
        }
    }

    pub(crate) async fn step(&mut self) {
        match self.random.u8(..60) {
            0 if self.trouble.restarts => self.restart().await,
            1 if self.trouble.restarts => self.dismiss().await,
            2..=3 if self.trouble.cancels => self.cancel().await,
            4..=8 => {
                let passes = Duration::from_millis(self.random.u64(1..4_000));
                self.clock.0.advance(passes);
            }
            9..=11 => self.complete_one().await,
            12..=20 if self.trouble.waiters => self.cancel_a_waiter().await,
            12..=32 => drop(self.lease().await),
            33..=36 => self.ask().await,
            _ => self.settle().await,
        }
    }

    /// Until all jobs have ended.
    pub(crate) async fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            let mut goes_on = false;
            for id in self.jobs.clone() {
                let job = self.job(id).await;
                crate::claims::budgets_hold(self, &job);
                goes_on |= !job.state.is_terminal();
            }
            if !goes_on {
                return;
            }
            self.step().await;
        }
        for id in self.jobs.clone() {
            let job = self.job(id).await;
            if !job.state.is_terminal() {
                panic!("it does not end: {job:#?} after {:#?}: {:#?}", self.log, self.tree(id).await);
            }
        }
    }

    /// Makes a job over again, if that is possible.
    pub(crate) async fn retry(&mut self, old: JobId) -> Option<JobId> {
        let names = self.book.names_of_plan(old, None);
        let from = names.into_iter().filter(|_| self.random.u8(..6) == 0).collect::<Vec<_>>();
        let tree = self.tree(old).await;
        let expected = self.book.standing(old, &tree, &from);
        let from = from.into_iter().map(Awaited::Node).collect();
        let answer = self.store.retry_job(RetryJob { job: old, from }).await.expect("it works");
        match answer {
            Ok(new) => {
                self.say(format!("retry {old} as {}", new.id));
                self.book.taken_on_again(old, new.id, expected);
                self.jobs.push(new.id);
                Some(new.id)
            }
            Err(RetryJobError::NothingToDo(_)) => {
                let all = self.book.names_of_plan(old, None).len();
                assert_eq!(expected.len(), all, "there is something to do");
                None
            }
            Err(RetryJobError::Incomplete { count, .. }) => {
                assert_eq!(count, self.job(old).await.tasks.not_made);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn open(engine: &MemoryEngine, clock: &Hand, seed: u64, steps: usize) -> (EmbeddedStore, JoinHandle<()>) {
    let opened = EmbeddedStore::open_step_by_step(engine.clone(), Arc::new(clock.clone()), seed, steps);
    let (store, serve) = opened.expect("memory opens");
    (store, tokio::spawn(serve))
}

/// What is durable, for another process; but for some keys.
pub(crate) fn copy(engine: &MemoryEngine, is_kept: impl Fn(&[u8]) -> bool) -> MemoryEngine {
    let there = engine.scan(&[], &[u8::MAX], false).map(|pair| pair.expect("memory does not fail"));
    let there: Writes = there.filter(|(key, _)| is_kept(key)).map(|(key, value)| (key.to_vec(), Some(value))).collect();
    let mut copy = MemoryEngine::default();
    copy.apply(&there).expect("memory does not fail");
    copy
}

/// Whether a task stands for good.
pub(crate) fn has_ended(task: &Task) -> bool {
    matches!(task.state, State::Succeeded | State::Dead | State::Cancelled | State::Expired)
}
