//! Hosts under measurement, and the work that they are given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sunaba_bench::{Stopwatch, unix_micros};
use sunaba_runtime::store::{EmbeddedStore, MemoryEngine, SystemClock};
use sunaba_runtime::task::{ClockAccess, Payload, State, TaskId};
use sunaba_runtime::{Runtime, TaskRequest};
use tempfile::TempDir;

use crate::LONGEST;
use crate::engine::{Seen, Watched};

/// Callers that submit at the same time.
pub(crate) const CALLERS: usize = 64;
/// Callers that have more under way than a host does at a time: as many as the bare loop's largest batch.
pub(crate) const SATURATING: usize = 256;
/// Tasks of each of them in a round, at least.
const TASKS_EACH: usize = 8;
/// What a load submits at once, at most so often.
const TICK: Duration = Duration::from_millis(5);

/// Threads of the program that embeds a host.
pub(crate) fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("the system has room for temporary files")
}

/// A built guest.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let file = folder.join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}: `cargo xtask guests` builds it", file.display()))
}

/// What each task of a measurement is.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Its package, and its handler.
    pub(crate) guest: &'static str,
    pub(crate) input: Payload,
}

impl Work {
    /// Greets somebody.
    pub(crate) fn hello() -> Self {
        Self { guest: "hello", input: Payload::json(r#"{"name":"Ada"}"#) }
    }

    pub(crate) fn toil(steps: u64, dirty_bytes: u64) -> Self {
        let input = format!(r#"{{"steps":{steps},"dirty_bytes":{dirty_bytes}}}"#);
        Self { guest: "toil", input: Payload::json(input) }
    }

    /// Whether it takes the core that it runs on for itself.
    pub(crate) fn is_heavy(&self) -> bool {
        self.guest == "toil"
    }

    pub(crate) fn request(&self) -> TaskRequest {
        let handler = format!("{0}/{0}", self.guest).parse().expect("a name");
        // What says when it began says it exactly.
        let clock = if self.guest == "toil" { ClockAccess::Fine } else { ClockAccess::Coarse };
        TaskRequest { clock, ..TaskRequest::new(handler).input(self.input.clone()) }
    }
}

/// A host, in a folder that goes with it.
pub(crate) struct Host {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) folder: TempDir,
}

impl Host {
    /// On sled, with its barrier.
    pub(crate) async fn durable() -> Self {
        let folder = folder();
        let store = EmbeddedStore::sled(&folder.path().join("data")).expect("it opens");
        Self::on(store, folder).await
    }

    /// The same, and what happens in the engine is seen.
    pub(crate) async fn watched() -> (Self, Arc<Seen>) {
        let folder = folder();
        let (engine, seen) = Watched::open(&folder.path().join("data"));
        let store = EmbeddedStore::open(engine, Arc::new(SystemClock::new())).expect("it opens");
        (Self::on(store, folder).await, seen)
    }

    /// With nothing on the disk.
    pub(crate) async fn in_memory() -> Self {
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(SystemClock::new())).expect("it opens");
        Self::on(store, folder()).await
    }

    async fn on(store: EmbeddedStore, folder: TempDir) -> Self {
        let code = folder.path().join("code");
        let runtime = Runtime::builder()
            .store(Arc::new(store))
            .artifacts(code)
            .allow_fine_clock()
            .start()
            .await
            .expect("it starts");
        for name in ["hello", "toil"] {
            runtime.deploy(name, guest(name).into()).await.expect("it can be deployed");
        }
        Self { runtime: Arc::new(runtime), folder }
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn submit(&self, work: &Work) -> TaskId {
        self.runtime.submit(work.request()).await.expect("it is taken on").into_task().id
    }

    /// Submits about so many tasks from many callers, and sees all of them end; how many a second.
    pub(crate) async fn round(&self, work: &Work, tasks: usize) -> f64 {
        let began = Stopwatch::start();
        let callers = SATURATING.min(tasks.div_ceil(TASKS_EACH));
        let callers = (0..callers).map(|_| {
            let (runtime, request) = (Arc::clone(&self.runtime), work.request());
            tokio::spawn(async move {
                let mut ids: Vec<TaskId> = Vec::new();
                for _ in 0..tasks / callers {
                    ids.push(runtime.submit(request.clone()).await.expect("it is taken on").into_task().id);
                }
                ids
            })
        });
        let mut ids = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            ids.extend(caller.await.expect("it does not panic"));
        }
        self.drain().await;
        let rate = began.rate(ids.len());
        // A look at each is no part of what is measured.
        self.all_end(&ids).await;
        rate
    }

    /// Sees that all of these succeed.
    pub(crate) async fn all_end(&self, ids: &[TaskId]) {
        let look = |ids: &[TaskId]| {
            let (runtime, ids) = (Arc::clone(&self.runtime), ids.to_vec());
            tokio::spawn(async move {
                for id in ids {
                    let ended = runtime.wait(id, LONGEST).await.expect("the store works").expect("it is there");
                    assert_eq!(ended.state, State::Succeeded);
                }
            })
        };
        for looked in ids.chunks(ids.len().div_ceil(CALLERS).max(1)).map(look).collect::<Vec<_>>() {
            looked.await.expect("it does not panic");
        }
    }

    /// Milliseconds from a submit until the guest runs, and until its result is durable.
    pub(crate) async fn probe(&self, work: &Work) -> (f64, f64) {
        let (at, began) = (unix_micros(), Stopwatch::start());
        let id = self.submit(work).await;
        self.runtime.wait(id, LONGEST).await.expect("the store works");
        let whole = began.elapsed().as_secs_f64() * 1e3;
        let output = self.runtime.output(id).await.expect("the store works").expect("it has succeeded");
        let output: serde_json::Value = serde_json::from_slice(&output.bytes).expect("JSON");
        let started = output["began_us"].as_f64().expect("it says when it began");
        ((started - at) / 1e3, whole)
    }

    /// Submits so many tasks a second, whatever becomes of them, until it is dropped.
    pub(crate) fn load(&self, work: &Work, a_second: f64) -> Load {
        let (runtime, request) = (Arc::clone(&self.runtime), work.request());
        Load(tokio::spawn(async move {
            let (began, mut sent) = (Stopwatch::start(), 0.0);
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // What was late is made up for, up to a second of it: more would be a burst and no load.
                let due = began.elapsed().as_secs_f64() * a_second;
                sent = f64::max(sent, due - a_second);
                let count = (due - sent).floor();
                sent += count;
                if count > 0.0 {
                    let requests = vec![request.clone(); count as usize];
                    runtime.submit_all(requests).await.expect("the store works");
                }
            }
        }))
    }

    /// How many tasks wait or run.
    pub(crate) async fn left(&self) -> u64 {
        let queue = self.runtime.store().queue("default".into()).await.expect("the store works");
        queue.queued + queue.running
    }

    /// Until nothing is left to do.
    pub(crate) async fn drain(&self) {
        let began = Stopwatch::start();
        while self.left().await > 0 {
            assert!(began.elapsed() < LONGEST, "it takes too long");
            tokio::time::sleep(TICK).await;
        }
    }
}

/// A steady stream of submits.
pub(crate) struct Load(tokio::task::JoinHandle<()>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.abort();
    }
}
