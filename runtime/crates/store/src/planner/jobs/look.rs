//! Looks for jobs that are stuck, now and then: what a turn touches is looked at in that turn, and this finds what none touches.

use std::time::Duration;

use sunaba_task::TaskId;
use sunaba_task::job::JobId;

use super::super::{Planner, Turn};
use crate::{StoreError, keys};

/// From one look to the next, by the clock's `elapsed`.
const INTERVAL: Duration = Duration::from_secs(60);
/// Tasks that wait for others that one step looks at; more in the next turn.
const MAX_LOOKS: usize = 500;

/// Where a look goes on.
#[derive(Default)]
pub(in super::super) struct Look {
    /// After this key.
    after: Option<Vec<u8>>,
}

impl Planner {
    /// Whether a look is not over yet.
    pub(in super::super) fn is_looking(&self) -> bool {
        self.jobs.look.after.is_some()
    }

    pub(in super::super) fn begin_looks(&mut self, turn: &Turn<'_>) {
        self.jobs.next_look = Some(turn.elapsed.saturating_add(INTERVAL));
    }

    /// Has every job end that has tasks which wait for others, and nothing that could move it on.
    pub(in super::super) fn look_for_stuck(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        // With chores left, nobody can tell yet.
        if self.jobs.next_look.is_none_or(|at| at > turn.elapsed) || self.has_chores() {
            return Ok(());
        }
        let end = [b'd' + 1];
        let from = self.jobs.look.after.take().unwrap_or_else(|| keys::blocked(0));
        let page: Vec<_> = turn.txn.scan(&from, &end, false).take(MAX_LOOKS).collect::<Result<_, _>>()?;
        let mut last: Option<JobId> = None;
        for (_, value) in &page {
            let id = keys::read_due(value).map(|due| due.id);
            // Tasks that were made together stand together.
            let job = id.map(|id| self.job_of(turn, id)).transpose()?.flatten().filter(|job| last != Some(*job));
            if let Some(job) = job {
                last = Some(job);
                if self.job_ref(turn, job)?.is_some() {
                    self.end_if_stuck(turn, job)?;
                }
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == MAX_LOOKS => self.jobs.look.after = Some([&key[..], &[0]].concat()),
            _ => self.begin_looks(turn),
        }
        Ok(())
    }

    fn job_of(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<JobId>, StoreError> {
        Ok(self.readable(turn, id)?.and_then(|stored| stored.task.job).map(|link| link.job))
    }
}
