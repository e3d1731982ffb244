//! What a worker leases beyond its slots, on a disk that takes its time: what becomes of it, and when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sunaba_store::{CancelWish, Engine, EngineError, ManualClock, MemoryEngine, Pair, Writes};
use sunaba_task::{AttemptRecord, Ending, State, StateName, Task, Timestamp};
use sunaba_worker::{Worker, WorkerConfig};

use super::*;

/// How long a barrier takes. A slot ends many tasks meanwhile.
const BARRIER: Duration = Duration::from_millis(5);
/// Tasks that take no time, after which a worker knows that.
const SHORT: usize = 60;

/// Leases ahead of a slot, at most.
const MAX_AHEAD: usize = 128;

/// Memory whose barrier is as slow as a disk's.
struct SlowDisk {
    engine: MemoryEngine,
    barriers: Arc<AtomicUsize>,
}

impl Engine for SlowDisk {
    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, EngineError> {
        self.engine.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.engine.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        self.engine.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.barriers.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(BARRIER);
        self.engine.barrier()
    }
}

struct SlowHouse {
    house: House,
    barriers: Arc<AtomicUsize>,
}

impl SlowHouse {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let barriers = Arc::default();
        let engine = SlowDisk { engine: MemoryEngine::default(), barriers: Arc::clone(&barriers) };
        let store = EmbeddedStore::open(engine, Arc::new(clock.clone())).expect("memory opens");
        Self { house: House { clock, store: Arc::new(store), guests: Guests::new() }, barriers }
    }

    /// Submits short tasks, and with them in one commit what is gated; the gated ones.
    async fn submit(&self, short: usize, gated: usize) -> (Vec<Task>, Vec<Task>) {
        let new = |handler: &str| {
            let name = format!("guests/{handler}").parse().expect("a name");
            NewTask::new(TaskSpec::new(name, Digest::of(b"guests")), Payload::json("7"))
        };
        let all = [vec![new("echo"); short], vec![new("gated"); gated]].concat();
        let submitted = self.house.store.submit(all).await.expect("the store works");
        let mut tasks: Vec<_> = submitted.into_iter().map(|task| task.expect("it is taken on").into_task()).collect();
        let gated = tasks.split_off(short);
        (tasks, gated)
    }

    /// A worker that knows how short tasks are, whose slot is held by the first of these; it has leased the second ahead.
    async fn held_up(&self, gated: usize) -> (Worker, Vec<Task>) {
        let worker = self.house.worker(1);
        let (warm, _) = self.submit(SHORT, 0).await;
        for task in &warm {
            self.house.end(task).await;
        }
        let (_, gated) = self.submit(SHORT, gated).await;
        self.house.until_running(1).await;
        while self.house.now(&gated[1]).await.attempts_started == 0 {
            tokio::task::yield_now().await;
        }
        (worker, gated)
    }

    /// Lets all that is gated end, and gives the records.
    async fn ends(&self, tasks: &[Task]) -> Vec<Task> {
        self.house.guests.gate.add_permits(1_000);
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(self.house.end(task).await);
        }
        ended
    }

    /// Attempts that have begun.
    fn begun(&self) -> BTreeMap<TaskId, Vec<u32>> {
        let mut begun = BTreeMap::<TaskId, Vec<u32>>::new();
        for (task, attempt) in self.house.guests.begun.lock().expect("no test panicked").iter() {
            begun.entry(*task).or_default().push(*attempt);
        }
        begun
    }

    fn check_never_begun(&self, task: &Task, attempt: &AttemptRecord) {
        let begun = self.begun().remove(&task.id).unwrap_or_default();
        assert!(!begun.contains(&attempt.number), "{task:?}");
    }
}

fn test(case: impl AsyncFnOnce(SlowHouse)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(WAIT, case(SlowHouse::new())).await.expect("it ends") });
}

#[test]
fn short_tasks_are_leased_ahead_so_that_many_share_a_barrier() {
    test(async |slow| {
        let (tasks, _) = slow.submit(400, 0).await;
        let before = slow.barriers.load(Ordering::Relaxed);
        let _worker = slow.house.worker(1);
        let mut waited = Duration::ZERO;
        for task in &tasks {
            let ended = slow.house.end(task).await;
            assert_eq!((&ended.state, ended.attempts_started), (&State::Succeeded, 1));
            // The store's clock stands still: this is what it has waited in the worker.
            waited += ended.attempts[0].receipt.as_ref().and_then(|receipt| receipt.queue_wait).unwrap_or_default();
        }
        let barriers = slow.barriers.load(Ordering::Relaxed) - before;
        assert!(barriers < tasks.len() / 2, "{barriers} barriers for {} tasks", tasks.len());
        assert!(waited > Duration::ZERO);
        assert_eq!(slow.house.guests.most.load(Ordering::SeqCst), 1, "and there is one slot");
    });
}

