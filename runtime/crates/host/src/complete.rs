//! Completes tasks from outside: who may, what may be given, and what the handler's schema says about it.

use std::sync::Arc;

use sunaba_store::{CompleteError, NewCompletion, StoreError};
use sunaba_task::{Digest, HandlerInfo, MAX_COMPLETER_BYTES, Payload, Task, TaskId, format_bytes};

use crate::MAX_INPUT_BYTES;
use crate::checks::{self, Steps};
use crate::input::InputError;
use crate::runtime::Runtime;
use crate::schema::{Schema, SchemaError};

/// An output for a task, given by somebody else than its handler.
#[derive(Debug, Clone)]
pub struct CompleteRequest {
    /// The task.
    pub task: TaskId,
    /// What it has given from then on.
    pub output: Payload,
    /// Who gives it, in their own words: one line.
    pub by: Option<String>,
    /// The task's token, for whoever has no other right.
    pub token: Option<String>,
}

/// Why a task was not completed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteRefusal {
    /// The token is not the task's. Whether there is such a task is not said.
    #[error("the token is not that of this task\nhint: a token is for the one task whose handler has given it away")]
    Token,
    /// Not somebody's name.
    #[error("`{0}` cannot be who completes a task\nhint: a name is one line of 1 to {MAX_COMPLETER_BYTES} bytes")]
    By(String),
    /// The output has no media type.
    #[error("`{0}` is not a media type\nhint: write one such as `text/plain`")]
    MediaType(String),
    /// More than its handler may give.
    #[error("the output has {}; the limit is {}", format_bytes(*.size_bytes), format_bytes(*.limit_bytes))]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The limit: what the handler itself may give, and a host keeps.
        limit_bytes: u64,
    },
    /// Not JSON, where the handler gives JSON.
    #[error(
        "the output is not JSON: {0}\nhint: write JSON in single quotes, such as '{{\"n\":1}}', or `@FILE`, or `-`"
    )]
    Json(String),
    /// JSON of another shape.
    #[error(
        "the output does not match the schema of `{handler}`: {violation}\nhint: `sunaba component inspect` or `sunaba handler \
         describe` shows the schema"
    )]
    Schema {
        /// Whose schema.
        handler: String,
        /// What does not match.
        violation: String,
    },
    /// The handler's own schema cannot be used.
    #[error("the handler `{handler}` cannot check its output: {problem}")]
    HandlerSchema {
        /// Whose schema.
        handler: String,
        /// What is wrong with it. Not a `source`: it is printed as part of this error.
        problem: SchemaError,
    },
    /// It does not wait for that, or has ended.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Runtime {
    /// Gives a task its output in place of its handler; the record that follows. What the handler itself could not give is
    /// refused: its schema, where it has one, is that of the version which waits.
    ///
    /// # Errors
    /// [`CompleteRefusal`].
    pub async fn complete(&self, request: CompleteRequest) -> Result<Task, CompleteRefusal> {
        let CompleteRequest { task: id, output, by, token } = request;
        if let Some(given) = &token {
            // Before anything is looked at that could be told from the answer.
            if !self.store().completion_token(id).await?.is(given) {
                return Err(CompleteRefusal::Token);
            }
        }
        if let Some(by) = by.as_ref().filter(|by| !is_completer(by)) {
            return Err(CompleteRefusal::By(by.chars().take(80).collect()));
        }
        let task = self.store().task(id).await?.ok_or(CompleteError::Unknown(id))?;
        // Of what has ended the store says how, whatever is given.
        if !task.state.is_terminal() {
            self.check_output(&task, &output).await?;
        }
        let completion = NewCompletion { output, by, with_token: token.is_some() };
        Ok(self.store().complete(id, completion).await??)
    }

    async fn check_output(&self, task: &Task, output: &Payload) -> Result<(), CompleteRefusal> {
        if !Payload::is_media_type(&output.media_type) {
            return Err(CompleteRefusal::MediaType(output.media_type.chars().take(80).collect()));
        }
        let (size_bytes, limit_bytes) = (output.bytes.len() as u64, task.spec.limits.output_bytes.min(MAX_INPUT_BYTES));
        if size_bytes > limit_bytes {
            return Err(CompleteRefusal::TooLarge { size_bytes, limit_bytes });
        }
        let Some(handler) = self.waiting_handler(task).await? else { return Ok(()) };
        check_schema(&handler, output).await
    }

    /// The handler as the version has it that runs, or ran last. None: nobody knows it any more.
    async fn waiting_handler(&self, task: &Task) -> Result<Option<HandlerInfo>, StoreError> {
        let name = &task.spec.handler;
        let component = self.last_component(task).await?;
        if let Ok(package) = self.packages.package(name)
            && package.component == component
        {
            return Ok(package.handler(&name.handler).cloned());
        }
        let versions = self.store().versions(name.package.clone()).await?;
        let version = versions.into_iter().find(|version| version.component == component);
        Ok(version.and_then(|version| version.handlers.into_iter().find(|handler| handler.name == name.handler)))
    }

    async fn last_component(&self, task: &Task) -> Result<Digest, StoreError> {
        if task.lease().is_some()
            && let Some(runs) = self.store().standing(task.id).await?.runs
        {
            return Ok(runs.component);
        }
        let ran = task.attempts.iter().rev().find_map(|attempt| attempt.receipt.as_ref());
        Ok(ran.map_or(task.spec.component, |receipt| receipt.component))
    }
}

fn is_completer(by: &str) -> bool {
    (1..=MAX_COMPLETER_BYTES).contains(&by.len()) && !by.chars().any(char::is_control)
}

/// Whether a handler could have given this.
async fn check_schema(handler: &HandlerInfo, output: &Payload) -> Result<(), CompleteRefusal> {
    let Some(schema) = handler.output_schema.as_deref() else { return Ok(()) };
    let name = || handler.name.clone();
    if !output.is_json() {
        return Err(CompleteRefusal::Json(format!("it is `{}`", output.media_type)));
    }
    let schema =
        Schema::compile(schema).map_err(|problem| CompleteRefusal::HandlerSchema { handler: name(), problem })?;
    let checked = checks::check(&handler.name, Some(Arc::new(schema)), output, &mut Steps::of_one()).await;
    checked.map_err(|error| match error {
        InputError::Schema { handler, violation } => CompleteRefusal::Schema { handler, violation },
        other => CompleteRefusal::Json(match other {
            InputError::Json(problem) => problem,
            other => other.to_string(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_who_completes_obeyed() {
        for name in ["a", "alice@example.com", "アリス", &"x".repeat(MAX_COMPLETER_BYTES)] {
            assert!(is_completer(name), "{name}");
        }
    }

    #[test]
    fn name_of_who_completes_violated() {
        for name in ["", "a\nb", "\u{1b}[31m", &"x".repeat(MAX_COMPLETER_BYTES + 1)] {
            assert!(!is_completer(name), "{name}");
        }
    }
}
