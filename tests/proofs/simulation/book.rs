//! What the simulation knows of its tasks, and the promises that it holds the store to. Knows nothing of how they are kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sunaba_runtime::store::{Leased, SettleError, Submitted};
use sunaba_runtime::task::job::JobId;
use sunaba_runtime::task::{
    AttemptRecord, Clock as _, Ending, Fuel, LeaseToken, Origin, Payload, SessionId, State, StateName, Task, TaskId,
    Verdict,
};

use super::clock::SimulatedClock;
use super::job_book::JobBook;
use super::journal::{Fault, Journal};
use super::shapes::{Shapes, number};

/// Everything that was seen from outside.
pub(super) struct Book {
    clock: SimulatedClock,
    journal: Journal,
    pub(super) jobs: JobBook,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tasks: BTreeMap<TaskId, Entry>,
    /// Who has an idempotency key.
    keys: BTreeMap<String, TaskId>,
    sessions: BTreeMap<SessionId, Session>,
    paused: Vec<Paused>,
}

/// Between these places of the feed a queue was paused.
#[derive(Clone, Copy)]
pub(super) struct Paused {
    pub(super) queue: &'static str,
    pub(super) from: u64,
    pub(super) until: u64,
}

#[derive(Default)]
struct Entry {
    acknowledged: bool,
    /// A cancel was acknowledged before the task had ended.
    cancelled: bool,
    leases: BTreeMap<u32, Granted>,
    /// Attempts whose end was acknowledged, with the revision that followed; and those whose lease was found lost.
    settled: BTreeMap<u32, u64>,
    refused: Vec<u32>,
    /// Attempts that run.
    runs: BTreeMap<u32, Run>,
    /// The record as it was first seen after its end, and when.
    end: Option<(Task, Duration)>,
}

/// A lease as it was handed out. Answers that come together are read in any order: what came first, the revision says.
struct Granted {
    token: LeaseToken,
    session: SessionId,
    revision: u64,
    job: Option<JobId>,
    /// What it may use at most.
    fuel: Option<u64>,
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Whether it ends when it is told to.
    pub(super) listens: bool,
    /// Whether its worker has a clock of its own, and gives up before its leases do.
    pub(super) is_remote: bool,
}

struct Session {
    lease_time: Duration,
    /// By the clock's `elapsed`: it was renewed then or later.
    renewed: Duration,
    open: bool,
}

impl Book {
    pub(super) fn new(clock: SimulatedClock, journal: Journal, shapes: Shapes) -> Self {
        let jobs = JobBook::new(clock.clone(), journal.clone(), shapes);
        Self { clock, journal, jobs, inner: Mutex::default() }
    }

    pub(super) fn fired(&self, fault: Fault) {
        self.journal.fired(fault);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, holds: bool, what: std::fmt::Arguments<'_>) {
        if !holds {
            self.journal.problem(what);
        }
    }

    /// A submit was acknowledged.
    pub(super) fn submitted(&self, asked: Duration, submitted: Submitted) {
        let task = submitted.into_task();
        self.journal.acknowledged(1);
        self.journal.write(format_args!(
            "submitted {} {} {}",
            number(&task.spec.attributes),
            task.id,
            task.state.name()
        ));
        let mut inner = self.inner();
        inner.tasks.entry(task.id).or_default().acknowledged = true;
        if let Some(key) = &task.spec.idempotency_key {
            let owner = *inner.keys.entry(key.clone()).or_insert(task.id);
            self.check(owner == task.id, format_args!("the key `{key}` gave {owner} and {}", task.id));
        }
        drop(inner);
        self.saw(asked, &task);
    }

    /// The task of a job was shown to somebody, or made for somebody.
    pub(super) fn found(&self, asked: Duration, task: &Task) {
        self.inner().tasks.entry(task.id).or_default().acknowledged = true;
        self.saw(asked, task);
    }

    /// A call reached the store twice.
    pub(super) fn check_twice(&self, is_once: bool, what: &str) {
        self.check(is_once, format_args!("{what} that reached the store twice was taken on twice"));
    }

    /// How much fuel an attempt might have used, as far as anybody was told.
    pub(super) fn fuel_of(&self, id: TaskId, attempt: u32) -> Option<u64> {
        self.inner().tasks.get(&id)?.leases.get(&attempt)?.fuel
    }

