//! What the tasks of a job wait for, each as its own story has it.

use std::collections::VecDeque;

use sunaba_store::{PlanQuery, Store, StoreError};
use sunaba_task::job::{Job, JobState};
use sunaba_task::{StateName, TaskId, Timestamp};

use super::read::may_have_plan;
use super::story::WaitReport;
use super::tally::Waiting;

/// Tasks of one page.
const PAGE: usize = 200;
/// Tasks that are looked at for one that waits.
const MAX_LOOKS: usize = 5_000;
/// Those of them that are asked what for.
const MAX_ASKED: usize = 8;
/// Where a task waits that could run.
const WAITING: [StateName; 3] = [StateName::Queued, StateName::Scheduled, StateName::RetryScheduled];

/// What those wait for that could run.
pub(super) async fn reports(
    store: &dyn Store,
    waiting: &[Waiting],
    now: Timestamp,
) -> Result<Vec<WaitReport>, StoreError> {
    let mut waits = Vec::new();
    for Waiting { task, name, .. } in waiting {
        waits.extend(report(store, *task, name, Some(now)).await?.map(|(wait, _)| wait));
    }
    Ok(waits)
}

/// What a job waits for, in one of its tasks: one that something holds up or that waits for somebody; and where nothing runs, any
/// that could. None of a job that has ended. It looks at 5,000 tasks, its own plan first.
///
/// # Errors
/// The store does not answer.
pub async fn first_wait(store: &dyn Store, job: &Job) -> Result<Option<WaitReport>, StoreError> {
    let could_run: u64 = WAITING.map(|state| job.tasks.in_state(state)).iter().sum();
    if job.state.is_terminal() || could_run == 0 {
        return Ok(None);
    }
    let mut first = None;
    for (task, name) in waiting(store, job, could_run.min(MAX_ASKED as u64)).await? {
        let Some((wait, is_held)) = report(store, task, &name, None).await? else { continue };
        if is_held {
            return Ok(Some(wait));
        }
        first.get_or_insert(wait);
    }
    // It waits for a slot, or for its time, which is no news while others run.
    Ok(first.filter(|_| job.tasks.in_state(StateName::Running) == 0))
}

/// The first so many tasks that wait.
async fn waiting(store: &dyn Store, job: &Job, most: u64) -> Result<Vec<(TaskId, String)>, StoreError> {
    let (mut waiting, mut looks) = (Vec::new(), 0);
    let mut plans = VecDeque::from([(PlanQuery::of(job.id, PAGE), String::new())]);
    // Then what has ended may have something under it that has not.
    let undoes = job.state == JobState::Compensating;
    while let Some((query, within)) = plans.pop_front() {
        let page = store.plan(query.clone()).await?;
        looks += page.tasks.len().max(1);
        for task in page.tasks {
            let Some(link) = &task.job else { continue };
            let name = format!("{within}{}", link.name);
            if WAITING.contains(&task.state.name()) {
                waiting.push((task.id, name));
            } else if may_have_plan(job, &task) && (undoes || !task.state.is_terminal()) {
                plans.push_back((
                    PlanQuery { parent: Some(task.id), ..PlanQuery::of(job.id, PAGE) },
                    format!("{name} > "),
                ));
            }
            if waiting.len() as u64 == most {
                return Ok(waiting);
            }
        }
        if let Some(next) = page.next {
            plans.push_front((PlanQuery { after: Some(next), ..query }, within));
        }
        if looks >= MAX_LOOKS {
            break;
        }
    }
    Ok(waiting)
}

/// What a task waits for, and whether something holds it up. None: it is not there any more.
async fn report(
    store: &dyn Store,
    id: TaskId,
    name: &str,
    now: Option<Timestamp>,
) -> Result<Option<(WaitReport, bool)>, StoreError> {
    let Some(task) = store.task(id).await? else { return Ok(None) };
    let standing = store.standing(id).await?;
    let now = standing.now.or(now).unwrap_or(task.since);
    let story = crate::explain::explain(&task, Some(&standing), None, now);
    let is_held = !story.holds.is_empty();
    let held = story.holds.into_iter().map(|hold| hold.message);
    let messages = if is_held { held.collect() } else { vec![story.conclusion] };
    let report = WaitReport { name: name.to_owned(), task: id.to_string(), state: task.state.name(), messages };
    Ok(Some((report, is_held)))
}
