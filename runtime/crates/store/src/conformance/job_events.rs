//! What is told of jobs: that they were taken on, that a budget is low, and how they end.

use sunaba_task::FeedEvent;
use sunaba_task::job::{Budget, BudgetName, JobHappening, JobId, JobSpec, NewJob};

use super::jobs::{end_named, ended, job, node, submit_job};
use super::*;
use crate::{EventPage, EventQuery, EventsOf, MAX_PAGE, RetryJob};

pub(super) async fn page_of(store: &dyn Store, of: EventsOf) -> EventPage {
    let query = EventQuery { after: Some(0), of: Some(of), limit: MAX_PAGE, ..EventQuery::default() };
    store.events(query).await.expect("the store works")
}

/// What happened to a job and its tasks, in words.
async fn told(store: &dyn Store, id: JobId) -> Vec<&'static str> {
    let page = page_of(store, EventsOf::Job(id)).await;
    let word = |event: &FeedEvent| match event {
        FeedEvent::Task(event) => event.what.word(),
        FeedEvent::Job(event) => event.what.word(),
        FeedEvent::Schedule(event) => event.what.word(),
    };
    page.events.iter().map(word).collect()
}

pub(super) fn low(page: &EventPage) -> Vec<(BudgetName, u64, u64)> {
    let low = |event: &FeedEvent| match event {
        FeedEvent::Job(event) => match event.what {
            JobHappening::BudgetLow { budget, spent, limit } => Some((budget, spent, limit)),
            _ => None,
        },
        FeedEvent::Task(_) | FeedEvent::Schedule(_) => None,
    };
    page.events.iter().filter_map(low).collect()
}

/// Whoever follows a job sees its tasks too, and nothing of others.
pub async fn events_of_a_job_are_those_of_its_tasks_and_its_own(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let other = submit_job(&*store, job([])).await;
    let id = submit_job(
        &*store,
        NewJob { spec: JobSpec { name: "nightly".into(), ..JobSpec::default() }, ..job([node("a", &[])]) },
    )
    .await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    ended(&*store, id).await;
    assert_eq!(told(&*store, id).await, ["job-submitted", "submitted", "started", "succeeded", "job-succeeded"]);
    assert_eq!(told(&*store, other).await, ["job-submitted", "job-succeeded"]);
    let page = page_of(&*store, EventsOf::Job(id)).await;
    assert!(page.events.iter().all(|event| event.job() == Some(id)));
    assert!(page.events.iter().any(|event| matches!(event, FeedEvent::Job(event) if event.name == "nightly")));
    let task = page.of_tasks().next().expect("it has a task").task;
    assert_eq!(page_of(&*store, EventsOf::Task(task)).await.events.len(), 3);
}

/// Whoever waits for a job's events is woken by its end, and not by that of another.
pub async fn reader_of_a_job_is_woken_by_its_end(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let [mine, other] =
        [submit_job(&*store, job([node("a", &[])])).await, submit_job(&*store, job([node("b", &[])])).await];
    settle_down(&*store).await;
    let place = store.events(EventQuery::default()).await.expect("the store works").next;
    let query = EventQuery { after: Some(place), of: Some(EventsOf::Job(mine)), limit: MAX_PAGE, wait: LEASE };
    let reader = {
        let store = subject.store();
        tokio::spawn(async move { store.events(query).await })
    };
    settle_down(&*store).await;
    store.cancel_job(other, CancelWish::default()).await.expect("the store works");
    ended(&*store, other).await;
    settle_down(&*store).await;
    assert!(!reader.is_finished());
    let wish = CancelWish { reason: "enough".into(), ..CancelWish::default() };
    store.cancel_job(mine, wish).await.expect("the store works");
    let page = reader.await.expect("it ends").expect("the store works");
    assert!(page.events.iter().all(|event| event.job() == Some(mine)) && !page.events.is_empty());
    ended(&*store, mine).await;
    let all = page_of(&*store, EventsOf::Job(mine)).await;
    let last = all.events.last().expect("it was told");
    let cancelled = JobHappening::Cancelled { reason: "cancelled: enough".into() };
    assert!(matches!(last, FeedEvent::Job(event) if event.what == cancelled), "{last:?}");
    end_nothing(&*store, session).await;
}

async fn end_nothing(store: &dyn Store, session: SessionId) {
    assert_eq!(lease(store, session, 9).await, []);
}

/// Four fifths of attempts, and of the time, which passes by itself.
pub async fn low_budget_of_a_job_is_told_once(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let budget = Budget { attempts: Some(5), time: Some(SECOND * 100), ..Budget::default() };
    let names = ["a", "b", "c", "d", "e"];
    let after = |name: &str| names.iter().copied().take_while(|known| *known != name).last();
    let nodes = names.map(|name| node(name, after(name).as_slice()));
    let id = submit_job(&*store, NewJob { spec: JobSpec { budget, ..JobSpec::default() }, ..job(nodes) }).await;
    for name in ["a", "b", "c"] {
        end_named(&*store, session, name, Verdict::Succeed).await;
        settle_down(&*store).await;
    }
    assert_eq!(low(&page_of(&*store, EventsOf::Job(id)).await), []);
    end_named(&*store, session, "d", Verdict::Succeed).await;
    settle_down(&*store).await;
    assert_eq!(low(&page_of(&*store, EventsOf::Job(id)).await), [(BudgetName::Attempts, 4, 5)]);
    subject.advance(SECOND * 80);
    settle_down(&*store).await;
    let both = [(BudgetName::Attempts, 4, 5), (BudgetName::Time, 80_000, 100_000)];
    assert_eq!(low(&page_of(&*store, EventsOf::Job(id)).await), both);
    let session = open(&*store).await;
    end_named(&*store, session, "e", Verdict::Succeed).await;
    let ended = ended(&*store, id).await;
    assert!(ended.cause.is_none());
    assert_eq!(low(&page_of(&*store, EventsOf::Job(id)).await), both);
}

/// What stands in it has its end told, and of the one that it is over again nothing more is told, whatever the time.
pub async fn feed_tells_of_what_stands_and_nothing_of_a_job_that_has_ended(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let budget = Budget { time: Some(SECOND * 100), ..Budget::default() };
    let nodes = [node("a", &[]), node("b", &["a"])];
    let old = submit_job(&*store, NewJob { spec: JobSpec { budget, ..JobSpec::default() }, ..job(nodes) }).await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    settle_down(&*store).await;
    end_named(&*store, session, "b", Verdict::GiveUp).await;
    ended(&*store, old).await;
    let before = told(&*store, old).await;
    subject.advance(SECOND * 90);
    let new = store.retry_job(RetryJob { job: old, from: Vec::new() }).await.expect("the store works");
    let new = new.expect("it has ended").id;
    settle_down(&*store).await;
    assert_eq!(told(&*store, old).await, before);
    assert_eq!(told(&*store, new).await, ["job-submitted", "submitted", "succeeded", "submitted"]);
}
