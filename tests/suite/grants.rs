//! What a task is granted: what its handler asks for, the operator allows, and the submitter passes on. And its limits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sunaba_runtime::store::StoreError;
use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, ClockAccess, ExecuteError, Executor, Limit,
    Outcome, Payload, Receipt, Secret, SecretText, StateName,
};
use sunaba_runtime::{Attempt, Runtime, SecretKeeper, TaskRequest};

use crate::support::{Host, block_on, guest, load, run_json, sunaba, text};

const SUBMIT: [&str; 3] = ["task", "submit", "manifest/manifest"];
/// What an operator has to say for all that the guest asks for, but for directories.
const ALLOWED: [&str; 5] = [
    "--allow-http=https://*.example.com@10.0.0.0/8",
    "--secret=API_KEY=env:SUNABA_TEST_NOT_SET@https://api.example.com",
    "--secret=OTHER=env:SUNABA_TEST_NOT_SET@https://www.example.com",
    "--max-scratch=1MiB",
    "--allow-fine-clock",
];

fn refused(host: &Host, more: &[&str]) -> (i32, String) {
    let output = host.sunaba(SUBMIT.iter().chain(more).copied());
    assert_eq!(text(&output.stdout), "", "{more:?}");
    (output.status.code().expect("it was not killed"), text(&output.stderr))
}

fn submitted(host: &Host, more: &[&str]) -> Value {
    let id = host.ok(&[&SUBMIT, more].concat());
    host.json(&["task", "get", &id])
}

#[test]
fn task_is_granted_what_all_three_have_said() {
    let host = Host::start(&ALLOWED);
    host.deploy("manifest");
    let wanted = [
        "--http=https://*.example.com",
        "--secret=API_KEY",
        "--scratch=5MiB",
        "--fine-clock",
        "--env=COLOR=blue",
        "--delay=1h",
    ];
    let task = submitted(&host, &wanted);
    let expected = json!({
        "env": ["COLOR"], "dirs": [], "http": ["https://api.example.com@10.0.0.0/8"], "secrets": ["API_KEY"],
        "scratch_bytes": 1 << 20, "clock": "fine",
    });
    assert_eq!(task["grants"], expected);
    let shown = host.ok(&["task", "get", task["id"].as_str().expect("an id")]);
    let line =
        "grants       env COLOR, http https://api.example.com@10.0.0.0/8, secret API_KEY, scratch 1.0 MiB, fine clock";
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
    // The same over HTTP.
    let body = r#"{"handler":"manifest/manifest","delay_ms":3600000,"http":["https://api.example.com"],
        "secrets":["API_KEY"],"scratch_bytes":9,"clock":"fine","limits":"open-files=3"}"#;
    let (status, answer) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", body);
    assert_eq!(status, "201", "{answer}");
    let start = answer.find('{').expect("an object");
    let end = answer.rfind('}').expect("an object");
    let task: Value = serde_json::from_str(&answer[start..=end]).expect("JSON");
    assert_eq!((&task["grants"]["scratch_bytes"], &task["limits"]["open_files"]), (&json!(9), &json!(3)));
    // Nothing passed on is nothing granted.
    let nothing = json!({"env": [], "dirs": [], "http": [], "secrets": [], "scratch_bytes": null, "clock": "coarse"});
    assert_eq!(submitted(&host, &["--delay=1h"])["grants"], nothing);
}

