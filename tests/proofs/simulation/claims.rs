//! What must hold of every job once all is over, by its record, its tasks, and what was asked for.

use std::collections::{BTreeMap, BTreeSet};

use sunaba_runtime::store::{CancelWish, PlanQuery, Store as _};
use sunaba_runtime::task::job::{BudgetName, Job, JobCause, JobId, JobLink, JobState, NodeName, OnFailure};
use sunaba_runtime::task::{Cause, Ending, Origin, Payload, Policy, State, StateName, Task, TaskId, Verdict};

use super::book::Book;
use super::journal::{Fault, Journal};
use super::link::Link;
use super::order::could_run;
use super::shapes::Wanted;

pub(super) async fn check(journal: &Journal, book: &Book, link: &Link) {
    let (tasks, jobs) = (book.history().1, book.jobs.ended());
    check_names(journal, &jobs);
    for job in jobs.values() {
        let of_job = |task: &&Task| task.job.as_ref().is_some_and(|link| link.job == job.id);
        let tasks = tasks.values().filter(of_job).map(|task| (task.id, task)).collect();
        let ended = Ended { journal, book, link, job, jobs: &jobs, tasks };
        ended.check().await;
    }
}

/// A job that was asked for once is there once, but for those that were made in its stead.
fn check_names(journal: &Journal, jobs: &BTreeMap<JobId, Job>) {
    let mut first = BTreeMap::new();
    for job in jobs.values().filter(|job| !job.is_founded) {
        match job.origin {
            Some(old) if jobs.get(&old).is_some_and(|old| old.spec.name == job.spec.name) => {}
            Some(old) => journal.problem(format_args!("job {} is {old} over again, which is not there", job.id)),
            None => {
                if let Some(other) = first.insert(&job.spec.name, job.id) {
                    journal.problem(format_args!("`{}` is there as {other} and as {}", job.spec.name, job.id));
                }
            }
        }
    }
}

/// A job that has ended, with all of its tasks.
struct Ended<'e> {
    journal: &'e Journal,
    book: &'e Book,
    link: &'e Link,
    job: &'e Job,
    jobs: &'e BTreeMap<JobId, Job>,
    tasks: BTreeMap<TaskId, &'e Task>,
}

fn place(task: &Task) -> &JobLink {
    task.job.as_ref().expect("it is of a job")
}

fn last_verdict(task: &Task) -> Option<Verdict> {
    task.attempts.last().map(|last| last.decision.verdict)
}

impl<'e> Ended<'e> {
    fn claim(&self, holds: bool, what: std::fmt::Arguments<'_>) {
        if !holds {
            self.journal.problem(format_args!("job {}: {what}: {:?}", self.job.id, self.job));
        }
    }

    async fn check(&self) {
        self.counts();
        self.budgets();
        self.cause();
        self.undoing();
        self.plan(None, self.job.is_stopping());
        self.is_listed().await;
        self.outputs().await;
    }

    /// Its plans are found by those who go through them.
    async fn is_listed(&self) {
        let (mut found, mut plans) = (0, vec![None]);
        while let Some(parent) = plans.pop() {
            let query = PlanQuery { parent, ..PlanQuery::of(self.job.id, 100) };
            let tasks = match self.link.plan(query).await {
                Ok(page) => page.tasks,
                Err(error) => return self.claim(false, format_args!("its plan cannot be read: {error}")),
            };
            let known = tasks.iter().filter(|task| self.tasks.contains_key(&task.id)).count();
            found += known;
            self.claim(known == tasks.len(), format_args!("{parent:?} has tasks that nobody knows"));
            let has_more = |task: &&Task| task.has_children || place(task).can_be_undone;
            plans.extend(tasks.iter().filter(has_more).map(|task| Some(task.id)));
        }
        self.claim(found == self.tasks.len(), format_args!("{found} tasks of {} are found", self.tasks.len()));
    }

    fn counts(&self) {
        let Job { tasks, spent, .. } = self.job;
        self.claim(tasks.unfinished() == 0 && tasks.undoing == 0, format_args!("something has not ended"));
        for state in StateName::ALL {
            let found = self.tasks.values().filter(|task| task.state.name() == state).count() as u64;
            self.claim(tasks.in_state(state) == found, format_args!("{found} tasks are {state}"));
        }
        let of_plans = self.tasks.values().filter(|task| !place(task).undoes).count() as u64;
        self.claim(spent.tasks == of_plans, format_args!("it has {of_plans} tasks"));
        let (attempts, fuel) = (self.attempts(true), self.fuel(true));
        self.claim(spent.attempts == attempts, format_args!("its tasks had {attempts} attempts"));
        self.claim(spent.fuel == fuel, format_args!("its tasks have used {fuel} of fuel"));
    }

    fn attempts(&self, with_undoing: bool) -> u64 {
        let tasks = self.tasks.values().filter(|task| with_undoing || !place(task).undoes);
        tasks.map(|task| u64::from(task.attempts_started)).sum()
    }

