//! Dead letters: found, counted, run again and purged.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Host, guest, text};

/// A task that has died of what the input asks for.
fn died(host: &Host, how: &str) -> String {
    let input = format!(r#"{{"how":"{how}"}}"#);
    let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", &input, "--max-attempts=1"];
    let id = host.ok(&submit);
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(7));
    id
}

#[test]
fn dead_letters_are_listed_grouped_and_shown() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    assert_eq!(text(&host.sunaba(["dead", "list"]).stderr), "no dead letters\n");
    assert_eq!(text(&host.sunaba(["dead", "groups"]).stderr), "no dead letters\n");
    died(&host, "fatal");
    let (network, newest) = (died(&host, "network"), died(&host, "network"));
    let groups = host.ok(&["dead", "groups"]).replace(&newest, "NEWEST-ID");
    let groups: Vec<_> = groups.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(groups[0], "COUNT HANDLER KIND NEWEST MESSAGE");
    assert_eq!(groups[1], "2 retry-or-fail/retry-or-fail network NEWEST-ID the upstream answered 503");
    assert!(groups[2].starts_with("1 retry-or-fail/retry-or-fail account-closed "), "{groups:?}");
    let counted = host.json(&["dead", "groups", "--handler=retry-or-fail"]);
    assert_eq!((&counted["counted"], &counted["more"]), (&json!(3), &json!(false)));
    assert_eq!(host.lines(&["dead", "list"]).len(), 3);
    let listed = host.ok(&["dead", "list"]);
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with(&newest)), "{listed}");
    let shown = host.sunaba(["dead", "show", &network, "-q"]);
    assert!(text(&shown.stdout).contains("state        dead\n"), "{}", text(&shown.stdout));
    let shown = host.sunaba(["dead", "show", &network]);
    assert!(text(&shown.stderr).starts_with("failed network: the upstream answered 503\n"), "{}", text(&shown.stderr));
}

#[test]
fn dead_letter_is_redriven_once_with_another_input() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    let id = died(&host, "fatal");
    let made = host.ok(&["dead", "redrive", &id, "--input", r#"{"how":"succeed"}"#]);
    assert_eq!(host.sunaba(["task", "result", &made, "--wait", "-q"]).status.code(), Some(0));
    assert_eq!(host.lines(&["dead", "list"]).len(), 0, "what was run again is no dead letter");
    let old = host.json(&["task", "get", &id]);
    assert_eq!((&old["state"], &old["successor"]), (&json!("dead"), &json!(made)));
    let again = host.sunaba(["dead", "redrive", &id]);
    assert_eq!(again.status.code(), Some(4));
    let expected = format!("error: task {id} was run again already, as {made}\nhint: ");
    assert!(text(&again.stderr).starts_with(&expected), "{}", text(&again.stderr));
    let alive = host.sunaba(["dead", "redrive", &made]);
    assert_eq!(alive.status.code(), Some(4));
    assert!(text(&alive.stderr).contains("is succeeded, and no dead letter\nhint: "), "{}", text(&alive.stderr));
}

#[test]
fn all_dead_letters_of_a_filter_are_redriven_and_purged() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    for _ in 0..3 {
        died(&host, "malformed");
    }
    let counted = host.sunaba(["dead", "redrive", "--handler=retry-or-fail"]);
    assert_snapshot!(text(&counted.stderr), @r"
    error: 3 tasks would be run again; nothing was done
    hint: do it with `--yes`
    ");
    assert_eq!(host.ok(&["dead", "redrive", "--handler=retry-or-fail", "--yes"]), "3 tasks run again");
    // They die anew, and are the only dead letters again.
    for task in host.lines(&["task", "list", "--limit=3"]) {
        let id = task["id"].as_str().expect("an id").to_owned();
        assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(7));
    }
    assert_eq!(host.lines(&["dead", "list"]).len(), 3);
    assert_eq!(host.lines(&["task", "list", "--state=dead"]).len(), 6);
    let old = host.sunaba(["dead", "purge", "--older-than=1h", "--yes"]);
    assert_eq!(text(&old.stdout), "0 tasks deleted\n");
    assert_eq!(host.ok(&["dead", "purge", "--all", "--yes"]), "3 tasks deleted");
    assert_eq!(host.lines(&["dead", "list"]).len(), 0);
}

/// `open-ungranted` before and after somebody has mended the path that it reads: `/etc/passwd` becomes `/mnt/passwd`.
fn mended() -> Vec<u8> {
    let (wrong, right) = (b"/etc/passwd", b"/mnt/passwd");
    let mut component = std::fs::read(guest("open-ungranted")).expect("it is there");
    let places: Vec<_> = component.windows(wrong.len()).enumerate().filter(|(_, part)| part == wrong).collect();
    let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "the guest names no path that could be mended");
    places.into_iter().for_each(|place| component[place..place + right.len()].copy_from_slice(right));
    component
}

#[test]
fn dead_letter_of_a_broken_component_succeeds_once_a_mended_one_is_deployed() {
    let granted = tempfile::tempdir().expect("a folder");
    std::fs::write(granted.path().join("passwd"), "ada").expect("written");
    let root = granted.path().canonicalize().expect("it is there").display().to_string();
    let host = Host::start(&["--allow-dir", &root]);
    host.deploy("open-ungranted");
    let grant = format!("{root}::/mnt");
    let ids = [(); 3].map(|()| host.ok(&["task", "submit", "open-ungranted/open-ungranted", "--dir", &grant]));
    for id in &ids {
        assert_eq!(host.sunaba(["task", "result", id, "--wait", "-q"]).status.code(), Some(7));
    }
    // As long as nothing is mended, it dies again.
    let again = host.ok(&["dead", "redrive", &ids[0]]);
    assert_eq!(host.sunaba(["task", "result", &again, "--wait", "-q"]).status.code(), Some(7));

    let file = granted.path().join("mended.wasm");
    std::fs::write(&file, mended()).expect("written");
    let deployed = host.json(&["handler", "deploy", &file.display().to_string(), "--name=open-ungranted"]);
    let made = [host.ok(&["dead", "redrive", &again]), host.ok(&["task", "rerun", &ids[1]])];
    assert_eq!(host.ok(&["dead", "redrive", "--all", "--yes"]), "1 task run again");
    let last = host.json(&["task", "get", &ids[2]])["successor"].as_str().expect("an id").to_owned();
    for id in made.into_iter().chain([last]) {
        let result = host.sunaba(["task", "result", &id, "--wait", "-q"]);
        assert_eq!((result.status.code(), text(&result.stdout).as_str()), (Some(0), "[\"/mnt/passwd\"]\n"));
        assert_eq!(host.json(&["task", "get", &id])["component"], deployed["component"]);
    }
    assert_eq!(host.lines(&["dead", "list"]).len(), 0);
    assert_ne!(
        host.json(&["task", "get", &ids[1]])["component"],
        deployed["component"],
        "what has ended stays as it was"
    );
}
