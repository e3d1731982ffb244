//! A task over again.

use bytes::Bytes;
use sunaba_task::{
    Callback, CallbackOn, HandlerInfo, HandlerSettings, OnConflict, Origin, Retention, StateName, Unique,
};

use super::*;
use crate::{NewPackage, Rerun, RerunError, TaskQuery};

async fn rerun(store: &dyn Store, id: TaskId, input: Option<Payload>) -> Result<Task, RerunError> {
    store.rerun(vec![Rerun { task: id, input, checked: None, once: false }]).await.expect("the store works").remove(0)
}

async fn rerun_checked(store: &dyn Store, id: TaskId, input: Option<Payload>, by: Digest) -> Result<Task, RerunError> {
    let request = Rerun { task: id, input, checked: Some(by), once: false };
    store.rerun(vec![request]).await.expect("the store works").remove(0)
}

/// As it was submitted, but for its keys and its instants; each knows of the other.
pub async fn rerun_makes_a_new_task_and_changes_no_state(subject: &mut impl Subject) {
    let store = subject.store();
    let new = with(|new| {
        new.spec.idempotency_key = Some("k".into());
        new.spec.priority = 3;
        new.spec.tags = vec!["t".into()];
        new.input = Payload::new("image/png", Bytes::from(vec![7; 100_000]));
        new.unique = Some(Unique { key: "u".into(), window: None, on_conflict: OnConflict::Reject });
        new.expires = Some(When::After(SECOND * 60));
        new.callbacks = vec![Callback { on: CallbackOn::Failure, spec: new_task().spec }];
    });
    submit(&*store, new.clone()).await;
    let session = open(&*store).await;
    let dead = finish(&*store, session, Verdict::GiveUp).await;
    let again = rerun(&*store, dead.id, None).await.expect("it has ended");
    let spec = TaskSpec { idempotency_key: None, ..new.spec };
    assert_eq!((&again.spec, &again.state, again.attempts_started), (&spec.into(), &State::Queued, 0));
    assert_eq!((again.origin, again.successor), (Some(Origin::Rerun(dead.id)), None));
    assert_eq!((&again.unique, again.expires_at, again.callbacks), (&None, None, 1));
    assert_eq!(store.input(again.id).await.expect("the store works"), Some(new.input));
    let old = task(&*store, &dead).await;
    let expected = Task { successor: Some(again.id), revision: dead.revision + 1, ..dead.clone() };
    assert_eq!(old, expected);
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased[0].task.id, again.id, "its priority is higher than that of what followed the first");
    let dead = settle(&*store, settlement(&leased[0], Verdict::GiveUp)).await.expect("it has the lease");
    assert_eq!(dead.followers.len(), 1);
    // Once more, of the same one.
    let third = rerun(&*store, old.id, None).await.expect("it has ended");
    assert_eq!(task(&*store, &old).await.successor, Some(third.id));
}

/// What was wrong with it may have been its input.
pub async fn rerun_can_have_another_input(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let dead = finish(&*store, session, Verdict::GiveUp).await;
    let input = Payload::new("text/plain", "better");
    let again = rerun(&*store, dead.id, Some(input.clone())).await.expect("it has ended");
    assert_eq!((again.input.media_type.as_str(), again.input.size_bytes), ("text/plain", 6));
    assert_eq!(lease_one(&*store, session).await.input, input);
    assert_eq!(store.input(dead.id).await.expect("the store works"), Some(Payload::json("{}")));
}

/// In one call, each has its own answer.
pub async fn only_what_has_ended_is_run_again(subject: &mut impl Subject) {
    let store = subject.store();
    let waiting = submit(&*store, with(|new| new.start = Some(When::After(SECOND)))).await;
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let done = finish(&*store, session, Verdict::Succeed).await;
    let unknown = TaskId::from_bytes([7; 16]);
    let requests = [waiting.id, unknown, done.id].map(|task| Rerun { task, input: None, checked: None, once: false });
    let answers = store.rerun(requests.into()).await.expect("the store works");
    let state = StateName::Scheduled;
    assert_eq!(answers[0], Err(RerunError::NotEnded { task: waiting.id, state }));
    assert_eq!(answers[1], Err(RerunError::Unknown(unknown)));
    assert_eq!(answers[2].as_ref().expect("it has ended").origin, Some(Origin::Rerun(done.id)));
    assert_eq!(task(&*store, &waiting).await, waiting);
    let all = store.tasks(TaskQuery { limit: 99, ..TaskQuery::default() }).await.expect("the store works");
    assert_eq!(all.tasks.len(), 3);
}

