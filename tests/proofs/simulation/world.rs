//! The world itself: processes that come and go, workers, and the hand that lets things go wrong.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sunaba_runtime::store::{EmbeddedStore, EventQuery, JobQuery, Queues, Store as _, StoreError, TaskQuery, Unready};
use sunaba_runtime::task::job::JobId;
use sunaba_runtime::task::{Clock as _, FeedEvent, HandlerChange, LeaseToken, QueueChange, Retention, TaskId};
use sunaba_runtime::worker::{Worker, WorkerConfig};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::book::Book;
use super::claims;
use super::client::Client;
use super::clock::SimulatedClock;
use super::engine::CrashyEngine;
use super::gate::Gate;
use super::journal::{Fault, Journal, Written};
use super::link::Link;
use super::order;
use super::replay::{self, AFTER, MAX_AFTER, MAX_IN_QUEUE, MAX_OF_KEY, QUEUES};
use super::script::Scripted;
use super::shapes::Shapes;

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(45);
/// How long all must have come to its end after that.
const QUIET: Duration = Duration::from_secs(3 * 60 * 60);
const HOUR_MS: i64 = 60 * 60 * 1_000;
/// A store that fails while it is opened is opened again, at most so often.
const OPENINGS: u32 = 100;
/// Longer than any clock jump: nothing is purged before it was looked at.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Of what is to be done for jobs, what a turn does at most: all that there is in a world of this size, or less.
const STEPS: [usize; 4] = [WHOLE_TURN, WHOLE_TURN, 1, 5];
pub(super) const WHOLE_TURN: usize = 1_000;
/// How often somebody looks whether a lost task was taken back.
const LOOK: Duration = Duration::from_millis(200);

struct World {
    seed: u64,
    random: fastrand::Rng,
    clock: SimulatedClock,
    journal: Journal,
    book: Arc<Book>,
    engine: CrashyEngine,
    lease_time: Duration,
    /// What a turn of the store does at most of what is to be done for jobs.
    steps: usize,
    process: Process,
    /// Where clients find the store.
    link: Arc<Gate<Link>>,
    workers_made: u32,
}

/// A process: its store and its workers.
struct Process {
    /// The way of clients, who outlive it.
    link: Link,
    dead: Arc<AtomicBool>,
    serve: JoinHandle<()>,
    workers: Vec<(Worker, Link)>,
}

pub(super) async fn run(seed: u64) -> Written {
    let mut random = fastrand::Rng::with_seed(seed);
    let clock = SimulatedClock::new();
    let journal = Journal::new(clock.clone());
    let book = Arc::new(Book::new(clock.clone(), journal.clone(), Shapes { seed }));
    let engine = CrashyEngine::new(random.fork(), journal.clone());
    let lease_time = Duration::from_millis(random.u64(1_000..8_000));
    let steps = STEPS[random.usize(..STEPS.len())];
    let (engine, process) = open(&mut random, &engine, &clock, &book, steps).await;
    let link = Arc::new(Gate::with(process.link.clone()));
    let mut clients = JoinSet::new();
    let next = Arc::new(AtomicU32::new(0));
    for queue in QUEUES.into_iter().take(random.usize(1..=3)) {
        let client = Client {
            queue,
            random: random.fork(),
            book: Arc::clone(&book),
            journal: journal.clone(),
            link: Arc::clone(&link),
            next: Arc::clone(&next),
            until: tokio::time::Instant::now() + TROUBLE,
        };
        clients.spawn(client.run());
    }
    let mut world =
        World { seed, random, clock, journal, book, engine, lease_time, steps, process, link, workers_made: 0 };
    world.start_workers();
    world.trouble().await;
    world.quiet(clients).await;
    world.journal.finish()
}

