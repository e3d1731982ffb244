//! What a host has done, hour by hour, and the figures that are made of it. Pure: what is added comes in as an argument, and
//! what is to be kept over restarts goes out as notes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sunaba_store::{Note, Observations};
use sunaba_task::Timestamp;

const HOUR_MS: u64 = 60 * 60 * 1_000;
/// Hours that are kept: sixty days.
const MAX_HOURS: u64 = 60 * 24;
/// What begins the names of hours' notes.
pub(super) const HOURS: &str = "history/";
/// The note of when the host was there last.
pub(super) const SEEN: &str = "seen";

/// What was done in an hour. Sums; what is added later has zeros in older notes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hour {
    /// How long there were enough workers, in milliseconds.
    pub up_ms: u64,
    /// How long there were not, or the host was down without a stop in good order.
    pub down_ms: u64,
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
    /// Attempts that ended by themselves or failed.
    pub attempts: u64,
    /// Those that failed.
    pub failed: u64,
    /// Tasks that succeeded after an attempt had failed.
    pub recovered: u64,
    /// Tasks that succeeded, which somebody had run again.
    pub recovered_by_person: u64,
    /// From the first failure of both to their success, in milliseconds.
    pub recovery_ms: u64,
    /// Attempts that had waited in a queue.
    pub waits: u64,
    /// How long all of them had waited, in milliseconds.
    pub wait_ms: u64,
    /// How long attempts ran, in milliseconds.
    pub run_ms: u64,
}

impl Hour {
    fn parts(&mut self) -> [&mut u64; 15] {
        [
            &mut self.up_ms,
            &mut self.down_ms,
            &mut self.submitted,
            &mut self.succeeded,
            &mut self.dead,
            &mut self.cancelled,
            &mut self.expired,
            &mut self.attempts,
            &mut self.failed,
            &mut self.recovered,
            &mut self.recovered_by_person,
            &mut self.recovery_ms,
            &mut self.waits,
            &mut self.wait_ms,
            &mut self.run_ms,
        ]
    }

    fn add(&mut self, mut more: Self) {
        for (sum, more) in self.parts().into_iter().zip(more.parts()) {
            *sum = sum.saturating_add(*more);
        }
    }

    /// What this has more than before.
    fn since(mut self, mut before: Self) -> Self {
        for (sum, before) in self.parts().into_iter().zip(before.parts()) {
            *sum = sum.saturating_sub(*before);
        }
        self
    }

    /// All that was observed since the store was opened.
    pub(super) fn of(seen: &Observations) -> Self {
        let mut sum = Self {
            recovered: seen.totals.recovered,
            recovered_by_person: seen.totals.recovered_by_person,
            recovery_ms: ms(seen.totals.recovery),
            ..Self::default()
        };
        for counts in seen.series.iter().map(|series| &series.counts) {
            sum.add(Self {
                submitted: counts.submitted,
                succeeded: counts.succeeded,
                dead: counts.dead,
                cancelled: counts.cancelled,
                expired: counts.expired,
                attempts: counts.judged(),
                failed: counts.failed(),
                waits: counts.wait_us.count(),
                wait_ms: counts.wait_us.sum() / 1_000,
                run_ms: counts.run_us.sum() / 1_000,
                ..Self::default()
            });
        }
        sum
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// When the host was there last, as a note has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    at_ms: u64,
    /// Whether it was stopped in good order then: the time from then on is nobody's failure.
    stopped: bool,
    /// Since when the store that was counted had been open,
    since_ms: u64,
    /// and what was counted of it, and how far its troubles were read: a host that is started anew on the same counts nothing
    /// twice.
    counted: Hour,
    #[serde(default)]
    place: u64,
}

/// What was done, hour by hour.
#[derive(Debug)]
pub(crate) struct History {
    /// By hours since the epoch.
    hours: BTreeMap<u64, Hour>,
    /// Those that have changed since they were noted.
    changed: BTreeSet<u64>,
    /// What was counted when it was looked at last,
    before: Hour,
    /// of a store that was opened then.
    since: Timestamp,
    /// How far its troubles were read.
    pub(super) place: u64,
}

/// Looks that are further apart than this had the host asleep or stalled in between.
const MAX_GAP: Duration = Duration::from_secs(60);

impl History {
    /// What notes have of it, for a store that was opened then. The time since the host was seen last, without a stop, counts as
    /// down.
    pub(crate) fn read<'a>(now: Timestamp, since: Timestamp, notes: impl IntoIterator<Item = &'a Note>) -> Self {
        let (hours, changed) = (BTreeMap::new(), BTreeSet::new());
        let mut history = Self { hours, changed, before: Hour::default(), since, place: 0 };
        let mut seen = None;
        for Note { name, text } in notes {
            if name == SEEN {
                seen = serde_json::from_slice::<Seen>(text).ok();
            } else if let Some(hour) = name.strip_prefix(HOURS).and_then(|hour| hour.parse().ok()) {
                match serde_json::from_slice(text) {
                    Ok(sums) => drop(history.hours.insert(hour, sums)),
                    Err(error) => tracing::warn!(name, %error, "what was done in an hour cannot be read"),
                }
            }
        }
        if let Some(seen) = seen {
            if !seen.stopped {
                history.pass(Timestamp::from_unix_ms(seen.at_ms), now, false);
            }
            if seen.since_ms == since.unix_ms() {
                (history.before, history.place) = (seen.counted, seen.place);
            }
        }
        history
    }

