//! The record of a schedule: what was asked for, how far it is, and what becomes of the next tick.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Calendar, CatchUp, Fire, MAX_CAUGHT_UP, MAX_JITTER, Overlap, ScheduleName};
use crate::{Callback, PayloadInfo, TaskId, TaskSpec, Timestamp, format_duration};

/// Tasks of one schedule that have not ended.
pub const MAX_ACTIVE: usize = 100;
/// Ticks of one schedule that wait for its tasks to end.
pub const MAX_WAITING: usize = 100;

/// Spans of ticks that are remembered as met: one more with each time that ticks were missed, or that a clock has jumped.
pub const MAX_MET: usize = 16;
/// Spans and ticks that have had their turn, and that a look for the next one passes by.
const MAX_PASSED: usize = 100;
/// A clock that is behind what has been decided by no more than this has not been set back: that is how far it is corrected.
const MAX_BEHIND: Duration = Duration::from_secs(60);

/// The attribute that tells a handler which schedule made its task.
pub const SCHEDULE: &str = "schedule";
/// The attribute that tells it for which tick, by RFC 3339; a task that somebody has triggered has none.
pub const SCHEDULE_TICK: &str = "schedule-tick";

/// Why there cannot be such a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The expression means nothing.
    #[error(
        "`{cron}` is not a cron expression: {problem}\nhint: write minute, hour, day of the month, month and day of the week, such as \
         `30 2 * * MON-FRI`; a sixth field in front has seconds"
    )]
    Cron {
        /// The expression; a part of it, if it is long.
        cron: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody knows the zone.
    #[error("there is no time zone `{zone}`\nhint: write its name in the IANA database, such as `{near}`")]
    TimeZone {
        /// The zone.
        zone: String,
        /// One that there is.
        near: String,
    },
    /// It would never make a task.
    #[error("`{cron}` has no tick any more\nhint: look at its day, month and year; February has no 30th")]
    Never {
        /// The expression.
        cron: String,
    },
    /// The jitter is too long.
    #[error("the jitter is {}; the limit is {}", format_duration(*.0), format_duration(MAX_JITTER))]
    Jitter(Duration),
    /// Too many missed ticks would be made up for.
    #[error("the schedule would make up for {0} missed ticks; from 1 to {MAX_CAUGHT_UP} can be")]
    CatchUp(u32),
}

/// What is asked for when a schedule is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// When it is due.
    pub cron: String,
    /// In which zone; a name of the IANA database.
    pub time_zone: String,
    /// What becomes of a tick while a task of it has not ended.
    pub overlap: Overlap,
    /// What becomes of ticks for which nobody was there.
    pub catch_up: CatchUp,
    /// A tick fires up to so much later, and before the next. At most [`MAX_JITTER`].
    pub jitter: Duration,
    /// What each tick makes.
    pub task: ScheduledTask,
}

impl ScheduleSpec {
    /// Whether there can be such a schedule from now on, and its calendar. The name of its zone becomes that of the database.
    ///
    /// # Errors
    /// There cannot.
    pub fn check(&mut self, now: Timestamp) -> Result<Calendar, ScheduleError> {
        let calendar = self.calendar()?;
        if self.jitter > MAX_JITTER {
            return Err(ScheduleError::Jitter(self.jitter));
        }
        if let CatchUp::All(most) = self.catch_up
            && !(1..=MAX_CAUGHT_UP).contains(&most)
        {
            return Err(ScheduleError::CatchUp(most));
        }
        if calendar.next_after(now).is_none() {
            return Err(ScheduleError::Never { cron: self.cron.clone() });
        }
        self.time_zone = calendar.time_zone().to_owned();
        Ok(calendar)
    }

    /// When it is due.
    ///
    /// # Errors
    /// Its expression or its zone means nothing; of one that was checked, only if a release does not know what another knew.
    pub fn calendar(&self) -> Result<Calendar, ScheduleError> {
        Calendar::new(&self.cron, &self.time_zone)
    }

    /// Whether the ticks of the other are the same.
    pub fn has_the_ticks_of(&self, other: &Self) -> bool {
        (&self.cron, &self.time_zone) == (&other.cron, &other.time_zone)
    }
}

/// What each tick makes, as it was admitted when the schedule was put. The body of its input is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// What is asked for. Its component is the one that the input was checked against; a tick makes a task for the one that its
    /// package has by then.
    pub spec: TaskSpec,
    /// The input, without its body.
    pub input: PayloadInfo,
    /// It is not started any more so long after it was made.
    pub expires: Option<Duration>,
    /// What follows its end.
    pub callbacks: Vec<Callback>,
    /// What its author wrote, for whoever shows or admits it again; means nothing to a store.
    pub request: String,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Unique in its store.
    pub name: ScheduleName,
    /// Grows with every change that somebody makes, and not with the ticks; from 1.
    pub revision: u64,
    /// What was asked for.
    pub spec: ScheduleSpec,
    /// Whether its ticks pass by. What has been made is not touched.
    pub paused: bool,
    /// When it was put first.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// How far it is.
    pub progress: ScheduleProgress,
    /// What comes next. None: it is paused, or there are no more ticks.
    pub next: Option<Fire>,
}