#[test]
fn grant_that_the_handler_does_not_ask_for_is_refused_with_what_its_author_would_write() {
    let host = Host::start(&ALLOWED);
    host.deploy("manifest");
    for (flag, what, option) in [
        ("--env=SIZE=1", "the environment variable `SIZE`", "env = \"SIZE\""),
        ("--dir=/etc::/data", "the directory `/data`", "dirs = \"/data\""),
        ("--dir=/etc::/in:rw", "the directory `/in` for writing", "dirs = \"/in:rw\""),
        (
            "--http=https://www.example.com",
            "requests to `https://www.example.com`",
            "http = \"https://www.example.com\"",
        ),
        ("--http=http://api.example.com", "requests to `http://api.example.com`", "http = \"http://api.example.com\""),
        ("--secret=OTHER", "the secret `OTHER`", "secrets = \"OTHER\""),
    ] {
        let (code, shown) = refused(&host, &[flag]);
        let expected = format!(
            "error: the handler `manifest` does not ask for {what}\nhint: its author would have to write \
             `#[handler({option})]`\n"
        );
        assert_eq!((code, shown), (8, expected), "{flag}");
    }
    let (code, shown) = refused(&host, &["--secret=API_KEY"]);
    assert!(
        code == 8 && shown.contains("is for `https://api.example.com`, where this task may send no requests\nhint: ")
    );
    let (code, shown) = refused(&host, &["--http=https://api.example.com@10.0.0.0/8"]);
    assert!(code == 8 && shown.contains("names addresses\nhint: leave them out"), "{shown}");
    let (code, shown) = refused(&host, &["--secret=key"]);
    assert!(code == 8 && shown.contains("`key` cannot name a secret\nhint: "), "{shown}");
    let (code, shown) = refused(&host, &["--scratch=65GiB"]);
    assert!(code == 8 && shown.contains("the scratch directory cannot have"), "{shown}");
    assert_eq!(host.lines(&["task", "list"]).len(), 0);
}

