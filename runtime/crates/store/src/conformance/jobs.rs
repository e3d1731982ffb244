//! Jobs: tasks in their order, what a failure means to the others, stops, and ends.

use std::collections::BTreeMap;

use sunaba_task::job::{After, Awaited, Job, JobCause, JobId, JobSpec, JobState, NewJob, Node, NodeName, OnFailure};
use sunaba_task::{Receipt, StateName};

use super::*;
use crate::{DeleteError, JobQuery, PlanQuery, SubmitJobError, SubmittedJob};

fn name(name: &str) -> NodeName {
    name.parse().expect("a name")
}

pub(super) fn awaited(text: &str) -> Awaited {
    text.parse().expect("it can be awaited")
}

pub(super) fn node(name: &str, after: &[&str]) -> Node {
    let after = after.iter().map(|text| After::new(awaited(text))).collect();
    Node { after, ..Node::new(self::name(name), new_task()) }
}

pub(super) fn job(nodes: impl IntoIterator<Item = Node>) -> NewJob {
    NewJob { nodes: nodes.into_iter().collect(), ..NewJob::default() }
}

fn ruled(rule: OnFailure, job: NewJob) -> NewJob {
    NewJob { spec: JobSpec { on_failure: rule, ..job.spec }, ..job }
}

pub(super) async fn submit_job(store: &dyn Store, job: NewJob) -> JobId {
    store.submit_job(job).await.expect("the store works").expect("it is taken on").into_job().id
}

pub(super) async fn find_job(store: &dyn Store, id: JobId) -> Job {
    store.job(id).await.expect("the store works").expect("it is there")
}

/// The job's end, which comes without anybody doing anything more.
pub(super) async fn ended(store: &dyn Store, id: JobId) -> Job {
    let job = store.wait_job(id, SECOND * 60).await.expect("the store works").expect("it is there");
    assert!(job.state.is_terminal(), "{job:#?}");
    job
}

/// The tasks of a job by their names.
pub(super) async fn tasks(store: &dyn Store, id: JobId) -> BTreeMap<String, Task> {
    let page = store.plan(PlanQuery::of(id, 100)).await.expect("the store works");
    assert_eq!(page.next, None);
    let named = |task: Task| (task.job.as_ref().expect("it is of a job").name.to_string(), task);
    page.tasks.into_iter().map(named).collect()
}

pub(super) async fn states(store: &dyn Store, id: JobId) -> String {
    let tasks = tasks(store, id).await;
    tasks.into_iter().map(|(name, task)| format!("{name}={}", task.state.name())).collect::<Vec<_>>().join(" ")
}

/// Leases the task of this name, which is the only one that can be had.
pub(super) async fn lease_named(store: &dyn Store, session: SessionId, name: &str) -> Leased {
    let mut leased = lease(store, session, 10).await;
    assert_eq!(leased.len(), 1, "{leased:#?}");
    let leased = leased.remove(0);
    assert_eq!(leased.task.job.as_ref().expect("it is of a job").name.as_str(), name);
    leased
}

pub(super) async fn end_named(store: &dyn Store, session: SessionId, name: &str, verdict: Verdict) {
    let leased = lease_named(store, session, name).await;
    settle(store, settlement(&leased, verdict)).await.expect("it has the lease");
}

/// Each waits for the one before, and nothing else runs meanwhile.
pub async fn chain_runs_in_its_order_and_its_job_succeeds(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, job([node("c", &["b"]), node("b", &["a"]), node("a", &[])])).await;
    for next in ["a", "b", "c"] {
        assert_eq!(find_job(&*store, id).await.state, JobState::Running);
        end_named(&*store, session, next, Verdict::Succeed).await;
    }
    let ended = ended(&*store, id).await;
    assert_eq!(
        (ended.state, ended.cause, ended.tasks.total(), ended.spent.attempts),
        (JobState::Succeeded, None, 3, 3)
    );
    assert!(ended.ended_at.is_some());
    assert_eq!(states(&*store, id).await, "a=succeeded b=succeeded c=succeeded");
}

