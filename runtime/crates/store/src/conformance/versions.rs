//! Versions of packages, and the tasks that follow them.

use bytes::Bytes;
use sunaba_task::job::{NewJob, Node};
use sunaba_task::{Callback, CallbackOn, HandlerInfo, HandlerSettings, StateName};

use super::*;
use crate::{
    Activation, ChangedHandler, DeployChange, Deployed, MAX_VERSIONS, NewPackage, Package, StoreError, SubmitError,
    Submitted, VersionError,
};

const SCHEMA: &str = r#"{"type": "object", "required": ["text"]}"#;

/// A package `words` of this component with one handler, whose input has this schema.
fn package(component: &str, handler: &str, schema: Option<&str>) -> NewPackage {
    let handler = HandlerInfo {
        name: handler.into(),
        doc: String::new(),
        input_schema: schema.map(str::to_owned),
        output_schema: None,
        settings: HandlerSettings::default(),
    };
    let (name, component) = ("words".into(), Digest::of(component.as_bytes()));
    NewPackage { name, component, handlers: vec![handler], decider: None, allow_signature_change: false }
}

async fn try_deploy(store: &dyn Store, new: NewPackage, component: &str) -> Result<Deployed, StoreError> {
    store.deploy(new, Bytes::from(component.to_owned())).await
}

/// Another component of the same handler.
async fn deploy(store: &dyn Store, component: &str) -> Deployed {
    try_deploy(store, package(component, "word-count", Some(SCHEMA)), component).await.expect("it fits")
}

async fn activate(store: &dyn Store, version: Option<u32>) -> Result<Package, StoreError> {
    store.activate(Activation { package: "words".into(), version, allow_signature_change: false }).await
}

