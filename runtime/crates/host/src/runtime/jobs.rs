//! How a host takes jobs on, and what it tells of them. Each task of a plan is checked as one that is submitted alone; the first
//! that is refused names itself, and then nothing of the job is taken on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    CancelWish, JobPage, JobQuery, Package, PlanPage, PlanQuery, RetryJob, StoreError, SubmitJobError, SubmittedJob,
};
use sunaba_task::job::{Job, JobCause, JobId, JobSpec, MAX_PLAN_BYTES, NewJob, Node, NodeName};
use sunaba_task::{Digest, NewTask, Payload, StateName, Task, TaskId};

use super::Runtime;
use super::take::MAX_CHECKS;
use crate::admission::{self, RefusedTask, TaskRequest};
use crate::checks::{Steps, too_heavy, weight};
use crate::effective::Operator;
use crate::job::{JobRefusal, JobRequest, NodeRequest, plan};
use crate::job_story::may_have_plan;
use crate::refusal::RetryRefusal;
use crate::{options, packages};

/// Tasks that are checked before others of this thread have their turn.
const CHECKED_AT_A_TIME: usize = 64;
/// Tasks of a page when a plan is gone through.
const PAGE: usize = 500;
/// Tasks that are looked at for those that need a look.
const MAX_LOOKED: usize = 5_000;
/// Tasks of each kind that are told by name.
const SHOWN: usize = 10;
/// Bytes of outputs after which a page has no more.
const MAX_OUTPUT_BYTES: usize = 4 << 20;
/// Outputs of one page.
const MAX_OUTPUTS: usize = 200;

/// Versions that the store has and this host did not know, by package.
type Newer = HashMap<String, Arc<Package>>;

/// What a cancel of a job came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledJob {
    /// As it stood when it was stopped, with its tasks as they were then.
    pub job: Job,
    /// Tasks that had not begun, and never will; those among them that were to be made.
    pub stopped: u64,
    /// Tasks that ran: they are asked to end, and the job ends with the last of them.
    pub running: u64,
    /// The first of those, by name.
    pub running_tasks: Vec<Task>,
}

/// The tasks of a job that are worth a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobAttention {
    /// What has failed, or is to be tried again after a failure: the one first for which the job does not end well.
    pub failing: Vec<Task>,
    /// What runs.
    pub running: Vec<Task>,
}

/// What one task of a job gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutput {
    /// Its name.
    pub name: NodeName,
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub state: StateName,
    /// None unless it has succeeded, and as long as that is kept.
    pub output: Option<Payload>,
}

/// A page of them, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobOutputs {
    /// By name.
    pub outputs: Vec<JobOutput>,
    /// The last name, when there are more.
    pub next: Option<NodeName>,
}

impl Runtime {
    /// Takes a job on. When this returns, its plan is on stable storage, and its tasks are made from then on.
    ///
    /// # Errors
    /// [`JobRefusal`]: something of it cannot be, or is not allowed; or the store could not take it on.
    pub async fn submit_job(&self, request: JobRequest) -> Result<SubmittedJob, JobRefusal> {
        plan::check(&request).map_err(SubmitJobError::from)?;
        options::job(&request)?;
        // Only what follows can be handed back: what is checked again is what was asked for.
        let again = request.nodes.iter().any(|node| self.follows(node)).then(|| request.clone());
        let mut newer = Newer::new();
        let mut new = self.check_job(request, &newer).await?;
        for _ in 1..MAX_CHECKS {
            match (self.store().submit_job(new).await?, &again) {
                (Err(SubmitJobError::Unchecked { active, .. }), Some(request)) => {
                    newer.insert(active.name.clone(), Arc::from(active));
                    new = self.check_job(request.clone(), &newer).await?;
                }
                (answer, _) => return Ok(answer?),
            }
        }
        Ok(self.store().submit_job(new).await??)
    }

    fn follows(&self, node: &NodeRequest) -> bool {
        let follows = |task: &TaskRequest| task.follow.unwrap_or(self.permits.follow_active);
        follows(&node.task) || node.compensation.as_ref().is_some_and(follows)
    }

