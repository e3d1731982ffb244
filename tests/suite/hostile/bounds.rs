//! The bounds of single guests, each run by the real binary: exact fuel, peak memory, bytes kept, what is printed.

use serde_json::Value;

use crate::support::{binaries, guest, run_json, sunaba, text};

const DEFAULT_MEMORY: u64 = 128 << 20;

fn cause(report: &Value) -> &str {
    report["failure"]["cause"].as_str().unwrap_or_else(|| panic!("no cause: {report:#}"))
}

fn names(report: &Value) -> Vec<&str> {
    let frames = report["failure"]["backtrace"].as_array().expect("a list of frames");
    frames.iter().map(|frame| frame["function"].as_str().expect("a name")).collect()
}

/// Whether it took its 200 ms and was stopped then. The bound above is for a machine that is very busy; without a stop
/// it would be 300 s.
fn took(report: &Value) -> bool {
    report["receipt"]["wall_ms"].as_f64().is_some_and(|wall| (200.0..20_000.0).contains(&wall))
}

#[test]
fn spinning_guest_is_stopped_in_time_with_a_backtrace() {
    let (code, report) = run_json("spin", &["--timeout", "200ms"]);
    assert_eq!((code, cause(&report)), (124, "timeout"));
    assert_eq!(names(&report)[0], "spin::spin");
    assert!(took(&report), "{report:#}");
    // It was in the middle of a block when it was stopped.
    assert_eq!(report["receipt"]["fuel_exact"], false);
    assert!(report["receipt"]["fuel"].as_u64().expect("counted") > 0);
}

#[test]
fn spinning_guest_is_stopped_in_time_without_fuel_too() {
    let (code, report) = run_json("spin", &["--timeout", "200ms", "--fuel", "off"]);
    assert_eq!((code, cause(&report)), (124, "timeout"));
    assert_eq!(names(&report)[0], "spin::spin");
    assert_eq!(report["receipt"]["fuel"], Value::Null);
    assert_eq!(report["receipt"]["fuel_exact"], false);
}

#[test]
fn fuel_limit_violated_is_exact() {
    let (code, report) = run_json("spin", &["--fuel", "12345678"]);
    assert_eq!((code, cause(&report)), (7, "fuel"));
    assert_eq!(report["receipt"]["fuel"], 12_345_678);
    assert_eq!(report["receipt"]["fuel_exact"], true);
}

