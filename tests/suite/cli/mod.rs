//! Every verb of the command line as a snapshot: its help, a typical text, the same as JSON, and an error.
//!
//! `INSTA_UPDATE=always cargo xtask test cli::` writes them anew; what has changed is then read in the difference.

mod cases;
mod steady;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::parity::verbs::VERBS;
use crate::support::{Host, binaries, guest, root, text};
use cases::CASES;

/// No task and no job.
const NONE: &str = "01900000-0000-7000-8000-000000000000";
const COLUMNS: usize = 80;

/// The binary, in this folder, on a terminal of so many columns for its help.
fn run(folder: &Path, address: &str, arguments: &[String]) -> Output {
    let mut command = Command::new(binaries().join("sunaba"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SUNABA_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("NO_COLOR", "1").env("COLUMNS", COLUMNS.to_string()).env("SUNABA_ADDRESS", address);
    command.output().expect("the binary starts")
}

/// What the calls are about.
struct Scene {
    host: Host,
    folder: tempfile::TempDir,
    /// What stands in calls, and what is meant.
    names: Vec<(&'static str, String)>,
    /// One that has stopped; its data stays as long as this does.
    _other: Host,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut other = Host::start(&[]);
        other.stop(Signal::TERM);
        let job = r#"{"nodes":[{"name":"a","handler":"hello/hello","input":{"name":"Ada"}}]}"#;
        for (name, text) in [("job.json", job), ("wrong.toml", "[host]\nx = 1\n"), ("secret", "correct-horse\n")] {
            std::fs::write(at(name), text).expect("written");
        }
        let host = Host::start(&[]);
        for name in ["hello", "retry-or-fail", "fetch"] {
            host.deploy(name);
        }
        let task = host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#, "-q"]);
        host.until(&task, "succeeded");
        let how = r#"{"how":"fatal"}"#;
        let dead = host.ok(&["task", "submit", "retry-or-fail/retry-or-fail", "--input", how, "-q"]);
        host.until_dead(&dead);
        let job = host.ok(&["job", "submit", &at("job.json"), "-q"]);
        host.ok(&["job", "result", &job, "--wait", "-q"]);
        let names = vec![
            ("{data}", other.data.path().join("data").display().to_string()),
            ("{guest}", guest("hello").display().to_string()),
            ("{folder}", folder.path().display().to_string()),
            ("{root}", root().display().to_string()),
            ("{task}", task),
            ("{dead}", dead),
            ("{job}", job),
            ("{none}", NONE.to_owned()),
        ];
        Self { host, folder, names, _other: other }
    }

    /// What is typed, and what came of it.
    fn call(&self, verb: &str, call: &[&str], number: usize, more: &[&str], lines: usize) -> String {
        let filled = |argument: &&str| {
            let argument = argument.replace("{n}", &number.to_string());
            self.names.iter().fold(argument, |argument, (name, meant)| argument.replace(name, meant))
        };
        let words = verb.split(' ').chain(more.iter().copied()).map(str::to_owned);
        let arguments: Vec<_> = words.chain(call.iter().map(filled)).collect();
        let output = run(self.folder.path(), &self.host.address, &arguments);
        let is_json = more.contains(&"-o");
        let shown = |bytes: &[u8]| self.shown(&text(bytes));
        let (stdout, stderr) = (shown(&output.stdout), steady::text(&shown(&output.stderr)));
        let stdout = match (more.first(), is_json) {
            (Some(&"-h"), _) => stdout.trim_end().to_owned(),
            // What is no JSON for programs either is a script, a page, or the output of a task.
            (_, true) if stdout.starts_with(['{', '[']) => steady::json(&stdout),
            _ => steady::text(&stdout),
        };
        let cut = |text: &str| {
            let mut kept: Vec<_> = text.lines().take(lines).collect();
            kept.extend((text.lines().count() > lines).then_some("[...]"));
            kept.join("\n")
        };
        let mut told = format!("$ sunaba {}\n", [&[verb], more, call].concat().join(" "));
        for part in [cut(&stdout), stderr] {
            if !part.is_empty() {
                let _ = writeln!(told, "{part}");
            }
        }
        let _ = writeln!(told, "[exit {}]", output.status.code().unwrap_or(-1));
        told
    }

    /// With names in the place of what they mean.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(&self.host.address, "{address}");
        self.names.iter().fold(text, |text, (name, meant)| text.replace(meant, name))
    }
}

#[test]
fn every_verb_says_what_it_has_always_said() {
    let scene = Scene::new();
    for case in CASES {
        let mut told = scene.call(case.verb, &[], 0, &["-h"], usize::MAX);
        if let Some(good) = case.good {
            told += &format!("\n{}", scene.call(case.verb, good, 1, &[], case.lines));
            told += &format!("\n{}", scene.call(case.verb, good, 2, &["-o", "json"], case.lines));
        }
        told += &format!("\n{}", scene.call(case.verb, case.bad, 3, &[], usize::MAX));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!(case.verb.replace(' ', "-"), told);
        });
        // Whatever goes wrong is said, and ends so.
        assert!(told.trim_end().lines().last().is_some_and(|line| line != "[exit 0]"), "{told}");
    }
}

