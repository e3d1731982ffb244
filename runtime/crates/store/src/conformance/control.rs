//! What an operator changes while tasks wait and run, and what he is shown.

use sunaba_task::{BreakerState, HandlerControl};

use super::*;
use crate::{Hold, Runs, Standing, StoreError};

const HANDLER: &str = "words/word-count";

fn of(handler: &str) -> NewTask {
    with(|new| new.spec.handler = handler.parse().expect("a name"))
}

/// A pause holds what waits and not what runs; its end wakes whoever waits.
pub async fn paused_queue_starts_nothing_until_it_goes_on(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    set_queue(&*store, "default", &[QueueChange::Paused(true)]).await;
    let held = submit(&*store, new_task()).await;
    let elsewhere = submit(&*store, with(|new| new.spec.queue = "other".into())).await;
    let others: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(others, [elsewhere.id]);
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    let waiting = waiting_lease(&store, session, LEASE);
    settle_down(&*store).await;
    assert!(!waiting.is_finished());
    set_queue(&*store, "default", &[QueueChange::Paused(false)]).await;
    assert_eq!(waiting.await.expect("it ends")[0].task.id, held.id);
}

/// Tasks of a paused handler stay where they are, and in nobody's way.
pub async fn paused_handler_lets_others_pass(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    set_handler(&*store, "slow/one", &[HandlerChange::Paused(true)]).await;
    let held = submit(&*store, of("slow/one")).await;
    let passes = submit(&*store, of("slow/two")).await;
    assert_eq!(lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [passes.id]);
    let waiting = waiting_lease(&store, session, LEASE);
    settle_down(&*store).await;
    assert!(!waiting.is_finished());
    set_handler(&*store, "slow/one", &[HandlerChange::Paused(false)]).await;
    assert_eq!(waiting.await.expect("it ends")[0].task.id, held.id);
}

/// What was set is durable, and so is what was set back.
pub async fn settings_are_remembered_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let changes = [
        QueueChange::Paused(true),
        QueueChange::Weight(Some(7)),
        QueueChange::Concurrency(Some(1)),
        QueueChange::KeyConcurrency(Some(2)),
        QueueChange::Rate(Some("3/1s".parse().expect("a rate"))),
        QueueChange::KeyRate(Some("4/1m".parse().expect("a rate"))),
        QueueChange::MaxDepth(Some(5)),
        QueueChange::Aging(Some(SECOND * 6)),
    ];
    let queue = set_queue(&*store, "q", &changes).await;
    set_queue(&*store, "back", &[QueueChange::Paused(true)]).await;
    set_queue(&*store, "back", &[QueueChange::Paused(false)]).await;
    let breaker = HandlerChange::Breaker(Some("50%/4, 30s".parse().expect("a breaker")));
    let control = [HandlerChange::Paused(true), HandlerChange::Concurrency(Some(1)), breaker];
    let handler = set_handler(&*store, "slow/one", &control).await;
    assert_eq!((queue.settings.weight, handler.control.concurrency), (Some(7), Some(1)));
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(store.queues(None).await.expect("the store works"), [queue]);
    assert_eq!(store.handlers(None).await.expect("the store works"), [handler]);
    submit(&*store, with(|new| new.spec.queue = "q".into())).await;
    submit(&*store, of("slow/one")).await;
    let session = open(&*store).await;
    assert!(lease(&*store, session, 9).await.is_empty());
}

/// All of a change is made, or none.
pub async fn settings_out_of_range_change_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    let changes = vec![QueueChange::Paused(true), QueueChange::Weight(Some(0))];
    assert!(matches!(store.set_queue("q".into(), changes).await, Err(StoreError::Control(_))));
    let changes = vec![HandlerChange::Paused(true), HandlerChange::Concurrency(Some(0))];
    assert!(matches!(store.set_handler(HANDLER.parse().expect("a name"), changes).await, Err(StoreError::Control(_))));
    assert_eq!(store.queues(None).await.expect("the store works"), []);
    assert_eq!(store.handlers(None).await.expect("the store works"), []);
}

/// Of two who have seen the same, the second changes nothing; what is not set yet can be seen, too.
pub async fn settings_that_were_seen_are_changed_once(subject: &mut impl Subject) {
    let store = subject.store();
    let weight = |weight| vec![QueueChange::Weight(Some(weight))];
    let seen = store.queue("q".into()).await.expect("the store works").settings;
    let set = store.set_queue_if("q".into(), seen.clone(), weight(2)).await.expect("they are these");
    assert_eq!(set.settings.weight, Some(2));
    let late = store.set_queue_if("q".into(), seen, weight(3)).await;
    assert!(matches!(late, Err(StoreError::Changed { .. })), "{late:?}");
    let set = store.set_queue_if("q".into(), set.settings, weight(4)).await.expect("they are these");
    assert_eq!(store.queues(None).await.expect("the store works"), [set]);

    let handler = || HANDLER.parse().expect("a name");
    let paused = |paused| vec![HandlerChange::Paused(paused)];
    let set = store.set_handler_if(handler(), HandlerControl::default(), paused(true)).await.expect("it is this");
    let late = store.set_handler_if(handler(), HandlerControl::default(), paused(false)).await;
    assert!(matches!(late, Err(StoreError::Changed { .. })), "{late:?}");
    assert_eq!(store.handlers(None).await.expect("the store works"), std::slice::from_ref(&set));
    let set = store.set_handler_if(handler(), set.control, paused(false)).await.expect("it is this");
    assert!(!set.control.paused);
}

