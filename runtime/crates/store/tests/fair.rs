//! What is done for jobs is done a bounded part at a time, and for all of them in turn: counted, not timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::{
    EmbeddedStore, Engine, EngineError, LeaseRequest, Leased, ManualClock, MemoryEngine, NewArtifact, Pair, PlanQuery,
    Queues, RetryJob, Settlement, Store, Writes,
};
use sunaba_task::job::{After, JobId, NewJob, Node};
use sunaba_task::{
    ArtifactKind, AttemptDetail, BoxFuture, Clock, Decision, Digest, Ending, EnvGrant, NewTask, Payload, Policy,
    QueueChange, SessionId, TaskSpec, Timestamp, Verdict,
};

/// The most that one turn has written.
#[derive(Default)]
struct Most {
    keys: AtomicUsize,
    bytes: AtomicUsize,
}

impl Most {
    fn take(&self) -> (usize, usize) {
        (self.keys.swap(0, Ordering::SeqCst), self.bytes.swap(0, Ordering::SeqCst))
    }
}

/// An engine in memory that knows it.
struct Watched {
    inner: MemoryEngine,
    most: Arc<Most>,
}

impl Engine for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.inner.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        let bytes = writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len)).sum();
        self.most.keys.fetch_max(writes.len(), Ordering::SeqCst);
        self.most.bytes.fetch_max(bytes, Ordering::SeqCst);
        self.inner.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.inner.barrier()
    }
}

/// A clock that lets the test have its turn after each of the store's.
struct Yielding(ManualClock);

impl Clock for Yielding {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let sleep = self.0.sleep(duration);
        Box::pin(async {
            tokio::task::yield_now().await;
            sleep.await;
        })
    }
}

struct House {
    store: EmbeddedStore,
    most: Arc<Most>,
    session: SessionId,
}

impl House {
    /// Its commit thread is a task beside the test, so that both take turns.
    async fn new() -> Self {
        let most = Arc::new(Most::default());
        let engine = Watched { inner: MemoryEngine::default(), most: Arc::clone(&most) };
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let (store, serve) = EmbeddedStore::open_seeded(engine, Arc::new(Yielding(clock)), 7).expect("memory opens");
        tokio::spawn(serve);
        let session = store.open_session("w".into(), Duration::from_secs(60)).await.expect("it works");
        Self { store, most, session }
    }

    async fn submit(&self, nodes: Vec<Node>) -> JobId {
        let new = NewJob { nodes, ..NewJob::default() };
        self.store.submit_job(new).await.expect("it works").expect("it is taken on").into_job().id
    }

    async fn planned(&self, job: JobId) -> u64 {
        self.store.job(job).await.expect("it works").expect("it is there").tasks.planned
    }

