//! A limit as people write it: a value, or `none`.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use sunaba_runtime::store::Expected;
use sunaba_runtime::task::parse_duration;

use super::ms;

/// A limit; none means without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(crate) Option<T>);

impl<T: FromStr<Err: Display>> FromStr for Limit<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|value| Self(Some(value))).map_err(|error: T::Err| {
            let message = error.to_string();
            // Our own errors say what to write; those of numbers do not even say what was written.
            if message.contains("\nhint: ") {
                message
            } else {
                format!("{message}\nhint: write a number from 1, or `none`")
            }
        })
    }
}

/// Reads a duration as milliseconds, or `none`.
pub(crate) fn duration_or_none(text: &str) -> Result<Limit<u64>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse_duration(text).map(|duration: Duration| Limit(Some(ms(duration)))).map_err(|error| error.to_string())
}

/// Of what a change is one.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Seen {
    /// Only if what is set is still at this revision, as `-o json` shows it
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
}

impl Seen {
    pub(super) fn expected(self) -> Expected {
        self.revision.map_or(Expected::Any, Expected::Revision)
    }
}

#[cfg(test)]
mod tests {
    use sunaba_runtime::task::Rate;

    use super::*;

    #[test]
    fn none_is_no_limit_and_all_else_is_read() {
        assert_eq!("none".parse(), Ok(Limit::<u32>(None)));
        assert_eq!("4".parse(), Ok(Limit(Some(4_u32))));
        assert!("-4".parse::<Limit<u32>>().is_err_and(|error| error.contains("hint: ")));
        assert!("fast".parse::<Limit<Rate>>().is_err_and(|error| error.contains("`fast` is not a rate\nhint: ")));
        assert_eq!(duration_or_none("1m"), Ok(Limit(Some(60_000))));
        assert_eq!(duration_or_none("none"), Ok(Limit(None)));
        assert!(duration_or_none("soon").is_err());
    }
}