/// Every queue with tasks or settings, with what waits and runs, and how long the next has waited.
pub async fn queues_are_shown_with_what_they_hold(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let later = with(|new| new.start = Some(When::After(SECOND * 5)));
    store.submit(vec![new_task(), new_task(), new_task(), later]).await.expect("the store works");
    submit(&*store, with(|new| new.spec.queue = "ends".into())).await;
    set_queue(&*store, "set", &[QueueChange::Paused(true)]).await;
    subject.advance(SECOND * 3);
    let leased = lease(&*store, session, 9).await;
    let count = leased.len();
    for leased in leased.iter().filter(|leased| leased.task.spec.queue == "ends") {
        settle(&*store, settlement(leased, Verdict::Succeed)).await.expect("it has the lease");
    }
    store.submit(vec![new_task(); 2]).await.expect("the store works");
    subject.advance(SECOND);
    let queues = store.queues(None).await.expect("the store works");
    let shown: Vec<_> = queues
        .iter()
        .map(|queue| (queue.name.as_str(), queue.queued, queue.scheduled, queue.running, queue.oldest))
        .collect();
    assert_eq!((count, shown), (4, vec![("default", 2, 1, 3, Some(SECOND)), ("set", 0, 0, 0, None)]));
    // A cancel takes it out of every count.
    let waiting = store.tasks(crate::TaskQuery { limit: 9, ..crate::TaskQuery::default() }).await.expect("it works");
    let ids = waiting.tasks.iter().filter(|task| !is_running(task)).map(|task| task.id).collect();
    store.cancel(ids, CancelWish::default()).await.expect("the store works");
    let queue = store.queues(None).await.expect("the store works").remove(0);
    assert_eq!((queue.queued, queue.scheduled, queue.running, queue.oldest), (0, 0, 3, None));
}

/// Every handler that has run, waits or is controlled, with what it does.
pub async fn handlers_are_shown_with_what_they_do(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    set_handler(&*store, "a/set", &[HandlerChange::Paused(true)]).await;
    store.submit(vec![of("b/waits"), of("c/runs"), of("c/runs")]).await.expect("the store works");
    set_handler(&*store, "b/waits", &[HandlerChange::Paused(true)]).await;
    let leased = lease(&*store, session, 9).await;
    settle(&*store, settlement(&leased[0], Verdict::GiveUp)).await.expect("it has the lease");
    let handlers = store.handlers(None).await.expect("the store works");
    let shown: Vec<_> = handlers
        .iter()
        .map(|handler| (handler.name.to_string(), handler.queued, handler.running, handler.attempts, handler.failed))
        .collect();
    let expected = [("a/set", 0, 0, 0, 0), ("b/waits", 1, 0, 0, 0), ("c/runs", 0, 1, 1, 1)];
    assert_eq!(
        shown,
        expected.map(|(name, queued, running, attempts, failed)| (name.into(), queued, running, attempts, failed))
    );
}

async fn set_breaker(store: &dyn Store) {
    let breaker = "50%/4, 30s".parse().expect("a breaker");
    set_handler(store, HANDLER, &[HandlerChange::Breaker(Some(breaker))]).await;
}

async fn attempt(store: &dyn Store, session: SessionId, verdict: Verdict) {
    let leased = lease_one(store, session).await;
    settle(store, settlement(&leased, verdict)).await.expect("it has the lease");
}

async fn breaker(store: &dyn Store) -> BreakerState {
    store.handlers(None).await.expect("the store works").remove(0).breaker
}