#[test]
fn grant_that_the_operator_does_not_allow_is_refused_with_the_flag() {
    let host = Host::start(&["--max-scratch", "0"]);
    host.deploy("manifest");
    for (flags, flag) in [
        (&["--http=https://api.example.com"][..], "--allow-http https://api.example.com"),
        (&["--scratch=1MiB"], "--max-scratch 1.0MiB"),
        (&["--fine-clock"], "--allow-fine-clock"),
    ] {
        let (code, shown) = refused(&host, flags);
        let hint = format!("\nhint: its operator would have to start it with `serve {flag}`\n");
        assert!(
            code == 5 && shown.starts_with("error: this host does not allow ") && shown.ends_with(&hint),
            "{shown}"
        );
    }
    let host = Host::start(&["--allow-http=https://api.example.com"]);
    host.deploy("manifest");
    let (code, shown) = refused(&host, &["--http=https://api.example.com", "--secret=API_KEY"]);
    assert!(code == 5 && shown.contains("`serve --secret API_KEY=env:VARIABLE@https://HOST`"), "{shown}");
    for (field, value) in [
        ("http", r#"["x"]"#),
        ("clock", r#""slow""#),
        ("limits", r#""speed=9""#),
        ("scratch_bytes", "0"),
        ("secrets", r#"["k"]"#),
    ] {
        let body = format!(r#"{{"handler":"manifest/manifest","{field}":{value}}}"#);
        let (status, problem) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", &body);
        assert!(status == "422" && problem.contains("\"hint\""), "{field}: {problem}");
    }
}

#[test]
fn grant_that_the_operator_takes_back_is_not_given_to_a_task_that_waits() {
    let mut host = Host::start(&ALLOWED);
    host.deploy("manifest");
    let id = host.ok(&[&SUBMIT[..], &["--http=https://api.example.com", "--delay=1h"]].concat());
    host.stop(Signal::TERM);
    host.forget_arguments();
    host.restart();
    host.ok(&["task", "run-now", &id]);
    let output = host.sunaba(["task", "result", &id, "--wait", "-o", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let message = result["failure"]["message"].as_str().expect("text");
    assert!(result["state"] == "dead" && message.contains("`serve --allow-http https://api.example.com`"), "{message}");
    // Nor is it to the same task over again.
    let (code, shown) = {
        let output = host.sunaba(["task", "rerun", &id]);
        (output.status.code(), text(&output.stderr))
    };
    assert!(code == Some(5) && shown.contains("--allow-http"), "{shown}");
}

#[test]
fn secret_is_read_when_an_attempt_begins_and_shown_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    let secret = format!("--secret=API_KEY=file:{}@https://api.example.com", file.display());
    let mut host = Host::start(&["--allow-http=https://api.example.com", &secret]);
    host.deploy("manifest");
    let wanted = ["--http=https://api.example.com", "--secret=API_KEY", "--max-attempts=1"];
    // Not there yet: the attempt could not begin, and says what is missing.
    let id = host.ok(&[&SUBMIT[..], &wanted].concat());
    let output = host.sunaba(["task", "result", &id, "--wait", "-o", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let message = result["failure"]["message"].as_str().expect("text").to_owned();
    assert!(message.contains("cannot have the secret `API_KEY`: ") && message.contains("No such file"), "{message}");
    // It is bad, and not told.
    std::fs::write(&file, "hunter2-hunter2\nhunter2\n").expect("written");
    let id = host.ok(&[&SUBMIT[..], &wanted].concat());
    let output = host.sunaba(["task", "result", &id, "--wait", "-o", "json"]);
    assert!(text(&output.stdout).contains("it is not one line of text"), "{}", text(&output.stdout));
    // It is there.
    std::fs::write(&file, "hunter2-hunter2\n").expect("written");
    let id = host.ok(&[&SUBMIT[..], &wanted].concat());
    host.until(&id, "succeeded");
    let mut shown = String::new();
    for view in [&["task", "get"][..], &["task", "explain"], &["task", "logs"], &["task", "result"]] {
        shown.push_str(&host.ok(&[view, &[&id, "-o", "json"]].concat()));
    }
    shown.push_str(&text(&output.stdout));
    let (_, said) = host.stop(Signal::TERM);
    assert!(!shown.contains("hunter2") && !said.contains("hunter2"), "{shown}{said}");
    for entry in std::fs::read_dir(host.data.path().join("data")).expect("it is there") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("readable");
            assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{}", path.display());
        }
    }
}

/// Keeps what it was asked to run.
#[derive(Default)]
struct Recorder(Mutex<Vec<AttemptRequest>>);

impl Executor for Recorder {
    fn execute(
        &self,
        request: AttemptRequest,
        _: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(async {
            let receipt = Receipt::unmeasured(request.component);
            self.0.lock().expect("whole").push(request);
            let result = AttemptResult::Returned(Outcome::Complete(Payload::json("null")));
            Ok(AttemptReport { result, receipt, logs: Vec::new() })
        })
    }
}

struct Keeper(BTreeMap<&'static str, &'static str>);

impl SecretKeeper for Keeper {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, StoreError>> {
        let secret = |text: &&str| Secret {
            name: name.into(),
            text: SecretText::new(*text),
            host: "https://api.example.com".parse().expect("a host"),
        };
        Box::pin(std::future::ready(Ok(self.0.get(name).map(secret))))
    }
}

#[test]
fn executor_gets_secrets_that_are_kept_elsewhere_and_limits_as_they_are_now() {
    block_on(async {
        let recorder = Arc::new(Recorder::default());
        let runtime = Runtime::builder()
            .executor(Arc::clone(&recorder) as _)
            .secret_keeper(Arc::new(Keeper([("API_KEY", "hunter2-hunter2")].into())))
            .allow_http(["https://api.example.com".parse().expect("a place")])
            .ceilings(&"timeout=1s,open-files=2".parse().expect("limits"))
            .start()
            .await
            .expect("it starts");
        let component = std::fs::read(guest("manifest")).expect("it is there");
        runtime.deploy("manifest", component.into()).await.expect("it deploys");
        let request = TaskRequest {
            http: vec!["https://api.example.com".parse().expect("a place")],
            secrets: vec!["API_KEY".into()],
            ..TaskRequest::new("manifest/manifest".parse().expect("a name"))
        };
        let task = runtime.submit(request).await.expect("it is taken on").into_task();
        assert_eq!((task.spec.limits.timeout, task.spec.limits.open_files), (Duration::from_secs(1), 2));
        let ended = runtime.wait(task.id, Duration::from_secs(60)).await.expect("the store works");
        assert_eq!(ended.map(|task| task.state.name()), Some(StateName::Succeeded));
        let ran = recorder.0.lock().expect("whole").pop().expect("it ran");
        assert_eq!(ran.secrets.iter().map(|secret| secret.text.reveal()).collect::<Vec<_>>(), ["hunter2-hunter2"]);
        assert!(!format!("{ran:?}").contains("hunter2"));
        assert_eq!(ran.limits.get(Limit::OpenFiles), Some(2));
    });
}

#[test]
fn limits_are_the_smallest_that_anybody_has_stated() {
    let host = Host::start(&["--max", "open-files=6,requests=50", "--max=timeout=20s"]);
    let deployed = host.sunaba(["handler", "deploy", &guest("manifest").display().to_string()]);
    let told = "  the handler `manifest` states open-files 8 and gets 6: that is this host's ceiling\n";
    assert!(text(&deployed.stderr).contains(told), "{}", text(&deployed.stderr));
    let limits = |more: &[&str]| submitted(&host, &[more, &["--delay=1h"]].concat())["limits"].clone();
    let own = limits(&[]);
    let numbers = (&own["open_files"], &own["timeout_ms"], &own["memory_bytes"], &own["requests"]);
    assert_eq!(numbers, (&json!(6), &json!(5_000), &json!(16 << 20), &json!(50)));
    let tighter = limits(&["--limit=open-files=4,requests=3", "--limit", "requests=2", "--timeout=1s"]);
    let numbers = (&tighter["open_files"], &tighter["requests"], &tighter["timeout_ms"]);
    assert_eq!(numbers, (&json!(4), &json!(2), &json!(1_000)));
    // Looser than the handler's, and below the ceiling: the handler's.
    assert_eq!(limits(&["--timeout=15s"])["timeout_ms"], 5_000);
    for (flag, message) in [
        ("--limit=open-files=7", "the open-files limit `7` is over this host's ceiling of 6\nhint: "),
        ("--timeout=21s", "the timeout `21s` is over this host's ceiling of 20s\nhint: "),
        ("--limit=output=17MiB", "the output limit `17.0 MiB` is over this host's ceiling of 16.0 MiB\nhint: "),
    ] {
        let (code, shown) = refused(&host, &[flag]);
        assert!(code == 8 && shown.contains(message), "{shown}");
    }
}

#[test]
fn whoever_runs_a_handler_by_hand_is_bound_by_its_manifest_alone() {
    let (code, report) = run_json("manifest", &["--env=COLOR=blue", "--dir=wit::/in"]);
    assert_eq!((code, &report["output"]), (0, &json!({"env": ["COLOR"], "readable": ["/in"]})), "{report:#}");
    let file = guest("manifest").display().to_string();
    for (flag, option) in [
        ("--env=SIZE=1", "env = \"SIZE\""),
        ("--dir=wit::/elsewhere", "dirs = \"/elsewhere\""),
        ("--dir=wit::/in:rw", "dirs = \"/in:rw\""),
        ("--http=https://www.example.com", "http = \"https://www.example.com\""),
    ] {
        let output = sunaba(["run", &file, "manifest", flag]);
        let shown = text(&output.stderr);
        assert!(output.status.code() == Some(8) && shown.contains(&format!("`#[handler({option})]`")), "{shown}");
    }
    let output = sunaba([
        "run",
        &file,
        "manifest",
        "--http=https://api.example.com",
        "--secret=API_KEY=env:SUNABA_TEST_NOT_SET@https://api.example.com",
    ]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(8));
    assert!(shown.contains("cannot have the secret `API_KEY`: `SUNABA_TEST_NOT_SET` is not set"), "{shown}");
}

#[test]
fn embedder_that_grants_more_than_is_asked_for_is_told() {
    block_on(async {
        let sandbox = sunaba_runtime::sandbox::Sandbox::builder().slots(2).start().expect("it starts");
        let component = load(&sandbox, "manifest").await;
        let grants = sunaba_runtime::task::Grants {
            dirs: vec!["/etc::/etc".parse().expect("a grant")],
            clock: ClockAccess::Fine,
            ..Default::default()
        };
        let attempt = Attempt::of(&component, "manifest").expect("it is there").grants(grants);
        let error = attempt.run(&sandbox, Arc::new(sunaba_runtime::task::Unattended)).await.expect_err("it is refused");
        assert!(matches!(&error, ExecuteError::NotAllowed(text) if text.contains("dirs = \"/etc\"")), "{error}");
    });
}

#[test]
fn operator_flags_that_cannot_be_are_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    for (flag, message) in [
        ("--allow-http=api.example.com", "is not a grant of requests"),
        ("--secret=API_KEY=hunter2", "what is said of the secret `API_KEY` does not tell where it is"),
        ("--max=speed=9", "there is no limit `speed`"),
        ("--max=timeout=25h", "the limit `timeout` cannot be `25h`"),
        ("--max-scratch=lots", "`lots` is not a size"),
    ] {
        let output = sunaba(["serve", "--listen=127.0.0.1:0", "--data", &data, flag]);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag}: {shown}");
        assert!(shown.contains(message) && shown.contains("hint: "), "{flag}: {shown}");
        assert!(!flag.contains("hunter2") || !shown.contains("hunter2"), "{shown}");
    }
    assert!(!folder.path().join("data").exists());
}
