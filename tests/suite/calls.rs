//! Host calls: named, counted, timed and bounded, and seen while they last. What a guest does in files hurts nobody, and
//! host code that panics fails that attempt alone.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptResult, BoxFuture, Cause, Fuel, Grants, Limit, Limits, Live, LiveView, LogEntry,
    Outcome, Payload, Progress, Stop,
};
use tokio::sync::Notify;

use crate::support::{Host, block_on, load, now, run, stop, text};

/// Long enough for anything, and no reason to wait for it.
const WAIT: Duration = Duration::from_secs(60);

fn sandbox(slots: u32) -> Sandbox {
    Sandbox::builder().slots(slots).start().expect("threads")
}

/// What `abuse-files` is to do.
async fn abuse(sandbox: &Sandbox, folder: &Path, what: &str, file: &str, count: u64) -> Attempt {
    let component = load(sandbox, "abuse-files").await;
    let grant = format!("{}::/data:rw", folder.canonicalize().expect("it is there").display());
    let grants = Grants { dirs: vec![grant.parse().expect("a grant")], ..Grants::default() };
    let input = json!({"what": what, "path": format!("/data/{file}"), "count": count}).to_string();
    let attempt = Attempt::of(&component, "abuse-files").expect("it is there").grants(grants);
    attempt.input(Payload::json(input)).expect("it matches")
}

/// One such attempt with other limits than usual.
fn abused(what: &str, file: &str, count: u64, limits: impl FnOnce(&mut Limits)) -> AttemptReport {
    let folder = tempfile::tempdir().expect("a folder");
    abused_in(folder.path(), what, file, count, limits)
}

fn abused_in(folder: &Path, what: &str, file: &str, count: u64, limits: impl FnOnce(&mut Limits)) -> AttemptReport {
    std::fs::write(folder.join("some"), "text").expect("written");
    block_on(async {
        let sandbox = sandbox(1);
        let mut attempt = abuse(&sandbox, folder, what, file, count).await;
        limits(attempt.limits_mut());
        run(&sandbox, attempt).await
    })
}

fn output(report: &AttemptReport) -> String {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => String::from_utf8_lossy(&output.bytes).into_owned(),
        other => panic!("it should have completed: {other:?}"),
    }
}

/// It was stopped for this limit, in this call, with a backtrace that leads to the handler.
fn assert_stopped(report: AttemptReport, limit: Limit, call: &str) -> Stop {
    let stopped = stop(report);
    assert_eq!(stopped.cause, Cause::Limit(limit), "{}", stopped.message);
    assert!(stopped.message.contains(call), "{}", stopped.message);
    assert!(stopped.backtrace.iter().any(|frame| frame.function.contains("abuse_files")), "{:?}", stopped.backtrace);
    stopped
}

#[test]
fn receipt_has_every_call_by_name_with_time_and_bytes() {
    let report = abused("write", "new", 100_000, |_| {});
    assert_eq!(output(&report), "100000");
    let receipt = report.receipt;
    assert_eq!(receipt.written_bytes, 100_000);
    assert!((100_000..200_000).contains(&receipt.moved_bytes), "{}", receipt.moved_bytes);
    assert!(!receipt.host_call_time.is_zero() && receipt.host_call_time <= receipt.wall);
    let counted: u64 = receipt.host_calls_by.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, receipt.host_calls, "{:?}", receipt.host_calls_by);
    let opened = receipt.host_calls_by.iter().find(|(name, _)| name == "wasi:filesystem/types.descriptor.open-at");
    assert_eq!(opened.map(|(_, count)| *count), Some(1), "{:?}", receipt.host_calls_by);
    assert!(receipt.host_calls_by.is_sorted_by(|(_, one), (_, other)| one >= other), "{:?}", receipt.host_calls_by);
}

#[test]
fn open_files_obeyed() {
    let report = abused("hold", "some", 8, |limits| limits.open_files = 8);
    assert_eq!(output(&report), "8");
}

