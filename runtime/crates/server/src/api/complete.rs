//! The end of a task from outside.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(feature = "serve")]
use sunaba_host::CompleteRequest;
use sunaba_task::{Awaits, Completion, JSON, OCTETS, PayloadInfo, StateName, Task, TaskId};

use super::submit::payload;
use crate::problem::Problem;

/// What a task gives, by somebody else than its handler.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Complete {
    /// The output, in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
    /// The output in base64, if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_base64: Option<String>,
    /// The media type of `output_base64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Who gives it; one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The task's token: whoever has it needs no other right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What became of a completion. Tells no more of the task than whoever has its token may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CompletedView {
    /// The task.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// Whether it has succeeded with what was given. If not, that is kept, and it has as soon as its handler waits for it.
    pub taken: bool,
}

/// That a task waits to be completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AwaitsView {
    /// Since when.
    pub since: String,
    /// When its handler is run again, to decide without.
    pub until: String,
    /// What it waits for, in the handler's words. May be empty.
    pub reason: String,
}

/// What somebody has given as a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CompletionView {
    /// Who it was. Null: they did not say.
    pub by: Option<String>,
    /// Whether they had no other right than the task's token.
    pub with_token: bool,
    /// When.
    pub at: String,
    /// Whether the task has succeeded with it.
    pub taken: bool,
    /// What it was, without its body.
    pub output: PayloadInfo,
}

impl Complete {
    #[cfg(feature = "serve")]
    pub(crate) fn request(self, task: TaskId) -> Result<CompleteRequest, Problem> {
        let Self { output, output_base64, media_type, by, token } = self;
        let renamed = |problem: Problem| {
            let name = |text: &str| text.replace("`input`", "`output`").replace("`input_base64`", "`output_base64`");
            let hint = problem.hint.as_deref().map(|hint| name(hint).into());
            Problem { detail: name(&problem.detail), hint, ..problem }
        };
        let given = payload(output.as_deref(), output_base64.as_deref(), media_type.as_deref()).map_err(renamed)?;
        let missing = "nothing is given as the task's output\nhint: give `output` in JSON, which may be `null`, or \
                       `output_base64`";
        let output = given.ok_or_else(|| Problem::invalid(missing))?;
        Ok(CompleteRequest { task, output, by, token })
    }

    /// Of these bytes: JSON as it is, and all else in base64.
    pub fn of(bytes: &[u8], media_type: Option<&str>) -> Result<Self, serde_json::Error> {
        use base64::Engine as _;
        match media_type {
            None | Some(JSON) => Ok(Self { output: Some(serde_json::from_slice(bytes)?), ..Self::default() }),
            Some(other) => {
                let output_base64 = Some(base64::engine::general_purpose::STANDARD.encode(bytes));
                let media_type = (other != OCTETS).then(|| other.to_owned());
                Ok(Self { output_base64, media_type, ..Self::default() })
            }
        }
    }
}

impl From<&Task> for CompletedView {
    fn from(task: &Task) -> Self {
        let taken = task.completion.as_ref().is_some_and(|given| given.taken);
        Self { id: task.id.to_string(), state: task.state.name(), taken }
    }
}

impl From<&Awaits> for AwaitsView {
    fn from(awaits: &Awaits) -> Self {
        Self { since: awaits.since.to_string(), until: awaits.until.to_string(), reason: awaits.reason.clone() }
    }
}

impl From<&Completion> for CompletionView {
    fn from(given: &Completion) -> Self {
        let Completion { by, with_token, at, output, taken, .. } = given;
        Self { by: by.clone(), with_token: *with_token, at: at.to_string(), taken: *taken, output: output.clone() }
    }
}