    /// A task was made, and not by a submit.
    pub(super) fn made(&self, id: TaskId) {
        self.journal.acknowledged(1);
        self.journal.write(format_args!("made {id}"));
        self.inner().tasks.entry(id).or_default().acknowledged = true;
    }

    pub(super) fn paused(&self, paused: Paused) {
        self.inner().paused.push(paused);
    }

    /// When queues were paused, and every record as it was at its end.
    pub(super) fn history(&self) -> (Vec<Paused>, BTreeMap<TaskId, Task>) {
        let inner = self.inner();
        let ended = inner.tasks.iter().filter_map(|(id, entry)| Some((*id, entry.end.as_ref()?.0.clone())));
        (inner.paused.clone(), ended.collect())
    }

    /// A record was shown to somebody who asked then.
    pub(super) fn saw(&self, asked: Duration, task: &Task) {
        let (id, spec) = (task.id, &task.spec);
        self.check(
            task.hosts_lost <= spec.max_hosts_lost && task.failures_charged <= spec.max_attempts,
            format_args!("{id} has {} failures and {} lost hosts", task.failures_charged, task.hosts_lost),
        );
        let mut inner = self.inner();
        let entry = inner.tasks.entry(id).or_default();
        match &entry.end {
            Some((end, seen)) => {
                let is_older = task.revision < end.revision && asked <= *seen;
                // But for the task that was made in its stead.
                let same = Task { successor: end.successor, revision: end.revision, ..task.clone() };
                self.check(
                    *end == same || is_older,
                    format_args!("{id} has ended, and has changed since: {end:?} {task:?}"),
                );
            }
            None if task.state.is_terminal() => {
                self.journal.write(format_args!("ended {id} {}", task.state.name()));
                entry.end = Some((task.clone(), self.clock.elapsed()));
            }
            None => {}
        }
    }

    /// A cancel was acknowledged.
    pub(super) fn cancelled(&self, asked: Duration, task: &Task) {
        self.journal.acknowledged(1);
        self.journal.write(format_args!("cancel {} {}", task.id, task.state.name()));
        self.check(task.cancel.is_some() || task.state.is_terminal(), format_args!("{} ignores a cancel", task.id));
        // What is dead by its own part only waits for its children.
        let was_dead = task.attempts.last().is_some_and(|last| last.decision.verdict == Verdict::GiveUp);
        let is_over = task.state.is_terminal() || (task.waits_for_children() && was_dead);
        if !is_over {
            self.inner().tasks.entry(task.id).or_default().cancelled = true;
        }
        self.saw(asked, task);
    }

    pub(super) fn opened(&self, session: SessionId, lease_time: Duration, asked: Duration) {
        self.inner().sessions.insert(session, Session { lease_time, renewed: asked, open: true });
    }

    pub(super) fn renewed(&self, session: SessionId, asked: Duration) {
        if let Some(session) = self.inner().sessions.get_mut(&session) {
            session.renewed = session.renewed.max(asked);
        }
    }

    pub(super) fn closing(&self, session: SessionId) {
        if let Some(session) = self.inner().sessions.get_mut(&session) {
            session.open = false;
        }
    }

    /// The process has ended, and with it every session.
    pub(super) fn process_ended(&self) {
        let mut inner = self.inner();
        inner.sessions.values_mut().for_each(|session| session.open = false);
        inner.tasks.values_mut().for_each(|entry| entry.runs.clear());
    }

    /// A lease was handed out.
    pub(super) fn leased(&self, session: SessionId, leased: &Leased) {
        let task = &leased.task;
        let (id, attempt) = (task.id, task.attempts_started);
        self.journal.acknowledged(1);
        self.journal.write(format_args!("leased {id} {attempt} {session}"));
        self.check(
            leased.token.task == id && task.lease().is_some_and(|lease| leased.token.fits(lease)),
            format_args!("{id} was leased with a token that does not fit"),
        );
        let mut inner = self.inner();
        let entry = inner.tasks.entry(id).or_default();
        let has_ended = entry.end.as_ref().is_some_and(|(end, _)| end.revision < task.revision);
        self.check(!has_ended, format_args!("{id} was leased after its end"));
        let fuel = match task.spec.limits.fuel {
            Fuel::Exact { limit } => limit,
            Fuel::Off => None,
        };
        let job = task.job.as_ref().map(|link| link.job);
        let granted = Granted { token: leased.token, session, revision: task.revision, job, fuel };
        let twice = entry.leases.insert(attempt, granted).is_some();
        self.check(!twice, format_args!("{id} has attempt {attempt} twice"));
        let newer = entry.leases.range(attempt + 1..).any(|(_, newer)| newer.revision < task.revision);
        self.check(!newer, format_args!("{id} has attempt {attempt} after a later one"));
    }

