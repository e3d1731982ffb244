//! Ends that come from outside: what waits for them, what comes too early, and what comes twice.

use sunaba_task::job::JobState;
use sunaba_task::{CallbackOn, Happening, StateName};

use super::jobs::{awaited, end_named, ended, find_job, job, lease_named, node, states, submit_job};
use super::*;
use crate::{CompleteError, EventQuery, NewCompletion, TaskQuery};

fn given(output: &str) -> NewCompletion {
    NewCompletion { output: Payload::json(output.to_owned()), by: Some("alice".into()), with_token: false }
}

async fn complete(store: &dyn Store, id: TaskId, given: NewCompletion) -> Result<Task, CompleteError> {
    store.complete(id, given).await.expect("the store works")
}

/// An attempt that ends with a wait of a minute; as the worker decides it, by the record that it has.
fn wait(leased: &Leased) -> Settlement {
    let ending = Ending::Snoozed { reason: "for alice".into() };
    Settlement { ending, ..settlement(leased, Verdict::Await(SECOND * 60)) }
}

/// A task that waits to be completed.
async fn waiting(store: &dyn Store, session: SessionId, new: NewTask) -> Task {
    submit(store, new).await;
    let leased = lease_one(store, session).await;
    settle(store, wait(&leased)).await.expect("it has the lease")
}

async fn output(store: &dyn Store, id: TaskId) -> Option<Payload> {
    store.output(id).await.expect("the store works")
}

async fn listed(store: &dyn Store) -> Vec<TaskId> {
    let query = TaskQuery { awaiting_completion: true, limit: 10, ..TaskQuery::default() };
    store.tasks(query).await.expect("the store works").tasks.iter().map(|task| task.id).collect()
}

async fn words(store: &dyn Store) -> Vec<String> {
    let query = EventQuery { after: Some(0), limit: 100, ..EventQuery::default() };
    let page = store.events(query).await.expect("the store works");
    let told = page.of_tasks().filter(|event| !matches!(event.what, Happening::Started { .. }));
    told.map(|event| event.what.word().to_owned()).collect()
}

/// Whether somebody completes or cancels it: it waits for its children, and for nobody else.
pub async fn parent_that_was_completed_or_cancelled_is_not_listed_as_waiting(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for completed in [true, false] {
        submit(&*store, new_task()).await;
        let leased = lease_one(&*store, session).await;
        store.submit_child(leased.token, node("a", &[])).await.expect("the store works").expect("it is taken on");
        let Err(SettleError::Stale(moved)) = settle(&*store, wait(&leased)).await else { panic!("it has moved") };
        let waits = Settlement { revision: moved.revision, ..wait(&leased) };
        let id = settle(&*store, waits).await.expect("it has the lease").id;
        assert_eq!(listed(&*store).await, [id]);
        let task = match completed {
            true => complete(&*store, id, given("\"yes\"")).await.expect("it waits"),
            false => cancel(&*store, id).await,
        };
        assert!(task.waits_for_children(), "{task:#?}");
        assert_eq!((task.awaits, listed(&*store).await), (None, vec![]));
        settle_down(&*store).await;
        // The child of the cancelled one is not run.
        for child in lease(&*store, session, 1).await {
            settle(&*store, settlement(&child, Verdict::Succeed)).await.expect("it has the lease");
        }
        let ended = store.wait(id, SECOND * 60).await.expect("the store works").expect("it is there");
        assert_eq!(ended.state.name(), if completed { StateName::Succeeded } else { StateName::Cancelled });
    }
}

/// It has the output that was given, is never run again, and whoever waits for its end is told.
pub async fn task_that_waits_is_completed_from_outside(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let task = waiting(&*store, session, new_task()).await;
    let awaits = task.awaits.clone().expect("it waits");
    assert_eq!(
        (task.state.name(), task.due_at(), &*awaits.reason),
        (StateName::Scheduled, Some(awaits.until), "for alice")
    );
    let told = store.wait(task.id, SECOND * 60);
    let (told, completed) = tokio::join!(told, complete(&*store, task.id, given("\"yes\"")));
    let ended = completed.expect("it waits");
    assert_eq!(told.expect("the store works"), Some(ended.clone()));
    let by = ended.completion.as_ref().expect("it was completed");
    assert_eq!((by.by.as_deref(), by.taken, by.at), (Some("alice"), true, ended.ended_at.expect("it has ended")));
    assert_eq!((ended.state.name(), ended.awaits, ended.attempts_started), (StateName::Succeeded, None, 1));
    assert_eq!(output(&*store, task.id).await, Some(Payload::json("\"yes\"")));
    assert_eq!(words(&*store).await, ["submitted", "awaiting-completion", "succeeded"]);
    assert_eq!(store.queue(task.spec.queue.clone()).await.expect("the store works").scheduled, 0);
    subject.advance(SECOND * 120);
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 1).await, []);
}