/// With none, with one, and with more members.
pub async fn join_runs_once_after_all_of_its_group(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for members in [0, 1, 3] {
        let parts = (0..members).map(|number| node(&format!("part/{number}"), &[]));
        let id = submit_job(&*store, job(parts.chain([node("join", &["part/*"])]))).await;
        settle_down(&*store).await;
        let leased = lease(&*store, session, 10).await;
        if members > 0 {
            assert_eq!(leased.len(), members, "the join must wait");
            for leased in leased {
                settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
            }
            end_named(&*store, session, "join", Verdict::Succeed).await;
        } else {
            settle(&*store, settlement(&leased[0], Verdict::Succeed)).await.expect("it has the lease");
        }
        let ended = ended(&*store, id).await;
        assert_eq!((ended.state, ended.tasks.total()), (JobState::Succeeded, members as u64 + 1));
        assert_eq!(lease(&*store, session, 10).await, []);
    }
}

/// It has ended at once.
pub async fn job_without_tasks_succeeds(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit_job(&*store, job([])).await;
    assert_eq!(ended(&*store, id).await.state, JobState::Succeeded);
}

/// Whoever waits is not run, and neither is whoever waits for that; the others go on.
pub async fn failure_ends_those_who_wait_for_it(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let nodes = [node("a", &[]), node("b", &["a"]), node("c", &["b"]), node("d", &["c/*"]), node("c/1", &["a"])];
    let id = submit_job(&*store, job(nodes)).await;
    end_named(&*store, session, "a", Verdict::GiveUp).await;
    let ended = ended(&*store, id).await;
    let failed = tasks(&*store, id).await.remove("a").expect("it is there").id;
    assert_eq!(ended.cause, Some(JobCause::Task { name: name("a"), task: failed }));
    assert_eq!(ended.state, JobState::Failed);
    assert_eq!(states(&*store, id).await, "a=dead b=cancelled c=cancelled c/1=cancelled d=cancelled");
    let skipped = tasks(&*store, id).await.remove("b").expect("it is there");
    assert_eq!(skipped.cancel.expect("it was not run").reason, "`a`, which it waits for, did not succeed");
}

/// By the job's rule or by the dependency's own, which is the stronger.
pub async fn failure_can_be_done_without(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for (of_job, own, state, partial) in [
        (OnFailure::Continue, None, JobState::Succeeded, true),
        (OnFailure::Ignore, None, JobState::Succeeded, false),
        (OnFailure::Fail, Some(OnFailure::Continue), JobState::Succeeded, true),
        (OnFailure::Fail, Some(OnFailure::Ignore), JobState::Succeeded, false),
        // What was not run for it is done without as well.
        (OnFailure::Continue, Some(OnFailure::Fail), JobState::Failed, true),
    ] {
        let mut join = node("join", &["part/*"]);
        join.after[0].on_failure = own;
        let nodes = [node("part/1", &[]), node("part/2", &[]), join];
        let id = submit_job(&*store, ruled(of_job, job(nodes))).await;
        settle_down(&*store).await;
        for (leased, verdict) in lease(&*store, session, 2).await.iter().zip([Verdict::GiveUp, Verdict::Succeed]) {
            settle(&*store, settlement(leased, verdict)).await.expect("it has the lease");
        }
        if state == JobState::Succeeded {
            let leased = lease_named(&*store, session, "join").await;
            let got = store.awaited(leased.task.id, awaited("part/*"), None).await.expect("the store works").awaited;
            let got: Vec<_> = got.into_iter().map(|got| (got.name, got.state, got.output.is_some())).collect();
            let expected = [(name("part/1"), StateName::Dead, false), (name("part/2"), StateName::Succeeded, true)];
            assert_eq!(got, expected);
            settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
        }
        let ended = ended(&*store, id).await;
        assert_eq!((ended.state, ended.partial), (state, partial), "{of_job} {own:?}");
    }
}

/// A failure for which nothing waits is the job's own.
pub async fn failure_at_the_end_of_a_plan_is_ruled_by_the_job(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for (rule, state, partial) in [
        (OnFailure::Fail, JobState::Failed, false),
        (OnFailure::Continue, JobState::Succeeded, true),
        (OnFailure::Ignore, JobState::Succeeded, false),
    ] {
        let id = submit_job(&*store, ruled(rule, job([node("only", &[])]))).await;
        end_named(&*store, session, "only", Verdict::GiveUp).await;
        let ended = ended(&*store, id).await;
        assert_eq!((ended.state, ended.partial), (state, partial), "{rule}");
    }
}

