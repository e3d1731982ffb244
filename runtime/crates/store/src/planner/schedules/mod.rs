//! Schedules: kept, changed, and looked up. What they make when it is time is in `fire`, and what becomes of a tick in `meet`.
//!
//! What comes next of each is a function of its record, and only in memory. Of a tick that makes a task, the task and the
//! schedule's progress are written in one turn.

mod fire;
mod meet;
mod query;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sunaba_task::schedule::{
    Fire, Schedule, ScheduleEvent, ScheduleHappening, ScheduleName, ScheduleProgress, ScheduleSpec,
};
use sunaba_task::{FeedEvent, Timestamp, format_duration};

use super::{Planner, Turn};
use crate::keys::schedules::{self as keys, INPUT, PROGRESS, SETTINGS};
use crate::schedules::{MAX_SCHEDULES, StoredSchedule};
use crate::{Expected, NewSchedule, ScheduleChangeError, StoreError, Triggered, codec};

/// What is in memory of the schedules.
#[derive(Default)]
pub(super) struct Schedules {
    /// All of them, what comes next of each, and how far it is; of one that cannot be read that is nowhere.
    known: BTreeMap<ScheduleName, (Option<Fire>, Option<Timestamp>)>,
    /// By when they fire.
    next: BTreeSet<(Timestamp, ScheduleName)>,
    /// By how far they are.
    decided: BTreeSet<(Timestamp, ScheduleName)>,
}

impl Schedules {
    /// Nothing fires before.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.next.first().map(|(at, _)| *at)
    }

    /// The first that fires by then.
    fn due(&self, now: Timestamp) -> Option<ScheduleName> {
        self.next.first().filter(|(at, _)| *at <= now).map(|(_, name)| name.clone())
    }

    /// The one that is furthest, and how far that is.
    fn furthest(&self) -> Option<&(Timestamp, ScheduleName)> {
        self.decided.last()
    }

    fn set(&mut self, name: &ScheduleName, next: Option<Fire>, decided_until: Timestamp) {
        self.forget(name);
        self.known.insert(name.clone(), (next, Some(decided_until)));
        self.next.extend(next.map(|fire| (fire.at, name.clone())));
        self.decided.insert((decided_until, name.clone()));
    }

    /// It cannot be read, and nothing comes of it.
    fn set_unreadable(&mut self, name: &ScheduleName) {
        self.forget(name);
        self.known.insert(name.clone(), (None, None));
    }

    fn forget(&mut self, name: &ScheduleName) {
        let Some((next, decided)) = self.known.remove(name) else { return };
        if let Some(fire) = next {
            self.next.remove(&(fire.at, name.clone()));
        }
        if let Some(decided) = decided {
            self.decided.remove(&(decided, name.clone()));
        }
    }
}

/// A schedule while a turn changes it.
struct Open {
    name: ScheduleName,
    settings: StoredSchedule,
    progress: ScheduleProgress,
}

impl Open {
    /// What comes next of it.
    fn next(&self) -> Option<Fire> {
        if self.settings.paused {
            return None;
        }
        let spec = &self.settings.spec;
        match spec.calendar() {
            Ok(calendar) => {
                let progress = &self.progress;
                progress.next_fire(&self.name, &calendar, progress.decided_until, spec.jitter)
            }
            Err(error) => {
                tracing::error!(schedule = %self.name, %error, "a schedule has no ticks");
                None
            }
        }
    }
}

