//! What is measured of a host from outside: what its process holds, and how long well-behaved tasks take on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::Submit;
use sunaba_runtime::task::StateName;

use crate::support::block_on;

#[expect(clippy::disallowed_methods, reason = "a latency is a matter of real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// What the descriptor of a component's memory image is.
const IMAGE: &str = "/memfd:wasm-memory-image";

/// What a process holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// What its descriptors are, but for the connections of its clients, of which these make as many as they like, and the
    /// images of deployed components, which each shard keeps from the first attempt on.
    pub(super) descriptors: Vec<String>,
    pub(super) threads: usize,
    pub(super) resident_bytes: u64,
}

impl Held {
    /// By this process, now; it serves on this address.
    pub(super) fn by(pid: u32, address: &str) -> Self {
        let entries = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs");
        let links = entries("fd").filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let mut descriptors: Vec<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
        let clients = connections(pid, address);
        descriptors.retain(|link| !clients.contains(link) && !link.starts_with(IMAGE));
        descriptors.sort_unstable();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
        let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
        Self { descriptors, threads: entries("task").count(), resident_bytes: kib << 10 }
    }
}

/// The sockets of the connections to this address, as a descriptor's link has them.
fn connections(pid: u32, address: &str) -> Vec<String> {
    /// The state of a socket that listens.
    const LISTENS: &str = "0A";
    let port: u16 = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("an address has a port");
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("it runs");
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_client = fields.get(1)?.ends_with(&local) && *fields.get(3)? != LISTENS;
        is_client.then(|| format!("socket:[{}]", fields[9]))
    };
    table.lines().filter_map(inode).collect()
}

/// One well-behaved task, and one look at the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// From the submit to the result.
    pub(super) task: Duration,
    /// One request to the API that needs nothing but an answer.
    pub(super) answer: Duration,
}

/// A stream of well-behaved tasks, one after the other for as long as it lives. Any that does not succeed at its first
/// attempt is a failure of the test.
pub(super) struct Siblings {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Siblings {
    /// On this host, where `hello` is deployed.
    pub(super) fn on(address: &str) -> Self {
        let (samples, stop) = (Arc::<Mutex<Vec<Sample>>>::default(), Arc::<AtomicBool>::default());
        let thread = std::thread::spawn({
            let (samples, stop) = (Arc::clone(&samples), Arc::clone(&stop));
            let client = Client::new(address).expect("an address");
            move || {
                block_on(async {
                    while !stop.load(Ordering::SeqCst) {
                        let sample = sample(&client).await;
                        samples.lock().expect("nobody panicked").push(sample);
                    }
                });
            }
        });
        Self { samples, stop, thread: Some(thread) }
    }

    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().expect("nobody panicked")
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.samples().len()
    }

    /// Those from this one on, once there are so many more.
    pub(super) fn since(&self, first: usize, more: usize) -> Vec<Sample> {
        let enough = first + more;
        while self.count() < enough {
            assert!(!self.thread.as_ref().expect("it lives").is_finished(), "a well-behaved task went wrong");
            std::thread::yield_now();
        }
        self.samples()[first..].to_vec()
    }

    /// Ends the stream.
    pub(super) fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("it lives").join().expect("all well-behaved tasks went well");
    }
}

async fn sample(client: &Client) -> Sample {
    let begun = now();
    let input = RawValue::from_string(r#"{"name":"Ada"}"#.into()).expect("JSON");
    let submit = Submit { handler: "hello/hello".into(), input: Some(input), ..Submit::default() };
    let task = client.submit_task(&submit).await.expect("it is taken on");
    let task = client.wait(task.id.parse().expect("an id")).await.expect("it ends");
    let took = begun.elapsed();
    assert_eq!((task.state, task.attempts_started, task.hosts_lost), (StateName::Succeeded, 1, 0), "{task:#?}");
    let begun = now();
    client.get_host().await.expect("it answers");
    Sample { task: took, answer: begun.elapsed() }
}

/// The one in the middle.
pub(super) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}
