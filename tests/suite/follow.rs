//! Tasks that follow the active version: never one whose input nobody has checked by it, at a submit or at a rerun.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sunaba_runtime::store::{CancelWish, EmbeddedStore, NewPackage, Store, TaskQuery};
use sunaba_runtime::task::{Digest, HandlerInfo, HandlerSettings, Outcome, Payload, StateName, Task, TaskId, When};
use sunaba_runtime::{
    InputError, RefusedTask, RerunRefusal, Runtime, RuntimeBuilder, StartError, SubmitRefusal, TaskRequest,
};

use crate::support::{Host, block_on, text};

const TEXT: &str = r#"{"type":"object","required":["text"]}"#;
const LINES: &str = r#"{"type":"object","required":["lines"]}"#;
const OLD: &str = r#"{"text":"a"}"#;
const BOTH: &str = r#"{"text":"a","lines":[]}"#;

/// Has a store keep a version of `words`, behind the back of any host: as a deploy that comes between check and commit.
async fn deploy(store: &dyn Store, component: &str, schema: &str) -> Digest {
    let handler = HandlerInfo {
        name: "count".into(),
        doc: String::new(),
        input_schema: Some(schema.into()),
        output_schema: None,
        settings: HandlerSettings::default(),
    };
    let digest = Digest::of(component.as_bytes());
    let new = NewPackage {
        name: "words".into(),
        component: digest,
        handlers: vec![handler],
        decider: None,
        allow_signature_change: false,
    };
    store.deploy(new, Bytes::from(component.to_owned())).await.expect("nobody waits").package.component
}

async fn start(builder: RuntimeBuilder) -> Runtime {
    let store = Arc::new(EmbeddedStore::memory().expect("it opens"));
    deploy(&*store, "one", TEXT).await;
    builder.store(store).start().await.expect("it starts")
}

/// Not due in this test.
fn request(input: &str) -> TaskRequest {
    TaskRequest {
        start: Some(When::After(Duration::from_secs(3600))),
        follow: Some(true),
        ..TaskRequest::new("words/count".parse().expect("a name")).input(Payload::json(input.to_owned()))
    }
}

async fn submit(runtime: &Runtime, request: TaskRequest) -> Task {
    runtime.submit(request).await.expect("it is taken on").into_task()
}

async fn cancel(store: &dyn Store, ids: Vec<TaskId>) {
    let wish = CancelWish { reason: "a test".into(), grace: None };
    let cancelled = store.cancel(ids, wish).await.expect("the store works");
    assert!(cancelled.iter().all(|task| task.as_ref().is_some_and(|task| task.state.is_terminal())));
}

#[test]
fn submit_that_follows_is_checked_by_what_was_deployed_meanwhile() {
    block_on(async {
        let runtime = start(Runtime::builder()).await;
        let two = deploy(&**runtime.store(), "two", LINES).await;
        let mut answers = runtime.submit_all(vec![request(OLD), request(BOTH)]).await.expect("the store works");
        let taken = answers.pop().expect("two answers").expect("the second takes it too").into_task();
        assert_eq!((taken.spec.component, taken.spec.follows), (two, true));
        let refused = answers.pop().expect("an answer").expect_err("the second takes no text");
        assert!(matches!(&refused, SubmitRefusal::Refused(RefusedTask::Input(InputError::Schema { .. }))), "{refused}");
        // What is pinned runs what it was checked by.
        let pinned = submit(&runtime, TaskRequest { follow: Some(false), ..request(OLD) }).await;
        assert_eq!(pinned.spec.component, Digest::of(b"one"));
        let found =
            runtime.store().tasks(TaskQuery { limit: 9, ..TaskQuery::default() }).await.expect("it works").tasks;
        assert_eq!(found.len(), 2, "nothing else waits");
    });
}

#[test]
fn rerun_is_checked_by_the_version_that_would_run_it() {
    block_on(async {
        let runtime = start(Runtime::builder()).await;
        let store = Arc::clone(runtime.store());
        let old = submit(&runtime, request(OLD)).await;
        let both = submit(&runtime, request(BOTH)).await;
        let running = runtime.rerun(old.id, None).await.expect_err("it has not ended");
        assert!(running.to_string().contains("only what has ended"), "{running}");
        cancel(&*store, vec![old.id, both.id]).await;
        let two = deploy(&*store, "two", LINES).await;
        let refused = runtime.rerun(old.id, None).await.expect_err("the second takes no text");
        assert!(matches!(refused, RerunRefusal::OldInput { .. }), "{refused}");
        let shown = refused.to_string();
        assert!(shown.contains("`words/count` of version 2 does not take it: "), "{shown}");
        assert!(shown.contains("\nhint: give it another with `--input`"), "{shown}");
        let wrong = runtime.rerun(old.id, Some(Payload::json(OLD))).await.expect_err("neither does it then");
        assert!(matches!(wrong, RerunRefusal::Refused(RefusedTask::Input(_))), "{wrong}");
        let other = runtime.rerun(old.id, Some(Payload::json(BOTH))).await.expect("that it takes");
        assert_eq!(other.spec.component, two);
        let again = runtime.rerun(both.id, None).await.expect("its own input fits");
        assert_eq!(again.spec.component, two);
    });
}

