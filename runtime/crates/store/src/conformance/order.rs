//! Which task is leased when.

use sunaba_task::{Fuel, FuelMode, StateName};

use super::*;
use crate::{Hold, Readiness, Stalled, StoreError, Unready};

/// Of two tasks the one with the higher priority goes first, and of equals the older.
pub async fn higher_priorities_come_first_and_then_the_oldest(subject: &mut impl Subject) {
    let store = subject.store();
    for (name, queue, priority) in
        [("a", "x", 0), ("b", "y", 5), ("c", "x", 5), ("d", "y", i32::MIN), ("e", "x", 0), ("f", "y", i32::MAX)]
    {
        let new = with(|new| {
            new.spec.queue = queue.into();
            new.spec.priority = priority;
            new.input = Payload::json(name);
        });
        submit(&*store, new).await;
    }
    let session = open(&*store).await;
    let names: Vec<_> = lease(&*store, session, 4).await.into_iter().chain(lease(&*store, session, 4).await).collect();
    let names: Vec<_> = names.iter().map(|leased| leased.input.bytes.as_ref()).collect();
    assert_eq!(names, [b"f", b"b", b"c", b"a", b"e", b"d"]);
}

/// A worker of some queues gets nothing from others.
pub async fn worker_gets_only_what_is_in_its_queues(subject: &mut impl Subject) {
    let store = subject.store();
    for queue in ["mail", "mail-2", "video"] {
        submit(&*store, with(|new| new.spec.queue = queue.into())).await;
    }
    let session = open(&*store).await;
    let queues = Queues::Only(vec!["mail".into(), "none".into()]);
    let leased = store.lease(LeaseRequest { session, queues, slots: 9, wait: Duration::ZERO }).await.expect("it lives");
    assert_eq!(leased.iter().map(|leased| leased.task.spec.queue.as_str()).collect::<Vec<_>>(), ["mail"]);
}

/// Slots bound what is leased.
pub async fn no_more_are_leased_than_there_are_slots(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 5]).await.expect("the store works");
    let session = open(&*store).await;
    let counts = [lease(&*store, session, 3).await.len(), lease(&*store, session, 3).await.len()];
    assert_eq!(counts, [3, 2]);
    assert!(lease(&*store, session, 0).await.is_empty());
}

/// A delay counts by the store's clock, and to the millisecond.
pub async fn delayed_task_is_not_leased_early(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let delayed = submit(&*store, with(|new| new.start = Some(When::After(Duration::from_secs(10))))).await;
    assert_eq!(delayed.state.name(), StateName::Scheduled);
    assert!(lease(&*store, session, 1).await.is_empty());
    subject.advance(Duration::from_millis(9_999));
    assert!(lease(&*store, session, 1).await.is_empty());
    subject.advance(Duration::from_millis(1));
    assert_eq!(lease_one(&*store, session).await.task.id, delayed.id);
}

/// Late is due.
pub async fn task_for_an_instant_that_has_passed_is_due_at_once(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let submitted_at = submit(&*store, new_task()).await.submitted_at;
    subject.advance(SECOND);
    let late = submit(&*store, with(|new| new.start = Some(When::At(submitted_at)))).await;
    assert_eq!(late.state.name(), StateName::Queued);
    assert_eq!(lease(&*store, session, 2).await.len(), 2);
}

/// A large batch is one call, and stays in order.
pub async fn ten_thousand_tasks_in_one_call_keep_their_order(subject: &mut impl Subject) {
    const COUNT: usize = 10_000;
    let store = subject.store();
    let submitted = store.submit(vec![new_task(); COUNT]).await.expect("the store works");
    let submitted: Vec<_> = submitted.into_iter().map(|task| task.expect("it is taken on").into_task().id).collect();
    assert!(submitted.windows(2).all(|pair| pair[0] < pair[1]));
    let session = open(&*store).await;
    let leased: Vec<_> = lease(&*store, session, COUNT).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(leased, submitted);
}

/// What was handed back is as old as it was.
pub async fn task_that_comes_back_has_its_old_place(subject: &mut impl Subject) {
    let store = subject.store();
    let first = submit(&*store, new_task()).await;
    let other = open(&*store).await;
    assert_eq!(lease_one(&*store, other).await.task.id, first.id);
    let second = submit(&*store, new_task()).await;
    let third = submit(&*store, new_task()).await;
    let session = open(&*store).await;
    assert_eq!(lease_one(&*store, session).await.task.id, second.id);
    store.close_session(other).await.expect("the store works");
    let leased: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(leased, [first.id, third.id]);
}

