//! `sunaba bench` on the real binary: what it counts is what the host has, however it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Host, binaries, sunaba, text};

const INPUT: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

fn latency_is_sound(latency: &Value) {
    let [min, p50, p99, max] = ["min", "p50", "p99", "max"].map(|name| latency[name].as_f64().expect("a number"));
    assert!(0.0 < min && min <= p50 && p50 <= p99 && p99 <= max, "{latency}");
}

#[test]
fn load_test_counts_what_the_host_has_taken_on() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let bench = |more: &[&str]| {
        let common = ["bench", "--handler", "hello/hello", "--for", "300ms", "--clients", "8"];
        host.json(&[&common[..], &INPUT, more].concat())
    };
    let awaited = bench(&["--wait", "--queue", "awaited"]);
    assert_eq!((&awaited["errors"], &awaited["succeeded"]), (&json!({}), &awaited["tasks"]), "{awaited:#}");
    latency_is_sound(&awaited["answer_ms"]);
    latency_is_sound(&awaited["end_ms"]);
    let many = bench(&["--batch", "20", "--queue", "many"]);
    assert_eq!(many["tasks"].as_u64(), many["requests"].as_u64().map(|requests| requests * 20), "{many:#}");
    assert!(many["end_ms"].is_null() && many["succeeded"].is_null(), "{many:#}");
    // At a rate there are as many as were due, and not more.
    let paced = bench(&["--rate", "40", "--queue", "paced"]);
    assert!(paced["requests"].as_u64().is_some_and(|requests| (1..=12).contains(&requests)), "{paced:#}");
    for (queue, report) in [("awaited", &awaited), ("many", &many), ("paced", &paced)] {
        let tasks = host.lines(&["task", "list", "--queue", queue, "--tag", "bench", "--limit", "100000"]);
        assert_eq!(Some(tasks.len() as u64), report["tasks"].as_u64(), "{report:#}");
    }
}

#[test]
fn load_test_counts_refusals_by_their_codes() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "set", "small", "--max-depth", "3", "-q"]);
    host.ok(&["queue", "pause", "small", "-q"]);
    let common = ["bench", "--handler", "hello/hello", "--for", "300ms", "--clients", "4", "--queue", "small"];
    let report = host.json(&[&common[..], &INPUT].concat());
    let errors = report["errors"].as_object().expect("an object");
    let refused: u64 = errors.values().filter_map(Value::as_u64).sum();
    assert_eq!((report["tasks"].as_u64(), errors.len()), (Some(3), 1), "{report:#}");
    assert_eq!(report["requests"].as_u64(), Some(3 + refused), "{report:#}");
    // What cannot be is told once, and nothing is sent.
    let unknown = host.sunaba(["bench", "--handler", "hello/nobody"]);
    assert_eq!((unknown.status.code(), text(&unknown.stdout)), (Some(3), String::new()), "{}", text(&unknown.stderr));
    let nobody = sunaba(["bench", "--handler", "hello/hello", "--address", "http://127.0.0.1:9"]);
    assert_eq!(nobody.status.code(), Some(6), "{}", text(&nobody.stderr));
    for wrong in [&["bench"][..], &["bench", "--local", "--rate", "0"], &["bench", "--local", "--clients", "1001"]] {
        assert_eq!(sunaba(wrong.iter().copied()).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn load_test_that_is_interrupted_says_what_there_is_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(binaries().join("sunaba"));
    command.args(["bench", "--local", "--clients", "4", "--for", "1h", "-o", "json"]).env("TMPDIR", folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    said.read_line(&mut line).expect("text");
    assert_eq!(line, "4 clients for 1h: 1 task of bench/nothing a request, as fast as they are answered\n");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let mut printed = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut printed).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let report: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((&report["interrupted"], &report["errors"]), (&json!(true), &json!({})), "{report:#}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
}