    /// Time has passed, with enough workers or without.
    fn pass(&mut self, from: Timestamp, to: Timestamp, is_up: bool) {
        let (mut from, to) = (from.unix_ms(), to.unix_ms());
        from = from.max(to.saturating_sub(MAX_HOURS * HOUR_MS));
        while from < to {
            let hour = from / HOUR_MS;
            let until = ((hour + 1) * HOUR_MS).min(to);
            let sums = self.hours.entry(hour).or_default();
            *(if is_up { &mut sums.up_ms } else { &mut sums.down_ms }) += until - from;
            self.changed.insert(hour);
            from = until;
        }
    }

    /// Takes in what is counted now, and whether there were enough workers since the last look, which was so long ago. It is the
    /// hour of now that has this time, whatever the clock said then.
    pub(crate) fn look(&mut self, gap: Option<Duration>, now: Timestamp, counted: Hour, is_up: bool) {
        if let Some(gap) = gap {
            let from = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(ms(gap)));
            self.pass(from, now, is_up && gap <= MAX_GAP);
        }
        let more = counted.since(self.before);
        self.before = counted;
        if more != Hour::default() {
            let hour = now.unix_ms() / HOUR_MS;
            self.hours.entry(hour).or_default().add(more);
            self.changed.insert(hour);
        }
    }

    /// What is to be noted: the hours that have changed, those that are too old, and that the host is there, or stops.
    pub(crate) fn take_notes(&mut self, now: Timestamp, stopped: bool) -> Vec<Note> {
        let oldest = (now.unix_ms() / HOUR_MS).saturating_sub(MAX_HOURS);
        let old: Vec<_> = self.hours.range(..oldest).map(|(hour, _)| *hour).collect();
        for hour in old {
            self.hours.remove(&hour);
            self.changed.insert(hour);
        }
        let hours = std::mem::take(&mut self.changed).into_iter().map(|hour| {
            let text = self.hours.get(&hour).map(json).unwrap_or_default();
            Note { name: format!("{HOURS}{hour:08}"), text }
        });
        let (at_ms, since_ms) = (now.unix_ms(), self.since.unix_ms());
        let seen = Seen { at_ms, stopped, since_ms, counted: self.before, place: self.place };
        let seen = Note { name: SEEN.into(), text: json(&seen) };
        hours.chain([seen]).collect()
    }

    /// These were not noted after all.
    pub(crate) fn note_again(&mut self, names: &BTreeSet<String>) {
        self.changed.extend(names.iter().filter_map(|name| name.strip_prefix(HOURS)?.parse::<u64>().ok()));
    }

    /// What was done in the hours that begin in this time.
    pub(crate) fn sum(&self, from: Timestamp, to: Timestamp) -> Hour {
        let first = from.unix_ms().div_ceil(HOUR_MS);
        let end = to.unix_ms().div_ceil(HOUR_MS).max(first);
        let mut sum = Hour::default();
        self.hours.range(first..end).for_each(|(_, hour)| sum.add(*hour));
        sum
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("numbers are written").into()
}

/// The figures of the service, over some time. None: nothing happened that it could be made of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// In a hundred: of the time for which the host should have been there, that in which there were enough workers.
    pub availability_percent: Option<f64>,
    /// From the first failure of a task to its success.
    pub recovery: Option<Duration>,
    /// In a hundred: of tasks that have ended, those that are dead or were not started in time. What was cancelled is left out.
    pub error_percent: Option<f64>,
    /// In a hundred: of tasks that had failed, those that have succeeded without anybody.
    pub self_healed_percent: Option<f64>,
}

/// What the figures should be.
pub const TARGETS: Figures = Figures {
    availability_percent: Some(99.0),
    recovery: Some(Duration::from_secs(60)),
    error_percent: Some(1.0),
    self_healed_percent: Some(95.0),
};

impl Figures {
    /// Of what was done.
    pub fn of(sum: &Hour) -> Self {
        let percent = |part: u64, whole: u64| (whole > 0).then(|| part as f64 * 100.0 / whole as f64);
        let recoveries = sum.recovered + sum.recovered_by_person;
        let bad = sum.dead + sum.expired;
        Self {
            availability_percent: percent(sum.up_ms, sum.up_ms + sum.down_ms),
            recovery: (recoveries > 0).then(|| Duration::from_millis(sum.recovery_ms / recoveries)),
            error_percent: percent(bad, bad + sum.succeeded),
            self_healed_percent: percent(sum.recovered, sum.recovered + sum.dead),
        }
    }

    /// Which of them miss their targets, by name.
    pub fn missed(&self) -> Vec<&'static str> {
        let less = |found: Option<f64>, target: Option<f64>| found.zip(target).is_some_and(|(is, least)| is < least);
        let more = |found: Option<f64>, target: Option<f64>| found.zip(target).is_some_and(|(is, most)| is > most);
        let late = self.recovery.zip(TARGETS.recovery).is_some_and(|(is, most)| is > most);
        [
            ("availability", less(self.availability_percent, TARGETS.availability_percent)),
            ("recovery", late),
            ("errors", more(self.error_percent, TARGETS.error_percent)),
            ("self-healed", less(self.self_healed_percent, TARGETS.self_healed_percent)),
        ]
        .into_iter()
        .filter_map(|(name, is_missed)| is_missed.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests;
