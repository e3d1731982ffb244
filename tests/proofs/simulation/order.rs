//! What the feed tells of jobs, played again in the order of the commits: what runs when, what was spent by then, and what a job's
//! end means. What each task was to wait for is known from the shapes of the world, and not from the store.

use std::collections::{BTreeMap, BTreeSet};

use sunaba_runtime::task::job::{BudgetName, Job, JobCause, JobEvent, JobHappening, JobId, JobLink, NodeName};
use sunaba_runtime::task::{FeedEvent, Happening, State, Task, TaskEvent, TaskId};

use super::book::Book;
use super::journal::{Fault, Journal};
use super::shapes::{Wanted, covers};

pub(super) fn check(journal: &Journal, book: &Book, events: &[FeedEvent], in_whole_turns: bool) {
    let (tasks, jobs) = (book.history().1, book.jobs.ended());
    let mut order = Order {
        journal,
        book,
        tasks: &tasks,
        jobs: &jobs,
        in_whole_turns,
        places: BTreeMap::new(),
        made: BTreeSet::new(),
        ended: BTreeMap::new(),
        stopping: Vec::new(),
        cancelled: BTreeSet::new(),
        running: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    for event in events {
        match event {
            FeedEvent::Task(event) => order.task(event),
            FeedEvent::Job(event) => order.job(event),
            FeedEvent::Schedule(_) => {}
        }
    }
    order.stopped(events);
}

/// Where a job stands, and what it has spent, but for what undoes something: that is held to no budget.
#[derive(Default)]
struct Told {
    is_stopping: bool,
    is_undoing: bool,
    has_ended: bool,
    attempts: u64,
    fuel: u64,
    /// Where in the feed that ended which was undone last.
    undone: Option<u64>,
}

struct Order<'o> {
    journal: &'o Journal,
    book: &'o Book,
    tasks: &'o BTreeMap<TaskId, Task>,
    jobs: &'o BTreeMap<JobId, Job>,
    /// Whether a turn of the store leaves nothing to be done for jobs.
    in_whole_turns: bool,
    /// Who has a name in a plan.
    places: BTreeMap<(JobId, Option<TaskId>), BTreeMap<NodeName, TaskId>>,
    made: BTreeSet<TaskId>,
    /// Who has ended, and at which place of the feed.
    ended: BTreeMap<TaskId, u64>,
    /// Who had not ended when a job was stopped, and at which place that was told.
    stopping: Vec<(u64, TaskId)>,
    /// Who was asked to end.
    cancelled: BTreeSet<TaskId>,
    /// The attempts that run, with the fuel that is theirs.
    running: BTreeMap<TaskId, (u32, u64)>,
    told: BTreeMap<JobId, Told>,
}

impl<'o> Order<'o> {
    fn check(&self, holds: bool, what: std::fmt::Arguments<'_>) {
        if !holds {
            self.journal.problem(what);
        }
    }

    /// The task of an event with its place, if it is of a job at last.
    fn placed(&self, id: TaskId) -> Option<(&'o Task, &'o JobLink, &'o Job)> {
        let task = self.tasks.get(&id)?;
        let link = task.job.as_ref()?;
        Some((task, link, self.jobs.get(&link.job)?))
    }

    fn task(&mut self, event: &TaskEvent) {
        let id = event.task;
        let Some((task, link, job)) = self.placed(id) else { return };
        self.stopped_running(task, link);
        match &event.what {
            Happening::Submitted => {
                self.made.insert(id);
                if link.undoes {
                    self.undoes(link);
                } else {
                    let is_stopping = self.told.get(&job.id).is_some_and(|told| told.is_stopping || told.has_ended);
                    let is_below = link.parent.is_some_and(|parent| self.cancelled.contains(&parent));
                    let may = !is_stopping && !is_below;
                    self.check(may, format_args!("{id} `{}` was made while all of it was stopped", link.name));
                    let other = self.places.entry((link.job, link.parent)).or_default().insert(link.name.clone(), id);
                    self.check(other.is_none(), format_args!("{id} and {other:?} are `{}` of {}", link.name, job.id));
                }
            }
            Happening::Started { attempt, .. } => self.started(event, *attempt, task, link, job),
            Happening::CancelRequested => {
                self.cancelled.insert(id);
            }
            Happening::Succeeded | Happening::Dead { .. } | Happening::Cancelled | Happening::Expired => {
                self.ended.insert(id, event.sequence);
                let below = self.places.get(&(link.job, Some(id))).into_iter().flat_map(BTreeMap::values);
                let left = below.filter(|child| !self.ended.contains_key(child)).count();
                self.check(left == 0, format_args!("{id} has ended before {left} of its children"));
            }
            _ => {}
        }
    }

