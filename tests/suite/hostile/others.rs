//! Everybody else on a host while a guest does harm there: well-behaved tasks keep their latency and their leases, the API
//! answers, and what the harm took comes back.

use std::time::Duration;

use sunaba_runtime::Client;
use tokio::runtime::Runtime;

use crate::support::Host;

use super::measure::{Held, Siblings, median};

/// Well-behaved tasks before the first hostile one: what is undisturbed.
const UNDISTURBED: usize = 40;
/// Well-behaved tasks of each case, at least: of three, one may have met another process's turn.
const BESIDE: usize = 3;
/// How much slower the median well-behaved task may be beside a hostile guest, and what is added for the ticks that a
/// computing guest may take at each turn. Undisturbed it takes a few milliseconds; stalled, seconds.
const SLOWER: u32 = 20;
const TICKS: Duration = Duration::from_millis(250);
/// No single task and no single answer may take so long, on however busy a machine.
const STALLED: Duration = Duration::from_secs(10);
/// What the allocator and the pool may keep of a case.
const KEPT_BYTES: u64 = 96 << 20;
/// Looks at the host until what a case held has come back; each takes a request. At the end there are more: idle threads
/// wait ten seconds for work.
const LOOKS: usize = 1_000;
const LAST_LOOKS: usize = 20_000;
/// Threads for blocking calls that may still wait for more work right after a case.
const IDLE_THREADS: usize = 16;

/// All of them, and what the host held before anybody did harm.
pub(super) struct Others {
    pid: u32,
    address: String,
    pub(super) client: Client,
    /// One for all requests: its connection is kept, and so counted once.
    pub(super) requests: Runtime,
    siblings: Siblings,
    undisturbed: Duration,
    base: Held,
}

impl Others {
    /// On this host, where `hello` is deployed; once they have had some time to themselves.
    pub(super) fn on(host: &Host) -> Self {
        let client = Client::new(&host.address).expect("an address");
        let requests = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let siblings = Siblings::on(&host.address);
        let undisturbed = siblings.since(0, UNDISTURBED);
        let undisturbed = median(undisturbed[UNDISTURBED / 2..].iter().map(|sample| sample.task).collect());
        let (pid, address) = (host.pid(), host.address.clone());
        let base = Held::by(pid, &address);
        let mut others = Self { pid, address, client, requests, siblings, undisturbed, base };
        others.settle();
        others
    }

    /// What is held now is no leak: it was made at the first use, and is kept.
    pub(super) fn settle(&mut self) {
        self.base = self.quiet();
    }

    /// The most that the host holds in a row of looks.
    fn quiet(&self) -> Held {
        let mut most = self.look();
        for _ in 0..100 {
            let held = self.look();
            if held.descriptors.len() > most.descriptors.len() {
                most.descriptors = held.descriptors;
            }
            most.threads = most.threads.max(held.threads);
            most.resident_bytes = most.resident_bytes.max(held.resident_bytes);
        }
        most
    }

    /// What it holds, after it has answered a request.
    fn look(&self) -> Held {
        self.requests.block_on(self.client.get_host()).expect("it answers");
        Held::by(self.pid, &self.address)
    }

    /// Waits until it holds no more than before.
    fn came_back(&self, name: &str, threads: usize, looks: usize) {
        let mut held = self.look();
        for _ in 0..looks {
            if held.descriptors.len() <= self.base.descriptors.len() && held.threads <= threads {
                break;
            }
            held = self.look();
        }
        let base = &self.base;
        assert!(held.descriptors.len() <= base.descriptors.len(), "{name}: {held:?} is left over, {base:?} was before");
        assert!(held.threads <= threads, "{name}: {held:?} is left over, {base:?} was before");
        assert!(held.resident_bytes <= base.resident_bytes + KEPT_BYTES, "{name}: {held:?} is left over {base:?}");
    }

    /// Does harm, and looks that nobody has noticed.
    pub(super) fn beside<T>(&self, name: &str, harm: impl FnOnce() -> T) -> T {
        let first = self.siblings.count();
        let done = harm();
        let beside = self.siblings.since(first, BESIDE);
        let slowest = beside.iter().flat_map(|sample| [sample.task, sample.answer]).max().expect("some");
        assert!(slowest < STALLED, "{name}: somebody waited {slowest:?}");
        let beside = median(beside.iter().map(|sample| sample.task).collect());
        let allowed = self.undisturbed * SLOWER + TICKS;
        assert!(beside <= allowed, "{name}: a task took {beside:?} beside it, {:?} without", self.undisturbed);
        self.came_back(name, self.base.threads + IDLE_THREADS, LOOKS);
        done
    }

    /// The end: all went well, and nothing is left.
    pub(super) fn end(self) {
        self.came_back("all of them", self.base.threads, LAST_LOOKS);
        self.siblings.end();
    }

    /// The end of the host too: nothing can come back, but all went well until now.
    pub(super) fn end_with_the_host(self) {
        self.siblings.end();
    }
}
