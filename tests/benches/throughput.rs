//! How many tasks a second go all the way: submitted through the embedding API, leased, run in a sandbox of their own, settled,
//! on sled with its barrier. Beside it, in the same run, a bare loop that writes the same keys and bytes.
//!
//! `cargo bench --workspace --bench throughput` runs it; `-- ROUNDS TASKS` says how often and how many. The guest is `hello`,
//! as `cargo xtask guests` has built it (`SUNABA_GUESTS` names another folder).
//!
//! The bare loop has no queue, no limits of queues, no history and no API: it writes what a host was seen to write for as
//! many tasks, in batches of its own choice, with a barrier for the submits, one for the leases and one for the ends of each
//! batch, and runs each task in the same sandbox in between.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::store::{
    BlobPlace, EmbeddedStore, Engine, EngineError, MemoryEngine, Pair, SledEngine, SystemClock, Writes,
};
use sunaba_runtime::task::{FuelMode, Payload, State, TaskId, Unattended};
use sunaba_runtime::{Attempt, Runtime, TaskRequest};

/// Callers that submit at the same time.
const CALLERS: usize = 64;
const ROUNDS: usize = 5;
const TASKS: usize = 12_800;
/// Tasks of one batch of the bare loop. The best counts.
const BATCHES: [usize; 2] = [64, 256];
/// Submits on an idle host.
const IDLE: usize = 300;
/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(10 * 60);

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "what a benchmark is for")]
fn now() -> Instant {
    Instant::now()
}

fn guest() -> Vec<u8> {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let file = folder.join("hello.wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}: `cargo xtask guests` builds it", file.display()))
}

fn input() -> Payload {
    Payload::json(r#"{"name":"Ada"}"#)
}

/// What was written, in its order.
type Tape = Arc<Mutex<Vec<(Vec<u8>, Option<Bytes>)>>>;

/// An engine that remembers what it was given.
struct Recorder {
    engine: SledEngine,
    tape: Tape,
}

impl Engine for Recorder {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
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
        let written = writes.iter().map(|(key, value)| (key.clone(), value.clone()));
        self.tape.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
        self.engine.apply(writes)
    }

    fn blobs(&self) -> BlobPlace {
        self.engine.blobs()
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.engine.barrier()
    }
}

async fn host(store: Arc<EmbeddedStore>, folder: &Path) -> Arc<Runtime> {
    std::fs::create_dir_all(folder).expect("it can be made");
    let runtime = Runtime::builder().store(store).artifacts(folder.join("code")).start().await.expect("it starts");
    runtime.deploy("hello", guest().into()).await.expect("it can be deployed");
    Arc::new(runtime)
}

/// Submits so many tasks and sees all of them end; how many a second.
async fn round(runtime: &Arc<Runtime>, tasks: usize) -> f64 {
    let began = now();
    let callers = (0..CALLERS).map(|_| {
        let runtime = Arc::clone(runtime);
        tokio::spawn(async move {
            let mut ids: Vec<TaskId> = Vec::new();
            for _ in 0..tasks / CALLERS {
                let request = TaskRequest::new("hello/hello".parse().expect("a name")).input(input());
                ids.push(runtime.submit(request).await.expect("it is taken on").into_task().id);
            }
            // The oldest go first: when this has ended, nearly all have.
            let last = *ids.last().expect("each has some");
            runtime.wait(last, LONGEST).await.expect("the store works");
            ids
        })
    });
    let mut ids = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        ids.extend(caller.await.expect("it does not panic"));
    }
    let rate = ids.len() as f64 / began.elapsed().as_secs_f64();
    for id in ids {
        let ended = runtime.wait(id, LONGEST).await.expect("the store works").expect("it is there");
        assert_eq!(ended.state, State::Succeeded);
    }
    rate
}

/// From the submit to the durable result, one task at a time.
async fn idle(runtime: &Runtime) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..IDLE {
        let began = now();
        let request = TaskRequest::new("hello/hello".parse().expect("a name")).input(input());
        let task = runtime.submit(request).await.expect("it is taken on").into_task();
        runtime.wait(task.id, LONGEST).await.expect("the store works");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times
}

