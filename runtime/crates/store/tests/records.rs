//! What is left of tasks that have ended, and how much is looked at to find one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::{
    BulkAction, CancelWish, DeleteError, EmbeddedStore, Engine, EngineError, LeaseRequest, Leased, ManualClock,
    MemoryEngine, Pair, Queues, Rerun, RerunError, Settlement, SledEngine, Store, SubmitError, TaskQuery, Writes,
};
use sunaba_task::{
    AttemptDetail, Callback, CallbackOn, Decision, Digest, Ending, MAX_KEPT_ATTEMPTS, NewTask, OnConflict, Payload,
    Policy, Retention, SessionId, State, StateName, Task, TaskSpec, Timestamp, Unique, Verdict, When,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const SECOND: Duration = Duration::from_secs(1);

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000))
}

fn open(engine: impl Engine, clock: &ManualClock) -> EmbeddedStore {
    EmbeddedStore::open(engine, Arc::new(clock.clone())).expect("it opens")
}

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

fn new_task() -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json("{}"))
}

async fn session(store: &dyn Store) -> SessionId {
    store.open_session("w".into(), HOUR).await.expect("the store works")
}

async fn lease(store: &dyn Store, session: SessionId, slots: usize) -> Vec<Leased> {
    let request = LeaseRequest { session, queues: Queues::All, slots, wait: Duration::ZERO };
    store.lease(request).await.expect("the session lives")
}

/// An end with something of everything that can be kept of an attempt.
fn settlement(leased: &Leased, verdict: Verdict, output: &Payload) -> Settlement {
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending: Ending::Failed { kind: "error".into(), message: "m".into() },
        decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output: Some(output.clone()),
        detail: AttemptDetail { failure_detail: Some(Payload::json("{}")), ..AttemptDetail::default() },
        plan: None,
    }
}

/// Everything goes an hour after its end.
fn an_hour() -> Retention {
    let hour = Some(HOUR);
    Retention { result: SECOND, succeeded: hour, cancelled: hour, expired: hour, dead: hour }
}

/// Tasks with everything that a task can have a key for, ended in every way.
async fn end_tasks(store: &dyn Store, clock: &ManualClock, count: usize, body: &Bytes) {
    let payload = Payload::new("image/png", body.clone());
    let new = |index: usize| {
        let mut new = new_task();
        new.input = payload.clone();
        new.spec.idempotency_key = Some(format!("k{index}"));
        new.spec.tags = vec!["a".into(), format!("t{index}")];
        let (window, on_conflict) = ((index % 4 < 2).then_some(HOUR * 9), OnConflict::Replace);
        new.unique = Some(Unique { key: format!("u{}", index / 2), window, on_conflict });
        new.callbacks = vec![Callback { on: CallbackOn::Failure, spec: new_task().spec }];
        new.expires = Some(When::After(SECOND * 10));
        new
    };
    store.submit((0..count).map(new).collect()).await.expect("the store works");
    let session = session(store).await;
    for (index, leased) in lease(store, session, count / 3).await.into_iter().enumerate() {
        let verdict = [Verdict::Succeed, Verdict::GiveUp, Verdict::Retry(SECOND)][index % 3];
        store.settle(vec![settlement(&leased, verdict, &payload)]).await.expect("the store works");
    }
    clock.advance(SECOND * 10);
    succeed(store, session, &payload).await;
    let failed = TaskQuery { states: vec![StateName::Dead], limit: 3, ..TaskQuery::default() };
    let again = store.bulk(BulkAction::Rerun, failed).await.expect("the store works").done;
    assert_eq!(again.len(), 3);
    store
        .bulk(BulkAction::Cancel(CancelWish::default()), TaskQuery { limit: 9, ..TaskQuery::default() })
        .await
        .expect("it works");
    succeed(store, session, &payload).await;
}

/// Everything that is due succeeds, and what follows that.
async fn succeed(store: &dyn Store, session: SessionId, output: &Payload) {
    for _ in 0..20 {
        let leased = lease(store, session, 1_000).await;
        let settled = leased.iter().map(|leased| settlement(leased, Verdict::Succeed, output));
        store.settle(settled.collect()).await.expect("the store works");
    }
}

/// Lets the time of everything that has ended go by.
async fn purge(store: &dyn Store, clock: &ManualClock) {
    clock.advance(HOUR + SECOND * 60);
    for _ in 0..20 {
        store.packages().await.expect("the store works");
    }
}