/// What waits is cancelled at once, what runs is told, and the job has ended when that has.
pub async fn first_failure_stops_the_others_if_asked(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let mut new = job([node("a", &[]), node("b", &[]), node("c", &[]), node("d", &["b"])]);
    new.spec.stop_on_failure = true;
    let id = submit_job(&*store, new).await;
    settle_down(&*store).await;
    let leased = lease(&*store, session, 2).await;
    settle(&*store, settlement(&leased[0], Verdict::GiveUp)).await.expect("it has the lease");
    settle_down(&*store).await;
    assert_eq!(states(&*store, id).await, "a=dead b=running c=cancelled d=cancelled");
    assert_eq!(find_job(&*store, id).await.state, JobState::Stopping);
    let told = store.renew(session, Duration::ZERO).await.expect("the session lives");
    assert_eq!(told.iter().map(|told| told.task).collect::<Vec<_>>(), [leased[1].task.id]);
    let revision = find(&*store, leased[1].task.id).await.expect("it is there").revision;
    let settlement = Settlement { revision, ..settlement(&leased[1], Verdict::Cancel) };
    settle(&*store, settlement).await.expect("it has the lease");
    assert_eq!(ended(&*store, id).await.state, JobState::Failed);
}

/// Before its tasks were made, while they wait and while one runs.
pub async fn cancelled_job_has_ended_when_all_of_it_has(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, job([node("a", &[]), node("b", &["a"]), node("c", &[])])).await;
    settle_down(&*store).await;
    let running = lease_one(&*store, session).await;
    let wish = CancelWish { reason: "not needed".into(), grace: None };
    let asked = store.cancel_job(id, wish.clone()).await.expect("the store works").expect("it is there");
    assert_eq!(asked.state, JobState::Stopping);
    settle_down(&*store).await;
    assert_eq!(states(&*store, id).await, "a=running b=cancelled c=cancelled");
    let revision = find(&*store, running.task.id).await.expect("it is there").revision;
    let settlement = Settlement { revision, ..settlement(&running, Verdict::Cancel) };
    settle(&*store, settlement).await.expect("it has the lease");
    let ended = ended(&*store, id).await;
    assert_eq!(
        (ended.state, ended.cause.clone()),
        (JobState::Cancelled, Some(JobCause::Cancelled("not needed".into())))
    );
    let again = store.cancel_job(id, wish.clone()).await.expect("the store works").expect("it is there");
    assert_eq!(again, ended, "what has ended does not change");
    let unknown = JobId::from_bytes([7; 16]);
    assert_eq!(store.cancel_job(unknown, wish).await.expect("the store works"), None);
}

/// A cancelled task is one that has not succeeded.
pub async fn task_that_is_cancelled_alone_is_a_failure_to_its_job(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    settle_down(&*store).await;
    let first = tasks(&*store, id).await.remove("a").expect("it is there").id;
    cancel(&*store, first).await;
    assert_eq!(ended(&*store, id).await.state, JobState::Failed);
    assert_eq!(states(&*store, id).await, "a=cancelled b=cancelled");
}

/// Whatever the store was at when its process was killed.
pub async fn job_goes_on_after_a_restart(subject: &mut impl Subject) {
    let parts = 2_500;
    let nodes = (0..parts).map(|number| node(&format!("part/{number:04}"), &["first"]));
    let nodes: Vec<_> = nodes.chain([node("first", &[]), node("join", &["part/*"])]).collect();
    let id = submit_job(&*subject.store(), job(nodes)).await;
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    // Its tasks are made meanwhile.
    let first = loop {
        if let Some(leased) = lease(&*store, session, 1).await.pop() {
            break leased;
        }
    };
    settle(&*store, settlement(&first, Verdict::Succeed)).await.expect("it has the lease");
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    let mut done = 0;
    while done < parts {
        let leased = lease(&*store, session, 500).await;
        let settlements: Vec<_> = leased.iter().map(|leased| settlement(leased, Verdict::Succeed)).collect();
        assert!(leased.iter().all(|leased| leased.task.job.as_ref().expect("of a job").name.group() == Some("part")));
        done += settlements.len();
        let settled = store.settle(settlements).await.expect("the store works");
        assert!(settled.iter().all(Result::is_ok));
    }
    assert_eq!(done, parts);
    end_named(&*store, session, "join", Verdict::Succeed).await;
    let ended = ended(&*store, id).await;
    assert_eq!(
        (ended.state, ended.tasks.total(), ended.tasks.unfinished()),
        (JobState::Succeeded, parts as u64 + 2, 0)
    );
}

