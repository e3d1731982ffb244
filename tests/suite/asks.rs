//! What a guest asks its host for: children, what others gave, and a checkpoint. The sandbox alone, with hosts of our own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{
    AskError, AskErrorKind, AttemptHost, AttemptReport, AttemptResult, BoxFuture, Cause, Child, EndedPage, EndedTask,
    Failure, Outcome, Payload, Plan, StateName, TaskId,
};

use crate::support::{block_on, guest, load, root, run, run_json, stop};

/// As many as an attempt may ask for, and as a plan may have.
const MOST_CHILDREN: usize = 100_000;

/// A host with a store of its own.
#[derive(Default)]
struct Store {
    children: Mutex<Vec<Child>>,
    kept: Mutex<Option<Bytes>>,
    /// What was waited for, by name, two at a time.
    ended: Vec<EndedTask>,
    asked: Mutex<Vec<(String, Option<String>)>>,
}

fn id(number: usize) -> TaskId {
    TaskId::from_bytes((number as u128).to_be_bytes())
}

impl Store {
    fn with(ended: &[(&str, StateName, Option<&str>)]) -> Self {
        let task = |(number, (name, state, output)): (usize, &(&str, StateName, Option<&str>))| {
            let output = output.map(|output| Payload::json(output.to_owned()));
            EndedTask { name: (*name).to_owned(), task: id(number), state: *state, output }
        };
        Self { ended: ended.iter().enumerate().map(task).collect(), ..Self::default() }
    }
}

impl AttemptHost for Store {
    fn submit_child(&self, child: Child) -> BoxFuture<'_, Result<TaskId, AskError>> {
        let mut children = self.children.lock().expect("nobody panicked");
        children.push(child);
        let id = id(children.len());
        Box::pin(async move { Ok(id) })
    }

    fn dependency_outputs(&self, name: String, after: Option<String>) -> BoxFuture<'_, Result<EndedPage, AskError>> {
        self.asked.lock().expect("nobody panicked").push((name, after.clone()));
        let rest = self.ended.iter().filter(move |task| after.as_ref().is_none_or(|after| task.name > *after));
        let tasks: Vec<_> = rest.take(2).cloned().collect();
        let next = tasks.last().filter(|_| tasks.len() == 2).map(|task| task.name.clone());
        Box::pin(async move { Ok(EndedPage { tasks, next }) })
    }

    fn checkpoint(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        *self.kept.lock().expect("nobody panicked") = Some(bytes);
        Box::pin(async { Ok(()) })
    }

    fn last_checkpoint(&self) -> BoxFuture<'_, Result<Option<Bytes>, AskError>> {
        let kept = self.kept.lock().expect("nobody panicked").clone();
        Box::pin(async move { Ok(kept) })
    }
}

/// A host that never answers, one that panics, and one that refuses.
struct Silent;
struct Broken;
struct Strict;

impl AttemptHost for Silent {
    fn checkpoint(&self, _: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        Box::pin(std::future::pending())
    }
}

impl AttemptHost for Broken {
    fn submit_child(&self, _: Child) -> BoxFuture<'_, Result<TaskId, AskError>> {
        Box::pin(async { panic!("on purpose") })
    }
}

impl AttemptHost for Strict {
    fn submit_child(&self, _: Child) -> BoxFuture<'_, Result<TaskId, AskError>> {
        let message = format!("there is a child of this name already{}", "x".repeat(1 << 20));
        Box::pin(async { Err(AskError::new(AskErrorKind::Conflict, message)) })
    }
}

fn sandbox() -> Sandbox {
    Sandbox::builder().slots(1).start().expect("threads")
}

async fn attempt(sandbox: &Sandbox, guest: &str, handler: &str, input: &Value) -> Attempt {
    let component = load(sandbox, guest).await;
    let attempt = Attempt::of(&component, handler).expect("it is there");
    attempt.input(Payload::json(input.to_string())).expect("it matches")
}

fn asked(guest: &str, handler: &str, input: &Value, host: Arc<dyn AttemptHost>) -> AttemptReport {
    asked_with(guest, handler, input, host, |_| {})
}

fn asked_with(
    guest: &str,
    handler: &str,
    input: &Value,
    host: Arc<dyn AttemptHost>,
    change: impl FnOnce(&mut Attempt),
) -> AttemptReport {
    block_on(async {
        let sandbox = sandbox();
        let mut attempt = attempt(&sandbox, guest, handler, input).await;
        change(&mut attempt);
        attempt.run(&sandbox, host).await.expect("the host can do its part")
    })
}

fn output(report: &AttemptReport) -> Value {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => serde_json::from_slice(&output.bytes).expect("JSON"),
        other => panic!("it should have completed: {other:?}"),
    }
}