    /// The last that succeeded comes first.
    fn undoes(&mut self, link: &JobLink) {
        let done = link.parent.and_then(|parent| self.ended.get(&parent).copied());
        let told = self.told.entry(link.job).or_default();
        let before = std::mem::replace(&mut told.undone, done);
        let in_order = done.is_some() && before.is_none_or(|before| done < Some(before));
        self.check(in_order, format_args!("{:?} is undone after what ended before it", link.parent));
    }

    /// Whatever happens to a task that ran, but for a word of it, is the end of its attempt.
    fn stopped_running(&mut self, task: &Task, link: &JobLink) {
        let Some((attempt, _)) = self.running.get(&task.id).copied() else { return };
        let ended = task.attempts.iter().find(|one| one.number == attempt);
        let used = ended.and_then(|one| one.receipt.as_ref()?.fuel).unwrap_or(0);
        self.running.remove(&task.id);
        if !link.undoes {
            self.told.entry(link.job).or_default().fuel += used;
        }
    }

    fn started(&mut self, event: &TaskEvent, attempt: u32, task: &'o Task, link: &'o JobLink, job: &'o Job) {
        let (id, name) = (task.id, &link.name);
        let told = self.told.entry(job.id).or_default();
        let (is_stopping, is_undoing, has_ended) = (told.is_stopping, told.is_undoing, told.has_ended);
        told.attempts += u64::from(!link.undoes);
        let (attempts, spent) = (told.attempts, told.fuel);
        self.check(!has_ended, format_args!("{id} `{name}` was started after the end of its job"));
        let fuel = self.book.fuel_of(id, attempt).filter(|_| !link.undoes && job.spec.budget.fuel.is_some());
        self.running.insert(id, (attempt, fuel.unwrap_or(0)));
        if link.undoes {
            return self.check(is_undoing, format_args!("{id} undoes something of a job that is not to be undone"));
        }
        self.check(!is_stopping && !is_undoing, format_args!("{id} `{name}` was started while its job was stopped"));
        self.check(!self.cancelled.contains(&id), format_args!("{id} `{name}` was started and had been cancelled"));
        let budget = &job.spec.budget;
        let is_late = job.deadline().is_some_and(|at| at <= event.at);
        self.check(!is_late, format_args!("{id} `{name}` was started after the deadline of its job"));
        self.check(link.depth <= budget.depth, format_args!("{id} `{name}` is {} deep", link.depth));
        let is_within = budget.attempts.is_none_or(|limit| attempts <= limit);
        self.check(is_within, format_args!("{id} `{name}` is attempt {attempts} of {:?}", budget.attempts));
        if let Some(limit) = budget.fuel {
            let reserved = |(other, (_, fuel)): (&TaskId, &(u32, u64))| {
                let is_its =
                    self.tasks.get(other).and_then(|other| other.job.as_ref()).is_some_and(|l| l.job == job.id);
                is_its.then_some(*fuel)
            };
            let most = spent + self.running.iter().filter_map(reserved).sum::<u64>();
            self.check(most <= limit, format_args!("{id} `{name}` may come to {most} fuel of {limit}"));
        }
        self.may_run(task, link, job);
    }

    /// What it waits for has ended, as its edges ask; and so has nothing above it.
    fn may_run(&self, task: &Task, link: &JobLink, job: &Job) {
        let (id, name) = (task.id, &link.name);
        if let Some(parent) = link.parent {
            self.check(!self.ended.contains_key(&parent), format_args!("{id} `{name}` runs below what has ended"));
            let is_stopped = self.in_whole_turns && self.cancelled.contains(&parent);
            self.check(!is_stopped, format_args!("{id} `{name}` runs below what was cancelled"));
        }
        let parent = link.parent.and_then(|parent| self.tasks.get(&parent));
        let wanted = self.book.jobs.shapes.wanted(job, parent);
        let Some(node) = wanted.node(name) else {
            let is_founder = job.is_founded && link.parent.is_none();
            return self.check(is_founder, format_args!("{id} `{name}` runs, and is of no plan"));
        };
        let nothing = BTreeMap::new();
        let places = self.places.get(&(link.job, link.parent)).unwrap_or(&nothing);
        for after in &node.after {
            let goes_on = wanted.rule(after).lets_go_on();
            for other in wanted.plan.nodes.iter().filter(|other| covers(&after.awaited, &other.name)) {
                let other = places.get(&other.name).filter(|other| self.ended.contains_key(*other));
                let state = other.and_then(|other| self.tasks.get(other)).map(|other| &other.state);
                let may = state.is_some_and(|state| goes_on || *state == State::Succeeded);
                self.check(may, format_args!("{id} `{name}` runs and waits for `{}`: {state:?}", after.awaited));
            }
        }
    }