#[test]
fn fuel_limit_obeyed_to_the_instruction() {
    let with_limit = |limit: &str| run_json("hello", &["--input", r#"{"name":"Ada"}"#, "--fuel", limit]);
    let (_, free) = with_limit("exact");
    let used = free["receipt"]["fuel"].as_u64().expect("counted");
    let (code, report) = with_limit(&used.to_string());
    assert_eq!((code, &report["receipt"]["fuel"]), (0, &Value::from(used)));
    let (code, report) = with_limit(&(used - 1).to_string());
    assert_eq!((code, cause(&report)), (7, "fuel"));
    assert_eq!(report["receipt"]["fuel"], used - 1);
}

#[test]
fn sleeping_guest_is_stopped_in_time_with_a_backtrace() {
    let (code, report) = run_json("sleep", &["--timeout", "200ms"]);
    assert_eq!((code, cause(&report)), (124, "timeout"));
    assert!(names(&report).contains(&"sleep::sleep"), "{report:#}");
    assert!(took(&report), "{report:#}");
    let message = report["failure"]["message"].as_str().expect("a message");
    assert_eq!(message, "stopped after 200ms in `wasi:io/poll.pollable.block`: the time limit");
}

#[test]
fn one_growing_memory_is_stopped_at_the_limit() {
    let (code, report) = run_json("grow-memory", &[]);
    assert_eq!((code, cause(&report)), (7, "memory"));
    let peak = report["receipt"]["peak_memory_bytes"].as_u64().expect("counted");
    assert!((DEFAULT_MEMORY / 2..=DEFAULT_MEMORY).contains(&peak), "{peak}");
    assert!(names(&report).contains(&"grow_memory::grow_memory"), "{report:#}");
}

#[test]
fn many_small_memories_are_stopped_at_the_same_limit() {
    let (code, report) = run_json("many-memories", &["--memory", "20MiB"]);
    assert_eq!((code, cause(&report)), (7, "memory"));
    let peak = report["receipt"]["peak_memory_bytes"].as_u64().expect("counted");
    // Eight memories grow in steps of a mebibyte: none alone had a fifth of the limit.
    assert!((19 << 20..=20 << 20).contains(&peak), "{peak}");
}

#[test]
fn memory_that_does_not_fit_at_the_start_is_a_stop_too() {
    let (code, report) = run_json("hello", &["--input", r#"{"name":"Ada"}"#, "--memory", "64KiB"]);
    assert_eq!((code, cause(&report)), (7, "memory"));
    assert_eq!(report["receipt"]["fuel"], 0);
}

#[test]
fn memory_limit_obeyed() {
    let (code, report) = run_json("hello", &["--input", r#"{"name":"Ada"}"#, "--memory", "2MiB"]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn endless_recursion_overflows_its_own_stack_only() {
    let (code, report) = run_json("recurse", &["--input", "1"]);
    assert_eq!((code, cause(&report)), (7, "trap stack-overflow"));
    assert_eq!(report["failure"]["kind"], "trap");
    assert!(names(&report).iter().filter(|name| **name == "recurse::deeper").count() > 10);
}

#[test]
fn panic_is_told_with_its_place_and_message() {
    let (code, report) = run_json("panic", &[]);
    assert_eq!((code, cause(&report)), (7, "trap unreachable"));
    let message = report["failure"]["message"].as_str().expect("a message");
    assert!(message.starts_with("the guest panicked at hostile/panic/src/lib.rs:"), "{message}");
    assert!(message.ends_with(": on purpose"), "{message}");
    assert!(names(&report).contains(&"panic::panic"), "{report:#}");
    assert_eq!(report["receipt"]["fuel_exact"], true);
}

#[test]
fn bad_memory_access_traps() {
    let (code, report) = run_json("trap", &[]);
    assert_eq!((code, cause(&report)), (7, "trap memory-out-of-bounds"));
    assert_eq!(report["receipt"]["fuel_exact"], false);
}

#[test]
fn flooded_stdout_is_cut_with_a_mark_and_the_guest_goes_on() {
    let (code, report) = run_json("flood-stdout", &["--input", "50000"]);
    assert_eq!((code, &report["output"]), (0, &Value::from(50_000)));
    let receipt = &report["receipt"];
    assert_eq!(receipt["stdout_bytes"], 64 << 10);
    assert_eq!(receipt["dropped_bytes"], 50_000 * 100 - (64 << 10));
    let last = report["logs"].as_array().and_then(|logs| logs.last()).expect("lines");
    assert_eq!(
        (last["source"].as_str(), last["message"].as_str()),
        (Some("host"), Some("stdout was cut: 64.0 KiB kept, 4.7 MiB dropped"))
    );
}

#[test]
fn stdout_below_the_limit_is_kept_whole() {
    let (code, report) = run_json("flood-stdout", &["--input", "600"]);
    assert_eq!(code, 0);
    assert_eq!(report["receipt"]["dropped_bytes"], 0);
    assert_eq!(report["logs"].as_array().map(Vec::len), Some(600));
}

#[test]
fn nothing_is_granted_by_default() {
    let (code, report) = run_json("open-ungranted", &[]);
    assert_eq!((code, cause(&report)), (7, "handler"), "it got at {}", report["output"]);
    assert_eq!(report["failure"]["kind"], "denied");
    assert_eq!(report["failure"]["disposition"], "fatal");
}

#[test]
fn granted_environment_is_all_that_is_seen() {
    let (code, report) = run_json("open-ungranted", &["--env", "COLOR=blue"]);
    assert_eq!((code, &report["output"]), (0, &serde_json::json!(["env COLOR"])));
}

#[test]
fn directory_is_read_only_unless_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let grant = format!("{}::/data", folder.path().display());
    let (code, _) = run_json("open-ungranted", &["--dir", &grant]);
    assert_eq!(code, 7, "it wrote to a read-only directory, or left it");
    assert!(!folder.path().join("x").exists());

    let (code, report) = run_json("open-ungranted", &["--dir", &format!("{grant}:rw")]);
    assert_eq!((code, &report["output"]), (0, &serde_json::json!(["write /data/x"])));
    assert_eq!(std::fs::read_to_string(folder.path().join("x")).expect("written"), "x");
}

#[test]
fn link_out_of_a_granted_directory_leads_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/etc", folder.path().join("etc")).expect("a link");
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("Cargo.toml")).expect("a link");
    let grant = format!("{}::/crate", folder.path().display());
    let (code, report) = run_json("crate-audit", &["--dir", &grant, "--input", r#"{"path":"/crate"}"#]);
    assert_eq!((code, &report["output"]), (7, &Value::Null), "{report:#}");
    let (code, report) = run_json("crate-audit", &["--dir", &grant, "--input", r#"{"path":"/crate/etc"}"#]);
    assert_eq!((code, &report["output"]), (7, &Value::Null), "{report:#}");
}

#[test]
fn host_that_is_out_of_descriptors_does_not_blame_the_guest() {
    let run = |descriptors: u32| {
        let run = format!("ulimit -n {descriptors}; \"$0\" run \"$1\" hello --input '{{\"name\":\"Ada\"}}'");
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", &run]).arg(binaries().join("sunaba")).arg(guest("hello")).output().expect("bash starts")
    };
    // From too few for the component's file to enough for all.
    let outputs: Vec<_> = (9..64).step_by(5).map(run).collect();
    for output in &outputs {
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(1), "{}", text(&output.stderr));
    }
    assert!(outputs.iter().any(|output| text(&output.stderr).contains("the sandbox failed: ")));
    assert!(outputs.iter().any(|output| output.status.success()));
}

#[test]
fn stops_are_printed_for_people_with_cause_and_backtrace() {
    let file = guest("spin").display().to_string();
    let output = sunaba(["run", &file, "spin", "--fuel", "5000000"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout.is_empty());
    let shown = text(&output.stderr);
    assert!(
        shown.starts_with("stopped fuel: used up its fuel: the limit is 5,000,000\n     0: spin::spin (+0x"),
        "{shown}"
    );
    assert!(shown.contains("\n  fuel         5,000,000\n"), "{shown}");
}
