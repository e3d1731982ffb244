//! What the simulation knows of its jobs, and what must hold of every record of one, whoever is shown it and when. What must hold
//! of a job once all is over is in `claims`, of the order of things in `order`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sunaba_runtime::store::SubmittedJob;
use sunaba_runtime::task::Clock as _;
use sunaba_runtime::task::job::{Job, JobCause, JobId, JobState};

use super::clock::SimulatedClock;
use super::journal::Journal;
use super::shapes::Shapes;

/// Everything about jobs that was seen from outside.
pub(super) struct JobBook {
    clock: SimulatedClock,
    journal: Journal,
    pub(super) shapes: Shapes,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    jobs: BTreeMap<JobId, Entry>,
    /// Who was taken on by a name.
    names: BTreeMap<String, JobId>,
}

#[derive(Default)]
struct Entry {
    acknowledged: bool,
    /// Somebody wants it cancelled, and may have been heard.
    wanted: bool,
    /// A cancel was acknowledged that is to end it.
    cancelled: bool,
    /// The record as it was first seen after its end, and when.
    end: Option<(Job, Duration)>,
}

impl JobBook {
    pub(super) fn new(clock: SimulatedClock, journal: Journal, shapes: Shapes) -> Self {
        Self { clock, journal, shapes, inner: Mutex::default() }
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
    pub(super) fn taken_on(&self, asked: Duration, submitted: &SubmittedJob) {
        let (SubmittedJob::Created(job) | SubmittedJob::Existing(job)) = submitted;
        self.journal.acknowledged(1);
        self.journal.write(format_args!("job {} {} {}", job.spec.name, job.id, job.state));
        let wanted = self.shapes.job_of(job).is_some_and(|new| new.spec == job.spec);
        self.check(wanted, format_args!("job {} is not what was asked for: {:?}", job.id, job.spec));
        let mut inner = self.inner();
        inner.jobs.entry(job.id).or_default().acknowledged = true;
        let owner = *inner.names.entry(job.spec.name.clone()).or_insert(job.id);
        self.check(owner == job.id, format_args!("`{}` was taken on as {owner} and as {}", job.spec.name, job.id));
        drop(inner);
        self.saw(asked, job);
    }

    /// A job was made over again.
    pub(super) fn made_again(&self, asked: Duration, old: JobId, job: &Job) {
        self.journal.acknowledged(1);
        self.journal.write(format_args!("job {old} again as {}", job.id));
        self.check(job.origin == Some(old), format_args!("job {} is not {old} over again", job.id));
        self.inner().jobs.entry(job.id).or_default().acknowledged = true;
        self.saw(asked, job);
    }

    /// Somebody asks for a cancel.
    pub(super) fn wants_cancel(&self, id: JobId) {
        self.inner().jobs.entry(id).or_default().wanted = true;
    }

    /// A cancel was acknowledged.
    pub(super) fn cancelled(&self, asked: Duration, job: &Job) {
        self.journal.acknowledged(1);
        self.journal.write(format_args!("cancel job {} {}", job.id, job.state));
        self.check(!job.can_be_stopped(), format_args!("job {} ignores a cancel: {job:?}", job.id));
        if matches!(job.cause, Some(JobCause::Cancelled(_))) {
            self.inner().jobs.entry(job.id).or_default().cancelled = true;
        }
        self.saw(asked, job);
    }

    /// A record was shown to somebody who asked then.
    pub(super) fn saw(&self, asked: Duration, job: &Job) {
        let (id, budget, spent) = (job.id, &job.spec.budget, &job.spent);
        let tasks = spent.tasks + job.tasks.planned;
        self.check(tasks <= budget.tasks, format_args!("job {id} has {tasks} tasks of {}", budget.tasks));
        let mut inner = self.inner();
        let entry = inner.jobs.entry(id).or_default();
        match &entry.end {
            Some((end, seen)) => {
                let is_older = job.revision < end.revision && asked <= *seen;
                // But for the job that was made in its stead.
                let same = Job { successor: end.successor, revision: end.revision, ..job.clone() };
                self.check(*end == same || is_older, format_args!("job {id} has ended, and changed: {end:?} {job:?}"));
            }
            None if job.state.is_terminal() => {
                self.journal.write(format_args!("job ended {id} {}", job.state));
                entry.end = Some((job.clone(), self.clock.elapsed()));
                let cancelled = job.state == JobState::Cancelled;
                self.check(!entry.cancelled || cancelled, format_args!("job {id} was cancelled: {job:?}"));
                let wanted = entry.wanted || job.is_founded || !cancelled;
                self.check(wanted, format_args!("job {id} was cancelled by nobody"));
            }
            None => {}
        }
    }

    /// Whether somebody has seen its end.
    pub(super) fn has_ended(&self, id: JobId) -> bool {
        self.inner().jobs.get(&id).is_some_and(|entry| entry.end.is_some())
    }

    /// A job that somebody knows of, if there is one.
    pub(super) fn any(&self, random: &mut fastrand::Rng) -> Option<JobId> {
        let known = self.acknowledged();
        (!known.is_empty()).then(|| known[random.usize(..known.len())])
    }

    /// Jobs that were acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<JobId> {
        let inner = self.inner();
        inner.jobs.iter().filter(|(_, entry)| entry.acknowledged).map(|(id, _)| *id).collect()
    }

    /// Every record as it was at its end.
    pub(super) fn ended(&self) -> BTreeMap<JobId, Job> {
        let inner = self.inner();
        inner.jobs.iter().filter_map(|(id, entry)| Some((*id, entry.end.as_ref()?.0.clone()))).collect()
    }
}
