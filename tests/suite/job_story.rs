//! Why a job ended so: what `sunaba job explain` and `sunaba job graph` print of jobs on a host, and what a browser gets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::server::Server;
use sunaba_runtime::store::{CancelWish, PlanQuery};
use sunaba_runtime::task::job::{After, Job, JobId, JobSpec, JobState, NewJob, Node, OnFailure};
use sunaba_runtime::task::{Disposition, Failure, NewTask, Outcome, Payload, QueueChange, TaskSpec};
use sunaba_runtime::{Native, Runtime};
use tokio::sync::oneshot;

use crate::support::{sunaba, text};

const WAIT: Duration = Duration::from_secs(60);

/// A host in this process, with handlers that do as their tasks' inputs say, and its address for the command line.
struct Served {
    threads: tokio::runtime::Runtime,
    host: Arc<Runtime>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

/// Ends as its input says.
async fn work(native: Native) -> Result<Outcome, Failure> {
    let fails =
        |message: String| Failure { kind: "error".into(), message, detail: None, disposition: Disposition::Fatal };
    match native.json::<Option<String>>() {
        Ok(Some(word)) if word == "for-ever" => std::future::pending().await,
        Ok(Some(message)) => Err(fails(message)),
        _ => Ok(Outcome::Complete(Payload::json("1"))),
    }
}

impl Served {
    fn start() -> Self {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let (host, server) = threads.block_on(async {
            let host =
                Runtime::builder().concurrency(4).native("trip/work", work).native("trip/cancel", work).start().await;
            let server = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
            (Arc::new(host.expect("it starts")), server)
        });
        let (address, (stop, stopped)) = (server.address(), oneshot::channel());
        let serving = server.serve(Arc::clone(&host), async move { stopped.await.unwrap_or_default() });
        threads.spawn(serving);
        Self { threads, host, address, stop: Some(stop) }
    }

    fn task(&self, handler: &str, input: &str) -> NewTask {
        let component =
            self.host.packages().iter().find(|package| package.name == "trip").expect("it is there").component;
        NewTask::new(TaskSpec::new(handler.parse().expect("a name"), component), Payload::json(input.to_owned()))
    }

    /// A node that waits for others, and ends as its input says.
    fn node(&self, name: &str, after: &[&str], input: &str) -> Node {
        let after = after.iter().map(|text| After::new(text.parse().expect("it can be awaited"))).collect();
        Node { after, ..Node::new(name.parse().expect("a name"), self.task("trip/work", input)) }
    }

    fn submit(&self, spec: JobSpec, nodes: Vec<Node>) -> JobId {
        let new = NewJob { spec, nodes, fingerprint: None };
        let submitted = self.threads.block_on(self.host.store().submit_job(new));
        submitted.expect("the store works").expect("it is taken on").into_job().id
    }

    fn wait(&self, id: JobId) -> Job {
        let ended = self.threads.block_on(self.host.store().wait_job(id, WAIT));
        ended.expect("the store works").expect("it is there")
    }

    /// The trip of which the hotel is full.
    fn trip(&self, name: &str, message: &str) -> JobId {
        let booked =
            |name: &str| Node { compensation: Some(self.task("trip/cancel", "null")), ..self.node(name, &[], "null") };
        let full = serde_json::to_string(message).expect("a text");
        let hotel = self.node("hotel", &["flight", "car"], &full);
        let nodes = vec![booked("flight"), booked("car"), hotel, self.node("pay", &["hotel"], "null")];
        let spec = JobSpec { name: name.into(), on_failure: OnFailure::Compensate, ..JobSpec::default() };
        let id = self.submit(spec, nodes);
        assert_eq!(self.wait(id).state, JobState::Failed);
        id
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let address = format!("http://{}", self.address);
        sunaba(arguments.iter().copied().chain(["--address", &address]))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The head and the body of an answer.
    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(WAIT)).expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in time");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_ascii_lowercase(), body.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }
}

/// The rows of a story that have these names, without what is another each time.
fn rows(story: &str, names: &[&str]) -> Vec<String> {
    let wanted = |line: &&str| names.iter().any(|name| line.get(..12).is_some_and(|start| start.trim() == *name));
    story.lines().filter(wanted).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn explain_and_graph_tell_of_a_branch_that_failed_and_was_undone() {
    let served = Served::start();
    let id = served.trip("trip", "no room is left").to_string();
    let story = served.ok(&["job", "explain", &id]);
    let told = rows(&story, &["name", "rules", "tasks", "failed", "not run", "end"]);
    let expected = [
        "name trip",
        "rules a failure means compensate",
        "tasks 4 succeeded, 1 dead, 1 cancelled",
        "failed `hotel` by trip/work, dead after 1 attempt: attempt 1: error: no room is left",
        "not run `pay`: `hotel`, which it waits for, did not succeed",
        "end it failed: `hotel` did not succeed, attempt 1: error: no room is left; what had succeeded in the job was undone, 2 \
         tasks, the last first",
    ];
    assert_eq!(told, expected, "{story}");
    let undone = rows(&story, &["undone"]);
    let first = "undone 2 tasks in all of the job, for `hotel`, which did not succeed";
    assert_eq!((undone.len(), undone[0].as_str()), (3, first), "{story}");

    let tree = served.ok(&["job", "graph", &id]);
    assert!(tree.starts_with("trip: failed after ") && tree.contains(" 6 tasks, "), "{tree}");
    let shapes: Vec<_> =
        tree.lines().map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" ")).collect();
    assert!(shapes.contains(&"\u{251c}\u{2500} \u{2717} * hotel".to_owned()), "{tree}");
    assert_eq!(tree.matches("by trip/cancel").count(), 2, "{tree}");
    assert!(tree.lines().all(|line| line.chars().count() <= 80), "{tree}");

