//! What a store has seen since it was opened: counts and distributions by queue and handler, and what went wrong lately. Kept
//! in memory alone; whoever wants sums over restarts adds up what two looks differ by.

use std::time::Duration;

use sunaba_task::{AttemptRecord, Cause, Ending, HandlerName, TaskId, Timestamp};

/// Pairs of a queue and a handler that are counted apart; the first that came. All others share one.
pub const MAX_SERIES: usize = 200;
/// The queue and the handler of the pair that the others share. No handler is called so.
pub const OTHER: &str = "other";
/// Troubles that are kept: whoever looks less often misses some, and is told how many.
pub const MAX_TROUBLES: usize = 4_096;
/// What is kept of an error's message.
const MAX_ERROR_BYTES: usize = 300;

/// Seconds, in microseconds.
const SECOND: u64 = 1_000_000;
const MIB: u64 = 1 << 20;
/// Upper ends of the buckets for times, in microseconds.
pub const TIMES: &[u64] = &[
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    300 * SECOND,
    1_800 * SECOND,
];
/// The same for fuel, in instructions.
pub const FUEL: &[u64] = &[100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000];
/// The same for memory, in bytes.
pub const MEMORY: &[u64] = &[MIB, 4 * MIB, 16 * MIB, 32 * MIB, 64 * MIB, 128 * MIB, 256 * MIB, 512 * MIB, 1_024 * MIB];

/// How attempts end, with the cause of those that the host stopped: each is counted apart.
pub const ENDS: [(&str, &str); 19] = [
    ("completed", ""),
    ("decomposed", ""),
    ("snoozed", ""),
    ("failed", ""),
    ("host-failed", ""),
    ("host-lost", ""),
    ("handed-back", ""),
    ("stopped", "fuel"),
    ("stopped", "timeout"),
    ("stopped", "memory"),
    ("stopped", "output"),
    ("stopped", "host-call"),
    ("stopped", "trap"),
    ("stopped", "cancelled"),
    ("stopped", "lease-lost"),
    ("stopped", "exit"),
    ("stopped", "limit"),
    ("stopped", "not-supported"),
    // No cause that there is now.
    ("stopped", OTHER),
];

/// The place of an ending in [`ENDS`].
pub fn end_of(ending: &Ending) -> usize {
    let (outcome, cause) = match ending {
        Ending::Completed => return 0,
        Ending::Decomposed { .. } => return 1,
        Ending::Snoozed { .. } => return 2,
        Ending::Failed { .. } => return 3,
        Ending::HostFailed { .. } => return 4,
        Ending::HostLost => return 5,
        Ending::HandedBack => return 6,
        Ending::Stopped { cause, .. } => ("stopped", cause.word()),
    };
    ENDS.iter().position(|end| *end == (outcome, cause)).unwrap_or(ENDS.len() - 1)
}

/// Whether an attempt that ended so has failed: not one that has done its part, that somebody stopped, or that was handed back.
pub fn is_failure(ending: &Ending) -> bool {
    match ending {
        Ending::Completed | Ending::Decomposed { .. } | Ending::Snoozed { .. } | Ending::HandedBack => false,
        Ending::Stopped { cause, .. } => *cause != Cause::Cancelled,
        Ending::Failed { .. } | Ending::HostFailed { .. } | Ending::HostLost => true,
    }
}

/// How values are spread: a count for each bucket, and one for what is above the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    bounds: &'static [u64],
    counts: Box<[u64]>,
    sum: u64,
}

impl Spread {
    /// With buckets that end there, which rise.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1].into(), sum: 0 }
    }

    /// Adds a value.
    pub fn add(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The upper end of each bucket with its own count; what is above the last is above all.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let ends = self.bounds.iter().copied().map(Some).chain([None]);
        ends.zip(self.counts.iter().copied())
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

/// What was counted of the tasks of a queue that have the same handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that were taken on.
    pub submitted: u64,
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that ended as dead.
    pub dead: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Tasks that were not started in time.
    pub expired: u64,
    /// Attempts after which another was planned.
    pub retries: u64,
    /// Attempts that have ended, each at the place of its end in [`ENDS`].
    pub ends: [u64; ENDS.len()],
    /// How long tasks had waited for their attempts, in microseconds.
    pub wait_us: Spread,
    /// How long attempts took, in microseconds.
    pub run_us: Spread,
    /// Fuel of attempts of which it was counted.
    pub fuel: Spread,
    /// The highest memory of attempts, in bytes.
    pub memory_bytes: Spread,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            submitted: 0,
            succeeded: 0,
            dead: 0,
            cancelled: 0,
            expired: 0,
            retries: 0,
            ends: [0; ENDS.len()],
            wait_us: Spread::new(TIMES),
            run_us: Spread::new(TIMES),
            fuel: Spread::new(FUEL),
            memory_bytes: Spread::new(MEMORY),
        }
    }
}

