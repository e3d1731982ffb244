//! `sunaba run --artifacts DIR`: what an attempt leaves without a host, and that no name of a guest's leads anywhere else.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{guest, run_json, sunaba, text};

fn put(name: &str, bytes: u64) -> String {
    json!({"what": "put", "name": name, "bytes": bytes}).to_string()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it can be read");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs the guest with its artifacts in this folder.
fn run_in(folder: &Path, input: &str, more: &[&str]) -> (i32, Value) {
    let folder = folder.display().to_string();
    run_json("abuse-artifacts", &[&["--input", input, "--artifacts", &folder], more].concat())
}

#[test]
fn artifacts_are_in_the_directory_and_in_the_report() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("made/by it");
    let (code, report) = run_in(&folder, &put("report (1).txt", 100_000), &[]);
    assert_eq!(code, 0, "{report:#}");
    let artifact = &report["artifacts"][0];
    assert_eq!((&artifact["name"], &artifact["size_bytes"]), (&json!("report (1).txt"), &json!(100_000)));
    assert_eq!(artifact["digest"], report["output"], "as the guest was told");
    assert_eq!(names(&folder), ["report (1).txt"], "and nothing of ours");
    assert_eq!(std::fs::read(folder.join("report (1).txt")).expect("it is there"), vec![b'*'; 100_000]);
}

#[test]
fn output_is_captured_without_a_host_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    let (code, report) = run_json("flood-stdout", &["--input=1000", "--capture=stdout", "--artifacts", &place]);
    assert_eq!((code, &report["artifacts"][0]["size_bytes"]), (0, &json!(100_000)), "{report:#}");
    let kept = std::fs::read(folder.path().join("attempt-1.stdout")).expect("it is there");
    assert_eq!(kept.len(), 100_000);
}

#[test]
fn file_that_is_there_is_replaced_only_when_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = folder.path().join("mine");
    std::fs::write(&mine, "precious").expect("written");
    let (code, report) = run_in(folder.path(), &put("mine", 3), &[]);
    assert_eq!((code, &report["failure"]["kind"]), (7, &json!("invalid")), "{report:#}");
    assert!(report["failure"]["message"].as_str().is_some_and(|why| why.contains("`--force`")), "{report:#}");
    assert_eq!(std::fs::read(&mine).expect("it is there"), b"precious");
    let (code, report) = run_in(folder.path(), &put("mine", 3), &["--force"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(std::fs::read(&mine).expect("it is there"), b"***");
    assert_eq!(names(folder.path()), ["mine"]);
}

#[test]
fn link_in_the_directory_is_not_followed() {
    let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let aim = other.path().join("aim");
    std::fs::write(&aim, "precious").expect("written");
    std::os::unix::fs::symlink(&aim, folder.path().join("link")).expect("a link");
    assert_eq!(run_in(folder.path(), &put("link", 3), &[]).0, 7);
    assert_eq!(run_in(folder.path(), &put("link", 3), &["--force"]).0, 0);
    assert_eq!(std::fs::read(&aim).expect("it is there"), b"precious", "the link itself was replaced");
}

#[test]
fn names_that_lead_out_of_the_directory_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("inner");
    let (code, report) = run_in(&folder, r#"{"what":"names"}"#, &[]);
    assert_eq!((code, &report["output"]), (0, &json!("0 0")), "{report:#}");
    assert_eq!((names(&folder), names(place.path())), (Vec::new(), vec!["inner".to_owned()]));
}

#[test]
fn attempt_that_is_stopped_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = r#"{"what":"write-for-ever"}"#;
    let (code, report) = run_in(folder.path(), input, &["--limit", "artifact-bytes=4MiB"]);
    assert_eq!((code, &report["failure"]["cause"]), (7, &json!("limit artifact-bytes")), "{report:#}");
    assert_eq!((names(folder.path()), &report["artifacts"]), (Vec::new(), &json!([])));
}

#[test]
fn without_a_directory_artifacts_are_told_of_and_go_with_the_run() {
    let home = tempfile::tempdir().expect("a folder");
    let file = guest("abuse-artifacts").display().to_string();
    let mut command = std::process::Command::new(crate::support::binaries().join("sunaba"));
    command.args(["run", &file, "abuse-artifacts", "--input", &put("a.txt", 5_000)]).env("TMPDIR", home.path());
    let output = command.output().expect("the binary starts");
    let said = text(&output.stderr);
    assert!(said.contains("  artifact     a.txt, 4.9 KiB, application/octet-stream\n"), "{said}");
    assert!(said.contains("`--artifacts DIR` keeps them"), "{said}");
    assert_eq!(names(home.path()), [] as [&str; 0]);
    let quiet = sunaba(["run", &file, "abuse-artifacts", "--quiet", "--input", &put("a.txt", 1)]);
    assert!(quiet.stderr.is_empty(), "{}", text(&quiet.stderr));
}

#[test]
fn directory_that_cannot_be_made_is_told_before_anything_runs() {
    let file = guest("abuse-artifacts").display().to_string();
    let refused = sunaba(["run", &file, "abuse-artifacts", "--input", &put("a", 1), "--artifacts", "/dev/null/x"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("cannot make `/dev/null/x`"), "{}", text(&refused.stderr));
    let alone = sunaba(["run", &file, "abuse-artifacts", "--force"]);
    assert_eq!(alone.status.code(), Some(2), "{}", text(&alone.stderr));
}
