//! What is counted: each path so many times, on one thread where that is possible, with everything in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::store::{
    EmbeddedStore, LeaseRequest, Leased, MemoryEngine, Queues, Settlement, Store as _, SystemClock,
};
use sunaba_runtime::task::job::{After, Job, JobSpec, NewJob, Node};
use sunaba_runtime::task::{
    AttemptDetail, Decision, Digest, Ending, FuelMode, NewTask, Payload, Policy, Receipt, SessionId, TaskSpec,
    Unattended, Verdict,
};

/// Where compiled code is kept between the processes that are counted.
pub(crate) const CODE: &str = "SUNABA_BENCH_CODE";
const LONG: Duration = Duration::from_secs(60 * 60);
/// Tasks of one submit, of one lease and of one settlement, where there are many.
const BATCH: usize = 64;

pub(crate) struct Path {
    pub(crate) name: &'static str,
    /// Tasks: a few, and more.
    pub(crate) counts: [usize; 2],
    pub(crate) run: fn(usize),
}

pub(crate) const PATHS: [Path; 4] = [
    Path { name: "store: submit, lease and settle one by one", counts: [100, 600], run: one_by_one },
    Path { name: "store: submit, lease and settle 64 at a time", counts: [128, 1_152], run: in_batches },
    Path { name: "store: a chain of a job, taken on and run", counts: [50, 350], run: chain },
    Path { name: "sandbox: hello", counts: [50, 550], run: hello },
];

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// On this very thread, with the same chances every time.
fn with_store(run: impl AsyncFnOnce(EmbeddedStore, SessionId)) {
    threads().block_on(async {
        let clock = Arc::new(SystemClock::new());
        let (store, serve) = EmbeddedStore::open_seeded(MemoryEngine::default(), clock, 1).expect("it opens");
        let serving = tokio::spawn(serve);
        let session = store.open_session("counted".into(), LONG).await.expect("it works");
        run(store, session).await;
        serving.abort();
    });
}

fn one_by_one(count: usize) {
    with_store(async |store, session| {
        for _ in 0..count {
            life(&store, session, 1).await;
        }
    });
}

fn in_batches(count: usize) {
    with_store(async |store, session| {
        for _ in 0..count / BATCH {
            life(&store, session, BATCH).await;
        }
    });
}

fn new_task() -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json(r#"{"name":"Ada"}"#))
}

async fn life(store: &EmbeddedStore, session: SessionId, count: usize) {
    for submitted in store.submit(vec![new_task(); count]).await.expect("it works") {
        submitted.expect("it is taken on");
    }
    let mut left = count;
    while left > 0 {
        left -= lease_and_settle(store, session, left).await;
    }
}

async fn lease_and_settle(store: &EmbeddedStore, session: SessionId, slots: usize) -> usize {
    let request = LeaseRequest { session, queues: Queues::All, slots, wait: LONG };
    let leased = store.lease(request).await.expect("the session lives");
    let count = leased.len();
    for settled in store.settle(leased.iter().map(settlement).collect()).await.expect("it works") {
        settled.expect("it has the lease");
    }
    count
}

fn settlement(leased: &Leased) -> Settlement {
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending: Ending::Completed,
        decision: Decision::uncharged(Verdict::Succeed, Policy::Success, "the handler completed".into()),
        receipt: Some(Receipt::unmeasured(Digest::of(b"component"))),
        output: Some(Payload::json(r#""Hello, Ada!""#)),
        detail: AttemptDetail::default(),
        plan: None,
    }
}

/// Each step waits for the one before.
fn chain(count: usize) {
    let step = |number: usize| {
        let node = Node::new(format!("step-{number}").parse().expect("a name"), new_task());
        let after = number.checked_sub(1).map(|last| After::new(format!("step-{last}").parse().expect("a name")));
        Node { after: after.into_iter().collect(), ..node }
    };
    with_store(async |store, session| {
        let job = NewJob { spec: JobSpec::default(), nodes: (0..count).map(step).collect(), fingerprint: None };
        let submitted = store.submit_job(job).await.expect("it works").expect("it is taken on");
        let id = submitted.into_job().id;
        for _ in 0..count {
            lease_and_settle(&store, session, 1).await;
        }
        let job: Job = store.wait_job(id, LONG).await.expect("it works").expect("it is there");
        assert!(job.state.is_terminal(), "{job:?}");
    });
}

/// Attempts in a sandbox, one after another; with what asks for them.
fn hello(count: usize) {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let guest = std::fs::read(folder.join("hello.wasm")).expect("`cargo xtask guests` builds it");
    let code = std::env::var_os(CODE).expect("it is set for whoever is counted");
    threads().block_on(async {
        let sandbox = Sandbox::builder().slots(1).artifacts(code).start().expect("threads");
        let info = sandbox.load(guest, FuelMode::Exact).await.expect("it loads");
        let attempt = Attempt::of(&info, "hello").expect("it is there");
        let attempt = attempt.input(Payload::json(r#"{"name":"Ada"}"#)).expect("it fits");
        for _ in 0..count {
            attempt.clone().run(&sandbox, Arc::new(Unattended)).await.expect("the host can do its part");
        }
    });
}