impl Counts {
    /// Adds an attempt that has ended.
    pub fn add(&mut self, attempt: &AttemptRecord) {
        self.ends[end_of(&attempt.ending)] += 1;
        let Some(receipt) = &attempt.receipt else { return };
        if let Some(wait) = receipt.queue_wait {
            self.wait_us.add(micros(wait));
        }
        self.run_us.add(micros(receipt.wall));
        if let Some(fuel) = receipt.fuel {
            self.fuel.add(fuel);
        }
        self.memory_bytes.add(receipt.peak_memory_bytes);
    }

    /// Attempts that have ended by themselves or failed: those by which a handler is judged.
    pub fn judged(&self) -> u64 {
        self.ends[..2].iter().sum::<u64>() + self.failed()
    }

    /// Attempts that failed.
    pub fn failed(&self) -> u64 {
        let ends = ENDS.iter().zip(&self.ends);
        let failed = |(outcome, cause): &(&str, &str)| match *outcome {
            "failed" | "host-failed" | "host-lost" => true,
            "stopped" => *cause != "cancelled",
            _ => false,
        };
        ends.filter(|(end, _)| failed(end)).map(|(_, count)| count).sum()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A queue and a handler with what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The queue; [`OTHER`] for the rest.
    pub queue: String,
    /// The handler, as `package/handler`; [`OTHER`] for the rest.
    pub handler: String,
    /// What was counted.
    pub counts: Counts,
}

/// What has come of the deliveries of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSeries {
    /// Its name.
    pub name: String,
    /// Deliveries that have not ended.
    pub pending: u64,
    /// Deliveries that were taken, since it was made.
    pub delivered: u64,
    /// Deliveries that were given up, since then.
    pub given_up: u64,
    /// Events of which it was not told, since then.
    pub dropped: u64,
    /// What its endpoint has answered since the store was opened.
    pub answers: Answers,
}

/// What an endpoint has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Requests that were taken.
    pub taken: u64,
    /// Requests that were not, or had no answer.
    pub failed: u64,
    /// How long it took, in microseconds; to the end of the wait, where there was no answer.
    pub time_us: Spread,
}

impl Default for Answers {
    fn default() -> Self {
        Self { taken: 0, failed: 0, time_us: Spread::new(TIMES) }
    }
}

/// Sums over all tasks, whatever their queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// What was told in the feed.
    pub events: u64,
    /// Tasks that succeeded after an attempt had failed.
    pub recovered: u64,
    /// Tasks that succeeded, which somebody had made again of one that had not.
    pub recovered_by_person: u64,
    /// From the first failure of each of both to its success.
    pub recovery: Duration,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The word that retry policies go by.
    pub kind: String,
    /// For people; the first few hundred bytes.
    pub message: String,
}

impl Fault {
    /// Why an attempt that ended so failed; none if it has not.
    pub fn of(ending: &Ending) -> Option<Self> {
        let (kind, message) = match ending {
            _ if !is_failure(ending) => return None,
            Ending::Failed { kind, message } => (kind.clone(), message.as_str()),
            Ending::Stopped { cause, message } => (cause.word().to_owned(), message.as_str()),
            Ending::HostFailed { message } => ("host".to_owned(), message.as_str()),
            Ending::HostLost => ("host-lost".to_owned(), "the host was lost"),
            _ => return None,
        };
        let end = message.floor_char_boundary(MAX_ERROR_BYTES);
        Some(Self { kind, message: message[..end].to_owned() })
    }
}

/// Something that went wrong, or well again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The count of troubles since the store was opened, from 1.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// With which task.
    pub task: TaskId,
    /// Its handler.
    pub handler: HandlerName,
    /// Why its attempt failed; of one that is well again, the last that did.
    pub fault: Fault,
    /// What came of it.
    pub came: Came,
}

/// What came of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// There will be another attempt.
    Retry,
    /// The task is dead, or was cancelled meanwhile.
    End,
    /// The task has succeeded by itself, so long after its first failure.
    Recovered(Duration),
    /// A task that somebody made again of it has succeeded.
    RanAgain {
        /// So long after the first failure.
        after: Duration,
        /// Whether that ran another version of its package.
        other_version: bool,
    },
}

/// What a store has seen since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations {
    /// When it was opened.
    pub since: Timestamp,
    /// When this was looked at.
    pub now: Timestamp,
    /// The part of the store's clock that never jumps: durations count by it.
    pub elapsed: Duration,
    /// By queue and handler.
    pub series: Vec<Series>,
    /// Over all of them.
    pub totals: Totals,
    /// Sessions of workers that are open.
    pub workers: usize,
    /// How long ago the session that was quietest renewed, or asked for work. None: there is none.
    pub quietest: Option<Duration>,
    /// Dead tasks that are kept.
    pub dead: u64,
    /// What the disk of the store has left. None: it is not on a disk.
    pub free_bytes: Option<u64>,
    /// Below that nothing new is taken on.
    pub floor_bytes: u64,
    /// What went wrong after the place that was asked for, oldest first.
    pub troubles: Vec<Trouble>,
    /// Where to go on.
    pub next: u64,
    /// Troubles that are not kept any more.
    pub missed: u64,
    /// The webhooks that their failures have disabled, and why.
    pub failed_webhooks: Vec<(String, String)>,
    /// By webhook; there are no more than [`MAX_WEBHOOKS`](crate::MAX_WEBHOOKS).
    pub webhooks: Vec<WebhookSeries>,
}

