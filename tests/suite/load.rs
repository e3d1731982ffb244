//! The API under load: thousands of requests over connections that are kept, beside somebody who sends rubbish and somebody who
//! sends slowly. Nothing here is a matter of time: every answer is the right one, nothing is lost, and what was taken comes back.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Host;

/// Connections that are kept, each of a client that asks for one thing after another.
const CLIENTS: usize = 64;
/// How often each asks for everything.
const ROUNDS: usize = 20;
/// How many requests a round has.
const REQUESTS: usize = 9;
/// Tasks of one request.
const BATCH: usize = 3;
/// What the queue takes in which nothing runs.
const DEPTH: usize = 50;
/// No task and no job.
const NONE: &str = "01900000-0000-7000-8000-000000000000";
/// What a host may keep of what it held meanwhile: its allocator gives pages back when it likes to.
const MAX_KEPT_BYTES: u64 = 192 << 20;
/// Descriptors with which a host takes 128 connections, half of which may wait.
const FEW_DESCRIPTORS: u64 = 512;
const WAITS: usize = 64;
/// A longer wait for an answer means that something is wrong.
const LONGEST: Duration = Duration::from_secs(300);

/// A connection that is kept.
struct Kept {
    stream: BufReader<TcpStream>,
    address: String,
    asked: u64,
}

/// An answer: its status, and its body.
type Answer = (u16, Value);

