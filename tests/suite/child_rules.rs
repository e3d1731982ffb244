//! What children get of their parent, and what they may ask of others.

use std::time::Duration;

use sunaba_runtime::store::TaskQuery;
use sunaba_runtime::task::{
    AskErrorKind, Child, Dependency, Disposition, Ending, Failure, Outcome, Payload, Plan, Policy, StateName, Task,
};
use sunaba_runtime::{JobRefusal, JobRequest, Native, Runtime, RuntimeBuilder, TaskRequest, group};

use crate::support::block_on;

const WAIT: Duration = Duration::from_secs(60);

fn child(name: &str, handler: &str, after: &[&str], settings: &[(&str, &str)]) -> Child {
    let after = after.iter().map(|name| Dependency { name: (*name).into(), settings: Vec::new() });
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let (name, handler, input) = (name.into(), handler.into(), Payload::json("null"));
    Child { name, handler, input, after: after.collect(), settings: settings.collect() }
}

fn plan(join: Option<&str>, children: Vec<Child>) -> Result<Outcome, Failure> {
    Ok(Outcome::Decompose(Plan { children, join: join.map(str::to_owned), settings: Vec::new() }))
}

fn complete(output: impl ToString) -> Result<Outcome, Failure> {
    Ok(Outcome::Complete(Payload::json(output.to_string())))
}

async fn start(builder: RuntimeBuilder) -> Runtime {
    builder.concurrency(2).start().await.expect("it starts")
}

async fn run(runtime: &Runtime, request: TaskRequest) -> Task {
    let task = runtime.submit(request).await.expect("it is taken on").into_task();
    let task = runtime.wait(task.id, WAIT).await.expect("the store works").expect("it is there");
    assert!(task.state.is_terminal(), "{task:#?}");
    task
}

fn request(handler: &str) -> TaskRequest {
    TaskRequest::new(handler.parse().expect("a name"))
}

/// What the group `part/*` gave, as many as it says; or why not.
async fn count(native: Native) -> Result<Outcome, Failure> {
    match native.dependency_outputs("part/*", None).await {
        Ok(page) => complete(page.tasks.len()),
        Err(error) => {
            let kind = if error.kind == AskErrorKind::Invalid { "invalid" } else { "other" };
            Err(Failure { kind: kind.into(), message: error.message, detail: None, disposition: Disposition::Fatal })
        }
    }
}

fn summing(join_after: &'static [&'static str]) -> RuntimeBuilder {
    Runtime::builder()
        .native("sums/main", move |_| async move {
            let parts = ["part/a", "part/b"].map(|name| child(name, "sums/part", &[], &[]));
            let join = child("join", "sums/join", join_after, &[]);
            plan(Some("join"), parts.into_iter().chain([join]).collect())
        })
        .native("sums/part", |_| async { complete(1) })
        .native("sums/join", count)
}

#[test]
fn outputs_that_were_waited_for_are_all_there() {
    block_on(async {
        let runtime = start(summing(&["part/*"])).await;
        let task = run(&runtime, request("sums/main")).await;
        assert_eq!(runtime.output(task.id).await.expect("the store works"), Some(Payload::json("2")), "{task:#?}");
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn outputs_of_a_group_that_was_not_waited_for_are_refused() {
    block_on(async {
        for after in [&[][..], &["part/a"]] {
            let runtime = start(summing(after)).await;
            let task = run(&runtime, request("sums/main")).await;
            assert_eq!(task.state.name(), StateName::Dead, "{task:#?}");
            let all = TaskQuery { limit: 100, ..TaskQuery::default() };
            let tasks = runtime.store().tasks(all).await.expect("the store works").tasks;
            let join = tasks.iter().find(|task| task.spec.handler.handler == "join").expect("it has run");
            let ending = &join.attempts.last().expect("it has run").ending;
            let Ending::Failed { kind, message } = ending else { panic!("{ending:?}") };
            assert!(kind == "invalid" && message.contains("this task does not wait for `part/*`"), "{message}");
            runtime.stop(WAIT).await.expect("the store is there");
        }
    });
}

#[test]
fn child_goes_before_nobody_that_its_parent_would_not() {
    block_on(async {
        let builder = Runtime::builder()
            .native("ranks/main", |_| async {
                let ask = |name, priority| child(name, "ranks/leaf", &[], &[("priority", priority)]);
                let unsaid = child("unsaid", "ranks/leaf", &[], &[]);
                plan(None, vec![ask("lower", "-9"), ask("higher", "1000"), unsaid])
            })
            .native("ranks/leaf", |_| async { complete("null") });
        let runtime = start(builder).await;
        let task = run(&runtime, TaskRequest { priority: Some(-5), ..request("ranks/main") }).await;
        assert_eq!(task.state.name(), StateName::Succeeded, "{task:#?}");
        let all = TaskQuery { limit: 100, ..TaskQuery::default() };
        let tasks = runtime.store().tasks(all).await.expect("the store works").tasks;
        let leaves = tasks.iter().filter(|task| task.spec.handler.handler == "leaf");
        let mut priorities: Vec<i32> = leaves.map(|task| task.spec.priority).collect();
        priorities.sort_unstable();
        assert_eq!(priorities, [-9, -5, -5]);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

fn large_group(nodes: usize, bytes: usize) -> JobRequest {
    let tag = "x".repeat(bytes / 2);
    let task = TaskRequest { input: Some(Payload::json(format!("\"{tag}{tag}\""))), ..request("sums/part") };
    JobRequest::of("many", group(vec![task; nodes])).expect("a name")
}

#[test]
fn bytes_of_a_plan_obeyed_and_violated() {
    block_on(async {
        let runtime = start(summing(&[])).await;
        runtime.submit_job(large_group(10, 1_000_000)).await.expect("10 MB are not too much");
        let refused = runtime.submit_job(large_group(150, 1_000_000)).await.expect_err("150 MB are");
        assert!(matches!(refused, JobRefusal::TooHeavy(_)), "{refused}");
        assert!(refused.to_string().contains("the plan has more than 128.0 MiB"), "{refused}");
        runtime.force_stop();
    });
}

#[test]
fn plan_that_is_refused_is_not_tried_again() {
    block_on(async {
        let builder =
            Runtime::builder().native("odd/main", |_| async { plan(None, vec![child("a", "odd/no-such", &[], &[])]) });
        let runtime = start(builder).await;
        let task = run(&runtime, request("odd/main")).await;
        let decision = &task.attempts.last().expect("it was tried").decision;
        assert_eq!((task.attempts_started, decision.policy), (1, Policy::Plan));
        runtime.stop(WAIT).await.expect("the store is there");
    });
}
