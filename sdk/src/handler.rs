//! What `#[handler]` makes of a function, and the one path from a payload to an outcome, in a sandbox and in a test.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::payload::JSON;
use crate::{Bytes, Context, Payload, Snooze, TaskError};

/// A function that does a kind of task. Implemented by `#[handler]`.
pub trait Handler {
    /// Unique in the component: the function's name with `-` for `_`, unless the attribute says otherwise.
    const NAME: &'static str;
    /// The function's doc comment.
    const DOC: &'static str;
    /// The options of the attribute, under their names in the contract.
    const SETTINGS: &'static [(&'static str, &'static str)];
    /// What the function takes.
    type Input: Input;
    /// What the function gives when it completes.
    type Output: Output;

    /// Calls the function.
    ///
    /// # Errors
    /// Whatever the function returns.
    fn call(context: &Context, input: Self::Input) -> Result<Outcome<Self::Output>, TaskError>;
}

/// How an attempt that did not fail ends. A handler that always completes returns its output alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<T> {
    /// The task succeeds with this output.
    Complete(T),
    /// Run the task again later; charges no failure.
    Snooze(Snooze),
}

impl<T> Outcome<T> {
    /// The same outcome with another output.
    ///
    /// # Errors
    /// Whatever `f` returns.
    pub(crate) fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Outcome<U>, E> {
        Ok(match self {
            Self::Complete(output) => Outcome::Complete(f(output)?),
            Self::Snooze(snooze) => Outcome::Snooze(snooze),
        })
    }
}

/// A type that a handler can take: a `#[data]` type (as JSON) or [`Bytes`] (as they are).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a handler",
    label = "not an input",
    note = "put `#[data]` on the type, or take `Bytes`"
)]
pub trait Input: Sized {
    /// The JSON Schema of the type; none means any bytes.
    fn schema() -> Option<String>;

    /// Reads the type.
    ///
    /// # Errors
    /// Fatal, kind `invalid-input`: the payload is not of this type.
    fn decode(payload: Payload) -> Result<Self, TaskError>;
}

/// A type that a handler can give: a `#[data]` type (as JSON) or [`Bytes`] (as they are).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a handler",
    label = "not an output",
    note = "put `#[data]` on the type, or return `Bytes`"
)]
pub trait Output: Sized {
    /// The JSON Schema of the type; none means any bytes.
    fn schema() -> Option<String>;

    /// Writes the type.
    ///
    /// # Errors
    /// Fatal, kind `invalid-output`: the value has no JSON form.
    fn encode(self) -> Result<Payload, TaskError>;
}

fn json_schema<T: JsonSchema>(generator: SchemaGenerator) -> Option<String> {
    Some(generator.into_root_schema_for::<T>().as_value().to_string())
}

impl<T: DeserializeOwned + JsonSchema> Input for T {
    fn schema() -> Option<String> {
        json_schema::<T>(schemars::generate::SchemaSettings::draft2020_12().into_generator())
    }

    fn decode(payload: Payload) -> Result<Self, TaskError> {
        let invalid = |message| Err(TaskError::fatal(message).with_kind("invalid-input"));
        if payload.media_type != JSON {
            return invalid(format!("the input is `{}`; this handler takes `{JSON}`", payload.media_type));
        }
        serde_json::from_slice(&payload.bytes).or_else(|error| invalid(format!("the input does not match: {error}")))
    }
}

impl<T: Serialize + JsonSchema> Output for T {
    fn schema() -> Option<String> {
        json_schema::<T>(schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator())
    }

    fn encode(self) -> Result<Payload, TaskError> {
        serde_json::to_vec(&self).map(Payload::json).map_err(|error| {
            TaskError::fatal(format!("the output cannot be written as JSON: {error}")).with_kind("invalid-output")
        })
    }
}

impl Input for Bytes {
    fn schema() -> Option<String> {
        None
    }

    fn decode(payload: Payload) -> Result<Self, TaskError> {
        Ok(payload.into())
    }
}

impl Output for Bytes {
    fn schema() -> Option<String> {
        None
    }

    fn encode(self) -> Result<Payload, TaskError> {
        Ok(self.into())
    }
}