/// A handler that fails too often is given a pause, then tried with one task, and let go on when that succeeds.
pub async fn breaker_opens_probes_and_closes(subject: &mut impl Subject) {
    let store = subject.store();
    set_breaker(&*store).await;
    store.submit(vec![new_task(); 20]).await.expect("the store works");
    let passes = submit(&*store, of("slow/one")).await;
    let session = open(&*store).await;
    for verdict in [Verdict::GiveUp, Verdict::Succeed, Verdict::Succeed] {
        attempt(&*store, session, verdict).await;
    }
    assert_eq!(breaker_of_words(&*store).await, BreakerState::Closed);
    attempt(&*store, session, Verdict::GiveUp).await;
    assert_eq!(breaker_of_words(&*store).await, BreakerState::Open { until: SECOND * 30 });
    let others: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(others, [passes.id]);
    // A probe that fails opens it again.
    subject.advance(SECOND * 15);
    store.renew(session, Duration::ZERO).await.expect("in time");
    assert_eq!(breaker_of_words(&*store).await, BreakerState::Open { until: SECOND * 15 });
    subject.advance(SECOND * 15);
    let probes = lease(&*store, session, 9).await;
    assert_eq!((probes.len(), breaker_of_words(&*store).await), (1, BreakerState::Probing));
    assert!(lease(&*store, session, 9).await.is_empty());
    settle(&*store, settlement(&probes[0], Verdict::GiveUp)).await.expect("it has the lease");
    assert!(lease(&*store, session, 9).await.is_empty());
    store.renew(session, Duration::ZERO).await.expect("in time");
    subject.advance(SECOND * 29);
    store.renew(session, Duration::ZERO).await.expect("in time");
    subject.advance(SECOND);
    // A probe that is handed back says nothing, and there is another; one that succeeds closes it.
    attempt(&*store, session, Verdict::Requeue).await;
    attempt(&*store, session, Verdict::Succeed).await;
    assert_eq!(breaker_of_words(&*store).await, BreakerState::Closed);
    assert_eq!(lease(&*store, session, 9).await.len(), 9);
}

async fn breaker_of_words(store: &dyn Store) -> BreakerState {
    let handlers = store.handlers(None).await.expect("the store works");
    handlers.into_iter().find(|handler| handler.name.to_string() == HANDLER).expect("it has run").breaker
}

/// Nothing else has to happen; and without its setting a breaker holds nothing.
pub async fn waiting_worker_is_woken_when_a_breaker_probes(subject: &mut impl Subject) {
    let store = subject.store();
    set_breaker(&*store).await;
    store.submit(vec![new_task(); 10]).await.expect("the store works");
    let session = open(&*store).await;
    for _ in 0..4 {
        attempt(&*store, session, Verdict::GiveUp).await;
    }
    let waiting = waiting_lease(&store, session, SECOND * 60);
    subject.advance(SECOND * 29);
    store.renew(session, Duration::ZERO).await.expect("in time");
    assert!(!waiting.is_finished());
    subject.advance(SECOND);
    assert_eq!(waiting.await.expect("it ends").len(), 1);
    assert!(lease(&*store, session, 9).await.is_empty());
    set_handler(&*store, HANDLER, &[HandlerChange::Breaker(None)]).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 5);
}

/// Neither a host that cannot nor a host that is lost says anything of the handler.
pub async fn breaker_does_not_look_at_what_its_host_is_to_blame_for(subject: &mut impl Subject) {
    let store = subject.store();
    set_breaker(&*store).await;
    store.submit(vec![new_task(); 10]).await.expect("the store works");
    let lost = open(&*store).await;
    for _ in 0..4 {
        let leased = lease_one(&*store, lost).await;
        let ending = Ending::HostFailed { message: "m".into() };
        let failed = Settlement { ending, ..settlement(&leased, Verdict::Retry(SECOND)) };
        settle(&*store, failed).await.expect("it has the lease");
    }
    assert_eq!(lease(&*store, lost, 4).await.len(), 4);
    subject.advance(LEASE);
    let session = open(&*store).await;
    assert_eq!(breaker(&*store).await, BreakerState::Closed);
    assert_eq!(lease(&*store, session, 10).await.len(), 10);
}

async fn standing(store: &dyn Store, task: &Task) -> Standing {
    store.standing(task.id).await.expect("the store works")
}

