//! What reviews and the random trees have found, one by one and by hand: each of these went wrong once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::{
    CancelWish, Engine as _, LeaseRequest, Leased, NewArtifact, NewCompletion, Queues, RetryJob, RetryJobError,
    Settlement, Store as _, Writes,
};
use sunaba_task::job::{After, Budget, Job, JobCause, JobId, JobSpec, JobState, NewJob, NewPlan, Node, OnFailure};
use sunaba_task::{ArtifactKind, Payload, StateName, Task, Verdict};

use crate::block_on;
use crate::plans::{name, node, task};
use crate::world::{SECOND, World, link, settlement};

/// A job of so few tasks that has not ended by then never will.
const MAX_ROUNDS: usize = 500;

async fn lease(world: &World) -> Vec<Leased> {
    let request =
        LeaseRequest { session: world.workers[0].session, queues: Queues::All, slots: 9, wait: Duration::ZERO };
    world.store.lease(request).await.expect("the session lives")
}

async fn settle_as(world: &World, leased: &Leased, change: impl FnOnce(Settlement) -> Settlement) -> Task {
    let now = world.task(leased.task.id).await;
    let verdict = if now.cancel.is_some() { Verdict::Cancel } else { Verdict::Succeed };
    let settlement = change(settlement(leased, now.revision, verdict));
    world.store.settle(vec![settlement]).await.expect("it works").remove(0).expect("it has the lease")
}

async fn settle(world: &World, leased: &Leased, verdict: Verdict) -> Task {
    let revision = world.task(leased.task.id).await.revision;
    settle_as(world, leased, |_| settlement(leased, revision, verdict)).await
}

/// Runs what there is to run until the job has ended; those of these names are given up. Who was run.
async fn run(world: &World, id: JobId, fail: &[&str]) -> (Job, Vec<String>) {
    let mut ran = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let job = world.job(id).await;
        if job.state.is_terminal() {
            ran.sort();
            return (job, ran);
        }
        for leased in lease(world).await {
            let named = link(&leased.task).name.to_string();
            if fail.contains(&named.as_str()) {
                settle(world, &leased, Verdict::GiveUp).await;
            } else {
                settle_as(world, &leased, |settlement| settlement).await;
            }
            ran.push(named);
        }
    }
    panic!("it does not end: {:#?}", world.job(id).await);
}

async fn submit(world: &World, spec: JobSpec, nodes: Vec<Node>) -> JobId {
    let job = NewJob { spec, nodes, fingerprint: None };
    world.store.submit_job(job).await.expect("it works").expect("it is taken on").into_job().id
}

/// Flips a bit of the last value of this kind, while no process has the store.
async fn damage(world: &mut World, kind: u8) {
    world.stop().await;
    let (key, value) = {
        let last = world.engine.scan(&[kind], &[kind + 1], true).next();
        last.expect("there is one").expect("memory does not fail")
    };
    let mut damaged = value.to_vec();
    *damaged.last_mut().expect("it has a checksum") ^= 1;
    let writes = Writes::from([(key.to_vec(), Some(Bytes::from(damaged)))]);
    world.engine.apply(&writes).expect("memory does not fail");
    world.reopen().await;
}

async fn all_has_ended(world: &World, job: &Job) {
    let tasks = world.tree(job.id).await;
    assert!(tasks.iter().all(|task| task.state.is_terminal()), "{tasks:#?}");
    assert_eq!((job.tasks.unfinished(), job.tasks.total()), (0, tasks.len() as u64), "{job:#?}");
    assert!(world.store.failure().is_none());
}

fn is_stuck(job: &Job, text: &str) -> bool {
    matches!(&job.cause, Some(JobCause::Stuck(reason)) if reason.contains(text)) && job.state == JobState::Failed
}

#[test]
fn damaged_part_of_a_plan_ends_its_job_and_says_so() {
    block_on(async {
        let mut world = World::step_by_step(1).await;
        let nodes = (0..95).map(|number| node(&format!("n/{number}"))).collect();
        let id = submit(&world, JobSpec::default(), nodes).await;
        damage(&mut world, b'P').await;
        let (job, _) = run(&world, id, &[]).await;
        assert!(is_stuck(&job, "cannot be read") && job.tasks.not_made > 0, "{job:#?}");
        assert_eq!(job.tasks.not_made + job.tasks.total(), 95);
        all_has_ended(&world, &job).await;
    });
}

