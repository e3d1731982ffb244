//! Tasks that wait for somebody: completed by the command line, by HTTP with a token, before they wait, and not at all.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sunaba_runtime::store::CompleteError;
use sunaba_runtime::task::{Outcome, Payload, Policy, Snooze, State, StateName, TaskId};
use sunaba_runtime::{CompleteRefusal, CompleteRequest, Runtime, TaskRequest};
use tokio::sync::Semaphore;

use crate::http::{Server, say};
use crate::support::{Host, block_on, guest, sunaba, text};

const LARGE: &str = r#"{"amount":900,"purpose":"a printer"}"#;
const YES: &str = r#"{"approved":true,"note":"by hand"}"#;
const JSON: &str = "Content-Type: application/json\r\n";

/// A task of the example that waits; its id.
fn waiting(host: &Host) -> String {
    let id = host.ok(&["task", "submit", "approval/approval", "--input", LARGE]);
    host.until(&id, "scheduled");
    id
}

fn listed(host: &Host) -> Vec<String> {
    let tasks = host.lines(&["task", "list", "--waits-for-completion"]);
    tasks.iter().map(|task| task["id"].as_str().expect("an id").to_owned()).collect()
}

/// How a completion ends that is refused: the exit code, and what is said.
fn refused(host: &Host, id: &str, more: &[&str]) -> (i32, String) {
    let output = host.sunaba(["task", "complete", id].into_iter().chain(more.iter().copied()));
    assert_eq!(text(&output.stdout), "", "{more:?}");
    (output.status.code().expect("it was not killed"), text(&output.stderr))
}