    /// The tasks of a job that were made and have not ended.
    fn left(&self, job: JobId) -> Vec<&'o Task> {
        let made = self.made.iter().filter(|id| !self.ended.contains_key(*id)).filter_map(|id| self.tasks.get(id));
        made.filter(|task| task.job.as_ref().is_some_and(|link| link.job == job)).collect()
    }

    fn job(&mut self, event: &JobEvent) {
        let id = event.job;
        let (was_stopping, ended_before) =
            self.told.get(&id).map_or((false, false), |told| (told.is_stopping || told.is_undoing, told.has_ended));
        let stops = matches!(event.what, JobHappening::Stopping { .. });
        let mut must_have_ended = false;
        match &event.what {
            JobHappening::Submitted => {
                let old = self.jobs.get(&id).and_then(|job| job.origin);
                let has_ended = old.is_none_or(|old| self.told.get(&old).is_some_and(|old| old.has_ended));
                self.check(has_ended, format_args!("job {id} was made over again from {old:?} before the end of that"));
                return;
            }
            JobHappening::BudgetLow { .. } => {}
            JobHappening::Stopping { .. } => self.told.entry(id).or_default().is_stopping = true,
            JobHappening::Compensating { .. } => {
                (self.told.entry(id).or_default().is_undoing, must_have_ended) = (true, true);
                self.journal.fired(Fault::Undo);
            }
            JobHappening::Succeeded { .. } | JobHappening::Failed { .. } | JobHappening::Cancelled { .. } => {
                (self.told.entry(id).or_default().has_ended, must_have_ended) = (true, true);
            }
        }
        let job = self.jobs.get(&id).filter(|_| !was_stopping && (must_have_ended || stops));
        if let Some(job) = job.filter(|job| job.cause == Some(JobCause::Budget(BudgetName::Time))) {
            let is_late = job.deadline().is_some_and(|at| at <= event.at);
            self.check(is_late, format_args!("job {id} was stopped for its time at {}, before its deadline", event.at));
        }
        self.check(!ended_before, format_args!("job {id} was {:?} after its end", event.what));
        if must_have_ended {
            let left = self.left(id);
            self.check(left.is_empty(), format_args!("job {id} was {:?} before the end of {left:?}", event.what));
        }
        if self.in_whole_turns && stops {
            let left: Vec<_> = self.left(id).into_iter().map(|task| (event.sequence, task.id)).collect();
            self.stopping.extend(left);
        }
    }

    /// What had not ended when its job was stopped was cancelled; but if the budget was found to be spent when others were served
    /// already, what else came in before the next turn may have ended by itself.
    fn stopped(&self, events: &[FeedEvent]) {
        for (sequence, id) in &self.stopping {
            let Some((task, link, job)) = self.placed(*id) else { continue };
            let mut later = events.iter().skip_while(|event| event.sequence() <= *sequence).peekable();
            let next = later.peek().map(|event| event.at());
            let in_next = later.take_while(|event| Some(event.at()) == next).last().map_or(0, FeedEvent::sequence);
            let by_request = matches!(job.cause, Some(JobCause::Cancelled(_)));
            let had_ended = !by_request && self.ended.get(id).is_some_and(|ended| *ended <= in_next);
            // What was dead by its own part only waited for its children.
            let was_dead = task.has_children && task.state == State::Dead;
            let is_stopped = task.state == State::Cancelled || had_ended || was_dead;
            self.check(is_stopped, format_args!("`{}` went on when its job was stopped: {task:?}", link.name));
        }
    }
}

/// Whether what a node waited for lets it run.
pub(super) fn could_run(wanted: &Wanted, name: &NodeName, states: &BTreeMap<NodeName, State>) -> bool {
    let edges = wanted.node(name).into_iter().flat_map(|node| &node.after);
    let mut awaited = edges.flat_map(|after| {
        let rule = wanted.rule(after);
        states.iter().filter(|(other, _)| covers(&after.awaited, other)).map(move |(_, state)| (rule, state))
    });
    awaited.all(|(rule, state)| rule.lets_go_on() || *state == State::Succeeded)
}
