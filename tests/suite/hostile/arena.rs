//! A whole host on which hostile guests run beside well-behaved tasks: each ends with its cause and within its bound, the
//! others keep their latency, the API answers, no lease is lost, and nothing stays behind.

use std::time::Duration;

use serde_json::value::RawValue;
use sunaba_runtime::server::api::{ResultView, Submit, TaskView};
use sunaba_runtime::task::{Limits, StateName, TaskId};
use sunaba_runtime::{Client, ClientError};
use tokio::runtime::Runtime;

use crate::support::{Host, guest};

use super::case::{Case, Data, Ends};
use super::measure::{Held, Sample, Siblings, median};
use super::table::FAMILIES;

/// Well-behaved tasks before the first hostile one: what is undisturbed.
const UNDISTURBED: usize = 40;
/// How much slower the median well-behaved task may be beside a hostile guest, and what is added for the ticks that a
/// computing guest may take at each turn. Undisturbed it takes a few milliseconds; stalled, seconds.
const SLOWER: u32 = 20;
const TICKS: Duration = Duration::from_millis(250);
/// No single task and no single answer may take so long, on however busy a machine.
const STALLED: Duration = Duration::from_secs(10);
/// A guest that is stopped for its time of 200 ms takes at most so long; without a stop it would be for ever.
const STOPPED_MS: f64 = 20_000.0;
/// What the allocator and the pool may keep of a case.
const KEPT_BYTES: u64 = 96 << 20;
/// Looks at the host until what a case held has come back; each takes a request. At the end there are more: idle threads
/// wait ten seconds for work.
const LOOKS: usize = 1_000;
const LAST_LOOKS: usize = 20_000;
/// Threads for blocking calls that may still wait for more work right after a case.
const IDLE_THREADS: usize = 16;

struct Arena {
    host: Host,
    client: Client,
    /// One for all requests: its connection is kept, and so counted once.
    requests: Runtime,
    root: tempfile::TempDir,
    siblings: Siblings,
    undisturbed: Duration,
    base: Held,
}

impl Arena {
    /// A host with these guests deployed, its well-behaved tasks running.
    fn open(cases: &[Case]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let allowed = root.path().display().to_string();
        let host = Host::start(&["--concurrency", "4", "--lease-time", "3s", "--allow-dir", &allowed]);
        host.deploy("hello");
        let mut guests: Vec<_> = cases.iter().filter(|case| !is_refused(case)).map(|case| case.guest).collect();
        guests.dedup();
        guests.iter().for_each(|guest| host.deploy(guest));
        let client = Client::new(&host.address).expect("an address");
        let siblings = Siblings::on(&host.address);
        let undisturbed = siblings.since(0, UNDISTURBED);
        let undisturbed = median(undisturbed[UNDISTURBED / 2..].iter().map(|sample| sample.task).collect());
        let requests = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let base = Held::by(host.pid(), &host.address);
        let mut arena = Self { host, client, requests, root, siblings, undisturbed, base };
        // What is made at the first use and then kept is no leak.
        if let Some(case) = cases.iter().find(|case| !is_refused(case)) {
            arena.attempt(case);
        }
        arena.base = arena.quiet();
        arena
    }

    /// The most that it holds in a row of looks.
    fn quiet(&self) -> Held {
        let mut most = self.look();
        for _ in 0..100 {
            let held = self.look();
            if held.descriptors.len() > most.descriptors.len() {
                most.descriptors = held.descriptors;
            }
            most.threads = most.threads.max(held.threads);
            most.resident_bytes = most.resident_bytes.max(held.resident_bytes);
        }
        most
    }

    /// What it holds, after it has answered a request.
    fn look(&self) -> Held {
        self.requests.block_on(self.client.host()).expect("it answers");
        Held::by(self.host.pid(), &self.host.address)
    }

    /// Waits until it holds no more than before.
    fn came_back(&self, name: &str, threads: usize, looks: usize) {
        let mut held = self.look();
        for _ in 0..looks {
            if held.descriptors.len() <= self.base.descriptors.len() && held.threads <= threads {
                break;
            }
            held = self.look();
        }
        let base = &self.base;
        assert!(held.descriptors.len() <= base.descriptors.len(), "{name}: {held:?} is left over, {base:?} was before");
        assert!(held.threads <= threads, "{name}: {held:?} is left over, {base:?} was before");
        assert!(held.resident_bytes <= base.resident_bytes + KEPT_BYTES, "{name}: {held:?} is left over {base:?}");
    }

    /// One case, with everything that must hold of it.
    fn face(&self, case: &Case) {
        let first = self.siblings.count();
        match case.ends {
            Ends::Refused(why) => self.refuse(case, why),
            _ => self.attempt(case),
        }
        let beside = self.siblings.since(first, 2);
        self.undisturbed_by(case.name, &beside);
        self.came_back(case.name, self.base.threads + IDLE_THREADS, LOOKS);
    }

    fn undisturbed_by(&self, name: &str, beside: &[Sample]) {
        let slowest = beside.iter().flat_map(|sample| [sample.task, sample.answer]).max().expect("some");
        assert!(slowest < STALLED, "{name}: somebody waited {slowest:?}");
        let beside = median(beside.iter().map(|sample| sample.task).collect());
        let allowed = self.undisturbed * SLOWER + TICKS;
        assert!(beside <= allowed, "{name}: a task took {beside:?} beside it, {:?} without", self.undisturbed);
    }