#[test]
fn open_files_violated() {
    let report = abused("hold", "some", 9, |limits| limits.open_files = 8);
    let stopped = assert_stopped(report, Limit::OpenFiles, "wasi:filesystem/types.descriptor.open-at");
    assert!(stopped.message.starts_with("wanted one more open file, directory or stream: the limit is 8"));
}

#[test]
fn written_bytes_obeyed() {
    for what in ["write", "append", "grow"] {
        let report = abused(what, "new", 70_000, |limits| limits.written_bytes = 70_000);
        assert_eq!((output(&report).as_str(), report.receipt.written_bytes), ("70000", 70_000), "{what}");
    }
}

#[test]
fn written_bytes_violated() {
    for (what, call) in [("write", "wasi:"), ("append", "wasi:"), ("grow", "wasi:filesystem/types.descriptor.set-size")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let report = abused_in(folder.path(), what, "new", 70_001, |limits| limits.written_bytes = 70_000);
        assert!(report.receipt.written_bytes <= 70_000, "{}", report.receipt.written_bytes);
        assert_stopped(report, Limit::WrittenBytes, call);
        assert!(std::fs::metadata(folder.path().join("new")).expect("made").len() <= 70_000, "{what}");
    }
}

#[test]
fn moved_bytes_obeyed_and_violated() {
    let report = abused("write", "new", 100_000, |limits| limits.moved_bytes = 200_000);
    assert_eq!(output(&report), "100000");
    let report = abused("write", "new", 100_000, |limits| limits.moved_bytes = 50_000);
    assert!(report.receipt.written_bytes <= 50_000, "what is too much must not be done first");
    assert_stopped(report, Limit::MovedBytes, "wasi:");
}

#[test]
fn host_call_bytes_obeyed_and_violated() {
    let limits = |limits: &mut Limits| (limits.host_call_bytes, limits.output_bytes) = (1 << 20, 1 << 10);
    assert_eq!(output(&abused("hand", "", 1_000_000, limits)), "1000000");
    let stopped = stop(abused("hand", "", 2_000_000, limits));
    assert_eq!(stopped.cause, Cause::Limit(Limit::HostCallBytes), "{}", stopped.message);
    assert_eq!(stopped.message, "handed too much to one host call: the limit is 1.0 MiB");
    assert!(!stopped.backtrace.is_empty());
}

/// The threads of this process that wait for disks.
fn disk_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("it is there").flatten();
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    threads.map(name).filter(|name| name.starts_with("sunaba-io")).count()
}

fn fifo(folder: &Path, name: &str) {
    let made = std::process::Command::new("mkfifo").arg(folder.join(name)).status().expect("mkfifo is there");
    assert!(made.success());
}

