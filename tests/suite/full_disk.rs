//! A disk that is full while artifacts are written: a guest is told, nothing half-written is left, and others go on.
//!
//! No file of the host may grow beyond a limit of the system, which to whoever writes is a full disk.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Host, text};

/// More than the queue of a few tasks, and the code of a component.
const FILE_BYTES: u64 = 8 << 20;

fn submit(host: &Host, what: &str, bytes: u64) -> String {
    let input = json!({"what": what, "name": "file", "bytes": bytes}).to_string();
    host.ok(&["task", "submit", "abuse-artifacts/abuse-artifacts", "--input", &input])
}

fn result(host: &Host, id: &str) -> Value {
    let output = host.sunaba(["task", "result", id, "--wait", "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What is there of artifacts that no record names.
fn unfinished(host: &Host) -> Vec<PathBuf> {
    files(&host.data.path().join("data/blobs/new"))
}

#[test]
fn guest_is_told_of_a_full_disk_and_others_go_on() {
    let mut host = Host::start(&["--concurrency", "2"]);
    host.deploy("abuse-artifacts");
    host.deploy("flood-stdout");
    host.stop(Signal::TERM);
    host.restart_with_files_up_to(FILE_BYTES);

    let other = submit(&host, "put", 1 << 20);
    let filling = submit(&host, "fill", 4 * FILE_BYTES);
    let told = result(&host, &filling);
    let said = told["output"].as_str().unwrap_or_else(|| panic!("{told:#}"));
    assert!(said.contains("File too large"), "it can read why: {said}");
    let kept = host.json(&["task", "artifacts", &filling]);
    let names: Vec<_> = kept["artifacts"].as_array().expect("a list").iter().map(|kept| &kept["name"]).collect();
    assert_eq!(names, ["small"]);
    assert_eq!(result(&host, &other)["state"], "succeeded");

    // Who does not mind what it is told fails, and is alone in that.
    let careless = submit(&host, "put", 4 * FILE_BYTES);
    let failed = result(&host, &careless);
    assert!(failed["failure"]["message"].as_str().is_some_and(|why| why.contains("File too large")), "{failed:#}");

    // What a guest says is more than the disk holds: it does not notice.
    let flood = ["task", "submit", "flood-stdout/flood-stdout", "--capture=stdout", "--input", "200000"];
    let flood = host.ok(&flood);
    assert_eq!(result(&host, &flood)["state"], "succeeded");
    assert_eq!(host.json(&["task", "artifacts", &flood])["artifacts"], json!([]));
    let log = host.ok(&["task", "logs", &flood]);
    assert!(log.contains("`attempt-1.stdout` is not kept: ") && log.contains("File too large"), "{log}");

    assert_eq!(result(&host, &submit(&host, "put", 100))["state"], "succeeded");
    while !unfinished(&host).is_empty() {
        std::thread::yield_now();
    }
    host.stop(Signal::TERM);
    let data = host.data.path().join("data").display().to_string();
    let verified = crate::support::sunaba(["store", "verify", "--data", &data]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stderr));
}