#[cfg(test)]
mod tests {
    use sunaba_task::{Decision, Digest, Policy, Receipt, Verdict};

    use super::*;

    fn stopped(cause: Cause) -> Ending {
        Ending::Stopped { cause, message: "m".into() }
    }

    #[test]
    fn every_end_has_its_place_and_is_a_failure_or_not() {
        let failed = Ending::Failed { kind: "network".into(), message: "m".into() };
        let lost = Ending::HostFailed { message: "m".into() };
        for (ending, place, fails) in [
            (Ending::Completed, ("completed", ""), false),
            (Ending::Decomposed { children: 1 }, ("decomposed", ""), false),
            (Ending::Snoozed { reason: String::new() }, ("snoozed", ""), false),
            (failed, ("failed", ""), true),
            (lost, ("host-failed", ""), true),
            (Ending::HostLost, ("host-lost", ""), true),
            (Ending::HandedBack, ("handed-back", ""), false),
            (stopped(Cause::Fuel), ("stopped", "fuel"), true),
            (stopped(Cause::Timeout), ("stopped", "timeout"), true),
            (stopped(Cause::Memory), ("stopped", "memory"), true),
            (stopped(Cause::Output), ("stopped", "output"), true),
            (stopped(Cause::HostCall(None)), ("stopped", "host-call"), true),
            (stopped(Cause::Trap("unreachable".into())), ("stopped", "trap"), true),
            (stopped(Cause::Cancelled), ("stopped", "cancelled"), false),
            (stopped(Cause::LeaseLost), ("stopped", "lease-lost"), true),
            (stopped(Cause::Exit), ("stopped", "exit"), true),
            (stopped(Cause::Limit(sunaba_task::Limit::OpenFiles)), ("stopped", "limit"), true),
            (stopped(Cause::NotSupported("x".into())), ("stopped", "not-supported"), true),
        ] {
            assert_eq!(ENDS[end_of(&ending)], place);
            assert_eq!((is_failure(&ending), Fault::of(&ending).is_some()), (fails, fails), "{place:?}");
            let mut counts = Counts::default();
            let decision = Decision::uncharged(Verdict::Requeue, Policy::Retry, "r".into());
            let now = Timestamp::from_unix_ms(1);
            let (worker, receipt) = ("w".into(), None);
            counts.add(&AttemptRecord { number: 1, worker, started_at: now, ended_at: now, ending, decision, receipt });
            assert_eq!(counts.failed(), u64::from(fails), "{place:?}");
            let judged = fails || matches!(place.0, "completed" | "decomposed");
            assert_eq!(counts.judged(), u64::from(judged), "{place:?}");
        }
    }

    #[test]
    fn value_is_in_the_first_bucket_that_holds_it() {
        let mut spread = Spread::new(&[10, 20]);
        for (value, bucket) in [(0, 0), (10, 0), (11, 1), (20, 1), (21, 2), (u64::MAX, 2)] {
            let before: Vec<_> = spread.buckets().collect();
            spread.add(value);
            let after: Vec<_> = spread.buckets().collect();
            let grown: Vec<_> = (0..3).filter(|place| before[*place] != after[*place]).collect();
            assert_eq!(grown, [bucket], "{value}");
        }
        assert_eq!((spread.count(), spread.sum()), (6, u64::MAX));
        assert_eq!(spread.buckets().map(|(end, _)| end).collect::<Vec<_>>(), [Some(10), Some(20), None]);
        for bounds in [TIMES, FUEL, MEMORY] {
            assert!(bounds.is_sorted_by(|one, other| one < other));
        }
    }

    #[test]
    fn receipt_is_spread_and_fuel_that_was_not_counted_is_not() {
        let mut counts = Counts::default();
        let receipt = Receipt {
            fuel: None,
            wall: Duration::from_millis(7),
            peak_memory_bytes: 2 * MIB,
            queue_wait: Some(Duration::from_secs(2)),
            ..Receipt::unmeasured(Digest::of(b"c"))
        };
        let decision = Decision::uncharged(Verdict::Succeed, Policy::Success, "r".into());
        let now = Timestamp::from_unix_ms(1);
        let (worker, ending, receipt) = ("w".into(), Ending::Completed, Some(receipt));
        counts.add(&AttemptRecord { number: 1, worker, started_at: now, ended_at: now, ending, decision, receipt });
        assert_eq!((counts.wait_us.sum(), counts.run_us.sum()), (2 * SECOND, 7_000));
        assert_eq!((counts.fuel.count(), counts.memory_bytes.sum()), (0, 2 * MIB));
    }

    #[test]
    fn kept_error_obeyed_and_violated() {
        let kept = |length: usize| {
            let message = "ü".repeat(length / 2);
            Fault::of(&Ending::Failed { kind: "k".into(), message }).expect("a failure").message.len()
        };
        assert_eq!((kept(MAX_ERROR_BYTES), kept(MAX_ERROR_BYTES + 1_000)), (MAX_ERROR_BYTES, MAX_ERROR_BYTES));
    }
}
