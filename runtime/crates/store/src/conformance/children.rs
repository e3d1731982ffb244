//! Tasks that have children: plans that handlers return, and single children that they submit.

use std::sync::Arc;

use sunaba_task::job::{
    BudgetName, Job, JobCause, JobId, JobQueues, JobSpec, JobState, NewJob, NewPlan, Node, OnFailure,
};
use sunaba_task::{LeaseToken, StateName};

use super::jobs::{ended, job, node, submit_job};
use super::*;
use crate::{ChildPlanError, PlanQuery, SubmitChildError, Submitted};

fn plan(join: Option<&str>, nodes: impl IntoIterator<Item = Node>) -> NewPlan {
    let join = join.map(|join| join.parse().expect("a name"));
    NewPlan { nodes: nodes.into_iter().collect(), join, ..NewPlan::default() }
}

fn decomposed(leased: &Leased, plan: NewPlan) -> Settlement {
    let ending = Ending::Decomposed { children: plan.nodes.len() as u64 };
    Settlement { ending, plan: Some(Arc::new(plan)), ..settlement(leased, Verdict::Decompose) }
}

async fn decompose(store: &dyn Store, leased: &Leased, plan: NewPlan) -> Task {
    settle(store, decomposed(leased, plan)).await.expect("it has the lease")
}

async fn succeed(store: &dyn Store, leased: &Leased, output: &str) -> Task {
    let output = Some(Payload::json(output.to_owned()));
    settle(store, Settlement { output, ..settlement(leased, Verdict::Succeed) }).await.expect("it has the lease")
}

fn name_of(task: &Task) -> &str {
    task.job.as_ref().expect("it is of a job").name.as_str()
}

fn job_of(task: &Task) -> JobId {
    task.job.as_ref().expect("it is of a job").job
}

/// Leases the tasks of these names, by name, and nothing else.
async fn lease_all(store: &dyn Store, session: SessionId, names: &[&str]) -> Vec<Leased> {
    settle_down(store).await;
    let mut leased = lease(store, session, 100).await;
    leased.sort_by_key(|leased| name_of(&leased.task).to_owned());
    assert_eq!(leased.iter().map(|leased| name_of(&leased.task)).collect::<Vec<_>>(), names);
    leased
}

async fn lease_only(store: &dyn Store, session: SessionId, name: &str) -> Leased {
    lease_all(store, session, &[name]).await.remove(0)
}

async fn submit_child(store: &dyn Store, leased: &Leased, node: Node) -> Result<Submitted, SubmitChildError> {
    store.submit_child(leased.token, node).await.expect("the store works")
}

async fn end_of(store: &dyn Store, task: &Task) -> Task {
    let task = store.wait(task.id, SECOND * 60).await.expect("the store works").expect("it is there");
    assert!(task.state.is_terminal(), "{task:#?}");
    task
}

async fn parent(store: &dyn Store, session: SessionId) -> Leased {
    submit(store, new_task()).await;
    lease_one(store, session).await
}

/// A task of no job becomes the main task of one, whose result is its output.
pub async fn parent_ends_with_the_output_of_its_join(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    let nodes = [node("part/1", &[]), node("part/2", &[]), node("join", &["part/*"])];
    let waits = decompose(&*store, &main, plan(Some("join"), nodes)).await;
    assert!(waits.waits_for_children() && waits.output.is_none(), "{waits:#?}");
    let id = job_of(&waits);
    assert_eq!((name_of(&waits), store.job_output(id).await.expect("the store works")), ("main", None));
    for (leased, output) in lease_all(&*store, session, &["part/1", "part/2"]).await.iter().zip(["1", "2"]) {
        assert_eq!(leased.task.job.as_ref().map(|link| (link.parent, link.depth)), Some((Some(main.task.id), 2)));
        succeed(&*store, leased, output).await;
    }
    let join = lease_only(&*store, session, "join").await;
    let only = "part/*".parse().expect("a group");
    let page = store.awaited(join.task.id, only, None).await.expect("the store works");
    let outputs: Vec<_> = page.awaited.into_iter().filter_map(|one| one.output).collect();
    assert_eq!(outputs, [Payload::json("1"), Payload::json("2")]);
    assert!(task(&*store, &main.task).await.waits_for_children());
    succeed(&*store, &join, "\"joined\"").await;
    let main = end_of(&*store, &main.task).await;
    assert_eq!(main.state.name(), StateName::Succeeded);
    let output = Some(Payload::json("\"joined\""));
    assert_eq!(store.output(main.id).await.expect("the store works"), output);
    let job = ended(&*store, id).await;
    assert_eq!((job.state, job.spec.name.as_str(), job.tasks.total()), (JobState::Succeeded, "words/word-count", 4));
    assert_eq!((job.spent.tasks, job.spent.attempts), (4, 4));
    assert_eq!(store.job_output(id).await.expect("the store works"), output);
    assert_eq!(lease(&*store, session, 10).await, []);
}

