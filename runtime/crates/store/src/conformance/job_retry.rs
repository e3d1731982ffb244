//! Jobs that are made over again: what has succeeded stands, and the rest is run anew.

use bytes::Bytes;
use sunaba_task::job::{After, Awaited, Job, JobId, JobSpec, JobState, NewJob, NodeName, OnFailure};
use sunaba_task::{ArtifactKind, Origin, StateName};

use super::jobs::{end_named, ended, job, lease_named, node, states, submit_job, tasks};
use super::*;
use crate::{NewArtifact, RetryJob, RetryJobError};

async fn retry(store: &dyn Store, id: JobId, from: &[&str]) -> Result<Job, RetryJobError> {
    let from = from.iter().map(|name| name.parse().expect("a name")).collect();
    store.retry_job(RetryJob { job: id, from }).await.expect("the store works")
}

/// Runs what there is to run, each by its name; those that fail are given up.
async fn run_all(store: &dyn Store, session: SessionId, fail: &[&str]) -> Vec<String> {
    let mut ran = Vec::new();
    loop {
        settle_down(store).await;
        let leased = lease(store, session, 10).await;
        if leased.is_empty() {
            ran.sort();
            return ran;
        }
        for leased in leased {
            let name = leased.task.job.as_ref().expect("it is of a job").name.to_string();
            let verdict = if fail.contains(&name.as_str()) { Verdict::GiveUp } else { Verdict::Succeed };
            settle(store, settlement(&leased, verdict)).await.expect("it has the lease");
            ran.push(name);
        }
    }
}

fn diamond() -> NewJob {
    job([
        node("a", &[]),
        node("left/1", &["a"]),
        node("left/2", &["a"]),
        node("join", &["left/*"]),
        node("after", &["join"]),
    ])
}

