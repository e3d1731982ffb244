//! The tasks that follow another one's end, and what they are told of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use sunaba_task::{
    Callback, CallbackOn, Ending, NewTask, Origin, Payload, PayloadInfo, State, Task, TaskId, TaskSpec, Timestamp,
};

use super::{Planner, Stored, Turn, body};
use crate::StoreError;
use crate::codec;
use crate::keys;

/// A longer output is left out, and can be asked for by the task's id.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;

impl Planner {
    /// Makes the tasks that follow the end of this one. One that was replaced has its successor to be followed.
    pub(super) fn follow(&mut self, turn: &mut Turn<'_>, stored: &mut Stored) -> Result<(), StoreError> {
        if stored.task.callbacks == 0 || stored.task.successor.is_some() {
            return Ok(());
        }
        let callbacks = match callbacks(turn, stored.task.id) {
            Ok(callbacks) => callbacks,
            // That it has ended is true all the same.
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, task = %stored.task.id, "what was to follow a task does not");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let at = if stored.task.state == State::Succeeded { CallbackOn::Success } else { CallbackOn::Failure };
        let mut fitting = callbacks.into_iter().filter(|callback| callback.on == at).peekable();
        if fitting.peek().is_none() {
            return Ok(());
        }
        let input = Payload::json(told_of_end(turn, stored)?);
        for callback in fitting {
            let mut spec = without_key(&callback.spec);
            // Nothing counts the callbacks that need a version. One that is not kept any more has better ones after it.
            let package = &spec.handler.package;
            if self.shelves.has_forgotten(package, spec.component)
                && let Some(active) = self.shelves.active(package)
            {
                spec.component = active.component;
            }
            let new = NewTask::new(spec, input.clone());
            let follower = self.take_on(turn, &new, Some(Origin::Callback(stored.task.id)))?;
            stored.task.followers.push(follower.id);
        }
        Ok(())
    }
}

/// The callbacks of a task that has some.
pub(super) fn callbacks(turn: &Turn<'_>, id: TaskId) -> Result<Vec<Callback>, StoreError> {
    let key = keys::callbacks(id);
    let stored = turn.txn.get(&key)?.ok_or_else(|| codec::damaged(&key, "it is not there".into()))?;
    codec::read(&key, &stored)
}

/// What a task that nobody submits asks for: an idempotency key stands for a submit.
pub(super) fn without_key(spec: &TaskSpec) -> TaskSpec {
    TaskSpec { idempotency_key: None, ..spec.clone() }
}

/// What those are told who follow the end of a task.
pub(super) fn told_of_end(turn: &Turn<'_>, stored: &Stored) -> Result<Bytes, StoreError> {
    Ok(told(&stored.task, short_output(turn, stored)?.as_ref(), None))
}

/// What those are told who undo a task: that, and what it had got.
pub(super) fn told_to_undo(turn: &Turn<'_>, stored: &Stored) -> Result<Bytes, StoreError> {
    let Stored { task, input, .. } = stored;
    let input = short(turn, &task.input, &keys::input(task.id), input.as_ref())?;
    Ok(told(task, short_output(turn, stored)?.as_ref(), input.as_ref()))
}

pub(super) fn short_output(
    turn: &Turn<'_>,
    Stored { task, output, .. }: &Stored,
) -> Result<Option<Payload>, StoreError> {
    let Some(info) = &task.output else { return Ok(None) };
    short(turn, info, &keys::output(task.id), output.as_ref())
}

/// A body that is not too long; none when it is damaged.
fn short(
    turn: &Turn<'_>,
    info: &PayloadInfo,
    key: &[u8],
    inline: Option<&Bytes>,
) -> Result<Option<Payload>, StoreError> {
    if info.size_bytes > MAX_OUTPUT_BYTES {
        return Ok(None);
    }
    match body(turn, key, inline, &info.media_type) {
        Ok(body) => Ok(Some(body)),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a callback is told of a task. Every field is always there.
#[derive(Serialize)]
struct Told<'a> {
    task: String,
    handler: String,
    state: String,
    attempts: u32,
    /// Told to whoever undoes it, when it is JSON and not too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a RawValue>,
    /// When it is JSON.
    output: Option<&'a RawValue>,
    /// Of the output.
    media_type: Option<&'a str>,
    /// When it is not JSON.
    output_base64: Option<String>,
    /// Whether there is one that is not here, because it is too long.
    output_omitted: bool,
    failure: Option<Failure<'a>>,
}

/// How it ended, if not well.
#[derive(Serialize)]
pub(super) struct Failure<'a> {
    kind: &'a str,
    message: String,
    reason: &'a str,
}

