//! Versions of packages: kept, gone back to, followed; and a signature that does not fit what waits.

use serde_json::{Value, json};

use crate::support::{Host, guest, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

fn deploy_as(host: &Host, component: &str, more: &[&str]) -> (Option<i32>, String) {
    let file = guest(component).display().to_string();
    let output = host.sunaba([&["handler", "deploy", &file, "--name=hello", "--allow-widening"], more].concat());
    (output.status.code(), text(&output.stderr))
}

fn versions(host: &Host) -> Vec<(Value, Value)> {
    let lines = host.ok(&["handler", "versions", "hello", "-o", "jsonl"]);
    let versions = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    versions.map(|version| (version["version"].clone(), version["active"].clone())).collect()
}

#[test]
fn rollback_is_one_command_and_tasks_are_pinned_or_follow() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let (code, said) = deploy_as(&host, "hello", &[]);
    assert!(code == Some(0) && said.starts_with("unchanged hello version 1 ("), "{said}");
    let pinned = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"]);
    let (code, said) = deploy_as(&host, "spin", &[]);
    assert!(code == Some(0) && said.starts_with("deployed hello version 2 ("), "{said}");
    assert_eq!(versions(&host), [(json!(2), json!(true)), (json!(1), json!(false))]);
    let listed = host.ok(&["handler", "versions", "hello"]);
    assert!(listed.starts_with("VERSION  ACTIVE  COMPONENT     SIZE"), "{listed}");
    // The pinned one runs what it was submitted for.
    host.ok(&["task", "run-now", &pinned]);
    host.until(&pinned, "succeeded");
    let back = host.ok(&["handler", "rollback", "hello"]);
    assert!(back.starts_with("package      hello\nactive       version 1\nbefore       version 2\n"), "{back}");
    assert_eq!(versions(&host), [(json!(2), json!(false)), (json!(1), json!(true))]);
    let follower = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--follow", "--delay=1h"]);
    assert_eq!(host.json(&["task", "get", &follower])["follows"], json!(true));
    host.kill();
    host.restart();
    // Counted again after a restart.
    let refused = (
        Some(4),
        "error: this version of `hello` does not fit its waiting tasks: `hello/hello` is gone, and 1 task that follows waits \
         for it\nhint: wait until they have ended, cancel them, or go ahead with `--allow-signature-change`\n"
            .to_owned(),
    );
    assert_eq!(deploy_as(&host, "spin", &[]), refused);
    let output = host.sunaba(["handler", "rollback", "hello", "--to", "2"]);
    assert_eq!((output.status.code(), text(&output.stderr)), refused);
    let (code, said) = deploy_as(&host, "spin", &["--allow-signature-change"]);
    assert!(code == Some(0) && said.starts_with("deployed hello version 2 again ("), "{said}");
    host.ok(&["handler", "rollback", "hello", "--to=1"]);
    host.ok(&["task", "run-now", &follower]);
    host.until(&follower, "succeeded");
}

#[test]
fn versions_that_are_not_there_are_refused_by_name() {
    let host = Host::start(&[]);
    host.deploy("hello");
    for (arguments, code, said) in [
        (&["versions", "nobody"][..], 3, "error: no package `nobody` is deployed\n"),
        (&["rollback", "nobody"], 3, "error: no package `nobody` is deployed\n"),
        (&["rollback", "hello", "--to=7"], 3, "error: the package `hello` has no version 7\n"),
        (&["rollback", "hello"], 4, "error: the package `hello` has had no other active version\n"),
    ] {
        let output = host.sunaba([&["handler"], arguments].concat());
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(code) && told.starts_with(said), "{arguments:?}: {told}");
    }
}
