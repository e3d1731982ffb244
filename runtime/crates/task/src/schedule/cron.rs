//! A cron expression in a time zone, and what it means where the clocks change.
//!
//! The expression alone is matched against dates and times of day; which instants these are is decided here:
//!
//! - An expression whose times of day are fixed (no `*` in its seconds, minutes and hours) is due once at each. A time that a
//!   change of the clocks leaves out is due at the change, and one that comes twice is due the first time.
//! - One that has a `*` there follows the clock on the wall: what is left out is left out, and what comes twice is due twice, so
//!   that a tick every ten minutes comes every ten minutes, whatever the clocks do.
//!
//! The zones are those that this program was built with, and not the machine's: the same release has the same ticks everywhere.

use std::sync::LazyLock;

use croner::Cron;
use croner::parser::CronParser;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::ScheduleError;
use crate::{Timestamp, nearest};

/// A longer expression is refused.
pub const MAX_CRON_BYTES: usize = 256;
/// Times of day that are looked at for one tick: each but the last lies where the clocks change.
const MAX_STEPS: usize = 100;
/// Zones that change their clocks tell of it a few times a year.
const MAX_CHANGES: usize = 8;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// When a schedule is due, but for its jitter.
#[derive(Debug, Clone)]
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
    /// Whether what comes twice is due twice, and what is left out is not due.
    by_wall_clock: bool,
}

/// One time of day that a zone has twice, or not at all.
struct Change {
    at: jiff::Timestamp,
    before: Offset,
    after: Offset,
}

impl Change {
    /// What clocks show just then if nobody changes them: the end of what comes twice, or the beginning of what is left out.
    fn unchanged(&self) -> DateTime {
        self.before.to_datetime(self.at)
    }

    /// What they show instead: the beginning of what comes twice, or the end of what is left out.
    fn changed(&self) -> DateTime {
        self.after.to_datetime(self.at)
    }
}

impl Calendar {
    /// Reads an expression and the name of a zone.
    ///
    /// # Errors
    /// One of them means nothing.
    pub fn new(cron: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let bad = |problem: String| ScheduleError::Cron { cron: cron.chars().take(80).collect(), problem };
        if cron.len() > MAX_CRON_BYTES {
            return Err(bad(format!("it has {} bytes, and the limit is {MAX_CRON_BYTES}", cron.len())));
        }
        // Its parser looks at bytes here and there.
        if let Some(strange) = cron.chars().find(|c| !c.is_ascii() || c.is_ascii_control() && *c != '\t') {
            return Err(bad(format!("`{}` has no meaning in it", strange.escape_default())));
        }
        let cron = CronParser::new().parse(cron).map_err(|error| bad(plain(&error.to_string())))?;
        let pattern = &cron.pattern;
        let by_wall_clock = [&pattern.seconds, &pattern.minutes, &pattern.hours].iter().any(|part| part.from_wildcard);
        Ok(Self { by_wall_clock, zone: zone(time_zone)?, cron })
    }

    /// The zone as its database writes it.
    pub fn time_zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// An instant as the clocks of the zone show it, with their distance from UTC.
    pub fn on_the_wall(&self, at: Timestamp) -> String {
        instant(at)
            .map(|at| at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
            .unwrap_or_default()
    }

    /// The first tick after this instant. None: there is none any more.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = instant(at)?;
        let local = self.zone.to_datetime(at);
        let straight = self.walk_on(at, local);
        // Half of what comes twice has passed, and the second time may come before all else.
        let again =
            self.change_around(local).filter(|change| self.by_wall_clock && change.is_twice() && at < change.at);
        let again = again.and_then(|change| {
            let found = self.cron.find_next_occurrence(&change.changed(), true).ok()?;
            (found < change.unchanged()).then(|| change.after.to_timestamp(found).ok()).flatten()
        });
        timestamp(straight.into_iter().chain(again).min()?)
    }