/// With no child, and with one; without a join there is an output that has nothing in it.
pub async fn plans_of_no_child_and_of_one_end(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for (count, join) in [(0, None), (1, None), (1, Some("0"))] {
        let main = parent(&*store, session).await;
        let names: Vec<_> = (0..count).map(|number: usize| number.to_string()).collect();
        decompose(&*store, &main, plan(join, names.iter().map(|name| node(name, &[])))).await;
        for name in &names {
            let child = lease_only(&*store, session, name).await;
            succeed(&*store, &child, "7").await;
        }
        let main = end_of(&*store, &main.task).await;
        let output = store.output(main.id).await.expect("the store works");
        assert_eq!(output, Some(Payload::json(if join.is_some() { "7" } else { "null" })));
        assert_eq!(ended(&*store, job_of(&main)).await.state, JobState::Succeeded);
    }
}

/// Each is the join of the one above, so that the output comes up from below.
pub async fn plans_below_plans_end_from_below(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    decompose(&*store, &main, plan(Some("1"), [node("1", &[])])).await;
    for (this, next) in [("1", "2"), ("2", "3")] {
        let leased = lease_only(&*store, session, this).await;
        decompose(&*store, &leased, plan(Some(next), [node(next, &[])])).await;
    }
    let last = lease_only(&*store, session, "3").await;
    assert_eq!(last.task.job.as_ref().map(|link| link.depth), Some(4));
    succeed(&*store, &last, "\"up\"").await;
    let main = end_of(&*store, &main.task).await;
    assert_eq!(store.output(main.id).await.expect("the store works"), Some(Payload::json("\"up\"")));
    assert_eq!(ended(&*store, job_of(&main)).await.tasks.total(), 4);
}

/// Of its own plan, made or not, of what would undo it, and of children of either kind; and one job shows no plan of another.
pub async fn job_knows_the_queues_of_all_its_tasks(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    // Alone, so that nobody else is leased in its place.
    let main = parent(&*store, session).await;
    let within = |name: &str, queue: &str| {
        let mut node = node(name, &[]);
        node.task.spec.queue = queue.into();
        node
    };
    let mut first = within("first", "mail");
    first.compensation = Some(within("undo", "undo").task);
    let spec = JobSpec { name: "queues".into(), ..JobSpec::default() };
    let id =
        submit_job(&*store, NewJob { spec, nodes: vec![first, node("second", &["first"])], fingerprint: None }).await;
    let own = new_task().spec.queue;
    let is_of = async |all: &[&str]| {
        let queues = store.job(id).await.expect("the store works").expect("it is there").queues;
        let is_without = |left_out: &&str| queues.are_all(|queue| all.contains(&queue) && queue != *left_out);
        assert!(queues.are_all(|queue| all.contains(&queue)) && !all.iter().any(is_without), "{queues:?} {all:?}");
    };
    is_of(&["mail", "undo", &own]).await;
    let first = lease_only(&*store, session, "first").await;
    submit_child(&*store, &first, within("child", "print")).await.expect("it is made");
    is_of(&["mail", "undo", &own, "print"]).await;
    let moved = Leased { task: task(&*store, &first.task).await, ..first };
    decompose(&*store, &moved, plan(None, [within("below", "post")])).await;
    is_of(&["mail", "undo", &own, "print", "post"]).await;
    // One that is founded has its only task.
    let waits = decompose(&*store, &main, plan(None, [within("below", "post")])).await;
    let founded = store.job(job_of(&waits)).await.expect("the store works").expect("it is there");
    assert_eq!(founded.queues, JobQueues::of([own.as_str(), "post"]));
    settle_down(&*store).await;
    for (job, count) in [(id, 2), (job_of(&waits), 0)] {
        let query = PlanQuery { parent: Some(moved.task.id), ..PlanQuery::of(job, 10) };
        assert_eq!(store.plan(query).await.expect("the store works").tasks.len(), count);
    }
}

