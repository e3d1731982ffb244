//! sunaba, as a program embeds it: on sled, synced, each task in a sandbox of its own.

use std::path::PathBuf;
use std::time::Duration;

use sunaba_bench::Stopwatch;
use sunaba_runtime::task::{Payload, QueueChange};
use sunaba_runtime::{Runtime, TaskRequest};
use tempfile::TempDir;

use crate::LONGEST;

const QUEUE: &str = "default";
/// Tasks of one submit.
const BATCH: usize = 1_000;
/// Between two looks, each of which makes the store's next barrier wait for the one before.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Ours {
    threads: tokio::runtime::Runtime,
    runtime: Runtime,
    _folder: TempDir,
}

fn guest() -> Vec<u8> {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let file = folder.join("hello.wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}: `cargo xtask guests` builds it", file.display()))
}

fn request() -> TaskRequest {
    TaskRequest::new("hello/hello".parse().expect("a name")).input(Payload::json(r#"{"name":"Ada"}"#))
}

impl Ours {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("the system has room for temporary files");
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let runtime = threads.block_on(async {
            let builder = Runtime::builder().data(folder.path().join("data")).expect("it is free");
            let runtime = builder.start().await.expect("it starts");
            runtime.deploy("hello", guest().into()).await.expect("it can be deployed");
            runtime
        });
        Self { threads, runtime, _folder: folder }
    }

    /// So many wait, and then go: how many end a second between a tenth and nine tenths of them, as with every peer.
    pub(crate) fn rate(&self, tasks: usize) -> f64 {
        self.threads.block_on(async {
            let store = self.runtime.store();
            let paused = |paused| store.set_queue(QUEUE.into(), vec![QueueChange::Paused(paused)]);
            paused(true).await.expect("the store works");
            for start in (0..tasks).step_by(BATCH) {
                let requests = vec![request(); BATCH.min(tasks - start)];
                for submitted in self.runtime.submit_all(requests).await.expect("the store works") {
                    submitted.expect("it is taken on");
                }
            }
            let started = Stopwatch::start();
            paused(false).await.expect("the store works");
            let (mut tenth, mut rate) = (None, None);
            loop {
                let queue = store.queue(QUEUE.into()).await.expect("the store works");
                let left = usize::try_from(queue.queued + queue.running).expect("fewer than were submitted");
                if tenth.is_none() && left <= tasks * 9 / 10 {
                    tenth = Some((Stopwatch::start(), left));
                } else if let (None, Some((began, before))) = (rate, &tenth)
                    && left <= tasks / 10
                {
                    rate = Some(began.rate(before - left));
                }
                if let (0, Some(rate)) = (left, rate) {
                    return rate;
                }
                assert!(started.elapsed() < LONGEST, "it takes too long: {queue:?}");
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// Milliseconds from a submit to its durable result, one after another.
    pub(crate) fn one_by_one(&self, tasks: usize) -> f64 {
        self.threads.block_on(async {
            let began = Stopwatch::start();
            for _ in 0..tasks {
                let submitted = self.runtime.submit(request()).await.expect("it is taken on");
                self.runtime.wait(submitted.into_task().id, LONGEST).await.expect("the store works");
            }
            began.elapsed().as_secs_f64() * 1e3 / tasks as f64
        })
    }
}