fn failure(report: AttemptReport) -> Failure {
    match report.result {
        AttemptResult::Failed(failure) => failure,
        other => panic!("it should have failed: {other:?}"),
    }
}

fn plan(report: AttemptReport) -> Plan {
    match report.result {
        AttemptResult::Returned(Outcome::Decompose(plan)) => plan,
        other => panic!("it should have decomposed: {other:?}"),
    }
}

#[test]
fn children_are_asked_for_one_by_one_and_have_ids() {
    let store = Arc::new(Store::default());
    let report = asked("resume", "spread", &json!(2), Arc::clone(&store) as _);
    assert_eq!(output(&report), json!([id(1).to_string(), id(2).to_string()]));
    let children = store.children.lock().expect("nobody panicked");
    assert_eq!(children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["part/1", "part/2"]);
    assert_eq!(children[0].handler, "resume");
    assert_eq!(children[0].input, Payload::json(r#"{"rows":1,"breaks_at":null}"#));
    assert!(children[0].after.is_empty() && children[0].settings.is_empty());
    let receipt = &report.receipt;
    assert_eq!(receipt.host_calls_by, [("sunaba:task/host.submit".to_owned(), 2)]);
    assert!(receipt.moved_bytes > 0);
}

#[test]
fn outputs_are_read_page_by_page() {
    let (done, counts) = (StateName::Succeeded, [r#"{"a":1,"b":2}"#, r#"{"b":1}"#, r#"{"c":4}"#]);
    let names = ["count/1", "count/2", "count/3"];
    let ended: Vec<_> = names.into_iter().zip(counts).map(|(name, count)| (name, done, Some(count))).collect();
    let store = Arc::new(Store::with(&ended));
    let report = asked("word-count", "report", &Value::Null, Arc::clone(&store) as _);
    assert_eq!(output(&report), json!({"words": 8, "different": 3, "top": [["c", 4], ["b", 3], ["a", 1]]}));
    let asked = store.asked.lock().expect("nobody panicked");
    assert_eq!(*asked, [("count/*".to_owned(), None), ("count/*".to_owned(), Some("count/2".to_owned()))]);
}

#[test]
fn what_did_not_succeed_is_told_as_such() {
    let store = Store::with(&[("count/1", StateName::Succeeded, Some("{}")), ("count/2", StateName::Dead, None)]);
    let failure = failure(asked("word-count", "report", &Value::Null, Arc::new(store)));
    assert_eq!(failure.message, "`count/2` gave no output: it is dead");
}

#[test]
fn checkpoint_is_given_to_the_next_attempt() {
    let (store, input) = (Arc::new(Store::default()), json!({"rows": 1000, "breaks_at": 250}));
    let failure = failure(asked("resume", "resume", &input, Arc::clone(&store) as _));
    assert_eq!(failure.kind, "network");
    let kept = store.kept.lock().expect("nobody panicked").clone();
    assert_eq!(kept.as_deref(), Some(&br#"{"done":200,"sum":19900}"#[..]));
    let report = asked("resume", "resume", &json!({"rows": 1000}), store);
    assert_eq!(output(&report), json!({"from": 200, "sum": 499_500}));
}

#[test]
fn refusal_is_the_guest_s_to_handle_and_is_bounded() {
    let report = asked("resume", "spread", &json!(1), Arc::new(Strict));
    let message = failure(report).message;
    assert!(message.starts_with("there is a child of this name already"), "{message}");
    assert_eq!(message.len(), 2048);
    // Nobody is there who has a store: some calls are refused, and the handler goes on.
    let report = block_on(async {
        let sandbox = sandbox();
        let attempt = attempt(&sandbox, "resume", "resume", &json!({"rows": 100})).await;
        run(&sandbox, attempt).await
    });
    assert_eq!(output(&report), json!({"from": 0, "sum": 4950}));
    let said = &report.logs[0].message;
    assert!(said.starts_with("row 100 was not kept: there is no store for `checkpoint`\nhint: "), "{said}");
}

#[test]
fn call_that_waits_ends_with_the_attempt_and_is_named() {
    let stopped = stop(asked_with("resume", "resume", &json!({"rows": 100}), Arc::new(Silent), |attempt| {
        attempt.limits_mut().timeout = Duration::from_millis(50);
    }));
    assert_eq!(stopped.cause, Cause::Timeout);
    assert!(stopped.message.contains("in `sunaba:task/host.checkpoint`"), "{}", stopped.message);
    assert!(!stopped.backtrace.is_empty());
}

#[test]
fn panic_of_the_host_fails_the_attempt_in_that_call() {
    let stopped = stop(asked("resume", "spread", &json!(1), Arc::new(Broken)));
    assert_eq!(stopped.cause, Cause::HostCall(Some("sunaba:task/host.submit".into())));
    assert_eq!(stopped.message, "host code panicked: on purpose");
}

/// As many children as its input says, asked for one by one.
fn spread(count: usize) -> (AttemptReport, usize) {
    let store = Arc::new(Store::default());
    let report = asked_with("resume", "spread", &json!(count), Arc::clone(&store) as _, |attempt| {
        attempt.limits_mut().output_bytes = 8 << 20;
    });
    let made = store.children.lock().expect("nobody panicked").len();
    (report, made)
}

#[test]
fn number_of_submits_obeyed() {
    let (report, made) = spread(MOST_CHILDREN);
    assert_eq!((output(&report).as_array().map(Vec::len), made), (Some(MOST_CHILDREN), MOST_CHILDREN));
}

#[test]
fn number_of_submits_violated() {
    let (report, made) = spread(MOST_CHILDREN + 1);
    let failure = failure(report);
    assert!(
        failure.message.starts_with("this attempt has asked for 100,000 children: that is the limit"),
        "{failure:?}"
    );
    assert_eq!(made, MOST_CHILDREN);
}

#[test]
fn plan_comes_out_as_the_handler_made_it() {
    let trip = json!({"traveller": "Ada", "city": "Turin"});
    let plan = plan(asked("saga", "trip", &trip, Arc::new(Store::default())));
    assert_eq!(plan.join.as_deref(), Some("itinerary"));
    assert_eq!(plan.settings, [("on-failure".to_owned(), "compensate".to_owned())]);
    let hotel = &plan.children[1];
    assert_eq!((hotel.name.as_str(), hotel.handler.as_str()), ("hotel", "book-hotel"));
    assert_eq!(hotel.settings, [("undo".to_owned(), "cancel-hotel".to_owned())]);
    assert_eq!(hotel.after.iter().map(|after| after.name.as_str()).collect::<Vec<_>>(), ["flight"]);
    let plan = self::plan(asked_with(
        "crate-audit",
        "audit-all",
        &json!({"root": "/crates", "crates": ["a"]}),
        Arc::new(Store::default()),
        |_| {},
    ));
    let after = &plan.children[1].after[0];
    assert_eq!(
        (after.name.as_str(), after.settings.as_slice()),
        ("crate/*", &[("on-failure".into(), "continue".into())][..])
    );
}

fn planned(count: usize, change: impl FnOnce(&mut Attempt)) -> AttemptReport {
    asked_with("plans", "plan-many", &json!(count), Arc::new(Store::default()), change)
}

#[test]
fn size_of_a_plan_obeyed() {
    let report = planned(MOST_CHILDREN, |_| {});
    assert!(report.receipt.output_bytes > 3 << 20, "{:?}", report.receipt);
    assert_eq!(plan(report).children.len(), MOST_CHILDREN);
}

#[test]
fn size_of_a_plan_violated() {
    for (count, output_bytes, expected) in [
        (1_000, 20_000, "the plan of 1,000 children has "),
        (MOST_CHILDREN, 1 << 20, "the result is far larger than the limit of 1.0 MiB (`output`): "),
        (3 * MOST_CHILDREN, 16 << 20, "the result is far larger than the limit of 16.0 MiB (`output`): "),
    ] {
        let stopped = stop(planned(count, |attempt| attempt.limits_mut().output_bytes = output_bytes));
        assert_eq!(stopped.cause, Cause::Output, "{count}");
        assert!(stopped.message.starts_with(expected), "{count}: {}", stopped.message);
    }
}

#[test]
fn run_shows_a_plan_as_json() {
    let text = root().join("guest-examples/word-count/sample/tides.txt");
    let (code, report) = run_json("word-count", &["--input", &format!("@{}", text.display())]);
    assert_eq!((code, &report["status"]), (0, &json!("decomposed")), "{report:#}");
    let plan = &report["plan"];
    assert_eq!((&plan["join"], &plan["children"][0]["name"]), (&json!("report"), &json!("count/1")));
    assert!(plan["children"][0]["input"].as_str().is_some_and(|text| text.starts_with("The tide is")));
    let last = plan["children"].as_array().and_then(|children| children.last()).expect("there are some");
    assert_eq!(last["after"], json!([{"name": "count/*", "settings": []}]));
    assert_eq!(report["output"], Value::Null);
}

#[test]
fn component_imports_only_what_it_calls() {
    let imports = |name: &str, function: &str| {
        let bytes = std::fs::read(guest(name)).expect("it is there");
        bytes.windows(function.len()).any(|window| window == function.as_bytes())
    };
    for function in ["dependency-outputs", "last-checkpoint"] {
        assert!(!imports("hello", function), "{function}");
    }
    assert!(imports("resume", "last-checkpoint") && !imports("resume", "dependency-outputs"));
    assert!(imports("word-count", "dependency-outputs") && !imports("word-count", "last-checkpoint"));
}
