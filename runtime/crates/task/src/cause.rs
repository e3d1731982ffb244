//! Why the host stopped an attempt. A failure that the handler itself reports is not a stop.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Limit;

/// The host's reason for ending an attempt. Written as one word, for some with a detail behind it: `trap unreachable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Cause {
    /// The fuel limit was used up.
    Fuel,
    /// The attempt ran out of time, in the guest or in a host call.
    Timeout,
    /// The sum of all memories and tables would have passed the limit.
    Memory,
    /// The result was too large, or could not be read.
    Output,
    /// A host call did not come back as it should; its name, as `interface.function`, where known.
    HostCall(Option<String>),
    /// The guest trapped; the code, such as `unreachable` or `stack-overflow`.
    Trap(String),
    /// Somebody cancelled the task.
    Cancelled,
    /// The lease could not be renewed, so that another host may be running the task.
    LeaseLost,
    /// The guest called `wasi:cli/exit` instead of returning.
    Exit,
    /// Another limit would have been passed.
    Limit(Limit),
    /// The handler returned an outcome that this host does not carry out yet; its name.
    NotSupported(String),
}

impl Cause {
    /// The cause without its detail: the kind under which a retry policy sees the stop.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::HostCall(_) => "host-call",
            Self::Trap(_) => "trap",
            Self::Cancelled => "cancelled",
            Self::LeaseLost => "lease-lost",
            Self::Exit => "exit",
            Self::Limit(_) => "limit",
            Self::NotSupported(_) => "not-supported",
        }
    }

    fn detail(&self) -> Option<&str> {
        match self {
            Self::HostCall(name) => name.as_deref(),
            Self::Trap(detail) | Self::NotSupported(detail) => Some(detail),
            Self::Limit(limit) => Some(limit.name()),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        self.detail().map_or(Ok(()), |detail| write!(f, " {detail}"))
    }
}

/// A text that names no cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cause")]
pub struct CauseError(String);

impl FromStr for Cause {
    type Err = CauseError;

    fn from_str(text: &str) -> Result<Self, CauseError> {
        let (word, detail) = match text.split_once(' ') {
            Some((word, detail)) => (word, Some(detail.to_owned())),
            None => (text, None),
        };
        match (word, detail) {
            ("fuel", None) => Ok(Self::Fuel),
            ("timeout", None) => Ok(Self::Timeout),
            ("memory", None) => Ok(Self::Memory),
            ("output", None) => Ok(Self::Output),
            ("host-call", name) => Ok(Self::HostCall(name)),
            ("trap", Some(code)) => Ok(Self::Trap(code)),
            ("cancelled", None) => Ok(Self::Cancelled),
            ("lease-lost", None) => Ok(Self::LeaseLost),
            ("exit", None) => Ok(Self::Exit),
            ("limit", Some(name)) => name.parse().map(Self::Limit).map_err(|_| CauseError(text.to_owned())),
            ("not-supported", Some(name)) => Ok(Self::NotSupported(name)),
            _ => Err(CauseError(text.to_owned())),
        }
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        cause.to_string()
    }
}

impl TryFrom<String> for Cause {
    type Error = CauseError;

    fn try_from(text: String) -> Result<Self, CauseError> {
        text.parse()
    }
}

/// One function of the guest's stack, innermost first in a backtrace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Frame {
    /// The function's name, demangled; `wasm-function[N]` when the component has no name section.
    pub function: String,
    /// The offset of the instruction in its module, in bytes, where known.
    pub offset: Option<u64>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        self.offset.map_or(Ok(()), |offset| write!(f, " (+{offset:#x})"))
    }
}

/// How the host ended an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why.
    pub cause: Cause,
    /// For people; one line, with the limit that was hit.
    pub message: String,
    /// Where the guest was, innermost first. Empty when it was not in a function.
    pub backtrace: Vec<Frame>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_reads_back() {
        let causes = [
            Cause::Fuel,
            Cause::Timeout,
            Cause::Memory,
            Cause::Output,
            Cause::HostCall(None),
            Cause::HostCall(Some("wasi:io/poll.poll".into())),
            Cause::Trap("unreachable".into()),
            Cause::Cancelled,
            Cause::LeaseLost,
            Cause::Exit,
            Cause::Limit(Limit::OpenFiles),
            Cause::NotSupported("snooze".into()),
        ];
        for cause in causes {
            assert_eq!(cause.to_string().parse(), Ok(cause.clone()));
            assert!(cause.to_string().starts_with(cause.word()));
        }
    }

    #[test]
    fn unknown_causes_are_refused() {
        for text in ["", "bored", "trap", "fuel left", "not-supported", "limit", "limit speed"] {
            assert!(text.parse::<Cause>().is_err(), "{text}");
        }
    }
}