impl Schedule {
    /// What comes of it, the soonest first: so many, if there are so many, and none while it is paused. `calendar` is its own.
    pub fn coming(&self, calendar: &Calendar, most: usize) -> Vec<Fire> {
        let first = self.next;
        let next = |last: &Fire| self.progress.next_fire(&self.name, calendar, last.tick, self.spec.jitter);
        std::iter::successors(first, next).take(most).collect()
    }
}

/// How far a schedule is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleProgress {
    /// All ticks until then have been decided about.
    pub decided_until: Timestamp,
    /// The last tick that made a task.
    pub last_tick: Option<Timestamp>,
    /// The last task that it made.
    pub last_task: Option<TaskId>,
    /// Its tasks that have not ended, oldest first; at most [`MAX_ACTIVE`] and those that were asked for beside.
    pub active: Vec<TaskId>,
    /// What waits for these to end, oldest first; at most [`MAX_WAITING`].
    pub waiting: Vec<Occasion>,
    /// What became of its ticks.
    pub counts: ScheduleCounts,
    /// The last tick that could make no task.
    pub problem: Option<Problem>,
    /// Ticks that have had their turn, whatever came of it, by spans that follow each other without a gap; at most [`MAX_MET`], the
    /// newest last. A clock that goes back meets their instants again.
    pub met: Vec<Met>,
    /// The same of the calendars that it had before; at most [`MAX_MET`], the newest last. An instant that is a tick of both has had
    /// its turn.
    pub earlier: Vec<Earlier>,
}

/// Whether the clock was set back behind what has been decided: that was decided by a clock that was wrong, and is decided anew
/// from now on.
pub fn is_ahead(decided_until: Timestamp, now: Timestamp) -> bool {
    decided_until.since(now) > MAX_BEHIND
}

/// Ticks of a calendar that had their turn one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

/// Ticks that had their turn one after another, of a calendar that a schedule has no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// When it was due.
    pub cron: String,
    /// In which zone.
    pub time_zone: String,
    /// Which ticks of it.
    pub met: Met,
}

impl Earlier {
    /// Whether this instant is one of them.
    fn has(&self, tick: Timestamp) -> bool {
        let is_tick = |calendar: Calendar| {
            calendar.next_after(Timestamp::from_unix_ms(tick.unix_ms().saturating_sub(1))) == Some(tick)
        };
        (self.met.first..=self.met.last).contains(&tick)
            && Calendar::new(&self.cron, &self.time_zone).is_ok_and(is_tick)
    }
}

/// What became of the ticks of a schedule, since it was put first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleCounts {
    /// They made a task.
    pub made: u64,
    /// Tasks that somebody asked for beside.
    pub triggered: u64,
    /// Left out, because a task of it had not ended.
    pub skipped: u64,
    /// Nobody was there, and they were not made up for; at least so many.
    pub missed: u64,
    /// They could make no task.
    pub failed: u64,
}

/// A tick that could make no task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// When it was tried.
    pub at: Timestamp,
    /// For what.
    pub occasion: Occasion,
    /// Why not; for people.
    pub reason: String,
}

/// Why a task is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// It is time.
    Tick(Timestamp),
    /// Somebody wanted it, at this instant.
    Trigger(Timestamp),
}

impl Occasion {
    /// The tick, if it is one.
    pub fn tick(self) -> Option<Timestamp> {
        match self {
            Self::Tick(tick) => Some(tick),
            Self::Trigger(_) => None,
        }
    }
}

/// Which schedule made a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleLink {
    /// Its name.
    pub name: ScheduleName,
    /// For which tick. None: somebody has triggered it.
    pub tick: Option<Timestamp>,
}

/// What becomes of an occasion to make a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// It does.
    Make,
    /// It waits until all that is active has ended.
    Wait,
    /// So it does, in the place of whatever waits, and what is active is to be cancelled.
    CancelAndWait,
    /// It is left out.
    Skip(&'static str),
}