/// Opens the store, as often as its disk fails meanwhile.
async fn open(
    random: &mut fastrand::Rng,
    engine: &CrashyEngine,
    clock: &SimulatedClock,
    book: &Arc<Book>,
    steps: usize,
) -> (CrashyEngine, Process) {
    for _ in 0..OPENINGS {
        let engine = engine.after_crash();
        let opened = EmbeddedStore::open_step_by_step(engine.clone(), Arc::new(clock.clone()), random.u64(..), steps);
        if let Ok((store, serve)) = opened {
            let serve = tokio::spawn(serve);
            let link = Link::new(store, Arc::clone(book), clock.clone(), Arc::new(AtomicBool::new(false)));
            let kept = Some(KEPT);
            let retention = Retention { result: KEPT, succeeded: kept, cancelled: kept, expired: kept, dead: kept };
            // A store that fails over this is found to have failed like any other.
            let _ = link.store.set_retention(retention).await;
            let _ = limit(&link.store).await;
            return (engine, Process { link, dead: Arc::default(), serve, workers: Vec::new() });
        }
    }
    unreachable!("faults are rarer than that")
}

/// The limits of a world, which nothing may exceed at any moment.
async fn limit(store: &EmbeddedStore) -> Result<(), StoreError> {
    store.set_queue(QUEUES[1].into(), vec![QueueChange::Concurrency(Some(MAX_IN_QUEUE))]).await?;
    store.set_queue(QUEUES[2].into(), vec![QueueChange::KeyConcurrency(Some(MAX_OF_KEY))]).await?;
    let handler = AFTER.parse().expect("a name");
    store.set_handler(handler, vec![HandlerChange::Concurrency(Some(MAX_AFTER))]).await.map(drop)
}

impl World {
    fn start_workers(&mut self) {
        for index in 0..self.random.u32(1..=3) {
            self.start_worker(index == 0);
        }
    }

    fn start_worker(&mut self, for_all: bool) {
        self.workers_made += 1;
        let name = format!("w{}", self.workers_made);
        let is_remote = self.random.bool();
        let (store, dead) = (self.process.link.store.clone(), Arc::clone(&self.process.dead));
        let link = Link::new(store, Arc::clone(&self.book), self.clock.clone(), Arc::clone(&dead));
        let link = Link { is_remote, ..link };
        let script = Scripted { seed: self.seed, worker: name.clone(), is_remote, book: Arc::clone(&self.book), dead };
        let script = Arc::new(script);
        let queues = if for_all || self.random.bool() { Queues::All } else { Queues::Only(vec![QUEUES[0].into()]) };
        let config = WorkerConfig {
            name,
            slots: self.random.usize(1..=4),
            queues,
            lease_time: self.lease_time,
            cancel_grace: Duration::from_millis(self.random.u64(..2_000)),
            ..WorkerConfig::default()
        };
        let (executor, admission) = (Arc::clone(&script), script);
        let unready = watch::channel(Unready::default()).1;
        let worker = Worker::start_admitting(Arc::new(link.clone()), executor, config, unready, admission);
        self.process.workers.push((worker, link));
    }

    /// Lets things go wrong for a while.
    async fn trouble(&mut self) {
        while self.clock.elapsed() < TROUBLE {
            let pause = Duration::from_millis(self.random.u64(20..4_000));
            tokio::time::sleep(pause).await;
            // A store that has failed shows what is durable, until somebody starts another process.
            if self.has_failed() { self.restart().await } else { self.fault().await }
        }
    }

    fn has_failed(&self) -> bool {
        self.process.link.store.failure().is_some()
    }

    async fn fault(&mut self) {
        match self.random.u32(..12) {
            0..2 => {
                self.journal.fired(Fault::ProcessCrash);
                self.restart().await;
            }
            2..4 => self.kill_worker(),
            4 => self.stop_worker(),
            5..8 => self.cut_off(),
            8..11 => {
                self.journal.fired(Fault::ClockJump);
                self.clock.set_moved_ms([-HOUR_MS, 0, HOUR_MS][self.random.usize(..3)]);
            }
            _ => self.start_worker(false),
        }
    }