/// All that holds a task, with how long it will; a task that runs, waits for its time or is not there is held by nothing.
pub async fn standing_says_why_a_task_waits(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let keyed = || with(|new| new.spec.key = Some("x".into()));
    let running = submit(&*store, keyed()).await;
    let free = standing(&*store, &running).await;
    assert_eq!(free, Standing { ahead: Some(0), now: Some(running.submitted_at), ..Standing::default() });
    let rate = Some("1/10s".parse().expect("a rate"));
    set_queue(&*store, "default", &[QueueChange::Rate(rate), QueueChange::KeyRate(rate)]).await;
    lease_one(&*store, session).await;
    let held = submit(&*store, keyed()).await;
    subject.advance(SECOND * 4);
    let left = SECOND * 6;
    assert_eq!(standing(&*store, &held).await.holds, [Hold::QueueRate { left }, Hold::KeyRate { left }]);
    let limits = [QueueChange::Concurrency(Some(1)), QueueChange::KeyConcurrency(Some(1)), QueueChange::Paused(true)];
    set_queue(&*store, "default", &limits).await;
    set_queue(&*store, "default", &[QueueChange::Rate(None), QueueChange::KeyRate(None)]).await;
    set_handler(&*store, HANDLER, &[HandlerChange::Paused(true), HandlerChange::Concurrency(Some(1))]).await;
    let limit = 1;
    let holds = [
        Hold::QueuePaused,
        Hold::QueueConcurrency { limit },
        Hold::HandlerPaused,
        Hold::HandlerConcurrency { limit },
        Hold::KeyConcurrency { limit },
    ];
    assert_eq!(standing(&*store, &held).await.holds, holds);
    let nothing = Standing { now: Some(running.submitted_at.after(SECOND * 4)), ..Standing::default() };
    let later = submit(&*store, with(|new| new.start = Some(When::After(SECOND)))).await;
    assert_eq!(standing(&*store, &later).await, nothing);
    let Runs { component, limits } = standing(&*store, &running).await.runs.expect("it runs");
    assert_eq!((component, &limits), (running.spec.component, &running.spec.limits));
    assert_eq!(standing(&*store, &running).await, Standing { runs: Some(Runs { component, limits }), ..nothing });

    let store = subject.store();
    set_breaker(&*store).await;
    set_handler(&*store, HANDLER, &[HandlerChange::Paused(false), HandlerChange::Concurrency(None)]).await;
    set_queue(&*store, "default", &[QueueChange::Paused(false), QueueChange::Concurrency(None)]).await;
    set_queue(&*store, "default", &[QueueChange::KeyConcurrency(None)]).await;
    store.submit(vec![new_task(); 5]).await.expect("the store works");
    for _ in 0..4 {
        attempt(&*store, session, Verdict::GiveUp).await;
    }
    let last = submit(&*store, new_task()).await;
    let open = Hold::BreakerOpen { left: SECOND * 30, failed: 4, of: 4 };
    assert_eq!(standing(&*store, &last).await.holds, [open]);
    subject.advance(SECOND * 25);
    store.renew(session, Duration::ZERO).await.expect("in time");
    subject.advance(SECOND * 5);
    assert_eq!(standing(&*store, &last).await.holds, [Hold::BreakerProbing], "the first of all still runs");
}

/// In the order in which they would be started, over handlers and keys; counted up to ten thousand.
pub async fn standing_counts_who_comes_before(subject: &mut impl Subject) {
    let store = subject.store();
    let keyed = |key: &str, priority| {
        with(|new| {
            new.spec.key = Some(key.into());
            new.spec.priority = priority;
        })
    };
    let tasks = vec![keyed("x", 0), of("slow/one"), keyed("y", -1), keyed("x", 5), new_task(), new_task()];
    let answers = store.submit(tasks).await.expect("the store works");
    let tasks: Vec<_> = answers.into_iter().map(|answer| answer.expect("it is taken on").into_task()).collect();
    submit(&*store, with(|new| new.spec.queue = "other".into())).await;
    let mut ahead = Vec::new();
    for task in &tasks {
        ahead.push(standing(&*store, task).await.ahead);
    }
    assert_eq!(ahead, [1, 2, 5, 0, 3, 4].map(Some));
    let session = open(&*store).await;
    lease(&*store, session, 2).await;
    assert_eq!(standing(&*store, &tasks[4]).await.ahead, Some(1));
    store.submit(vec![new_task(); 10_005]).await.expect("the store works");
    let last = submit(&*store, new_task()).await;
    assert_eq!(standing(&*store, &last).await.ahead, Some(10_000));
}

/// However many queues there are, a page of them is short.
pub async fn queues_are_shown_page_by_page(subject: &mut impl Subject) {
    let store = subject.store();
    let name = |number: usize| format!("queue-{number:04}");
    let news = (0..NAMES_PAGE + 5).map(|number| with(|new| new.spec.queue = name(number)));
    store.submit(news.collect()).await.expect("the store works");
    let names = |queues: Vec<QueueStatus>| queues.into_iter().map(|queue| queue.name).collect::<Vec<_>>();
    let page = names(store.queues(None).await.expect("the store works"));
    assert_eq!(page, (0..NAMES_PAGE).map(name).collect::<Vec<_>>());
    let rest = names(store.queues(page.last().cloned()).await.expect("the store works"));
    assert_eq!(rest, (NAMES_PAGE..NAMES_PAGE + 5).map(name).collect::<Vec<_>>());
    let last = with(|new| new.spec.handler = "words/zebra".parse().expect("a name"));
    submit(&*store, last).await;
    let after = store.handlers(Some(new_task().spec.handler)).await.expect("the store works");
    assert_eq!(after.iter().map(|handler| handler.name.to_string()).collect::<Vec<_>>(), ["words/zebra"]);
}
