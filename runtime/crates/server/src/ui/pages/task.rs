//! One task: its story, what it was given and gave, what it said, and what can be done about it.

use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use serde_json::value::RawValue;
use sunaba_host::Story;
use sunaba_task::{Payload, TaskId};

use super::{Answer, confirm, refused, tasks, told, unknown};
use crate::api::{ArtifactsView, CompletedView, LogsView, NewInput, ResultView, TaskView};
use crate::problem::Problem;
use crate::ui::desk::encoded;
use crate::ui::form::Form;
use crate::ui::frame::{Frame, Note};
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Lines of an attempt's log that are shown.
const MAX_LINES: usize = 2_000;
/// The largest input that can be edited in a form.
const MAX_EDITED_BYTES: usize = 256 << 10;

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    task: TaskView,
    story: Story,
    result: ResultView,
    logs: LogsView,
    artifacts: ArtifactsView,
    input: Body,
    output: Option<Body>,
    edits: bool,
}

/// A payload, as far as it can be shown.
pub(super) enum Body {
    Json(String),
    Text(String),
    Bytes(u64),
    Gone,
}

impl Body {
    pub(super) fn of(payload: Option<Payload>) -> Self {
        let Some(payload) = payload else { return Self::Gone };
        match std::str::from_utf8(&payload.bytes) {
            Ok(text) if payload.is_json() => Self::Json(text.to_owned()),
            Ok(text) if payload.media_type.starts_with("text/") => Self::Text(text.to_owned()),
            _ => Self::Bytes(payload.bytes.len() as u64),
        }
    }

    /// What can be edited.
    fn editable(&self) -> Option<&str> {
        match self {
            Self::Json(text) | Self::Text(text) if text.len() <= MAX_EDITED_BYTES => Some(text),
            _ => None,
        }
    }
}

impl TaskPage {
    fn is_over(&self) -> bool {
        self.task.state.is_terminal()
    }

    /// The attempts of the story with the newest first, as people read them.
    fn attempts(&self) -> impl Iterator<Item = &sunaba_host::AttemptStory> {
        self.story.attempts.iter().rev()
    }

    fn lines<'a>(&self, attempt: &'a crate::api::AttemptLogs) -> &'a [sunaba_task::LogEntry] {
        let from = attempt.logs.len().saturating_sub(MAX_LINES);
        &attempt.logs[from..]
    }

    /// What repeats its last attempt without the queue, where that had a seed.
    fn replay(&self) -> Option<String> {
        let seed = self.task.attempts.last()?.receipt.as_ref()?.seed.as_ref()?;
        let (package, handler) = self.task.handler.split_once('/')?;
        Some(format!("sunaba run {package}.wasm {handler} --input @input --seed {seed}"))
    }

    /// What would do the same on the command line.
    fn command(&self) -> String {
        format!("sunaba task rerun {}", self.task.id)
    }
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>, Fields(fields): Fields) -> Answer {
    let at = format!("/v1/tasks/{}", encoded(&id));
    let task: TaskView = visit.desk.get(&at).await?;
    let story: Story = visit.desk.get(&format!("{at}/explain")).await?;
    let result: ResultView = visit.desk.get(&format!("{at}/result")).await?;
    let logs: LogsView = visit.desk.get(&format!("{at}/logs")).await?;
    let artifacts: ArtifactsView = visit.desk.get(&format!("{at}/artifacts")).await?;
    let input = Body::of(given(&visit, &id).await?);
    let output = result.output.as_ref().map(|output| output_of(output, result.media_type.as_deref()));
    let frame = visit.frame(&format!("Task {id}"), "tasks").await;
    let edits = fields.has("edit");
    Ok(page(&TaskPage { frame, task, story, result, logs, artifacts, input, output, edits }))
}

/// What a task was given. Whoever asks was let through to the task before.
async fn given(visit: &Visit, id: &str) -> Result<Option<Payload>, Problem> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    Ok(visit.ui.shared.runtime.store().input(id).await?)
}

fn output_of(output: &RawValue, media_type: Option<&str>) -> Body {
    if media_type == Some(sunaba_task::JSON) {
        return Body::Json(output.get().to_owned());
    }
    let bytes = bytes_of(output);
    Body::of(bytes.map(|bytes| Payload::new(media_type.unwrap_or_default(), bytes)))
}

/// The bytes of an output that is no JSON.
fn bytes_of(output: &RawValue) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_str(output.get()).ok()?;
    STANDARD.decode(value.get("base64")?.as_str()?).ok()
}

/// The task as the API has it.
pub(super) async fn raw(visit: Visit, Path(id): Path<String>) -> Answer {
    Ok(visit.desk.ask("GET", &format!("/v1/tasks/{}", encoded(&id)), HeaderMap::new(), Vec::new()).await)
}

/// What a guest was given or has made, as a file that no browser opens.
fn file(name: &str, media_type: &str, bytes: impl Into<axum::body::Body>) -> Response {
    let value =
        |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, value(media_type)),
        (header::CONTENT_DISPOSITION, value(&format!("attachment; filename=\"{name}\""))),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, bytes.into()).into_response()
}

