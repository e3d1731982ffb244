//! What has come of the deliveries of a webhook, and when so much of it is bad that it is disabled. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delivery::{NOT_SENT, STATUS};
use crate::{Ending, Timestamp, format_duration};

/// A webhook that has failed for so long, and has not succeeded meanwhile, is disabled.
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// One that has failed less often is not.
pub const MIN_FAILURES: u64 = 10;
/// What is kept of what went wrong last.
pub const MAX_WORDS_BYTES: usize = 300;
/// The status by which an endpoint says that it wants nothing any more.
const GONE: &str = "410";

/// What has come of the deliveries of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookStanding {
    /// Deliveries that have not ended.
    pub pending: u64,
    /// Deliveries that were taken.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub given_up: u64,
    /// Events of which no delivery was made, since too many were waiting.
    pub dropped: u64,
    /// Attempts that failed since one succeeded.
    pub failures: u64,
    /// Since when they do. None: the last one succeeded.
    pub failing_since: Option<Timestamp>,
    /// When one succeeded last.
    pub last_success: Option<Timestamp>,
    /// When one failed last, and how.
    pub last_failure: Option<(Timestamp, String)>,
}

/// What an attempt of a delivery says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted<'a> {
    /// It took the delivery.
    Taken,
    /// It did not, and what it said, or why it could not be asked.
    Failed {
        /// The kind of the failure.
        kind: &'a str,
        /// For people.
        message: &'a str,
    },
}

impl<'a> Attempted<'a> {
    /// What this end of an attempt says. None: nothing, since it was the host's, or nothing was sent.
    pub fn of(ending: &'a Ending) -> Option<Self> {
        match ending {
            Ending::Completed => Some(Self::Taken),
            Ending::Failed { kind, .. } if kind == NOT_SENT => None,
            Ending::Failed { kind, message } => Some(Self::Failed { kind, message }),
            Ending::Stopped { cause: crate::Cause::Timeout, message } => {
                Some(Self::Failed { kind: "timeout", message })
            }
            _ => None,
        }
    }
}

impl WebhookStanding {
    /// Takes in what an attempt has shown; why the webhook is to be disabled, if it is.
    pub fn attempted(&mut self, seen: Attempted<'_>, now: Timestamp) -> Option<String> {
        let Attempted::Failed { kind, message } = seen else {
            (self.failures, self.failing_since, self.last_success) = (0, None, Some(now));
            return None;
        };
        self.failures += 1;
        let since = *self.failing_since.get_or_insert(now);
        let end = message.floor_char_boundary(MAX_WORDS_BYTES);
        self.last_failure = Some((now, message[..end].to_owned()));
        if kind.strip_prefix(STATUS) == Some(GONE) {
            return Some("the endpoint answered 410 Gone".into());
        }
        let failing = now.since(since);
        let is_hopeless = failing >= DISABLE_AFTER && self.failures >= MIN_FAILURES;
        is_hopeless.then(|| format!("all of {} attempts have failed for {}", self.failures, format_duration(failing)))
    }

    /// It is tried anew: what was is no reason any more.
    pub fn forgive(&mut self) {
        (self.failures, self.failing_since) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Attempted<'_> = Attempted::Failed { kind: "status-500", message: "the endpoint answered 500" };
    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(hours: u32) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000).after(HOUR * hours)
    }

    #[test]
    fn endpoint_that_has_failed_for_days_is_disabled_and_one_success_is_enough() {
        let mut standing = WebhookStanding::default();
        assert!((0..120).all(|hour| standing.attempted(FAILED, at(hour)).is_none()));
        let reason = standing.clone().attempted(FAILED, at(120)).expect("five days");
        assert_eq!(reason, "all of 121 attempts have failed for 5 days");
        assert_eq!(standing.attempted(Attempted::Taken, at(120)), None);
        assert_eq!((standing.failures, standing.failing_since), (0, None));
        assert!((121..240).all(|hour| standing.attempted(FAILED, at(hour)).is_none()));
    }

    #[test]
    fn few_failures_are_no_reason_however_long_ago_the_first_was() {
        let mut standing = WebhookStanding::default();
        for count in 1..MIN_FAILURES {
            assert_eq!(standing.attempted(FAILED, at(u32::try_from(count).expect("small") * 100)), None);
        }
        assert!(standing.attempted(FAILED, at(2_000)).is_some());
    }

    #[test]
    fn gone_disables_at_once_and_what_the_host_did_says_nothing() {
        let ending = Ending::Failed { kind: "status-410".into(), message: "the endpoint answered 410".into() };
        let seen = Attempted::of(&ending).expect("it says something");
        assert!(WebhookStanding::default().attempted(seen, at(0)).is_some());
        let not_sent = Ending::Failed { kind: NOT_SENT.into(), message: String::new() };
        for ending in [Ending::HostLost, Ending::HandedBack, not_sent] {
            assert_eq!(Attempted::of(&ending), None, "{ending:?}");
        }
    }

    #[test]
    fn length_of_what_went_wrong_is_bounded() {
        let long = "\u{e9}".repeat(MAX_WORDS_BYTES);
        let mut standing = WebhookStanding::default();
        standing.attempted(Attempted::Failed { kind: "connect", message: &long }, at(0));
        let (_, words) = standing.last_failure.expect("it failed");
        assert!(words.len() <= MAX_WORDS_BYTES && long.starts_with(&words));
    }
}
