//! Tasks that make children of their own: plans, single children, and what becomes of trees of them, end to end, by handlers of
//! the host's own program.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sunaba_runtime::task::job::{BudgetName, Job, JobCause, JobState};
use sunaba_runtime::task::{
    AskErrorKind, Child, Dependency, Disposition, Failure, Outcome, Payload, Plan, Policy, StateName, Task,
};
use sunaba_runtime::{Native, Runtime, RuntimeBuilder, TaskRequest};
use tokio::sync::Notify;

use crate::support::block_on;

const WAIT: Duration = Duration::from_secs(60);

fn child(name: impl Into<String>, handler: &str, input: impl Into<String>, after: &[&str]) -> Child {
    let after = after.iter().map(|name| Dependency { name: (*name).into(), settings: Vec::new() });
    let (name, handler, after) = (name.into(), handler.into(), after.collect());
    Child { name, handler, input: Payload::json(input.into()), after, settings: Vec::new() }
}

fn plan(join: Option<&str>, children: Vec<Child>) -> Plan {
    Plan { children, join: join.map(str::to_owned), settings: Vec::new() }
}

fn complete(output: impl ToString) -> Result<Outcome, Failure> {
    Ok(Outcome::Complete(Payload::json(output.to_string())))
}

fn failure(disposition: Disposition) -> Failure {
    Failure { kind: "odd".into(), message: "it is odd".into(), detail: None, disposition }
}

/// The sum of what a group gave, page by page.
async fn sum(native: &Native, group: &str) -> Result<u64, Failure> {
    let (mut sum, mut after) = (0, None);
    loop {
        let page = native
            .dependency_outputs(group, after)
            .await
            .map_err(|error| Failure { message: error.message, ..failure(Disposition::Fatal) })?;
        for task in &page.tasks {
            let output = task.output.as_ref().expect("it has succeeded, and is kept");
            sum += serde_json::from_slice::<u64>(&output.bytes).expect("a number");
        }
        after = page.next;
        if after.is_none() {
            return Ok(sum);
        }
    }
}

/// A host on which a task counts the leaves of a tree of two branches: `tree/count`, of a depth.
fn counting() -> RuntimeBuilder {
    Runtime::builder()
        .concurrency(4)
        .native("tree/count", |native| async move {
            let depth: u64 = native.json()?;
            if depth == 0 {
                return complete(1);
            }
            let below = (depth - 1).to_string();
            let both = ["part/left", "part/right"].map(|name| child(name, "count", &below, &[]));
            let join = child("sum", "tree/sum", "null", &["part/*"]);
            Ok(Outcome::Decompose(plan(Some("sum"), both.into_iter().chain([join]).collect())))
        })
        .native("tree/sum", |native| async move { complete(sum(&native, "part/*").await?) })
}

fn request(handler: &str, input: &str) -> TaskRequest {
    TaskRequest::new(handler.parse().expect("a name")).input(Payload::json(input.to_owned()))
}

async fn submit(runtime: &Runtime, handler: &str, input: &str) -> Task {
    runtime.submit(request(handler, input)).await.expect("it is taken on").into_task()
}

async fn end(runtime: &Runtime, task: &Task) -> Task {
    let task = runtime.wait(task.id, WAIT).await.expect("the store works").expect("it is there");
    assert!(task.state.is_terminal(), "{task:#?}");
    task
}

async fn job(runtime: &Runtime, task: &Task) -> Job {
    let id = task.job.as_ref().expect("it has had children").job;
    let job = runtime.store().wait_job(id, WAIT).await.expect("the store works").expect("it is there");
    assert!(job.state.is_terminal(), "{job:#?}");
    job
}

async fn run(runtime: &Runtime, handler: &str, input: &str) -> Task {
    let task = submit(runtime, handler, input).await;
    end(runtime, &task).await
}

fn sled(builder: RuntimeBuilder, directory: &Path) -> RuntimeBuilder {
    builder.data(directory).expect("nobody else has it")
}

