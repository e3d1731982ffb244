//! Artifacts from end to end: a guest puts them, the command line and the API give them, and hostile guests get nowhere.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Host, text};

const ABUSE: &str = "abuse-artifacts/abuse-artifacts";

/// Submits a task that abuses artifacts in this way, and waits for its end: its id.
fn abuse(host: &Host, input: &Value, more: &[&str]) -> String {
    let input = input.to_string();
    let id = host.ok(&[&["task", "submit", ABUSE, "--input", &input], more].concat());
    let _ = host.sunaba(["task", "result", &id, "--wait", "-q"]);
    id
}

/// What came of a task that did not succeed.
fn failed(host: &Host, id: &str) -> Value {
    let output = host.sunaba(["task", "result", id, "-o", "json"]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What such a task says that it got away with.
fn got(host: &Host, input: &Value) -> String {
    let id = abuse(host, input, &[]);
    let result = host.json(&["task", "result", &id]);
    result["output"].as_str().unwrap_or_else(|| panic!("{result:#}")).to_owned()
}

fn host() -> Host {
    let host = Host::start(&[]);
    host.deploy("abuse-artifacts");
    host
}

/// The files of artifacts, with and without a name.
fn files(host: &Host) -> (Vec<PathBuf>, Vec<PathBuf>) {
    walk(&host.data.path().join("data/blobs"))
        .into_iter()
        .partition(|path| !path.parent().is_some_and(|folder| folder.ends_with("new")))
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn put(name: &str, bytes: u64) -> Value {
    json!({"what": "put", "name": name, "bytes": bytes})
}

#[test]
fn artifacts_are_listed_and_saved_and_no_file_is_overwritten() {
    let host = host();
    let id = abuse(&host, &put("report (1).txt", 100_000), &[]);
    let listed = host.json(&["task", "artifacts", &id]);
    let artifact = &listed["artifacts"][0];
    assert_eq!((&artifact["name"], &artifact["size_bytes"]), (&json!("report (1).txt"), &json!(100_000)));
    assert_eq!((&artifact["attempt"], &artifact["url"]), (&json!(1), &Value::Null));
    let digest = artifact["digest"].as_str().expect("it is a file");
    let table = host.ok(&["task", "artifacts", &id]);
    assert!(table.starts_with("NAME") && table.contains("97.7 KiB") && table.contains(digest), "{table}");
    assert_eq!(host.json(&["task", "result", &id])["receipt"]["artifact_bytes"], 100_000);

    let file = host.data.path().join("saved");
    let place = file.display().to_string();
    let save = ["task", "artifacts", &id, "report (1).txt", "--output", &place];
    host.ok(&save);
    assert_eq!(std::fs::read(&file).expect("it is saved"), vec![b'*'; 100_000]);
    std::fs::write(&file, "mine").expect("written");
    let again = host.sunaba(save);
    assert!(
        again.status.code() == Some(4) && text(&again.stderr).contains("exists already"),
        "{}",
        text(&again.stderr)
    );
    assert_eq!(std::fs::read(&file).expect("it is there"), b"mine");
    host.ok(&[&save[..], &["--force"]].concat());
    assert_eq!(std::fs::metadata(&file).expect("it is there").len(), 100_000);
    let printed = host.sunaba(["task", "artifacts", &id, "report (1).txt", "--output", "-"]);
    assert_eq!(printed.stdout, vec![b'*'; 100_000]);
    let beside = std::fs::read_dir(host.data.path()).expect("it can be read").count();
    assert_eq!(beside, 2, "the data directory and the file: nothing else is left");

    let missing = host.sunaba(["task", "artifacts", &id, "other", "--output", "-"]);
    assert!(missing.status.code() == Some(3) && missing.stdout.is_empty(), "{}", text(&missing.stderr));
    let bad = host.sunaba(["task", "artifacts", &id, "../secret", "--output", "-"]);
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad.stderr));
}

/// A request as it goes over the wire: the head and the body of its answer.
fn request(host: &Host, path: &str, headers: &str) -> (String, Vec<u8>) {
    let address = host.address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (text(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
}

#[test]
fn file_is_given_in_parts_and_never_as_a_page_of_the_host() {
    let host = host();
    let id = abuse(&host, &put("a b.txt", 10), &[]);
    let path = format!("/v1/tasks/{id}/artifacts/a%20b.txt");
    let (head, body) = request(&host, &path, "");
    assert!(head.starts_with("http/1.1 200") && body == b"**********", "{head}");
    for expected in [
        "content-type: application/octet-stream",
        "content-length: 10",
        "content-disposition: attachment; filename=\"a b.txt\"; filename*=utf-8''a%20b.txt",
        "x-content-type-options: nosniff",
        "content-security-policy: sandbox",
        "accept-ranges: bytes",
        "etag: \"sha256:",
    ] {
        assert!(head.contains(expected), "{expected}: {head}");
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it is there").to_owned();
    let (head, body) = request(&host, &path, "Range: bytes=2-4\r\n");
    assert!(head.starts_with("http/1.1 206") && head.contains("content-range: bytes 2-4/10"), "{head}");
    assert_eq!(body, b"***");
    let (head, body) = request(&host, &path, "Range: bytes=10-\r\n");
    assert!(head.starts_with("http/1.1 416") && head.contains("bytes */10") && body.is_empty(), "{head}");
    let (head, body) = request(&host, &path, &format!("If-None-Match: {tag}\r\n"));
    assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{head}");
    let (head, _) = request(&host, &path, "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n");
    assert!(head.starts_with("http/1.1 200"), "a part of another file is of no use: {head}");
    for (name, status) in [("..%2f..%2fetc%2fpasswd", "422"), ("other", "404"), ("a%00b", "422")] {
        let (head, _) = request(&host, &format!("/v1/tasks/{id}/artifacts/{name}"), "");
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{name}: {head}");
    }
}

#[test]
fn equal_files_of_two_tasks_are_one_on_disk_until_both_are_gone() {
    let mut host = host();
    let ids = ["a", "b"].map(|name| abuse(&host, &put(name, 5_000), &[]));
    assert_eq!(files(&host).0.len(), 1);
    host.ok(&["task", "delete", &ids[0]]);
    assert_eq!(files(&host).0.len(), 1);
    // Whoever names it is still known after a crash.
    host.kill();
    host.restart();
    host.ok(&["task", "artifacts", &ids[1], "b", "--output", "-"]);
    host.ok(&["task", "delete", &ids[1]]);
    assert_eq!(files(&host).0, Vec::<PathBuf>::new());
}

/// The most memory that a host has had, in bytes.
fn peak(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
fn large_file_goes_through_without_filling_the_memory() {
    const BYTES: u64 = 200 << 20;
    let host = host();
    got(&host, &put("small", 1));
    let before = peak(&host);
    let id = abuse(&host, &put("large", BYTES), &[]);
    let file = host.data.path().join("large");
    host.ok(&["task", "artifacts", &id, "large", "--output", &file.display().to_string()]);
    assert_eq!(std::fs::metadata(&file).expect("it is saved").len(), BYTES);
    let grown = peak(&host).saturating_sub(before);
    assert!(grown < BYTES / 4, "{grown} bytes more");
}

#[test]
fn guest_that_writes_for_ever_is_stopped_and_leaves_nothing() {
    let host = host();
    let id = abuse(&host, &json!({"what": "write-for-ever"}), &["--limit", "artifact-bytes=4MiB"]);
    let result = failed(&host, &id);
    assert_eq!(result["failure"]["cause"], "limit artifact-bytes", "{result:#}");
    assert_eq!(result["receipt"]["artifact_bytes"], 4 << 20);
    assert_eq!(host.json(&["task", "artifacts", &id])["artifacts"], json!([]));
    // It goes on another thread.
    while !files(&host).1.is_empty() {
        std::thread::yield_now();
    }
    assert!(files(&host).0.is_empty());
}

#[test]
fn guest_that_keeps_a_file_open_at_its_end_leaves_nothing() {
    let host = host();
    assert_eq!(got(&host, &json!({"what": "keep-open"})), "still open");
    while !files(&host).1.is_empty() {
        std::thread::yield_now();
    }
    assert!(files(&host).0.is_empty());
}

#[test]
fn open_artifacts_are_few_however_many_a_guest_wants() {
    let host = host();
    assert_eq!(got(&host, &json!({"what": "open-many", "bytes": 100_000})), "16 limit");
}

#[test]
fn names_and_types_that_could_do_harm_are_refused() {
    let host = host();
    assert_eq!(got(&host, &json!({"what": "names"})), "0 0");
    assert_eq!(got(&host, &json!({"what": "finish-after-failure"})), "invalid");
    assert!(!host.data.path().join("etc").exists());
}

#[test]
fn foreign_artifact_cannot_be_read() {
    let host = host();
    let id = abuse(&host, &put("secret.txt", 10), &[]);
    for name in [id.as_str(), "main", "../secret.txt", ""] {
        let thief = abuse(&host, &json!({"what": "read-of", "name": name}), &[]);
        let failure = &failed(&host, &thief)["failure"];
        assert!(
            ["not-found", "invalid"].contains(&failure["kind"].as_str().expect("it failed")),
            "{name}: {failure:#}"
        );
    }
}
