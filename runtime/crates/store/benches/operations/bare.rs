//! A bare group-commit loop over sled: what the disk and the engine allow.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use sunaba_bench::Stopwatch;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use crate::ours::Written;

/// As many requests may wait for the next turn.
const QUEUE: usize = 4_096;
/// Submit, lease and settle.
const STEPS: usize = 3;

struct Request {
    batch: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    done: oneshot::Sender<()>,
}

pub(crate) struct Bare {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    written: Written,
    next: AtomicU64,
}

impl Bare {
    pub(crate) fn open(folder: &Path, written: Written) -> Self {
        let (mut bare, commit) = Self::opened(folder, written);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a thread");
        bare.thread = Some(std::thread::spawn(move || runtime.block_on(commit)));
        bare
    }

    /// The same, and whoever runs the waiters runs the loop too.
    pub(crate) fn on_this_thread(runtime: &Runtime, folder: &Path, written: Written) -> Self {
        let (bare, commit) = Self::opened(folder, written);
        runtime.spawn(commit);
        bare
    }

    fn opened(folder: &Path, written: Written) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let config =
            sled::Config::new().path(folder).segment_size(128 << 10).cache_capacity(32 << 20).flush_every_ms(None);
        let tree = config.open().expect("sled opens");
        let log = File::open(folder.join("db")).expect("sled has made it");
        let (requests, incoming) = mpsc::channel(QUEUE);
        let bare = Self { requests: Some(requests), thread: None, written, next: AtomicU64::new(0) };
        (bare, commit(tree, log, incoming))
    }

    /// So many lives, a second.
    pub(crate) async fn lives(&self, waiters: usize, tasks: usize) -> f64 {
        let began = Stopwatch::start();
        let waiters = (0..waiters).map(|_| {
            let (requests, written) = (self.requests.clone().expect("it is open"), self.written);
            let first = self.next.fetch_add((tasks / waiters) as u64, Ordering::Relaxed);
            tokio::spawn(async move {
                for task in first..first + (tasks / waiters) as u64 {
                    for step in 0..STEPS {
                        let (done, answered) = oneshot::channel();
                        let batch = written.step(task, step);
                        requests.send(Request { batch, done }).await.expect("the thread runs");
                        answered.await.expect("the thread answers");
                    }
                }
            })
        });
        for waiter in waiters.collect::<Vec<_>>() {
            waiter.await.expect("it does not panic");
        }
        began.rate(tasks)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

async fn commit(tree: sled::Db, log: File, mut incoming: mpsc::Receiver<Request>) {
    let mut waiting = Vec::new();
    while incoming.recv_many(&mut waiting, QUEUE).await > 0 {
        let mut batch = sled::Batch::default();
        for (key, value) in waiting.iter_mut().flat_map(|request| request.batch.drain(..)) {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        tree.apply_batch(batch).expect("sled takes it");
        tree.flush().expect("sled flushes");
        log.sync_data().expect("the disk syncs");
        for request in waiting.drain(..) {
            let _ = request.done.send(());
        }
    }
}