/// What a handler may return inside its `Result`: an output, or an [`Outcome`] of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a handler",
    label = "not an output",
    note = "put `#[data]` on the type, or return `Bytes` or an `Outcome`"
)]
pub trait IntoOutcome {
    /// The output of the outcome.
    type Output: Output;
    /// An output alone completes the task.
    fn into_outcome(self) -> Outcome<Self::Output>;
}

impl<T: Output> IntoOutcome for T {
    type Output = T;

    fn into_outcome(self) -> Outcome<T> {
        Outcome::Complete(self)
    }
}

impl<T: Output> IntoOutcome for Outcome<T> {
    type Output = T;

    fn into_outcome(self) -> Outcome<T> {
        self
    }
}

/// What a handler returns: `Result<Output, TaskError>`.
#[diagnostic::on_unimplemented(
    message = "a handler returns `Result<Output, TaskError>`, not `{Self}`",
    label = "not a handler's result"
)]
pub trait HandlerResult {
    /// The output inside the result.
    type Output: Output;
    /// The result with its outcome spelled out.
    ///
    /// # Errors
    /// Whatever the handler returned.
    fn into_result(self) -> Result<Outcome<Self::Output>, TaskError>;
}

impl<T: IntoOutcome> HandlerResult for Result<T, TaskError> {
    type Output = T::Output;

    fn into_result(self) -> Result<Outcome<T::Output>, TaskError> {
        self.map(IntoOutcome::into_outcome)
    }
}

/// A handler with its types erased: a row of [`export!`](crate::export)'s table.
#[derive(Clone, Copy)]
pub struct Entry {
    name: &'static str,
    describe: fn() -> HandlerInfo,
    run: fn(&Context, Payload) -> Result<Outcome<Payload>, TaskError>,
}

/// A handler as the host shows it.
pub struct HandlerInfo {
    /// See [`Handler::NAME`].
    pub name: &'static str,
    /// See [`Handler::DOC`].
    pub doc: &'static str,
    /// See [`Input::schema`].
    pub input_schema: Option<String>,
    /// See [`Output::schema`].
    pub output_schema: Option<String>,
    /// See [`Handler::SETTINGS`].
    pub settings: &'static [(&'static str, &'static str)],
}

impl Entry {
    /// The row of this handler.
    pub const fn of<H: Handler>() -> Self {
        Self { name: H::NAME, describe: describe_one::<H>, run: run_one::<H> }
    }
}

fn describe_one<H: Handler>() -> HandlerInfo {
    HandlerInfo {
        name: H::NAME,
        doc: H::DOC,
        input_schema: H::Input::schema(),
        output_schema: H::Output::schema(),
        settings: H::SETTINGS,
    }
}

fn run_one<H: Handler>(context: &Context, input: Payload) -> Result<Outcome<Payload>, TaskError> {
    H::call(context, H::Input::decode(input)?)?.try_map(Output::encode)
}

/// Fails the build when two handlers of a component have one name.
pub const fn assert_distinct(entries: &[Entry]) {
    const fn same(a: &[u8], b: &[u8]) -> bool {
        if a.len() != b.len() {
            return false;
        }
        let mut i = 0;
        while i < a.len() {
            if a[i] != b[i] {
                return false;
            }
            i += 1;
        }
        true
    }
    let mut i = 0;
    while i < entries.len() {
        let mut j = i + 1;
        while j < entries.len() {
            let distinct = !same(entries[i].name.as_bytes(), entries[j].name.as_bytes());
            assert!(
                distinct,
                "two handlers of this component have the same name: give one `#[handler(name = \"...\")]`"
            );
            j += 1;
        }
        i += 1;
    }
}

/// All handlers of a component.
pub fn describe(entries: &[Entry]) -> impl Iterator<Item = HandlerInfo> {
    entries.iter().map(|entry| (entry.describe)())
}

/// Runs the handler of this name.
///
/// # Errors
/// Whatever the handler returns; fatal with kind `unknown-handler` when there is none.
pub fn run(entries: &[Entry], context: &Context, name: &str, input: Payload) -> Result<Outcome<Payload>, TaskError> {
    match entries.iter().find(|entry| entry.name == name) {
        Some(entry) => (entry.run)(context, input),
        None => Err(TaskError::fatal(format!("this component has no handler `{name}`")).with_kind("unknown-handler")),
    }
}