async fn after_failure(store: &dyn Store, session: SessionId, plan: NewPlan) -> (Task, Job) {
    let main = parent(store, session).await;
    decompose(store, &main, plan).await;
    let leased = lease_all(store, session, &["a", "b"]).await;
    settle(store, settlement(&leased[0], Verdict::GiveUp)).await.expect("it has the lease");
    let other = task(store, &leased[1].task).await;
    if other.cancel.is_some() {
        let stopped = settlement(&leased[1], Verdict::Cancel);
        settle(store, Settlement { revision: other.revision, ..stopped }).await.expect("it has the lease");
    } else {
        assert!(task(store, &main.task).await.waits_for_children(), "its other child runs");
        succeed(store, &leased[1], "1").await;
    }
    settle_down(store).await;
    if let Some(last) = lease(store, session, 1).await.pop() {
        succeed(store, &last, "\"c\"").await;
    }
    let main = end_of(store, &main.task).await;
    let job = ended(store, job_of(&main)).await;
    (main, job)
}

/// What a child's failure means is the plan's rule, or that of whoever waits for it.
pub async fn failure_of_a_child_is_its_parents_matter(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let nodes = || [node("a", &[]), node("b", &[]), node("c", &["a"])];
    for (on_failure, stop_on_failure, state, partial, ran) in [
        (OnFailure::Fail, false, StateName::Dead, false, 2),
        (OnFailure::Fail, true, StateName::Dead, false, 1),
        (OnFailure::Continue, false, StateName::Succeeded, true, 3),
        (OnFailure::Ignore, false, StateName::Succeeded, false, 3),
    ] {
        let rules = NewPlan { on_failure, stop_on_failure, ..plan(None, nodes()) };
        let (main, job) = after_failure(&*store, session, rules).await;
        assert_eq!((main.state.name(), job.partial), (state, partial), "{on_failure} {stop_on_failure}");
        // With the parent itself.
        assert_eq!(job.tasks.in_state(StateName::Succeeded), ran - 1 + u64::from(state == StateName::Succeeded));
        let failed = main.failed_child.as_ref().map(|child| child.name.as_str());
        assert_eq!(failed, (state == StateName::Dead).then_some("a"));
        let is_main = |cause| matches!(cause, Some(JobCause::Task { task, .. }) if task == main.id);
        assert_eq!(is_main(job.cause.clone()), state == StateName::Dead, "{:?}", job.cause);
    }
}

/// There is nothing that the parent could give, whatever the rule is.
pub async fn join_that_fails_fails_its_parent(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    let rules = NewPlan { on_failure: OnFailure::Continue, ..plan(Some("join"), [node("join", &[])]) };
    decompose(&*store, &main, rules).await;
    let join = lease_only(&*store, session, "join").await;
    settle(&*store, settlement(&join, Verdict::GiveUp)).await.expect("it has the lease");
    let main = end_of(&*store, &main.task).await;
    assert_eq!((main.state.name(), main.output), (StateName::Dead, None));
    assert_eq!(main.failed_child.map(|child| child.name.to_string()).as_deref(), Some("join"));
}

/// And what has succeeded in the whole job is undone.
pub async fn plan_of_a_task_can_have_its_job_undone(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    // It is called as what undoes a task is called: that is just a name.
    let undo = Node { compensation: Some(new_task()), ..node("undo", &[]) };
    let rules = NewPlan { on_failure: OnFailure::Compensate, ..plan(None, [undo, node("x", &["undo"])]) };
    decompose(&*store, &main, rules).await;
    let done = lease_only(&*store, session, "undo").await;
    succeed(&*store, &done, "1").await;
    let failed = lease_only(&*store, session, "x").await;
    settle(&*store, settlement(&failed, Verdict::GiveUp)).await.expect("it has the lease");
    let undoes = lease_only(&*store, session, "undo").await;
    let link = undoes.task.job.as_ref().expect("it is of a job");
    assert_eq!((link.undoes, link.parent), (true, Some(done.task.id)));
    succeed(&*store, &undoes, "1").await;
    let main = end_of(&*store, &main.task).await;
    let job = ended(&*store, job_of(&main)).await;
    assert_eq!((main.state.name(), job.state, job.not_undone), (StateName::Dead, JobState::Failed, None));
    // The task that failed, and not the one above it, which is why the job did.
    let by_x = JobCause::Task { name: "x".parse().expect("a name"), task: failed.task.id };
    assert_eq!((job.tasks.undone, job.undone_for), (1, Some(by_x)));
}