#[test]
fn tasks_that_have_ended_and_gone_leave_no_key() {
    test(async {
        let (engine, clock) = (MemoryEngine::default(), clock());
        let store = open(engine.clone(), &clock);
        store.set_retention(an_hour()).await.expect("the store works");
        end_tasks(&store, &clock, 3_000, &Bytes::from(vec![7; 300])).await;
        // Events, and how the store was opened, are kept by measures of their own.
        let kinds = |engine: &MemoryEngine| -> String {
            let keys = engine.scan(&[0], &[255], false).map(|pair| pair.expect("memory works").0);
            let mut kinds: Vec<_> = keys.map(|key| char::from(key[0])).filter(|kind| !"hv".contains(*kind)).collect();
            kinds.dedup();
            kinds.into_iter().collect()
        };
        assert_eq!(kinds(&engine), "abefgikmorstuwz", "every kind of key was there");
        purge(&store, &clock).await;
        // The format, the key of tokens, the retention, the count and the sums; and nothing is planned any more.
        assert_eq!(kinds(&engine), "fmrsw");
    });
}

fn bytes_under(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("readable"));
    entries
        .map(|entry| match entry.file_type().expect("readable") {
            kind if kind.is_dir() => bytes_under(&entry.path()),
            _ => entry.metadata().expect("readable").len(),
        })
        .sum()
}

