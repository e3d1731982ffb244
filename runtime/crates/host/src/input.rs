//! Whether a handler takes an input.

use serde_json::Value;
use sunaba_task::{HandlerInfo, OCTETS, Payload, format_bytes};

use crate::schema::{Schema, SchemaError};

/// An input that a handler does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Not JSON, where the handler takes JSON.
    #[error("the input is not JSON: {0}\nhint: write JSON in single quotes, such as '{{\"n\":1}}', or `@FILE`, or `-`")]
    Json(String),
    /// JSON of another shape.
    #[error(
        "the input does not match the schema of `{handler}`: {violation}\nhint: `sunaba component inspect` or `sunaba \
         handler describe` shows the schema"
    )]
    Schema {
        /// Whose schema.
        handler: String,
        /// What does not match.
        violation: String,
    },
    /// The handler's own schema cannot be used.
    #[error("the handler `{handler}` cannot check its input: {problem}")]
    HandlerSchema {
        /// Whose schema.
        handler: String,
        /// What is wrong with it. Not a `source`: it is printed as part of this error.
        problem: SchemaError,
    },
    /// More than a host keeps for one task.
    #[error(
        "the input has {}; the limit is {}\nhint: put it into a file, and grant the handler its directory",
        format_bytes(*.size_bytes), format_bytes(*.limit_bytes)
    )]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
}

/// What a handler gets when it is given nothing: `null` in JSON.
pub(crate) fn nothing(handler: &HandlerInfo) -> Payload {
    if handler.input_schema.is_some() { Payload::json("null") } else { Payload::new(OCTETS, "") }
}

/// The schema of a handler's input; none when it takes any bytes.
///
/// # Errors
/// The schema cannot be used.
pub(crate) fn schema_of(handler: &HandlerInfo) -> Result<Option<Schema>, InputError> {
    let compiled = handler.input_schema.as_deref().map(Schema::compile).transpose();
    compiled.map_err(|problem| InputError::HandlerSchema { handler: handler.name.clone(), problem })
}

/// As JSON.
///
/// # Errors
/// It is none.
pub(crate) fn parsed(input: &Payload) -> Result<Value, InputError> {
    serde_json::from_slice(&input.bytes).map_err(|error| InputError::Json(error.to_string()))
}

/// Whether a handler with this schema takes this input, found out at once: `checks` does it for a host with other work.
///
/// # Errors
/// It takes JSON and this is none, or of another shape.
pub(crate) fn check(handler: &str, schema: Option<&Schema>, input: &Payload) -> Result<(), InputError> {
    let Some(schema) = schema else { return Ok(()) };
    match schema.violation(&parsed(input)?) {
        Some(violation) => Err(InputError::Schema { handler: handler.to_owned(), violation }),
        None => Ok(()),
    }
}