    /// A settlement was answered.
    pub(super) fn settled(
        &self,
        asked: Duration,
        token: &LeaseToken,
        verdict: Verdict,
        answer: &Result<Task, SettleError>,
    ) {
        let id = token.task;
        let mut inner = self.inner();
        let entry = inner.tasks.entry(id).or_default();
        let attempt = entry.leases.iter().find(|(_, granted)| granted.token == *token).map(|(attempt, _)| *attempt);
        let Some(attempt) = attempt else {
            return self.journal.problem(format_args!("{id} was settled by nobody's token"));
        };
        match answer {
            Ok(task) => {
                self.journal.acknowledged(1);
                self.journal.write(format_args!("settled {id} {attempt} {verdict:?} {}", task.state.name()));
                let newer = entry.leases.range(attempt + 1..).any(|(_, newer)| newer.revision < task.revision);
                let is_current = !newer && task.attempts_started == attempt;
                self.check(is_current, format_args!("{id} attempt {attempt} was settled after another began"));
                let twice = entry.settled.insert(attempt, task.revision).is_some();
                self.check(!twice, format_args!("{id} attempt {attempt} was settled twice"));
                let refused = entry.refused.contains(&attempt);
                self.check(!refused, format_args!("{id} attempt {attempt} had lost its lease, and was settled"));
                // What has children has not ended before they have.
                let cancelled = entry.cancelled && task.state != State::Cancelled && !task.waits_for_children();
                self.check(!cancelled, format_args!("{id} was cancelled, and is {}", task.state.name()));
                drop(inner);
                self.saw(asked, task);
            }
            Err(SettleError::LeaseLost) => {
                self.journal.write(format_args!("lease lost {id} {attempt}"));
                entry.refused.push(attempt);
            }
            Err(other) => self.journal.write(format_args!("not settled {id} {attempt}: {other}")),
        }
    }

    /// An attempt begins. Gives the attempts of the same task that should have ended by now, and may need a moment.
    pub(super) fn begins(&self, id: TaskId, attempt: u32, run: Run) -> Vec<u32> {
        self.journal.write(format_args!("begins {id} {attempt}"));
        let now = self.clock.elapsed();
        let mut inner = self.inner();
        let Inner { tasks, sessions, .. } = &mut *inner;
        let entry = tasks.entry(id).or_default();
        let mut late = Vec::new();
        let lives = |attempt: &u32| {
            let session = entry.leases.get(attempt).and_then(|granted| sessions.get(&granted.session));
            session.is_some_and(|session| session.open && now < session.renewed.saturating_add(session.lease_time))
        };
        let job = entry.leases.get(&attempt).and_then(|granted| granted.job).filter(|_| lives(&attempt));
        let too_late = job.is_some_and(|job| self.jobs.has_ended(job));
        self.check(!too_late, format_args!("{id} attempt {attempt} begins after the end of its job"));
        for (other, running) in &entry.runs {
            if *other > attempt {
                // It was leased before its worker was cut off, which hears of both only now.
                if run.is_remote {
                    late.push(attempt);
                }
                continue;
            }
            let has_lease = lives(other);
            self.check(!has_lease, format_args!("{id} attempt {attempt} began while {other} ran and had its lease"));
            if running.listens && running.is_remote {
                late.push(*other);
            }
        }
        entry.runs.insert(attempt, run);
        late
    }

    /// Whether an attempt runs still.
    pub(super) fn check_has_ended(&self, id: TaskId, attempts: &[u32]) {
        let inner = self.inner();
        let Some(entry) = inner.tasks.get(&id) else { return };
        for attempt in attempts {
            let runs = entry.runs.contains_key(attempt);
            self.check(!runs, format_args!("{id} attempt {attempt} ran on after its worker had lost its lease"));
        }
    }

    pub(super) fn ends(&self, id: TaskId, attempt: u32) {
        self.journal.write(format_args!("ends {id} {attempt}"));
        if let Some(entry) = self.inner().tasks.get_mut(&id) {
            entry.runs.remove(&attempt);
        }
    }