#[test]
fn every_verb_has_a_snapshot() {
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.verb).collect();
    assert_eq!(cases, VERBS.iter().map(|verb| verb.name).collect());
    assert_eq!(cases.len(), CASES.len());
    let snapshots = std::fs::read_dir(root().join("tests/suite/cli/snapshots")).expect("they are there");
    let files: BTreeSet<_> =
        snapshots.map(|file| file.expect("readable").file_name().into_string().expect("a name")).collect();
    assert_eq!(files, cases.iter().map(|verb| format!("{}.snap", verb.replace(' ', "-"))).collect());
}

#[test]
fn tables_fit_eighty_columns() {
    let scene = Scene::new();
    scene.host.ok(&["handler", "set", "hello/hello", "--concurrency", "4", "--breaker", "50%/20, 30s", "-q"]);
    scene.host.ok(&[
        "queue",
        "set",
        "a-queue-with-a-long-name",
        "--concurrency",
        "4",
        "--rate",
        "100/1s",
        "--weight",
        "3",
        "-q",
    ]);
    let file = scene.folder.path().join("key").display().to_string();
    scene.host.ok(&["key", "create", "a-key-with-a-long-name", "--scope", "read,operate", "--save", &file, "-q"]);
    let mut seen = 0;
    for table in [
        "task list",
        "queue list",
        "handler list",
        "handler status",
        "handler versions hello",
        "handler grants fetch/fetch",
        "workers list",
        "dead list",
        "dead groups",
        "job list",
        "usage",
        "key list",
        "audit list",
        "doctor",
        "component validate {guest}",
    ] {
        let table = scene.names.iter().fold(table.to_owned(), |table, (name, meant)| table.replace(name, meant));
        let mut script = Command::new("script");
        let command = format!("stty cols {COLUMNS} rows 24; exec '{}' {table}", binaries().join("sunaba").display());
        script.args(["-qec", &command, "/dev/null"]).current_dir(scene.folder.path()).stdin(Stdio::null());
        script.env("NO_COLOR", "1").env("TERM", "xterm").env("SUNABA_ADDRESS", &scene.host.address);
        let output = script.output().expect("a terminal");
        let shown = text(&output.stdout).replace('\r', "");
        assert!(shown.lines().count() > 1, "{table}: {shown}");
        for line in shown.lines().filter(|line| !line.contains("\u{1b}")) {
            assert!(line.chars().count() <= COLUMNS, "{table}: {} columns: {line}", line.chars().count());
            seen += 1;
        }
    }
    assert!(seen > 30);
}