#[test]
fn damaged_group_ends_its_job_and_no_other() {
    block_on(async {
        let mut world = World::whole(1).await;
        let join = Node { after: vec![After::new("g/*".parse().expect("a group"))], ..node("join") };
        let id = submit(&world, JobSpec::default(), vec![node("g/0"), node("g/1"), join]).await;
        let other = submit(&world, JobSpec::default(), vec![node("a")]).await;
        damage(&mut world, b'G').await;
        let (job, ran) = run(&world, id, &[]).await;
        assert!(is_stuck(&job, "`g`") && !ran.contains(&"join".to_owned()), "{job:#?} {ran:?}");
        all_has_ended(&world, &job).await;
        assert_eq!(run(&world, other, &[]).await.0.state, JobState::Succeeded);
    });
}

/// A job in which `a` succeeds, with an output and an artifact, and `b` after it does not.
async fn failed(world: &World) -> JobId {
    let b = Node { after: vec![After::new("a".parse().expect("a name"))], ..node("b") };
    let id = submit(world, JobSpec::default(), vec![node("a"), b]).await;
    let a = lease(world).await.remove(0);
    let kind = ArtifactKind::Url("https://example.com/".into());
    let artifact = NewArtifact { name: "page".parse().expect("a name"), media_type: "text/html".into(), kind };
    world.store.put_artifact(a.token, artifact).await.expect("it works").expect("it has the lease");
    let output = Some(Payload::json(format!("\"{}\"", "x".repeat(1_000))));
    settle_as(world, &a, |settlement| Settlement { output, ..settlement }).await;
    assert_eq!(run(world, id, &["b"]).await.0.state, JobState::Failed);
    id
}

async fn retry(world: &World, id: JobId) -> Result<Job, RetryJobError> {
    world.store.retry_job(RetryJob { job: id, from: Vec::new() }).await.expect("it works")
}

#[test]
fn what_stands_in_a_job_that_is_made_over_again_has_its_artifacts() {
    block_on(async {
        let world = World::whole(1).await;
        let old = failed(&world).await;
        let new = retry(&world, old).await.expect("it has ended").id;
        assert_eq!(run(&world, new, &[]).await.1, ["b"]);
        let tasks = world.tree(new).await;
        let a = tasks.iter().find(|task| link(task).name.as_str() == "a").expect("it stands");
        let artifacts = world.store.artifacts(a.id).await.expect("it works");
        assert_eq!(artifacts.iter().map(|artifact| artifact.name.as_str()).collect::<Vec<_>>(), ["page"]);
    });
}

#[test]
fn what_has_a_damaged_output_is_run_again_and_the_store_goes_on() {
    block_on(async {
        let mut world = World::whole(1).await;
        let old = failed(&world).await;
        damage(&mut world, b'o').await;
        let new = retry(&world, old).await.expect("it has ended").id;
        let (job, ran) = run(&world, new, &[]).await;
        assert_eq!((job.state, ran), (JobState::Succeeded, vec!["a".to_owned(), "b".to_owned()]));
        assert!(world.store.failure().is_none());
    });
}

#[test]
fn job_of_which_a_task_is_gone_is_not_made_over_again() {
    block_on(async {
        let world = World::whole(1).await;
        let old = failed(&world).await;
        let tasks = world.tree(old).await;
        let b = tasks.iter().find(|task| link(task).name.as_str() == "b").expect("it is there");
        world.store.delete(vec![b.id]).await.expect("it works").remove(0).expect("it has ended");
        assert_eq!(retry(&world, old).await, Err(RetryJobError::NotWhole { job: old, count: 1 }));
    });
}

