//! Jobs as submitters and operators meet them: over HTTP, by the command line, by the client, and inside another program.

mod budget;
mod retry;
mod wrong;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};
use sunaba_runtime::server::api::{Cancel, JobFilter, PlanFilter};
use sunaba_runtime::store::{JobQuery, PlanQuery, SubmitJobError};
use sunaba_runtime::task::job::{Budget, Job, JobCause, JobState, OnFailure};
use sunaba_runtime::task::{Disposition, Failure, Outcome, Payload, StateName, Unique};
use sunaba_runtime::{
    Client, JobRefusal, JobRequest, NodeRequest, Runtime, Shape, TaskRequest, Work, chain, chord, group, map, task,
};

use crate::support::{Host, binaries, block_on, root, text};

const WAIT: Duration = Duration::from_secs(60);
const JSON_HEADER: &str = "Content-Type: application/json\r\n";

/// A host of the test's own, with handlers that need no sandbox: one gives its input back, one fails, one never ends.
async fn embedded() -> Runtime {
    Runtime::builder()
        .native("step/echo", |native| async move { Ok(Outcome::Complete(native.input)) })
        .native("step/fail", |_| async {
            let (kind, message) = ("empty".into(), "there is nothing to count".into());
            Err(Failure { kind, message, detail: None, disposition: Disposition::Fatal })
        })
        .start()
        .await
        .expect("it starts")
}

fn echo(number: u32) -> TaskRequest {
    TaskRequest::new("step/echo".parse().expect("a name")).input(Payload::json(number.to_string()))
}

fn fail() -> TaskRequest {
    TaskRequest::new("step/fail".parse().expect("a name"))
}

async fn ended(runtime: &Runtime, request: JobRequest) -> Job {
    let id = runtime.submit_job(request).await.expect("it is taken on").into_job().id;
    let job = runtime.wait_job(id, WAIT).await.expect("the store works").expect("it is there");
    assert!(job.state.is_terminal(), "{job:#?}");
    job
}

/// The names of a job's tasks with how they ended, and what came of all of it.
async fn story(runtime: &Runtime, shape: impl Into<Shape>) -> (String, Option<Payload>) {
    let job = ended(runtime, JobRequest::of("x", shape).expect("a name")).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:#?}");
    let outputs = runtime.job_outputs(PlanQuery::of(job.id, 100)).await.expect("the store works").outputs;
    let gave = outputs.iter().map(|gave| {
        let output = gave.output.as_ref().map_or("-".into(), |output| text(&output.bytes));
        format!("{}={output}", gave.name)
    });
    (gave.collect::<Vec<_>>().join(" "), runtime.job_output(&job).await.expect("the store works"))
}

#[test]
fn shapes_run_with_none_with_one_and_with_many() {
    block_on(async {
        let runtime = embedded().await;
        let gives = |number: u32| Some(Payload::json(number.to_string()));
        let told = |names: &str, output: Option<Payload>| (names.to_owned(), output);
        let tasks = |count: u32| (1..=count).map(echo);
        assert_eq!(story(&runtime, chain(tasks(0))).await, told("", None));
        assert_eq!(story(&runtime, chain(tasks(1))).await, told("x=1", gives(1)));
        assert_eq!(story(&runtime, chain(tasks(3))).await, told("x=3 x.steps/1=1 x.steps/2=2", gives(3)));
        assert_eq!(story(&runtime, group(tasks(0))).await, told("", None));
        assert_eq!(story(&runtime, group(tasks(1))).await, told("x/1=1", gives(1)));
        assert_eq!(story(&runtime, group(tasks(2))).await, told("x/1=1 x/2=2", None));
        assert_eq!(story(&runtime, chord(tasks(0), task(echo(9)))).await, told("x=9", gives(9)));
        assert_eq!(story(&runtime, chord(tasks(1), task(echo(9)))).await, told("x=9 x.parts/1=1", gives(9)));
        let many = told("x=9 x.parts/1=1 x.parts/2=2", gives(9));
        assert_eq!(story(&runtime, chord(tasks(2), task(echo(9)))).await, many);
        assert_eq!(story(&runtime, chord(tasks(2), None)).await, told("x/1=1 x/2=2", None));
        let inputs = |count: u32| (1..=count).map(|number| Payload::json((number * 10).to_string()));
        let mapped = |count| map(&"step/echo".parse().expect("a name"), inputs(count));
        assert_eq!(story(&runtime, mapped(0)).await, told("", None));
        assert_eq!(story(&runtime, mapped(1)).await, told("x/1=10", gives(10)));
        let (names, _) = story(&runtime, chain([mapped(10), echo(1).into()])).await;
        assert!(names.starts_with("x=1 x.steps/1/01=10 x.steps/1/02=20 "), "{names}");
    });
}

