//! How a host takes tasks on, and makes them over again: each is checked against the version that it will run first.
//!
//! A deploy may come between the check and the commit. So whatever follows tells the store what it was checked against, and the
//! store, which decides deploys and submits one after another, hands back what was checked against another version than the
//! active one, together with that. It is checked again, by that.

use sunaba_store::{BulkAction, BulkPage, Package, Rerun, RerunError, StoreError, SubmitError, Submitted, TaskQuery};
use sunaba_task::trace::submit_span;
use sunaba_task::{Digest, NewTask, Payload, Task, TaskId};
use tokio::time::Instant;

use super::Runtime;
use crate::admission::{self, RefusedTask, TaskRequest};
use crate::checks::Steps;
use crate::effective::Operator;
use crate::packages;
use crate::refusal::{RerunRefusal, SubmitRefusal};

/// How often one request is checked anew: each time, another version has been deployed meanwhile.
pub(super) const MAX_CHECKS: usize = 8;

type Answer = Result<Submitted, SubmitRefusal>;

/// A task on its way to the store.
struct Sending {
    /// Where its answer goes.
    place: usize,
    new: NewTask,
    /// What it was made of, if it can be handed back.
    again: Option<TaskRequest>,
}

/// A request that was checked against another version than the active one.
struct Unchecked {
    place: usize,
    request: TaskRequest,
    active: Box<Package>,
}

impl Runtime {
    /// Takes a task on. When this returns, the task is on stable storage.
    ///
    /// # Errors
    /// [`SubmitRefusal`]: it cannot be, or is not allowed; or the store could not take it on.
    pub async fn submit(&self, request: TaskRequest) -> Result<Submitted, SubmitRefusal> {
        self.submit_all(vec![request]).await?.pop().ok_or(StoreError::Closed)?
    }

    /// Takes many tasks on, in one commit. The answers are in the order of the requests; one that is refused does not hold
    /// back the others.
    ///
    /// # Errors
    /// The store could not take any of them on.
    pub async fn submit_all(
        &self,
        requests: Vec<TaskRequest>,
    ) -> Result<Vec<Result<Submitted, SubmitRefusal>>, StoreError> {
        let traced = self.spans.sink().map(|spans| (spans, Instant::now()));
        let operator = self.permits.operator(&self.packages, &requests).await?;
        let (mut answers, mut sending): (Vec<Answer>, _) = (Vec::with_capacity(requests.len()), Vec::new());
        let mut steps = Steps::of_all(requests.iter().map(TaskRequest::input_bytes).sum());
        for (place, request) in requests.into_iter().enumerate() {
            // Only what follows can be handed back.
            let again = request.follow.unwrap_or(self.permits.follow_active).then(|| request.clone());
            let package = self.packages.package(&request.handler);
            let admitted = match package {
                Ok(package) => self.admit(request, &package, &operator, &mut steps).await,
                Err(error) => Err(error),
            };
            answers.push(match self.looked_ahead(admitted).await {
                Ok(new) => {
                    sending.push(Sending { place, new, again });
                    Err(StoreError::Closed.into())
                }
                Err(error) => Err(error),
            });
        }
        let mut unchecked = self.send(sending, &mut answers).await?;
        for _ in 1..MAX_CHECKS {
            let mut sending = Vec::with_capacity(unchecked.len());
            for Unchecked { place, request, active } in unchecked {
                let admitted = self.admit(request.clone(), &active, &operator, &mut Steps::of_one()).await;
                match self.looked_ahead(admitted).await {
                    Ok(new) => sending.push(Sending { place, new, again: Some(request) }),
                    Err(error) => answers[place] = Err(error),
                }
            }
            let places: Vec<_> = sending.iter().map(|sending| sending.place).collect();
            unchecked = match self.send(sending, &mut answers).await {
                Ok(unchecked) => unchecked,
                // The others were answered before.
                Err(error) => {
                    places.into_iter().for_each(|place| answers[place] = Err(error.clone().into()));
                    break;
                }
            };
        }
        if let Some((spans, begun)) = traced {
            let created = answers.iter().filter_map(|answer| match answer {
                Ok(Submitted::Created(task)) => submit_span(task, begun.elapsed()),
                _ => None,
            });
            spans.take(created.collect());
        }
        Ok(answers)
    }

    /// Submits tasks, in one commit, and puts the answers into their places; what the store has handed back.
    async fn send(&self, sending: Vec<Sending>, answers: &mut [Answer]) -> Result<Vec<Unchecked>, StoreError> {
        if sending.is_empty() {
            return Ok(Vec::new());
        }
        let (places, tasks): (Vec<_>, Vec<_>) =
            sending.into_iter().map(|sending| ((sending.place, sending.again), sending.new)).unzip();
        let mut unchecked = Vec::new();
        for ((place, again), answer) in places.into_iter().zip(self.store.submit(tasks).await?) {
            if let (Err(SubmitError::Unchecked { active }), Some(request)) = (&answer, again) {
                unchecked.push(Unchecked { place, request, active: active.clone() });
            }
            answers[place] = answer.map_err(SubmitRefusal::from);
        }
        Ok(unchecked)
    }

