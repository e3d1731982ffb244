//! What becomes of a tick or of a trigger: a task, a place to wait at, or nothing but a note.

use serde_json::Value;
use sunaba_task::schedule::{Meeting, Occasion, Problem, ScheduleHappening, ScheduleLink, ScheduleName};
use sunaba_task::{NewTask, Task, TaskId, When};

use super::super::{Planner, Turn};
use super::query::input_of;
use super::{Open, PROGRESS, keys};
use crate::{CancelWish, ScheduleChangeError, StoreError, Triggered, codec};

const OVERTAKEN: &str = "a newer tick has taken its place";

impl Planner {
    /// Does with a tick what the schedule's policy says. The schedule as it is then; its progress is still to be written.
    pub(super) fn meet(
        &mut self,
        turn: &mut Turn<'_>,
        mut open: Open,
        occasion: Occasion,
    ) -> Result<Option<Open>, StoreError> {
        self.drop_ended(turn, &mut open)?;
        self.let_go(turn, &mut open)?;
        match open.progress.meet(open.settings.spec.overlap) {
            Meeting::Make => {
                // If it fails, that is noted.
                let _ = self.make_scheduled(turn, &mut open, occasion)?;
            }
            Meeting::Wait => self.wait(turn, &mut open, occasion),
            Meeting::CancelAndWait => return self.cancel_and_wait(turn, open, occasion),
            Meeting::Skip(reason) => self.skip(turn, &mut open, occasion, reason),
        }
        Ok(Some(open))
    }

    pub(super) fn trigger(
        &mut self,
        turn: &mut Turn<'_>,
        mut open: Open,
    ) -> Result<Result<Triggered, ScheduleChangeError>, StoreError> {
        let (occasion, name) = (Occasion::Trigger(turn.now), open.name.clone());
        self.drop_ended(turn, &mut open)?;
        self.let_go(turn, &mut open)?;
        let before = open.progress.last_task;
        match open.progress.meet(open.settings.spec.overlap) {
            Meeting::Skip(reason) => {
                self.close_schedule(turn, open);
                return Ok(Err(ScheduleChangeError::Overlap { name, reason: reason.to_owned() }));
            }
            Meeting::Make => {
                if let Err(reason) = self.make_scheduled(turn, &mut open, occasion)? {
                    self.close_schedule(turn, open);
                    return Ok(Err(ScheduleChangeError::Failed { name, reason }));
                }
            }
            Meeting::Wait => self.wait(turn, &mut open, occasion),
            Meeting::CancelAndWait => {
                open = match self.cancel_and_wait(turn, open, occasion)? {
                    Some(open) => open,
                    None => return Ok(Err(ScheduleChangeError::Unknown(name))),
                };
            }
        }
        let made = open.progress.last_task.filter(|made| Some(*made) != before);
        turn.note_change(|| (None, made.map(|made| Value::from(format!("task {made}")))));
        let task = made.map(|made| self.stored(turn, made)).transpose()?.flatten().map(|stored| stored.task);
        Ok(Ok(Triggered { schedule: self.close_schedule(turn, open), task }))
    }