pub(super) async fn input(visit: Visit, Path(id): Path<String>) -> Answer {
    let _: TaskView = visit.desk.get(&format!("/v1/tasks/{}", encoded(&id))).await?;
    let none = || Problem::not_found(format!("the input of task {id} is not kept any more"));
    let given = given(&visit, &id).await?.ok_or_else(none)?;
    Ok(file("input", &given.media_type, given.bytes))
}

pub(super) async fn output(visit: Visit, Path(id): Path<String>) -> Answer {
    let result: ResultView = visit.desk.get(&format!("/v1/tasks/{}/result", encoded(&id))).await?;
    let none = || Problem::not_found(format!("task {id} has no output, or it is not kept any more"));
    let (output, media_type) = (result.output.ok_or_else(none)?, result.media_type.unwrap_or_default());
    let bytes = match media_type.as_str() {
        sunaba_task::JSON => output.get().as_bytes().to_vec(),
        _ => bytes_of(&output).ok_or_else(none)?,
    };
    Ok(file("output", &media_type, bytes))
}

pub(super) async fn artifact(visit: Visit, Path((id, name)): Path<(String, String)>, asked: HeaderMap) -> Answer {
    let parts = [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH];
    let headers = parts.into_iter().filter_map(|name| Some((name.clone(), asked.get(name)?.clone()))).collect();
    let target = format!("/v1/tasks/{}/artifacts/{}", encoded(&id), encoded(&name));
    Ok(visit.desk.ask("GET", &target, headers, Vec::new()).await)
}

pub(super) async fn act(visit: Visit, Path(id): Path<String>, Fields(fields): Fields) -> Answer {
    let own = format!("/ui/tasks/{}", encoded(&id));
    let action = fields.text("action");
    let note = match action {
        "cancel" => {
            let reason = fields.get("reason").map(|reason| json!({"reason": reason})).unwrap_or(json!({}));
            told(tasks::one(&visit, &id, "cancel", &reason).await.map(|_| "the task is being cancelled".into()))
        }
        "run-now" => told(tasks::one(&visit, &id, "run-now", &json!({})).await.map(|_| "the task is due now".into())),
        "rerun" => match again(&visit, &id, &fields).await {
            Ok(made) => {
                // To the new task, not to the one that it is made of.
                let note = Note::good(format!("this is the new task, made of {id}"));
                return Ok(visit.back(&Form::default(), &format!("/ui/tasks/{}", encoded(&made.id)), note));
            }
            Err(problem) => refused(&problem),
        },
        "delete" if !fields.has("sure") => {
            let lost = "Its record, input and output are gone for good.";
            return confirm::ask(&visit, &fields, format!("Delete task {id}?"), lost, "Delete").await;
        }
        "delete" => match tasks::one(&visit, &id, "delete", &json!({})).await {
            Ok(_) => {
                return Ok(visit.back(&Form::default(), "/ui/tasks", Note::good(format!("task {id} is deleted"))));
            }
            Err(problem) => refused(&problem),
        },
        "complete" => {
            let given = complete(&visit, &id, &fields).await;
            told(
                given.map(|given| {
                    if given.taken { "the task is completed" } else { "the output is kept for it" }.into()
                }),
            )
        }
        other => return Err(unknown(other)),
    };
    Ok(visit.back(&fields, &own, note))
}

/// A task made again, with its input or with another.
async fn again(visit: &Visit, id: &str, fields: &Form) -> Result<TaskView, Problem> {
    let target = format!("/v1/tasks/{}/rerun", encoded(id));
    let Some(text) = fields.whole("input") else { return visit.desk.send("POST", &target, &json!({})).await };
    // A browser ends lines by two characters, whatever stood there before.
    let text = text.replace("\r\n", "\n");
    let media_type = fields.get("media_type").unwrap_or(sunaba_task::JSON);
    let new = if media_type == sunaba_task::JSON {
        NewInput { input: Some(json_of(text)?), ..NewInput::default() }
    } else {
        let (input_base64, media_type) = (Some(STANDARD.encode(text)), Some(media_type.to_owned()));
        NewInput { input: None, input_base64, media_type }
    };
    visit.desk.send("POST", &target, &new).await
}

async fn complete(visit: &Visit, id: &str, fields: &Form) -> Result<CompletedView, Problem> {
    let output = match fields.get("output") {
        Some(text) => json_of(text.to_owned())?,
        None => json_of("null".to_owned())?,
    };
    let given = json!({"output": output, "by": fields.get("by").or(visit_name(visit).as_deref())});
    visit.desk.send("POST", &format!("/v1/tasks/{}/complete", encoded(id)), &given).await
}

fn visit_name(visit: &Visit) -> Option<String> {
    match &visit.caller {
        crate::access::Caller::Key(key) => Some(key.name.clone()),
        _ => None,
    }
}

fn json_of(text: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text).map_err(|error| {
        Problem::invalid(format!("what was written is no JSON: {error}\nhint: go back and mend it there"))
    })
}
