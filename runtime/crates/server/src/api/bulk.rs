//! Which tasks, and what is to be done to them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(feature = "serve")]
use sunaba_host::cancel_wish;
use sunaba_store::{BulkPage, CancelWish, TaskQuery};
use sunaba_task::{Payload, StateName, Timestamp};

use super::submit::payload;
use crate::problem::Problem;

/// Tasks of one page, unless asked otherwise.
const DEFAULT_PAGE: usize = 50;

/// Which tasks: those to which all of it applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// In one of these states, with commas between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// In this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Of this `package/handler`, or of this package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// With this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Submitted at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Submitted before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Without those in whose stead there is a newer task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhandled: Option<bool>,
    /// Only those that wait for somebody to complete them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaiting_completion: Option<bool>,
    /// Older than this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many at most; 50 unless said otherwise, and at most 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Something to be done to a page of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bulk {
    /// Which; without anything in it, `all` must be said.
    pub filter: Filter,
    /// That the filter is empty on purpose.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// How a cancel is to be done. For cancels only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
}

/// How a task is to be cancelled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cancel {
    /// How long a running attempt has to end by itself; up to an hour. Null: as its worker has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Why; one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Another input for a task that is made over again; nothing means the same.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewInput {
    /// As [`super::Submit::input`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// As [`super::Submit::input_base64`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_base64: Option<String>,
    /// As [`super::Submit::media_type`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// What was done to a page of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BulkView {
    /// The tasks that it was done to, newest first.
    pub done: Vec<String>,
    /// Those to which it could not be done, and why: what is run again and has an input that its handler takes no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<NotDone>,
    /// `before` of the next page. There may be one even if this one is short, or empty.
    pub next: Option<String>,
}

/// A task to which something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NotDone {
    /// Which.
    pub id: String,
    /// Why.
    pub problem: Problem,
}

/// That a task was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Deleted {
    /// Which.
    pub deleted: String,
}

impl Filter {
    /// Whether it asks for all.
    pub fn is_empty(&self) -> bool {
        *self == Self { before: self.before.clone(), limit: self.limit, ..Self::default() }
    }

    pub(crate) fn query(self) -> Result<TaskQuery, Problem> {
        let states = self.state.as_deref().unwrap_or_default();
        let states = states.split(',').filter(|state| !state.is_empty()).map(str::parse::<StateName>);
        let instant = |text: Option<String>| text.map(|text| text.parse::<Timestamp>()).transpose();
        Ok(TaskQuery {
            states: states.collect::<Result<_, _>>().map_err(Problem::invalid)?,
            queue: self.queue,
            handler: self.handler,
            tag: self.tag,
            from: instant(self.from).map_err(Problem::invalid)?,
            until: instant(self.until).map_err(Problem::invalid)?,
            unhandled: self.unhandled.unwrap_or_default(),
            awaiting_completion: self.awaiting_completion.unwrap_or_default(),
            before: self.before.map(|id| id.parse()).transpose().map_err(Problem::invalid)?,
            limit: self.limit.unwrap_or(DEFAULT_PAGE),
        })
    }
}

#[cfg(feature = "serve")]
impl Cancel {
    pub(crate) fn wish(self) -> Result<CancelWish, Problem> {
        Ok(cancel_wish(self.grace_ms.map(Duration::from_millis), self.reason)?)
    }
}

impl NewInput {
    pub(crate) fn payload(&self) -> Result<Option<Payload>, Problem> {
        payload(self.input.as_deref(), self.input_base64.as_deref(), self.media_type.as_deref())
    }
}

impl From<BulkPage> for BulkView {
    fn from(page: BulkPage) -> Self {
        let done = page.done.iter().map(ToString::to_string).collect();
        Self { done, refused: Vec::new(), next: page.next.map(|id| id.to_string()) }
    }
}
