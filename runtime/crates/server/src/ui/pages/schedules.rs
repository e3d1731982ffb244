//! Schedules: what comes next of each, a pause, a trigger, and another calendar.

use askama::Template;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Answer, confirm, refused, told, unknown};
use crate::api::{DeletedSchedule, FiresView, PackagesView, ScheduleView, SchedulesView, TriggeredView};
use crate::problem::Problem;
use crate::ui::desk::{absent, encoded, query, unchanged};
use crate::ui::form::Form;
use crate::ui::frame::{Frame, Note};
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
    handlers: Vec<String>,
    form: Form,
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
    Ok(page(&listed(&visit, fields.get("after"), Form::default()).await?))
}

async fn listed(visit: &Visit, after: Option<&str>, form: Form) -> Result<Schedules, Problem> {
    let asked = query([("after", after)]);
    let SchedulesView { schedules, next } = visit.desk.get(&format!("/v1/schedules?{asked}")).await?;
    let packages = visit.desk.maybe::<PackagesView>("/v1/packages").await?.map(|packages| packages.packages);
    let handlers = packages.into_iter().flatten().flat_map(|package| package.handlers);
    let handlers = handlers.map(|handler| handler.name).collect();
    let frame = visit.frame("Schedules", "schedules").await;
    Ok(Schedules { frame, schedules, next, handlers, form })
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
        "set" | "task" => change(&visit, &at, &fields).await.map(|schedule| format!("{} is changed", schedule.name)),
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
    let task = match fields.whole("task") {
        Some(text) => json_of("task", text)?,
        None => {
            let task = schedule.task.as_ref().ok_or_else(unreadable)?;
            serde_json::value::to_raw_value(task).map_err(Problem::invalid)?
        }
    };
    let or = |name: &str, otherwise: &str| fields.get(name).unwrap_or(otherwise).to_owned();
    let jitter_ms = match fields.whole("jitter_ms") {
        Some(_) => fields.number("jitter_ms")?.unwrap_or(0),
        None => schedule.jitter_ms,
    };
    let put = Put {
        cron: or("cron", &schedule.cron),
        time_zone: or("time_zone", &schedule.time_zone),
        overlap: or("overlap", &schedule.overlap),
        catch_up: or("catch_up", &schedule.catch_up),
        jitter_ms,
        paused: None,
        task,
    };
    visit.desk.send_if("PUT", at, unchanged(fields), &put).await
}

/// A schedule as the API takes it; its task in whatever words somebody wrote, which the API reads.
#[derive(Serialize)]
struct Put {
    cron: String,
    time_zone: String,
    overlap: String,
    catch_up: String,
    jitter_ms: u64,
    paused: Option<bool>,
    task: Box<RawValue>,
}

/// JSON as somebody has written it in a field: numbers in it stay as they are.
fn json_of(name: &str, text: &str) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| Problem::invalid(format!("`{name}` is no JSON: {error}\nhint: go back and mend it there")))
}

/// What each tick makes, as the form for a new schedule says it.
#[derive(Serialize)]
struct NewTask<'a> {
    handler: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Box<RawValue>>,
}

/// A schedule of which there is none of this name yet.
async fn made(visit: &Visit, fields: &Form) -> Result<ScheduleView, Problem> {
    let input = fields.get("input").map(|text| json_of("input", text)).transpose()?;
    let task = NewTask { handler: fields.text("handler"), queue: fields.get("queue"), input };
    let or = |name: &str, otherwise: &str| fields.get(name).unwrap_or(otherwise).to_owned();
    let put = Put {
        cron: fields.text("cron").to_owned(),
        time_zone: or("time_zone", "UTC"),
        overlap: or("overlap", "skip"),
        catch_up: or("catch_up", "last"),
        jitter_ms: fields.number("jitter_ms")?.unwrap_or(0),
        paused: Some(fields.has("paused")),
        task: serde_json::value::to_raw_value(&task).map_err(Problem::invalid)?,
    };
    let at = format!("/v1/schedules/{}", encoded(fields.text("name")));
    visit.desk.send_if("PUT", &at, absent(), &put).await
}

pub(super) async fn create(visit: Visit, Fields(fields): Fields) -> Answer {
    match made(&visit, &fields).await {
        Ok(schedule) => {
            let note = Note::good(format!("the schedule {} is made", schedule.name));
            Ok(visit.back(&Form::default(), &format!("/ui/schedules/{}", encoded(&schedule.name)), note))
        }
        // With all that was written, to be mended.
        Err(problem) => {
            let mut list = listed(&visit, None, Form::clone(&fields)).await?;
            list.frame.note = Some(refused(&problem));
            Ok((problem.status(), page(&list)).into_response())
        }
    }
}
