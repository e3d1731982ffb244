//! What jobs may spend: attempts and fuel, looked at when one of their tasks is leased, and time.

use sunaba_task::job::{Budget, BudgetName, JobCause, JobId, JobState, NoFuel};
use sunaba_task::{Fuel, StateName};

use super::super::{Planner, Stored, Turn};
use super::Chore;
use crate::{Runs, StoreError, keys};

/// Jobs whose time is over that are stopped in one turn; more in the next.
const MAX_LATE: usize = 1_000;

/// What a job lets one of its tasks do.
pub(in super::super) enum Allowed {
    /// To run. What of the job's fuel is its own until it has ended.
    Run { reserved_fuel: u64 },
    /// To wait until another of them has ended.
    Wait,
    /// Nothing: its job is stopped.
    Nothing(Box<Stored>),
}

impl Planner {
    /// What the job of a task lets it do now; limits its fuel by that. What undoes a task is not held to budgets: they may be
    /// what the job ends for.
    pub(in super::super) fn allowed(
        &mut self,
        turn: &Turn<'_>,
        stored: &Stored,
        runs: &mut Runs,
    ) -> Result<Allowed, StoreError> {
        let link = stored.task.job.as_ref().filter(|link| !link.undoes);
        let Some(id) = link.map(|link| link.job) else { return Ok(Allowed::Run { reserved_fuel: 0 }) };
        let reserved = self.jobs.reserved_fuel.get(&id).copied().unwrap_or(0);
        let Some(job) = self.job_ref(turn, id)? else { return Ok(Allowed::Run { reserved_fuel: 0 }) };
        if job.spec.budget.attempts.is_some_and(|limit| job.spent.attempts >= limit) {
            return self.spent(turn, stored, id, BudgetName::Attempts);
        }
        if job.spec.budget.fuel.is_none() {
            return Ok(Allowed::Run { reserved_fuel: 0 });
        }
        let own = match runs.limits.fuel {
            Fuel::Exact { limit } => limit,
            Fuel::Off => None,
        };
        match job.spent.fuel_for(&job.spec.budget, reserved, own, job.tasks.unfinished()) {
            Err(NoFuel::Wait) => Ok(Allowed::Wait),
            Err(NoFuel::Spent) => self.spent(turn, stored, id, BudgetName::Fuel),
            Ok(limit) => {
                runs.limits.fuel = Fuel::Exact { limit };
                Ok(Allowed::Run { reserved_fuel: limit.unwrap_or(0) })
            }
        }
    }

    /// Stops a job that has spent a budget when none of its attempts runs that could be its last, and nothing is left that could
    /// end it without another one: somebody who completes a task, or what is still to be done for it.
    pub(super) fn end_if_spent(&mut self, turn: &Turn<'_>, id: JobId) -> Result<(), StoreError> {
        let has_chores = self.has_chores();
        let Some(job) = self.job_ref(turn, id)?.filter(|job| !has_chores && job.tasks.awaiting == 0) else {
            return Ok(());
        };
        let Budget { attempts, fuel, .. } = &job.spec.budget;
        let waits = job.tasks.unfinished() > 0 && job.tasks.in_state(StateName::Running) == 0;
        if !waits || job.state.is_terminal() || job.state == JobState::Compensating || job.is_stopping() {
            return Ok(());
        }
        let name = match () {
            () if attempts.is_some_and(|limit| job.spent.attempts >= limit) => BudgetName::Attempts,
            () if fuel.is_some_and(|limit| job.spent.fuel >= limit) => BudgetName::Fuel,
            () => return Ok(()),
        };
        self.end_for(turn, id, name)
    }

    /// Stops a job that has spent a budget.
    pub(super) fn end_for(&mut self, turn: &Turn<'_>, id: JobId, name: BudgetName) -> Result<(), StoreError> {
        if let Some(job) = self.job_mut(turn, id)? {
            job.end_for(JobCause::Budget(name));
            self.jobs.chores.push(Chore::Stop { job: id, parent: None, after: None });
        }
        Ok(())
    }

    fn spent(&mut self, turn: &Turn<'_>, stored: &Stored, id: JobId, name: BudgetName) -> Result<Allowed, StoreError> {
        self.end_for(turn, id, name)?;
        Ok(Allowed::Nothing(Box::new(stored.clone())))
    }

    pub(in super::super) fn reserve_fuel(&mut self, stored: &Stored, fuel: u64) {
        if let Some(link) = stored.task.job.as_ref().filter(|_| fuel > 0) {
            *self.jobs.reserved_fuel.entry(link.job).or_default() += fuel;
        }
    }

    pub(in super::super) fn release_fuel(&mut self, stored: &Stored, fuel: u64) {
        if let Some(link) = stored.task.job.as_ref().filter(|_| fuel > 0)
            && let Some(reserved) = self.jobs.reserved_fuel.get_mut(&link.job)
        {
            *reserved = reserved.saturating_sub(fuel);
            if *reserved == 0 {
                self.jobs.reserved_fuel.remove(&link.job);
            }
        }
    }

    /// Stops jobs whose time is over, and tells of those whose time is low.
    pub(in super::super) fn stop_late_jobs(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        if self.jobs.next_deadline.is_none_or(|at| at > turn.now) {
            return Ok(());
        }
        let (first, _) = keys::all(b'B');
        let end = keys::job_deadline(turn.now, JobId::from_bytes([u8::MAX; 16]));
        let late: Vec<_> = turn.txn.scan(&first, &end, false).take(MAX_LATE).collect::<Result<_, _>>()?;
        for (key, _) in late {
            turn.txn.delete(key.to_vec());
            let id = keys::id_of(&key).map(|id| JobId::from_bytes(*id.as_bytes()));
            if let Some(id) = id
                && let Some(job) = self.job_mut(turn, id)?.filter(|job| job.can_be_stopped())
                && job.deadline().is_some_and(|at| at <= turn.now)
            {
                self.end_for(turn, id, BudgetName::Time)?;
            }
        }
        self.read_next_deadline(turn)
    }

    pub(in super::super) fn read_next_deadline(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'B');
        self.jobs.next_deadline = turn.txn.first(&first, &end)?.and_then(|(key, _)| keys::due_at(&key));
        Ok(())
    }
}