#[test]
fn redrive_runs_what_fits_and_tells_what_does_not() {
    block_on(async {
        let runtime = start(Runtime::builder()).await;
        let store = Arc::clone(runtime.store());
        let mut ids = Vec::new();
        for input in [OLD, BOTH, OLD] {
            ids.push(submit(&runtime, request(input)).await.id);
        }
        cancel(&*store, ids.clone()).await;
        deploy(&*store, "two", LINES).await;
        let query = TaskQuery { states: vec![StateName::Cancelled], limit: 9, ..TaskQuery::default() };
        let (page, refused) = runtime.rerun_page(query).await.expect("the store works");
        assert_eq!((page.done, page.next), (vec![ids[1]], None));
        let refused: Vec<_> =
            refused.iter().map(|(id, error)| (*id, matches!(error, RerunRefusal::OldInput { .. }))).collect();
        assert_eq!(refused, [(ids[2], true), (ids[0], true)]);
    });
}

#[test]
fn host_says_whether_tasks_follow_and_submitters_say_otherwise() {
    block_on(async {
        for (builder, default) in [(Runtime::builder(), false), (Runtime::builder().follow_active(), true)] {
            let runtime = start(builder).await;
            for (said, follows) in [(None, default), (Some(true), true), (Some(false), false)] {
                let task = submit(&runtime, TaskRequest { follow: said, ..request(OLD) }).await;
                assert_eq!(task.spec.follows, follows, "{said:?} where the default is {default}");
            }
        }
    });
}

#[test]
fn native_package_never_shadows_a_deployed_one() {
    block_on(async {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::memory().expect("it opens"));
        deploy(&*store, "one", TEXT).await;
        let native = |name| {
            let builder = Runtime::builder().store(Arc::clone(&store));
            builder.native(name, |native| async move { Ok(Outcome::Complete(native.input)) })
        };
        let refused = native("words/other").start().await.map(|_| ()).expect_err("the name is taken");
        assert!(
            matches!(&refused, StartError::NativeDeployed { package, version: 1 } if package == "words"),
            "{refused}"
        );
        assert!(refused.to_string().contains("\nhint: give the native handlers another package"), "{refused}");
        native("others/count").start().await.expect("that name is free");
    });
}

#[test]
fn command_line_shows_whether_a_task_follows_and_what_was_not_run_again() {
    let mut host = Host::start(&["--follow-active"]);
    host.kill();
    block_on(async {
        let store = EmbeddedStore::sled(&host.data.path().join("data")).expect("nobody else has it");
        deploy(&store, "one", TEXT).await;
    });
    host.restart();
    let submit = |input: &str, more: &[&str]| {
        host.ok(&[&["task", "submit", "words/count", "--delay=1h", "--input", input], more].concat())
    };
    let (follower, pinned, fits) = (submit(OLD, &[]), submit(OLD, &["--pin"]), submit(BOTH, &["--follow"]));
    for (id, says) in [(&follower, "follows what is active at each attempt"), (&pinned, "pinned to this component")] {
        let shown = host.ok(&["task", "get", id]);
        let row = shown.lines().find(|line| line.starts_with("version ")).expect("it says so");
        assert!(row.ends_with(says), "{shown}");
    }
    let both = host.sunaba(["task", "submit", "words/count", "--pin", "--follow"]);
    assert_eq!(both.status.code(), Some(2), "{}", text(&both.stderr));
    host.ok(&["task", "cancel", "--handler=words", "--yes"]);
    host.kill();
    block_on(async {
        let store = EmbeddedStore::sled(&host.data.path().join("data")).expect("nobody else has it");
        deploy(&store, "two", LINES).await;
    });
    host.restart();
    let one = host.sunaba(["task", "rerun", &follower]);
    let said = text(&one.stderr);
    assert_eq!(one.status.code(), Some(4), "{said}");
    assert!(said.starts_with(&format!("error: task {follower} cannot be run again with its own input: ")), "{said}");
    let all = host.sunaba(["task", "rerun", "--handler=words", "--yes", "-o", "json"]);
    let said = text(&all.stderr);
    assert_eq!((all.status.code(), said.lines().count()), (Some(4), 4), "{said}");
    assert!(said.contains("error: 2 tasks could not be run again, for the reasons above\nhint: "), "{said}");
    let done: serde_json::Value = serde_json::from_slice(&all.stdout).expect("JSON");
    assert_eq!(done, json!({"done": 1, "refused": 2}));
    assert!(host.json(&["task", "get", &fits])["successor"].is_string());
}
