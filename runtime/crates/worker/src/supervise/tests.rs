//! Workers whose loops panic and hang, on a store in memory; time passes when nobody has anything to do.

use std::sync::atomic::{AtomicUsize, Ordering};

use sunaba_store::{EmbeddedStore, LeaseRequest, Queues};
use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Digest, ExecuteError, Executor, NewTask,
    Outcome, Payload, Receipt, StateName, Task, TaskSpec,
};

use super::*;
use crate::WorkerConfig;

/// Gives back what it is given.
struct Echo;

impl Executor for Echo {
    fn execute(
        &self,
        request: AttemptRequest,
        _: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(async move {
            let result = AttemptResult::Returned(Outcome::Complete(request.input.clone()));
            Ok(AttemptReport { result, receipt: Receipt::unmeasured(request.component), logs: Vec::new() })
        })
    }
}

/// What is wrong with the first loops.
#[derive(Clone, Copy)]
enum Fault {
    Panic,
    Hang,
}

/// Time stands still until this is dropped, as what a store's own threads do is to take none of it.
struct Still(#[expect(dead_code, reason = "what it is for is its drop")] std::sync::mpsc::Sender<()>);

impl Still {
    fn hold() -> Self {
        let (held, until) = std::sync::mpsc::channel();
        // A paused clock goes on by itself only when nothing blocks.
        tokio::task::spawn_blocking(move || until.recv());
        Self(held)
    }
}

/// A supervised worker whose first loops lease a task and then fail in this way.
fn faulty(store: &Arc<dyn Store>, fault: Fault, times: usize) -> Supervised {
    let (started, own) = (AtomicUsize::new(0), Arc::clone(store));
    Supervised::start("test", Arc::clone(store), move || {
        let config = WorkerConfig { name: "test".into(), max_slots: 4, ..WorkerConfig::default() };
        let number = started.fetch_add(1, Ordering::SeqCst);
        if number >= times {
            return Worker::start(Arc::clone(&own), Arc::new(Echo), config);
        }
        let still = Still::hold();
        Worker::start_faulty(Arc::clone(&own), Arc::new(Echo), config, move |store, session| async move {
            let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
            store.lease(request).await.expect("the store works");
            drop(still);
            match fault {
                Fault::Panic => panic!("the loop panics"),
                Fault::Hang => std::future::pending().await,
            }
        })
    })
}

async fn submit(store: &dyn Store) -> Task {
    let name = "guests/echo".parse().expect("a name");
    let new = NewTask::new(TaskSpec::new(name, Digest::of(b"guests")), Payload::json("7"));
    let submitted = store.submit(vec![new]).await.expect("the store works").remove(0);
    submitted.expect("it is taken on").into_task()
}

async fn ends_well(fault: Fault, reason: &str) {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::memory().expect("a store"));
    let task = submit(&*store).await;
    let worker = faulty(&store, fault, 2);
    let task = loop {
        // The store's own threads are not in the time of this test.
        let task = store.task(task.id).await.expect("the store works").expect("it is there");
        if task.state.name().is_terminal() {
            break task;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!(task.state.name(), StateName::Succeeded);
    assert_eq!((task.failures_charged, task.hosts_lost), (0, 0), "{task:?}");
    assert_eq!(worker.supervision(), Supervision { restarts: 2, reason: Some(reason.into()) });
    worker.stop(Duration::from_secs(1)).await.expect("it stops");
    worker.ended().await.expect("it has ended well");
}

#[tokio::test(start_paused = true)]
async fn worker_whose_loop_panics_is_started_anew_and_its_tasks_run_uncharged() {
    ends_well(Fault::Panic, "its loop panicked").await;
}

#[tokio::test(start_paused = true)]
async fn worker_whose_loop_hangs_is_started_anew_and_its_tasks_run_uncharged() {
    ends_well(Fault::Hang, "its loop hung").await;
}

#[tokio::test(start_paused = true)]
async fn worker_that_idles_for_hours_does_not_hang() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::memory().expect("a store"));
    let worker = faulty(&store, Fault::Hang, 0);
    for _ in 0..100 {
        tokio::time::sleep(BEAT * 3).await;
    }
    assert_eq!(worker.supervision(), Supervision::default());
    worker.stop(Duration::from_secs(1)).await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn worker_that_is_stopped_after_its_loop_panicked_is_not_started_anew() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::memory().expect("a store"));
    let worker = faulty(&store, Fault::Panic, usize::MAX);
    worker.stop(Duration::from_secs(1)).await.expect("there is nothing to stop");
    worker.ended().await.expect("it has ended well");
    assert!(worker.supervision().restarts <= 1, "{:?}", worker.supervision());
}

#[tokio::test(start_paused = true)]
async fn slots_outlive_a_worker_that_is_started_anew() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::memory().expect("a store"));
    let worker = faulty(&store, Fault::Panic, 1);
    assert_eq!(worker.set_slots(3), 3);
    while worker.supervision().restarts == 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(worker.slots(), 3);
    assert_eq!((worker.set_slots(0), worker.set_slots(99)), (1, 4));
    worker.stop(Duration::from_secs(1)).await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn worker_whose_loop_hangs_is_stopped_all_the_same() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::memory().expect("there is memory"));
    let worker = faulty(&store, Fault::Hang, 1);
    let task = submit(&*store).await;
    while store.task(task.id).await.expect("the store works").expect("it is there").state.name() != StateName::Running {
        tokio::task::yield_now().await;
    }
    worker.stop(Duration::from_secs(1)).await.expect("the store is there");
    let task = store.task(task.id).await.expect("the store works").expect("it is there");
    assert_eq!((task.state.name(), task.failures_charged), (StateName::Queued, 0));
}