/// The queues of the next tasks to be leased, one at a time.
async fn next_queues(store: &dyn Store, session: SessionId, count: usize) -> Vec<String> {
    let mut queues = Vec::new();
    for _ in 0..count {
        queues.push(lease_one(store, session).await.task.spec.queue.clone());
    }
    queues
}

fn count(queues: &[String], queue: &str) -> usize {
    queues.iter().filter(|name| *name == queue).count()
}

/// Queues with a weight get that share of the starts, and all without one are one of weight 1.
pub async fn weights_share_the_starts(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "heavy", &[QueueChange::Weight(Some(6))]).await;
    set_queue(&*store, "light", &[QueueChange::Weight(Some(3))]).await;
    for queue in ["heavy", "light", "one", "other"] {
        store.submit(vec![with(|new| new.spec.queue = queue.into()); 200]).await.expect("the store works");
    }
    let session = open(&*store).await;
    let queues = next_queues(&*store, session, 100).await;
    // Those without a weight are in the order in which they came.
    let counts = ["heavy", "light", "one", "other"].map(|queue| count(&queues, queue));
    assert_eq!(counts, [60, 30, 10, 0]);
    // In one call as in many.
    let leased: Vec<_> =
        lease(&*store, session, 100).await.into_iter().map(|leased| leased.task.spec.queue.clone()).collect();
    assert_eq!(["heavy", "light", "one"].map(|queue| count(&leased, queue)), [60, 30, 10]);
}

/// A share that was not taken is gone: a queue that gets work again does not shut out the others.
pub async fn queue_without_work_saves_up_no_share(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "a", &[QueueChange::Weight(Some(1))]).await;
    set_queue(&*store, "b", &[QueueChange::Weight(Some(1))]).await;
    let many = |queue: &str| vec![with(|new| new.spec.queue = queue.into()); 60];
    store.submit(many("a")).await.expect("the store works");
    let session = open(&*store).await;
    assert_eq!(count(&next_queues(&*store, session, 50).await, "a"), 50);
    store.submit(many("b")).await.expect("the store works");
    let queues = next_queues(&*store, session, 20).await;
    assert_eq!((count(&queues, "a"), count(&queues, "b")), (10, 10));
}

async fn submit_with(store: &dyn Store, queue: &str, priority: i32) -> Task {
    let new = with(|new| {
        new.spec.queue = queue.into();
        new.spec.priority = priority;
    });
    submit(store, new).await
}

/// In a queue that ages, a task that waits rises by one priority for each step of time, past all that come later.
pub async fn low_priority_does_not_starve_with_aging(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    set_queue(&*store, "aging", &[QueueChange::Aging(Some(SECOND))]).await;
    for queue in ["aging", "not"] {
        let low = submit_with(&*store, queue, 0).await;
        assert_eq!(low.aging, (queue == "aging").then_some(SECOND));
        let mut turns = 0;
        let found = loop {
            // There is always something more important.
            subject.advance(SECOND);
            submit_with(&*store, queue, 10).await;
            turns += 1;
            let queues = Queues::Only(vec![queue.into()]);
            let request = LeaseRequest { session, queues, slots: 1, wait: Duration::ZERO };
            let leased = store.lease(request).await.expect("it lives").pop().expect("there is one");
            let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
            if done.id == low.id || turns == 25 {
                break done.id == low.id;
            }
            store.renew(session, Duration::ZERO).await.expect("in time");
        };
        assert_eq!(found, queue == "aging");
        assert!(queue == "not" || (9..=12).contains(&turns), "{turns} seconds");
    }
}

/// All that waits is put in order again, and a queue that ages is held against others by its priorities as they are now.
pub async fn aging_can_be_changed_while_tasks_wait(subject: &mut impl Subject) {
    let store = subject.store();
    let low = submit_with(&*store, "a", 0).await;
    let elsewhere = submit_with(&*store, "b", 5).await;
    subject.advance(SECOND * 10);
    let high = submit_with(&*store, "a", 8).await;
    let scheduled = with(|new| {
        new.spec.queue = "a".into();
        new.spec.priority = 9;
        new.start = Some(When::After(SECOND));
    });
    let scheduled = submit(&*store, scheduled).await;
    set_queue(&*store, "a", &[QueueChange::Aging(Some(SECOND))]).await;
    assert_eq!(task(&*store, &low).await.aging, Some(SECOND));
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    // 0 and ten steps, 8 and none; 5 of the other queue.
    assert_eq!(lease_one(&*store, session).await.task.id, low.id);
    set_queue(&*store, "a", &[QueueChange::Aging(None)]).await;
    subject.advance(SECOND);
    let order: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(order, [scheduled.id, high.id, elsewhere.id]);
}