async fn check_count(runtime: &Runtime) {
    let main = run(runtime, "tree/count", "3").await;
    assert_eq!(runtime.output(main.id).await.expect("the store works"), Some(Payload::json("8")), "{main:#?}");
    let job = job(runtime, &main).await;
    // Of each of 7 parents a join, and 8 leaves.
    assert_eq!((job.state, job.tasks.total(), job.spent.tasks), (JobState::Succeeded, 22, 22));
    let output = runtime.store().job_output(job.id).await.expect("the store works");
    assert_eq!(output, Some(Payload::json("8")));
}

#[test]
fn tree_of_plans_is_counted_by_its_joins() {
    block_on(async {
        let data = tempfile::tempdir().expect("a directory");
        for builder in [counting(), sled(counting(), &data.path().join("data"))] {
            let runtime = builder.start().await.expect("it starts");
            check_count(&runtime).await;
            runtime.stop(WAIT).await.expect("the store is there");
        }
    });
}

#[test]
fn host_that_is_killed_in_the_middle_goes_on_where_it_was() {
    let data = tempfile::tempdir().expect("a directory");
    let begun = Arc::new(Notify::new());
    let main = block_on(async {
        let reached = Arc::clone(&begun);
        let stuck = Runtime::builder().native("tree/count", move |native| {
            let begun = Arc::clone(&begun);
            async move {
                if native.json::<u64>()? == 1 {
                    begun.notify_one();
                    std::future::pending::<()>().await;
                }
                let depth: u64 = native.json()?;
                let both = ["part/left", "part/right"].map(|name| child(name, "count", (depth - 1).to_string(), &[]));
                let join = child("sum", "tree/sum", "null", &["part/*"]);
                Ok(Outcome::Decompose(plan(Some("sum"), both.into_iter().chain([join]).collect())))
            }
        });
        let stuck = stuck.native("tree/sum", |_| async { complete(0) });
        let runtime = sled(stuck, data.path()).start().await.expect("it starts");
        let main = submit(&runtime, "tree/count", "3").await;
        reached.notified().await;
        main
    });
    block_on(async {
        let runtime = sled(counting(), data.path()).start().await.expect("it starts");
        let main = end(&runtime, &main).await;
        assert_eq!(runtime.output(main.id).await.expect("the store works"), Some(Payload::json("8")));
        assert_eq!(job(&runtime, &main).await.tasks.total(), 22);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

/// A child: its name, its handler, what it waits for, and its settings.
type Wanted = (String, String, Vec<String>, Vec<(String, String)>);

/// A host whose handler `plan/any` returns the plan that is its input: names, handlers, and what they wait for.
fn planning() -> RuntimeBuilder {
    Runtime::builder()
        .native("plan/any", |native| async move {
            let (join, children): (Option<String>, Vec<Wanted>) = native.json()?;
            let children = children.into_iter().map(|(name, handler, after, settings)| {
                let after: Vec<_> = after.iter().map(String::as_str).collect();
                Child { settings, ..child(name, &handler, "null", &after) }
            });
            Ok(Outcome::Decompose(plan(join.as_deref(), children.collect())))
        })
        .native("plan/one", |_| async { complete(1) })
        .native("plan/odd", |_| async { Err(failure(Disposition::Fatal)) })
        .native("plan/self", |_| async { Ok(Outcome::Decompose(plan(None, vec![child("x", "self", "null", &[])]))) })
}

#[test]
fn plans_of_no_child_and_of_one_end() {
    block_on(async {
        let runtime = planning().start().await.expect("it starts");
        for (input, output) in [
            ("[null, []]", "null"),
            (r#"["a", [["a", "one", [], []]]]"#, "1"),
            (r#"[null, [["a", "one", [], []]]]"#, "null"),
        ] {
            let main = run(&runtime, "plan/any", input).await;
            let found = runtime.output(main.id).await.expect("the store works");
            assert_eq!(found, Some(Payload::json(output)), "{input}: {main:#?}");
        }
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn plan_that_cannot_be_run_is_a_fatal_failure_that_names_the_rule() {
    block_on(async {
        let runtime = planning().start().await.expect("it starts");
        for (input, rule) in [
            (r#"[null, [["a", "one", ["b"], []], ["b", "one", ["a"], []]]]"#, "circle"),
            (r#"[null, [["a", "one", ["nobody"], []]]]"#, "`nobody`"),
            (r#"[null, [["a", "nobody", [], []]]]"#, "no handler `nobody`"),
            (r#"[null, [["a", "other/one", [], []]]]"#, "no package `other`"),
            (r#"[null, [["a b", "one", [], []]]]"#, "`a b`"),
            (r#"["b", [["a", "one", [], []]]]"#, "join is `b`"),
            (r#"[null, [["a", "one", [], []], ["a", "one", [], []]]]"#, "named `a`"),
            (r#"[null, [["a", "one", [], [["speed", "9"]]]]]"#, "`speed`"),
            (r#"[null, [["a", "one", [], [["timeout", "9h 100d"]]]]]"#, "timeout"),
            (r#"[null, [["a", "one", [], [["timeout", "301s"]]]]]"#, "its parent has 5m"),
            (r#"[null, [["a", "one", [], [["memory", "129MiB"]]]]]"#, "its parent has 128.0 MiB"),
        ] {
            let main = run(&runtime, "plan/any", input).await;
            let last = main.attempts.last().expect("it ran");
            assert_eq!((main.state.name(), main.attempts_started), (StateName::Dead, 1), "{input}");
            assert_eq!(last.decision.policy, Policy::Plan);
            assert!(format!("{:?}", last.ending).contains(rule), "{rule}: {last:#?}");
            assert!(main.job.is_none(), "nothing was made of it");
        }
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn number_of_dependencies_of_a_plan_obeyed_and_violated() {
    block_on(async {
        let runtime = planning().start().await.expect("it starts");
        let input = |children: usize| {
            let child = |number: usize| (format!("c{number}"), "one", vec!["a"; 1_000], [(); 0]);
            serde_json::to_string(&((), (0..children).map(child).collect::<Vec<_>>())).expect("JSON")
        };
        // What is within the limit is looked at, and found to be wrong.
        for (children, rule) in [(200, "waits for `a`, which the plan does not have"), (201, "201,000 dependencies")] {
            let main = run(&runtime, "plan/any", &input(children)).await;
            let last = main.attempts.last().expect("it ran");
            assert!(format!("{:?}", last.ending).contains(rule), "{rule}: {last:#?}");
        }
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn settings_of_a_child_are_its_own() {
    block_on(async {
        let runtime = planning().start().await.expect("it starts");
        let settings = r#"[["queue", "mail"], ["priority", "-7"], ["tags", "a,b"], ["max-attempts", "9"]]"#;
        let main = run(&runtime, "plan/any", &format!(r#"[null, [["a", "one", [], {settings}]]]"#)).await;
        let query = sunaba_runtime::store::PlanQuery {
            parent: Some(main.id),
            ..sunaba_runtime::store::PlanQuery::of(main.job.expect("it has had children").job, 10)
        };
        let page = runtime.store().plan(query).await.expect("the store works");
        let spec = &page.tasks[0].spec;
        assert_eq!((spec.queue.as_str(), spec.priority, spec.max_attempts), ("mail", -7, 9));
        assert_eq!(spec.tags, ["a", "b"]);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn child_that_fails_ends_its_parent_and_the_siblings_that_wait_are_not_run() {
    block_on(async {
        let runtime = planning().start().await.expect("it starts");
        let main = run(
            &runtime,
            "plan/any",
            r#"[null, [["a", "odd", [], []], ["b", "one", ["a"], []], ["c", "one", [], []]]]"#,
        )
        .await;
        assert_eq!(main.state.name(), StateName::Dead);
        assert_eq!(main.failed_child.as_ref().map(|child| child.name.as_str()), Some("a"));
        let job = job(&runtime, &main).await;
        let count = |state| job.tasks.in_state(state);
        assert_eq!(job.state, JobState::Failed);
        assert_eq!((count(StateName::Dead), count(StateName::Cancelled), count(StateName::Succeeded)), (2, 1, 1));
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn task_that_decomposes_into_itself_ends_with_the_budget_depth() {
    block_on(async {
        let runtime = planning().start().await.expect("it starts");
        let main = run(&runtime, "plan/self", "null").await;
        let job = job(&runtime, &main).await;
        assert_eq!((job.state, job.cause), (JobState::Failed, Some(JobCause::Budget(BudgetName::Depth))));
        assert_eq!((job.tasks.total(), main.state.name()), (16, StateName::Dead));
        // The rest of the system is unharmed.
        assert_eq!(run(&runtime, "plan/one", "null").await.state.name(), StateName::Succeeded);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn cancel_of_the_root_stops_a_grandchild_that_runs() {
    block_on(async {
        let begun = Arc::new(Notify::new());
        let reached = Arc::clone(&begun);
        let runtime = Runtime::builder()
            .worker(|worker| worker.cancel_grace = Duration::ZERO)
            .native("deep/down", |native| async move {
                let levels: u64 = native.json()?;
                let next = if levels == 0 {
                    child("x", "wait", "null", &[])
                } else {
                    child("x", "down", (levels - 1).to_string(), &[])
                };
                Ok(Outcome::Decompose(plan(Some("x"), vec![next])))
            })
            .native("deep/wait", move |_| {
                let begun = Arc::clone(&begun);
                async move {
                    begun.notify_one();
                    std::future::pending().await
                }
            })
            .start()
            .await
            .expect("it starts");
        let main = submit(&runtime, "deep/down", "2").await;
        reached.notified().await;
        runtime.store().cancel(vec![main.id], Default::default()).await.expect("the store works");
        let main = end(&runtime, &main).await;
        assert_eq!(main.state.name(), StateName::Cancelled);
        let job = job(&runtime, &main).await;
        assert_eq!((job.tasks.in_state(StateName::Cancelled), job.tasks.total()), (4, 4));
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn parent_that_submits_a_child_on_two_attempts_gets_the_same_one() {
    block_on(async {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let runtime = Runtime::builder()
            .native("ask/parent", |native| async move {
                let first = native.submit_child(child("a", "leaf", "4", &[])).await.expect("it is taken on");
                let again = native.submit_child(child("a", "leaf", "4", &[])).await.expect("it is there");
                assert_eq!(first, again);
                let other = native.submit_child(child("a", "leaf", "5", &[])).await.expect_err("it is another");
                assert_eq!(other.kind, AskErrorKind::Conflict, "{other}");
                let unknown = native.submit_child(child("b", "nobody", "5", &[])).await.expect_err("it is not there");
                assert_eq!(unknown.kind, AskErrorKind::Invalid, "{unknown}");
                if native.context.attempt == 1 {
                    return Err(failure(Disposition::RetryAfter(Duration::ZERO)));
                }
                complete(format!("\"{first}\""))
            })
            .native("ask/leaf", move |native| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move { complete(native.json::<u64>()?) }
            })
            .start()
            .await
            .expect("it starts");
        let main = run(&runtime, "ask/parent", "null").await;
        let output = runtime.output(main.id).await.expect("the store works").expect("it has succeeded");
        let id: String = serde_json::from_slice(&output.bytes).expect("an id");
        let leaf =
            runtime.store().task(id.parse().expect("an id")).await.expect("the store works").expect("it is there");
        assert_eq!((leaf.state.name(), calls.load(Ordering::SeqCst)), (StateName::Succeeded, 1));
        assert_eq!((main.attempts_started, job(&runtime, &main).await.tasks.total()), (2, 2));
        runtime.stop(WAIT).await.expect("the store is there");
    });
}