/// Down to what runs, and up again when that has ended.
pub async fn cancel_goes_down_the_tree(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for whole in [false, true] {
        let main = parent(&*store, session).await;
        decompose(&*store, &main, plan(None, [node("a", &[]), node("b", &["a"])])).await;
        let child = lease_only(&*store, session, "a").await;
        decompose(&*store, &child, plan(None, [node("deep", &[])])).await;
        let deep = lease_only(&*store, session, "deep").await;
        let id = job_of(&deep.task);
        if whole {
            store.cancel_job(id, CancelWish::default()).await.expect("the store works");
        } else {
            cancel(&*store, main.task.id).await;
        }
        settle_down(&*store).await;
        let now = task(&*store, &deep.task).await;
        assert!(is_running(&now) && now.cancel.is_some(), "{now:#?}");
        for above in [&main, &child] {
            let above = task(&*store, &above.task).await;
            assert!(above.waits_for_children() && above.cancel.is_some(), "{above:#?}");
        }
        let stopped = settlement(&deep, Verdict::Cancel);
        settle(&*store, Settlement { revision: now.revision, ..stopped }).await.expect("it has the lease");
        let main = end_of(&*store, &main.task).await;
        assert_eq!(main.state.name(), StateName::Cancelled);
        let job = ended(&*store, id).await;
        assert_eq!((job.tasks.in_state(StateName::Cancelled), job.tasks.total()), (4, 4));
        assert_eq!(
            (job.state, job.cause),
            (JobState::Cancelled, Some(JobCause::Cancelled("by request".into()))),
            "{whole}"
        );
    }
}

/// A task that decomposes into itself ends its job, and so does one that has too many children.
pub async fn depth_and_tasks_of_a_tree_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let budget = |depth, tasks| sunaba_task::job::Budget { depth, tasks, ..Default::default() };
    for (limits, cause, made) in [
        (budget(3, 100), Some(BudgetName::Depth), 3),
        (budget(100 / 2, 5), Some(BudgetName::Tasks), 5),
        (budget(11, 100), None, 11),
    ] {
        let spec = JobSpec { budget: limits, ..JobSpec::default() };
        let id = submit_job(&*store, NewJob { spec, ..job([node("x", &[])]) }).await;
        for level in 1..=11 {
            settle_down(&*store).await;
            let Some(leased) = lease(&*store, session, 10).await.pop() else { break };
            if level == 11 {
                succeed(&*store, &leased, "1").await;
            } else {
                decompose(&*store, &leased, plan(None, [node("x", &[])])).await;
            }
        }
        let job = ended(&*store, id).await;
        assert_eq!((job.tasks.total(), job.spent.tasks), (made, made));
        assert_eq!(job.cause, cause.map(JobCause::Budget));
    }
}

/// The same name gives the same child, on every attempt and after a restart; and another body does not.
pub async fn submitted_child_is_there_once(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    let first = submit_child(&*store, &main, node("a", &[])).await.expect("it is taken on");
    let Submitted::Created(child) = first else { panic!("it is new: {first:?}") };
    let again = submit_child(&*store, &main, node("a", &[])).await.expect("it is there");
    assert_eq!(again, Submitted::Existing(child.clone()));
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    let mut leased = lease(&*store, session, 10).await;
    leased.sort_by_key(|leased| leased.task.id != main.task.id);
    let [main, running] = &leased[..] else { panic!("both run: {leased:#?}") };
    assert_eq!((main.task.attempts_started, running.task.id), (2, child.id));
    let again = submit_child(&*store, main, node("a", &[])).await.expect("it is there");
    assert_eq!(again.into_task().id, child.id);
    let mut other = node("a", &[]);
    other.task.input = Payload::json("\"other\"");
    let refused = submit_child(&*store, main, other).await.expect_err("it is another");
    assert!(matches!(refused, SubmitChildError::Conflict { task, .. } if task == child.id), "{refused}");
    let waits = submit_child(&*store, main, node("b", &["a"])).await.expect_err("it cannot wait");
    assert!(matches!(waits, SubmitChildError::Waits(_)));
    let token = LeaseToken { nonce: main.token.nonce ^ 1, ..main.token };
    let lost = store.submit_child(token, node("c", &[])).await.expect("the store works");
    assert_eq!(lost, Err(SubmitChildError::LeaseLost));
    let page = store.plan(PlanQuery { parent: Some(main.task.id), ..PlanQuery::of(job_of(&child), 10) }).await;
    assert_eq!(page.expect("the store works").tasks.len(), 1);
}