#[test]
fn tasks_that_have_ended_and_gone_give_the_disk_back() {
    let directory = std::env::temp_dir().join(format!("sunaba-records-{:016x}", fastrand::u64(..)));
    test(async {
        let clock = clock();
        let store = open(SledEngine::open(&directory).expect("it is free"), &clock);
        store.set_retention(an_hour()).await.expect("the store works");
        let mut most = 0;
        for _ in 0..3 {
            end_tasks(&store, &clock, 90, &Bytes::from(vec![7; 600_000])).await;
            most = bytes_under(&directory).max(most);
            purge(&store, &clock).await;
            clock.advance(HOUR);
        }
        let left = bytes_under(&directory);
        assert!(most > 30_000_000 && left < most / 4, "{left} bytes of {most} are left");
        assert_eq!(std::fs::read_dir(directory.join("files")).expect("it is there").count(), 0);
    });
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn details_of_forgotten_attempts_go_however_the_attempts_ended() {
    test(async {
        let (engine, clock) = (MemoryEngine::default(), clock());
        let store = open(engine.clone(), &clock);
        store.submit(vec![new_task()]).await.expect("the store works");
        for number in 0..MAX_KEPT_ATTEMPTS + 50 {
            let session = session(&store).await;
            let leased = lease(&store, session, 1).await.remove(0);
            if number < MAX_KEPT_ATTEMPTS {
                let snooze = settlement(&leased, Verdict::Snooze(SECOND), &Payload::json("1"));
                store.settle(vec![snooze]).await.expect("it works").remove(0).expect("it has the lease");
            }
            store.close_session(session).await.expect("the store works");
            clock.advance(SECOND);
        }
        assert_eq!(engine.scan(b"a", b"b", false).count(), MAX_KEPT_ATTEMPTS - 50);
    });
}

#[test]
fn lists_by_tag_and_by_state_do_not_walk_the_history() {
    test(async {
        let store = open(MemoryEngine::default(), &clock());
        let mut tagged = new_task();
        tagged.spec.tags = vec!["t".into()];
        let old = store.submit(vec![tagged, new_task()]).await.expect("the store works");
        let old: Vec<_> = old.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        let session = session(&store).await;
        let leased = lease(&store, session, 2).await;
        store.settle(vec![settlement(&leased[0], Verdict::GiveUp, &Payload::json("1"))]).await.expect("it works");
        store.submit(vec![new_task(); 2_000]).await.expect("the store works");
        let any = TaskQuery { limit: 10, ..TaskQuery::default() };
        let of = |state| TaskQuery { states: vec![state], ..any.clone() };
        for (query, expected) in [
            (TaskQuery { tag: Some("t".into()), ..any.clone() }, old[0]),
            (of(StateName::Dead), old[0]),
            (of(StateName::Running), old[1]),
        ] {
            let page = store.tasks(query.clone()).await.expect("the store works");
            let found: Vec<_> = page.tasks.iter().map(|task| task.id).collect();
            assert_eq!((found, page.next), (vec![expected], None), "{query:?}");
        }
        let history = store.tasks(of(StateName::Succeeded)).await.expect("the store works");
        assert!(history.tasks.is_empty() && history.next.is_some(), "what is asked of the history is cut");
    });
}

/// An engine that fails at a write, as a crash does: of that turn nothing is there.
struct Crashing {
    inner: MemoryEngine,
    /// Writes until then.
    left: Arc<AtomicI64>,
}

impl Engine for Crashing {
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
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(EngineError::new("cannot write", "the power is gone"));
        }
        self.inner.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// A task's life with all that hangs on it, as far as the store lasts.
async fn live(store: &dyn Store, clock: &ManualClock) -> Option<()> {
    let mut new = new_task();
    new.unique = Some(Unique { key: "u".into(), window: None, on_conflict: OnConflict::Replace });
    new.callbacks = vec![
        Callback { on: CallbackOn::Failure, spec: new_task().spec },
        Callback { on: CallbackOn::Success, spec: new_task().spec },
    ];
    for verdict in [Verdict::Succeed, Verdict::GiveUp] {
        store.submit(vec![new.clone()]).await.ok()?;
        store.submit(vec![new.clone()]).await.ok()?;
        let session = store.open_session("w".into(), HOUR).await.ok()?;
        let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
        let leased = store.lease(request).await.ok()?.remove(0);
        let settled = store.settle(vec![settlement(&leased, verdict, &Payload::json("1"))]).await.ok()?;
        let ended = settled.into_iter().next()?.ok()?;
        store.rerun(vec![Rerun { task: ended.id, input: None, checked: None, once: false }]).await.ok()?;
        store
            .bulk(BulkAction::Cancel(CancelWish::default()), TaskQuery { limit: 9, ..TaskQuery::default() })
            .await
            .ok()?;
        clock.advance(HOUR + SECOND * 60);
        store.packages().await.ok()?;
    }
    Some(())
}

/// Whether everything that hangs on a task agrees with it.
async fn check(store: &dyn Store) {
    let query = TaskQuery { limit: 1_000, ..TaskQuery::default() };
    let tasks = store.tasks(query.clone()).await.expect("the store works").tasks;
    let find = |id| tasks.iter().find(|task| task.id == id);
    for task in &tasks {
        let is_followed = task.state.is_terminal() && task.callbacks > 0 && task.state != State::Cancelled
            || task.state == State::Cancelled && task.callbacks > 0 && task.successor.is_none();
        assert!(task.followers.len() == usize::from(is_followed) || task.successor.is_some(), "{task:?}");
        assert!(task.followers.iter().all(|follower| find(*follower).is_some()), "{task:?}");
        assert!(task.successor.is_none_or(|successor| find(successor).is_some()), "{task:?}");
    }
    let by_state = [StateName::Dead, StateName::Cancelled];
    let listed = store.tasks(TaskQuery { states: by_state.into(), ..query }).await.expect("the store works").tasks;
    let expected: Vec<Task> = tasks.iter().filter(|task| by_state.contains(&task.state.name())).cloned().collect();
    assert_eq!(listed, expected);
    // Whoever holds the key waits or runs, and whoever waits or runs with it holds it.
    let live = tasks.iter().find(|task| task.unique.is_some() && !task.state.is_terminal());
    let mut new = new_task();
    new.unique = Some(Unique { key: "u".into(), window: None, on_conflict: OnConflict::Existing });
    let holder = store.submit(vec![new]).await.expect("it works").remove(0).expect("taken on").into_task();
    assert_eq!(live.map(|task| task.id), find(holder.id).map(|task| task.id));
}

#[test]
fn nothing_of_a_turn_is_there_without_the_rest() {
    test(async {
        for crash in 1.. {
            let (inner, clock, left) = (MemoryEngine::default(), clock(), Arc::new(AtomicI64::new(crash)));
            let store = open(Crashing { inner: inner.clone(), left: Arc::clone(&left) }, &clock);
            let _ = store.set_retention(an_hour()).await;
            let done = live(&store, &clock).await;
            drop(store);
            check(&open(inner, &clock)).await;
            if done.is_some() {
                assert!(crash > 12, "it has crashed at {crash} writes only");
                break;
            }
        }
    });
}

/// Flips a bit of the only value whose key begins so.
fn damage(engine: &MemoryEngine, prefix: &[u8]) {
    let mut found = engine.scan(prefix, &[prefix, &[255]].concat(), false);
    let (key, value) = found.next().expect("it is there").expect("memory works");
    assert!(found.next().is_none(), "only one begins so");
    let mut value = value.to_vec();
    *value.last_mut().expect("not empty") ^= 1;
    engine.clone().apply(&Writes::from([(key.to_vec(), Some(value.into()))])).expect("memory works");
}

#[test]
fn damaged_unique_key_is_told_and_free_when_its_holder_has_ended() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(engine.clone(), &clock());
        let mut new = new_task();
        new.unique = Some(Unique { key: "u".into(), window: None, on_conflict: OnConflict::Reject });
        let submit = async || store.submit(vec![new.clone(), new_task()]).await.expect("the store works");
        let holder = submit().await.remove(0).expect("it is free").into_task();
        damage(&engine, b"u");
        let told = submit().await;
        assert!(matches!(&told[0], Err(SubmitError::Damaged { key, .. }) if key == "u"), "{told:?}");
        assert!(told[1].is_ok(), "the others of its batch do not care");
        store.cancel(vec![holder.id], CancelWish::default()).await.expect("the store works");
        assert!(submit().await[0].is_ok());
    });
}

