//! The process that is to be killed: submits and settles on a store on disk as fast as it can, and says on standard output
//! what was acknowledged, a line each.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use sunaba_runtime::store::{
    EmbeddedStore, LeaseRequest, Leased, Queues, Settlement, SledEngine, Store, StoreError, SystemClock,
};
use sunaba_runtime::task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, Task, TaskId, TaskSpec, Verdict,
};

use super::fail_point::{FailPoint, Failing};
use super::ledger::{self, Line};

/// It ends by itself after so many submits, when nobody kills it.
const MAX_SUBMITS: u64 = 1_000_000;
/// Longer than any child lives.
const LEASE_TIME: Duration = Duration::from_secs(600);
/// What a task is tried again after.
const PAUSE: Duration = Duration::from_millis(3);
/// How often a failed store is asked again, to see that it acknowledges nothing.
const ASKED_AGAIN: u32 = 5;

/// What a child is to do.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Draws sizes and fates.
    pub seed: u64,
    /// The number of its first task.
    pub first: u64,
    /// One submit at a time, and nothing else.
    pub alone: bool,
    /// Inputs that fill a disk.
    pub large: bool,
    /// Where its engine fails.
    pub fail_point: Option<FailPoint>,
}

impl Orders {
    /// As arguments of the child.
    pub fn arguments(&self) -> Vec<String> {
        let flag = |set: bool, name: &str| if set { name.to_owned() } else { "-".to_owned() };
        let fail_point = self.fail_point.map_or("-".to_owned(), |point| point.to_string());
        let (seed, first) = (self.seed.to_string(), self.first.to_string());
        vec![seed, first, flag(self.alone, "alone"), flag(self.large, "large"), fail_point]
    }

    /// Reads them back; none when they are none.
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let [seed, first, alone, large, fail_point] = arguments else { return None };
        let fail_point = if fail_point == "-" { None } else { Some(fail_point.parse().ok()?) };
        Some(Self {
            seed: seed.parse().ok()?,
            first: first.parse().ok()?,
            alone: alone == "alone",
            large: large == "large",
            fail_point,
        })
    }
}

fn say(line: &Line) {
    // One write each. Without a reader there is nobody to do it for.
    if std::io::stdout().write_all(format!("{line}\n").as_bytes()).is_err() || std::io::stdout().flush().is_err() {
        std::process::exit(1);
    }
}

/// The child's whole life; gives its exit code.
///
/// # Errors
/// The store cannot be opened.
pub fn live(directory: &Path, orders: &Orders) -> Result<u8, String> {
    // Whoever started us is gone: so are we.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    let engine = SledEngine::open(directory).map_err(|error| error.to_string())?;
    let clock = Arc::new(SystemClock::new());
    let store = match orders.fail_point {
        Some(point) => EmbeddedStore::open(Failing::new(engine, point), clock),
        None => EmbeddedStore::open(engine, clock),
    };
    let store = store.map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|e| e.to_string())?;
    say(&Line::Ready);
    runtime.block_on(async {
        let failed = if orders.alone {
            submit(&store, orders).await
        } else {
            tokio::select! {
                failed = submit(&store, orders) => failed,
                failed = work(&store, orders) => failed,
            }
        };
        let Err(failed) = failed else { return Ok(0) };
        say(&Line::Failed(failed.to_string().lines().collect::<Vec<_>>().join(" ")));
        for number in 0..ASKED_AGAIN {
            if let Ok(answers) = store.submit(vec![new_task(u64::MAX - u64::from(number), 10)]).await {
                answers.into_iter().flatten().for_each(|task| say(&Line::Submitted(u64::MAX, task.into_task().id)));
            }
        }
        Ok(3)
    })
}

fn new_task(number: u64, size: usize) -> NewTask {
    let mut spec = TaskSpec::new("crash/task".parse().expect("a name"), Digest::of(b"crash"));
    spec.max_hosts_lost = u32::MAX;
    spec.max_attempts = u32::MAX;
    spec.attributes = vec![(ledger::NUMBER.into(), number.to_string())];
    spec.idempotency_key = Some(format!("key {number}"));
    NewTask::new(spec, Payload::new("a/b", vec![b'x'; size]))
}

/// The size of a task's input: always the same for the same number, so that it can be submitted again.
fn size(number: u64, is_large: bool) -> usize {
    let mut random = fastrand::Rng::with_seed(number);
    match random.u32(..40) {
        _ if is_large => random.usize(50_000..64_000),
        0 => random.usize(..100_000),
        1..6 => random.usize(..4_000),
        _ => random.usize(..300),
    }
}

async fn submit(store: &EmbeddedStore, orders: &Orders) -> Result<(), StoreError> {
    let mut random = fastrand::Rng::with_seed(orders.seed);
    let mut number = orders.first;
    while number < MAX_SUBMITS {
        let count = if orders.alone { 1 } else { random.u64(1..6) };
        let tasks = (number..number + count).map(|number| new_task(number, size(number, orders.large))).collect();
        match store.submit(tasks).await {
            Ok(answers) => {
                for (number, answer) in (number..).zip(answers) {
                    match answer {
                        Ok(submitted) => say(&Line::Submitted(number, submitted.into_task().id)),
                        Err(error) => say(&Line::Wrong(error.to_string().replace('\n', " "))),
                    }
                }
                number += count;
            }
            Err(StoreError::NoRoom { .. }) => {
                say(&Line::NoRoom);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn work(store: &EmbeddedStore, orders: &Orders) -> Result<(), StoreError> {
    let mut random = fastrand::Rng::with_seed(!orders.seed);
    // On a full disk there must be something left to write.
    let (succeed, of) = if orders.large { (1, 64) } else { (3, 4) };
    let session = store.open_session("child".into(), LEASE_TIME).await?;
    loop {
        let request = LeaseRequest { session, queues: Queues::All, slots: random.usize(1..8), wait: LEASE_TIME };
        let leased = store.lease(request).await?;
        let settlements: Vec<_> = leased.iter().map(|leased| settlement(leased, random.u32(..of) < succeed)).collect();
        for (settled, leased) in store.settle(settlements).await?.into_iter().zip(&leased) {
            match settled {
                Ok(task) if task.state.is_terminal() => say(&Line::Ended(task.id, task.attempts_started)),
                Ok(_) => {}
                Err(error) => say(&Line::Wrong(format!("{}: {error}", leased.task.id))),
            }
        }
    }
}

/// The output of an attempt that succeeds.
pub(super) fn output(task: TaskId, attempt: u32) -> Payload {
    Payload::json(format!("\"{task} {attempt}\""))
}

fn settlement(leased: &Leased, succeeds: bool) -> Settlement {
    let task: &Task = &leased.task;
    let verdict = if succeeds { Verdict::Succeed } else { Verdict::Retry(PAUSE) };
    Settlement {
        token: leased.token,
        revision: task.revision,
        ending: Ending::Completed,
        decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output: (verdict == Verdict::Succeed).then(|| output(task.id, task.attempts_started)),
        detail: AttemptDetail::default(),
        plan: None,
    }
}
