//! A watch over a store in memory, from its start to its stop: what it has seen by then is noted.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use sunaba_store::{EmbeddedStore, LeaseRequest, MemoryEngine, Queues, Rerun, Settlement, SystemClock};
use sunaba_task::{
    AttemptDetail, BoxFuture, Clock, Decision, Digest, Ending, NewTask, Payload, Policy, SessionId, Task, TaskSpec,
    Verdict,
};

use super::*;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
const GRACE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Told(Mutex<Vec<(Rule, bool)>>);

impl AlertSink for Told {
    fn tell(&self, alert: &Alert) {
        let told = (alert.rule, alert.resolved_at.is_some());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}

fn eyes(store: &Arc<dyn Store>) -> Eyes {
    Eyes {
        store: Arc::clone(store),
        workers: Weak::new(),
        memory_budget_bytes: None,
        lease_time: Duration::from_secs(30),
        data: None,
        look_time: GRACE,
        begun: None,
    }
}

async fn start(store: &Arc<dyn Store>, rules: AlertRules, sinks: Vec<Arc<dyn AlertSink>>) -> Watch {
    Watch::start(eyes(store), WatchConfig { interval: NEVER, rules, sinks }).await.expect("the store can be read")
}

async fn submit(store: &dyn Store) -> Task {
    let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
    let mut submitted = store.submit(vec![NewTask::new(spec, Payload::json("1"))]).await.expect("the store works");
    submitted.remove(0).expect("it is taken on").into_task()
}

async fn session(store: &dyn Store) -> SessionId {
    store.open_session("worker".into(), NEVER).await.expect("the store works")
}

async fn finish(store: &dyn Store, session: SessionId, verdict: Verdict) {
    let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: GRACE };
    let leased = store.lease(request).await.expect("the session lives").pop().expect("there is one");
    let failed = Ending::Failed { kind: "network".into(), message: "host 7 said 503".into() };
    let ending = if verdict == Verdict::Succeed { Ending::Completed } else { failed };
    let settlement = Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending,
        decision: Decision { verdict, charged: true, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output: None,
        detail: AttemptDetail::default(),
        plan: None,
    };
    store.settle(vec![settlement]).await.expect("the store works").remove(0).expect("it has the lease");
}

fn memory() -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::memory().expect("there is memory"))
}

fn of_the_day(watch: &Watch, now: Timestamp) -> Hour {
    watch.report(now, Every::Last).periods[0].sum
}

async fn now(store: &dyn Store) -> Timestamp {
    store.observe(0).await.expect("the store works").now
}

#[tokio::test]
async fn what_happens_until_the_stop_is_noted_and_counted_once() {
    let store = memory();
    let watch = start(&store, AlertRules::default(), Vec::new()).await;
    let session = session(&*store).await;
    submit(&*store).await;
    finish(&*store, session, Verdict::Retry(Duration::ZERO)).await;
    finish(&*store, session, Verdict::Succeed).await;
    let dead = submit(&*store).await;
    finish(&*store, session, Verdict::GiveUp).await;
    watch.stop(GRACE).await;

    // On the same store, whose counts go on.
    let again = start(&store, AlertRules::default(), Vec::new()).await;
    let rerun = Rerun { task: dead.id, input: None, checked: None, once: false };
    store.rerun(vec![rerun]).await.expect("the store works").remove(0).expect("it has ended");
    finish(&*store, session, Verdict::Succeed).await;
    again.stop(GRACE).await;
    let sum = of_the_day(&again, now(&*store).await);
    assert_eq!((sum.submitted, sum.succeeded, sum.dead, sum.failed), (3, 2, 1, 2));
    assert_eq!((sum.recovered, sum.recovered_by_person, sum.down_ms), (1, 1, 0));
    let incidents = again.incidents(Timestamp::from_unix_ms(0));
    assert_eq!(incidents.len(), 1);
    let incident = &incidents[0];
    assert_eq!((incident.pattern.as_str(), incident.failures, incident.ended), ("host # said #", 2, 1));
    assert_eq!((incident.resolved.by_retry, incident.resolved.by_rerun), (1, 1));
}