    let dot = served.ok(&["job", "graph", &id, "--as", "dot"]);
    assert!(dot.starts_with("digraph job {\n") && dot.contains("[style=dashed, label=\"undone by\"]"), "{dot}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trip.svg").display().to_string();
    assert_eq!(served.ok(&["job", "graph", &id, "--as", "svg", "--output", &file]), "");
    let svg = std::fs::read_to_string(&file).expect("it was written");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("undone by trip/cancel"), "{svg}");
    assert!(svg.contains("no room is left"), "{svg}");
    let again = ["job", "graph", &id, "--as", "dot", "--output", &file];
    let refused = served.run(&again);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("exists already\nhint: name another file, or replace it with `--force`"));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), svg);
    served.ok(&[&again[..], &["--force"]].concat());
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), dot);
    let events = served.ok(&["events", "--job", &id]);
    assert!(events.lines().any(|line| line.contains(" trip/work hotel started attempt 1 ")), "{events}");

    let graph: serde_json::Value =
        serde_json::from_str(&served.ok(&["job", "graph", &id, "-o", "json"])).expect("JSON");
    let nodes = graph["nodes"].as_array().expect("a list");
    assert_eq!((nodes.len(), graph["edges"].as_array().map(Vec::len)), (6, Some(3)));
    let critical = |name: &str| nodes.iter().any(|node| node["name"] == name && node["critical"] == true);
    assert!(critical("hotel") && critical("undo") && !critical("pay"), "{graph:#}");
}

#[test]
fn explain_tells_of_a_cancelled_job_and_of_one_that_waits_for_a_paused_queue() {
    let served = Served::start();
    let store = served.host.store();
    let paused = store.set_queue("night".into(), vec![QueueChange::Paused(true)]);
    served.threads.block_on(paused).expect("it is in range");
    let mut second = served.node("second", &["first"], "null");
    second.task.spec.queue = "night".into();
    let id = served.submit(JobSpec::default(), vec![served.node("first", &[], "null"), second]);
    let waits = loop {
        let story = served.ok(&["job", "explain", &id.to_string()]);
        let waits = rows(&story, &["waits"]);
        if waits.iter().any(|row| row.contains("second")) {
            break waits;
        }
    };
    assert_eq!(waits, ["waits `second` is queued: the queue `night` is paused"]);
    let shown = served.ok(&["job", "get", &id.to_string()]);
    assert_eq!(rows(&shown, &["waits"]), waits, "{shown}");
    let wish = CancelWish { reason: "wrong month".into(), grace: None };
    served.threads.block_on(store.cancel_job(id, wish)).expect("the store works").expect("it is there");
    assert_eq!(served.wait(id).state, JobState::Cancelled);
    let story = served.ok(&["job", "explain", &id.to_string()]);
    let expected = ["not run `second`: its job was cancelled: wrong month", "end it was cancelled: wrong month"];
    assert_eq!(rows(&story, &["not run", "end"]), expected, "{story}");
}

#[test]
fn pictures_are_served_so_that_no_browser_runs_anything() {
    let served = Served::start();
    let hostile = "</text><script>alert(1)</script>\u{1b}[2J\"];\n";
    let id = served.trip(hostile, hostile);
    let (head, svg) = served.get(&format!("/v1/jobs/{id}/graph?format=svg"));
    for header in [
        "http/1.1 200",
        "content-type: image/svg+xml",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; sandbox",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
    for format in ["text", "dot"] {
        let (head, drawn) = served.get(&format!("/v1/jobs/{id}/graph?format={format}"));
        assert!(head.contains("nosniff") && !drawn.contains('\u{1b}'), "{head}\n{drawn}");
    }
    let printed = served.ok(&["job", "explain", &id.to_string()]);
    assert!(!printed.contains('\u{1b}') && printed.contains("\\u{1b}[2J"), "{printed}");
}

#[test]
fn wrong_questions_about_jobs_are_refused() {
    let served = Served::start();
    let unknown = "019b0000-0000-7000-8000-000000000000";
    let refused = |arguments: &[&str], code: i32, said: &str| {
        let output = served.run(arguments);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(code) && error.contains(said), "{arguments:?}: {error}");
    };
    refused(&["job", "explain", unknown], 3, "there is no job");
    refused(&["job", "graph", unknown, "--as=svg"], 3, "there is no job");
    refused(&["job", "graph", "nobody"], 2, "is not a job id");
    refused(&["job", "graph", unknown, "--fold=0"], 2, "0");
    let id = served.submit(JobSpec::default(), Vec::new()).to_string();
    assert_eq!(served.wait(id.parse().expect("an id")).state, JobState::Succeeded);
    let page = served.threads.block_on(served.host.store().plan(PlanQuery::of(served.trip("trip", "no room"), 1)));
    let task = page.expect("the store works").tasks[0].id.to_string();
    for command in ["get", "explain", "graph", "result", "tasks", "cancel"] {
        refused(&["job", command, &task], 3, "hint: that is a task of job ");
    }
    for command in ["get", "explain", "result", "cancel"] {
        refused(&["task", command, &id], 3, "hint: that is a job: `sunaba job get ");
    }
    refused(&["job", "graph", &id, "--output", "/nowhere/at/all.svg"], 1, "cannot write `/nowhere/at/all.svg`");
    for (query, status) in [("fold=0", "400"), ("fold=2001", "400"), ("format=png", "400"), ("fold=2000", "200")] {
        let (head, body) = served.get(&format!("/v1/jobs/{id}/graph?{query}"));
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{query}: {head}\n{body}");
    }
}
