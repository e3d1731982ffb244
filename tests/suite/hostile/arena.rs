//! A whole host on which hostile guests run beside well-behaved tasks: each ends with its cause and within its bound, the
//! others keep their latency, the API answers, no lease is lost, and nothing stays behind.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use sunaba_runtime::ClientError;
use sunaba_runtime::server::api::{ResultView, Submit, TaskView};
use sunaba_runtime::task::{Limits, StateName, TaskId};

use crate::support::{Host, guest};

use super::case::{Case, Data, Ends};
use super::others::Others;
use super::server::Reflector;
use super::table::FAMILIES;

/// A guest that is stopped for its time of 200 ms takes at most so long; without a stop it would be for ever.
const STOPPED_MS: f64 = 20_000.0;

struct Arena {
    /// Runs for as long as it is here.
    _host: Host,
    others: Others,
    server: Reflector,
    root: tempfile::TempDir,
}

impl Arena {
    /// A host with these guests deployed, its well-behaved tasks running.
    fn open(cases: &[Case]) -> Self {
        let (root, server) = (tempfile::tempdir().expect("a folder"), Reflector::start());
        let allowed = root.path().display().to_string();
        let secret = server.secret(root.path());
        let places: BTreeSet<_> = cases.iter().flat_map(|case| case.http).map(|place| server.found(place)).collect();
        let places = places.iter().flat_map(|place| ["--allow-http", place]);
        let arguments = ["--concurrency", "4", "--lease-time", "3s", "--allow-dir", &allowed, "--secret", &secret];
        let host = Host::start(&arguments.into_iter().chain(places).collect::<Vec<_>>());
        host.deploy("hello");
        let mut guests: Vec<_> = cases.iter().filter(|case| !is_refused(case)).map(|case| case.guest).collect();
        guests.dedup();
        guests.iter().for_each(|guest| host.deploy(guest));
        let others = Others::on(&host);
        let mut arena = Self { _host: host, others, server, root };
        if let Some(case) = cases.iter().find(|case| !is_refused(case)) {
            arena.attempt(case);
        }
        arena.others.settle();
        arena
    }

    /// One case, with everything that must hold of it.
    fn face(&self, case: &Case) {
        self.others.beside(case.name, || match case.ends {
            Ends::Refused(why) => self.refuse(case, why),
            _ => self.attempt(case),
        });
    }

    fn attempt(&self, case: &Case) {
        let folder = tempfile::tempdir_in(self.root.path()).expect("a folder");
        case.furnish(folder.path());
        let shown = folder.path().display();
        let dirs = match case.data {
            Data::Nothing => Vec::new(),
            Data::ReadOnly => vec![format!("{shown}::/data")],
            Data::ReadWrite => vec![format!("{shown}::/data:rw")],
        };
        let submit = Submit {
            handler: format!("{}/{}", case.guest, case.name),
            input: case.input.map(|input| RawValue::from_string(self.server.found(input)).expect("JSON")),
            max_attempts: Some(1),
            timeout_ms: Some(case.timeout_ms()),
            memory_bytes: case.memory,
            limits: case.limits.map(str::to_owned),
            dirs,
            http: case.http.iter().map(|place| self.server.found(place)).collect(),
            secrets: if case.secret { vec!["API_KEY".into()] } else { Vec::new() },
            ..Submit::default()
        };
        let client = &self.others.client;
        self.others.requests.block_on(async {
            let task = client.submit_task(&submit).await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let id: TaskId = task.id.parse().expect("an id");
            let task = self.ended(case, id).await;
            let result = client.get_task_result(id).await.expect("it is there");
            judge(case, &task, &result);
            if case.secret {
                self.server.kept_its_secret(case.name, &format!("{task:?}{result:?}"));
            }
        });
    }

    /// The task once it has had its attempt.
    async fn ended(&self, case: &Case, id: TaskId) -> TaskView {
        if case.ends != Ends::Snoozes {
            return self.others.client.wait(id).await.expect("it ends");
        }
        loop {
            let task = self.others.client.get_task(id).await.expect("it is there");
            if task.state == StateName::Scheduled && task.attempts_started == 1 {
                return task;
            }
        }
    }

