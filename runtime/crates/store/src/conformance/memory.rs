//! Memory that the attempts of a session may hold.

use sunaba_task::{Limits, StateName};

use super::*;
use crate::{Hold, Readiness, SessionLimits};

const MIB: u64 = 1 << 20;

/// A task whose attempt may hold this much in all.
fn of_bytes(host_bytes: u64) -> NewTask {
    with(|new| {
        let limits = &mut new.spec.limits;
        (limits.resources, limits.concurrent_requests, limits.log_lines) = (1, 0, 0);
        limits.memory_bytes = 0;
        limits.memory_bytes = host_bytes - limits.host_bytes();
        assert_eq!(new.spec.limits.host_bytes(), host_bytes);
    })
}

/// A session whose attempts may hold this much.
async fn open_with(store: &dyn Store, memory_bytes: u64) -> SessionId {
    let session = open(store).await;
    store.limit_session(session, memory(memory_bytes)).await.expect("the session lives");
    session
}

fn memory(bytes: u64) -> SessionLimits {
    SessionLimits { memory_bytes: Some(bytes), ..SessionLimits::default() }
}

async fn state(store: &dyn Store, id: TaskId) -> StateName {
    find(store, id).await.expect("it is there").state.name()
}

/// As much as fits, to the byte.
pub async fn memory_of_a_session_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![of_bytes(50 * MIB); 4]).await.expect("the store works");
    let session = open_with(&*store, 150 * MIB).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 3);
    assert_eq!(lease(&*store, session, 9).await.len(), 0);
    let free = open(&*store).await;
    assert_eq!(lease(&*store, free, 9).await.len(), 1, "nothing limits this one");
}

/// A byte less, and one fewer fits.
pub async fn memory_of_a_session_violated(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![of_bytes(50 * MIB); 4]).await.expect("the store works");
    let session = open_with(&*store, 150 * MIB - 1).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 2);
    let gone = SessionId::from_uuid(uuid::Uuid::from_u128(7));
    assert!(matches!(store.limit_session(gone, SessionLimits::default()).await, Err(crate::StoreError::SessionLost)));
}