#[tokio::test]
async fn sink_is_told_of_what_is_wrong_and_of_its_end() {
    let store = memory();
    let told = Arc::new(Told::default());
    let at_once = AlertRules { fire_after: Duration::ZERO, resolve_after: Duration::ZERO, ..AlertRules::default() };
    let seen = Arc::clone(&told);
    // Nobody has a session yet.
    let watch = start(&store, at_once, vec![told]).await;
    while watch.alerts().is_empty() {
        tokio::task::yield_now().await;
    }
    session(&*store).await;
    watch.stop(GRACE).await;
    let told = seen.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(told, [(Rule::Workers, false), (Rule::Workers, true)]);
    assert_eq!((watch.alerts().len(), watch.alerts_fired()), (1, 1));
}

#[tokio::test]
async fn watch_that_was_dropped_leaves_the_time_since_as_down() {
    let store = memory();
    let watch = start(&store, AlertRules::default(), Vec::new()).await;
    // Its first look is noted.
    while store.notes(SEEN.into(), None).await.expect("the store works").is_empty() {
        tokio::task::yield_now().await;
    }
    let begun = now(&*store).await;
    drop(watch);
    while now(&*store).await == begun {
        tokio::task::yield_now().await;
    }
    let again = start(&store, AlertRules::default(), Vec::new()).await;
    assert!(of_the_day(&again, now(&*store).await).down_ms > 0);
}

#[tokio::test]
async fn stop_in_good_order_is_no_trouble() {
    let store = memory();
    let told = Arc::new(Told::default());
    let at_once = AlertRules { fire_after: Duration::ZERO, ..AlertRules::default() };
    let session = session(&*store).await;
    let seen = Arc::clone(&told);
    let watch = start(&store, at_once, vec![told]).await;
    while store.notes(SEEN.into(), None).await.expect("the store works").is_empty() {
        tokio::task::yield_now().await;
    }
    watch.leaving();
    store.close_session(session).await.expect("the store works");
    watch.stop(GRACE).await;
    assert_eq!(*seen.0.lock().unwrap_or_else(PoisonError::into_inner), []);
    assert_eq!(of_the_day(&watch, now(&*store).await).down_ms, 0);
}

#[tokio::test]
async fn many_who_ask_whether_the_host_is_ready_cost_no_look() {
    let store = memory();
    let watch = start(&store, AlertRules::default(), Vec::new()).await;
    while *watch.looks.borrow() == 0 {
        tokio::task::yield_now().await;
    }
    let before = *watch.looks.borrow();
    let begun = Instant::now();
    for _ in 0..100 {
        watch.checks().await;
    }
    let most = begun.elapsed().as_secs() + 1;
    assert!(*watch.looks.borrow() <= before + most, "the last look is young");
}

/// A clock that its store waits for while it is held, and so does whoever asks the store.
struct Held {
    held: AtomicBool,
    clock: SystemClock,
}

impl Clock for Held {
    fn now(&self) -> Timestamp {
        while self.held.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

/// Whoever looks does not wait for it, and nobody takes it for well.
#[tokio::test]
async fn store_that_does_not_answer_is_not_ready_and_holds_up_nobody() {
    let clock = Arc::new(Held { held: AtomicBool::new(false), clock: SystemClock::new() });
    let store = EmbeddedStore::open(MemoryEngine::default(), Arc::clone(&clock) as Arc<dyn Clock>);
    let store: Arc<dyn Store> = Arc::new(store.expect("memory opens"));
    let _session = session(&*store).await;
    let eyes = Eyes { look_time: Duration::from_millis(50), ..eyes(&store) };
    clock.held.store(true, Ordering::Release);
    let (sample, observations) = eyes.look(u64::MAX).await;
    clock.held.store(false, Ordering::Release);
    assert!(observations.is_none() && sample.failure.is_none(), "{sample:?}");
    let bad: Vec<_> = checks::checks(&sample, Duration::ZERO).into_iter().filter(|check| !check.is_good).collect();
    assert_eq!(bad.iter().map(|check| check.name).collect::<Vec<_>>(), ["store", "worker"]);
    assert!(bad[0].found.contains("has not answered"), "{bad:?}");
}