    fn fuel(&self, with_undoing: bool) -> u64 {
        let tasks = self.tasks.values().filter(|task| with_undoing || !place(task).undoes);
        tasks.map(|task| task.fuel_used).sum()
    }

    fn ran_out_of_fuel(&self) -> bool {
        let last = self.tasks.values().filter_map(|task| task.attempts.last());
        last.into_iter().any(|last| matches!(last.ending, Ending::Stopped { cause: Cause::Fuel, .. }))
    }

    /// What undoes something is held to no budget.
    fn budgets(&self) {
        let budget = &self.job.spec.budget;
        let (attempts, fuel) = (self.attempts(false), self.fuel(false));
        self.claim(budget.attempts.is_none_or(|limit| attempts <= limit), format_args!("{attempts} attempts"));
        self.claim(budget.fuel.is_none_or(|limit| fuel <= limit), format_args!("{fuel} of fuel"));
    }

    fn cause(&self) {
        let Job { cause, state, spec, .. } = self.job;
        self.claim(cause.is_none() == (*state == JobState::Succeeded), format_args!("it has ended for nothing"));
        let is_cancelled = matches!(cause, Some(JobCause::Cancelled(_)));
        self.claim(is_cancelled == (*state == JobState::Cancelled), format_args!("it was cancelled or not"));
        let is_true = match cause {
            Some(JobCause::Task { name, task }) => {
                let found = self.tasks.get(task);
                found.is_some_and(|found| place(found).name == *name && found.state != State::Succeeded)
            }
            Some(JobCause::Stuck(_)) => false,
            Some(JobCause::Budget(name)) => {
                self.journal.fired(Fault::BudgetSpent);
                match name {
                    BudgetName::Attempts => spec.budget.attempts == Some(self.attempts(false)),
                    // Or what was left was too little for one of them.
                    BudgetName::Fuel => spec.budget.fuel == Some(self.fuel(false)) || self.ran_out_of_fuel(),
                    // When it was stopped for its time, `order` looks at: the clock may have been set back since.
                    BudgetName::Time => spec.budget.time.is_some(),
                    BudgetName::Tasks | BudgetName::Depth => true,
                    BudgetName::ArtifactBytes => false,
                }
            }
            Some(JobCause::Cancelled(_)) | None => true,
        };
        self.claim(is_true, format_args!("its cause is none"));
    }

    /// What has succeeded and can be undone is undone, each once, until that fails; or nothing is.
    fn undoing(&self) {
        let mut undos: Vec<_> = self.tasks.values().filter(|task| place(task).undoes).collect();
        undos.sort_by_key(|task| task.sequence);
        let undone: Vec<_> = undos.iter().filter_map(|task| place(task).parent).collect();
        let is_done = |id: &TaskId| self.tasks.get(id).is_some_and(|task| task.state == State::Succeeded);
        let once = undone.iter().collect::<BTreeSet<_>>().len() == undone.len();
        self.claim(undone.iter().all(is_done) && once, format_args!("this is undone: {undone:?}"));
        let failed = undos.iter().position(|task| task.state != State::Succeeded);
        self.claim(failed.is_none_or(|at| at + 1 == undos.len()), format_args!("it is undone after a failure"));
        let can_be = |task: &&&Task| task.state == State::Succeeded && place(task).can_be_undone;
        let all = self.tasks.values().filter(can_be).count();
        let is_wanted = self.job.compensates && self.job.state != JobState::Succeeded;
        let expected = if is_wanted { all } else { 0 };
        let is_enough = if failed.is_some() { undos.len() <= expected } else { undos.len() == expected };
        self.claim(is_enough, format_args!("{} of {expected} are undone", undos.len()));
        if self.job.spec.on_failure == OnFailure::Compensate && self.job.cause.is_some() {
            let is_forced = !matches!(self.job.cause, Some(JobCause::Task { .. }));
            self.claim(!is_forced || self.job.compensates, format_args!("it is not to be undone"));
        }
    }