/// It is run again, uncharged, and is told so; until then it can still be completed.
pub async fn task_that_nobody_completes_is_run_again(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let task = waiting(&*store, session, new_task()).await;
    let late = waiting(&*store, session, new_task()).await;
    subject.advance(SECOND * 60);
    let session = open(&*store).await;
    let again = lease_one(&*store, session).await;
    assert_eq!((again.task.id, again.task.attempts_started, again.task.failures_charged), (task.id, 2, 0));
    assert_eq!((again.task.completion_waits, &again.task.awaits), (1, &None));
    let due = find(&*store, late.id).await.expect("it is there");
    assert_eq!((due.state.name(), due.can_be_completed()), (StateName::Queued, true));
    let ended = complete(&*store, late.id, given("1")).await.expect("it still waits");
    assert_eq!((ended.state.name(), ended.attempts_started), (StateName::Succeeded, 1));
    assert_eq!(lease(&*store, session, 1).await, []);
    let waits = settle(&*store, wait(&again)).await.expect("it has the lease");
    assert_eq!(waits.completion_waits, 2);
}

/// The outside was quicker than the attempt's end: what was given is kept, and meets the wait. A large output, too.
pub async fn completion_that_comes_first_meets_the_wait(subject: &mut impl Subject) {
    let store = subject.store();
    for size in [1, 100_000] {
        let body = format!("\"{}\"", "x".repeat(size));
        let session = open(&*store).await;
        submit(&*store, new_task()).await;
        let leased = lease_one(&*store, session).await;
        let id = leased.task.id;
        let kept = complete(&*store, id, given(&body)).await.expect("it runs");
        assert_eq!((kept.state.name(), kept.output.is_some()), (StateName::Running, false));
        assert_eq!(output(&*store, id).await, None, "nobody sees it before the end");
        // Whoever decides by what was there before is told.
        let Err(SettleError::Stale(moved)) = settle(&*store, wait(&leased)).await else { panic!("it has moved") };
        let ended = settle(&*store, taking(&leased, &moved)).await.expect("it has the lease");
        assert_eq!(
            (ended.state.name(), ended.completion.is_some_and(|given| given.taken)),
            (StateName::Succeeded, true)
        );
        assert_eq!(output(&*store, id).await, Some(Payload::json(body)));
    }
}

/// The end of an attempt that waits for what was given already, decided by this record.
fn taking(leased: &Leased, record: &Task) -> Settlement {
    let decision = Decision::uncharged(Verdict::Succeed, Policy::Completed, "r".into());
    Settlement { revision: record.revision, decision, output: None, ..wait(leased) }
}

/// An attempt that has an output of its own gives that, and one that fails fails; what was given is told, and gone.
pub async fn attempt_that_ends_by_itself_does_not_take_a_completion(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for (size, own) in [(1, 1), (1, 1_000), (1_000, 1), (1_000, 1_000)] {
        let body = |size: usize, letter: &str| format!("\"{}\"", letter.repeat(size));
        submit(&*store, new_task()).await;
        let leased = lease_one(&*store, session).await;
        let id = leased.task.id;
        let kept = complete(&*store, id, given(&body(size, "x"))).await.expect("it runs");
        let own = Payload::json(body(own, "y"));
        let success =
            Settlement { revision: kept.revision, output: Some(own.clone()), ..settlement(&leased, Verdict::Succeed) };
        let ended = settle(&*store, success).await.expect("it has the lease");
        assert!(ended.completion.as_ref().is_some_and(|given| !given.taken), "{ended:#?}");
        assert_eq!(output(&*store, id).await, Some(own));
        let late = complete(&*store, id, given(&body(size, "x"))).await;
        assert!(matches!(late, Err(CompleteError::Ended { state: StateName::Succeeded, .. })), "{late:?}");
        // And nothing stays behind.
        store.delete(vec![id]).await.expect("the store works").remove(0).expect("it has ended");
        assert_eq!(find(&*store, id).await, None);
    }
    submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    let kept = complete(&*store, leased.task.id, given("1")).await.expect("it runs");
    let failed = Settlement { revision: kept.revision, ..settlement(&leased, Verdict::GiveUp) };
    let dead = settle(&*store, failed).await.expect("it has the lease");
    assert_eq!((dead.state.name(), dead.output), (StateName::Dead, None));
    assert_eq!(output(&*store, dead.id).await, None);
}

