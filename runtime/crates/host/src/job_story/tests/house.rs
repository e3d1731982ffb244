//! A store in memory with a clock that we move, and jobs whose tasks end when we say so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{EmbeddedStore, LeaseRequest, Leased, ManualClock, MemoryEngine, Queues, Settlement, Store};
use sunaba_task::job::{After, JobId, JobSpec, NewJob, NewPlan, Node, OnFailure};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, Receipt, SessionId, TaskSpec, Timestamp, Verdict,
};

use crate::job_story::{GraphBounds, JobRead, JobStory, explain_job, read_job};

/// How an attempt ends.
pub(super) enum End {
    Well,
    /// Fails, to be tried again after so many milliseconds.
    Again(u64),
    /// Fails for good, with this message.
    Dead(&'static str),
    /// As it was asked to.
    Cancelled,
    /// Makes this plan.
    Plans(NewPlan),
    /// Waits for somebody, for so many milliseconds.
    Waits(u64),
}

pub(super) fn task(handler: &str) -> NewTask {
    NewTask::new(TaskSpec::new(handler.parse().expect("a name"), Digest::of(b"component")), Payload::json("{}"))
}

/// A node with the handler `work/NAME`, that waits for others.
pub(super) fn node(name: &str, after: &[&str]) -> Node {
    let after = after.iter().map(|text| After::new(text.parse().expect("it can be awaited"))).collect();
    let handler = format!("work/{}", name.rsplit('/').next().expect("a name").to_ascii_lowercase());
    Node {
        after,
        ..Node::new(name.parse().expect("a name"), task(if handler.is_ascii() { &handler } else { "work/x" }))
    }
}

pub(super) fn job(name: &str, nodes: impl IntoIterator<Item = Node>) -> NewJob {
    let spec = JobSpec { name: name.into(), ..JobSpec::default() };
    NewJob { spec, nodes: nodes.into_iter().collect(), fingerprint: None }
}

pub(super) fn rule(rule: OnFailure, job: NewJob) -> NewJob {
    NewJob { spec: JobSpec { on_failure: rule, ..job.spec }, ..job }
}

pub(super) struct House {
    pub(super) store: EmbeddedStore,
    clock: ManualClock,
    session: SessionId,
    /// What runs, by its name.
    running: RefCell<BTreeMap<String, Leased>>,
}

impl House {
    pub(super) async fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        let session = store.open_session("worker".into(), Duration::from_secs(86_400)).await.expect("it works");
        Self { store, clock, session, running: RefCell::default() }
    }

    pub(super) async fn submit(&self, new: NewJob) -> JobId {
        self.store.submit_job(new).await.expect("the store works").expect("it is taken on").into_job().id
    }

    pub(super) fn pass(&self, ms: u64) -> &Self {
        self.clock.advance(Duration::from_millis(ms));
        self
    }

    /// Starts all that can be started.
    pub(super) async fn begin(&self) -> &Self {
        // What there is to do for a job is done in turns.
        for _ in 0..64 {
            self.store.packages().await.expect("the store works");
        }
        let request = LeaseRequest { session: self.session, queues: Queues::All, slots: 5_000, wait: Duration::ZERO };
        for leased in self.store.lease(request).await.expect("the session lives") {
            let name = leased.task.job.as_ref().expect("it is of a job").name.to_string();
            self.running.borrow_mut().insert(name, leased);
        }
        self
    }

    /// Ends an attempt, which has used this much fuel.
    pub(super) async fn end(&self, name: &str, fuel: u64, end: End) -> &Self {
        let leased = self.running.borrow_mut().remove(name).expect("it runs");
        self.settle(vec![(leased, fuel, end)]).await;
        self.begin().await
    }

    /// Ends all that runs well, until nothing does.
    pub(super) async fn end_all(&self, mut end: impl FnMut(&str) -> End) {
        loop {
            self.begin().await;
            let all = std::mem::take(&mut *self.running.borrow_mut());
            if all.is_empty() {
                return;
            }
            let all = all.into_iter().map(|(name, leased)| {
                let end = end(&name);
                (leased, 1_000, end)
            });
            self.settle(all.collect()).await;
        }
    }

    async fn settle(&self, ends: Vec<(Leased, u64, End)>) {
        let mut settlements = Vec::new();
        for (leased, fuel, end) in ends {
            // A wish to cancel it has changed its record.
            let revision = match end {
                End::Cancelled => {
                    self.store.task(leased.task.id).await.expect("it works").expect("it is there").revision
                }
                _ => leased.task.revision,
            };
            let started = leased.task.lease().expect("it was leased").started_at;
            let wall = self.now().since(started);
            let receipt =
                Receipt { fuel: Some(fuel), fuel_exact: true, wall, ..Receipt::unmeasured(leased.task.spec.component) };
            let failed = |message: &str| Ending::Failed { kind: "error".into(), message: message.into() };
            let mut plan = None;
            let (verdict, ending) = match end {
                End::Plans(made) => {
                    let children = made.nodes.len() as u64;
                    plan = Some(Arc::new(made));
                    (Verdict::Decompose, Ending::Decomposed { children })
                }
                End::Waits(ms) => {
                    (Verdict::Await(Duration::from_millis(ms)), Ending::Snoozed { reason: "a signature".into() })
                }
                End::Well => (Verdict::Succeed, Ending::Completed),
                End::Again(ms) => (Verdict::Retry(Duration::from_millis(ms)), failed("not this time")),
                End::Dead(message) => (Verdict::GiveUp, failed(message)),
                End::Cancelled => (Verdict::Cancel, Ending::HandedBack),
            };
            let charged = matches!(verdict, Verdict::Retry(_) | Verdict::GiveUp);
            let reason = if charged { "failure 2 of at most 2" } else { "as it was asked" };
            settlements.push(Settlement {
                token: leased.token,
                revision,
                ending,
                decision: Decision { verdict, charged, policy: Policy::Retry, reason: reason.into() },
                receipt: Some(receipt),
                output: (verdict == Verdict::Succeed).then(|| Payload::json("1")),
                detail: AttemptDetail::default(),
                plan,
            });
        }
        let settled = self.store.settle(settlements).await.expect("the store works");
        assert!(settled.iter().all(Result::is_ok), "{settled:?}");
    }

    fn now(&self) -> Timestamp {
        sunaba_task::Clock::now(&self.clock)
    }

    pub(super) async fn read(&self, id: JobId, bounds: GraphBounds) -> JobRead {
        self.begin().await;
        read_job(&self.store, id, bounds).await.expect("the store works").expect("it is there")
    }

    pub(super) async fn story(&self, id: JobId) -> JobStory {
        self.story_within(id, GraphBounds::default()).await
    }

    pub(super) async fn story_within(&self, id: JobId, bounds: GraphBounds) -> JobStory {
        self.begin().await;
        explain_job(&self.store, id, bounds).await.expect("the store works").expect("it is there")
    }
}

/// Ends everything well.
pub(super) fn ended_well(_: &str) -> End {
    End::Well
}