    fn refuse(&self, case: &Case, why: &str) {
        let bytes = std::fs::read(guest(case.guest)).expect("it is there");
        let Others { client, requests, .. } = &self.others;
        let error = requests.block_on(client.deploy(case.guest, bytes.into())).expect_err(case.name);
        assert!(matches!(error, ClientError::Refused(_)), "{}: {error}", case.name);
        assert!(error.to_string().contains(why), "{}: {error}", case.name);
        let left = requests.block_on(client.list_packages()).expect("it answers");
        assert!(left.packages.iter().all(|package| package.name != case.guest), "{} left a trace", case.name);
    }
}

fn is_refused(case: &Case) -> bool {
    matches!(case.ends, Ends::Refused(_))
}

/// What must hold of an attempt that has ended.
fn judge(case: &Case, task: &TaskView, result: &ResultView) {
    let name = case.name;
    assert_eq!((task.attempts_started, task.hosts_lost), (1, 0), "{name} was run again: {task:#?}");
    let attempt = task.attempts.last().unwrap_or_else(|| panic!("{name} had no attempt: {task:#?}"));
    match (case.ends, &attempt.cause) {
        (Ends::Decomposes, _) => assert_eq!(task.state, StateName::Dead, "{name}: {task:#?}"),
        (_, Some(cause)) => {
            assert!(case.is_cause(cause), "{name}: `{cause}`, {:?}", attempt.message);
            assert_eq!(task.state, StateName::Dead, "{name}");
            let backtrace = result.failure.as_ref().is_some_and(|failure| !failure.backtrace.is_empty());
            assert_eq!(backtrace, case.backtrace, "{name}: {result:#?}");
        }
        (Ends::Failed(kind), None) => {
            assert_eq!((task.state, attempt.kind.as_deref()), (StateName::Dead, Some(kind)), "{name}: {task:#?}");
        }
        (Ends::Succeeds, None) => assert_eq!(task.state, StateName::Succeeded, "{name}: {task:#?}"),
        (Ends::Snoozes, None) => assert_eq!(attempt.ending, "snoozed", "{name}: {task:#?}"),
        (Ends::Stopped(_) | Ends::Refused(_), None) => panic!("{name} was not stopped: {task:#?}"),
    }
    let receipt = attempt.receipt.as_ref().unwrap_or_else(|| panic!("{name} has no receipt"));
    let limits = Limits::default();
    assert!(receipt.peak_memory_bytes <= case.memory.unwrap_or(limits.memory_bytes), "{name}: {receipt:#?}");
    assert!(receipt.output_bytes <= limits.output_bytes, "{name}: {receipt:#?}");
    assert!(receipt.log_bytes <= limits.log_bytes, "{name}: {receipt:#?}");
    assert!(receipt.stdout_bytes <= limits.stdout_bytes, "{name}: {receipt:#?}");
    assert!(receipt.stderr_bytes <= limits.stderr_bytes, "{name}: {receipt:#?}");
    // Besides what it said, a mark for each of what was cut.
    assert!(result.logs.len() as u64 <= limits.log_lines + 4, "{name}: {} lines", result.logs.len());
    if attempt.cause.as_deref() == Some("timeout") {
        assert!((200.0..STOPPED_MS).contains(&receipt.wall_ms), "{name}: {receipt:#?}");
    }
}

fn face_all(name: &str) {
    let cases = FAMILIES.iter().find(|family| family.name == name).expect("there is such a family").cases;
    let arena = Arena::open(cases);
    cases.iter().for_each(|case| arena.face(case));
    arena.server.was_asked_by_nobody_else();
    arena.others.end();
}

#[test]
fn nobody_notices_guests_that_compute() {
    face_all("CPU");
}

#[test]
fn nobody_notices_guests_that_take_memory() {
    face_all("Memory");
}

#[test]
fn nobody_notices_guests_with_bad_results() {
    face_all("Results");
}

#[test]
fn nobody_notices_guests_that_take_no_arguments() {
    face_all("Arguments");
}

#[test]
fn nobody_notices_guests_with_bad_handles() {
    face_all("Handles");
}

#[test]
fn nobody_notices_guests_that_misuse_the_host() {
    face_all("Host calls");
}

#[test]
fn nobody_notices_guests_that_misuse_files() {
    face_all("Files");
}

#[test]
fn nobody_notices_guests_that_reach_for_the_network() {
    face_all("Network");
}

#[test]
fn nobody_notices_guests_that_ask_where_they_may_not() {
    face_all("Requests");
}

#[test]
fn nobody_notices_guests_that_misuse_plans() {
    face_all("Plans");
}

#[test]
fn nobody_notices_guests_that_cannot_be_loaded() {
    face_all("Compile and load");
}