/// What cannot be put in order in one go is refused, and stays as it is.
pub async fn aging_of_a_deep_queue_is_not_changed(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 10_001]).await.expect("the store works");
    let change = || store.set_queue("default".into(), vec![QueueChange::Aging(Some(SECOND))]);
    let refused = change().await;
    assert!(matches!(refused, Err(StoreError::TooDeepToReorder { waiting: 10_001, .. })), "{refused:?}");
    assert_eq!(store.queues(None).await.expect("the store works")[0].settings.aging, None);
    let session = open(&*store).await;
    lease_one(&*store, session).await;
    assert_eq!(change().await.expect("it is less deep").settings.aging, Some(SECOND));
    assert_eq!(lease(&*store, session, 10_001).await.len(), 10_000);
}

async fn set_unready(store: &dyn Store, session: SessionId, unready: &[((Digest, FuelMode), Readiness)]) {
    let unready = Arc::new(unready.iter().cloned().collect());
    store.set_unready(session, unready).await.expect("the session lives");
}

fn compiling(component: Digest) -> ((Digest, FuelMode), Readiness) {
    ((component, FuelMode::Exact), Readiness::Compiling(None))
}

fn failed(component: Digest) -> ((Digest, FuelMode), Readiness) {
    ((component, FuelMode::Exact), Readiness::Failed("too large".into()))
}

/// Tasks of a component that a session's host cannot run wait, and only there; a mode of fuel is a component of its own.
pub async fn what_a_host_cannot_run_waits_uncharged_and_others_run(subject: &mut impl Subject) {
    let store = subject.store();
    let component = Digest::of(b"component");
    let other = |new: &mut NewTask| new.spec.handler = "mail/send".parse().expect("a name");
    let first = submit(&*store, new_task()).await;
    let ready = submit(&*store, with(|new| (other(new), new.spec.component = Digest::of(b"mail")).1)).await;
    let without_fuel = submit(&*store, with(|new| (other(new), new.spec.limits.fuel = Fuel::Off).1)).await;
    let session = open(&*store).await;
    set_unready(&*store, session, &[compiling(component)]).await;
    let ids: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(ids, [ready.id, without_fuel.id]);
    let waiting = task(&*store, &first).await;
    assert_eq!((waiting.state.name(), waiting.attempts_started), (StateName::Queued, 0));
    // Another host has it.
    let elsewhere = open(&*store).await;
    assert_eq!(lease_one(&*store, elsewhere).await.task.id, first.id);
    store.close_session(elsewhere).await.expect("it lives");
    assert!(lease(&*store, session, 9).await.is_empty());
    set_unready(&*store, session, &[]).await;
    assert_eq!(lease_one(&*store, session).await.task.id, first.id);
    let lost = store.set_unready(elsewhere, Unready::default()).await;
    assert!(matches!(lost, Err(StoreError::SessionLost)), "{lost:?}");
}

/// Of the same handler in the same queue, with and without a key, whichever came first; and after a restart, too.
pub async fn tasks_of_other_versions_go_past_one_that_cannot_be_compiled(subject: &mut impl Subject) {
    let store = subject.store();
    let (stuck, fine) = (Digest::of(b"stuck"), Digest::of(b"fine"));
    let of = |component, key: Option<&str>, fuel| {
        with(|new| {
            (new.spec.component, new.spec.key) = (component, key.map(str::to_owned));
            new.spec.limits.fuel = fuel;
        })
    };
    let exact = Fuel::Exact { limit: None };
    for key in [None, Some("a"), Some("b")] {
        submit(&*store, of(stuck, key, exact)).await;
    }
    let mut passing = Vec::new();
    for (component, key, fuel) in
        [(fine, None, exact), (stuck, None, Fuel::Off), (fine, Some("a"), exact), (fine, None, exact)]
    {
        passing.push(submit(&*store, of(component, key, fuel)).await.id);
    }
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    set_unready(&*store, session, &[failed(stuck)]).await;
    let mut leased = Vec::new();
    while let Some(next) = lease(&*store, session, 1).await.pop() {
        leased.push(next.task.id);
    }
    assert_eq!(leased, passing, "in their order");
    // Their limits are their own, too: what waits does not use up what a key may have.
    set_queue(&*store, "default", &[QueueChange::KeyConcurrency(Some(1))]).await;
    let more = submit(&*store, of(fine, Some("b"), exact)).await;
    assert_eq!(lease_one(&*store, session).await.task.id, more.id);
    let held = submit(&*store, of(fine, Some("b"), exact)).await;
    assert!(lease(&*store, session, 9).await.is_empty(), "its key has as many as it may");
    set_unready(&*store, session, &[]).await;
    let ids: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.spec.key.clone()).collect();
    assert_eq!(ids, [None], "those of both keys are held");
    assert!(task(&*store, &held).await.attempts_started == 0);
}