impl ScheduleProgress {
    /// Of a schedule that is put now: earlier ticks are none of its business.
    pub fn new(now: Timestamp) -> Self {
        Self {
            decided_until: now,
            last_tick: None,
            last_task: None,
            active: Vec::new(),
            waiting: Vec::new(),
            counts: ScheduleCounts::default(),
            problem: None,
            met: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// The schedule has another calendar from now on; this was the one that it had. What has had its turn is remembered by that.
    pub fn change_calendar(&mut self, cron: &str, time_zone: &str) {
        let of = |met| Earlier { cron: cron.to_owned(), time_zone: time_zone.to_owned(), met };
        self.earlier.extend(std::mem::take(&mut self.met).into_iter().map(of));
        self.earlier.drain(..self.earlier.len().saturating_sub(MAX_MET));
    }

    /// Whether this tick has had its turn, as far as that is remembered.
    pub fn has_met(&self, tick: Timestamp) -> bool {
        self.met.iter().any(|met| (met.first..=met.last).contains(&tick))
            || self.earlier.iter().any(|earlier| earlier.has(tick))
    }

    /// Until when there is nothing to decide any more before this instant, by what has had its turn. That is later than what has
    /// been decided when a clock that was set back is set right.
    pub fn met_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.met.iter().filter(|met| met.first <= now).map(|met| met.last.min(now)).max()
    }

    /// The clock was set back to this instant, and somebody has changed the schedule then: what no clock that was right has decided
    /// is decided anew. Of what is not remembered nothing is.
    pub fn set_back(&mut self, now: Timestamp, changed_at: Timestamp) {
        let met = self.met_until(now);
        let is_forgotten = met.is_none() && self.met.len() == MAX_MET;
        let from = if is_forgotten { now } else { met.map_or(changed_at, |met| met.max(changed_at)) };
        self.decided_until = from.min(now);
    }

    /// A tick has its turn.
    pub fn meets(&mut self, tick: Timestamp, calendar: &Calendar) {
        match self.met.last_mut() {
            Some(met) if met.last < tick && calendar.next_after(met.last) == Some(tick) => met.last = tick,
            _ => {
                if self.met.len() == MAX_MET {
                    self.met.remove(0);
                }
                self.met.push(Met { first: tick, last: tick });
            }
        }
    }

    /// The first tick after this one that has not had its turn, and when it fires.
    pub fn next_fire(
        &self,
        name: &ScheduleName,
        calendar: &Calendar,
        after: Timestamp,
        jitter: Duration,
    ) -> Option<Fire> {
        let mut fire = calendar.next_fire(name, after, jitter)?;
        // Of more it is seen when their time comes.
        for _ in 0..MAX_PASSED {
            let met = self.met.iter().find(|met| (met.first..=met.last).contains(&fire.tick));
            let passed = match met {
                Some(met) => met.last,
                None if self.earlier.iter().any(|earlier| earlier.has(fire.tick)) => fire.tick,
                None => return Some(fire),
            };
            fire = calendar.next_fire(name, passed, jitter)?;
        }
        Some(fire)
    }

    /// What becomes of an occasion that comes now.
    pub fn meet(&self, overlap: Overlap) -> Meeting {
        match overlap {
            Overlap::Allow if self.active.len() >= MAX_ACTIVE => {
                Meeting::Skip("100 tasks of the schedule have not ended")
            }
            Overlap::Allow => Meeting::Make,
            // What waited then was made before.
            _ if self.active.is_empty() => Meeting::Make,
            Overlap::Skip => Meeting::Skip("a task of the schedule has not ended"),
            Overlap::Queue if self.waiting.len() >= MAX_WAITING => {
                Meeting::Skip("100 ticks of the schedule wait already")
            }
            Overlap::Queue => Meeting::Wait,
            Overlap::CancelOld => Meeting::CancelAndWait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(active: usize, waiting: usize) -> ScheduleProgress {
        let now = Timestamp::from_unix_ms(1);
        ScheduleProgress {
            active: vec![TaskId::from_bytes([7; 16]); active],
            waiting: vec![Occasion::Tick(now); waiting],
            ..ScheduleProgress::new(now)
        }
    }

    #[test]
    fn every_policy_meets_a_tick_as_it_says() {
        use Meeting::{CancelAndWait, Make, Wait};
        for (overlap, active, waiting, expected) in [
            (Overlap::Skip, 0, 0, Some(Make)),
            (Overlap::Skip, 1, 0, None),
            (Overlap::Queue, 0, 1, Some(Make)),
            (Overlap::Queue, 0, 0, Some(Make)),
            (Overlap::Queue, 1, 0, Some(Wait)),
            (Overlap::Queue, 1, MAX_WAITING - 1, Some(Wait)),
            (Overlap::Queue, 1, MAX_WAITING, None),
            (Overlap::CancelOld, 0, 0, Some(Make)),
            (Overlap::CancelOld, 1, 0, Some(CancelAndWait)),
            (Overlap::CancelOld, 1, 1, Some(CancelAndWait)),
            (Overlap::Allow, 0, 0, Some(Make)),
            (Overlap::Allow, MAX_ACTIVE - 1, 0, Some(Make)),
            (Overlap::Allow, MAX_ACTIVE, 0, None),
        ] {
            let met = progress(active, waiting).meet(overlap);
            match expected {
                Some(expected) => assert_eq!(met, expected, "{overlap} {active} {waiting}"),
                None => assert!(matches!(met, Meeting::Skip(_)), "{overlap} {active} {waiting}"),
            }
        }
    }
}
