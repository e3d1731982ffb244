//! Directories of children: a child may get less than its parent was granted, never more, and no way leads back.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Host, text};

/// A folder with two siblings in it, and a link from one to the other.
fn siblings() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["one", "two"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        std::fs::write(folder.path().join(name).join("text"), "x").expect("written");
    }
    std::os::unix::fs::symlink(folder.path().join("two"), folder.path().join("one/link")).expect("a link");
    folder
}

fn host(folder: &Path) -> Host {
    let host = Host::start(&["--allow-dir", &folder.display().to_string()]);
    host.deploy("plans");
    host
}

/// What comes of a task that was granted the folder as `/all`, and passes this on to its child.
fn passed_on(host: &Host, folder: &Path, access: &str, handler: &str, dirs: &str) -> Value {
    let (dir, input) = (format!("{}::/all{access}", folder.display()), json!(dirs).to_string());
    let submit = ["task", "submit", handler, "--dir", &dir, "--input", &input, "--max-attempts=1"];
    let id = host.ok(&submit);
    let output = host.sunaba(["task", "result", &id, "--wait", "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

#[test]
fn narrowed_directories_obeyed() {
    let folder = siblings();
    let host = host(folder.path());
    for (dirs, read) in [
        ("/all/one::/one", json!(["/one/text"])),
        ("/all/one::/one,/all/two", json!(["/one/text", "/all/two/text"])),
        ("/all", json!(["/all/one/text", "/all/two/text"])),
        ("", json!([])),
    ] {
        let result = passed_on(&host, folder.path(), "", "plans/pass-on", dirs);
        assert_eq!((&result["state"], &result["output"]), (&json!("succeeded"), &read), "{dirs}: {result:#}");
    }
    let made = passed_on(&host, folder.path(), ":rw", "plans/ask-on", "/all/one::/one:rw");
    assert_eq!(made["output"], "it was made", "{made:#}");
}

#[test]
fn narrowed_directories_violated() {
    let folder = siblings();
    let outside = folder.path().parent().expect("it is in one").display().to_string();
    let host = host(folder.path());
    for (dirs, why) in [
        ("/", "granted no directory that holds"),
        ("/etc::/one", "granted no directory that holds"),
        (outside.as_str(), "granted no directory that holds"),
        ("/all/../..::/one", "is not a full one"),
        ("/all/one::/one:rw", "may only read `/all`"),
        ("/all/one/link::/one", "is reached by a link"),
        ("/all/nowhere::/one", "there is no directory"),
    ] {
        let result = passed_on(&host, folder.path(), "", "plans/pass-on", dirs);
        let message = result["failure"]["message"].as_str().unwrap_or_else(|| panic!("{dirs}: {result:#}"));
        assert!(result["state"] == "dead" && message.contains(why), "{dirs}: {message}");
        let asked = passed_on(&host, folder.path(), "", "plans/ask-on", dirs);
        assert!(asked["output"].as_str().is_some_and(|said| said.contains("cannot be")), "{dirs}: {asked:#}");
    }
}