/// With its own output, and not before its children have.
pub async fn parent_that_completes_waits_for_its_children(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for fails in [false, true] {
        let main = parent(&*store, session).await;
        submit_child(&*store, &main, node("a", &[])).await.expect("it is taken on");
        let own = Settlement { output: Some(Payload::json("\"own\"")), ..settlement(&main, Verdict::Succeed) };
        let Err(SettleError::Stale(moved)) = settle(&*store, own.clone()).await else { panic!("its record has moved") };
        let own = Settlement { revision: moved.revision, ..own };
        let waits = settle(&*store, own).await.expect("it has the lease");
        assert!(waits.waits_for_children());
        assert_eq!(store.output(waits.id).await.expect("the store works"), None);
        let child = lease_only(&*store, session, "a").await;
        let verdict = if fails { Verdict::GiveUp } else { Verdict::Succeed };
        settle(&*store, settlement(&child, verdict)).await.expect("it has the lease");
        let main = end_of(&*store, &main.task).await;
        let output = store.output(main.id).await.expect("the store works");
        assert_eq!(main.state.name(), if fails { StateName::Dead } else { StateName::Succeeded });
        assert_eq!(output, (!fails).then(|| Payload::json("\"own\"")));
        ended(&*store, job_of(&main)).await;
    }
}

/// They are stopped, and it ends when they have.
pub async fn children_do_not_outlive_a_parent_that_gives_up(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    submit_child(&*store, &main, node("a", &[])).await.expect("it is taken on");
    submit_child(&*store, &main, node("b", &[])).await.expect("it is taken on");
    let child = lease_one(&*store, session).await;
    let revision = task(&*store, &main.task).await.revision;
    let over = Settlement { revision, ..settlement(&main, Verdict::GiveUp) };
    assert!(settle(&*store, over).await.expect("it has the lease").waits_for_children());
    settle_down(&*store).await;
    let now = task(&*store, &child.task).await;
    assert_eq!(now.cancel.as_ref().map(|cancel| cancel.reason.as_str()), Some("its parent did not succeed"));
    let stopped = Settlement { revision: now.revision, ..settlement(&child, Verdict::Cancel) };
    settle(&*store, stopped).await.expect("it has the lease");
    let main = end_of(&*store, &main.task).await;
    // Of its own end, and not of theirs.
    assert_eq!((main.state.name(), main.failed_child), (StateName::Dead, None));
    assert_eq!(lease(&*store, session, 10).await, []);
}

/// The attempt is not settled, so that its worker can say why.
pub async fn plan_of_a_task_that_cannot_be_run_is_refused(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    submit_child(&*store, &main, node("taken", &[])).await.expect("it is taken on");
    let revision = task(&*store, &main.task).await.revision;
    for (refused, nodes, join) in [
        ("circle", vec![node("a", &["b"]), node("b", &["a"])], None),
        ("does not have", vec![node("a", &["b"])], None),
        ("join", vec![node("a", &[])], Some("b")),
        ("submitted before", vec![node("taken", &[])], None),
    ] {
        let settlement = Settlement { revision, ..decomposed(&main, plan(join, nodes)) };
        match settle(&*store, settlement).await {
            Err(SettleError::Plan(error)) => assert!(error.to_string().contains(refused), "{error}"),
            other => panic!("{refused}: {other:?}"),
        }
    }
    assert!(is_running(&task(&*store, &main.task).await));
    let name = "taken".parse().expect("a name");
    assert_eq!(ChildPlanError::Taken(name).to_string().lines().count(), 2);
}

/// However far it had come.
pub async fn tree_goes_on_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    let nodes = (0..200).map(|number| node(&format!("part/{number:03}"), &[]));
    decompose(&*store, &main, plan(Some("join"), nodes.chain([node("join", &["part/*"])]))).await;
    drop(store);
    for round in 0..20 {
        subject.restart();
        let store = subject.store();
        let session = open(&*store).await;
        for leased in lease(&*store, session, 10 + round).await {
            settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
        }
    }
    let store = subject.store();
    let main = end_of(&*store, &main.task).await;
    let job = ended(&*store, job_of(&main)).await;
    assert_eq!((main.state.name(), job.tasks.in_state(StateName::Succeeded)), (StateName::Succeeded, 202));
}

/// After a snooze, say: how they stand, and what those gave that have ended.
pub async fn parent_sees_its_own_children(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let main = parent(&*store, session).await;
    for name in ["a", "b"] {
        submit_child(&*store, &main, node(name, &[])).await.expect("it is taken on");
    }
    let child = lease_one(&*store, session).await;
    succeed(&*store, &child, "5").await;
    let of = async |name: &str| {
        let only = name.parse().expect("a name");
        let page = store.awaited(main.task.id, only, None).await.expect("the store works");
        page.awaited.into_iter().map(|one| (one.state, one.output)).collect::<Vec<_>>()
    };
    assert_eq!(of("a").await, [(StateName::Succeeded, Some(Payload::json("5")))]);
    assert_eq!(of("b").await, [(StateName::Queued, None)]);
    // Of its plan it is the only one, and no child is called so.
    assert_eq!(of("c").await, []);
}