    /// A task that a schedule has made has ended: what waits for that is made.
    pub(in super::super) fn task_of_schedule_ended(
        &mut self,
        turn: &mut Turn<'_>,
        name: &ScheduleName,
        task: TaskId,
    ) -> Result<(), StoreError> {
        let mut open = match self.open_schedule(turn, name) {
            Ok(Some(open)) => open,
            Ok(None) => return Ok(()),
            // That the task has ended is true all the same.
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(schedule = %name, %error, "a schedule is not told that its task has ended");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let before = open.progress.active.len();
        open.progress.active.retain(|active| *active != task);
        if open.progress.active.len() < before {
            self.let_go(turn, &mut open)?;
            turn.txn.put(keys::key(PROGRESS, name), codec::write(&open.progress));
        }
        Ok(())
    }

    /// Makes what has waited until nothing is active, one after another until something is.
    pub(super) fn let_go(&mut self, turn: &mut Turn<'_>, open: &mut Open) -> Result<(), StoreError> {
        while open.progress.active.is_empty() {
            // While it is paused only what somebody has asked for.
            let is_free = |waiting: &Occasion| !open.settings.paused || waiting.tick().is_none();
            let Some(place) = open.progress.waiting.iter().position(is_free) else { return Ok(()) };
            let occasion = open.progress.waiting.remove(place);
            // If it fails, that is noted, and the next one's turn comes.
            let _ = self.make_scheduled(turn, open, occasion)?;
        }
        Ok(())
    }

    fn wait(&mut self, turn: &mut Turn<'_>, open: &mut Open, occasion: Occasion) {
        open.progress.waiting.push(occasion);
        self.tell_of_schedule(turn, &open.name, ScheduleHappening::Waiting { occasion });
    }

    fn skip(&mut self, turn: &mut Turn<'_>, open: &mut Open, occasion: Occasion, reason: &str) {
        open.progress.counts.skipped += 1;
        let what = ScheduleHappening::Skipped { occasion, reason: reason.to_owned() };
        self.tell_of_schedule(turn, &open.name, what);
    }

    /// Cancels what is active. What has not begun ends at once, and with it the wait.
    fn cancel_and_wait(
        &mut self,
        turn: &mut Turn<'_>,
        mut open: Open,
        occasion: Occasion,
    ) -> Result<Option<Open>, StoreError> {
        for overtaken in std::mem::take(&mut open.progress.waiting) {
            self.skip(turn, &mut open, overtaken, OVERTAKEN);
        }
        self.wait(turn, &mut open, occasion);
        let (active, name) = (open.progress.active.clone(), open.name.clone());
        // The end of each looks at what is written.
        turn.txn.put(keys::key(PROGRESS, &name), codec::write(&open.progress));
        let wish = CancelWish { reason: format!("the schedule `{name}` has made another"), grace: None };
        for task in active {
            match self.cancel_one(turn, task, &wish) {
                Ok(_) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.open_schedule(turn, &name)
    }

    /// Leaves out of what is active whatever has ended, or cannot be read any more: that would hold the schedule up for ever.
    fn drop_ended(&mut self, turn: &Turn<'_>, open: &mut Open) -> Result<(), StoreError> {
        let mut active = Vec::with_capacity(open.progress.active.len());
        for id in std::mem::take(&mut open.progress.active) {
            match self.stored(turn, id) {
                Ok(Some(stored)) if !stored.task.state.is_terminal() => active.push(id),
                Ok(_) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        open.progress.active = active;
        Ok(())
    }

    /// Makes the task of a tick or a trigger. If there can be none, that is noted, and the reason given.
    fn make_scheduled(
        &mut self,
        turn: &mut Turn<'_>,
        open: &mut Open,
        occasion: Occasion,
    ) -> Result<Result<Task, String>, StoreError> {
        let new = match self.scheduled_task(turn, open) {
            Ok(Ok(new)) => new,
            Ok(Err(reason)) => return Ok(Err(self.note_problem(turn, open, occasion, reason))),
            Err(error @ (StoreError::Damaged { .. } | StoreError::NoRoom { .. })) => {
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                return Ok(Err(self.note_problem(turn, open, occasion, reason)));
            }
            Err(error) => return Err(error),
        };
        let link = ScheduleLink { name: open.name.clone(), tick: occasion.tick() };
        let task = self.take_on_with(turn, &new, |task| Task { schedule: Some(Box::new(link)), ..task })?;
        let progress = &mut open.progress;
        progress.active.push(task.id);
        progress.last_task = Some(task.id);
        match occasion {
            Occasion::Tick(tick) => {
                progress.last_tick = Some(tick);
                progress.counts.made += 1;
            }
            Occasion::Trigger(_) => progress.counts.triggered += 1,
        }
        self.tell_of_schedule(turn, &open.name, ScheduleHappening::Fired { occasion, task: task.id });
        Ok(Ok(task))
    }

    fn note_problem(&mut self, turn: &mut Turn<'_>, open: &mut Open, occasion: Occasion, reason: String) -> String {
        tracing::warn!(schedule = %open.name, reason, "a schedule could make no task");
        open.progress.counts.failed += 1;
        open.progress.problem = Some(Problem { at: turn.now, occasion, reason: reason.clone() });
        self.tell_of_schedule(turn, &open.name, ScheduleHappening::Failed { occasion, reason: reason.clone() });
        reason
    }

    /// What a submit would be that was made now; or why it would be refused.
    fn scheduled_task(&self, turn: &Turn<'_>, open: &Open) -> Result<Result<NewTask, String>, StoreError> {
        turn.txn.check_room()?;
        let task = &open.settings.spec.task;
        let mut spec = task.spec.clone();
        // What no package has is of the host's own program.
        if let Some(active) = self.shelves.active(&spec.handler.package) {
            let (handler, version) = (&spec.handler, active.version);
            if active.handler(&handler.handler).is_none() {
                return Ok(Err(format!(
                    "version {version} of the package `{}` has no handler `{}`",
                    active.name, handler.handler
                )));
            }
            if !self.takes_the_same(turn, &spec, active) {
                return Ok(Err(format!(
                    "`{handler}` of version {version} takes another input than the schedule was put with"
                )));
            }
            spec.component = active.component;
        }
        if let Some((waiting, limit)) = self.lanes.overflow(&spec.queue) {
            let queue = &spec.queue;
            return Ok(Err(format!("{waiting} tasks wait in the queue `{queue}`, and its greatest depth is {limit}")));
        }
        let input = input_of(turn, open)?;
        let (expires, callbacks) = (task.expires.map(When::After), task.callbacks.clone());
        Ok(Ok(NewTask { expires, callbacks, ..NewTask::new(spec, input) }))
    }
}