async fn versions(store: &dyn Store) -> Vec<(u32, Digest, bool)> {
    let versions = store.versions("words".into()).await.expect("the store works");
    versions.iter().map(|version| (version.version, version.component, version.is_active)).collect()
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> VersionError {
    match answer {
        Err(StoreError::Version(error)) => error,
        other => panic!("it should have been refused: {other:?}"),
    }
}

fn following() -> NewTask {
    with(|new| {
        new.spec.follows = true;
        new.spec.component = Digest::of(b"one");
    })
}

/// Each component once, with a number that stays; across a restart, too.
pub async fn deploys_make_versions_and_the_same_again_makes_none(subject: &mut impl Subject) {
    let store = subject.store();
    assert_eq!(store.versions("words".into()).await.expect("the store works"), []);
    let one = deploy(&*store, "one").await;
    assert_eq!((one.change, one.package.version, one.package.before), (DeployChange::New, 1, None));
    let again = deploy(&*store, "one").await;
    assert_eq!(again, Deployed { change: DeployChange::Unchanged, ..one });
    let two = deploy(&*store, "two").await;
    assert_eq!((two.change, two.package.version, two.package.before), (DeployChange::New, 2, Some(1)));
    drop(store);
    subject.restart();
    let store = subject.store();
    let (first, second) = (Digest::of(b"one"), Digest::of(b"two"));
    assert_eq!(versions(&*store).await, [(2, second, true), (1, first, false)]);
    let back = deploy(&*store, "one").await;
    assert_eq!((back.change, back.package.version, back.package.component), (DeployChange::Again, 1, first));
    assert_eq!(versions(&*store).await, [(2, second, false), (1, first, true)]);
    assert_eq!(deploy(&*store, "three").await.package.version, 3);
}

/// To the version before without a number, and to any with one.
pub async fn rollback_goes_to_the_version_before_or_to_the_one_that_is_named(subject: &mut impl Subject) {
    let store = subject.store();
    assert_eq!(refusal(activate(&*store, None).await), VersionError::NoPackage("words".into()));
    deploy(&*store, "one").await;
    assert_eq!(refusal(activate(&*store, None).await), VersionError::NoneBefore("words".into()));
    let never = VersionError::NoVersion { package: "words".into(), version: 9 };
    assert_eq!(refusal(activate(&*store, Some(9)).await), never);
    deploy(&*store, "two").await;
    deploy(&*store, "three").await;
    let back = activate(&*store, None).await.expect("there is one");
    assert_eq!((back.version, back.component, back.before), (2, Digest::of(b"two"), Some(3)));
    assert_eq!(store.packages().await.expect("the store works"), [back]);
    // Once more, and what was left is active again.
    assert_eq!(activate(&*store, None).await.expect("there is one").version, 3);
    assert_eq!(activate(&*store, Some(1)).await.expect("there is one").version, 1);
    assert_eq!(activate(&*store, Some(1)).await.expect("nothing changes").before, Some(3));
}

/// And of those that nobody needs, the oldest go, with their components.
pub async fn newest_versions_are_kept_and_those_that_are_needed(subject: &mut impl Subject) {
    let store = subject.store();
    let component = |number: usize| format!("component {number}");
    let pinned = |number| with(|new| new.spec.component = Digest::of(component(number).as_bytes()));
    for number in 1..=3 {
        deploy(&*store, &component(number)).await;
    }
    // Both are needed: one of a task that waits for its time, and one of a task that runs.
    let scheduled = NewTask { start: Some(When::After(SECOND)), ..pinned(1) };
    let scheduled = submit(&*store, scheduled).await;
    submit(&*store, pinned(2)).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    for number in 4..=MAX_VERSIONS + 3 {
        deploy(&*store, &component(number)).await;
    }
    let kept = versions(&*store).await;
    let numbers: Vec<_> = kept.iter().map(|(number, ..)| *number as usize).collect();
    assert_eq!(kept.len(), MAX_VERSIONS);
    assert_eq!(numbers[kept.len() - 3..], [6, 2, 1], "the third has gone, and two more");
    let is_there = async |number| {
        let digest = Digest::of(component(number).as_bytes());
        store.component(digest).await.expect("the store works").is_some()
    };
    assert_eq!((is_there(1).await, is_there(2).await, is_there(3).await, is_there(6).await), (true, true, false, true));
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    cancel(&*store, scheduled.id).await;
    deploy(&*store, "one more").await;
    assert_eq!(versions(&*store).await.len(), MAX_VERSIONS);
    assert_eq!((is_there(1).await, is_there(2).await), (false, true), "the oldest goes first");
}

/// What is deployed after a submit is for those that follow.
pub async fn task_that_follows_runs_what_is_active_at_each_lease(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    let follower = submit(&*store, following()).await;
    let pinned = submit(&*store, with(|new| new.spec.component = Digest::of(b"one"))).await;
    deploy(&*store, "two").await;
    let session = open(&*store).await;
    let leased = lease(&*store, session, 2).await;
    assert_eq!((leased[0].task.id, leased[0].task.spec.component), (follower.id, Digest::of(b"two")));
    assert_eq!((leased[1].task.id, leased[1].task.spec.component), (pinned.id, Digest::of(b"one")));
    assert_eq!(leased[0].task.spec.limits, follower.spec.limits);
    settle(&*store, settlement(&leased[0], Verdict::Retry(SECOND))).await.expect("it has the lease");
    activate(&*store, Some(1)).await.expect("there is one");
    subject.advance(SECOND);
    let again = lease_one(&*store, session).await;
    assert_eq!((again.task.id, again.task.spec.component), (follower.id, Digest::of(b"one")));
    assert_eq!(task(&*store, &follower).await.spec, follower.spec, "what was asked for never changes");
}

/// In whatever state they wait, and never for those that are pinned.
pub async fn changed_signature_is_refused_while_tasks_that_follow_wait(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    let handler: sunaba_task::HandlerName = "words/word-count".parse().expect("a name");
    let other = || package("two", "word-count", Some("{}"));
    let gone = || package("two", "sort", Some(SCHEMA));
    let refused = |is_there, waiting| VersionError::Signature {
        package: "words".into(),
        changed: vec![ChangedHandler { handler: handler.clone(), is_there, waiting }],
    };
    submit(&*store, with(|new| new.spec.component = Digest::of(b"one"))).await;
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    let ids = store.submit(vec![following(); 4]).await.expect("the store works");
    let ids: Vec<_> = ids.into_iter().map(|task| task.expect("it is taken on").into_task()).collect();
    submit(&*store, NewTask { start: Some(When::After(SECOND * 900)), ..following() }).await;
    let leased = lease(&*store, session, 2).await;
    settle(&*store, settlement(&leased[0], Verdict::Retry(SECOND * 900))).await.expect("it has the lease");
    // Two are queued, one runs, one waits for its time and one for another attempt.
    assert_eq!(refusal(try_deploy(&*store, other(), "two").await), refused(true, 5));
    assert_eq!(refusal(try_deploy(&*store, gone(), "two").await), refused(false, 5));
    assert_eq!(versions(&*store).await.len(), 1);
    assert_eq!(store.component(Digest::of(b"two")).await.expect("the store works"), None);
    // The same schema, written otherwise, is the same.
    let same = package("three", "word-count", Some(r#"{"required":["text"],"type":"object"}"#));
    assert_eq!(try_deploy(&*store, same, "three").await.expect("it fits").package.version, 2);
    settle(&*store, settlement(&leased[1], Verdict::Succeed)).await.expect("it has the lease");
    cancel(&*store, ids[3].id).await;
    assert_eq!(refusal(try_deploy(&*store, other(), "two").await), refused(true, 3));
    let forced = NewPackage { allow_signature_change: true, ..other() };
    assert_eq!(try_deploy(&*store, forced, "two").await.expect("it was said").package.version, 3);
    assert_eq!(refusal(activate(&*store, Some(1)).await), refused(true, 3));
}

/// As exactly as before, whatever ran.
pub async fn tasks_that_follow_are_counted_again_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    store.submit(vec![following(); 3]).await.expect("the store works");
    submit(&*store, NewTask { start: Some(When::After(SECOND * 900)), ..following() }).await;
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    lease_one(&*store, session).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let refused = refusal(try_deploy(&*store, package("two", "sort", None), "two").await);
    let VersionError::Signature { changed, .. } = refused else { panic!("it is another refusal: {refused}") };
    assert_eq!(changed[0].waiting, 3);
    let ended =
        store.tasks(crate::TaskQuery { limit: 9, ..crate::TaskQuery::default() }).await.expect("it works").tasks;
    for task in ended.iter().filter(|task| task.state.name() != StateName::Succeeded) {
        cancel(&*store, task.id).await;
    }
    assert_eq!(try_deploy(&*store, package("two", "sort", None), "two").await.expect("none waits").package.version, 2);
}

/// It was pinned to what nobody counted.
pub async fn callback_of_a_forgotten_version_has_the_active_one(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    let spec = TaskSpec { component: Digest::of(b"one"), ..new_task().spec };
    let native = TaskSpec::new("native/echo".parse().expect("a name"), Digest::of(b"native"));
    let callbacks = [spec, native].map(|spec| Callback { on: CallbackOn::Success, spec });
    submit(&*store, with(|new| new.callbacks = callbacks.into())).await;
    for number in 0..=MAX_VERSIONS + 1 {
        deploy(&*store, &format!("component {number}")).await;
    }
    let session = open(&*store).await;
    let done = finish(&*store, session, Verdict::Succeed).await;
    let active = store.packages().await.expect("the store works").remove(0).component;
    let components = [find(&*store, done.followers[0]).await, find(&*store, done.followers[1]).await];
    let components = components.map(|task| task.expect("it follows").spec.component);
    assert_eq!(components, [active, Digest::of(b"native")], "what no package has is left as it is");
}

/// Either the deploy sees the task, or the task is checked against what was deployed.
pub async fn follower_that_was_checked_against_another_version_is_not_taken_on(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    // Checked against the first, while the second with another signature comes: nobody waits, so that it is taken.
    let other =
        try_deploy(&*store, package("two", "word-count", Some("{}")), "two").await.expect("nobody waits").package;
    let unchecked = || Err(SubmitError::Unchecked { active: Box::new(other.clone()) });
    let answers = store.submit(vec![following(), new_task()]).await.expect("the store works");
    assert_eq!(answers[0], unchecked());
    assert!(answers[1].is_ok(), "what is pinned runs what it was checked against");
    let checked = |key: &str| {
        let mut new = following();
        (new.spec.component, new.spec.idempotency_key) = (other.component, Some(key.to_owned()));
        new
    };
    let task = submit(&*store, checked("a")).await;
    // Whoever asks again is told of the task that there is, whatever was deployed since.
    try_deploy(&*store, package("three", "word-count", Some("{ }")), "three").await.expect("it takes the same");
    let again = store.submit(vec![checked("a"), checked("b")]).await.expect("the store works");
    assert_eq!(again[0], Ok(Submitted::Existing(task)));
    assert!(matches!(&again[1], Err(SubmitError::Unchecked { active }) if active.version == 3));
}

/// The same of a job: all of its tasks that follow, and what would undo them, are for what is active when it is taken on.
pub async fn plan_that_was_checked_against_another_version_is_not_taken_on(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    let other =
        try_deploy(&*store, package("two", "word-count", Some("{}")), "two").await.expect("nobody waits").package;
    let node = |name: &str, task| Node::new(name.parse().expect("a name"), task);
    let submit = async |nodes: Vec<Node>| {
        let job = NewJob { nodes, ..NewJob::default() };
        store.submit_job(job).await.expect("the store works").map(drop)
    };
    let unchecked = |name: &str| {
        let node = name.parse().expect("a name");
        Err(crate::SubmitJobError::Unchecked { node, active: Box::new(other.clone()) })
    };
    assert_eq!(submit(vec![node("a", new_task()), node("b", following())]).await, unchecked("b"));
    let undone = Node { compensation: Some(following()), ..node("c", new_task()) };
    assert_eq!(submit(vec![undone]).await, unchecked("c"));
    let mut checked = following();
    checked.spec.component = other.component;
    assert_eq!(submit(vec![node("a", new_task()), node("b", checked)]).await, Ok(()));
}

/// And one whose handler takes the same goes on, however its schema is written.
pub async fn rerun_whose_handler_takes_another_input_is_checked_first(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    let session = open(&*store).await;
    submit(&*store, following()).await;
    let dead = finish(&*store, session, Verdict::GiveUp).await;
    let rerun = async |checked| {
        let request = crate::Rerun { task: dead.id, input: None, checked, once: false };
        store.rerun(vec![request]).await.expect("the store works").remove(0)
    };
    let same = package("two", "word-count", Some(r#"{"required":["text"],"type":"object"}"#));
    let same = try_deploy(&*store, same, "two").await.expect("it fits").package;
    let again = rerun(None).await.expect("it takes the same");
    assert_eq!(again.spec.component, same.component);
    cancel(&*store, again.id).await;
    let other = try_deploy(&*store, package("three", "word-count", None), "three").await.expect("it fits").package;
    let (task, handler) = (dead.id, dead.spec.handler.clone());
    let unchecked = crate::RerunError::Unchecked { task, handler, active: Box::new(other.clone()) };
    assert_eq!(rerun(None).await, Err(unchecked.clone()));
    assert_eq!(rerun(Some(same.component)).await, Err(unchecked), "it was checked against what is not active any more");
    let query = crate::TaskQuery { limit: 9, ..crate::TaskQuery::default() };
    let page = store.bulk(crate::BulkAction::Rerun, query).await.expect("the store works");
    // The first has a successor already; that one was cancelled, and is looked at.
    assert_eq!((page.done, page.unchecked), (vec![], vec![again.id]));
    assert_eq!(rerun(Some(other.component)).await.expect("it was checked").spec.component, other.component);
}

/// What a host need not keep ready.
pub async fn deploy_tells_which_components_nothing_runs(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "one").await;
    let pinned = submit(&*store, with(|new| new.spec.component = Digest::of(b"one"))).await;
    let two = deploy(&*store, "two").await;
    assert_eq!((two.dropped, two.idle), (vec![], vec![]));
    assert_eq!(deploy(&*store, "three").await.idle, [], "a task needs the first, and the second was active before");
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    assert_eq!(deploy(&*store, "four").await.idle, [two]);
    cancel(&*store, pinned.id).await;
    let elsewhere = NewPackage { name: "others".into(), ..package("two", "word-count", None) };
    assert_eq!(try_deploy(&*store, elsewhere, "two").await.expect("it fits").idle, [], "another package has it");
    assert_eq!(deploy(&*store, "five").await.idle, [one, Digest::of(b"three")]);
    for number in 5..MAX_VERSIONS {
        assert_eq!(deploy(&*store, &format!("component {number}")).await.dropped, []);
    }
    assert_eq!(deploy(&*store, "one more").await.dropped, [one]);
    assert_eq!(deploy(&*store, "and another").await.dropped, [], "another package keeps the second");
    assert_eq!(store.component(two).await.expect("the store works"), Some(Bytes::from_static(b"two")));
}

/// Whatever the task itself runs, and over a restart.
pub async fn decider_is_kept_while_a_task_needs_it(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "calm").await;
    let calm = Digest::of(b"calm");
    let decided = |new: &mut sunaba_task::NewTask| {
        new.spec.decider = Some(sunaba_task::TaskDecider { package: "words".into(), component: calm });
    };
    let tasks = [submit(&*store, with(decided)).await, submit(&*store, with(decided)).await];
    cancel(&*store, tasks[0].id).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let kept = async || store.component(calm).await.expect("the store works").is_some();
    for number in 0..=MAX_VERSIONS + 2 {
        let deployed = deploy(&*store, &format!("component {number}")).await;
        assert!(!deployed.dropped.contains(&calm) && !deployed.idle.contains(&calm), "{number}");
    }
    assert!(kept().await);
    cancel(&*store, tasks[1].id).await;
    assert!(deploy(&*store, "one more").await.dropped.contains(&calm));
    assert!(!kept().await, "nobody needs it any more");
}