    /// Everything that a request says and leaves out.
    async fn check_job(&self, request: JobRequest, newer: &Newer) -> Result<NewJob, JobRefusal> {
        let fingerprint = request
            .idempotency_key
            .as_ref()
            .map(|_| Digest::of(&serde_json::to_vec(&request).expect("a request has a JSON form")));
        let result = request.result.clone().or_else(|| request.only_end());
        let tasks = request.nodes.iter().chain(&request.empty_maps);
        let tasks = tasks.flat_map(|node| [Some(&node.task), node.compensation.as_ref()]).flatten();
        let tasks: Vec<&TaskRequest> = tasks.filter(|task| !task.secrets.is_empty()).collect();
        let operator = self.permits.operator(&self.packages, tasks).await?;
        for map in request.empty_maps {
            self.check_empty_map(map, newer, &operator).await?;
        }
        let mut nodes = Vec::with_capacity(request.nodes.len());
        let mut steps = Steps::of_all(request.nodes.iter().map(|node| node.task.input_bytes()).sum());
        let (mut seen, mut bytes): (Option<NewTask>, _) = (None, 0);
        for (number, node) in request.nodes.into_iter().enumerate() {
            let NodeRequest { name, mut task, after, compensation } = node;
            task.decider = task.decider.or_else(|| request.decider.clone());
            let refused = |problem| JobRefusal::Task { node: name.clone(), problem: Box::new(problem) };
            options::of_job(&task).map_err(refused)?;
            let task = self.admit_node(task, newer, &operator, Some(&mut steps)).await.map_err(refused)?;
            if !seen.as_ref().is_some_and(|seen| looks_the_same(seen, &task)) {
                self.look_ahead_in_job(&task).await.map_err(|error| error.map_or_else(JobRefusal::Store, refused))?;
                seen = Some(NewTask { input: Payload::json(""), ..task.clone() });
            }
            let compensation = match compensation {
                Some(undo) => Some(self.check_compensation(&name, undo, newer, &operator).await?),
                None => None,
            };
            bytes += weight(&task) + compensation.as_ref().map_or(0, weight);
            if bytes > MAX_PLAN_BYTES {
                return Err(JobRefusal::TooHeavy(too_heavy(bytes)));
            }
            nodes.push(Node { name, task, after, compensation });
            if number % CHECKED_AT_A_TIME == 0 {
                tokio::task::yield_now().await;
            }
        }
        let spec = JobSpec {
            name: request.name,
            tags: request.tags,
            on_failure: request.on_failure,
            stop_on_failure: request.stop_on_failure,
            budget: request.budget,
            result,
            idempotency_key: request.idempotency_key,
        };
        Ok(NewJob { spec, nodes, fingerprint })
    }

    /// Whether a map could have had inputs.
    async fn check_empty_map(&self, map: NodeRequest, newer: &Newer, operator: &Operator) -> Result<(), JobRefusal> {
        let NodeRequest { name, task, compensation, .. } = map;
        let refused = |problem| JobRefusal::Task { node: name.clone(), problem: Box::new(problem) };
        options::of_job(&task).map_err(refused)?;
        self.admit_node(task, newer, operator, None).await.map_err(refused)?;
        if let Some(undo) = compensation {
            self.check_compensation(&name, undo, newer, operator).await?;
        }
        Ok(())
    }

    async fn check_compensation(
        &self,
        node: &NodeName,
        undo: TaskRequest,
        newer: &Newer,
        operator: &Operator,
    ) -> Result<NewTask, JobRefusal> {
        let refused = |problem| JobRefusal::Compensation { node: node.clone(), problem: Box::new(problem) };
        options::of_compensation(&undo).map_err(refused)?;
        // What it gets is made when it is needed, as of a callback: what it is not given cannot be checked.
        let undo = self.admit_node(undo, newer, operator, None).await.map_err(refused)?;
        self.look_ahead_in_job(&undo).await.map_err(|error| error.map_or_else(JobRefusal::Store, refused))?;
        Ok(undo)
    }

    /// Without steps its input is not checked.
    async fn admit_node(
        &self,
        task: TaskRequest,
        newer: &Newer,
        operator: &Operator,
        steps: Option<&mut Steps>,
    ) -> Result<NewTask, RefusedTask> {
        let follows = task.follow.unwrap_or(self.permits.follow_active);
        let package = match newer.get(&task.handler.package).filter(|_| follows) {
            Some(package) => Arc::clone(package),
            None => self.packages.package(&task.handler)?,
        };
        if let Some(steps) = steps {
            return self.admit(task, &package, operator, steps).await;
        }
        let handler = packages::handler(&package, &task.handler)?;
        admission::admit(task, &package, handler, &self.permits, operator, &self.packages)
    }

    /// Whether a task can ever run here. The error is the store's, or why not.
    async fn look_ahead_in_job(&self, new: &NewTask) -> Result<(), Result<RefusedTask, StoreError>> {
        use crate::refusal::SubmitRefusal;
        self.look_ahead(new).await.map_err(|error| match error {
            SubmitRefusal::Refused(problem) => Ok(problem),
            SubmitRefusal::Store(error) => Err(error),
            SubmitRefusal::Key(_) => Err(StoreError::Closed),
        })
    }

    /// Makes a new job of one that has ended: what has succeeded in that stands, and is not run again; the rest is, with whatever
    /// waits for it, and so is what is named, by the versions that are active now. When this returns, it is on stable storage.
    ///
    /// # Errors
    /// [`RetryRefusal`].
    pub async fn retry_job(&self, request: RetryJob) -> Result<Job, RetryRefusal> {
        Ok(self.store().retry_job(request).await??)
    }

