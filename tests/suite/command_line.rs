//! What the commands print when all is well.

use std::process::{Command, Stdio};

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{binaries, guest, guests, run_json, sunaba, text};

/// The lines of a receipt with what varies from run to run, and from build to build, taken out.
fn steady(shown: &str) -> String {
    let steady = shown.lines().map(|line| match line.split_whitespace().next() {
        Some(word @ ("fuel" | "component")) => format!("  {word:<12} ..."),
        Some("wall") => "  wall time    ...".into(),
        Some("succeeded") => "succeeded in ...".into(),
        _ => line.to_owned(),
    });
    steady.collect::<Vec<_>>().join("\n")
}

#[test]
fn result_goes_to_stdout_and_receipt_to_stderr() {
    let file = guest("hello").display().to_string();
    let output = sunaba(["run", &file, "hello", "--input", r#"{"name":"Ada"}"#]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "{\"greeting\":\"Hello, Ada!\"}\n");
    assert_snapshot!(steady(&text(&output.stderr)), @r"
    succeeded in ...
      fuel         ...
      wall time    ...
      peak memory  1.1 MiB
      host calls   none
      input        14 B
      output       26 B
      logs         0 B kept, 0 B dropped
      component    ...
    ");
}

#[test]
fn quiet_prints_the_result_alone() {
    let file = guest("hello").display().to_string();
    let output = sunaba(["run", &file, "hello", "--input", r#"{"name":"Ada"}"#, "--quiet"]);
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("{\"greeting\":\"Hello, Ada!\"}\n".into(), String::new())
    );
}

#[test]
fn json_is_one_object_with_every_key() {
    let (code, report) = run_json("hello", &["--input", r#"{"name":"Ada"}"#]);
    assert_eq!(code, 0);
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&report), ["artifacts", "failure", "logs", "output", "plan", "receipt", "snooze", "status"]);
    assert_eq!(
        keys(&report["receipt"]),
        [
            "artifact_bytes",
            "component",
            "dropped_bytes",
            "fuel",
            "fuel_exact",
            "host_call_ms",
            "host_calls",
            "host_calls_by",
            "input_bytes",
            "log_bytes",
            "moved_bytes",
            "output_bytes",
            "overhead_ms",
            "peak_memory_bytes",
            "queue_wait_ms",
            "request_bytes",
            "requests",
            "seed",
            "stderr_bytes",
            "stdout_bytes",
            "wall_ms",
            "written_bytes"
        ]
    );
    assert_eq!((report["status"].as_str(), &report["failure"]), (Some("succeeded"), &Value::Null));
    assert_eq!(report["output"], json!({"greeting": "Hello, Ada!"}));
    assert_eq!(report["receipt"]["fuel_exact"], true);
}

#[test]
fn jsonl_is_one_line() {
    let file = guest("hello").display().to_string();
    let output = sunaba(["run", &file, "hello", "--input", r#"{"name":"Ada"}"#, "-o", "jsonl"]);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn input_comes_from_a_file_or_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("input.json");
    std::fs::write(&file, r#"{"name":"a file"}"#).expect("written");
    let (code, report) = run_json("hello", &["--input", &format!("@{}", file.display())]);
    assert_eq!((code, &report["output"]), (0, &json!({"greeting": "Hello, a file!"})));

    let mut command = Command::new(binaries().join("sunaba"));
    command.arg("run").arg(guest("hello")).args(["hello", "--input", "-"]);
    command.stdin(std::fs::File::open(&file).expect("it is there"));
    let output = command.output().expect("the binary starts");
    assert_eq!(text(&output.stdout), "{\"greeting\":\"Hello, a file!\"}\n");
}

#[test]
fn every_kind_of_failure_is_told_apart() {
    for (how, kind, disposition, message) in [
        ("plain", "error", "by-policy", "invalid digit found in string"),
        ("network", "network", "by-policy", "the upstream answered 503"),
        ("malformed", "malformed", "by-policy", "invalid digit found in string"),
        ("fatal", "account-closed", "fatal", "the account is closed"),
    ] {
        let (code, report) = run_json("retry-or-fail", &["--input", &json!({"how": how}).to_string()]);
        let failure = &report["failure"];
        assert_eq!((code, &report["status"]), (7, &json!("failed")), "{how}");
        assert_eq!(failure["cause"], "handler", "{how}");
        assert_eq!((&failure["kind"], &failure["disposition"]), (&json!(kind), &json!(disposition)), "{how}");
        assert_eq!(failure["message"], message, "{how}");
    }
    let (_, report) = run_json("retry-or-fail", &["--input", r#"{"how":"network"}"#]);
    assert_eq!(report["failure"]["detail"], json!({"status": 503}));
    let (_, report) = run_json("retry-or-fail", &["--input", r#"{"how":"retry-after","seconds":90}"#]);
    assert_eq!(report["failure"]["retry_after_ms"], 90_000);
}

#[test]
fn single_attempt_is_the_last_one() {
    let (code, report) = run_json("retry-or-fail", &["--input", r#"{"how":"last-attempt"}"#]);
    assert_eq!((code, &report["output"]), (0, &json!({"attempt": 1})));
}

#[test]
fn snooze_is_no_failure() {
    let input = ["--input", r#"{"how":"snooze","seconds":90}"#];
    let (code, report) = run_json("retry-or-fail", &input);
    assert_eq!((code, &report["status"]), (0, &json!("snoozed")));
    assert_eq!((&report["snooze"]["delay_ms"], &report["failure"]), (&json!(90_000), &Value::Null));
    let file = guest("retry-or-fail").display().to_string();
    let output = sunaba(["run", &file, "retry-or-fail", "-q", input[0], input[1]]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), "snoozed for 90s\n".into()));
}

#[test]
fn progress_and_logs_are_shown_while_it_runs() {
    let file = guest("crate-audit").display().to_string();
    let grant = "guest-examples/crate-audit/sample::/crate";
    let output = sunaba(["run", &file, "crate-audit", "--input", r#"{"path":"/crate"}"#, "--dir", grant]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stderr);
    assert!(shown.contains("ms log    info  sample has 1 Rust files\n  0% /crate/src/lib.rs\n"), "{shown}");
}

#[test]
fn crate_audit_reads_a_real_crate() {
    let grant = "guest-examples/crate-audit/sample::/crate";
    let (code, report) = run_json("crate-audit", &["--input", r#"{"path":"/crate"}"#, "--dir", grant]);
    assert_eq!(code, 0);
    assert_eq!(
        report["output"],
        json!({
            "name": "sample",
            "version": "1.2.3",
            "license": "Apache-2.0 OR MIT",
            "license_files": ["LICENSE.txt"],
            "files": 1,
            "lines": {"code": 4, "comments": 8, "blank": 2, "unsafe_uses": 2},
            "largest_file": {"path": "src/lib.rs", "code": 4},
        })
    );
}

#[test]
fn inspect_shows_what_a_component_is() {
    // In text form, so its digest is the same wherever it was built.
    let file = guests().join("many-memories.wasm").display().to_string();
    let output = sunaba(["component", "inspect", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_snapshot!(text(&output.stdout).replace(&file, "many-memories.wasm"), @r"
    many-memories.wasm
      digest   sha256:cd8b5de4e07652386b319330908b0bf870549320fadfc1c214820cf8b7e4061a
      size     2.0 KiB
      exports  sunaba:task/handlers@0.1.0

    handler many-memories
      Never returns.
      settings  all by default
      limits    all by default
      grants    asks for none
      input     any bytes
      output    any bytes
    ");
}

#[test]
fn inspect_as_json_carries_schemas_doc_and_settings() {
    let file = guest("retry-or-fail").display().to_string();
    let output = sunaba(["component", "inspect", &file, "-o", "json"]);
    let info: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let handler = &info["handlers"][0];
    assert_eq!(handler["name"], "retry-or-fail");
    assert_eq!(handler["doc"], "Fails in the way that the input asks for.");
    assert_eq!(
        handler["settings"],
        json!({
            "max_attempts": 5, "backoff": "exponential(1s, max = 1m)", "retry_on": ["error", "network"],
            "never_retry_on": null, "retry_for_ms": null, "timeout_ms": 10_000, "fuel": null, "fuel_budget": null, "memory_bytes": 16 << 20, "queue": null, "priority": null,
            "deterministic": null, "capture": null, "decider": null, "limits": {},
        })
    );
    assert_eq!(handler["input_schema"]["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(info["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));
    assert!(info["imports"].as_array().is_some_and(|imports| imports.contains(&json!("sunaba:task/host@0.1.0"))));
}

#[test]
fn handlers_own_fuel_limit_is_obeyed_and_a_flag_only_tightens_it() {
    let input = ["--input", r#"{"up_to":1000}"#];
    let (code, report) = run_json("deadline-aware", &input);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["receipt"]["fuel"].is_u64());
    let (_, report) = run_json("deadline-aware", &[input[0], input[1], "--fuel", "off"]);
    assert!(report["receipt"]["fuel"].is_u64(), "a limit is a limit, whoever has said it");
    let (code, report) = run_json("deadline-aware", &[input[0], input[1], "--fuel", "1000"]);
    assert_eq!((code, &report["failure"]["cause"]), (7, &json!("fuel")), "{report:#}");
}

#[test]
fn interrupt_from_the_keyboard_stops_the_attempt_and_still_reports() {
    use std::io::BufRead as _;
    let mut command = Command::new(binaries().join("sunaba"));
    command.arg("run").arg(guest("flood-stdout")).args(["flood-stdout", "--input", "4000000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = std::io::BufReader::new(child.stderr.take().expect("piped")).lines();
    // Once the guest has said something, the attempt is running and the signal is expected.
    lines.next().expect("a line").expect("text");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(rest.iter().any(|line| line.starts_with("stopped cancelled: stopped by the host")), "{rest:?}");
}

#[test]
fn standard_output_that_is_full_is_an_error_and_one_that_is_closed_is_not() {
    let hello = |shell: &str| {
        let mut bash = Command::new("bash");
        let run = format!("set -o pipefail; \"$0\" run \"$1\" hello --quiet --input '{{\"name\":\"Ada\"}}' {shell}");
        bash.args(["-c", &run]).arg(binaries().join("sunaba")).arg(guest("hello"));
        bash.output().expect("bash starts")
    };
    let full = hello("> /dev/full");
    assert_eq!(full.status.code(), Some(1));
    assert!(text(&full.stderr).starts_with("error: cannot write to standard output: "), "{}", text(&full.stderr));
    let closed = hello("| true");
    assert_eq!((closed.status.code(), text(&closed.stderr)), (Some(0), String::new()));
}

#[test]
fn text_of_a_guest_is_no_command_to_the_terminal() {
    let file = guest("hello").display().to_string();
    let output = sunaba(["run", &file, "\u{1b}[2Jhello"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no handler `\\u{1b}[2Jhello`"), "{}", text(&output.stderr));
}

#[test]
fn help_and_version_end_well() {
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["component", "inspect", "--help"]] {
        let output = sunaba(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}
