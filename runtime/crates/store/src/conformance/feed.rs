//! What happened is told in its order, to whoever asks, once and after a restart too.

use std::collections::BTreeMap;

use sunaba_task::{FeedEvent, Happening, Progress, TaskEvent, TaskId};

use super::*;
use crate::{EventPage, EventQuery, EventsOf, MAX_PAGE};

async fn events(store: &dyn Store, query: EventQuery) -> EventPage {
    store.events(query).await.expect("the store works")
}

fn after(place: u64) -> EventQuery {
    EventQuery { after: Some(place), limit: MAX_PAGE, ..EventQuery::default() }
}

/// Where the feed is now.
async fn place(store: &dyn Store) -> u64 {
    let page = events(store, EventQuery::default()).await;
    assert_eq!((page.events.len(), page.missed), (0, false));
    page.next
}

fn waiting_reader(subject: &impl Subject, query: EventQuery) -> tokio::task::JoinHandle<EventPage> {
    let store = subject.store();
    tokio::spawn(async move { events(&*store, query).await })
}

fn told(page: &EventPage) -> Vec<TaskEvent> {
    page.of_tasks().cloned().collect()
}

fn words(page: &EventPage) -> Vec<&'static str> {
    page.of_tasks().map(|event| event.what.word()).collect()
}

fn half() -> Progress {
    Progress { fraction: Some(0.5), message: "half".into() }
}

/// Every change of a task is an event, with its attempt and all that a reader needs to know.
pub async fn events_come_in_the_order_in_which_things_happened(subject: &mut impl Subject) {
    let store = subject.store();
    assert_eq!(place(&*store).await, 0);
    let first = submit(&*store, with(|new| new.spec.queue = "mail".into())).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    subject.advance(SECOND);
    let leased = lease_one(&*store, session).await;
    settle(&*store, settlement(&leased, Verdict::Snooze(SECOND))).await.expect("it has the lease");
    subject.advance(SECOND);
    let leased = lease_one(&*store, session).await;
    store.progress(vec![(leased.token, half())]).await.expect("the store works");
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");

    let page = events(&*store, after(0)).await;
    let expected = [
        "submitted",
        "started",
        "retry-scheduled",
        "queued",
        "started",
        "snoozed",
        "queued",
        "started",
        "progress",
        "succeeded",
    ];
    assert_eq!(words(&page), expected);
    assert_eq!((page.next, page.missed), (10, false));
    let told = told(&page);
    let sequences: Vec<_> = told.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=10).collect::<Vec<_>>());
    assert!(told.iter().all(|event| event.task == first.id && event.queue == "mail"));
    assert!(told.iter().all(|event| event.handler == first.spec.handler && event.job.is_none()));
    assert!(told.is_sorted_by_key(|event| event.at));
    assert_eq!(told[1].what, Happening::Started { attempt: 1, worker: "worker".into() });
    assert!(matches!(told[2].what, Happening::RetryScheduled { attempt: 1, .. }));
    assert_eq!(told[8].what, Happening::Progress { attempt: 3, progress: half() });
    assert_eq!(Some(told[9].at), done.ended_at);
}

/// Every way in which a task ends is told, and what is asked of it while it runs.
pub async fn every_end_of_a_task_is_told(subject: &mut impl Subject) {
    let store = subject.store();
    let [dead, waiting, cancelled, handed_back] = [
        submit(&*store, new_task()).await,
        submit(&*store, with(|new| new.start = Some(When::After(SECOND)))).await,
        submit(&*store, new_task()).await,
        submit(&*store, new_task()).await,
    ];
    let from = place(&*store).await;
    let session = open(&*store).await;
    let leased = lease(&*store, session, 3).await;
    store.cancel(vec![waiting.id, cancelled.id], CancelWish::default()).await.expect("the store works");
    let give_up = settlement(&leased[0], Verdict::GiveUp);
    settle(&*store, give_up).await.expect("it has the lease");
    store.close_session(session).await.expect("the store works");

    let page = events(&*store, after(from)).await;
    let of = |task: &Task| {
        page.of_tasks().filter(|event| event.task == task.id).map(|event| event.what.word()).collect::<Vec<_>>()
    };
    assert_eq!(of(&dead), ["started", "dead"]);
    assert_eq!(of(&waiting), ["cancelled"]);
    assert_eq!(of(&cancelled), ["started", "cancel-requested", "cancelled"]);
    assert_eq!(of(&handed_back), ["started", "queued"]);
    assert!(page.of_tasks().any(|event| event.what == Happening::Dead { reason: "r".into() }));
}

/// A change that is durable has its event, and an event its change, whatever becomes of the process in between.
pub async fn reader_goes_on_where_it_stopped_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let running = submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease(&*store, session, 2).await;
    settle(&*store, settlement(&leased[0], Verdict::Succeed)).await.expect("it has the lease");
    let first = events(&*store, EventQuery { limit: 3, ..after(0) }).await;
    assert_eq!((words(&first), first.next), (vec!["submitted", "submitted", "started"], 3));
    drop(store);
    subject.restart();

    let store = subject.store();
    let rest = events(&*store, after(first.next)).await;
    assert_eq!(words(&rest), ["started", "succeeded", "queued"]);
    assert_eq!((told(&rest)[2].task, rest.next, rest.missed), (running.id, 6, false));
    submit(&*store, new_task()).await;
    let new = events(&*store, after(rest.next)).await;
    assert_eq!((words(&new), new.next), (vec!["submitted"], 7));
}