    async fn lease(&self) -> Option<Leased> {
        let request = LeaseRequest { session: self.session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
        self.store.lease(request).await.expect("the session lives").pop()
    }

    async fn settle(&self, leased: &Leased, verdict: Verdict) {
        let settlement = Settlement {
            token: leased.token,
            revision: leased.task.revision,
            ending: Ending::Completed,
            decision: Decision::uncharged(verdict, Policy::Success, "r".into()),
            receipt: None,
            output: None,
            detail: AttemptDetail::default(),
            plan: None,
        };
        self.store.settle(vec![settlement]).await.expect("it works").remove(0).expect("it has the lease");
    }
}

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

fn node(name: &str, after: &[&str], queue: &str) -> Node {
    let mut spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    spec.queue = queue.into();
    let after = after.iter().map(|text| After::new(text.parse().expect("it can be awaited"))).collect();
    let task = NewTask::new(spec, Payload::json("{}"));
    Node { after, ..Node::new(name.parse().expect("a name"), task) }
}

#[test]
fn chain_runs_to_its_end_while_large_jobs_are_made_and_stopped() {
    test(async {
        let house = House::new().await;
        house.store.set_queue("paused".into(), vec![QueueChange::Paused(true)]).await.expect("it is in range");
        let mut large = Vec::new();
        for _ in 0..3 {
            large
                .push(house.submit((0..10_000).map(|number| node(&number.to_string(), &[], "paused")).collect()).await);
        }
        let run_chain = async || {
            let chain = ["a", "b", "c"].map(|name| node(name, if name == "a" { &[] } else { &["a"] }, "default"));
            let chain = house.submit(chain.into()).await;
            let mut asked = 0;
            while !house.store.job(chain).await.expect("it works").expect("it is there").state.is_terminal() {
                if let Some(leased) = house.lease().await {
                    house.settle(&leased, Verdict::Succeed).await;
                }
                asked += 1;
                assert!(asked < 100, "it must not wait for the others");
            }
        };
        run_chain().await;
        for job in &large {
            assert!(house.planned(*job).await > 0, "it must not come after them");
        }
        while house.planned(large[2]).await > 0 {}
        for job in &large {
            house.store.cancel_job(*job, sunaba_store::CancelWish::default()).await.expect("it works");
        }
        run_chain().await;
        for job in &large {
            let job = house.store.job(*job).await.expect("it works").expect("it is there");
            assert!(!job.state.is_terminal(), "it must not come after them");
        }
    });
}

#[test]
fn bytes_of_a_turn_are_bounded_however_large_the_records_are() {
    test(async {
        let house = House::new().await;
        let mut nodes: Vec<_> = (0..400).map(|number| node(&number.to_string(), &[], "default")).collect();
        for node in &mut nodes {
            node.task.spec.grants.env = vec![EnvGrant { key: "K".into(), value: "v".repeat(60_000) }];
        }
        let job = house.submit(nodes).await;
        house.most.take();
        while house.planned(job).await > 0 {}
        let (_, bytes) = house.most.take();
        assert!((2 << 20..9 << 20).contains(&bytes), "{bytes} bytes in one turn");
        house.store.cancel_job(job, sunaba_store::CancelWish::default()).await.expect("it works");
        while !house.store.job(job).await.expect("it works").expect("it is there").state.is_terminal() {}
        let (_, bytes) = house.most.take();
        assert!((2 << 20..9 << 20).contains(&bytes), "{bytes} bytes in one turn");
    });
}

#[test]
fn what_stands_is_copied_a_part_at_a_time() {
    const LINKS: usize = 900;
    const PARTS: usize = 16;
    test(async {
        let house = House::new().await;
        let parts = (0..PARTS).map(|number| node(&format!("p/{number}"), &[], "default"));
        let nodes = parts.chain([node("last", &["p/*"], "default")]);
        let old = house.submit(nodes.collect()).await;
        while let Some(leased) = house.lease().await {
            let is_last = leased.task.job.as_ref().expect("it is of a job").name.as_str() == "last";
            let put = |number: usize| {
                let kind = ArtifactKind::Url("https://example.org".into());
                let name = number.to_string().parse().expect("a name");
                let new = NewArtifact { name, media_type: "text/uri-list".into(), kind };
                let (store, token) = (house.store.clone(), leased.token);
                tokio::spawn(async move { store.put_artifact(token, new).await })
            };
            let links = if is_last { 0 } else { LINKS };
            for put in (0..links).map(put).collect::<Vec<_>>() {
                put.await.expect("it ends").expect("it works").expect("it has the lease");
            }
            house.settle(&leased, if is_last { Verdict::GiveUp } else { Verdict::Succeed }).await;
        }
        house.most.take();
        let retry = RetryJob { job: old, from: Vec::new() };
        let new = house.store.retry_job(retry).await.expect("it works").expect("it has ended").id;
        while house.planned(new).await > 0 {}
        let (keys, _) = house.most.take();
        assert!(keys < 10_000 + 2 * LINKS + 100, "{keys} keys in one turn, of {} links", PARTS * LINKS);
        let leased = house.lease().await.expect("all of it stands but this");
        assert_eq!(leased.task.job.as_ref().expect("it is of a job").name.as_str(), "last");
        let page = house.store.plan(PlanQuery::of(new, 100)).await.expect("it works");
        for task in page.tasks.iter().filter(|task| task.id != leased.task.id) {
            assert_eq!(house.store.artifacts(task.id).await.expect("it works").len(), LINKS);
        }
        house.settle(&leased, Verdict::Succeed).await;
        let job = house.store.job(new).await.expect("it works").expect("it is there");
        assert_eq!((job.tasks.total(), job.spent.tasks, job.tasks.not_made), (PARTS as u64 + 1, PARTS as u64 + 1, 0));
        assert!(job.state.is_terminal(), "{job:#?}");
    });
}
