//! `sunaba run` of every hostile guest: the cause on the first line that is not the guest's own, and the exit code.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{guest, sunaba, text};

use super::case::{Case, Data, Ends};
use super::server::Reflector;
use super::table::{FAMILIES, Family};

/// Runs of it at a time.
const THREADS: usize = 3;

fn family(name: &str) -> &'static Family {
    FAMILIES.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("there is no family `{name}`"))
}

/// Runs all cases of a family, each twice: as people see it and as programs do.
fn run(name: &str) {
    let cases = family(name).cases;
    let next = AtomicUsize::new(0);
    let server = Reflector::start();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    check(case, &server);
                }
            });
        }
    });
    server.was_asked_by_nobody_else();
}

fn arguments(case: &Case, folder: &Path, server: &Reflector) -> Vec<String> {
    let file = guest(case.guest).display().to_string();
    let mut arguments = vec!["run".to_owned(), file, case.name.to_owned()];
    arguments.extend(["--timeout".to_owned(), format!("{}ms", case.timeout_ms())]);
    if let Some(input) = case.input {
        arguments.extend(["--input".to_owned(), server.found(input)]);
    }
    if let Some(limits) = case.limits {
        arguments.extend(["--limit".to_owned(), limits.to_owned()]);
    }
    for place in case.http {
        arguments.extend(["--http".to_owned(), server.found(place)]);
    }
    if case.secret {
        arguments.extend(["--secret".to_owned(), server.secret(folder)]);
    }
    if let Some(memory) = case.memory {
        arguments.extend(["--memory".to_owned(), memory.to_string()]);
    }
    let folder = folder.display();
    match case.data {
        Data::Nothing => {}
        Data::ReadOnly => arguments.extend(["--dir".to_owned(), format!("{folder}::/data")]),
        Data::ReadWrite => arguments.extend(["--dir".to_owned(), format!("{folder}::/data:rw")]),
    }
    arguments
}

fn check(case: &Case, server: &Reflector) {
    let folder = tempfile::tempdir().expect("a folder");
    case.furnish(folder.path());
    let arguments = arguments(case, folder.path(), server);
    let output = sunaba(arguments.iter().map(String::as_str));
    let (code, shown) = (output.status.code(), text(&output.stderr));
    let name = case.name;
    // Whatever it says, nothing of it is an escape sequence of its own. Standard output is the result, as it is.
    let raw = output.stderr.iter().find(|byte| **byte < 0x20 && !b"\n\t".contains(byte));
    assert_eq!(raw, None, "{name}: {shown}");
    let line = |start: &str| shown.lines().find(|line| line.starts_with(start)).map(str::to_owned);
    match case.ends {
        Ends::Stopped(_) => {
            let stopped = line("stopped ").unwrap_or_else(|| panic!("{name} was not stopped: {shown}"));
            let cause = stopped["stopped ".len()..].split(": ").next().unwrap_or_default();
            assert!(case.is_cause(cause), "{name}: `{cause}` in {stopped}");
            assert!(stopped.contains(case.says), "{name}: {stopped}");
            assert_eq!(code, Some(if cause == "timeout" { 124 } else { 7 }), "{name}: {shown}");
            assert_eq!(line("     0: ").is_some(), case.backtrace, "{name}: {shown}");
        }
        Ends::Failed(kind) => {
            assert!(line(&format!("failed {kind}: ")).is_some(), "{name}: {shown}");
            assert_eq!(code, Some(7), "{name}: {shown}");
        }
        Ends::Succeeds => assert_eq!((code, line("succeeded in ").is_some()), (Some(0), true), "{name}: {shown}"),
        Ends::Snoozes => assert!(line("snoozed for ").is_some(), "{name}: {shown}"),
        Ends::Decomposes => assert!(line("decomposed into ").is_some(), "{name}: {shown}"),
        Ends::Refused(why) => {
            let refusal = line("error: ").unwrap_or_else(|| panic!("{name} was not refused: {shown}"));
            assert!(refusal.contains(why), "{name}: {refusal}");
            assert!(matches!(code, Some(7 | 8)), "{name}: {code:?}");
            assert!(output.stdout.is_empty(), "{name}");
        }
    }
    if case.secret {
        server.kept_its_secret(case.name, &format!("{}{shown}", text(&output.stdout)));
    }
    if case.data == Data::ReadOnly {
        assert_eq!(std::fs::read_to_string(folder.path().join("kept")).expect("it is there"), "kept", "{name}");
    }
}

macro_rules! families {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                run($name);
            }
        )*

        #[test]
        fn every_family_is_run() {
            let run = [$($name),*];
            assert_eq!(FAMILIES.map(|family| family.name), run);
        }
    };
}

families! {
    guests_that_compute_print_their_cause: "CPU";
    guests_that_take_memory_print_their_cause: "Memory";
    guests_with_bad_results_print_their_cause: "Results";
    guests_that_take_no_arguments_print_their_cause: "Arguments";
    guests_with_bad_handles_print_their_cause: "Handles";
    guests_that_misuse_the_host_print_their_cause: "Host calls";
    guests_that_misuse_files_print_their_cause: "Files";
    guests_that_reach_for_the_network_print_their_cause: "Network";
    guests_that_ask_where_they_may_not_print_their_cause: "Requests";
    guests_that_misuse_plans_print_their_cause: "Plans";
    guests_that_cannot_be_loaded_print_why: "Compile and load";
}

#[test]
fn memory_of_the_attempt_before_is_not_seen() {
    let file = guest("remember").display().to_string();
    let output = sunaba(["run", &file, "remember", "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["output"], 0);
}