    /// The leases of a worker that is gone: its tasks must be given to others in time.
    pub(super) fn host_lost(&self, session: SessionId) -> Vec<LeaseToken> {
        let inner = self.inner();
        let mut lost = Vec::new();
        for entry in inner.tasks.values() {
            let Some((attempt, granted)) = entry.leases.last_key_value() else { continue };
            if granted.session == session && entry.end.is_none() && !entry.settled.contains_key(attempt) {
                lost.push(granted.token);
            }
        }
        lost
    }

    /// A task that somebody knows of, if there is one.
    pub(super) fn any_task(&self, random: &mut fastrand::Rng) -> Option<TaskId> {
        let inner = self.inner();
        let known: Vec<_> = inner.tasks.iter().filter(|(_, entry)| entry.acknowledged).map(|(id, _)| *id).collect();
        (!known.is_empty()).then(|| known[random.usize(..known.len())])
    }

    /// Tasks that were acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<TaskId> {
        let inner = self.inner();
        inner.tasks.iter().filter(|(_, entry)| entry.acknowledged).map(|(id, _)| *id).collect()
    }

    /// What must be true of a record when all is over.
    pub(super) fn check_end(&self, task: &Task, output: Option<&Payload>) {
        self.saw(self.clock.elapsed(), task);
        let id = task.id;
        let state = task.state.name();
        self.check(task.state.is_terminal(), format_args!("{id} has not ended: {task:?}"));
        self.check_result(task, output);
        let numbers: Vec<_> = task.attempts.iter().map(|attempt| attempt.number).collect();
        let all: Vec<_> = (1..=task.attempts_started).collect();
        self.check(numbers == all, format_args!("{id} has the attempts {numbers:?} of {}", task.attempts_started));
        let lost = task.attempts.iter().filter(|attempt| attempt.ending == Ending::HostLost).count();
        self.check(lost == task.hosts_lost as usize, format_args!("{id} lost {lost} hosts and counts otherwise"));
        let charged = task.attempts.iter().filter(|attempt| attempt.decision.charged).count();
        self.check(charged == task.failures_charged as usize, format_args!("{id} counts its failures otherwise"));
        let inner = self.inner();
        let Some(entry) = inner.tasks.get(&id) else { return };
        self.check(
            !entry.cancelled || state == StateName::Cancelled,
            format_args!("{id} was cancelled, and is {state}"),
        );
        for attempt in &task.attempts {
            let is_lost = matches!(attempt.ending, Ending::HostLost | Ending::HandedBack);
            let refused = entry.refused.contains(&attempt.number);
            let kept = !entry.settled.contains_key(&attempt.number) || attempt.ending != Ending::HostLost;
            self.check(!refused || is_lost, format_args!("{id} took the end of attempt {}", attempt.number));
            self.check(kept, format_args!("{id} forgot the end of attempt {}", attempt.number));
        }
        let unknown =
            task.attempts.last().is_some_and(|attempt| attempt.number < entry.leases.keys().max().map_or(0, |n| *n));
        self.check(!unknown, format_args!("{id} forgot an attempt"));
    }

    /// Exactly one attempt has done it, if it is done. What stands for another task, or has the result of its children, is looked at
    /// with its job.
    fn check_result(&self, task: &Task, output: Option<&Payload>) {
        let (id, state) = (task.id, task.state.name());
        let done = |verdict| task.attempts.iter().filter(move |attempt| attempt.decision.verdict == verdict);
        let results: Vec<_> = done(Verdict::Succeed).collect();
        let plans = done(Verdict::Decompose).count();
        let (count, has_succeeded) = (results.len() + plans, state == StateName::Succeeded);
        let stands = matches!(task.origin, Some(Origin::Reuses(_)));
        let expected = usize::from(has_succeeded && !stands);
        let is_so = count == expected || (task.has_children && !has_succeeded && count == 1);
        self.check(is_so, format_args!("{id} is {state} with {} results and {plans} plans", results.len()));
        if stands || plans > 0 {
            return;
        }
        let result = |last: &&AttemptRecord| result(number(&task.spec.attributes), last.number, &last.worker);
        let last = results.first().filter(|_| has_succeeded).map(result);
        self.check(output == last.as_ref(), format_args!("{id} has the output {output:?}, and not {last:?}"));
    }
}

/// The output of an attempt that succeeds.
pub(super) fn result(number: u32, attempt: u32, worker: &str) -> Payload {
    Payload::json(format!("\"{number}:{attempt}:{worker}\""))
}