#[test]
fn spent_budget_leaves_alone_what_somebody_may_complete() {
    block_on(async {
        let world = World::whole(1).await;
        let budget = Budget { attempts: Some(2), ..Budget::default() };
        let spec = JobSpec { budget, ..JobSpec::default() };
        let id = submit(&world, spec, vec![node("a"), node("b")]).await;
        let leased = lease(&world).await;
        settle(&world, &leased[0], Verdict::Await(SECOND * 60)).await;
        settle(&world, &leased[1], Verdict::Succeed).await;
        assert_eq!(world.job(id).await.cause, None);
        let given = NewCompletion { output: Payload::json("1"), by: None, with_token: false };
        world.store.complete(leased[0].task.id, given).await.expect("it works").expect("it waits");
        let job = world.job(id).await;
        assert_eq!((job.state, job.spent.attempts), (JobState::Succeeded, 2));
    });
}

#[test]
fn what_a_submitted_child_means_does_not_depend_on_when_it_failed() {
    block_on(async {
        for fails_first in [true, false] {
            let world = World::whole(1).await;
            let id = submit(&world, JobSpec::default(), vec![node("top")]).await;
            let top = lease(&world).await.remove(0);
            world.store.submit_child(top.token, node("s")).await.expect("it works").expect("it is taken on");
            let child = lease(&world).await.remove(0);
            let plan = Some(Arc::new(NewPlan { on_failure: OnFailure::Continue, ..NewPlan::default() }));
            if fails_first {
                settle(&world, &child, Verdict::GiveUp).await;
            }
            let revision = world.task(top.task.id).await.revision;
            let decomposed = Settlement { plan, ..settlement(&top, revision, Verdict::Decompose) };
            settle_as(&world, &top, |_| decomposed).await;
            if !fails_first {
                settle(&world, &child, Verdict::GiveUp).await;
            }
            let (job, _) = run(&world, id, &[]).await;
            assert_eq!((job.state, job.partial), (JobState::Succeeded, true), "{fails_first}");
        }
    });
}

/// Who waited for it has ended before, so that nothing else holds the parent.
#[test]
fn what_a_failure_means_is_known_before_the_parent_ends() {
    block_on(async {
        let world = World::whole(1).await;
        let id = submit(&world, JobSpec::default(), vec![node("top")]).await;
        let top = lease(&world).await.remove(0);
        let after = After { on_failure: Some(OnFailure::Fail), ..After::new("x".parse().expect("a name")) };
        let nodes = vec![node("x"), Node { after: vec![after], ..node("waits") }];
        let plan = Some(Arc::new(NewPlan { nodes, on_failure: OnFailure::Ignore, ..NewPlan::default() }));
        let decomposed = Settlement { plan, ..settlement(&top, top.task.revision, Verdict::Decompose) };
        settle_as(&world, &top, |_| decomposed).await;
        let tasks = world.tree(id).await;
        let waits = tasks.iter().find(|task| link(task).name.as_str() == "waits").expect("it is made");
        world.store.cancel(vec![waits.id], CancelWish::default()).await.expect("it works");
        assert_eq!(run(&world, id, &["x"]).await.0.state, JobState::Failed);
    });
}

#[test]
fn what_was_given_and_is_no_output_after_all_is_not_kept() {
    block_on(async {
        let world = World::whole(1).await;
        let main = world.store.submit(vec![task()]).await.expect("it works").remove(0).expect("taken on").into_task();
        let leased = lease(&world).await.remove(0);
        let output = Payload::json(format!("\"{}\"", "x".repeat(1_000)));
        let given = NewCompletion { output, by: None, with_token: false };
        world.store.complete(main.id, given).await.expect("it works").expect("it has begun");
        let plan = NewPlan { nodes: vec![node("join")], join: Some(name("join")), ..NewPlan::default() };
        let revision = world.task(main.id).await.revision;
        let decomposed = Settlement { plan: Some(Arc::new(plan)), ..settlement(&leased, revision, Verdict::Decompose) };
        let main = settle_as(&world, &leased, |_| decomposed).await;
        run(&world, link(&main).job, &[]).await;
        assert_eq!(world.task(main.id).await.state.name(), StateName::Succeeded);
        // All outputs are short, and stand in their records.
        assert!(world.engine.scan(b"o", b"p", false).next().is_none());
    });
}