impl Planner {
    /// Finds out what comes next of every schedule. One that cannot be read makes nothing until it is put again.
    pub(super) fn read_schedules(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::settings_after(None);
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, _) = pair?;
            let Some((_, name)) = keys::read(&key) else {
                tracing::error!(?key, "a schedule has no name");
                continue;
            };
            match self.open_schedule(turn, &name) {
                Ok(Some(open)) => self.schedules.set(&name, open.next(), open.progress.decided_until),
                Ok(None) => {}
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(schedule = %name, %error, "a schedule cannot be read, and makes no tasks");
                    self.schedules.set_unreadable(&name);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn open_schedule(&self, turn: &Turn<'_>, name: &ScheduleName) -> Result<Option<Open>, StoreError> {
        let key = keys::key(SETTINGS, name);
        let Some(stored) = turn.txn.get(&key)? else { return Ok(None) };
        let settings = codec::read(&key, &stored)?;
        let progress = read_progress(turn, name)?;
        Ok(Some(Open { name: name.clone(), settings, progress }))
    }

    /// The same of one that has to be there, and as it is expected.
    fn expect_schedule(
        &self,
        turn: &Turn<'_>,
        name: &ScheduleName,
        expected: Expected,
    ) -> Result<Result<Open, ScheduleChangeError>, StoreError> {
        let Some(open) = self.open_schedule(turn, name)? else {
            return Ok(Err(match expected {
                Expected::Revision(_) => ScheduleChangeError::Conflict { name: name.clone(), expected, found: None },
                _ => ScheduleChangeError::Unknown(name.clone()),
            }));
        };
        Ok(conflict(name, expected, Some(open.settings.revision)).map_or(Ok(open), Err))
    }

    pub(crate) fn put_schedule(
        &mut self,
        turn: &mut Turn<'_>,
        new: NewSchedule,
    ) -> Result<Result<Schedule, ScheduleChangeError>, StoreError> {
        turn.txn.check_room()?;
        let NewSchedule { name, mut spec, input, paused, expected, is_readmission } = new;
        let before = match self.open_schedule(turn, &name) {
            Ok(before) => before,
            // It is there to be put again.
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some(error) = conflict(&name, expected, before.as_ref().map(|open| open.settings.revision)) {
            return Ok(Err(error));
        }
        if before.is_none() && self.schedules.known.len() >= MAX_SCHEDULES && !self.schedules.known.contains_key(&name)
        {
            return Ok(Err(ScheduleChangeError::TooMany));
        }
        if let Err(error) = spec.check(turn.now) {
            return Ok(Err(error.into()));
        }
        let task = &spec.task.spec;
        if let Some(active) = self.shelves.active(&task.handler.package).filter(|it| it.component != task.component) {
            return Ok(Err(ScheduleChangeError::Unchecked { active: Box::new(active.clone()) }));
        }
        if is_readmission {
            // Nobody has asked for another: the deploy that it follows is what was changed.
            turn.change = None;
        }
        if let Some(open) = before.as_ref().filter(|open| paused.is_none_or(|paused| paused == open.settings.paused))
            && open.settings.spec == spec
            && query::input_of(turn, open).is_ok_and(|stored| stored == input)
        {
            let next = open.next();
            return Ok(Ok(shown(before.expect("it was just looked at"), next)));
        }
        let told_before = before.as_ref().and_then(|open| told(&open.settings));
        let is_new = before.is_none();
        let now = turn.now;
        let mut open = match before {
            Some(Open { settings, mut progress, .. }) => {
                let paused = paused.unwrap_or(settings.paused);
                // A tick that has come and waits for its jitter is not lost to another change.
                if !spec.has_the_ticks_of(&settings.spec) {
                    progress.decided_until = now;
                    progress.change_calendar(&settings.spec.cron, &settings.spec.time_zone);
                } else if settings.paused {
                    progress.decided_until = now;
                }
                let (revision, updated_at) = if is_readmission {
                    (settings.revision, settings.updated_at)
                } else {
                    (settings.revision + 1, now)
                };
                let settings = StoredSchedule { revision, spec, paused, updated_at, ..settings };
                Open { name, settings, progress }
            }
            None => {
                let paused = paused.unwrap_or(false);
                let settings = StoredSchedule { revision: 1, spec, paused, created_at: now, updated_at: now };
                Open { name, settings, progress: ScheduleProgress::new(now) }
            }
        };
        turn.txn.put(keys::key(INPUT, &open.name), codec::write_bytes(&input.bytes));
        turn.txn.put(keys::key(SETTINGS, &open.name), codec::write(&open.settings));
        if !is_readmission {
            let what = if is_new { ScheduleHappening::Created } else { ScheduleHappening::Updated };
            self.tell_of_schedule(turn, &open.name, what);
        }
        turn.note_change(|| (told_before, told(&open.settings)));
        self.let_go(turn, &mut open)?;
        Ok(Ok(self.close_schedule(turn, open)))
    }

    pub(crate) fn pause_schedule(
        &mut self,
        turn: &mut Turn<'_>,
        name: &ScheduleName,
        paused: bool,
        expected: Expected,
    ) -> Result<Result<Schedule, ScheduleChangeError>, StoreError> {
        let mut open = match self.expect_schedule(turn, name, expected)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        if open.settings.paused == paused {
            let next = open.next();
            return Ok(Ok(shown(open, next)));
        }
        let before = told(&open.settings);
        open.settings.paused = paused;
        open.settings.revision += 1;
        open.settings.updated_at = turn.now;
        turn.note_change(|| (before, told(&open.settings)));
        turn.txn.put(keys::key(SETTINGS, name), codec::write(&open.settings));
        let what = if paused { ScheduleHappening::Paused } else { ScheduleHappening::Resumed };
        self.tell_of_schedule(turn, name, what);
        if !paused {
            open.progress.decided_until = turn.now;
            self.let_go(turn, &mut open)?;
        }
        Ok(Ok(self.close_schedule(turn, open)))
    }

    pub(crate) fn trigger_schedule(
        &mut self,
        turn: &mut Turn<'_>,
        name: &ScheduleName,
    ) -> Result<Result<Triggered, ScheduleChangeError>, StoreError> {
        let open = match self.expect_schedule(turn, name, Expected::Any)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        self.trigger(turn, open)
    }

    pub(crate) fn delete_schedule(
        &mut self,
        turn: &mut Turn<'_>,
        name: &ScheduleName,
        expected: Expected,
    ) -> Result<Result<Schedule, ScheduleChangeError>, StoreError> {
        let open = match self.expect_schedule(turn, name, expected)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        turn.note_change(|| (told(&open.settings), None));
        for what in [SETTINGS, PROGRESS, INPUT] {
            turn.txn.delete(keys::key(what, name));
        }
        self.schedules.forget(name);
        self.tell_of_schedule(turn, name, ScheduleHappening::Deleted);
        Ok(Ok(shown(open, None)))
    }

    /// Writes how far a schedule is, and remembers what comes next.
    fn close_schedule(&mut self, turn: &mut Turn<'_>, open: Open) -> Schedule {
        let next = open.next();
        turn.txn.put(keys::key(PROGRESS, &open.name), codec::write(&open.progress));
        self.schedules.set(&open.name, next, open.progress.decided_until);
        shown(open, next)
    }

    /// Notes what happened to a schedule.
    fn tell_of_schedule(&self, turn: &mut Turn<'_>, name: &ScheduleName, what: ScheduleHappening) {
        let sequence = self.feed.following(turn);
        turn.told.push(FeedEvent::Schedule(ScheduleEvent { sequence, at: turn.now, schedule: name.clone(), what }));
    }
}

/// What was asked for, as the log of changes has it: not what its tasks get, which may be anything.
fn told(settings: &StoredSchedule) -> Option<Value> {
    let StoredSchedule { revision, spec, paused, .. } = settings;
    let ScheduleSpec { cron, time_zone, overlap, catch_up, jitter, task } = spec;
    Some(serde_json::json!({
        "revision": revision,
        "cron": cron,
        "time_zone": time_zone,
        "overlap": overlap.to_string(),
        "catch_up": catch_up.to_string(),
        "jitter": format_duration(*jitter),
        "paused": paused,
        "handler": task.spec.handler.to_string(),
        "queue": task.spec.queue,
    }))
}

fn read_progress(turn: &Turn<'_>, name: &ScheduleName) -> Result<ScheduleProgress, StoreError> {
    let key = keys::key(PROGRESS, name);
    let stored = turn.txn.get(&key)?.ok_or_else(|| codec::damaged(&key, "it is not there".into()))?;
    codec::read(&key, &stored)
}

/// Why a change is not made, if what there is is not what was expected.
fn conflict(name: &ScheduleName, expected: Expected, found: Option<u64>) -> Option<ScheduleChangeError> {
    let is_expected = match expected {
        Expected::Any => true,
        Expected::Absent => found.is_none(),
        Expected::Revision(revision) => found == Some(revision),
    };
    (!is_expected).then(|| ScheduleChangeError::Conflict { name: name.clone(), expected, found })
}

fn shown(Open { name, settings, progress }: Open, next: Option<Fire>) -> Schedule {
    let StoredSchedule { revision, spec, paused, created_at, updated_at } = settings;
    Schedule { name, revision, spec, paused, created_at, updated_at, progress, next }
}