/// The job fails by the rule of those who wait, though they come into being after the end.
pub async fn failure_counts_before_those_are_made_who_wait_for_it(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let parts = 2_500;
    let mut nodes: Vec<_> = (0..parts).map(|number| node(&format!("part/{number:04}"), &["first"])).collect();
    nodes.push(node("first", &[]));
    nodes.iter_mut().flat_map(|node| &mut node.after).for_each(|after| after.on_failure = Some(OnFailure::Fail));
    let id = submit_job(&*store, ruled(OnFailure::Ignore, job(nodes))).await;
    let first = loop {
        if let Some(leased) = lease(&*store, session, 1).await.pop() {
            break leased;
        }
    };
    settle(&*store, settlement(&first, Verdict::GiveUp)).await.expect("it has the lease");
    let ended = ended(&*store, id).await;
    assert_eq!((ended.state, ended.tasks.in_state(StateName::Cancelled)), (JobState::Failed, parts as u64));
    assert_eq!(ended.cause, Some(JobCause::Task { name: name("first"), task: first.task.id }));
}

/// As the one that a record of so many tasks would be.
pub async fn counts_of_a_job_are_right_after_a_restart(subject: &mut impl Subject) {
    let id = submit_job(&*subject.store(), job([node("a", &[]), node("b", &["a"]), node("c", &[])])).await;
    let store = subject.store();
    settle_down(&*store).await;
    let session = open(&*store).await;
    lease_one(&*store, session).await;
    let counts =
        |job: &Job| [StateName::Blocked, StateName::Queued, StateName::Running].map(|state| job.tasks.in_state(state));
    assert_eq!(counts(&find_job(&*store, id).await), [1, 1, 1]);
    drop(store);
    subject.restart();
    let job = find_job(&*subject.store(), id).await;
    assert_eq!((counts(&job), job.spent.attempts), ([1, 2, 0], 1));
}

/// Twice is once.
pub async fn same_key_and_plan_give_the_same_job(subject: &mut impl Subject) {
    let store = subject.store();
    let keyed = |nodes: Vec<Node>| {
        let mut job = job(nodes);
        job.spec.idempotency_key = Some("nightly".into());
        job
    };
    let first = submit_job(&*store, keyed(vec![node("a", &[])])).await;
    let again = store.submit_job(keyed(vec![node("a", &[])])).await.expect("the store works").expect("it is known");
    assert!(matches!(again, SubmittedJob::Existing(job) if job.id == first));
    let other = store.submit_job(keyed(vec![node("b", &[])])).await.expect("the store works");
    assert_eq!(other, Err(SubmitJobError::Conflict { key: "nightly".into(), job: first }));
}

/// Nothing is taken on of it.
pub async fn plan_that_cannot_be_run_is_refused(subject: &mut impl Subject) {
    let store = subject.store();
    let refused = async |new: NewJob| {
        store.submit_job(new).await.expect("the store works").expect_err("it is refused").to_string()
    };
    assert!(refused(job([node("a", &["b"]), node("b", &["a"])])).await.contains("`a` waits for `b` waits for `a`"));
    assert!(refused(job([node("a", &["c"])])).await.contains("which the plan does not have"));
    let mut small = job([node("a", &[]), node("b", &[])]);
    small.spec.budget.tasks = 1;
    assert!(refused(small).await.contains("the plan has 2 tasks, and the job's budget `tasks` is 1"));
    let mut without = job([node("a", &[])]);
    without.spec.result = Some(name("b"));
    assert!(refused(without).await.contains("the job's result is to be that of `b`"));
    assert_eq!(store.jobs(JobQuery { limit: 10, ..JobQuery::default() }).await.expect("the store works").jobs, []);
    assert_eq!(store.tasks(crate::TaskQuery::default()).await.expect("the store works").tasks, []);
}