    /// Ends the process as `kill -9` does, and starts another on what is durable.
    async fn restart(&mut self) {
        self.process.dead.store(true, Ordering::Relaxed);
        self.link.set(None);
        self.process.serve.abort();
        // It must have gone: two processes cannot hold the engine. That it was aborted is no news.
        let _ = (&mut self.process.serve).await;
        self.process.workers.clear();
        self.book.process_ended();
        let (engine, process) = open(&mut self.random, &self.engine, &self.clock, &self.book, self.steps).await;
        (self.engine, self.process) = (engine, process);
        self.journal.write(format_args!("a process begins"));
        self.link.set(Some(self.process.link.clone()));
        self.start_workers();
    }

    fn kill_worker(&mut self) {
        if self.process.workers.is_empty() {
            return;
        }
        let (worker, link) = self.process.workers.swap_remove(self.random.usize(..self.process.workers.len()));
        self.journal.fired(Fault::WorkerKilled);
        drop(worker);
        let session = *link.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = session {
            let lost = self.book.host_lost(session);
            tokio::spawn(check_taken_back(
                self.process.link.clone(),
                Arc::clone(&self.process.dead),
                self.journal.clone(),
                lost,
                self.lease_time,
            ));
        }
        self.start_worker(true);
    }

    fn stop_worker(&mut self) {
        if self.process.workers.is_empty() {
            return;
        }
        let (worker, _) = self.process.workers.swap_remove(self.random.usize(..self.process.workers.len()));
        self.journal.fired(Fault::WorkerStopped);
        let grace = Duration::from_millis(self.random.u64(..5_000));
        // It fails when the process does.
        tokio::spawn(async move { worker.stop(grace).await.is_ok() });
        self.start_worker(true);
    }

    /// Cuts a worker's way to the store until all of its leases have run out, or not quite.
    fn cut_off(&mut self) {
        if self.process.workers.is_empty() {
            return;
        }
        let (_, link) = &self.process.workers[self.random.usize(..self.process.workers.len())];
        let cut = self.lease_time.mul_f64(self.random.f64() * 3.0);
        if cut > self.lease_time {
            self.journal.fired(Fault::WorkerCutOff);
        }
        link.gate.set(None);
        let gate = Arc::clone(&link.gate);
        tokio::spawn(async move {
            tokio::time::sleep(cut).await;
            gate.set(Some(()));
        });
    }

    /// Nothing goes wrong any more: everything comes to its end, and is looked at.
    async fn quiet(&mut self, mut clients: JoinSet<()>) {
        self.engine.stop_faults();
        // The latest that any task can be due.
        self.clock.set_moved_ms(HOUR_MS);
        // The disk may have failed just now.
        if self.has_failed() {
            self.restart().await;
        }
        self.start_worker(true);
        self.journal.write(format_args!("from here on nothing goes wrong"));
        while clients.join_next().await.is_some() {}
        let over = tokio::time::Instant::now() + QUIET;
        // Whoever paused one may not have been heard again.
        for queue in QUEUES {
            if let Err(error) = self.process.link.set_queue(queue.into(), vec![QueueChange::Paused(false)]).await {
                self.journal.problem(format_args!("`{queue}` stays paused: {error}"));
            }
        }
        self.all_ends(over).await;
        let events = self.all_events().await;
        replay::check(&self.journal, &self.book, &events);
        order::check(&self.journal, &self.book, &events, self.steps == WHOLE_TURN);
        claims::check(&self.journal, &self.book, &self.process.link).await;
    }

    /// Every task and every job comes to its end. What was taken on without anybody having been told must, too, and what follows an
    /// end.
    async fn all_ends(&self, over: tokio::time::Instant) {
        let (mut seen, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let mut all_jobs: BTreeSet<_> = self.book.jobs.acknowledged().into_iter().collect();
            all_jobs.extend(self.all_jobs().await);
            let new_jobs: Vec<_> = all_jobs.into_iter().filter(|id| jobs.insert(*id)).collect();
            for id in &new_jobs {
                self.end_of_job(*id, over).await;
            }
            let mut ids: BTreeSet<_> = self.book.acknowledged().into_iter().collect();
            ids.extend(self.all_tasks().await);
            let new: Vec<_> = ids.into_iter().filter(|id| seen.insert(*id)).collect();
            if new.is_empty() && new_jobs.is_empty() {
                return;
            }
            for id in new {
                self.end_of(id, over).await;
            }
        }
    }