#[test]
fn chain_is_undone_in_reverse_when_it_fails() {
    block_on(async {
        let runtime = embedded().await;
        let undo = || TaskRequest::new("step/echo".parse().expect("a name"));
        let steps = [Work::from(echo(1)).undone_by(undo()), Work::from(echo(2)).undone_by(undo()), fail().into()];
        let request = JobRequest::of("order", chain(steps)).expect("a name");
        let job = ended(&runtime, request.on_failure(OnFailure::Compensate, false)).await;
        assert_eq!((job.state, job.tasks.in_state(StateName::Succeeded)), (JobState::Failed, 4));
        assert!(matches!(&job.cause, Some(JobCause::Task { name, .. }) if name.as_str() == "order"));
    });
}

#[test]
fn only_end_of_a_plan_gives_the_result() {
    block_on(async {
        let runtime = embedded().await;
        let node = |name: &str, number| NodeRequest::new(name, echo(number)).expect("a name");
        let after = |node: NodeRequest, name: &str| node.after(name).expect("a name");
        let diamond = JobRequest::new("diamond")
            .node(after(after(node("d", 4), "b"), "c"))
            .node(after(node("b", 2), "a"))
            .node(after(node("c", 3), "a"))
            .node(node("a", 1));
        let job = ended(&runtime, diamond).await;
        assert_eq!(runtime.job_output(&job).await.expect("the store works"), Some(Payload::json("4")));
        let two = ended(&runtime, JobRequest::new("two").node(node("a", 1)).node(node("b", 2))).await;
        assert_eq!((two.state, two.spec.result), (JobState::Succeeded, None));
    });
}

#[test]
fn refused_task_names_itself_and_nothing_is_taken_on() {
    block_on(async {
        let runtime = embedded().await;
        let with = |name: &str, request: TaskRequest| {
            let good = NodeRequest::new("good", echo(1)).expect("a name");
            JobRequest::new("").node(good).node(NodeRequest::new(name, request).expect("a name"))
        };
        let told = async |request: JobRequest| {
            let error = runtime.submit_job(request).await.expect_err("it is refused").to_string();
            assert!(error.contains("\nhint: "), "{error}");
            error
        };
        let other = TaskRequest::new("step/other".parse().expect("a name"));
        assert!(told(with("bad", other.clone())).await.starts_with("task `bad`: the package `step` has no handler"));
        let long = TaskRequest { timeout: Some(Duration::from_secs(7_200)), ..echo(1) };
        assert!(told(with("bad", long)).await.starts_with("task `bad`: the timeout `2h` is over"));
        let keyed = TaskRequest { idempotency_key: Some("k".into()), ..echo(1) };
        assert!(told(with("bad", keyed)).await.starts_with("task `bad`: the idempotency key cannot be `k`"));
        let unique = Unique { key: "u".into(), window: None, on_conflict: sunaba_runtime::task::OnConflict::Reject };
        let unique = TaskRequest { unique: Some(unique), ..echo(1) };
        assert!(told(with("bad", unique)).await.starts_with("task `bad`: the unique key cannot be `u`"));
        let node = |undo| NodeRequest::new("bad", echo(1)).expect("a name").undone_by(undo);
        let undone = |undo| JobRequest::new("").node(node(undo));
        assert!(told(undone(other)).await.starts_with("the compensation of task `bad`: the package"));
        assert!(told(undone(echo(1))).await.starts_with("the compensation of task `bad`: the input cannot be"));
        let spent = JobRequest::new("").budget(Budget { attempts: Some(0), ..Budget::default() });
        assert!(told(spent).await.starts_with("the budget `attempts` cannot be 0"));
        let long = JobRequest::new("x".repeat(129));
        assert!(told(long).await.starts_with("the name of the job cannot be"));
        let twice = with("good", echo(2));
        let error = runtime.submit_job(twice).await.expect_err("it is refused");
        assert!(matches!(error, JobRefusal::Submit(SubmitJobError::Plan(_))), "{error}");
        assert_eq!(
            runtime.jobs(JobQuery { limit: 10, ..JobQuery::default() }).await.expect("the store works").jobs,
            []
        );
    });
}