/// By state and by tag, and page by page.
pub async fn newest_jobs_are_listed_first(subject: &mut impl Subject) {
    let store = subject.store();
    let mut ids = Vec::new();
    for number in 0..5 {
        let mut new = job(if number % 2 == 0 { vec![node("a", &[])] } else { Vec::new() });
        new.spec.tags = vec![format!("tag-{}", number % 2)];
        ids.insert(0, submit_job(&*store, new).await);
    }
    let listed = async |query: JobQuery| {
        let (mut query, mut ids) = (JobQuery { limit: 2, ..query }, Vec::new());
        loop {
            let page = store.jobs(query.clone()).await.expect("the store works");
            ids.extend(page.jobs.into_iter().map(|job| job.id));
            match page.next {
                Some(next) => query.before = Some(next),
                None => return ids,
            }
        }
    };
    assert_eq!(listed(JobQuery::default()).await, ids);
    let running = JobQuery { states: vec![JobState::Running], ..JobQuery::default() };
    assert_eq!(listed(running).await, [ids[0], ids[2], ids[4]]);
    let tagged = JobQuery { tag: Some("tag-1".into()), ..JobQuery::default() };
    assert_eq!(listed(tagged).await, [ids[1], ids[3]]);
}

/// However many there are.
pub async fn outputs_are_given_page_by_page_in_the_order_of_names(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let count = 1_200;
    let parts = (0..count).map(|number| node(&format!("part/{number:04}"), &[]));
    let id = submit_job(&*store, job(parts.chain([node("join", &["part/*"]), node("part/0007/x", &[])]))).await;
    let (mut done, mut join) = (0, None);
    while join.is_none() {
        let leased = lease(&*store, session, 500).await;
        let mut settlements = Vec::new();
        for leased in &leased {
            let name = leased.task.job.as_ref().expect("of a job").name.to_string();
            match name.as_str() {
                "join" => join = Some(leased.task.id),
                _ => settlements.push(Settlement {
                    output: Some(Payload::json(format!("\"{name}\""))),
                    ..settlement(leased, Verdict::Succeed)
                }),
            }
        }
        done += settlements.len();
        store.settle(settlements).await.expect("the store works");
    }
    assert_eq!(done, count + 1);
    let (mut outputs, mut after) = (Vec::new(), None);
    loop {
        let join = join.expect("it was leased");
        let page = store.awaited(join, awaited("part/*"), after).await.expect("the store works");
        outputs.extend(page.awaited.into_iter().map(|got| got.output.expect("it succeeded").bytes));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = (0..count).map(|number| format!("\"part/{number:04}\"")).collect();
    assert!(outputs.iter().map(|output| output.as_ref()).eq(expected.iter().map(String::as_bytes)));
    let one = store.awaited(join.expect("it was leased"), awaited("part/0007"), None).await.expect("the store works");
    assert_eq!(one.awaited.len(), 1);
    assert_eq!(find_job(&*store, id).await.state, JobState::Running);
}

/// However long the job takes; then as long as that of any other task.
pub async fn outputs_are_kept_as_long_as_their_job_runs(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    let first = tasks(&*store, id).await.remove("a").expect("it is there").id;
    let deleted = store.delete(vec![first]).await.expect("the store works");
    assert_eq!(deleted, [Err(DeleteError::JobNotEnded { task: first, job: id })]);
    subject.advance(SECOND * 60 * 60 * 24 * 30);
    let store = subject.store();
    let session = open(&*store).await;
    assert_eq!(store.output(first).await.expect("the store works"), Some(Payload::json("1")));
    end_named(&*store, session, "b", Verdict::Succeed).await;
    ended(&*store, id).await;
    settle_down(&*store).await;
    let retention = store.retention().await.expect("the store works");
    subject.advance(retention.result + SLACK);
    settle_down(&*store).await;
    assert_eq!(store.output(first).await.expect("the store works"), None);
    assert!(find(&*store, first).await.is_some());
    subject.advance(retention.succeeded.expect("they go") + SLACK);
    settle_down(&*store).await;
    assert_eq!((find(&*store, first).await, store.job(id).await.expect("the store works")), (None, None));
}

/// Over all attempts of all tasks.
pub async fn fuel_of_a_job_is_summed(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    settle_down(&*store).await;
    for (verdict, fuel) in [(Verdict::Retry(Duration::ZERO), 5), (Verdict::Succeed, 7), (Verdict::Succeed, 30)] {
        let leased = lease_one(&*store, session).await;
        let receipt = Receipt { fuel: Some(fuel), ..Receipt::unmeasured(leased.task.spec.component) };
        let settlement = Settlement { receipt: Some(receipt), ..settlement(&leased, verdict) };
        settle(&*store, settlement).await.expect("it has the lease");
        settle_down(&*store).await;
    }
    let ended = ended(&*store, id).await;
    assert_eq!((ended.spent.fuel, ended.spent.attempts, ended.spent.tasks), (42, 3, 2));
}