#[test]
fn fifo_in_a_granted_directory_is_refused_and_holds_no_thread() {
    let folder = tempfile::tempdir().expect("a folder");
    fifo(folder.path(), "fifo");
    std::os::unix::fs::symlink("fifo", folder.path().join("link")).expect("a link");
    block_on(async {
        let sandbox = sandbox(1);
        for (what, file) in [("read", "fifo"), ("write", "fifo"), ("append", "fifo"), ("read", "link")] {
            let report = run(&sandbox, abuse(&sandbox, folder.path(), what, file, 1).await).await;
            let AttemptResult::Failed(failure) = report.result else { panic!("{what} {file}: {:?}", report.result) };
            assert_eq!(failure.kind, "denied", "{what} {file}: {}", failure.message);
        }
        let begun = now();
        while disk_threads() > 0 {
            assert!(begun.elapsed() < WAIT, "a thread still waits for the other end");
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn large_directory_is_read_whole_and_in_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    for index in 0..1_500 {
        std::fs::write(folder.path().join(index.to_string()), "").expect("written");
    }
    // And the one that every folder here has.
    assert_eq!(output(&abused_in(folder.path(), "list", "", 0, |_| {})), "1501");
}

#[test]
fn deep_and_long_paths_end_where_the_system_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let depth: u64 = output(&abused_in(folder.path(), "nest", "", 5_000, |_| {})).parse().expect("a number");
    assert!((1_000..4_096).contains(&depth), "{depth}");
}

#[test]
fn copied_file_has_what_the_first_had() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(output(&abused_in(folder.path(), "copy", "some", 0, |_| {})), "4");
    assert_eq!(std::fs::read(folder.path().join("some.copy")).expect("copied"), b"text");
}

/// Panics where it is told to, and keeps the view of the attempt.
#[derive(Default)]
struct Watch {
    panics_in: &'static str,
    live: Mutex<Option<Arc<dyn Live>>>,
    stop: Notify,
}

impl Watch {
    fn stumble(&self, place: &str) {
        assert_ne!(self.panics_in, place, "on purpose");
    }

    fn view(&self) -> Option<LiveView> {
        self.live.lock().expect("whole").as_ref().map(|live| live.view())
    }
}

impl AttemptHost for Watch {
    fn on_begin(&self, live: Arc<dyn Live>) {
        self.stumble("begin");
        *self.live.lock().expect("whole") = Some(live);
    }

    fn on_log(&self, _: &LogEntry) {
        self.stumble("log");
    }

    fn on_progress(&self, _: Progress) {
        self.stumble("progress");
    }

    fn stopped(&self) -> BoxFuture<'_, Cause> {
        Box::pin(async {
            self.stumble("stopped");
            self.stop.notified().await;
            Cause::Cancelled
        })
    }
}

#[test]
fn host_code_that_panics_fails_that_attempt_and_not_its_siblings() {
    block_on(async {
        // One thread for all of them.
        let sandbox = Arc::new(sandbox(2));
        let spin = load(&sandbox, "spin").await;
        let sibling = Arc::new(Watch::default());
        let spinning = tokio::spawn({
            let (sandbox, sibling) = (Arc::clone(&sandbox), Arc::clone(&sibling));
            async move { Attempt::of(&spin, "spin").expect("it is there").run(&sandbox, sibling).await }
        });
        let folder = tempfile::tempdir().expect("a folder");
        let places = [
            ("log", Some("wasi:io/streams.output-stream.")),
            ("progress", Some("sunaba:task/host.progress")),
            ("begin", None),
            ("stopped", None),
        ];
        for (panics_in, call) in places {
            let attempt = abuse(&sandbox, folder.path(), "say", "", 0).await;
            let report = attempt.run(&sandbox, Arc::new(Watch { panics_in, ..Watch::default() })).await;
            let report = report.expect("a report, whatever host code did");
            assert!(!report.receipt.wall.is_zero());
            let stopped = stop(report);
            assert!(stopped.message.starts_with("host code panicked: "), "{}", stopped.message);
            assert!(stopped.message.contains("on purpose"), "{}", stopped.message);
            match (&stopped.cause, call) {
                (Cause::HostCall(Some(name)), Some(call)) => {
                    assert!(name.starts_with(call), "{name}");
                    assert!(!stopped.backtrace.is_empty(), "{name}");
                }
                (Cause::HostCall(None), None) => {}
                other => panic!("{panics_in}: {other:?}"),
            }
        }
        assert!(!spinning.is_finished(), "its sibling should have been computing all the time");
        sibling.stop.notify_one();
        let stopped = stop(spinning.await.expect("no panic").expect("the host can do its part"));
        assert_eq!((stopped.cause, stopped.backtrace.is_empty()), (Cause::Cancelled, false));
    });
}

