//! Jobs that are made over again, end to end: what has succeeded is not run again, and who waits for it gets what it gave.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sunaba_runtime::server::api::JobRetry;
use sunaba_runtime::store::{RetryJob, RetryJobError};
use sunaba_runtime::task::job::{Job, JobId, JobState};
use sunaba_runtime::task::{Disposition, Failure, Outcome, Payload};
use sunaba_runtime::{Client, JobRequest, NodeRequest, RetryRefusal, Runtime, TaskRequest};

use super::{JSON_HEADER, WAIT, file, stable};
use crate::support::{Host, block_on, text};

/// How often each task was run.
type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

/// A host whose handler `step/one` gives 1, but fails for `part/left` until that is mended, and whose `step/sum` adds up the parts.
async fn host(calls: &Calls, is_mended: &Arc<AtomicBool>) -> Runtime {
    let (ones, sums, is_mended) = (Arc::clone(calls), Arc::clone(calls), Arc::clone(is_mended));
    let count = |calls: &Calls, name: String| *calls.lock().expect("whole").entry(name).or_default() += 1;
    Runtime::builder()
        .native("step/one", move |native| {
            let (calls, is_mended) = (Arc::clone(&ones), Arc::clone(&is_mended));
            async move {
                let name: String = native.json()?;
                let fails = name == "part/left" && !is_mended.load(Ordering::SeqCst);
                count(&calls, name);
                if fails {
                    let (kind, message) = ("broken".into(), "it is not mended yet".into());
                    return Err(Failure { kind, message, detail: None, disposition: Disposition::Fatal });
                }
                Ok(Outcome::Complete(Payload::json("1")))
            }
        })
        .native("step/sum", move |native| {
            let calls = Arc::clone(&sums);
            async move {
                count(&calls, "join".into());
                let page = native.dependency_outputs("part/*", None).await.expect("they are kept");
                let gave = page.tasks.iter().filter_map(|task| task.output.as_ref());
                let sum: u64 = gave.map(|gave| serde_json::from_slice::<u64>(&gave.bytes).expect("a number")).sum();
                Ok(Outcome::Complete(Payload::json(sum.to_string())))
            }
        })
        .start()
        .await
        .expect("it starts")
}

fn diamond() -> JobRequest {
    let one = |name: &str| {
        let task = TaskRequest::new("step/one".parse().expect("a name"));
        NodeRequest::new(name, task.input(Payload::json(format!("\"{name}\"")))).expect("a name")
    };
    let sum = TaskRequest::new("step/sum".parse().expect("a name"));
    let sum = NodeRequest::new("join", sum).expect("a name").after("part/*").expect("a group");
    let part = |name: &str| one(name).after("first").expect("a name");
    JobRequest::new("diamond").node(one("first")).node(part("part/left")).node(part("part/right")).node(sum)
}

async fn ended(runtime: &Runtime, id: JobId) -> Job {
    let job = runtime.wait_job(id, WAIT).await.expect("the store works").expect("it is there");
    assert!(job.state.is_terminal(), "{job:#?}");
    job
}

