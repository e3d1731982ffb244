//! Runs apalis on no-op tasks, and prints how many a second it ended.
//!
//! `apalis-peer redis URL TASKS CONCURRENCY`, or `apalis-peer sqlite FILE TASKS CONCURRENCY`.
//!
//! All tasks wait before the first is taken. What is counted is the time between a tenth and nine tenths of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apalis::layers::WorkerBuilderExt as _;
use apalis::prelude::*;
use apalis_redis::RedisStorage;
use apalis_sqlite::{SqliteConnectOptions, SqlitePool, SqliteStorage};
use futures::stream;
use tokio::sync::{OnceCell, watch};

const LONGEST: Duration = Duration::from_secs(150);

/// How many have ended, and when the first and the last of those that count did.
#[derive(Clone)]
struct Count(Arc<Counted>);

struct Counted {
    tasks: usize,
    ended: AtomicUsize,
    began: OnceCell<Instant>,
    rate: watch::Sender<Option<f64>>,
}

impl Count {
    fn of(tasks: usize) -> Self {
        let (ended, began, rate) = (AtomicUsize::new(0), OnceCell::new(), watch::Sender::new(None));
        Self(Arc::new(Counted { tasks, ended, began, rate }))
    }

    fn end(&self) {
        let counted = &self.0;
        let (first, last) = (counted.tasks / 10, counted.tasks * 9 / 10);
        let ended = counted.ended.fetch_add(1, Ordering::SeqCst) + 1;
        if ended == first {
            let _ = counted.began.set(Instant::now());
        } else if ended == last
            && let Some(began) = counted.began.get()
        {
            counted.rate.send_replace(Some((last - first) as f64 / began.elapsed().as_secs_f64()));
        }
    }
}

async fn noop(_: usize, count: Data<Count>) -> Result<(), BoxDynError> {
    count.end();
    Ok(())
}

/// Has a worker of this backend run everything.
macro_rules! measured {
    ($backend:expr, $tasks:expr, $concurrency:expr) => {{
        let count = Count::of($tasks);
        let mut rate = count.0.rate.subscribe();
        let worker = WorkerBuilder::new("measured")
            .backend($backend)
            .data(count)
            .concurrency($concurrency)
            .parallelize(tokio::spawn)
            .build(noop);
        tokio::select! {
            ended = worker.run() => return Err(format!("the worker ended by itself: {ended:?}").into()),
            told = tokio::time::timeout(LONGEST, rate.wait_for(Option::is_some)) => told??.unwrap_or_default(),
        }
    }};
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [peer, place, tasks, concurrency] = words.as_slice() else {
        return Err("apalis-peer redis|sqlite PLACE TASKS CONCURRENCY".into());
    };
    let (tasks, concurrency): (usize, usize) = (tasks.parse()?, concurrency.parse()?);
    let batch = concurrency.max(100);
    let rate = if peer == "redis" {
        let connection = apalis_redis::connect(place.as_str()).await?;
        let queue = format!("noop-{}", std::process::id());
        let config = apalis_redis::Config::default().queue(queue).batch_size(batch).emit_events(false);
        let mut storage = RedisStorage::<usize, _>::new(connection).with_config(config.persist_results(false));
        storage.push_stream(&mut stream::iter(0..tasks)).await?;
        measured!(storage, tasks, concurrency)
    } else {
        let options = SqliteConnectOptions::new().filename(place).create_if_missing(true);
        let options = options.pragma("journal_mode", "WAL").pragma("synchronous", "FULL");
        let pool = SqlitePool::connect_with(options).await?;
        SqliteStorage::setup(&pool).await?;
        let config = apalis_sqlite::Config::default().queue("noop").batch_size(batch).persist_results(false);
        let mut storage = SqliteStorage::<usize>::new(&pool).with_config(config);
        storage.push_stream(&mut stream::iter(0..tasks)).await?;
        measured!(storage, tasks, concurrency)
    };
    println!("{rate}");
    Ok(())
}
