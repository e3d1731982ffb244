//! What came of a job, and how the process ends for that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{CauseView, JobView, PlanFilter};
use sunaba_runtime::task::JSON;
use sunaba_runtime::task::job::{JobId, JobState};

use super::view;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// How the process ends for a job that has ended.
pub(super) fn exit(job: &JobView) -> Exit {
    exit_of(job.state, job.cause.as_ref())
}

fn exit_of(state: JobState, cause: Option<&CauseView>) -> Exit {
    match (state, cause) {
        (JobState::Succeeded, _) => Exit::Ok,
        (_, Some(cause)) if cause.kind == "budget" && cause.name.as_deref() == Some("time") => Exit::Timeout,
        _ => Exit::TaskFailed,
    }
}

/// Prints what came of a job that has ended: its output, or why there is none.
///
/// # Errors
/// It has not ended, or the host does not answer.
pub(super) async fn result(global: &Global, client: &Client, id: JobId) -> Result<Exit, CommandError> {
    let result = client.get_job_result(id).await?;
    if !result.state.is_terminal() {
        let message = format!("job {id} is {}, and has no result yet\nhint: wait for it with `--wait`", result.state);
        return Err(CommandError::new(Exit::Unavailable, message));
    }
    if global.output != Format::Text {
        print::json(global.output, &result)?;
        return Ok(exit_of(result.state, result.cause.as_ref()));
    }
    match (&result.output, &result.media_type, &result.name) {
        (Some(json), Some(media_type), _) if media_type == JSON => print::data(format!("{}\n", json.get()).as_bytes())?,
        (Some(json), ..) => print::data(&bytes(json.get())?)?,
        (None, _, None) if result.state == JobState::Succeeded => print::aside(
            global,
            "the job has succeeded; it names no task for its result, and `--of NAME` prints what one gave",
        ),
        (None, _, Some(name)) if result.state == JobState::Succeeded => {
            print::aside(global, format_args!("the job has succeeded, and what `{name}` gave is not kept any more"));
        }
        _ => view::say_why(&client.get_job(id).await?),
    }
    Ok(exit_of(result.state, result.cause.as_ref()))
}

/// Prints what tasks of a job gave, an object a line, by their names.
///
/// # Errors
/// There is no such task, or the host does not answer.
pub(super) async fn of_tasks(global: &Global, client: &Client, id: JobId, only: String) -> Result<Exit, CommandError> {
    let mut filter = PlanFilter { only: Some(only), limit: Some(200), ..PlanFilter::default() };
    let mut found = false;
    loop {
        let page = client.get_job_outputs(id, &filter).await?;
        for output in &page.outputs {
            print::json(Format::Jsonl, output)?;
            found = true;
        }
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    let only = filter.only.unwrap_or_default();
    if !found && !only.ends_with("/*") {
        let message = format!("job {id} has no task `{only}`\nhint: `sunaba job tasks {id}` lists them");
        return Err(CommandError::new(Exit::NotFound, message));
    }
    if !found {
        print::aside(global, "there are no such tasks");
    }
    Ok(Exit::Ok)
}

/// The bytes of an output that is not JSON.
fn bytes(json: &str) -> Result<Vec<u8>, CommandError> {
    #[derive(Deserialize)]
    struct Encoded {
        base64: String,
    }
    let wrong =
        |error: String| CommandError::new(Exit::Error, format!("the host sent an output that cannot be read: {error}"));
    let encoded: Encoded = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    STANDARD.decode(encoded.base64).map_err(|error| wrong(error.to_string()))
}