    /// Whether each task of a plan, and below, is what becomes of it by what it waited for; unless something was stopped.
    fn plan(&self, parent: Option<&Task>, mut is_stopped: bool) {
        let wanted = self.book.jobs.shapes.wanted(self.job, parent);
        let parent_id = parent.map(|parent| parent.id);
        let of_plan = self.tasks.values().filter(|task| place(task).parent == parent_id && !place(task).undoes);
        let tasks: BTreeMap<NodeName, &Task> = of_plan.map(|task| (place(task).name.clone(), *task)).collect();
        let fails = self.fails(&wanted, &tasks);
        is_stopped |= wanted.plan.stop_on_failure && fails;
        if !is_stopped {
            let missing = wanted.plan.nodes.iter().find(|node| !tasks.contains_key(&node.name));
            self.claim(missing.is_none(), format_args!("{missing:?} was not made"));
        }
        let by_hand = CancelWish::default().reason;
        let states: BTreeMap<_, _> = tasks.iter().map(|(name, task)| (name.clone(), task.state.clone())).collect();
        for (name, task) in &tasks {
            let is_known = wanted.node(name).is_some() || (self.job.is_founded && parent.is_none());
            self.claim(is_known, format_args!("nobody has asked for `{name}`"));
            let ends_by_itself = task.cancel.as_ref().is_some_and(|cancel| cancel.reason == by_hand);
            let was_run = task.attempts_started > 0 || stands(task) || task.state == State::Expired;
            let may = could_run(&wanted, name, &states);
            self.claim(may || !was_run || task.state == State::Expired, format_args!("`{name}` was run"));
            self.claim(is_stopped || was_run || ends_by_itself || !may, format_args!("`{name}` was not run: {task:?}"));
            if task.has_children {
                self.below(task, is_stopped);
            }
        }
        if parent.is_none() && self.job.state == JobState::Succeeded {
            self.claim(!fails, format_args!("a task has failed that it needs"));
        }
        if parent.is_none() && !is_stopped && fails && !self.job.is_founded {
            self.claim(self.job.state == JobState::Failed, format_args!("it does not fail, and a task of it has"));
        }
    }

    /// Whether a failure in this plan makes it fail.
    fn fails(&self, wanted: &Wanted, tasks: &BTreeMap<NodeName, &Task>) -> bool {
        let failed = tasks.iter().filter(|(_, task)| task.state != State::Succeeded);
        failed.flat_map(|(name, _)| wanted.rules(name)).any(|rule| !rule.lets_go_on())
    }

    /// A task that has children is what they and its own part make of it.
    fn below(&self, task: &Task, is_stopped: bool) {
        let verdict = last_verdict(task);
        let goes_on = matches!(verdict, Some(Verdict::Succeed | Verdict::Decompose)) && task.cancel.is_none();
        self.plan(Some(task), is_stopped || !goes_on);
        let wanted = self.book.jobs.shapes.wanted(self.job, Some(task));
        let below = self.tasks.values().filter(|child| place(child).parent == Some(task.id) && !place(child).undoes);
        let children: BTreeMap<NodeName, &Task> = below.map(|child| (place(child).name.clone(), *child)).collect();
        let join = wanted.plan.join.as_ref().filter(|_| verdict == Some(Verdict::Decompose));
        let joined = join.is_none_or(|join| children.get(join).is_some_and(|join| join.state == State::Succeeded));
        let is_well = goes_on && joined && !self.fails(&wanted, &children);
        let expected = match (task.cancel.is_some(), verdict) {
            // What was dead by its own part is not cancelled afterwards.
            (true, verdict) if verdict != Some(Verdict::GiveUp) => State::Cancelled,
            _ if is_well => State::Succeeded,
            _ => State::Dead,
        };
        let is_poison = task.attempts.last().is_some_and(|last| last.decision.policy == Policy::Poison);
        self.claim(task.state == expected || is_poison, format_args!("{} is not {expected:?}: {task:?}", task.id));
    }

    async fn output(&self, id: TaskId) -> Option<Payload> {
        self.link.output(id).await.unwrap_or_else(|error| {
            self.claim(false, format_args!("the output of {id} cannot be read: {error}"));
            None
        })
    }

    /// A parent gives what its join has given, what stands for another what that one has, and the job what its result has.
    async fn outputs(&self) {
        for task in self.tasks.values().filter(|task| task.state == State::Succeeded) {
            let own = self.output(task.id).await;
            if let Some(Origin::Reuses(old)) = task.origin {
                self.claim(own == self.output(old).await, format_args!("{} has not what {old} has", task.id));
            } else if last_verdict(task) == Some(Verdict::Decompose) {
                let wanted = self.book.jobs.shapes.wanted(self.job, Some(task));
                let join = self.tasks.values().find(|child| {
                    let place = place(child);
                    place.parent == Some(task.id) && !place.undoes && Some(&place.name) == wanted.plan.join.as_ref()
                });
                let given = match join {
                    Some(join) => self.output(join.id).await,
                    None => Some(Payload::json("null")),
                };
                self.claim(own == given, format_args!("{} gives {own:?}, and its join {given:?}", task.id));
            }
        }
        let result = self.tasks.values().find(|task| {
            place(task).parent.is_none()
                && !place(task).undoes
                && Some(&place(task).name) == self.job.spec.result.as_ref()
        });
        let expected = match result {
            Some(task) => self.output(task.id).await,
            None => None,
        };
        let given = self.link.job_output(self.job.id).await.ok().flatten();
        self.claim(given == expected, format_args!("it gives {given:?}, and its result {expected:?}"));
        let origin = self.job.origin.and_then(|old| self.jobs.get(&old));
        let stand = self.tasks.values().filter(|task| stands(task)).count();
        self.claim(stand == 0 || origin.is_some(), format_args!("{stand} tasks stand for others"));
    }
}

fn stands(task: &Task) -> bool {
    matches!(task.origin, Some(Origin::Reuses(_)))
}