/// The barrier alone, after a small write.
fn barriers(folder: &Path) -> Vec<f64> {
    let mut engine = SledEngine::open(folder).expect("it opens");
    let mut times = Vec::new();
    for number in 0..IDLE as u64 {
        let writes = Writes::from([(number.to_be_bytes().to_vec(), Some(Bytes::from(vec![7; 400])))]);
        engine.apply(&writes).expect("it works");
        let began = now();
        engine.barrier().expect("it works");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times
}

/// The bare loop: how many tasks a second.
async fn bare(
    folder: &Path,
    tape: &[(Vec<u8>, Option<Bytes>)],
    tasks: usize,
    batch: usize,
    attempts: &Attempts,
) -> f64 {
    let mut engine = SledEngine::open(folder).expect("it opens");
    let mut pieces = tape.chunks(tape.len().div_ceil(tasks * 3 / batch).max(1));
    let mut write = || {
        let Some(piece) = pieces.next() else { return false };
        let writes: Writes = piece.iter().cloned().collect();
        engine.apply(&writes).and_then(|()| engine.barrier()).expect("it works");
        true
    };
    let (began, mut done) = (now(), 0);
    while done < tasks {
        write();
        write();
        attempts.run(batch).await;
        done += batch;
        write();
    }
    while write() {}
    done as f64 / began.elapsed().as_secs_f64()
}

/// Attempts without a queue.
struct Attempts {
    sandbox: Arc<Sandbox>,
    attempt: Attempt,
}

impl Attempts {
    async fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sandbox = Sandbox::builder().shards(cores).slots(32).start().expect("it starts");
        let info = sandbox.load(guest(), FuelMode::Exact).await.expect("it can be loaded");
        let attempt = Attempt::of(&info, "hello").expect("it is there").input(input()).expect("it fits");
        Self { sandbox: Arc::new(sandbox), attempt }
    }

    async fn run(&self, count: usize) {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (sandbox, attempt) = (Arc::clone(&self.sandbox), self.attempt.clone());
            running.spawn(async move { attempt.run(&sandbox, Arc::new(Unattended)).await.expect("it runs") });
        }
        running.join_all().await;
    }
}

/// The least, the median and the most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

fn tell(what: &str, rates: Vec<f64>) {
    let (least, median, most) = spread(rates);
    say(format_args!("{what:24} {least:8.0} {median:8.0} {most:8.0} tasks/s (least, median, most)"));
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (rounds, tasks) = (numbers.next().unwrap_or(ROUNDS), numbers.next().unwrap_or(TASKS));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    runtime.block_on(measure(rounds, tasks));
}

async fn measure(rounds: usize, tasks: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let tape = Tape::default();
    let engine = Recorder { engine: SledEngine::open(&place("taped")).expect("it opens"), tape: Arc::clone(&tape) };
    let taped =
        host(Arc::new(EmbeddedStore::open(engine, Arc::new(SystemClock::new())).expect("it opens")), &place("taped"))
            .await;
    round(&taped, tasks / 10).await;
    tape.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let told = round(&taped, tasks).await;
    taped.stop(LONGEST).await.expect("the store works");
    let tape = std::mem::take(&mut *tape.lock().unwrap_or_else(PoisonError::into_inner));
    let bytes: usize = tape.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len)).sum();
    let each = |count: usize| count as f64 / tasks as f64;
    say(format_args!(
        "{:.2} writes and {:.0} bytes a task; {told:.0} tasks/s while that was seen",
        each(tape.len()),
        each(bytes)
    ));

    let durable = Arc::new(EmbeddedStore::sled(&place("host")).expect("it opens"));
    let (host_, attempts) = (host(durable, &place("host")).await, Attempts::new().await);
    let memory =
        Arc::new(EmbeddedStore::open(MemoryEngine::default(), Arc::new(SystemClock::new())).expect("it opens"));
    let in_memory = host(memory, &place("memory")).await;
    round(&host_, tasks / 10).await;
    round(&in_memory, tasks / 10).await;
    attempts.run(tasks / 10).await;
    let (mut ours, mut undurable, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..rounds {
        ours.push(round(&host_, tasks).await);
        undurable.push(round(&in_memory, tasks).await);
        let mut best = 0_f64;
        for batch in BATCHES {
            best = best.max(bare(&place(&format!("bare-{number}-{batch}")), &tape, tasks, batch, &attempts).await);
        }
        bares.push(best);
        ratios.push(ours[number] / best);
    }
    let barrier = spread(barriers(&place("barrier"))).1;
    let mut idle = idle(&host_).await;
    idle.sort_by(f64::total_cmp);
    tell("end to end, sync", ours);
    tell("end to end, in memory", undurable);
    tell("bare loop", bares);
    let (least, median, most) = spread(ratios);
    say(format_args!("ratio, pair by pair      {least:8.2} {median:8.2} {most:8.2} (goal 0.7)"));
    let (half, most) = (idle[idle.len() / 2], idle[idle.len() * 99 / 100]);
    say(format_args!("idle, submit to result   p50 {half:.2} ms, p99 {most:.2} ms; a barrier takes {barrier:.2} ms"));
    host_.stop(LONGEST).await.expect("the store works");
}