/// Acknowledged is acknowledged: it is found by the attempt that waits, however many there are in between.
pub async fn kept_completion_outlives_failures_and_restarts(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    let body = format!("\"{}\"", "x".repeat(1_000));
    let kept = complete(&*store, leased.task.id, given(&body)).await.expect("it runs");
    let failed = Settlement { revision: kept.revision, ..settlement(&leased, Verdict::Retry(SECOND)) };
    settle(&*store, failed).await.expect("it has the lease");
    subject.advance(SECOND);
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    lease_one(&*store, session).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!((leased.task.attempts_started, leased.task.hosts_lost), (3, 1));
    let ended = settle(&*store, taking(&leased, &leased.task)).await.expect("it has the lease");
    assert_eq!(ended.state.name(), StateName::Succeeded);
    assert_eq!(output(&*store, ended.id).await, Some(Payload::json(body)));
}

/// What was given to a task that runs is there after a crash, though its record says that it waits for a slot.
pub async fn completion_of_a_running_task_outlives_its_host(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    complete(&*store, leased.task.id, given("1")).await.expect("it runs");
    drop(store);
    subject.restart();
    let store = subject.store();
    let task = find(&*store, leased.task.id).await.expect("it is there");
    assert_eq!((task.state.name(), task.hosts_lost), (StateName::Queued, 1));
    assert!(task.completion.is_some_and(|given| !given.taken && given.by.as_deref() == Some("alice")));
}

/// The first stands, while it is kept and when it was taken.
pub async fn same_completion_is_the_same_answer_and_another_conflicts(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    let id = leased.task.id;
    let check = async |first: &Task| {
        let by_bob = NewCompletion { by: Some("bob".into()), ..given("1") };
        assert_eq!(complete(&*store, id, by_bob).await.as_ref(), Ok(first));
        let other = NewCompletion { output: Payload::new("text/plain", "1"), ..given("1") };
        for other in [given("2"), other] {
            let refused = complete(&*store, id, other).await.expect_err("another was given before");
            assert!(matches!(&refused, CompleteError::Already { who, .. } if who == "`alice`"), "{refused:?}");
        }
    };
    let kept = complete(&*store, id, given("1")).await.expect("it runs");
    check(&kept).await;
    let ended = settle(&*store, taking(&leased, &kept)).await.expect("it has the lease");
    check(&ended).await;
}

/// Whoever gives it is told where the task stands, and nothing is changed.
pub async fn only_what_waits_or_has_begun_is_completed(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let unknown = TaskId::new();
    assert_eq!(complete(&*store, unknown, given("1")).await, Err(CompleteError::Unknown(unknown)));
    let queued = submit(&*store, new_task()).await;
    let delayed = submit(&*store, with(|new| new.start = Some(When::After(SECOND * 9)))).await;
    for task in [&queued, &delayed] {
        let refused = complete(&*store, task.id, given("1")).await;
        let (state, since) = (task.state.name(), task.since);
        assert_eq!(refused, Err(CompleteError::NotWaiting { task: task.id, state, since }));
    }
    let leased = lease_one(&*store, session).await;
    let cancelled = cancel(&*store, leased.task.id).await;
    let at = cancelled.cancel.as_ref().expect("it was asked for").at;
    let refused = complete(&*store, queued.id, given("1")).await;
    assert_eq!(refused, Err(CompleteError::Cancelling { task: queued.id, at }));
    cancel(&*store, delayed.id).await;
    let refused = complete(&*store, delayed.id, given("1")).await;
    assert!(matches!(refused, Err(CompleteError::Ended { state: StateName::Cancelled, .. })), "{refused:?}");
}

