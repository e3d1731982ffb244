//! Many jobs at once, over the wire.

use serde::{Deserialize, Serialize};
#[cfg(feature = "serve")]
use sunaba_store::JobQuery;
#[cfg(feature = "serve")]
use sunaba_task::job::JobState;

use super::{JobFilter, NotDone};
#[cfg(feature = "serve")]
use crate::problem::Problem;

/// A page of jobs that are to be cancelled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelJobs {
    /// Which, of those that have not ended; without a state or a tag in it, `all` must be said.
    pub filter: JobFilter,
    /// That the filter is empty on purpose.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Why; one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a page of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CancelledJobs {
    /// Those that end now, or have ended meanwhile.
    pub done: Vec<String>,
    /// Those that could not be cancelled.
    pub refused: Vec<NotDone>,
    /// The filter's `before` for the next page, if there may be one.
    pub next: Option<String>,
}

impl JobFilter {
    /// Whether every job passes it.
    pub fn is_empty(&self) -> bool {
        self.state.as_deref().unwrap_or_default().is_empty() && self.tag.is_none()
    }
}

#[cfg(feature = "serve")]
impl CancelJobs {
    /// Which jobs that is.
    pub(crate) fn query(self) -> Result<JobQuery, Problem> {
        if self.filter.is_empty() != self.all {
            let message = if self.all {
                "there are a filter and `all`\nhint: leave out one"
            } else {
                "nothing says which jobs\nhint: give a filter, or say `\"all\": true`"
            };
            return Err(Problem::invalid(message));
        }
        let mut query = self.filter.query()?;
        let open = || JobState::ALL.into_iter().filter(|state| !state.is_terminal());
        if let Some(ended) = query.states.iter().find(|state| state.is_terminal()) {
            let open = open().map(|state| state.to_string()).collect::<Vec<_>>().join(", ");
            let message = format!("jobs that are {ended} cannot be cancelled\nhint: the states for that are {open}");
            return Err(Problem::invalid(message));
        }
        if query.states.is_empty() {
            query.states = open().collect();
        }
        Ok(query)
    }
}
