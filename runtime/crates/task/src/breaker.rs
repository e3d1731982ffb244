//! The circuit breaker of a handler: a handler that fails too often is given a pause, then tried with one task, and let go on
//! when that succeeds. Pure: time comes in as an argument.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{format_duration, parse_duration};
use crate::{Decision, Ending, Policy, Verdict};

/// Attempts that are looked at when nothing else is set.
const DEFAULT_OVER: u32 = 20;
const MAX_OVER: u32 = 1_000;
const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// When a breaker opens, written `50%/20, 30s`: at half of the last 20 attempts failed, for 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct BreakerSettings {
    /// It opens when so many per cent have failed; 1 to 100.
    pub percent: u8,
    /// Of the last so many attempts; 1 to 1,000. With fewer it stays closed.
    pub over: u32,
    /// How long it is open before it tries one task; up to a day.
    pub pause: Duration,
}

/// A text that is no setting of a breaker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a breaker\nhint: write PERCENT%/ATTEMPTS, PAUSE, such as `50%/20, 30s`: 1 to 100 per cent of the last 1 to \
     1000 attempts, and a pause of up to a day"
)]
pub struct BreakerError(String);

impl FromStr for BreakerSettings {
    type Err = BreakerError;

    fn from_str(text: &str) -> Result<Self, BreakerError> {
        let error = || BreakerError(text.chars().take(64).collect());
        let (when, pause) = text.split_once(',').ok_or_else(error)?;
        let (percent, over) = when.split_once("%/").ok_or_else(error)?;
        let percent = percent.trim().parse().map_err(|_| error())?;
        let over = over.trim().parse().map_err(|_| error())?;
        let pause = parse_duration(pause.trim()).map_err(|_| error())?;
        Some(Self { percent, over, pause }).filter(Self::is_in_range).ok_or_else(error)
    }
}

impl BreakerSettings {
    pub(crate) fn is_in_range(&self) -> bool {
        let counts = (1..=100).contains(&self.percent) && (1..=MAX_OVER).contains(&self.over);
        counts && !self.pause.is_zero() && self.pause <= MAX_PAUSE
    }
}

impl fmt::Display for BreakerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%/{}, {}", self.percent, self.over, format_duration(self.pause))
    }
}

impl From<BreakerSettings> for String {
    fn from(settings: BreakerSettings) -> Self {
        settings.to_string()
    }
}

impl TryFrom<String> for BreakerSettings {
    type Error = BreakerError;

    fn try_from(text: String) -> Result<Self, BreakerError> {
        text.parse()
    }
}

/// Where a breaker stands. Times are by a clock that never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is started.
    Closed,
    /// Nothing is started until then.
    Open {
        /// When one task is tried.
        until: Duration,
    },
    /// One task may run at a time, and what becomes of it decides.
    Probing,
}

/// What is known of a handler's last attempts, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// Whether each of the last attempts failed, oldest first.
    recent: VecDeque<bool>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: BreakerState::Closed, recent: VecDeque::new() }
    }
}

impl Breaker {
    /// Where it stands now.
    pub fn state(&self, now: Duration) -> BreakerState {
        match self.state {
            BreakerState::Open { until } if until <= now => BreakerState::Probing,
            state => state,
        }
    }

    /// Attempts that are remembered, and how many of them failed.
    pub fn recent(&self) -> (usize, usize) {
        (self.recent.len(), self.recent.iter().filter(|failed| **failed).count())
    }