#[test]
fn node_that_follows_runs_what_is_active() {
    block_on(async {
        let runtime = embedded().await;
        let hello = std::fs::read(crate::support::guest("hello")).expect("it is there");
        runtime.deploy("hello", hello.into()).await.expect("it deploys");
        let request = TaskRequest::new("hello/hello".parse().expect("a name"));
        let request = TaskRequest { follow: Some(true), ..request.input(Payload::json(r#"{"name":"Ada"}"#)) };
        let job = ended(&runtime, JobRequest::of("greet", task(request)).expect("a name")).await;
        let greeting = Payload::json(r#"{"greeting":"Hello, Ada!"}"#);
        assert_eq!(runtime.job_output(&job).await.expect("the store works"), Some(greeting));
    });
}

fn diamond() -> Value {
    let node = |name: &str, after: &[&str]| json!({"name": name, "handler": "hello/hello", "input": {"name": name}, "after": after});
    json!({"name": "a diamond", "tags": ["shape"], "nodes": [
        node("d", &["b", "c"]), node("b", &["a"]), node("c", &["a"]), node("a", &[])]})
}

#[test]
fn diamond_is_submitted_run_and_read_over_http() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let headers = format!("{JSON_HEADER}Idempotency-Key: once\r\n");
    let (status, body) = host.raw("POST /v1/jobs", &headers, &diamond().to_string());
    assert_eq!(status, "201", "{body}");
    let job: Value = serde_json::from_str(&body).expect("JSON");
    let id = job["id"].as_str().expect("an id").to_owned();
    let (status, again) = host.raw("POST /v1/jobs", &headers, &diamond().to_string());
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((status.as_str(), &again["id"]), ("200", &job["id"]));
    let (status, other) = host.raw("POST /v1/jobs", &headers, &diamond().to_string().replace("a diamond", "another"));
    assert!(status == "409" && other.contains("was used for another job"), "{other}");
    let get = |path: &str| {
        let (status, body) = host.raw(&format!("GET /v1/jobs/{id}{path}"), "", "");
        assert_eq!(status, "200", "{body}");
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    let ended = get("?wait_ms=60000");
    assert_eq!((&ended["state"], &ended["tasks"]["by_state"]), (&json!("succeeded"), &json!({"succeeded": 4})));
    assert_eq!((&ended["result"], &ended["spent"]["attempts"]), (&json!("d"), &json!(4)));
    assert_eq!(get("/result")["output"], json!({"greeting": "Hello, d!"}));
    let plan = get("/tasks?limit=3");
    let names = |plan: &Value| {
        plan["tasks"].as_array().expect("a list").iter().map(|task| task["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((names(&plan), &plan["next"]), (vec![json!("a"), json!("b"), json!("c")], &json!("c")));
    assert_eq!(names(&get("/tasks?cursor=c")), [json!("d")]);
    assert_eq!(names(&get("/tasks?only=b")), [json!("b")]);
    assert_eq!(get("/outputs?only=b")["outputs"][0]["output"], json!({"greeting": "Hello, b!"}));
    let (_, listed) = host.raw("GET /v1/jobs?state=succeeded&tag=shape", "", "");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["jobs"][0]["id"], json!(id));
    let (_, none) = host.raw("GET /v1/jobs?state=failed", "", "");
    assert_eq!(serde_json::from_str::<Value>(&none).expect("JSON")["jobs"], json!([]));
}

#[test]
fn client_submits_what_the_builders_make() {
    let host = Host::start(&[]);
    host.deploy("hello");
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let hello = "hello/hello".parse().expect("a name");
        let parts = map(&hello, ["Ada", "Bob"].map(|name| Payload::json(json!({ "name": name }).to_string())));
        let body = TaskRequest::new(hello).input(Payload::json(r#"{"name":"all"}"#));
        let request = JobRequest::of("greet", chord([parts], task(body))).expect("a name").idempotency_key("one");
        let job = client.submit_job(&request.clone().into()).await.expect("it is taken on");
        let again = client.submit_job(&request.into()).await.expect("it is known");
        assert_eq!(job.id, again.id);
        let id = job.id.parse().expect("an id");
        let ended = client.wait_job(id).await.expect("it answers");
        assert_eq!((ended.state, ended.tasks.total), (JobState::Succeeded, 3), "{ended:#?}");
        let output = client.get_job_result(id).await.expect("it answers").output.expect("it gave something");
        assert_eq!(output.get(), r#"{"greeting":"Hello, all!"}"#);
        let only = Some("greet.parts/1/*".to_owned());
        let filter = PlanFilter { only, ..PlanFilter::default() };
        let outputs = client.get_job_outputs(id, &filter).await.expect("it answers").outputs;
        let outputs: Vec<_> = outputs.iter().map(|gave| gave.output.as_ref().map(|output| output.get())).collect();
        assert_eq!(outputs, [Some(r#"{"greeting":"Hello, Ada!"}"#), Some(r#"{"greeting":"Hello, Bob!"}"#)]);
        assert_eq!(
            client.list_job_tasks(id, &PlanFilter::default(), 2).await.expect("it answers").next.as_deref(),
            Some("greet.parts/1/1")
        );
        assert_eq!(client.list_jobs(&JobFilter::default(), 10).await.expect("it answers").jobs.len(), 1);
        let late = client.cancel_job(id, &Cancel::default()).await.expect("it answers");
        assert_eq!((late.job.state, late.stopped, late.still_running), (JobState::Succeeded, 0, 0));
    });
}

/// A file in the host's folder.
fn file(host: &Host, name: &str, text: impl AsRef<[u8]>) -> String {
    let file = host.data.path().join(name);
    std::fs::write(&file, text).expect("written");
    file.display().to_string()
}

/// What varies from run to run is written `*`.
fn stable(text: &str) -> String {
    let word = |word: &str| {
        let is_id = word.len() == 36 && word.matches('-').count() == 4;
        let varies = is_id || word.contains('T') && word.ends_with('Z') || word.ends_with("ms") || word.ends_with("us");
        if varies { "*".to_owned() } else { word.to_owned() }
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn failed_job_names_the_task_that_failed_and_why() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.deploy("retry-or-fail");
    let job = r#"
name = "nightly report"
tags = ["nightly"]
budget = { attempts = 10, time = "10m" }

[[nodes]]
name = "greet"
map = { handler = "hello/hello", inputs = [{ name = "Ada" }, { name = "Bob" }] }

[[nodes]]
name = "charge"
handler = "retry-or-fail/retry-or-fail"
input = { how = "fatal" }
after = ["greet/*"]

[[nodes]]
name = "report"
handler = "hello/hello"
input = { name = "all" }
after = ["charge"]
"#;
    let job = file(&host, "job.toml", job);
    let submitted = host.sunaba(["job", "submit", &job, "--wait"]);
    assert_eq!(submitted.status.code(), Some(7));
    assert_snapshot!(stable(&text(&submitted.stderr)), @r"
    job *
    failed: `charge` did not succeed
      failed       charge is dead, 1 attempt
                   account-closed: the account is closed
                   task *
    ");
    let id = host.json(&["job", "list", "--tag=nightly"])["id"].as_str().expect("an id").to_owned();
    let shown = host.sunaba(["job", "get", &id, "--wait"]);
    assert_eq!(shown.status.code(), Some(7));
    let shown =
        stable(&text(&shown.stdout)).lines().filter(|line| !line.starts_with("spent ")).collect::<Vec<_>>().join("\n");
    assert_snapshot!(shown, @r"
    job          *
    name         nightly report
    state        failed: `charge` did not succeed
    tasks        4: 2 succeeded, 1 dead, 1 cancelled
    budgets      attempts 3 of 10, time 10m
    on failure   fail
    result       report
    tags         nightly
    submitted    *
    ended        *
    failed       charge is dead, 1 attempt
                 account-closed: the account is closed
                 task *
    ");
    assert_snapshot!(stable(&host.ok(&["job", "tasks", &id])), @r"
    NAME     STATE      ATTEMPTS  ID
    charge   dead       1         *
    greet/1  succeeded  1         *
    greet/2  succeeded  1         *
    report   cancelled  0         *
    ");
    let listed = host.ok(&["job", "list", "--state", "failed"]);
    assert!(listed.contains("failed") && listed.contains("4/4") && listed.contains("nightly report"), "{listed}");
    let partial = host.ok(&["job", "result", &id, "--of", "greet/2"]);
    assert_eq!(serde_json::from_str::<Value>(&partial).expect("JSON")["output"], json!({"greeting": "Hello, Bob!"}));
    for shown in [host.ok(&["job", "get", &id]), listed, host.ok(&["job", "tasks", &id])] {
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    }
}

#[test]
fn cancel_says_what_was_stopped_and_what_still_runs() {
    let host = Host::start(&[]);
    host.deploy("sleep");
    host.deploy("hello");
    let job = json!({"name": "long", "nodes": [
        {"name": "sleeper", "handler": "sleep/sleep"},
        {"name": "one", "handler": "hello/hello", "input": {"name": "x"}, "after": ["sleeper"]},
        {"name": "other", "handler": "hello/hello", "input": {"name": "x"}, "after": ["one"]}]});
    let id = host.ok(&["job", "submit", &file(&host, "job.json", job.to_string())]);
    while host.json(&["job", "get", &id])["running"] == json!([]) {
        std::thread::yield_now();
    }
    assert!(host.ok(&["job", "get", &id]).contains("running      sleeper"));
    let early = host.sunaba(["job", "result", &id]);
    assert_eq!(early.status.code(), Some(6), "{}", text(&early.stderr));
    let shown = host.ok(&["job", "cancel", &id, "--reason", "not needed any more"]);
    assert_snapshot!(stable(&shown), @r"
    job          *
    state        stopping: cancelled: not needed any more
    stopped      2 tasks that had not begun
    still runs   sleeper, which is asked to end
    ");
    let ended = host.sunaba(["job", "get", &id, "--wait", "-o", "json"]);
    let ended: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!((&ended["state"], &ended["tasks"]["by_state"]), (&json!("cancelled"), &json!({"cancelled": 3})));
    assert_eq!(ended["cause"]["message"], "cancelled: not needed any more");
    let again = host.ok(&["job", "cancel", &id, "--wait"]);
    assert!(again.contains("nothing: all of it has ended"), "{again}");
}

#[test]
fn job_comes_from_standard_input_and_its_key_gives_it_again() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submit = |text: String, more: &[&str]| {
        let mut command = Command::new(binaries().join("sunaba"));
        command.args(["job", "submit", "-", "--address", &host.address]).args(more).current_dir(root());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    let toml = "[[nodes]]\nname = \"a\"\nhandler = \"hello/hello\"\ninput.name = \"Ada\"\n";
    let first = submit(toml.to_owned(), &["--wait", "--quiet", "--idempotency-key=k"]);
    assert_eq!(text(&first.stdout), "{\"greeting\":\"Hello, Ada!\"}\n", "{}", text(&first.stderr));
    let again = text(&submit(toml.to_owned(), &["--idempotency-key=k"]).stdout);
    assert_eq!(host.json(&["job", "list"])["id"], again.trim());
    let json = text(&submit(diamond().to_string(), &["-o", "json"]).stdout);
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["tasks"]["total"], 4);
}