#[test]
fn job_whose_task_failed_goes_on_from_there_once_it_is_mended() {
    block_on(async {
        let (calls, is_mended) = (Calls::default(), Arc::new(AtomicBool::new(false)));
        let runtime = host(&calls, &is_mended).await;
        let counted = || -> Vec<String> {
            calls.lock().expect("whole").iter().map(|(name, count)| format!("{name}={count}")).collect()
        };
        let old = runtime.submit_job(diamond()).await.expect("it is taken on").into_job().id;
        assert_eq!(ended(&runtime, old).await.state, JobState::Failed);
        assert_eq!(counted(), ["first=1", "part/left=1", "part/right=1"]);
        let retry = |job, from: &[&str]| {
            let from = from.iter().map(|name| name.parse().expect("a name")).collect();
            runtime.retry_job(RetryJob { job, from })
        };
        is_mended.store(true, Ordering::SeqCst);
        let new = retry(old, &[]).await.expect("it has ended");
        let new = ended(&runtime, new.id).await;
        assert_eq!((new.state, new.origin, new.spent.attempts), (JobState::Succeeded, Some(old), 2));
        assert_eq!(runtime.job_output(&new).await.expect("the store works"), Some(Payload::json("2")));
        assert_eq!(counted(), ["first=1", "join=1", "part/left=2", "part/right=1"]);
        assert_eq!(ended(&runtime, old).await.successor, Some(new.id));
        let refused = retry(new.id, &[]).await.expect_err("nothing is left to do");
        assert!(matches!(refused, RetryRefusal::Retry(RetryJobError::NothingToDo(_))), "{refused}");
        // From what has succeeded, when that is asked for.
        let third = retry(new.id, &["part/right"]).await.expect("it has ended");
        assert_eq!(ended(&runtime, third.id).await.state, JobState::Succeeded);
        assert_eq!(counted(), ["first=1", "join=2", "part/left=2", "part/right=2"]);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

/// A chain of three, the second in a queue in which there is too little fuel for it.
fn starved(host: &Host) -> String {
    host.deploy("hello");
    host.ok(&["queue", "set", "tight", "--limit", "fuel=1000"]);
    let node = |name: &str, more: Value, after: &[&str]| {
        let mut node =
            json!({"name": name, "handler": "hello/hello", "input": {"name": name}, "after": after, "max_attempts": 1});
        node.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        node
    };
    let nodes = [
        node("first", json!({}), &[]),
        node("second", json!({"queue": "tight"}), &["first"]),
        node("third", json!({}), &["second"]),
    ];
    let job = json!({"name": "starved", "nodes": nodes});
    let submitted = host.sunaba(["job", "submit", &file(host, "job.json", job.to_string()), "--wait", "-q"]);
    assert_eq!(submitted.status.code(), Some(7), "{}", text(&submitted.stderr));
    host.json(&["job", "list"])["id"].as_str().expect("an id").to_owned()
}

#[test]
fn command_makes_a_failed_job_over_again_and_both_name_each_other() {
    let host = Host::start(&[]);
    let old = starved(&host);
    host.ok(&["queue", "set", "tight", "--limit=none"]);
    let wrong = |arguments: &[&str], code: i32, says: &str| {
        let output = host.sunaba([&["job", "retry"], arguments].concat());
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(says), "{:?}: {said}", output.status);
    };
    wrong(&[&old, "--from", "secnod"], 8, "did you mean `second`?");
    wrong(&[&old, "--from", "a b"], 2, "a b");
    wrong(&["01890000-0000-7000-8000-000000000000"], 3, "there is no job");
    let retried = host.sunaba(["job", "retry", &old, "--wait"]);
    let said = (retried.status.code(), text(&retried.stdout));
    assert_eq!(said, (Some(0), "{\"greeting\":\"Hello, third!\"}\n".to_owned()), "{}", text(&retried.stderr));
    let (before, after) = (host.json(&["job", "get", &old]), host.json(&["job", "list", "--limit=1"]));
    let new = after["id"].as_str().expect("an id").to_owned();
    assert_eq!((&before["successor"], &after["origin"]), (&json!(new), &json!(old)));
    assert_eq!((&before["origin"], &after["successor"]), (&Value::Null, &Value::Null));
    for command in ["get", "explain"] {
        let (before, after) = (host.ok(&["job", command, &old]), host.ok(&["job", command, &new]));
        assert!(before.contains(&format!("retried as   job {new}\n")), "{before}");
        assert!(after.contains(&format!("retry of     job {old}\n")), "{after}");
    }
    let tasks = stable(&host.ok(&["job", "tasks", &new]));
    insta::assert_snapshot!(tasks, @r"
    NAME    STATE      ATTEMPTS  ID
    first   succeeded  0         *
    second  succeeded  1         *
    third   succeeded  1         *
    ");
    wrong(&[&new], 4, "have succeeded");
    // Each of its tasks says of which job it is, and one that stands for another of which.
    let id = host.lines(&["job", "tasks", &new])[0]["id"].as_str().expect("an id").to_owned();
    let task = host.ok(&["task", "get", &id]);
    assert!(task.contains(&format!("job          {new}, as `first`\n")) && task.contains("stands for "), "{task}");
    let third = host.ok(&["job", "retry", &new, "--from=first"]);
    assert_eq!(host.ok(&["job", "result", &third, "--wait"]), "{\"greeting\":\"Hello, third!\"}");
    assert_eq!(host.json(&["job", "get", &third])["spent"]["attempts"], 3);
}

#[test]
fn job_is_retried_over_http_and_by_the_client() {
    let host = Host::start(&[]);
    let old = starved(&host);
    let post = |id: &str, body: &str| {
        let (status, body) = host.raw(&format!("POST /v1/jobs/{id}/retry"), JSON_HEADER, body);
        (status, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let detail = |(status, body): (String, Value)| (status, body["detail"].as_str().expect("text").to_owned());
    let (status, said) = detail(post(&old, r#"{"from":["thrid"]}"#));
    assert!(status == "422" && said.contains("has no task `thrid`"), "{said}");
    assert_eq!(post(&old, r#"{"form":["third"]}"#).0, "400");
    assert_eq!(detail(post("01890000-0000-7000-8000-000000000000", "{}")).0, "404");
    let (status, made) = post(&old, "{}");
    assert_eq!((status.as_str(), &made["origin"], &made["state"]), ("201", &json!(old), &json!("running")));
    let new = made["id"].as_str().expect("an id").to_owned();
    let (_, ended) = host.raw(&format!("GET /v1/jobs/{new}?wait_ms=60000"), "", "");
    let ended: Value = serde_json::from_str(&ended).expect("JSON");
    assert_eq!((&ended["state"], &ended["spent"]["attempts"]), (&json!("failed"), &json!(1)), "it is not mended");
    host.ok(&["queue", "set", "tight", "--limit=none"]);
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let (old, new): (JobId, JobId) = (old.parse().expect("an id"), new.parse().expect("an id"));
        let again = client.retry_job(new, &JobRetry::default()).await.expect("it has ended");
        let ended = client.wait_job(again.id.parse().expect("an id")).await.expect("it answers");
        assert_eq!((ended.state, ended.spent.attempts), (JobState::Succeeded, 2));
        // The newest is named, whoever is made over again.
        let other = client.retry_job(old, &JobRetry::default()).await.expect("it has ended");
        assert_eq!(client.get_job(old).await.expect("it answers").successor, Some(other.id));
    });
}

#[test]
fn job_that_runs_is_not_made_over_again() {
    let host = Host::start(&[]);
    host.deploy("sleep");
    let job = json!({"nodes": [{"name": "sleeper", "handler": "sleep/sleep"}]});
    let id = host.ok(&["job", "submit", &file(&host, "job.json", job.to_string())]);
    let refused = host.sunaba(["job", "retry", &id]);
    let said = text(&refused.stderr);
    assert!(said.contains("is running\n") && said.contains("cancel it first"), "{said}");
    assert_eq!(refused.status.code(), Some(4));
}