    /// Whether another attempt may start, with so many running.
    pub fn permits(&self, running: usize, now: Duration) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open { .. } => false,
            BreakerState::Probing => running == 0,
        }
    }

    /// Whether an attempt failed, as far as that says something of its handler. None: it was handed back, snoozed or
    /// cancelled, or its host is to blame.
    pub fn looks_at(ending: &Ending, decision: &Decision) -> Option<bool> {
        let is_hosts_fault = matches!(ending, Ending::HostFailed { .. }) || decision.policy == Policy::Unrunnable;
        match decision.verdict {
            Verdict::Succeed => Some(false),
            _ if decision.charged && !is_hosts_fault => Some(true),
            _ => None,
        }
    }

    /// The breaker after an attempt has ended. An attempt that ended through its host's fault is none of its business.
    #[must_use]
    pub fn after(mut self, failed: bool, settings: Option<&BreakerSettings>, now: Duration) -> Self {
        let over = settings.map_or(DEFAULT_OVER, |settings| settings.over) as usize;
        self.recent.push_back(failed);
        while self.recent.len() > over {
            self.recent.pop_front();
        }
        let Some(settings) = settings else { return Self { state: BreakerState::Closed, ..self } };
        let open = BreakerState::Open { until: now.saturating_add(settings.pause) };
        self.state = match self.state(now) {
            BreakerState::Closed if self.is_failing(settings) => open,
            // What began before it opened has ended only now.
            state @ (BreakerState::Closed | BreakerState::Open { .. }) => state,
            BreakerState::Probing if failed => open,
            BreakerState::Probing => {
                self.recent.clear();
                BreakerState::Closed
            }
        };
        self
    }

    fn is_failing(&self, settings: &BreakerSettings) -> bool {
        let (count, failed) = self.recent();
        count >= settings.over as usize && failed * 100 >= count * usize::from(settings.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> BreakerSettings {
        "50%/4, 30s".parse().expect("a breaker")
    }

    /// A breaker after these attempts, `x` failed and `.` not, one each second; and the time then.
    fn breaker(attempts: &str) -> (Breaker, Duration) {
        attempts.chars().fold((Breaker::default(), Duration::ZERO), |(breaker, now), attempt| {
            (breaker.after(attempt == 'x', Some(&settings()), now), now + SECOND)
        })
    }

    #[test]
    fn settings_read_back_and_nothing_else_is_one() {
        assert_eq!(settings().to_string().parse(), Ok(settings()));
        for text in [
            "",
            "50%",
            "50%/20",
            "0%/20, 30s",
            "101%/20, 30s",
            "50%/0, 30s",
            "50%/1001, 30s",
            "50%/20, 0s",
            "50/20, 30s",
        ] {
            assert!(text.parse::<BreakerSettings>().is_err(), "{text}");
        }
    }

    #[test]
    fn opens_at_its_rate_and_never_before_it_has_seen_enough() {
        for (attempts, open) in
            [("", false), ("xxx", false), ("...x", false), ("..xx", true), ("xx..", true), ("x...x", false)]
        {
            let (breaker, now) = breaker(attempts);
            assert_eq!(matches!(breaker.state(now), BreakerState::Open { .. }), open, "{attempts}");
            assert_eq!(breaker.permits(0, now), !open, "{attempts}");
        }
    }

    #[test]
    fn tries_one_task_after_its_pause() {
        let (breaker, _) = breaker("xxxx");
        let later = SECOND * 33;
        assert!(!breaker.permits(0, later - SECOND));
        assert_eq!(breaker.state(later), BreakerState::Probing);
        assert!(breaker.permits(0, later) && !breaker.permits(1, later));
    }

    #[test]
    fn what_becomes_of_the_probe_decides() {
        let (breaker, _) = breaker("xxxx");
        let later = SECOND * 40;
        let again = breaker.clone().after(true, Some(&settings()), later);
        assert_eq!(again.state(later), BreakerState::Open { until: later + settings().pause });
        let well = breaker.after(false, Some(&settings()), later);
        assert_eq!((well.state(later), well.recent()), (BreakerState::Closed, (0, 0)));
    }

    #[test]
    fn what_ends_while_it_is_open_does_not_keep_it_open() {
        let (open, now) = breaker("xxxx");
        let state = open.state(now);
        assert_eq!(open.after(true, Some(&settings()), now).state(now), state);
    }

    #[test]
    fn only_what_a_handler_is_to_blame_for_counts() {
        let failed = Ending::Failed { kind: "error".into(), message: "m".into() };
        let lost = Ending::HostFailed { message: "m".into() };
        let retry = Verdict::Retry(SECOND);
        for (ending, verdict, charged, policy, expected) in [
            (&Ending::Completed, Verdict::Succeed, false, Policy::Success, Some(false)),
            (&failed, retry, true, Policy::Retry, Some(true)),
            (&failed, Verdict::GiveUp, true, Policy::Fatal, Some(true)),
            (&lost, retry, true, Policy::Retry, None),
            (&failed, Verdict::GiveUp, true, Policy::Unrunnable, None),
            (&failed, Verdict::Snooze(SECOND), false, Policy::Snooze, None),
            (&failed, Verdict::Cancel, false, Policy::Cancel, None),
        ] {
            let decision = Decision { verdict, charged, policy, reason: "r".into() };
            assert_eq!(Breaker::looks_at(ending, &decision), expected, "{decision:?}");
        }
    }

    #[test]
    fn without_settings_it_only_counts() {
        let breaker = (0..50).fold(Breaker::default(), |breaker, _| breaker.after(true, None, SECOND));
        assert_eq!((breaker.state(SECOND), breaker.recent()), (BreakerState::Closed, (20, 20)));
    }
}