    fn attempt(&self, case: &Case) {
        let folder = tempfile::tempdir_in(self.root.path()).expect("a folder");
        case.furnish(folder.path());
        let shown = folder.path().display();
        let dirs = match case.data {
            Data::Nothing => Vec::new(),
            Data::ReadOnly => vec![format!("{shown}::/data")],
            Data::ReadWrite => vec![format!("{shown}::/data:rw")],
        };
        let submit = Submit {
            handler: format!("{}/{}", case.guest, case.name),
            input: case.input.map(|input| RawValue::from_string(input.into()).expect("JSON")),
            max_attempts: Some(1),
            timeout_ms: Some(case.timeout_ms()),
            memory_bytes: case.memory,
            dirs,
            ..Submit::default()
        };
        self.requests.block_on(async {
            let task = self.client.submit(&submit).await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let id: TaskId = task.id.parse().expect("an id");
            let task = self.ended(case, id).await;
            let result = self.client.result(id).await.expect("it is there");
            judge(case, &task, &result);
        });
    }

    /// The task once it has had its attempt.
    async fn ended(&self, case: &Case, id: TaskId) -> TaskView {
        if case.ends != Ends::Snoozes {
            return self.client.wait(id).await.expect("it ends");
        }
        loop {
            let task = self.client.task(id).await.expect("it is there");
            if task.state == StateName::Scheduled && task.attempts_started == 1 {
                return task;
            }
        }
    }

    fn refuse(&self, case: &Case, why: &str) {
        let bytes = std::fs::read(guest(case.guest)).expect("it is there");
        let error = self.requests.block_on(self.client.deploy(case.guest, bytes.into())).expect_err(case.name);
        assert!(matches!(error, ClientError::Refused(_)), "{}: {error}", case.name);
        assert!(error.to_string().contains(why), "{}: {error}", case.name);
        let left = self.requests.block_on(self.client.packages()).expect("it answers");
        assert!(left.packages.iter().all(|package| package.name != case.guest), "{} left a trace", case.name);
    }

    /// Everything that a family left, and the end.
    fn close(self) {
        self.came_back("all of them", self.base.threads, LAST_LOOKS);
        self.siblings.end();
    }
}

fn is_refused(case: &Case) -> bool {
    matches!(case.ends, Ends::Refused(_))
}

/// What must hold of an attempt that has ended.
fn judge(case: &Case, task: &TaskView, result: &ResultView) {
    let name = case.name;
    assert_eq!((task.attempts_started, task.hosts_lost), (1, 0), "{name} was run again: {task:#?}");
    let attempt = task.attempts.last().unwrap_or_else(|| panic!("{name} had no attempt: {task:#?}"));
    match (case.ends, &attempt.cause) {
        (_, Some(cause)) => {
            assert!(case.is_cause(cause), "{name}: `{cause}`, {:?}", attempt.message);
            assert_eq!(task.state, StateName::Dead, "{name}");
            let backtrace = result.failure.as_ref().is_some_and(|failure| !failure.backtrace.is_empty());
            assert_eq!(backtrace, case.backtrace, "{name}: {result:#?}");
        }
        (Ends::Failed(kind), None) => {
            assert_eq!((task.state, attempt.kind.as_deref()), (StateName::Dead, Some(kind)), "{name}: {task:#?}");
        }
        (Ends::Succeeds, None) => assert_eq!(task.state, StateName::Succeeded, "{name}: {task:#?}"),
        (Ends::Snoozes, None) => assert_eq!(attempt.ending, "snoozed", "{name}: {task:#?}"),
        (Ends::Stopped(_) | Ends::Refused(_), None) => panic!("{name} was not stopped: {task:#?}"),
    }
    let receipt = attempt.receipt.as_ref().unwrap_or_else(|| panic!("{name} has no receipt"));
    let limits = Limits::default();
    assert!(receipt.peak_memory_bytes <= case.memory.unwrap_or(limits.memory_bytes), "{name}: {receipt:#?}");
    assert!(receipt.output_bytes <= limits.output_bytes, "{name}: {receipt:#?}");
    assert!(receipt.log_bytes <= limits.log_bytes, "{name}: {receipt:#?}");
    assert!(receipt.stdout_bytes <= limits.stdout_bytes, "{name}: {receipt:#?}");
    assert!(receipt.stderr_bytes <= limits.stderr_bytes, "{name}: {receipt:#?}");
    // Besides what it said, a mark for each of what was cut.
    assert!(result.logs.len() as u64 <= limits.log_lines + 4, "{name}: {} lines", result.logs.len());
    if attempt.cause.as_deref() == Some("timeout") {
        assert!((200.0..STOPPED_MS).contains(&receipt.wall_ms), "{name}: {receipt:#?}");
    }
}

fn face_all(name: &str) {
    let cases = FAMILIES.iter().find(|family| family.name == name).expect("there is such a family").cases;
    let arena = Arena::open(cases);
    cases.iter().for_each(|case| arena.face(case));
    arena.close();
}

#[test]
fn nobody_notices_guests_that_compute() {
    face_all("CPU");
}

#[test]
fn nobody_notices_guests_that_take_memory() {
    face_all("Memory");
}

#[test]
fn nobody_notices_guests_with_bad_results() {
    face_all("Results");
}

#[test]
fn nobody_notices_guests_that_take_no_arguments() {
    face_all("Arguments");
}

#[test]
fn nobody_notices_guests_with_bad_handles() {
    face_all("Handles");
}

#[test]
fn nobody_notices_guests_that_misuse_the_host() {
    face_all("Host calls");
}

#[test]
fn nobody_notices_guests_that_misuse_files() {
    face_all("Files");
}

#[test]
fn nobody_notices_guests_that_reach_for_the_network() {
    face_all("Network");
}

#[test]
fn nobody_notices_guests_that_cannot_be_loaded() {
    face_all("Compile and load");
}
