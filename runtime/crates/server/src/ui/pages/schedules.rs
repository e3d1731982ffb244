//! Schedules: what comes next of each, a pause, a trigger, and another calendar.

use askama::Template;
use axum::extract::Path;
use serde_json::{Value, json};

use super::{Answer, confirm, told, unknown};
use crate::api::{DeletedSchedule, FiresView, ScheduleView, SchedulesView, TriggeredView};
use crate::problem::Problem;
use crate::ui::desk::{encoded, query};
use crate::ui::form::Form;
use crate::ui::frame::Frame;
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// What comes next is shown this far.
const FIRES: usize = 12;

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules {
    frame: Frame,
    schedules: Vec<ScheduleView>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct SchedulePage {
    frame: Frame,
    schedule: ScheduleView,
    fires: FiresView,
    task: Option<String>,
}

pub(super) async fn list(visit: Visit, Fields(fields): Fields) -> Answer {
    let asked = query([("after", fields.get("after"))]);
    let SchedulesView { schedules, next } = visit.desk.get(&format!("/v1/schedules?{asked}")).await?;
    Ok(page(&Schedules { frame: visit.frame("Schedules", "schedules").await, schedules, next }))
}

pub(super) async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let at = format!("/v1/schedules/{}", encoded(&name));
    let schedule: ScheduleView = visit.desk.get(&at).await?;
    let fires: FiresView = visit.desk.get(&format!("{at}/next?count={FIRES}")).await?;
    let task = schedule.task.as_ref().and_then(|task| serde_json::to_string(task).ok());
    Ok(page(&SchedulePage {
        frame: visit.frame(&format!("Schedule {name}"), "schedules").await,
        schedule,
        fires,
        task,
    }))
}

pub(super) async fn act(visit: Visit, Path(name): Path<String>, Fields(fields): Fields) -> Answer {
    let at = format!("/v1/schedules/{}", encoded(&name));
    let own = format!("/ui/schedules/{}", encoded(&name));
    let nothing = json!({});
    let result = match fields.text("action") {
        word @ ("pause" | "resume") => {
            let set = visit.desk.send::<ScheduleView>("POST", &format!("{at}/{word}"), &nothing).await;
            set.map(|schedule| format!("{} is {word}d", schedule.name))
        }
        "trigger" => {
            let made = visit.desk.send::<TriggeredView>("POST", &format!("{at}/trigger"), &nothing).await;
            made.map(|made| match made.task {
                Some(task) => format!("task {} is made", task.id),
                None => "its task is made as soon as what is active of the schedule has ended".into(),
            })
        }
        "set" => change(&visit, &at, &fields).await.map(|schedule| format!("{} is changed", schedule.name)),
        "delete" if !fields.has("sure") => {
            let what = "It makes no more tasks; those that it has made stay.";
            return confirm::ask(&visit, &fields, format!("Delete the schedule {name}?"), what, "Delete").await;
        }
        "delete" => {
            let gone = visit.desk.send::<DeletedSchedule>("DELETE", &at, &nothing).await;
            let note = told(gone.map(|gone| format!("the schedule {} is deleted", gone.deleted)));
            let to = if note.is_good { "/ui/schedules" } else { &own };
            return Ok(visit.back(&Form::default(), to, note));
        }
        other => return Err(unknown(other)),
    };
    Ok(visit.back(&fields, &own, told(result)))
}

/// The schedule as it is, but for what the form says.
async fn change(visit: &Visit, at: &str, fields: &Form) -> Result<ScheduleView, Problem> {
    let schedule: ScheduleView = visit.desk.get(at).await?;
    let unreadable = || {
        let message =
            "the task of this schedule was written by another release\nhint: change it with `sunaba schedule update`";
        Problem::invalid(message)
    };
    let task = schedule.task.as_ref().ok_or_else(unreadable)?;
    let or = |name: &str, otherwise: &str| Value::from(fields.get(name).unwrap_or(otherwise));
    let jitter_ms = fields.number("jitter_ms")?.unwrap_or(0);
    let put = json!({
        "cron": or("cron", &schedule.cron), "time_zone": or("time_zone", &schedule.time_zone),
        "overlap": or("overlap", &schedule.overlap), "catch_up": or("catch_up", &schedule.catch_up),
        "jitter_ms": jitter_ms, "task": task,
    });
    visit.desk.send("PUT", at, &put).await
}