#[test]
fn task_whose_callbacks_are_damaged_still_ends() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(engine.clone(), &clock());
        let mut new = new_task();
        new.callbacks = vec![Callback { on: CallbackOn::Success, spec: new_task().spec }];
        store.submit(vec![new]).await.expect("the store works");
        damage(&engine, b"b");
        let session = session(&store).await;
        let leased = lease(&store, session, 1).await.remove(0);
        let done = settlement(&leased, Verdict::Succeed, &Payload::json("1"));
        let done = store.settle(vec![done]).await.expect("it works").remove(0).expect("it has the lease");
        assert_eq!((&done.state, done.callbacks, done.followers.len()), (&State::Succeeded, 1, 0));
        let again = store
            .rerun(vec![Rerun { task: done.id, input: None, checked: None, once: false }])
            .await
            .expect("the store works")
            .remove(0);
        assert!(
            matches!(again, Err(RerunError::Damaged { .. })),
            "not without what it was to be followed by: {again:?}"
        );
        assert_eq!(store.task(done.id).await.expect("the store works"), Some(done));
    });
}

#[test]
fn damaged_record_holds_back_no_other_of_its_call() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(engine.clone(), &clock());
        let submitted = store.submit(vec![new_task(); 3]).await.expect("the store works");
        let ids: Vec<_> = submitted.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        store.cancel(ids.clone(), CancelWish::default()).await.expect("the store works");
        damage(&engine, &[b"t", ids[1].as_bytes().as_slice()].concat());
        let requests =
            ids[..2].iter().map(|task| Rerun { task: *task, input: None, checked: None, once: false }).collect();
        let again = store.rerun(requests).await.expect("the store works");
        assert!(again[0].is_ok() && matches!(again[1], Err(RerunError::Damaged { .. })), "{again:?}");
        let deleted = store.delete(ids[..2].to_vec()).await.expect("the store works");
        assert!(deleted[0].is_ok() && matches!(deleted[1], Err(DeleteError::Damaged { .. })), "{deleted:?}");
        let cancelled = TaskQuery { states: vec![StateName::Cancelled], limit: 9, ..TaskQuery::default() };
        let done = store.bulk(BulkAction::Delete, cancelled).await.expect("the store works").done;
        assert_eq!(done, [ids[2]]);
        assert!(store.task(ids[1]).await.is_err(), "it is left as it is");
    });
}

#[test]
fn damaged_retention_keeps_everything() {
    test(async {
        let (engine, clock) = (MemoryEngine::default(), clock());
        let cancelled = |store: EmbeddedStore| async move {
            let id =
                store.submit(vec![new_task()]).await.expect("it works").remove(0).expect("taken on").into_task().id;
            store.cancel(vec![id], CancelWish::default()).await.expect("the store works");
            id
        };
        let store = open(engine.clone(), &clock);
        store.set_retention(an_hour()).await.expect("the store works");
        let noted = cancelled(store).await;
        damage(&engine, b"e");
        damage(&engine, b"r");
        let store = open(engine.clone(), &clock);
        let unnoted = cancelled(store.clone()).await;
        purge(&store, &clock).await;
        for id in [noted, unnoted] {
            assert!(store.task(id).await.expect("the store works").is_some());
        }
        // Nobody looks at the damaged note again and again.
        assert_eq!(engine.scan(b"e", b"f", false).count(), 0);
        store.set_retention(an_hour()).await.expect("the store works");
        let after = cancelled(store.clone()).await;
        purge(&store, &clock).await;
        assert_eq!(store.task(after).await.expect("the store works"), None);
    });
}

#[test]
fn tasks_are_found_by_time_though_the_clock_was_set_back() {
    test(async {
        let clock = clock();
        let store = open(MemoryEngine::default(), &clock);
        let submit =
            async || store.submit(vec![new_task()]).await.expect("it works").remove(0).expect("taken on").into_task();
        let late = submit().await;
        let early = Timestamp::from_unix_ms(late.submitted_at.unix_ms() - 3_600_000);
        clock.set(early);
        let second = submit().await;
        let find = async |from, until| {
            let query = TaskQuery { from, until, limit: 9, ..TaskQuery::default() };
            let page = store.tasks(query).await.expect("the store works");
            page.tasks.iter().map(|task| task.id).collect::<Vec<_>>()
        };
        assert_eq!(find(None, Some(late.submitted_at)).await, [second.id]);
        assert_eq!(find(Some(late.submitted_at), None).await, [late.id]);
        assert_eq!(find(Some(early), None).await, [late.id, second.id]);
    });
}