impl Kept {
    fn to(host: &Host) -> Self {
        let address = host.address.strip_prefix("http://").expect("an address").to_owned();
        let stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(LONGEST)).expect("a timeout");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::new(stream), address, asked: 0 }
    }

    fn say(&mut self, target: &str, body: &str) {
        self.asked += 1;
        let (address, asked, length) = (&self.address, self.asked, body.len());
        let head = format!(
            "{target} HTTP/1.1\r\nHost: {address}\r\nX-Request-Id: r-{asked}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        self.stream.get_mut().write_all((head + body).as_bytes()).expect("it reads");
    }

    /// The answer to what was said last, and to nothing else. An error says what is wrong.
    fn hear(&mut self) -> Answer {
        let (mut status, mut length, mut id) = (0, 0, String::new());
        for number in 0.. {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).expect("it answers");
            assert!(read > 0, "the connection was closed");
            let line = line.trim_end();
            if number == 0 {
                status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().expect("a length"),
                    "x-request-id" => value.trim().clone_into(&mut id),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("all of it comes");
        assert_eq!(id, format!("r-{}", self.asked), "it is the answer to another request");
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status >= 400 {
            let code = body["code"].as_str().unwrap_or_default();
            assert!(body["status"] == status && !code.is_empty() && body["request_id"] == *id, "{status}: {body}");
        }
        (status, body)
    }

    fn ask(&mut self, target: &str, body: &str) -> Answer {
        self.say(target, body);
        self.hear()
    }
}

fn submit(handler: &str, name: &str, queue: &str) -> Value {
    json!({"handler": handler, "input": {"name": name}, "queue": queue})
}

fn id(task: &Value) -> String {
    task["id"].as_str().unwrap_or_else(|| panic!("no id in {task}")).to_owned()
}

/// What one client has seen to be taken on.
#[derive(Default)]
struct Taken {
    run: Vec<String>,
    held: usize,
    refused: usize,
}

/// Everything that a client asks for, once.
fn round(client: &mut Kept, name: &str, taken: &mut Taken) {
    let (status, task) = client.ask("POST /v1/tasks", &submit("hello/hello", name, "load").to_string());
    assert!((200..300).contains(&status), "{status}: {task}");
    let task = id(&task);
    let (status, shown) = client.ask(&format!("GET /v1/tasks/{task}?wait_ms=60000"), "");
    assert_eq!((status, &shown["id"], &shown["state"]), (200, &json!(task), &json!("succeeded")), "{shown}");
    let (status, result) = client.ask(&format!("GET /v1/tasks/{task}/result"), "");
    assert_eq!((status, &result["output"]["greeting"]), (200, &json!(format!("Hello, {name}!"))), "{result}");
    taken.run.push(task);

    let all: Vec<_> = (0..BATCH).map(|number| submit("hello/hello", &format!("{name}-{number}"), "load")).collect();
    let (status, all) = client.ask("POST /v1/tasks/bulk", &json!({"tasks": all}).to_string());
    assert_eq!((status, all["tasks"].as_array().map(Vec::len)), (200, Some(BATCH)), "{all}");
    taken.run.extend(all["tasks"].as_array().into_iter().flatten().map(id));

    let (status, full) = client.ask("POST /v1/tasks", &submit("hello/hello", name, "held").to_string());
    match status {
        200..300 => taken.held += 1,
        429 => taken.refused += 1,
        _ => panic!("{status}: {full}"),
    }
    for (target, body, expected) in [
        (format!("GET /v1/tasks/{NONE}"), String::new(), 404),
        ("POST /v1/tasks".into(), submit("hello/nobody", name, "load").to_string(), 404),
        ("POST /v1/tasks".into(), r#"{"handler": "hello/hello", "inp"#.into(), 400),
        ("GET /v1/queues".into(), String::new(), 200),
    ] {
        let (status, answer) = client.ask(&target, &body);
        assert_eq!(status, expected, "{target}: {answer}");
    }
}

/// Rubbish, and what never ends, one after another; a few of those that never end at a time.
fn rubbish(host: &Host, stop: &AtomicBool, sent: &AtomicU64) {
    let address = host.address.strip_prefix("http://").expect("an address");
    let head = format!("POST /v1/tasks HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    let pieces = [
        "\0\u{1}\u{2}garbage\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n".into(),
        format!("{head}Content-Length: 1000000\r\n\r\n{{\"handler\":"),
        format!("{head}Content-Length: -1\r\n\r\n"),
        format!("{head}Content-Length: 99999999999999999999\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"ha"),
        format!("GET /{} HTTP/1.1\r\nHost: {address}\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nHost: {address}\r\n{}\r\n", "X: y\r\n".repeat(5_000)),
        format!("{head}Content-Length: 200000\r\n\r\n{}", "[".repeat(200_000)),
        "GET /livez HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n".into(),
    ];
    let mut held = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        for piece in &pieces {
            let Ok(mut stream) = TcpStream::connect(address) else { continue };
            // It may be refused before its end, and then is not read on.
            let _ = stream.write_all(piece.as_bytes());
            sent.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
        // Those before are let go, wherever they are.
        if held.len() > 4 * pieces.len() {
            held.drain(..2 * pieces.len());
        }
    }
}

/// What a process holds.
struct Held {
    sockets: usize,
    /// Without the images of code that it keeps.
    descriptors: usize,
    resident_bytes: u64,
}

fn held(host: &Host) -> Held {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("it runs");
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let links: Vec<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let count = |start: &str| links.iter().filter(|link| link.starts_with(start)).count();
    let (sockets, descriptors) = (count("socket:"), links.len() - count("/memfd:wasm-memory-image"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    Held { sockets, descriptors, resident_bytes: kib << 10 }
}

/// All clients at a time, each with a connection of its own; what they have seen to be taken on.
fn load(host: &Host, rounds: usize, word: &str) -> Taken {
    let together = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let client = |number: usize| {
            let (together, word) = (&together, word);
            move || {
                let (mut client, mut taken) = (Kept::to(host), Taken::default());
                together.wait();
                for count in 0..rounds {
                    round(&mut client, &format!("{word}-{number}-{count}"), &mut taken);
                }
                assert_eq!(client.asked, (rounds * REQUESTS) as u64);
                taken
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        clients.into_iter().fold(Taken::default(), |mut all, client| {
            let taken = client.join().expect("every answer is right");
            all.run.extend(taken.run);
            all.held += taken.held;
            all.refused += taken.refused;
            all
        })
    })
}

#[test]
fn thousands_of_requests_are_answered_beside_rubbish_and_nothing_is_lost() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "set", "held", "--max-depth", &DEPTH.to_string(), "-q"]);
    host.ok(&["queue", "pause", "held", "-q"]);
    let sockets = held(&host).sockets;
    // From here on, whatever is made once is there.
    let mut all = load(&host, 1, "first");
    let before = held(&host);

    let (stop, sent, alive) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let loaded = std::thread::scope(|scope| {
        scope.spawn(|| rubbish(&host, &stop, &sent));
        scope.spawn(|| {
            let mut client = Kept::to(&host);
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(client.ask("GET /livez", "").0, 200);
                alive.fetch_add(1, Ordering::SeqCst);
            }
        });
        let loaded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| load(&host, ROUNDS, "then")));
        stop.store(true, Ordering::SeqCst);
        loaded
    });
    let loaded = loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(sent.load(Ordering::SeqCst) > 0 && alive.load(Ordering::SeqCst) > 0);

    // No more than the cap was taken on, and everybody else was told.
    let held_tasks = all.held + loaded.held;
    assert_eq!((held_tasks, all.refused + loaded.refused), (DEPTH, CLIENTS * (ROUNDS + 1) - DEPTH));
    // What was acknowledged is there, once each, and has been done; and there is nothing else.
    all.run.extend(loaded.run);
    let acknowledged: BTreeSet<_> = all.run.iter().cloned().collect();
    assert_eq!(acknowledged.len(), CLIENTS * (ROUNDS + 1) * (1 + BATCH));
    assert_eq!(all.run.len(), acknowledged.len());
    loop {
        let queues = host.lines(&["queue", "list"]);
        let of =
            |what: &str| queues.iter().filter(|queue| queue["name"] == "load").map(|queue| queue[what].clone()).next();
        if ["queued", "scheduled", "running"].iter().all(|what| of(what).is_none_or(|count| count == 0)) {
            break;
        }
    }
    let done = host.lines(&["task", "list", "--queue", "load", "--state", "succeeded", "--limit", "20000"]);
    assert_eq!(done.iter().map(id).collect::<BTreeSet<_>>(), acknowledged);
    assert_eq!(host.lines(&["task", "list", "--queue", "load", "--limit", "20000"]).len(), acknowledged.len());
    assert_eq!(host.lines(&["task", "list", "--queue", "held", "--limit", "20000"]).len(), DEPTH);

    // What was held for it is given back.
    let after = loop {
        let now = held(&host);
        if now.sockets <= sockets && now.descriptors <= before.descriptors {
            break now.resident_bytes;
        }
        std::thread::yield_now();
    };
    let before = before.resident_bytes;
    assert!(after <= before + MAX_KEPT_BYTES, "it held {before} before, and holds {after} now");
}

#[test]
fn requests_that_wait_leave_others_a_place() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let task = host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"x"}"#, "--delay", "1h", "-q"]);
    host.kill();
    host.restart_with_descriptors_up_to(FEW_DESCRIPTORS);
    let mut other = Kept::to(&host);
    let mut clients: Vec<_> = (0..WAITS + 16).map(|_| Kept::to(&host)).collect();
    clients.iter_mut().for_each(|client| client.say(&format!("GET /v1/tasks/{task}?wait_ms=5000"), ""));
    for _ in 0..100 {
        assert_eq!(other.ask("GET /livez", "").0, 200);
    }
    let statuses: Vec<_> = clients.iter_mut().map(|client| client.hear().0).collect();
    let count = |status| statuses.iter().filter(|own| **own == status).count();
    assert_eq!(count(200) + count(503), clients.len(), "{statuses:?}");
    assert!(count(200) >= WAITS && count(503) > 0, "{statuses:?}");
    // Their places are free again, on the same connections.
    assert!(
        clients
            .iter_mut()
            .take(WAITS)
            .all(|client| client.ask(&format!("GET /v1/tasks/{task}?wait_ms=1"), "").0 == 200)
    );
}
