//! Why a host did not do what it was asked.

use std::time::Duration;

use sunaba_server::Problem;

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not an address of a host.
    #[error("`{0}` is not the address of a host\nhint: write it as `http://127.0.0.1:7878`")]
    Address(String),
    /// Nothing was sent: the input of a task has no JSON form.
    #[error("the input has no JSON form: {0}\nhint: a map needs keys that are texts")]
    Input(String),
    /// Nobody answers there: it has done nothing.
    #[error(
        "no host answers at {address}: {problem}\nhint: start one with `sunaba serve`, or name another with `--address` or \
         SUNABA_ADDRESS"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        problem: String,
    },
    /// It has not answered in time.
    #[error(
        "{address} has not answered in time, and may have done what it was asked\nhint: `sunaba task list` shows that; a \
         submit with `--idempotency-key` can be repeated"
    )]
    Late {
        /// Where.
        address: String,
    },
    /// The connection ended after the request was sent, and before all of the answer had come.
    #[error(
        "the connection to {address} was lost before its answer was there: {problem}; it may have done what it was asked\nhint: look \
         whether it has, with `sunaba task list` or the like; a submit with an idempotency key can be repeated"
    )]
    Lost {
        /// Where.
        address: String,
        /// What the system said.
        problem: String,
    },
    /// The host answered that it does not.
    #[error("{}{}", .0.detail, .0.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Refused(Problem),
    /// The same, and it said when to ask again.
    #[error("{}\nhint: {}", .problem.detail, .problem.hint.as_deref().unwrap_or("try again later"))]
    RefusedForNow {
        /// Why.
        problem: Box<Problem>,
        /// After so long it may do it.
        retry_after: Duration,
    },
    /// It answered with more than is read.
    #[error("{address} answered with more than {limit_bytes} bytes\nhint: ask for less at a time")]
    TooLong {
        /// Where.
        address: String,
        /// What is read of an answer at most.
        limit_bytes: usize,
    },
    /// Something answered that is not a host of this version.
    #[error("{address} did not answer as a host does: {problem}\nhint: is something else listening there?")]
    Protocol {
        /// Where.
        address: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl ClientError {
    /// What the host said, if it was the host that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::RefusedForNow { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// What is wrong, for programs: the host's code, which does not change with the words.
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| &*problem.code)
    }

    /// The status of the host's answer.
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    /// What the host says to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.problem()?.hint.as_deref()
    }

    /// After how long the host may do it, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RefusedForNow { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the same may succeed later. It may have been done already.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } | Self::Lost { .. } | Self::RefusedForNow { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 503),
            _ => false,
        }
    }
}