/// One that is pinned, one that follows, and in the mode in which they would run.
pub async fn standing_says_which_code_a_task_waits_for(subject: &mut impl Subject) {
    let store = subject.store();
    let (pinned, active) = (Digest::of(b"pinned"), Digest::of(b"active"));
    let new = crate::NewPackage {
        name: "words".into(),
        component: active,
        handlers: Vec::new(),
        decider: None,
        allow_signature_change: false,
    };
    store.deploy(new, "active".into()).await.expect("it fits");
    let stays = submit(&*store, with(|new| new.spec.component = pinned)).await;
    let follows = submit(
        &*store,
        with(|new| {
            (new.spec.component, new.spec.follows) = (active, true);
            new.spec.limits.fuel = Fuel::Off;
        }),
    )
    .await;
    let holds = async |task: &Task| store.standing(task.id).await.expect("the store works").holds;
    assert_eq!(holds(&stays).await, [Hold::NoWorker]);
    let (session, other) = (open(&*store).await, open(&*store).await);
    set_unready(&*store, session, &[failed(pinned), compiling(active)]).await;
    assert_eq!((holds(&stays).await, holds(&follows).await), (vec![], vec![]), "another worker has both");
    set_unready(&*store, other, &[failed(pinned), failed(active)]).await;
    let uncompilable = Hold::Uncompilable { component: pinned, problem: "too large".into() };
    assert_eq!(holds(&stays).await, std::slice::from_ref(&uncompilable));
    assert_eq!(holds(&follows).await, [], "nobody says that the code without fuel is not there");
    // Where fuel is limited it is counted.
    let fuel = |text: &str| [QueueChange::Limits(text.parse().expect("limits"))];
    set_queue(&*store, "default", &fuel("fuel=5")).await;
    let compiling = Hold::Compiling { component: active, problem: None };
    assert_eq!(holds(&follows).await, std::slice::from_ref(&compiling), "one of the two will have it");
    let handler = stays.spec.handler.clone();
    let stalled = store.queue("default".into()).await.expect("the store works").stalled;
    let expected = [compiling, uncompilable].map(|hold| Stalled { handler: handler.clone(), queued: 1, hold });
    assert_eq!(stalled, expected);
    assert!(lease(&*store, session, 9).await.is_empty() && lease(&*store, other, 9).await.is_empty());
    // A worker of another queue is none of theirs.
    let elsewhere = open(&*store).await;
    assert_eq!(holds(&stays).await, [], "it has not said yet what it serves");
    let queues = Queues::Only(vec!["elsewhere".into()]);
    let request = LeaseRequest { session: elsewhere, queues, slots: 1, wait: Duration::ZERO };
    assert!(store.lease(request).await.expect("the session lives").is_empty());
    assert_eq!(store.queue("default".into()).await.expect("the store works").stalled, expected);
    set_queue(&*store, "default", &fuel("")).await;
    assert_eq!(lease_one(&*store, session).await.task.id, follows.id);
}

/// Whoever waits for work gets what has become ready meanwhile, without asking again.
pub async fn worker_that_waits_is_woken_when_its_host_can_run_more(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    let session = open(&*store).await;
    set_unready(&*store, session, &[compiling(submitted.spec.component)]).await;
    let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: LEASE };
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.lease(request).await }
    });
    settle_down(&*store).await;
    assert!(!waiting.is_finished());
    set_unready(&*store, session, &[]).await;
    let leased = waiting.await.expect("no panic").expect("the session lives");
    assert_eq!(leased[0].task.id, submitted.id);
}

/// A queue whose tasks are passed over has used nothing of its share.
pub async fn what_is_passed_over_takes_no_share(subject: &mut impl Subject) {
    let store = subject.store();
    for queue in ["a", "b"] {
        set_queue(&*store, queue, &[QueueChange::Weight(Some(1))]).await;
        for _ in 0..10 {
            submit(&*store, with(|new| new.spec.queue = queue.into())).await;
        }
    }
    let stuck = Digest::of(b"stuck");
    let other = "stuck/stuck".parse().expect("a name");
    submit(
        &*store,
        with(|new| {
            (new.spec.queue, new.spec.priority) = ("a".into(), 9);
            (new.spec.handler, new.spec.component) = (other, stuck);
        }),
    )
    .await;
    let session = open(&*store).await;
    set_unready(&*store, session, &[failed(stuck)]).await;
    let mut queues = String::new();
    for _ in 0..8 {
        queues.push_str(&lease_one(&*store, session).await.task.spec.queue);
    }
    assert_eq!(queues.matches('a').count(), 4, "{queues}");
}