/// The input of a task's callbacks; `output` is its output, if that is not too long.
fn told<'a>(task: &'a Task, output: Option<&'a Payload>, input: Option<&'a Payload>) -> Bytes {
    fn as_json(body: Option<&Payload>) -> Option<&RawValue> {
        body.filter(|body| body.is_json()).and_then(|body| serde_json::from_slice(&body.bytes).ok())
    }
    let json = as_json(output);
    let told = Told {
        task: task.id.to_string(),
        handler: task.spec.handler.to_string(),
        state: task.state.name().to_string(),
        attempts: task.attempts_started,
        input: as_json(input),
        output: json,
        media_type: task.output.as_ref().map(|info| info.media_type.as_str()),
        output_base64: output.filter(|_| json.is_none()).map(|output| STANDARD.encode(&output.bytes)),
        output_omitted: task.output.is_some() && output.is_none(),
        failure: failure(task),
    };
    serde_json::to_vec(&told).expect("texts, numbers and JSON can be written").into()
}

/// The same with words that are no longer than this.
pub(super) fn short_failure(task: &Task, most: usize) -> Option<Failure<'_>> {
    let mut failure = failure(task)?;
    failure.message.truncate(failure.message.floor_char_boundary(most));
    failure.reason = &failure.reason[..failure.reason.floor_char_boundary(most)];
    Some(failure)
}

fn failure(task: &Task) -> Option<Failure<'_>> {
    let last = task.attempts.last();
    match task.state {
        State::Succeeded => None,
        State::Cancelled => {
            let reason = task.cancel.as_ref().map_or("", |cancel| cancel.reason.as_str());
            Some(Failure { kind: "cancelled", message: "the task was cancelled".into(), reason })
        }
        State::Expired => {
            let at = task.expires_at.as_ref().map(Timestamp::to_string).unwrap_or_default();
            let message = format!("the task had not been started by {at}");
            Some(Failure { kind: "expired", message, reason: "it was not started in time" })
        }
        _ if task.failed_child.is_some() => {
            let message = task.why_dead().unwrap_or_default();
            Some(Failure { kind: "child", message, reason: "its plan has failed" })
        }
        _ => {
            let (kind, message) = last.map_or(("", ""), |attempt| of_ending(&attempt.ending));
            let reason = last.map_or("", |attempt| attempt.decision.reason.as_str());
            Some(Failure { kind, message: message.to_owned(), reason })
        }
    }
}

/// The kind of an ending, as retry policies see it, and its message.
fn of_ending(ending: &Ending) -> (&str, &str) {
    match ending {
        Ending::Failed { kind, message } => (kind, message),
        Ending::Stopped { cause, message } => (cause.word(), message),
        Ending::HostFailed { message } => ("host", message),
        Ending::HostLost => ("host-lost", "the host was lost"),
        Ending::HandedBack => ("handed-back", "the host was stopped"),
        Ending::Snoozed { reason } => ("snoozed", reason),
        Ending::Completed => ("completed", ""),
        Ending::Decomposed { .. } => ("decomposed", ""),
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::{Digest, PayloadInfo};

    use super::*;

    fn told_of(output: &Payload, is_short: bool) -> serde_json::Value {
        let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let new = NewTask::new(spec, Payload::json("1"));
        let mut task = Task::submitted(TaskId::from_bytes([7; 16]), 1, &new, Timestamp::from_unix_ms(1));
        task.state = State::Succeeded;
        task.output = Some(PayloadInfo::of(output));
        serde_json::from_slice(&told(&task, is_short.then_some(output), None)).expect("JSON")
    }

    #[test]
    fn json_is_told_as_it_is_and_everything_else_in_base64() {
        let json = told_of(&Payload::json(r#"{"words": [1, 2]}"#), true);
        assert_eq!(json["output"], serde_json::json!({"words": [1, 2]}));
        assert_eq!((&json["output_base64"], &json["failure"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        for other in [Payload::new("image/png", vec![0xff, 0]), Payload::json(vec![0xff, 0])] {
            let told = told_of(&other, true);
            assert_eq!((&told["output"], told["output_base64"].as_str()), (&serde_json::Value::Null, Some("/wA=")));
            assert_eq!(told["media_type"], other.media_type);
        }
    }

    #[test]
    fn output_that_is_too_long_is_said_to_be_missing() {
        let told = told_of(&Payload::json("1"), false);
        assert_eq!((&told["output"], &told["output_omitted"]), (&serde_json::Value::Null, &true.into()));
        assert_eq!(told_of(&Payload::json("1"), true)["output_omitted"], false);
    }
}