/// Of what is leased ahead, only as many hold memory as can run at a time: the largest.
pub async fn leases_ahead_of_slots_hold_no_memory(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let limits = SessionLimits { slots: Some(2), ..memory(100 * MIB) };
    store.limit_session(session, limits).await.expect("the session lives");
    store.submit(vec![of_bytes(50 * MIB); 20]).await.expect("the store works");
    let mut leased = lease(&*store, session, 10).await;
    assert_eq!(leased.len(), 10);
    // It would run beside one of these.
    let large = submit(&*store, urgent(of_bytes(51 * MIB))).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 0, "a byte too much for two");
    let hold = Hold::Memory { needs_bytes: 51 * MIB, free_bytes: 50 * MIB, limit_bytes: 100 * MIB };
    assert_eq!(store.standing(large.id).await.expect("the store works").holds, [hold]);
    for ended in leased.drain(..) {
        settle(&*store, settlement(&ended, Verdict::Succeed)).await.expect("it has the lease");
    }
    let next = lease(&*store, session, 9).await;
    assert_eq!(next.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [large.id], "and none beside it");
    settle(&*store, settlement(&next[0], Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(lease(&*store, session, 20).await.len(), 10);
}

/// The same task, before all others.
fn urgent(mut new: NewTask) -> NewTask {
    new.spec.priority = 1;
    new
}

/// Small ones behind it do not take the room that it waits for.
pub async fn large_task_is_not_starved_by_small_ones(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open_with(&*store, 100 * MIB).await;
    store.submit(vec![of_bytes(20 * MIB); 2]).await.expect("the store works");
    let small = lease(&*store, session, 9).await;
    let large = submit(&*store, of_bytes(90 * MIB)).await;
    store.submit(vec![of_bytes(20 * MIB); 50]).await.expect("the store works");
    assert_eq!(lease(&*store, session, 9).await.len(), 0);
    settle(&*store, settlement(&small[0], Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(lease(&*store, session, 9).await.len(), 0);
    settle(&*store, settlement(&small[1], Verdict::Succeed)).await.expect("it has the lease");
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [large.id]);
    settle(&*store, settlement(&leased[0], Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(lease(&*store, session, 9).await.len(), 5);
}

/// The end of an attempt makes room, and nobody asks meanwhile.
pub async fn waiting_worker_is_woken_when_there_is_room(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open_with(&*store, 60 * MIB).await;
    store.submit(vec![of_bytes(50 * MIB); 2]).await.expect("the store works");
    let first = lease_one(&*store, session).await;
    let request = LeaseRequest { session, queues: Queues::All, slots: 2, wait: LEASE };
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.lease(request).await.expect("the session lives") }
    });
    settle_down(&*store).await;
    assert!(!waiting.is_finished());
    settle(&*store, settlement(&first, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(waiting.await.expect("it ends").len(), 1);
}

/// However its attempts end.
pub async fn room_comes_back_whatever_becomes_of_a_lease(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open_with(&*store, 60 * MIB).await;
    submit(&*store, of_bytes(50 * MIB)).await;
    for verdict in [Verdict::Retry(SECOND), Verdict::Snooze(SECOND), Verdict::Requeue] {
        let leased = lease_one(&*store, session).await;
        settle(&*store, settlement(&leased, verdict)).await.expect("it has the lease");
        subject.advance(SECOND);
    }
    lease_one(&*store, session).await;
    store.close_session(session).await.expect("the store works");
    let session = open_with(&*store, 60 * MIB).await;
    lease_one(&*store, session).await;
    assert_eq!(lease(&*store, session, 1).await.len(), 0);
}

/// It would hold up its queue for ever.
pub async fn task_that_no_session_can_hold_is_dead_and_says_why(subject: &mut impl Subject) {
    let store = subject.store();
    let large = submit(&*store, of_bytes(100 * MIB)).await;
    let small = submit(&*store, of_bytes(50 * MIB)).await;
    let session = open_with(&*store, 99 * MIB).await;
    assert_eq!(lease_one(&*store, session).await.task.id, small.id);
    let dead = task(&*store, &large).await;
    assert_eq!(dead.state, State::Dead);
    let said = "its attempt may hold 100.0 MiB of memory, and no worker that could run it may hold more than 99.0 MiB for all that \
         it runs";
    let last = dead.attempts.last().expect("it has an attempt that says so");
    assert_eq!(
        (&last.ending, last.decision.policy),
        (&Ending::HostFailed { message: said.into() }, Policy::Unrunnable)
    );
}

/// Nor is it dead, while there is somebody for it.
pub async fn task_that_only_another_session_can_hold_is_left_to_that(subject: &mut impl Subject) {
    let store = subject.store();
    let (tiny, big) = (open_with(&*store, 60 * MIB).await, open_with(&*store, 200 * MIB).await);
    let large = submit(&*store, of_bytes(100 * MIB)).await;
    submit(&*store, of_bytes(50 * MIB)).await;
    let other = with(|new| new.spec.handler = "words/other".parse().expect("a name"));
    let other =
        submit(&*store, NewTask { spec: TaskSpec { limits: of_bytes(50 * MIB).spec.limits, ..other.spec }, ..other })
            .await;
    // What stands behind it for the same handler waits with it; others pass.
    assert_eq!(lease_one(&*store, tiny).await.task.id, other.id);
    assert_eq!(state(&*store, large.id).await, StateName::Queued);
    assert_eq!(lease_one(&*store, big).await.task.id, large.id);
}

/// Sessions that take nothing from its queue are no hope; one that has not its code may have it one day.
pub async fn task_waits_for_memory_only_of_a_session_that_could_run_it(subject: &mut impl Subject) {
    let store = subject.store();
    let (tiny, big) = (open_with(&*store, 60 * MIB).await, open_with(&*store, 200 * MIB).await);
    let code = (Digest::of(b"component"), sunaba_task::FuelMode::Exact);
    let unready = async |readiness: Option<Readiness>| {
        let unready = readiness.map(|readiness| (code, readiness)).into_iter().collect();
        store.set_unready(big, Arc::new(unready)).await.expect("the session lives");
    };
    let serve = async |queue: &str| {
        let queues = Queues::Only(vec![queue.into()]);
        let request = LeaseRequest { session: big, queues, slots: 1, wait: Duration::ZERO };
        assert_eq!(store.lease(request).await.expect("the session lives"), []);
    };
    let outcome = async || {
        let large = submit(&*store, of_bytes(100 * MIB)).await;
        assert_eq!(lease(&*store, tiny, 1).await, []);
        let outcome = state(&*store, large.id).await;
        cancel(&*store, large.id).await;
        outcome
    };
    // Of one that has not asked yet nobody knows.
    assert_eq!(outcome().await, StateName::Queued);
    serve("elsewhere").await;
    assert_eq!(outcome().await, StateName::Dead);
    serve("default").await;
    assert_eq!(outcome().await, StateName::Queued);
    unready(Some(Readiness::Failed("too large".into()))).await;
    assert_eq!(outcome().await, StateName::Queued);
    unready(Some(Readiness::Compiling(None))).await;
    assert_eq!(outcome().await, StateName::Queued);
    unready(None).await;
    store.close_session(big).await.expect("it lives");
    assert_eq!(outcome().await, StateName::Dead);
}

/// What a session's host lets an attempt use counts like what its queue does: for what runs, and for what it holds.
pub async fn session_limits_what_its_attempts_may_use(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open_with(&*store, 100 * MIB).await;
    let attempt = "memory=64MiB,fuel=7".parse().expect("limits");
    let limits = SessionLimits { attempt, ..memory(100 * MIB) };
    store.limit_session(session, limits).await.expect("the session lives");
    let large = with(|new| new.spec.limits.fuel = sunaba_task::Fuel::Off);
    let (asked, next) = (submit(&*store, large.clone()).await, submit(&*store, large).await);
    let leased = lease(&*store, session, 9).await;
    let used = &leased[0].task.spec.limits;
    assert_eq!(
        (leased.len(), used.memory_bytes, used.fuel),
        (1, 64 * MIB, sunaba_task::Fuel::Exact { limit: Some(7) })
    );
    assert_eq!(task(&*store, &asked).await.spec, asked.spec, "the record keeps what was asked for");
    let standing = store.standing(asked.id).await.expect("the store works");
    assert_eq!(standing.runs.map(|runs| runs.limits), Some(used.clone()));
    let needs_bytes = used.host_bytes();
    let hold = Hold::Memory { needs_bytes, free_bytes: 100 * MIB - needs_bytes, limit_bytes: 100 * MIB };
    assert_eq!(store.standing(next.id).await.expect("the store works").holds, [hold]);
}

/// With its numbers, and no longer than that is so.
pub async fn standing_says_that_a_task_waits_for_memory(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open_with(&*store, 100 * MIB).await;
    submit(&*store, of_bytes(70 * MIB)).await;
    let leased = lease_one(&*store, session).await;
    let waiting = submit(&*store, of_bytes(50 * MIB)).await;
    let holds = async || store.standing(waiting.id).await.expect("the store works").holds;
    let expected = Hold::Memory { needs_bytes: 50 * MIB, free_bytes: 30 * MIB, limit_bytes: 100 * MIB };
    assert_eq!(holds().await, [expected]);
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(holds().await, []);
}

/// Of random sizes, with random ends, for several sessions.
pub async fn sum_of_memory_never_exceeds_a_budget(subject: &mut impl Subject) {
    let store = subject.store();
    let mut random = fastrand::Rng::with_seed(5);
    let budgets = [200 * MIB, 333 * MIB];
    let sessions = [open_with(&*store, budgets[0]).await, open_with(&*store, budgets[1]).await];
    let mut running: [Vec<Leased>; 2] = Default::default();
    let mut fullest = 0;
    for _ in 0..300 {
        let new = (0..random.usize(0..4)).map(|_| of_bytes(random.u64(11..=333) * MIB)).collect();
        store.submit(new).await.expect("the store works");
        let who = random.usize(0..2);
        if random.bool() {
            running[who].extend(lease(&*store, sessions[who], random.usize(1..9)).await);
        } else if !running[who].is_empty() {
            let ended = running[who].swap_remove(random.usize(0..running[who].len()));
            let verdict = if random.bool() { Verdict::Succeed } else { Verdict::Requeue };
            settle(&*store, settlement(&ended, verdict)).await.expect("it has the lease");
        }
        for (running, budget) in running.iter().zip(budgets) {
            let sum: u64 = running.iter().map(|leased| leased.task.spec.limits.host_bytes()).sum();
            assert!(sum <= budget, "{sum} of {budget}");
            fullest = fullest.max(sum * 100 / budget);
        }
    }
    assert!(fullest > 90, "it was never full: {fullest} %");
}

/// And counts for what it holds; the record keeps what was asked for.
pub async fn queue_limits_what_its_attempts_may_use(subject: &mut impl Subject) {
    let store = subject.store();
    let limits = |text: &str| QueueChange::Limits(text.parse().expect("limits"));
    set_queue(&*store, "default", &[limits("timeout=30s,memory=64MiB,open-files=1000")]).await;
    let asked = submit(&*store, new_task()).await;
    submit(&*store, new_task()).await;
    let standing = store.standing(asked.id).await.expect("the store works");
    assert_eq!(standing.limits, Some("timeout=30s,memory=64MiB,open-files=1000".parse().expect("limits")));
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let used = &leased.task.spec.limits;
    assert_eq!((used.timeout, used.memory_bytes), (Duration::from_secs(30), 64 * MIB));
    assert_eq!(used.open_files, Limits::default().open_files, "a queue gives nobody more");
    let ended = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(ended.spec, asked.spec);
    set_queue(&*store, "default", &[QueueChange::Limits(sunaba_task::LimitCaps::NONE)]).await;
    assert_eq!(lease_one(&*store, session).await.task.spec.limits, Limits::default());
}
