//! The event feed as its readers see it: followed, resumed, and by task.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sunaba_runtime::{Client, EventsWanted};

use crate::support::{Host, binaries, block_on, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

/// The words of the events of JSON lines.
fn words(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|event| event["event"].as_str().expect("a word")).collect()
}

#[test]
fn watch_follows_a_task_to_its_end_and_ends_as_it_did() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.deploy("retry-or-fail");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    let watched = host.sunaba(["task", "watch", &id]);
    assert_eq!(watched.status.code(), Some(0), "{}", text(&watched.stderr));
    let lines: Vec<String> =
        text(&watched.stdout).lines().map(|line| line.split_once(' ').expect("an instant").1.to_owned()).collect();
    assert_eq!(lines[0], "submitted");
    assert!(lines[1].starts_with("started attempt 1 on host-"), "{lines:?}");
    assert_eq!(lines[2..], ["succeeded"]);

    let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"network"}"#];
    let id = host.ok(&[&submit[..], &["--max-attempts=2", "--backoff=fixed(100ms)"]].concat());
    let watched = host.sunaba(["task", "watch", &id, "-o", "json"]);
    assert_eq!(watched.status.code(), Some(7), "{}", text(&watched.stderr));
    let events: Vec<Value> =
        text(&watched.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(words(&events), ["submitted", "started", "retry-scheduled", "queued", "started", "dead"]);
    assert!(events.iter().all(|event| event["task"] == id));
    assert_eq!(events[5]["message"], "failure 2 of at most 2");
    // Once more, when all of it is past.
    assert_eq!(host.sunaba(["task", "watch", &id]).status.code(), Some(7));
    assert_eq!(host.sunaba(["task", "watch", "01a1feb5-f1e9-7000-8000-00335c7532b0"]).status.code(), Some(3));
}

#[test]
fn feed_goes_on_where_a_reader_left_it_also_after_a_crash() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let first = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"]);
    let seen = host.lines(&["events"]);
    assert_eq!((words(&seen), seen[0]["task"].as_str()), (vec!["submitted"], Some(first.as_str())));
    let after = seen[0]["sequence"].to_string();
    host.kill();
    host.restart();
    host.ok(&["task", "cancel", &first]);
    let rest = host.lines(&["events", "--after", &after]);
    assert_eq!(words(&rest), ["cancelled"]);
    assert!(rest[0]["sequence"].as_u64() > seen[0]["sequence"].as_u64());
}

#[test]
fn followed_feed_tells_what_happens_from_now_on() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"]);
    let mut command = Command::new(binaries().join("sunaba"));
    command.args(["events", "--follow", "-o", "jsonl", "--address", &host.address]).stdout(Stdio::piped());
    let mut follower = command.spawn().expect("the binary starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    // Nobody tells when it listens; so something happens until it has heard of something.
    let heard = std::thread::scope(|scope| {
        let heard = scope.spawn(|| lines.next().expect("a line").expect("text"));
        while !heard.is_finished() {
            host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h", "--tag=new"]);
        }
        heard.join().expect("nobody panicked")
    });
    let event: Value = serde_json::from_str(&heard).expect("JSON");
    assert_eq!(event["event"], "submitted");
    let task = host.json(&["task", "get", event["task"].as_str().expect("an id")]);
    assert_eq!(task["tags"], serde_json::json!(["new"]), "the first one was before");
    kill_process(Pid::from_child(&follower), Signal::INT).expect("it runs");
    assert_eq!(follower.wait().expect("it ends").code(), Some(130));
}

#[test]
fn reader_waits_for_the_next_event_and_no_longer() {
    let host = Host::start(&[]);
    host.deploy("hello");
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let now =
            client.stream_events(EventsWanted { limit: 10, ..EventsWanted::default() }).await.expect("it answers");
        assert_eq!((now.events.len(), now.missed), (0, false));
        let wanted = EventsWanted { after: Some(now.next), limit: 10, ..EventsWanted::default() };
        let short = EventsWanted { wait: Duration::from_millis(50), ..wanted };
        assert_eq!(client.stream_events(short).await.expect("it answers").events, []);
        let long = client.stream_events(EventsWanted { wait: Duration::from_secs(30), ..wanted });
        let submit = sunaba_runtime::server::api::Submit {
            handler: "hello/hello".into(),
            input: Some(serde_json::value::to_raw_value(&serde_json::json!({"name": "Ada"})).expect("JSON")),
            ..Default::default()
        };
        let (page, task) = tokio::join!(long, client.submit_task(&submit));
        let page = page.expect("it answers");
        assert_eq!(page.events[0].task, Some(task.expect("it is taken on").id));
    });
}

/// More events than the host looks at for one page.
const OTHERS: usize = 2_500;

#[test]
fn events_of_a_task_are_found_behind_many_of_others() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let file = host.data.path().join("lines");
    std::fs::write(&file, "{\"name\":\"Ada\"}\n".repeat(OTHERS)).expect("written");
    host.ok(&["task", "submit", "hello/hello", "--batch", &file.display().to_string(), "--delay=1h"]);
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"]);
    assert_eq!(words(&host.lines(&["events", "--task", &id])), ["submitted"]);
}

/// More than may wait at a time, and fewer than there are connections.
const POLLS: usize = 600;

#[test]
fn those_that_wait_leave_others_a_place() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"]);
    let address = host.address.strip_prefix("http://").expect("an address");
    let polls: Vec<_> = (0..POLLS)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
            write!(stream, "GET /v1/tasks/{id}?wait_ms=60000 HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it reads");
            stream
        })
        .collect();
    let mut last = polls.last().expect("there are some");
    let mut answer = [0; 1_024];
    let read = last.read(&mut answer).expect("it is answered in time");
    let answer = text(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("too many requests wait already"), "{answer}");
    assert_eq!(host.raw("GET /readyz", "", "").0, "200");
    assert_eq!(host.raw(&format!("GET /v1/tasks/{id}"), "", "").0, "200", "what does not wait is answered");
    // Who waits is told.
    host.ok(&["task", "run-now", &id]);
    let mut first = polls.first().expect("there are some");
    let mut head = [0; 15];
    first.read_exact(&mut head).expect("it is answered in time");
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    drop(polls);
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(0));
}
