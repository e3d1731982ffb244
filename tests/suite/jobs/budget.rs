//! What jobs may write to artifacts, end to end; and what is shown of tasks that are deep in a job.

use serde_json::{Value, json};
use sunaba_runtime::task::job::JobState;
use sunaba_runtime::task::{Child, Disposition, Failure, Outcome, Payload, Plan, format_bytes};
use sunaba_runtime::{JobRequest, NodeRequest, Runtime, TaskRequest};

use super::{ended, file};
use crate::support::{Host, block_on, text};

/// Two tasks that write so many bytes each, one after the other.
fn writers(budget: u64, each: u64) -> Value {
    let node = |name: &str, after: &[&str]| {
        let input = json!({"what": "put", "name": name, "bytes": each});
        json!({"name": name, "handler": "abuse-artifacts/abuse-artifacts", "input": input, "after": after})
    };
    json!({"budget": {"artifact_bytes": budget}, "nodes": [node("a", &[]), node("b", &["a"])]})
}

#[test]
fn artifact_bytes_of_a_job_obeyed_end_to_end() {
    let host = Host::start(&[]);
    host.deploy("abuse-artifacts");
    let id = host.ok(&["job", "submit", &file(&host, "job.json", writers(400_000, 200_000).to_string())]);
    host.ok(&["job", "result", &id, "--wait"]);
    let shown = host.ok(&["job", "get", &id]);
    let all = format_bytes(400_000);
    assert!(shown.contains(&format!("budgets      artifact-bytes {all} of {all}\n")), "{shown}");
    assert!(shown.contains(&format!(" fuel, {all} of artifacts, ")), "{shown}");
    let low = host.lines(&["events", "--job", &id]);
    let low = low.iter().find(|event| event["event"] == "job-budget-low").expect("it is told");
    assert_eq!(low["message"], format!("`artifact-bytes`, {all} of {all} spent"));
}

#[test]
fn artifact_bytes_of_a_job_violated_end_to_end() {
    let host = Host::start(&[]);
    host.deploy("abuse-artifacts");
    let job = file(&host, "job.json", writers(300_000, 200_000).to_string());
    let submitted = host.sunaba(["job", "submit", &job, "--wait"]);
    let said = text(&submitted.stderr);
    assert!(submitted.status.code() == Some(7) && said.contains("failed: budget artifact-bytes\n"), "{said}");
    let id = host.json(&["job", "list"])["id"].as_str().expect("an id").to_owned();
    // It is written in pieces of 64 KiB, and what was written is spent.
    let spent = format!("{} of {}", format_bytes(265_536), format_bytes(300_000));
    let shown = host.ok(&["job", "get", &id]);
    assert!(shown.contains(&format!("budgets      artifact-bytes {spent}\n")), "{shown}");
    let story = host.ok(&["job", "explain", &id]);
    let left = format_bytes(300_000 - 265_536);
    let end = format!(
        "it failed: budget artifact-bytes, {spent}: an attempt wanted to write more than the {left} that were left"
    );
    assert!(story.contains(&end), "{story}");
    let nothing = file(&host, "none.json", writers(0, 1).to_string());
    let refused = host.sunaba(["job", "submit", &nothing]);
    assert!(text(&refused.stderr).contains("the budget `artifact-bytes` cannot be 0"), "{}", text(&refused.stderr));
}

#[test]
fn what_failed_deep_in_a_job_is_worth_a_look() {
    block_on(async {
        let runtime = Runtime::builder()
            .native("deep/down", |native| async move {
                let levels: u64 = native.json()?;
                let handler = if levels == 0 { "odd" } else { "down" };
                let input = Payload::json(levels.saturating_sub(1).to_string());
                let (name, handler, after) = (format!("level-{levels}"), handler.into(), Vec::new());
                let child = Child { name, handler, input, after, settings: Vec::new() };
                Ok(Outcome::Decompose(Plan { children: vec![child], join: None, settings: Vec::new() }))
            })
            .native("deep/odd", |_| async {
                let (kind, message) = ("odd".into(), "it is odd".into());
                Err(Failure { kind, message, detail: None, disposition: Disposition::Fatal })
            })
            .start()
            .await
            .expect("it starts");
        let top = TaskRequest::new("deep/down".parse().expect("a name")).input(Payload::json("2"));
        let job = JobRequest::new("deep").node(NodeRequest::new("top", top).expect("a name"));
        let job = ended(&runtime, job).await;
        assert_eq!(job.state, JobState::Failed);
        let found = runtime.job_attention(&job).await.expect("the store works").failing;
        let names: Vec<_> = found.iter().filter_map(|task| task.job.as_ref()).map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["top", "level-2", "level-1", "level-0"]);
    });
}