/// Before its end and after, whether or not it was completed.
pub async fn cancel_wins_over_a_completion(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let task = waiting(&*store, session, new_task()).await;
    assert_eq!(cancel(&*store, task.id).await.state.name(), StateName::Cancelled);
    submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    complete(&*store, leased.task.id, given("1")).await.expect("it runs");
    let asked = cancel(&*store, leased.task.id).await;
    let verdict = Settlement { revision: asked.revision, ..settlement(&leased, Verdict::Cancel) };
    let ended = settle(&*store, verdict).await.expect("it has the lease");
    assert_eq!((ended.state.name(), ended.output), (StateName::Cancelled, None));
    assert_eq!(output(&*store, ended.id).await, None);
}

/// As long as it waits, and no longer.
pub async fn tasks_that_wait_to_be_completed_are_listed(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, with(|new| new.start = Some(When::After(SECOND * 900)))).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(waiting(&*store, session, new_task()).await.id);
    }
    let newest = |tasks: &[TaskId]| tasks.iter().rev().copied().collect::<Vec<_>>();
    assert_eq!(listed(&*store).await, newest(&tasks));
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(listed(&*store).await, newest(&tasks));
    complete(&*store, tasks[0], given("1")).await.expect("it waits");
    cancel(&*store, tasks[1]).await;
    assert_eq!(listed(&*store).await, newest(&tasks[2..]));
    subject.advance(SECOND * 60);
    assert_eq!(listed(&*store).await, newest(&tasks[2..]), "they can still be completed");
    let session = open(&*store).await;
    lease_one(&*store, session).await;
    assert_eq!(listed(&*store).await, [tasks[3]]);
}

/// Whoever waits for it goes on with what was given.
pub async fn job_that_waits_for_a_completion_is_not_stuck(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, job([node("ask", &[]), node("act", &["ask"])])).await;
    let ask = lease_named(&*store, session, "ask").await;
    settle(&*store, wait(&ask)).await.expect("it has the lease");
    settle_down(&*store).await;
    assert_eq!(find_job(&*store, id).await.state, JobState::Running);
    assert_eq!(states(&*store, id).await, "act=blocked ask=scheduled");
    // Nor is one whose queue is paused when the time is over.
    set_queue(&*store, &ask.task.spec.queue, &[QueueChange::Paused(true)]).await;
    subject.advance(SECOND * 90);
    let session = open(&*store).await;
    assert_eq!(find_job(&*store, id).await.state, JobState::Running);
    complete(&*store, ask.task.id, given("\"yes\"")).await.expect("it waits");
    settle_down(&*store).await;
    set_queue(&*store, &ask.task.spec.queue, &[QueueChange::Paused(false)]).await;
    let act = store.plan(crate::PlanQuery::of(id, 10)).await.expect("the store works").tasks.remove(0);
    let gave = store.awaited(act.id, awaited("ask"), None).await.expect("the store works").awaited.remove(0);
    assert_eq!((gave.task, gave.output), (ask.task.id, Some(Payload::json("\"yes\""))));
    end_named(&*store, session, "act", Verdict::Succeed).await;
    assert_eq!(ended(&*store, id).await.state, JobState::Succeeded);
}

/// As of any other success.
pub async fn callback_follows_a_completion(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let callback = sunaba_task::Callback { on: CallbackOn::Success, spec: new_task().spec };
    let task = waiting(&*store, session, with(|new| new.callbacks = vec![callback])).await;
    let ended = complete(&*store, task.id, given("\"yes\"")).await.expect("it waits");
    let follower = lease_one(&*store, session).await;
    assert_eq!(ended.followers, [follower.task.id]);
    let input = String::from_utf8_lossy(&follower.input.bytes).into_owned();
    assert!(input.contains(r#""output":"yes""#), "{input}");
}

/// The same after a restart, and another for every task.
pub async fn token_of_a_task_is_its_own_for_ever(subject: &mut impl Subject) {
    let store = subject.store();
    let (task, other) = (TaskId::new(), TaskId::new());
    let token = store.completion_token(task).await.expect("the store works");
    let others = store.completion_token(other).await.expect("the store works");
    assert!(token.is(token.reveal()) && !token.is(others.reveal()));
    drop(store);
    subject.restart();
    let again = subject.store().completion_token(task).await.expect("the store works");
    assert_eq!(again.reveal(), token.reveal());
}