    /// The record of a job.
    ///
    /// # Errors
    /// The store has failed; so for all that is asked of jobs.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.store().job(id).await
    }

    /// Waits for the end of a job, at most so long; gives its record as it is then, none when there is no such job.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn wait_job(&self, id: JobId, wait: Duration) -> Result<Option<Job>, StoreError> {
        self.store().wait_job(id, wait).await
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn jobs(&self, query: JobQuery) -> Result<JobPage, StoreError> {
        self.store().jobs(query).await
    }

    /// Tasks of a plan, by their names.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn plan(&self, query: PlanQuery) -> Result<PlanPage, StoreError> {
        self.store().plan(query).await
    }

    /// Cancels a job; what that has stopped, and what still runs. None when there is no such job. One that has ended, or that
    /// ends already, stays as it is.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn cancel_job(&self, id: JobId, wish: CancelWish) -> Result<Option<CancelledJob>, StoreError> {
        // The record is that of the cancel itself: its counts are from before anything was done about it.
        let Some(job) = self.store().cancel_job(id, wish).await? else { return Ok(None) };
        let running = job.tasks.in_state(StateName::Running);
        let stopped = if job.state.is_terminal() { 0 } else { job.tasks.unfinished().saturating_sub(running) };
        let running_tasks = if running == 0 { Vec::new() } else { self.job_attention(&job).await?.running };
        Ok(Some(CancelledJob { job, stopped, running, running_tasks }))
    }

    /// The output of a job: that of the task that was named for it. None while it has not ended well, and when that task gave
    /// none or there is no such task.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn job_output(&self, job: &Job) -> Result<Option<Payload>, StoreError> {
        self.store().job_output(job.id).await
    }

    /// What tasks of a plan gave, by their names; at most 200 of them, or 4 MiB and what the last one gave.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn job_outputs(&self, query: PlanQuery) -> Result<JobOutputs, StoreError> {
        let limit = query.limit.clamp(1, MAX_OUTPUTS);
        let PlanPage { tasks, next, .. } = self.store().plan(PlanQuery { limit, ..query }).await?;
        let (mut page, mut bytes, count) = (JobOutputs::default(), 0, tasks.len());
        for (number, task) in (1..).zip(tasks) {
            let Some(link) = task.job else { continue };
            let output = self.store().output(task.id).await?;
            bytes += output.as_ref().map_or(0, |output| output.bytes.len());
            let (name, state) = (link.name.clone(), task.state.name());
            page.outputs.push(JobOutput { name: link.name, task: task.id, state, output });
            if bytes >= MAX_OUTPUT_BYTES && number < count {
                page.next = Some(name);
                return Ok(page);
            }
        }
        page.next = next;
        Ok(page)
    }

    /// The tasks of a job that are worth a look: a few of each kind, among the first 5,000 of its tree, its own plan first and those
    /// below it level by level.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub async fn job_attention(&self, job: &Job) -> Result<JobAttention, StoreError> {
        let mut found = JobAttention::default();
        if let Some(JobCause::Task { task, .. }) = &job.cause {
            found.failing.extend(self.store().task(*task).await?);
        }
        let count = |states: &[StateName]| states.iter().map(|state| job.tasks.in_state(*state)).sum::<u64>();
        let failing = count(&[StateName::Dead, StateName::Expired, StateName::RetryScheduled]).min(SHOWN as u64);
        let running = count(&[StateName::Running]).min(SHOWN as u64);
        let is_enough =
            |found: &JobAttention| found.failing.len() as u64 >= failing && found.running.len() as u64 >= running;
        let (mut looked, mut plans) = (0, VecDeque::from([PlanQuery::of(job.id, PAGE)]));
        while looked < MAX_LOOKED
            && !is_enough(&found)
            && let Some(query) = plans.pop_front()
        {
            let PlanPage { tasks, next, .. } = self.store().plan(query.clone()).await?;
            looked += tasks.len().max(1);
            for task in tasks {
                if may_have_plan(job, &task) {
                    plans.push_back(PlanQuery { parent: Some(task.id), ..PlanQuery::of(job.id, PAGE) });
                }
                found.add(task);
            }
            if next.is_some() {
                plans.push_front(PlanQuery { after: next, ..query });
            }
        }
        Ok(found)
    }
}

impl JobAttention {
    fn add(&mut self, task: Task) {
        let list = match task.state.name() {
            StateName::Dead | StateName::Expired | StateName::RetryScheduled => &mut self.failing,
            StateName::Running => &mut self.running,
            _ => return,
        };
        if list.len() < SHOWN && list.iter().all(|known| known.id != task.id) {
            list.push(task);
        }
    }
}

/// Whether one look ahead does for both: it goes by the component, the queue and the limits.
fn looks_the_same(one: &NewTask, other: &NewTask) -> bool {
    let (one, other, callbacks) = (&one.spec, &other.spec, one.callbacks.is_empty() && other.callbacks.is_empty());
    callbacks && one.component == other.component && one.queue == other.queue && one.limits == other.limits
}
