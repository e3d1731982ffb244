//! What jobs may spend: attempts, fuel and bytes of artifacts, looked at when one of their tasks is leased, and time.

use sunaba_task::job::{Budget, BudgetName, Cut, JobCause, JobId, JobState, NoFuel, Reserved};
use sunaba_task::{Fuel, Limits, StateName, Task};

use super::super::{Planner, Stored, Turn};
use super::Chore;
use crate::{Runs, StoreError, keys};

/// Jobs whose time is over that are stopped in one turn; more in the next.
const MAX_LATE: usize = 1_000;

/// What a job lets one of its tasks do.
pub(in super::super) enum Allowed {
    /// To run. What of the job's budgets is its own until it has ended.
    Run(Reserved),
    /// To wait until another of them has ended.
    Wait,
    /// Nothing: its job is stopped.
    Nothing(Box<Stored>),
}

impl Planner {
    /// What a task and its job let it do now; limits its fuel and its artifacts by that. What undoes a task is not held to budgets: they may be
    /// what the job ends for.
    pub(in super::super) fn allowed(
        &mut self,
        turn: &Turn<'_>,
        stored: &Stored,
        runs: &mut Runs,
    ) -> Result<Allowed, StoreError> {
        if let (Some(left), Fuel::Exact { limit }) = (stored.task.fuel_left(), runs.limits.fuel) {
            // No limit is nothing; whoever has no fuel left is stopped at once.
            let limit = Some(limit.map_or(left, |own| own.min(left)).max(1));
            runs.limits.fuel = Fuel::Exact { limit };
        }
        let link = stored.task.job.as_ref().filter(|link| !link.undoes);
        let Some(id) = link.map(|link| link.job) else { return Ok(Allowed::Run(Reserved::default())) };
        let reserved = self.jobs.reserved.get(&id).copied().unwrap_or_default();
        let Some(job) = self.job_ref(turn, id)? else { return Ok(Allowed::Run(Reserved::default())) };
        if job.spec.budget.attempts.is_some_and(|limit| job.spent.attempts >= limit) {
            return self.spent(turn, stored, id, BudgetName::Attempts);
        }
        let (budget, spent) = (&job.spec.budget, &job.spent);
        // Those that wait for others spend nothing meanwhile: in a chain each has all that is left.
        let sharing = job.tasks.unfinished().saturating_sub(job.tasks.in_state(StateName::Blocked));
        let mut gets = Reserved::default();
        if budget.artifact_bytes.is_some() {
            let (own, shares) = (runs.limits.artifact_bytes, shares_artifacts(&stored.task));
            match spent.artifact_bytes_for(budget, reserved.artifact_bytes, own, shares, sharing) {
                None => return Ok(Allowed::Wait),
                Some((limit, cut)) => (gets.artifact_bytes, gets.cut_artifacts) = (limit, cut),
            }
        }
        if let Some(all) = budget.fuel {
            let own = match runs.limits.fuel {
                Fuel::Exact { limit } => limit,
                Fuel::Off => None,
            };
            let shares = stored.task.may_share(BudgetName::Fuel);
            match spent.fuel_for(budget, reserved.fuel, own, shares, sharing) {
                Err(NoFuel::Wait) => return Ok(Allowed::Wait),
                Err(NoFuel::Spent) => return self.spent(turn, stored, id, BudgetName::Fuel),
                Ok(limit) => {
                    gets.fuel = limit.unwrap_or(0);
                    gets.cut_fuel = Cut::of(own, gets.fuel, all.saturating_sub(spent.fuel));
                    runs.limits.fuel = Fuel::Exact { limit };
                }
            }
        }
        if budget.artifact_bytes.is_some() {
            runs.limits.artifact_bytes = gets.artifact_bytes;
        }
        Ok(Allowed::Run(gets))
    }

    /// Stops the job of a task whose attempt was stopped because it had spent all that there was for it.
    pub(in super::super) fn end_if_hit(
        &mut self,
        turn: &Turn<'_>,
        task: &Task,
        hit: Option<BudgetName>,
    ) -> Result<(), StoreError> {
        let (Some(name), Some(link)) = (hit, &task.job) else { return Ok(()) };
        let Some(job) = self.job_ref(turn, link.job)? else { return Ok(()) };
        if job.state.is_terminal() || job.state == JobState::Compensating || job.is_stopping() {
            return Ok(());
        }
        self.end_for(turn, link.job, name)
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

    pub(in super::super) fn reserve(&mut self, stored: &Stored, gets: Reserved) {
        if let Some(link) = stored.task.job.as_ref().filter(|_| gets.fuel > 0 || gets.artifact_bytes > 0) {
            let all = self.jobs.reserved.entry(link.job).or_default();
            all.fuel = all.fuel.saturating_add(gets.fuel);
            all.artifact_bytes = all.artifact_bytes.saturating_add(gets.artifact_bytes);
        }
    }

    pub(in super::super) fn give_back(&mut self, stored: &Stored, got: Reserved) {
        if let Some(link) = &stored.task.job
            && let Some(all) = self.jobs.reserved.get_mut(&link.job)
        {
            all.fuel = all.fuel.saturating_sub(got.fuel);
            all.artifact_bytes = all.artifact_bytes.saturating_sub(got.artifact_bytes);
            if all.fuel == 0 && all.artifact_bytes == 0 {
                self.jobs.reserved.remove(&link.job);
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

/// Whether a task shares what is left for artifacts with others: nobody has said what it may write, and it was not stopped for
/// that yet.
fn shares_artifacts(task: &Task) -> bool {
    task.may_share(BudgetName::ArtifactBytes) && task.spec.limits.artifact_bytes == Limits::default().artifact_bytes
}