    fn walk_on(&self, at: jiff::Timestamp, local: DateTime) -> Option<jiff::Timestamp> {
        let (mut from, mut is_inclusive) = (local, false);
        for _ in 0..MAX_STEPS {
            let found = self.cron.find_next_occurrence(&from, is_inclusive).ok()?;
            let instants = match self.change_around(found) {
                None => [self.zone.to_ambiguous_timestamp(found).compatible().ok(), None],
                Some(change) if change.is_twice() => {
                    let second = if self.by_wall_clock { change.after.to_timestamp(found).ok() } else { None };
                    [change.before.to_timestamp(found).ok(), second]
                }
                Some(change) if self.by_wall_clock => {
                    (from, is_inclusive) = (change.changed(), true);
                    continue;
                }
                Some(change) => [Some(change.at), None],
            };
            if let Some(next) = instants.into_iter().flatten().find(|instant| *instant > at) {
                return Some(next);
            }
            // Of what has passed for good there may be thousands.
            (from, is_inclusive) = match self.change_around(found) {
                Some(change) if !change.is_twice() => (change.changed(), from < change.changed()),
                Some(change) if !self.by_wall_clock => (change.unchanged(), true),
                _ => (found, false),
            };
        }
        None
    }

    /// The last tick until this instant, itself included. None: there was none.
    pub fn last_until(&self, at: Timestamp) -> Option<Timestamp> {
        let at = instant(at)?;
        let local = self.zone.to_datetime(at);
        let second_time = self.change_around(local).filter(|change| change.is_twice() && at >= change.at);
        let last = match second_time {
            None => self.walk_back(at, local, true),
            // Times of day that the clocks show once more have been due the first time.
            Some(change) if !self.by_wall_clock => self.walk_back(at, change.unchanged(), false),
            Some(change) => {
                let found = self.cron.find_previous_occurrence(&local, true).ok();
                match found.filter(|found| *found >= change.changed()) {
                    Some(found) => change.after.to_timestamp(found).ok(),
                    None => {
                        let found = self.cron.find_previous_occurrence(&change.unchanged(), false).ok();
                        match found.filter(|found| *found >= change.changed()) {
                            Some(found) => change.before.to_timestamp(found).ok(),
                            None => self.walk_back(at, change.changed(), false),
                        }
                    }
                }
            }
        };
        timestamp(last?)
    }

    /// Back from a time of day that clocks have shown by then.
    fn walk_back(&self, at: jiff::Timestamp, mut from: DateTime, mut is_inclusive: bool) -> Option<jiff::Timestamp> {
        for _ in 0..MAX_STEPS {
            let found = self.cron.find_previous_occurrence(&from, is_inclusive).ok()?;
            match self.change_around(found) {
                None => return self.zone.to_ambiguous_timestamp(found).compatible().ok(),
                Some(change) if change.is_twice() => {
                    let second = if self.by_wall_clock { change.after.to_timestamp(found).ok() } else { None };
                    return second.filter(|second| *second <= at).or(change.before.to_timestamp(found).ok());
                }
                Some(change) if !self.by_wall_clock => return Some(change.at),
                Some(change) => (from, is_inclusive) = (change.unchanged(), false),
            }
        }
        None
    }

    /// The change of the clocks that makes this time of day come twice, or not at all.
    fn change_around(&self, time: DateTime) -> Option<Change> {
        let (before, after, earliest) = match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { .. } => return None,
            AmbiguousOffset::Fold { before, after } => (before, after, before),
            AmbiguousOffset::Gap { before, after } => (before, after, after),
        };
        let earlier = earliest.to_timestamp(time).ok()?;
        let mut changes = self.zone.following(earlier).take(MAX_CHANGES);
        let at = changes.find(|change| change.offset() == after)?.timestamp();
        Some(Change { at, before, after })
    }
}

impl Change {
    /// Or not at all.
    fn is_twice(&self) -> bool {
        self.before > self.after
    }
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    ZONES.get(name).map_err(|_| ScheduleError::TimeZone {
        zone: name.chars().take(80).collect(),
        near: {
            let known: Vec<_> = ZONES.available().map(|zone| zone.to_string()).collect();
            nearest(name, known.iter().map(String::as_str)).unwrap_or("Europe/Berlin").to_owned()
        },
    })
}

/// The problem without the names of its makers' types.
fn plain(problem: &str) -> String {
    let problem =
        problem.strip_prefix("Invalid pattern: ").or(problem.strip_prefix("Component error: ")).unwrap_or(problem);
    let mut letters = problem.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The last whole second until this instant: ticks are whole seconds.
fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(i64::try_from(at.unix_ms() / 1_000).ok()?).ok()
}

fn timestamp(at: jiff::Timestamp) -> Option<Timestamp> {
    Some(Timestamp::from_unix_ms(u64::try_from(at.as_millisecond()).ok()?))
}