#[test]
fn what_waits_for_a_slot_that_is_held_is_given_back_for_others() {
    test(async |slow| {
        let (first, gated) = slow.held_up(9).await;
        let idle = slow.house.worker(1);
        slow.house.until_running(2).await;
        assert_eq!((first.running(), idle.running()), (1, 1));
        let mut given_back = 0;
        for ended in slow.ends(&gated).await {
            assert_eq!((&ended.state, ended.failures_charged, ended.hosts_lost), (&State::Succeeded, 0, 0));
            for attempt in ended.attempts.iter().filter(|attempt| attempt.ending == Ending::HandedBack) {
                slow.check_never_begun(&ended, attempt);
                given_back += 1;
            }
        }
        assert!(given_back > 0);
    });
}

#[test]
fn urgent_task_waits_for_no_more_than_was_leased_ahead() {
    test(async |slow| {
        let _worker = slow.house.worker(1);
        let echoed = || slow.house.guests.echoed.load(Ordering::SeqCst);
        let (tasks, _) = slow.submit(2_000, 0).await;
        while echoed() < SHORT {
            tokio::task::yield_now().await;
        }
        let name = "guests/gated".parse().expect("a name");
        let spec = TaskSpec { priority: 1, ..TaskSpec::new(name, Digest::of(b"guests")) };
        let new = NewTask::new(spec, Payload::json("7"));
        slow.house.store.submit(vec![new]).await.expect("the store works").remove(0).expect("it is taken on");
        let before = echoed();
        slow.house.until_running(1).await;
        // It holds the only slot now. What waited in the worker was before it, and an answer that was under way.
        assert!(echoed() - before <= 2 * (1 + MAX_AHEAD), "{before} and then {}", echoed());
        slow.ends(&tasks).await;
    });
}

#[test]
fn cancelled_task_that_has_no_slot_yet_ends_at_once_and_is_never_run() {
    test(async |slow| {
        let (_worker, gated) = slow.held_up(3).await;
        slow.house.store.cancel(vec![gated[1].id], CancelWish::default()).await.expect("the store works");
        let ended = slow.house.end(&gated[1]).await;
        assert_eq!((&ended.state, &ended.attempts[0].ending), (&State::Cancelled, &Ending::HandedBack));
        assert_eq!(slow.begun().get(&ended.id), None);
        assert_eq!(slow.house.now(&gated[0]).await.state.name(), StateName::Running);
    });
}

#[test]
fn graceful_stop_gives_back_at_once_what_has_not_begun() {
    test(async |slow| {
        let (worker, gated) = slow.held_up(5).await;
        let release = async {
            for task in &gated[1..] {
                let back = slow.house.until(task, StateName::Queued).await;
                assert_eq!((back.failures_charged, back.hosts_lost), (0, 0));
            }
            assert_eq!(slow.house.now(&gated[0]).await.state.name(), StateName::Running);
            slow.house.guests.gate.add_permits(1);
        };
        let (stopped, ()) = tokio::join!(worker.stop(WAIT), release);
        stopped.expect("the store is there");
        assert_eq!(slow.house.now(&gated[0]).await.state, State::Succeeded);
        assert_eq!(slow.begun().len(), 1);
    });
}

#[test]
fn forced_stop_gives_back_what_has_not_begun() {
    test(async |slow| {
        let (worker, gated) = slow.held_up(5).await;
        worker.force();
        worker.stop(WAIT).await.expect("the store is there");
        for task in &gated {
            let back = slow.house.now(task).await;
            assert_eq!((&back.state, back.failures_charged, back.hosts_lost), (&State::Queued, 0, 0));
        }
        assert_eq!(slow.begun().len(), 1);
    });
}

#[test]
fn lost_session_runs_nothing_of_what_it_had_leased_ahead() {
    test(async |slow| {
        let (_worker, gated) = slow.held_up(5).await;
        slow.house.clock.advance(WorkerConfig::default().lease_time);
        // The next session runs something.
        while slow.house.guests.begun.lock().expect("no test panicked").len() < 2 {
            tokio::task::yield_now().await;
        }
        let mut lost = 0;
        for ended in slow.ends(&gated).await {
            assert_eq!(ended.state, State::Succeeded);
            let is_first = ended.id == gated[0].id;
            for attempt in ended.attempts.iter().filter(|attempt| attempt.ending != Ending::Completed && !is_first) {
                slow.check_never_begun(&ended, attempt);
                lost += 1;
            }
        }
        assert!(lost > 0);
    });
}