/// The last event of each task says where its record stands.
pub async fn events_and_records_agree_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let verdicts = [Verdict::Succeed, Verdict::GiveUp, Verdict::Retry(SECOND), Verdict::Cancel, Verdict::Requeue];
    store.submit(vec![new_task(); 20]).await.expect("the store works");
    let session = open(&*store).await;
    let leased = lease(&*store, session, 10).await;
    for (leased, verdict) in leased.iter().zip(verdicts) {
        settle(&*store, settlement(leased, verdict)).await.expect("it has the lease");
    }
    drop(store);
    subject.restart();

    let store = subject.store();
    let mut last: BTreeMap<TaskId, &str> = BTreeMap::new();
    for event in told(&events(&*store, after(0)).await) {
        last.insert(event.task, event.what.word());
    }
    assert_eq!(last.len(), 20);
    for (id, word) in last {
        let state = store.task(id).await.expect("the store works").expect("it is there").state.name().to_string();
        assert!(word == state || (word, state.as_str()) == ("submitted", "queued"), "{word} {state}");
    }
}

/// A page has a bound; nothing is shown twice, and nothing left out.
pub async fn pages_of_events_lead_to_the_end(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 2_500]).await.expect("the store works");
    let last = submit(&*store, new_task()).await;
    let (mut place, mut seen) = (0, Vec::new());
    loop {
        let page = events(&*store, EventQuery { limit: 700, ..after(place) }).await;
        assert!(page.events.len() <= 700 && !page.missed);
        if page.next == place {
            break;
        }
        place = page.next;
        seen.extend(page.events.iter().map(FeedEvent::sequence));
    }
    assert_eq!(seen, (1..=2_501).collect::<Vec<_>>());
    // Whoever wants the events of one task may get a page without any, and goes on all the same.
    let (mut place, mut of_last) = (0, Vec::new());
    while place < 2_501 {
        let page = events(&*store, EventQuery { of: Some(EventsOf::Task(last.id)), ..after(place) }).await;
        assert!(page.next > place);
        place = page.next;
        of_last.extend(told(&page));
    }
    assert_eq!((of_last.len(), &of_last[0].what, of_last[0].sequence), (1, &Happening::Submitted, 2_501));
}

/// Whoever waits for one task is not bothered with others.
pub async fn waiting_reader_is_woken_only_by_its_task(subject: &mut impl Subject) {
    let store = subject.store();
    let (mine, other) = (submit(&*store, new_task()).await, submit(&*store, new_task()).await);
    let from = place(&*store).await;
    let query = EventQuery { of: Some(EventsOf::Task(mine.id)), wait: LEASE, ..after(from) };
    let reader = waiting_reader(subject, query);
    let anybody = waiting_reader(subject, EventQuery { wait: LEASE, ..after(from) });
    settle_down(&*store).await;
    store.cancel(vec![other.id], CancelWish::default()).await.expect("the store works");
    let page = anybody.await.expect("it ends");
    assert_eq!((page.events.len(), told(&page)[0].task), (1, other.id));
    settle_down(&*store).await;
    assert!(!reader.is_finished());
    store.cancel(vec![mine.id], CancelWish::default()).await.expect("the store works");
    let page = reader.await.expect("it ends");
    assert_eq!((page.events.len(), told(&page)[0].task), (1, mine.id));
    assert_eq!(page.next, place(&*store).await);
}

/// From now on is from the question on, and no event is an answer.
pub async fn reader_waits_no_longer_than_it_wants(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let from_now = EventQuery { after: None, wait: SECOND, limit: 1, of: None };
    let reader = waiting_reader(subject, from_now.clone());
    settle_down(&*store).await;
    assert!(!reader.is_finished());
    subject.advance(SECOND);
    assert_eq!(reader.await.expect("it ends"), EventPage { events: Vec::new(), next: 1, missed: false });
    let reader = waiting_reader(subject, from_now);
    settle_down(&*store).await;
    let new = store.submit(vec![new_task(), new_task()]).await.expect("the store works");
    let page = reader.await.expect("it ends");
    let first = new[0].clone().expect("it is taken on").into_task();
    assert_eq!((page.events.len(), told(&page)[0].task, page.next), (1, first.id, 2));
    assert_eq!(events(&*store, after(2)).await.events.len(), 1);
}

/// A place that this feed has never reached is one of another feed: of a store that has been set back since.
pub async fn place_beyond_the_end_is_told_and_does_not_wait(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    for place in [2, u64::MAX] {
        let page = events(&*store, EventQuery { wait: LEASE, ..after(place) }).await;
        assert_eq!(page, EventPage { events: Vec::new(), next: 1, missed: true });
    }
}

/// Whoever has lost its lease tells nothing.
pub async fn progress_of_a_lost_lease_is_not_told(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let lost = open(&*store).await;
    let first = lease_one(&*store, lost).await;
    subject.advance(LEASE);
    let session = open(&*store).await;
    let second = lease_one(&*store, session).await;
    let from = place(&*store).await;
    let reports = [&first, &second].map(|leased| (leased.token, half())).into();
    store.progress(reports).await.expect("the store works");
    let page = events(&*store, after(from)).await;
    assert_eq!(page.events.len(), 1);
    assert_eq!(told(&page)[0].what, Happening::Progress { attempt: 2, progress: half() });
    settle(&*store, settlement(&second, Verdict::Succeed)).await.expect("it has the lease");
    store.progress(vec![(second.token, half())]).await.expect("the store works");
    assert_eq!(words(&events(&*store, after(page.next)).await), ["succeeded"]);
}
