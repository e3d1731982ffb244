//! What there is of tasks, and what is done to one of them.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use sunaba_host::Story;
use sunaba_store::StoreError;
use sunaba_task::{AttemptDetail, Digest, Task, TaskId};

use super::{Answer, MAX_WAIT, Shared};
use crate::access::Caller;
use crate::api::{
    AttemptLogs, Cancel, Deleted, Filter, LogsView, NewInput, ResultView, RunningView, TaskView, TasksView,
};
use crate::body::{Json, Reply};
use crate::extract::{Asked, At};
use crate::problem::Problem;

pub(super) async fn list(State(shared): State<Shared>, Asked(mut filter): Asked<Filter>) -> Answer<TasksView> {
    Caller::now().narrow(&mut filter)?;
    let page = shared.runtime.store().tasks(filter.query()?).await?;
    let next = page.next.map(|id| id.to_string());
    Ok(Reply(TasksView { tasks: page.tasks.iter().map(TaskView::from).collect(), next }))
}

/// How long to wait for the end of a task.
#[derive(Deserialize, schemars::JsonSchema)]
pub(super) struct Wait {
    /// How long to wait for its end.
    wait_ms: Option<u64>,
}

pub(super) async fn get(
    State(shared): State<Shared>,
    At(id): At<String>,
    Asked(Wait { wait_ms }): Asked<Wait>,
) -> Answer<TaskView> {
    let (id, found) = shared.find(&id).await?;
    let Some(wait_ms) = wait_ms.filter(|ms| *ms > 0 && !found.state.is_terminal()) else {
        let limits = shared.runtime.store().standing(id).await?.limits;
        return Ok(Reply(TaskView { queue_limits: limits.map(String::from), ..with_live(&shared, &found) }));
    };
    let store = std::sync::Arc::clone(shared.runtime.store());
    let waiting = store.wait(id, Duration::from_millis(wait_ms).min(MAX_WAIT));
    let ended = shared.unless_stopping(waiting).await?.transpose()?.flatten();
    Ok(Reply(with_live(&shared, &ended.unwrap_or(found))))
}

/// A task, and where its attempt is, if that runs here.
fn with_live(shared: &Shared, task: &Task) -> TaskView {
    let running = task.lease().and_then(|_| shared.runtime.live(task.id));
    // What runs here may be another attempt than the one that was read.
    let running = running.filter(|running| running.attempt == task.attempts_started);
    let live = running.and_then(|running| Some(RunningView::new(running.attempt, running.live?)));
    TaskView { live, ..TaskView::from(task) }
}

pub(super) async fn result(State(shared): State<Shared>, At(id): At<String>) -> Answer<ResultView> {
    let (id, task) = shared.find(&id).await?;
    let output = shared.runtime.output(id).await?;
    let detail = match task.attempts.last() {
        Some(last) => shared.runtime.store().attempt_detail(id, last.number).await?.unwrap_or_default(),
        None => AttemptDetail::default(),
    };
    Ok(Reply(ResultView::new(&task, output.as_ref(), detail)))
}

pub(super) async fn logs(State(shared): State<Shared>, At(id): At<String>) -> Answer<LogsView> {
    let (id, task) = shared.find(&id).await?;
    let mut attempts = Vec::with_capacity(task.attempts.len());
    for attempt in &task.attempts {
        let detail = shared.runtime.store().attempt_detail(id, attempt.number).await?.unwrap_or_default();
        attempts.push(AttemptLogs { number: attempt.number, running: false, logs: detail.logs });
    }
    let known = attempts.last().map_or(0, |last| last.number);
    if let Some(running) = task.lease().and_then(|_| shared.runtime.live(id)).filter(|running| running.attempt > known)
    {
        let logs = running.logs.iter().map(|entry| (**entry).clone()).collect();
        attempts.push(AttemptLogs { number: running.attempt, running: true, logs });
    }
    Ok(Reply(LogsView { id: id.to_string(), state: task.state.name(), attempts }))
}

/// Why a task is where it is.
pub(super) async fn explain(State(shared): State<Shared>, At(id): At<String>) -> Answer<Story> {
    let (id, task) = shared.find(&id).await?;
    let store = shared.runtime.store();
    let standing = store.standing(id).await?;
    let input = store.input(id).await?.map(|input| Digest::of(&input.bytes));
    let now = standing.now.unwrap_or(task.since);
    let mut story = sunaba_host::explain(&task, Some(&standing), input, now);
    // Most tasks have none, and need not be looked at for it.
    for attempt in task.attempts.iter().filter(|_| task.spec.decider.is_some()) {
        let detail = store.attempt_detail(id, attempt.number).await?;
        if let Some(record) = detail.and_then(|detail| detail.decider) {
            story.add_decider(attempt.number, *record);
        }
    }
    Ok(Reply(story))
}

pub(super) async fn cancel(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(cancel): Json<Cancel>,
) -> Answer<TaskView> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    shared.permit_task(id).await?;
    match shared.runtime.store().cancel(vec![id], cancel.wish()?).await?.pop().flatten() {
        Some(task) => Ok(Reply(TaskView::from(&task))),
        None => Err(shared.no_task(id).await),
    }
}

/// What takes nothing, as JSON: no web page can send that without asking.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn run_now(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<TaskView> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    shared.permit_task(id).await?;
    let Some(due) = shared.runtime.store().run_now(vec![id]).await?.pop().flatten() else {
        return Err(shared.no_task(id).await);
    };
    if due.state.is_terminal() {
        let state = due.state.name();
        let message = format!(
            "task {id} is {state}, and does not run any more\nhint: `sunaba task rerun {id}` makes a new one of it"
        );
        return Err(Problem::new(StatusCode::CONFLICT, message));
    }
    Ok(Reply(TaskView::from(&due)))
}

pub(super) async fn rerun(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(input): Json<NewInput>,
) -> Answer<TaskView> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    shared.permit_task(id).await?;
    let made = shared.runtime.rerun(id, input.payload()?).await?;
    Ok(Reply(TaskView::from(&made)))
}

pub(super) async fn delete(State(shared): State<Shared>, At(id): At<String>) -> Answer<Deleted> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    shared.permit_task(id).await?;
    shared.runtime.store().delete(vec![id]).await?.pop().ok_or(StoreError::Closed)??;
    Ok(Reply(Deleted { deleted: id.to_string() }))
}