/// Nobody has to look at it any more.
pub async fn dead_letter_that_was_run_again_goes_like_a_success(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 2]).await.expect("the store works");
    let session = open(&*store).await;
    let (again, left) =
        (finish(&*store, session, Verdict::GiveUp).await, finish(&*store, session, Verdict::GiveUp).await);
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    subject.advance(week * 9);
    rerun(&*store, again.id, None).await.expect("it has ended");
    subject.advance(week - SECOND);
    assert!(find(&*store, again.id).await.is_some());
    subject.advance(SECOND + SLACK);
    assert_eq!(find(&*store, again.id).await, None);
    assert_eq!(find(&*store, left.id).await, Some(left));
}

/// What was promised at its end holds: neither a rerun nor a new retention takes it back.
pub async fn result_is_kept_as_long_though_its_task_was_run_again(subject: &mut impl Subject) {
    let store = subject.store();
    let day = Duration::from_secs(24 * 60 * 60);
    let session = open(&*store).await;
    let mut done = Vec::new();
    for keep_result in [Some(day * 30), None] {
        submit(&*store, with(|new| new.spec.keep_result = keep_result)).await;
        let settlement = Settlement {
            output: Some(Payload::json("1")),
            ..settlement(&lease_one(&*store, session).await, Verdict::Succeed)
        };
        done.push(settle(&*store, settlement).await.expect("it has the lease"));
    }
    store.set_retention(Retention { succeeded: Some(SECOND), ..Retention::default() }).await.expect("the store works");
    for task in &done {
        rerun(&*store, task.id, None).await.expect("it has ended");
    }
    subject.advance(day * 6);
    assert!(find(&*store, done[1].id).await.is_some());
    subject.advance(day * 23);
    assert!(store.output(done[0].id).await.expect("the store works").is_some());
    subject.advance(day + SLACK);
    assert_eq!(find(&*store, done[0].id).await, None);
}

/// What was mended since is what runs.
pub async fn rerun_has_the_component_that_is_deployed_now(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let dead = finish(&*store, session, Verdict::GiveUp).await;
    let spec = &dead.spec;
    let info = |name: &str| HandlerInfo {
        name: name.into(),
        doc: String::new(),
        input_schema: None,
        output_schema: None,
        settings: HandlerSettings::default(),
    };
    let deploy = async |handler: &str| {
        let (name, component) = (spec.handler.package.clone(), Digest::of(handler.as_bytes()));
        let package =
            NewPackage { name, component, handlers: vec![info(handler)], decider: None, allow_signature_change: false };
        store.deploy(package, handler.to_owned().into()).await.expect("the store works").package
    };
    deploy("another").await;
    let refused = rerun(&*store, dead.id, None).await;
    assert_eq!(refused, Err(RerunError::NoHandler { task: dead.id, handler: spec.handler.clone() }));
    let mended = deploy(&spec.handler.handler).await.component;
    // What it ran is not a version of the package, so that nobody knows what that took.
    let unchecked = rerun(&*store, dead.id, None).await;
    assert!(matches!(unchecked, Err(RerunError::Unchecked { active, .. }) if active.component == mended));
    let again = rerun_checked(&*store, dead.id, None, mended).await.expect("it has ended");
    assert_eq!((again.spec.component, &again.spec.handler), (mended, &spec.handler));
    assert_eq!(task(&*store, &dead).await.spec.component, spec.component);
}

/// By whoever comes first.
pub async fn task_is_run_again_once_where_that_is_asked_for(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    let dead = finish(&*store, session, Verdict::GiveUp).await;
    let again = async |once| {
        let request = Rerun { task: dead.id, input: None, checked: None, once };
        store.rerun(vec![request]).await.expect("the store works").remove(0)
    };
    let first = again(true).await.expect("it is the first").id;
    assert_eq!(again(true).await, Err(RerunError::Already { task: dead.id, successor: first }));
    assert!(again(false).await.is_ok_and(|second| second.id != first));
}