    /// What was admitted, if it can ever run here.
    async fn looked_ahead(&self, admitted: Result<NewTask, RefusedTask>) -> Result<NewTask, SubmitRefusal> {
        let new = admitted?;
        self.look_ahead(&new).await?;
        Ok(new)
    }

    /// Everything that a request says and leaves out, as this version of its package has it.
    pub(super) async fn admit(
        &self,
        request: TaskRequest,
        package: &Package,
        operator: &Operator,
        steps: &mut Steps,
    ) -> Result<NewTask, RefusedTask> {
        let (on_success, on_failure) = (request.on_success.clone(), request.on_failure.clone());
        let handler = packages::handler(package, &request.handler)?;
        let new = admission::admit(request, package, handler, &self.permits, operator, &self.packages)?;
        admission::check_input(&self.packages, package.component, handler, &new.input, steps).await?;
        let callbacks = admission::callbacks(&on_success, &on_failure, &self.packages, &self.permits.ceilings)?;
        Ok(NewTask { callbacks, ..new })
    }

    /// Makes a new task of one that has ended: with its input, or with another, which are checked as at a submit; and with its
    /// grants, as far as the handler that it gets now, and the operator, still let it have them.
    ///
    /// # Errors
    /// [`RerunRefusal`].
    pub async fn rerun(&self, id: TaskId, input: Option<Payload>) -> Result<Task, RerunRefusal> {
        let (request, task) = self.checked(id, input).await?;
        self.rerun_checked(request, &task).await
    }

    async fn rerun_checked(&self, mut request: Rerun, task: &Task) -> Result<Task, RerunRefusal> {
        for _ in 1..MAX_CHECKS {
            match self.store.rerun(vec![request.clone()]).await?.pop().ok_or(StoreError::Closed)? {
                Err(RerunError::Unchecked { active, .. }) => {
                    request.checked = Some(self.check_again(task, request.input.as_ref(), &active).await?);
                }
                made => return Ok(made?),
            }
        }
        Ok(self.store.rerun(vec![request]).await?.pop().ok_or(StoreError::Closed)??)
    }

    /// Makes new tasks of a page of those that have ended without success. The store does it by itself for all whose handlers
    /// take what they took; the others are checked, each by its input. Beside the page, what was refused, and why.
    ///
    /// # Errors
    /// The store has failed.
    pub async fn rerun_page(&self, query: TaskQuery) -> Result<(BulkPage, Vec<(TaskId, RerunRefusal)>), StoreError> {
        let mut page = self.store.bulk(BulkAction::Rerun, query).await?;
        let mut refused = Vec::new();
        for id in std::mem::take(&mut page.unchecked) {
            match self.rerun_once(id).await {
                Ok(_) => page.done.push(id),
                // Somebody was quicker.
                Err(RerunRefusal::Rerun(RerunError::Already { .. })) => {}
                // What was done before is done, whatever becomes of this one.
                Err(error) => refused.push((id, error)),
            }
        }
        // Ids are in the order of the submits.
        page.done.sort_by(|one, other| other.cmp(one));
        Ok((page, refused))
    }

    /// Makes a new task of one that has ended, unless that was done already.
    async fn rerun_once(&self, id: TaskId) -> Result<Task, RerunRefusal> {
        let (request, task) = self.checked(id, None).await?;
        self.rerun_checked(Rerun { once: true, ..request }, &task).await
    }

    /// A task that has ended, and how it is to be run again: checked against what its package has, as far as this host knows.
    async fn checked(&self, id: TaskId, input: Option<Payload>) -> Result<(Rerun, Task), RerunRefusal> {
        let task = self.store.task(id).await?.ok_or(RerunError::Unknown(id))?;
        if !task.state.is_terminal() {
            return Err(RerunError::NotEnded { task: id, state: task.state.name() }.into());
        }
        let checked = match (self.packages.package(&task.spec.handler), &input) {
            (Ok(package), input) => Some(self.check_again(&task, input.as_ref(), &package).await?),
            (Err(error), Some(_)) => return Err(error.into()),
            // One that no package has any more is refused by the store, which says so.
            (Err(_), None) => None,
        };
        self.check_grants(&task).await?;
        Ok((Rerun { task: id, input, checked, once: false }, task))
    }

    /// Checks what a task would get by the version that would run it; that version's component.
    async fn check_again(
        &self,
        task: &Task,
        input: Option<&Payload>,
        package: &Package,
    ) -> Result<Digest, RerunRefusal> {
        if input.is_none() && task.spec.component == package.component {
            return Ok(package.component);
        }
        let name = &task.spec.handler;
        let no_handler = || RerunError::NoHandler { task: task.id, handler: name.clone() };
        let handler = package.handler(&name.handler).ok_or_else(no_handler)?;
        let check = async |input| {
            admission::check_input(&self.packages, package.component, handler, input, &mut Steps::of_one()).await
        };
        match input {
            Some(input) => check(input).await?,
            None => {
                let own = self.store.input(task.id).await?.ok_or(RerunError::Unknown(task.id))?;
                check(&own)
                    .await
                    .map_err(|error| RerunRefusal::old_input(task.id, name.clone(), package.version, &error))?;
            }
        }
        Ok(package.component)
    }
}
