//! Where a task's time went while none of its attempts ran, once the first had begun.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_task::{Task, Timestamp, Verdict};

use super::wire::instant;

/// Pauses of a task that are kept one by one: the longest.
const MAX_PAUSES: usize = 8;

/// A time in which none of a task's attempts ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pause {
    /// What it waited for.
    pub until: PauseUntil,
    /// When the attempt before ended.
    #[serde(with = "instant")]
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// When the next began, or the task ended; or now.
    #[serde(with = "instant")]
    #[schemars(with = "String")]
    pub to: Timestamp,
}

/// What a task waits for between two attempts, or after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PauseUntil {
    /// The time of its next attempt, and a slot for that.
    NextAttempt,
    /// That somebody completes it.
    Completion,
    /// That its children have ended.
    Children,
}

/// The pauses of a task, in their order.
pub(super) fn pauses(task: &Task, now: Timestamp) -> Vec<Pause> {
    let begins = task.attempts.iter().skip(1).map(|attempt| Some(attempt.started_at)).chain([None]);
    let after_last = task.lease().map(|lease| lease.started_at).or(task.ended_at).unwrap_or(now);
    let pauses = task.attempts.iter().zip(begins).map(|(attempt, begins)| {
        let until = match attempt.decision.verdict {
            Verdict::Await(_) => PauseUntil::Completion,
            Verdict::Retry(_) | Verdict::Snooze(_) | Verdict::Requeue => PauseUntil::NextAttempt,
            // Whatever would have ended it, it waits for its children first.
            Verdict::Decompose | Verdict::Succeed | Verdict::GiveUp | Verdict::Cancel => PauseUntil::Children,
        };
        Pause { until, from: attempt.ended_at, to: begins.unwrap_or(after_last) }
    });
    pauses.filter(|pause| pause.to > pause.from).collect()
}

/// How long the task waited for this altogether.
pub(super) fn total(pauses: &[Pause], until: PauseUntil) -> Duration {
    let of = pauses.iter().filter(|pause| pause.until == until);
    of.map(Pause::took).fold(Duration::ZERO, Duration::saturating_add)
}

/// The longest of them, in their order.
pub(super) fn longest(mut pauses: Vec<Pause>) -> Vec<Pause> {
    pauses.sort_by_key(|pause| (std::cmp::Reverse(pause.took()), pause.from));
    pauses.truncate(MAX_PAUSES);
    pauses.sort_by_key(|pause| pause.from);
    pauses
}

impl Pause {
    fn took(&self) -> Duration {
        self.to.since(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(from: u64, to: u64) -> Pause {
        let at = Timestamp::from_unix_ms;
        Pause { until: PauseUntil::NextAttempt, from: at(from), to: at(to) }
    }

    #[test]
    fn number_of_pauses_obeyed_and_violated() {
        let eight: Vec<_> = (0..8).map(|number| pause(number * 100, number * 100 + 10 + number)).collect();
        assert_eq!(longest(eight.clone()), eight);
        let nine: Vec<_> = eight.iter().cloned().chain([pause(900, 999)]).collect();
        assert_eq!(longest(nine.clone()), nine[1..], "the shortest is left out");
        assert_eq!(total(&nine, PauseUntil::NextAttempt), Duration::from_millis(80 + 28 + 99));
        assert_eq!(total(&nine, PauseUntil::Completion), Duration::ZERO);
    }
}