/// Its outputs are there for those that run, and both jobs and tasks say what became of them.
pub async fn retried_job_runs_what_has_not_succeeded_and_nothing_else(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let old = submit_job(&*store, diamond()).await;
    assert_eq!(run_all(&*store, session, &["left/2"]).await, ["a", "left/1", "left/2"]);
    assert_eq!(ended(&*store, old).await.state, JobState::Failed);
    let new = retry(&*store, old, &[]).await.expect("it has ended");
    assert_eq!((new.origin, new.state), (Some(old), JobState::Running));
    assert_eq!(store.job(old).await.expect("the store works").expect("it is there").successor, Some(new.id));
    let next = lease_named(&*store, session, "left/2").await;
    let before = tasks(&*store, old).await;
    for (name, task) in tasks(&*store, new.id).await {
        let reused = (task.state.name() == StateName::Succeeded).then_some(Origin::Reuses(before[&name].id));
        assert_eq!(task.origin, reused, "{name}");
        assert_eq!(
            store.input(task.id).await.expect("the store works"),
            store.input(before[&name].id).await.expect("the store works")
        );
    }
    settle(&*store, settlement(&next, Verdict::Succeed)).await.expect("it has the lease");
    settle_down(&*store).await;
    let join = lease_named(&*store, session, "join").await;
    let group: Awaited = "left/*".parse().expect("a group");
    let given = store.awaited(join.task.id, group, None).await.expect("the store works").awaited;
    let outputs: Vec<_> = given.iter().map(|given| given.output.is_some()).collect();
    assert_eq!(outputs, [true, true]);
    settle(&*store, settlement(&join, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(run_all(&*store, session, &[]).await, ["after"]);
    let ended = ended(&*store, new.id).await;
    assert_eq!((ended.state, ended.spent.attempts), (JobState::Succeeded, 3));
    assert_eq!(
        states(&*store, new.id).await,
        "a=succeeded after=succeeded join=succeeded left/1=succeeded left/2=succeeded"
    );
}

/// What is named is run anew, and whatever waits for it.
pub async fn job_is_retried_from_a_task_that_has_succeeded(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let old = submit_job(&*store, diamond()).await;
    run_all(&*store, session, &[]).await;
    assert_eq!(ended(&*store, old).await.state, JobState::Succeeded);
    assert_eq!(retry(&*store, old, &[]).await, Err(RetryJobError::NothingToDo(old)));
    let new = retry(&*store, old, &["left/1"]).await.expect("it has ended");
    assert_eq!(run_all(&*store, session, &[]).await, ["after", "join", "left/1"]);
    assert_eq!(ended(&*store, new.id).await.state, JobState::Succeeded);
    // And once more, from what stands for another.
    let third = retry(&*store, new.id, &["after"]).await.expect("it has ended");
    assert_eq!(run_all(&*store, session, &[]).await, ["after"]);
    assert_eq!(ended(&*store, third.id).await.state, JobState::Succeeded);
}

/// What has succeeded is undone again if it has to be, also if it stands for another.
pub async fn retried_job_that_fails_again_is_undone(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let mut first = node("first", &[]);
    first.compensation = Some(new_task());
    let mut second = node("second", &[]);
    second.after = vec![After { awaited: "first".parse().expect("a name"), on_failure: Some(OnFailure::Fail) }];
    let old = submit_job(&*store, job([first, second])).await;
    run_all(&*store, session, &["second"]).await;
    assert_eq!(ended(&*store, old).await.state, JobState::Failed);
    let new = retry(&*store, old, &[]).await.expect("it has ended");
    assert_eq!(run_all(&*store, session, &["second"]).await, ["second"]);
    assert_eq!(ended(&*store, new.id).await.tasks.compensations, 1, "it could be undone, and nobody wanted it");
}

/// What was not there at its end is not made up.
pub async fn bad_retries_are_refused_and_change_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let unknown = JobId::from_bytes([9; 16]);
    assert_eq!(retry(&*store, unknown, &[]).await, Err(RetryJobError::Unknown(unknown)));
    let running = submit_job(&*store, job([node("a", &[])])).await;
    let refused = retry(&*store, running, &[]).await;
    assert_eq!(refused, Err(RetryJobError::NotEnded { job: running, state: JobState::Running }));
    end_named(&*store, session, "a", Verdict::GiveUp).await;
    ended(&*store, running).await;
    let nearest: Option<NodeName> = Some("a".parse().expect("a name"));
    for (name, nearest) in [("b", nearest), ("other", None), ("a/*", None)] {
        let refused = retry(&*store, running, &[name]).await;
        let name: Awaited = name.parse().expect("a name");
        assert_eq!(refused, Err(RetryJobError::NoTask { job: running, name, nearest }));
    }
    // Stopped before all of it was made.
    let many = (0..3_000).map(|number| node(&format!("n/{number:04}"), &[]));
    let spec = JobSpec { name: "many".into(), ..JobSpec::default() };
    let stopped = submit_job(&*store, NewJob { spec, ..job(many) }).await;
    store.cancel_job(stopped, CancelWish::default()).await.expect("the store works");
    let ended = ended(&*store, stopped).await;
    if ended.tasks.not_made > 0 {
        let refused = RetryJobError::Incomplete { job: stopped, count: ended.tasks.not_made };
        assert_eq!(retry(&*store, stopped, &[]).await, Err(refused));
    }
    assert_eq!(ended.tasks.not_made + ended.tasks.total(), 3_000);
}

/// As long as the store has them; a job that did not succeed keeps what its tasks gave longer than one that did.
pub async fn retry_after_a_restart_and_an_hour_reuses_outputs(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let old = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    run_all(&*store, session, &["b"]).await;
    ended(&*store, old).await;
    drop(store);
    subject.restart();
    subject.advance(SECOND * 60 * 60 * 3);
    let store = subject.store();
    let session = open(&*store).await;
    let new = retry(&*store, old, &[]).await.expect("it has ended");
    assert_eq!(run_all(&*store, session, &[]).await, ["b"]);
    assert_eq!(ended(&*store, new.id).await.state, JobState::Succeeded);
}

/// By the name of a group, all of it is run anew.
pub async fn job_is_retried_from_a_group(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let old = submit_job(&*store, diamond()).await;
    run_all(&*store, session, &[]).await;
    let new = retry(&*store, old, &["left/*"]).await.expect("it has ended");
    assert_eq!(run_all(&*store, session, &[]).await, ["after", "join", "left/1", "left/2"]);
    assert_eq!(ended(&*store, new.id).await.state, JobState::Succeeded);
}

/// What was undone is not there any more, whatever its record says; what cannot be undone was never touched.
pub async fn what_was_undone_is_run_anew(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let mut first = node("first", &[]);
    first.compensation = Some(new_task());
    let nodes = [first, node("second", &["first"]), node("third", &["second"]), node("beside", &[])];
    let spec = JobSpec { on_failure: OnFailure::Compensate, ..JobSpec::default() };
    let old = submit_job(&*store, NewJob { spec, ..job(nodes) }).await;
    let ran = run_all(&*store, session, &["third"]).await;
    assert_eq!(ran, ["beside", "first", "second", "third", "undo"]);
    assert_eq!(ended(&*store, old).await.state, JobState::Failed);
    let new = retry(&*store, old, &[]).await.expect("it has ended");
    assert_eq!(run_all(&*store, session, &[]).await, ["first", "second", "third"]);
    assert_eq!(ended(&*store, new.id).await.state, JobState::Succeeded);
}

/// Those that follow read them where they would have been; they go with the last of both tasks.
pub async fn what_stands_has_its_artifacts(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let old = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    settle_down(&*store).await;
    let leased = lease_named(&*store, session, "a").await;
    let mut writer = store.blobs().create().await.expect("there is room");
    writer.write(Bytes::from_static(b"a page")).await.expect("there is room");
    let file = writer.finish().await.expect("there is room");
    let kind = ArtifactKind::File { size_bytes: file.size_bytes, digest: file.digest };
    let new = NewArtifact { name: "page".parse().expect("a name"), media_type: "text/plain".into(), kind };
    let put = store.put_artifact(leased.token, new).await.expect("the store works").expect("it has the lease");
    file.release();
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(run_all(&*store, session, &["b"]).await, ["b"]);
    let first = tasks(&*store, old).await["a"].id;
    let new = retry(&*store, old, &[]).await.expect("it has ended");
    settle_down(&*store).await;
    let second = tasks(&*store, new.id).await["a"].id;
    assert_eq!(store.artifacts(second).await.expect("the store works"), [put.clone()]);
    store.delete(vec![first]).await.expect("the store works").remove(0).expect("its job has ended");
    let digest = put.digest().expect("it is a file");
    let mut reader = store.blobs().open(digest, 0).await.expect("the other names it");
    assert_eq!(reader.read(99).await.expect("it is there"), "a page");
    assert_eq!(run_all(&*store, session, &[]).await, ["b"]);
    store.delete(vec![second]).await.expect("the store works").remove(0).expect("its job has ended");
    submit(&*store, new_task()).await;
    assert!(store.blobs().open(digest, 0).await.is_err(), "nothing names it any more");
}

/// One of its tasks was deleted: nobody knows any more what it was.
pub async fn job_that_is_not_whole_is_not_retried(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let old = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    run_all(&*store, session, &["b"]).await;
    let first = tasks(&*store, old).await["a"].id;
    store.delete(vec![first]).await.expect("the store works").remove(0).expect("its job has ended");
    assert_eq!(retry(&*store, old, &[]).await, Err(RetryJobError::NotWhole { job: old, count: 1 }));
}