    /// The whole feed, by pages.
    async fn all_events(&self) -> Vec<FeedEvent> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let query = EventQuery { after: Some(after), limit: 500, ..EventQuery::default() };
            match self.process.link.events(query).await {
                Ok(page) if page.events.is_empty() => return events,
                Ok(page) => {
                    after = page.next;
                    events.extend(page.events);
                }
                Err(error) => {
                    self.journal.problem(format_args!("events cannot be read: {error}"));
                    return events;
                }
            }
        }
    }

    async fn end_of_job(&self, id: JobId, over: tokio::time::Instant) {
        let wait = over.saturating_duration_since(tokio::time::Instant::now());
        match self.process.link.wait_job(id, wait).await {
            Ok(Some(job)) if job.state.is_terminal() => {}
            job => self.journal.problem(format_args!("job {id} does not end: {job:?}")),
        }
    }

    /// The ids of all jobs, by pages.
    async fn all_jobs(&self) -> Vec<JobId> {
        let (mut ids, mut before) = (Vec::new(), None);
        loop {
            let query = JobQuery { before, limit: 50, ..JobQuery::default() };
            match self.process.link.jobs(query).await {
                Ok(page) => {
                    ids.extend(page.jobs.iter().map(|job| job.id));
                    before = page.next;
                }
                Err(error) => self.journal.problem(format_args!("jobs cannot be listed: {error}")),
            }
            if before.is_none() {
                return ids;
            }
        }
    }

    async fn end_of(&self, id: TaskId, over: tokio::time::Instant) {
        let link = &self.process.link;
        let ended = link.wait(id, over.saturating_duration_since(tokio::time::Instant::now())).await;
        let output = link.output(id).await;
        match (ended, output) {
            (Ok(Some(task)), Ok(output)) => self.book.check_end(&task, output.as_ref()),
            (task, output) => self.journal.problem(format_args!("{id} cannot be read: {task:?} {output:?}")),
        }
    }

    /// The ids of all tasks, by pages.
    async fn all_tasks(&self) -> Vec<TaskId> {
        let (mut ids, mut before) = (Vec::new(), None);
        loop {
            let query = TaskQuery { before, limit: 50, ..TaskQuery::default() };
            match self.process.link.tasks(query).await {
                Ok(page) => {
                    ids.extend(page.tasks.iter().map(|task| task.id));
                    before = page.next;
                }
                Err(error) => self.journal.problem(format_args!("tasks cannot be listed: {error}")),
            }
            if before.is_none() {
                return ids;
            }
        }
    }
}

/// The tasks of a worker that is gone are nobody's, or somebody else's, a second after their leases have run out.
async fn check_taken_back(
    link: Link,
    dead: Arc<AtomicBool>,
    journal: Journal,
    lost: Vec<LeaseToken>,
    lease_time: Duration,
) {
    let stalls = journal.times(Fault::SlowBarrier);
    let bound = lease_time + Duration::from_secs(1);
    let begun = tokio::time::Instant::now();
    for token in lost {
        loop {
            let task = link.store.task(token.task).await;
            // While the disk hangs nobody can renew, and so nobody's lease runs out.
            let is_over = dead.load(Ordering::Relaxed) || link.store.failure().is_some();
            if is_over || journal.times(Fault::SlowBarrier) != stalls {
                return;
            }
            let Ok(Some(task)) = task else { return };
            if task.lease().is_none_or(|lease| !token.fits(lease)) {
                break;
            }
            if begun.elapsed() > bound {
                journal.problem(format_args!("{} was not taken back in time", token.task));
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        journal.recovered(begun.elapsed());
    }
}