/// Runs a guest until its view is as wanted.
fn seen(guest: &'static str, fuel: Fuel, mut wanted: impl FnMut(&LiveView) -> bool) -> LiveView {
    block_on(async {
        let sandbox = Arc::new(sandbox(1));
        let component = load(&sandbox, guest).await;
        if fuel == Fuel::Off {
            let bytes = std::fs::read(crate::support::guest(guest)).expect("it is there");
            sandbox.load(bytes, fuel.mode()).await.expect("it loads");
        }
        let mut attempt = Attempt::of(&component, guest).expect("it is there");
        attempt.limits_mut().fuel = fuel;
        let watch = Arc::new(Watch::default());
        let running = tokio::spawn({
            let (sandbox, watch) = (Arc::clone(&sandbox), Arc::clone(&watch));
            async move { attempt.run(&sandbox, watch).await }
        });
        let begun = now();
        let view = loop {
            match watch.view() {
                Some(view) if wanted(&view) => break view,
                seen => assert!(begun.elapsed() < WAIT, "it has not come to that: {seen:?}"),
            }
            tokio::task::yield_now().await;
        };
        watch.stop.notify_one();
        running.await.expect("no panic").expect("the host can do its part");
        view
    })
}

#[test]
fn spinning_guest_shows_fuel_that_grows() {
    let mut least = None;
    let view = seen("spin", Fuel::Exact { limit: None }, |view| {
        let fuel = view.fuel.expect("counted");
        fuel > 2 * *least.get_or_insert(fuel + 1_000_000) && view.fuel_per_second.is_some_and(|fuel| fuel > 0)
    });
    assert_eq!(view.host_call, None);
    assert!(view.memory_bytes > 0);
}

#[test]
fn spinning_guest_without_fuel_shows_that_it_computes() {
    let view = seen("spin", Fuel::Off, |view| view.memory_bytes > 0);
    assert_eq!((view.fuel, view.fuel_per_second, view.host_call), (None, None, None));
}

#[test]
fn sleeping_guest_shows_its_call_and_a_time_that_grows() {
    let mut first = None;
    let view = seen("sleep", Fuel::Exact { limit: None }, |view| {
        let Some((name, since)) = &view.host_call else { return false };
        name == "wasi:io/poll.pollable.block" && *since > 2 * *first.get_or_insert(*since + Duration::from_millis(1))
    });
    assert!(view.fuel.is_some_and(|fuel| fuel > 0), "what it had used before it began to wait");
    assert!(view.memory_bytes > 0 && view.host_calls > 0);
}

#[test]
fn running_task_shows_where_it_is_and_what_it_has_said() {
    let host = Host::start(&[]);
    host.deploy("abuse-files");
    let submit = ["task", "submit", "abuse-files/abuse-files", "--input", r#"{"what":"say"}"#];
    let id = host.ok(&submit);
    host.until(&id, "running");
    let begun = now();
    let task = loop {
        let task = host.json(&["task", "get", &id]);
        if task["live"]["host_call"] == "wasi:io/poll.pollable.block" {
            break task;
        }
        assert!(begun.elapsed() < WAIT, "{task:#}");
    };
    let live = &task["live"];
    assert_eq!(live["attempt"], 1);
    assert!(live["fuel"].as_u64().is_some_and(|fuel| fuel > 0), "{live:#}");
    assert!(live["host_call_ms"].is_u64(), "{live:#}");
    let shown = host.ok(&["task", "get", &id]);
    assert!(shown.contains("\nnow          in wasi:io/poll.pollable.block for "), "{shown}");

    let logs = host.sunaba(["task", "logs", &id]);
    assert!(text(&logs.stdout).ends_with("stdout info  it waits for what never comes\n"), "{}", text(&logs.stdout));
    assert_eq!(text(&logs.stderr), "attempt 1 is still running\n");

    host.ok(&["task", "cancel", &id]);
    host.until(&id, "cancelled");
    let ended = host.json(&["task", "get", &id]);
    assert_eq!(ended["live"], Value::Null);
    let receipt = &ended["attempts"][0]["receipt"];
    assert!(receipt["host_calls"].as_u64().is_some_and(|calls| calls > 0), "{receipt:#}");
    assert!(receipt["host_call_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{receipt:#}");
    assert!(receipt["host_calls_by"][0]["name"].as_str().is_some_and(|name| name.contains(':')), "{receipt:#}");
}
