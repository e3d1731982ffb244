//! What schedules make when it is time.

use sunaba_task::Timestamp;
use sunaba_task::schedule::{Due, Occasion, ScheduleHappening, is_ahead};

use super::super::{Planner, Turn};
use super::Open;
use crate::StoreError;

/// Schedules that fire in one turn; more do in the next.
const MAX_FIRED: usize = 100;
/// Ticks that a turn looks at before it leaves the other schedules to the next.
const MAX_LOOKS: u64 = 2_000;
/// Missed ticks of one schedule that a turn makes up for; the others follow in the next.
const MAX_MADE: usize = 64;

impl Planner {
    /// Makes the tasks of all ticks that are due.
    pub(in super::super) fn fire_schedules(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        self.set_back(turn)?;
        let mut looks = 0;
        for _ in 0..MAX_FIRED {
            let Some(name) = self.schedules.due(turn.now).filter(|_| looks < MAX_LOOKS) else { return Ok(()) };
            match self.open_schedule(turn, &name) {
                Ok(Some(open)) => looks += self.fire(turn, open)?,
                Ok(None) => self.schedules.forget(&name),
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(schedule = %name, %error, "a schedule cannot be read, and makes no tasks");
                    self.schedules.set_unreadable(&name);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes back how far schedules are of which the clock says now that they are ahead of it. What has had its turn is remembered.
    fn set_back(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        for _ in 0..MAX_FIRED {
            let Some((decided, name)) = self.schedules.furthest().cloned() else { return Ok(()) };
            if !is_ahead(decided, turn.now) {
                return Ok(());
            }
            match self.open_schedule(turn, &name) {
                Ok(Some(mut open)) => {
                    let now = turn.now;
                    tracing::warn!(schedule = %name, %decided, %now, "the clock was set back, and ticks are decided anew");
                    open.progress.set_back(now, open.settings.updated_at);
                    self.close_schedule(turn, open);
                }
                Ok(None) => self.schedules.forget(&name),
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(schedule = %name, %error, "a schedule cannot be read, and makes no tasks");
                    self.schedules.set_unreadable(&name);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the clock was set back behind a schedule: it is looked at in the next turn at once.
    pub(in super::super) fn has_schedules_ahead(&self, now: Timestamp) -> bool {
        self.schedules.furthest().is_some_and(|(decided, _)| is_ahead(*decided, now))
    }

    /// Makes the tasks of the ticks of one schedule; how many ticks were looked at.
    fn fire(&mut self, turn: &mut Turn<'_>, mut open: Open) -> Result<u64, StoreError> {
        let (spec, decided) = (&open.settings.spec, open.progress.decided_until);
        let decided = open.progress.met_until(turn.now).map_or(decided, |met| met.max(decided));
        let calendar = spec.calendar().ok();
        let has_met = |tick: &Timestamp| open.progress.has_met(*tick);
        let Due { mut made, missed, newest } = match &calendar {
            Some(calendar) => calendar.due(&open.name, (decided, turn.now), spec.jitter, spec.catch_up, has_met),
            None => Due::default(),
        };
        let looks = missed + made.len() as u64 + 1;
        if missed > 0 {
            open.progress.counts.missed += missed;
            let until = made.first().or(newest.as_ref()).copied().unwrap_or(turn.now);
            self.tell_of_schedule(turn, &open.name, ScheduleHappening::Missed { ticks: missed, until });
        }
        let is_all = made.len() <= MAX_MADE;
        made.truncate(MAX_MADE);
        open.progress.decided_until = if is_all { newest } else { made.last().copied() }.unwrap_or(turn.now);
        for tick in made {
            // Before anything of it is written: a cancel on the way reads that again.
            calendar.iter().for_each(|calendar| open.progress.meets(tick, calendar));
            open = match self.meet(turn, open, Occasion::Tick(tick))? {
                Some(open) => open,
                // It is gone; nobody else changes schedules meanwhile.
                None => return Ok(looks),
            };
        }
        self.close_schedule(turn, open);
        Ok(looks)
    }
}