#[test]
fn person_completes_a_task_that_waits() {
    let mut host = Host::start(&[]);
    host.deploy("approval");
    let small = host.ok(&[
        "task",
        "submit",
        "approval/approval",
        "--wait",
        "-q",
        "--input",
        r#"{"amount":1,"purpose":"a pen"}"#,
    ]);
    assert!(small.starts_with(r#"{"approved":true"#), "{small}");
    let id = waiting(&host);
    // It waits on the disk, and nowhere else.
    host.kill();
    host.restart();
    assert_eq!(listed(&host), std::slice::from_ref(&id));
    let said = host.ok(&["task", "logs", &id]);
    assert!(said.contains(&format!("sunaba task complete {id} --output")), "{said}");
    let task = host.json(&["task", "get", &id]);
    assert_eq!((&task["awaits"]["reason"], &task["awaits"]["until"]), (&json!("900 for a printer"), &task["due_at"]));
    assert_eq!(task["attempts"][0]["verdict"], "await");
    let shown = host.ok(&["task", "get", &id]);
    assert!(shown.contains("\nwaits        for somebody to complete it, until "), "{shown}");
    let story = host.ok(&["task", "explain", &id]);
    assert!(story.contains("\nwaits        it waits for somebody to complete it, until "), "{story}");
    assert!(story.contains("\nnext         unless somebody completes it, attempt 2 is due at "), "{story}");

    let done = host.json(&["task", "complete", &id, "--output", YES, "--by", "alice"]);
    assert_eq!(done, json!({"id": id, "state": "succeeded", "taken": true}));
    assert_eq!(host.ok(&["task", "result", &id, "--wait", "-q"]), YES);
    assert_eq!(listed(&host), Vec::<String>::new());
    let task = host.json(&["task", "get", &id]);
    let completion = &task["completion"];
    assert_eq!((&completion["by"], &completion["taken"]), (&json!("alice"), &json!(true)));
    assert_eq!((&completion["with_token"], &task["awaits"]), (&json!(false), &Value::Null));
    let story = host.json(&["task", "explain", &id]);
    assert_eq!(story["completion"]["policy"], "completed");
    assert!(
        story["conclusion"].as_str().is_some_and(|end| end.contains("completed after attempt 1 by `alice`")),
        "{story}"
    );
    let words: Vec<_> = host.lines(&["events", "--task", &id, "--after", "0"]);
    let words: Vec<_> = words.iter().map(|event| event["event"].as_str().expect("a word")).collect();
    assert_eq!(words, ["submitted", "started", "awaiting-completion", "succeeded"]);

    // The same again is the same answer; another is not.
    host.ok(&["task", "complete", &id, "--output", YES, "--by", "bob"]);
    let (code, said) = refused(&host, &id, &["--output", r#"{"approved":false}"#]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("was completed at ") && said.contains("by `alice`, with another output\nhint: "), "{said}");
}

#[test]
fn completion_that_does_not_fit_changes_nothing() {
    let host = Host::start(&[]);
    host.deploy("approval");
    let id = waiting(&host);
    let large = format!(r#"{{"approved":true,"note":"{}"}}"#, "x".repeat((1 << 20) + 100));
    let file = host.data.path().join("large.json");
    std::fs::write(&file, large).expect("written");
    let large = format!("@{}", file.display());
    for (more, code, says) in [
        (
            &["--output", r#"{"approved":"yes"}"#][..],
            8,
            "the output does not match the schema of `approval`: at `/approved`",
        ),
        (&["--output", "yes"], 8, "the output is not JSON: "),
        (&["--output", "yes", "--media-type", "text/plain"], 8, "the output is not JSON: it is `text/plain`"),
        (&["--output", YES, "--by", "a\nb"], 8, "cannot be who completes a task"),
        (&["--output", &large], 8, "the limit is "),
        (&["--output", "@nowhere"], 3, "cannot read `nowhere`"),
        (&[], 2, "--output <OUTPUT>"),
    ] {
        let (found, said) = refused(&host, &id, more);
        assert_eq!(found, code, "{more:?}: {said}");
        assert!(said.contains(says), "{more:?}: {said}");
    }
    let unknown = TaskId::new().to_string();
    let (code, said) = refused(&host, &unknown, &["--output", YES]);
    assert_eq!((code, said.contains(&format!("there is no task {unknown}\nhint: "))), (3, true), "{said}");
    let later = host.ok(&["task", "submit", "approval/approval", "--input", LARGE, "--delay", "1h"]);
    let (code, said) = refused(&host, &later, &["--output", YES]);
    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains(&format!("task {later} is scheduled since ")) && said.contains("does not wait to be"),
        "{said}"
    );
    host.ok(&["task", "cancel", &later]);
    let (code, said) = refused(&host, &later, &["--output", YES]);
    assert!(code == 4 && said.contains(" is cancelled since "), "{said}");
    assert_eq!(listed(&host), [id]);
}

/// A server that an outside system has: it answers every request, and keeps what it was sent.
fn outside() -> (Server, Arc<Mutex<Vec<Value>>>) {
    let told = Arc::<Mutex<Vec<Value>>>::default();
    let heard = Arc::clone(&told);
    let server = Server::start(move |head, stream| {
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).is_ok() {
            heard.lock().expect("nobody panicked").push(serde_json::from_slice(&body).expect("JSON"));
        }
        say(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    (server, told)
}

#[test]
fn outside_system_completes_a_task_with_its_token_alone() {
    let (server, told) = outside();
    let (allow, grant) = (format!("--allow-http={}", server.grant()), format!("--http={}", server.grant()));
    let host = Host::start(&[&allow]);
    host.deploy("approval");
    let input =
        json!({"amount": 900, "purpose": "a printer", "notify": format!("{}/asked", server.grant())}).to_string();
    let submit = || {
        let id = host.ok(&["task", "submit", "approval/approval", "--input", &input, &grant]);
        host.until(&id, "scheduled");
        id
    };
    let (first, second) = (submit(), submit());
    let told = told.lock().expect("nobody panicked").clone();
    let token = |id: &str| {
        let message = told.iter().find(|message| message["task"] == id).expect("it was told");
        message["token"].as_str().expect("a token").to_owned()
    };
    let complete = |id: &str, token: &str| {
        let body = json!({"output": {"approved": true}, "by": "erp", "token": token}).to_string();
        host.raw(&format!("POST /v1/tasks/{id}/complete"), JSON, &body)
    };
    let flipped = token(&first).replace(['0', '1'], "2");
    let unknown = TaskId::new().to_string();
    // Whatever is wrong, it is the same answer.
    for (id, wrong) in
        [(&first, &*token(&second)), (&first, ""), (&first, "x"), (&first, &flipped), (&unknown, &token(&first))]
    {
        let (status, said) = complete(id, wrong);
        assert_eq!(status, "403", "{said}");
        assert!(said.contains("the token is not that of this task") && !said.contains("there is no task"), "{said}");
    }
    let (status, said) = complete(&first, &token(&first));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&*status, said), ("200", json!({"id": first, "state": "succeeded", "taken": true})));
    let task = host.json(&["task", "get", &first]);
    assert_eq!((&task["completion"]["by"], &task["completion"]["with_token"]), (&json!("erp"), &json!(true)));
    // By the command line, too; and nobody was shown a token.
    let file = host.data.path().join("token");
    std::fs::write(&file, token(&second)).expect("written");
    host.ok(&["task", "complete", &second, "--output", YES, "--token", &format!("@{}", file.display())]);
    for id in [&first, &second] {
        let shown = [&["task", "get"][..], &["task", "explain"], &["task", "logs"], &["task", "result"]]
            .map(|command| host.ok(&[command, &[id, "-o", "json"]].concat()))
            .concat();
        assert!(!shown.contains(&token(id)), "{shown}");
    }
}

#[test]
fn bodies_that_make_no_sense_are_refused() {
    let host = Host::start(&[]);
    host.deploy("approval");
    let id = waiting(&host);
    let target = format!("POST /v1/tasks/{id}/complete");
    for (body, status, says) in [
        ("{}", "422", "nothing is given as the task's output"),
        (r#"{"output":1,"output_base64":"MQ=="}"#, "422", "there are `output` and `output_base64`"),
        (r#"{"output_base64":"?"}"#, "422", "`output_base64` is not base64"),
        (r#"{"output_base64":"MQ==","media_type":"x"}"#, "422", "`x` is not a media type"),
        (r#"{"output":{"approved":true},"extra":1}"#, "400", "unknown field `extra`"),
        (r#"{"output":{"approved":true},"by":""}"#, "422", "cannot be who completes a task"),
    ] {
        let (found, said) = host.raw(&target, JSON, body);
        assert_eq!(found, status, "{body}: {said}");
        assert!(said.contains(says), "{body}: {said}");
    }
    let (status, _) = host.raw("POST /v1/tasks/x/complete", JSON, r#"{"output":1}"#);
    assert_eq!(status, "422");
    assert_eq!(listed(&host), [id]);
}

#[test]
fn task_that_nobody_completes_reminds_once_and_fails() {
    let host = Host::start(&[]);
    host.deploy("approval");
    let input = r#"{"amount":900,"purpose":"a printer","wait_seconds":0}"#;
    let id = host.ok(&["task", "submit", "approval/approval", "--input", input]);
    let output = host.sunaba(["task", "result", &id, "--wait", "-q"]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("failed not-approved: nobody has approved 900 for a printer"));
    let task = host.json(&["task", "get", &id]);
    assert_eq!((&task["attempts_started"], &task["failures_charged"]), (&json!(3), &json!(1)));
    let verdicts: Vec<_> =
        task["attempts"].as_array().expect("three").iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, ["await", "await", "give-up"]);
    let said = host.ok(&["task", "logs", &id]);
    assert!(said.contains("nobody has answered yet; asks once more for 900 for a printer"), "{said}");
    assert_eq!(refused(&host, &id, &["--output", YES]).0, 4);
}

#[test]
fn attempt_by_hand_says_that_it_would_wait() {
    let file = guest("approval").display().to_string();
    let output = sunaba(["run", &file, "approval", "--input", LARGE]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    assert!(
        text(&output.stderr).contains("waits to be completed, for 1 day: 900 for a printer"),
        "{}",
        text(&output.stderr)
    );
    let output = sunaba(["run", &file, "approval", "--input", LARGE, "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["snooze"]["until_completed"], true);
}

/// What a native handler that waits for a gate, and then to be completed, is told before the gate opens.
async fn gated(gate: &Arc<Semaphore>, given: impl AsyncFnOnce(&Runtime, TaskId)) -> (Runtime, TaskId) {
    let (gate, began) = (Arc::clone(gate), Arc::new(Semaphore::new(0)));
    let begin = Arc::clone(&began);
    let runtime = Runtime::builder().native("slow/ask", move |_| {
        let (gate, begin) = (Arc::clone(&gate), Arc::clone(&begin));
        async move {
            begin.add_permits(1);
            gate.acquire().await.expect("it is open").forget();
            let delay = Duration::from_secs(600);
            Ok(Outcome::Snooze(Snooze { delay, reason: "an answer".into(), until_completed: true }))
        }
    });
    let runtime = runtime.start().await.expect("it starts");
    let request = TaskRequest::new("slow/ask".parse().expect("a name"));
    let id = runtime.submit(request).await.expect("it is taken on").into_task().id;
    began.acquire().await.expect("it begins").forget();
    given(&runtime, id).await;
    (runtime, id)
}

fn answer(task: TaskId, output: &str) -> CompleteRequest {
    CompleteRequest { task, output: Payload::json(output.to_owned()), by: Some("alice".into()), token: None }
}

#[test]
fn answer_that_comes_before_the_wait_is_not_lost() {
    block_on(async {
        let gate = Arc::new(Semaphore::new(0));
        let (runtime, id) = gated(&gate, async |runtime, id| {
            let kept = runtime.complete(answer(id, "\"yes\"")).await.expect("it runs");
            assert_eq!((kept.state.name(), kept.output), (StateName::Running, None));
            let other = runtime.complete(answer(id, "\"no\"")).await;
            assert!(matches!(other, Err(CompleteRefusal::Complete(CompleteError::Already { .. }))), "{other:?}");
        })
        .await;
        gate.add_permits(1);
        let ended = runtime.wait(id, Duration::from_secs(60)).await.expect("the store works").expect("it is there");
        assert_eq!((&ended.state, ended.attempts[0].decision.policy), (&State::Succeeded, Policy::Completed));
        assert!(ended.attempts[0].decision.reason.contains("`alice` had done that at "), "{ended:#?}");
        assert_eq!(runtime.output(id).await.expect("the store works"), Some(Payload::json("\"yes\"")));
    });
}

#[test]
fn output_of_a_completion_obeyed_and_violated() {
    block_on(async {
        let gate = Arc::new(Semaphore::new(0));
        let (runtime, id) = gated(&gate, async |runtime, id| {
            let task = runtime.store().task(id).await.expect("the store works").expect("it is there");
            let limit = usize::try_from(task.spec.limits.output_bytes).expect("small");
            let of = |bytes: usize| answer(id, &format!("\"{}\"", "x".repeat(bytes - 2)));
            let large = runtime.complete(of(limit + 1)).await;
            assert!(matches!(large, Err(CompleteRefusal::TooLarge { .. })), "{large:?}");
            runtime.complete(of(limit)).await.expect("it is as large as it may be");
        })
        .await;
        gate.add_permits(1);
        let ended = runtime.wait(id, Duration::from_secs(60)).await.expect("the store works").expect("it is there");
        assert_eq!(ended.state, State::Succeeded);
    });
}
