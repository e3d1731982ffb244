//! What a task may use of fuel over all of its attempts. Pure: how much is left, and that there is none for another attempt.

use crate::units::format_count;
use crate::{AttemptResult, Cause, Decision, Observation, Policy, Task, Verdict};

impl Task {
    /// What is left of its fuel for further attempts; none when only each attempt is limited.
    pub fn fuel_left(&self) -> Option<u64> {
        self.spec.fuel_budget.map(|budget| budget.saturating_sub(self.fuel_used))
    }
}

/// What was decided about an attempt, unless there is no fuel for another one: then the task is dead of that.
pub(crate) fn within(task: &Task, seen: &Observation, decision: Decision) -> Decision {
    let Some(budget) = task.spec.fuel_budget else { return decision };
    let report = match seen {
        Observation::Reported(report)
        | Observation::Decomposed { report, .. }
        | Observation::PlanRefused { report, .. } => report,
        _ => return decision,
    };
    let spent = task.fuel_used.saturating_add(report.receipt.fuel.unwrap_or(0));
    let ran_out = matches!(&report.result, AttemptResult::Stopped(stop) if stop.cause == Cause::Fuel);
    let is_over = match decision.verdict {
        Verdict::Retry(_) | Verdict::Snooze(_) | Verdict::Requeue => true,
        // What waits for somebody to complete it may need no other attempt.
        Verdict::GiveUp => ran_out,
        _ => false,
    };
    if spent < budget || !is_over {
        return decision;
    }
    let reason = format!("budget fuel: {} of {} are spent", format_count(spent), format_count(budget));
    Decision::charged(Verdict::GiveUp, Policy::FuelBudget, reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{self, failed, reported, stopped};
    use crate::{Disposition, Outcome, Snooze, decide};

    /// What is decided when an attempt has used so much, after others of this task.
    fn decided(before: u64, used: u64, mut seen: Observation) -> Decision {
        let mut task = testing::task();
        (task.spec.fuel_budget, task.fuel_used, task.spec.max_attempts) = (Some(1_000), before, 9);
        if let Observation::Reported(report) = &mut seen {
            report.receipt.fuel = Some(used);
        }
        decide(&task, &seen, testing::NOW)
    }

    #[test]
    fn fuel_over_all_attempts_obeyed() {
        assert!(matches!(decided(400, 599, failed("odd", Disposition::ByPolicy)).verdict, Verdict::Retry(_)));
        let complete = reported(AttemptResult::Returned(Outcome::Complete(crate::Payload::json("1"))));
        assert_eq!(decided(400, 600, complete).verdict, Verdict::Succeed, "it is over with the last of it");
    }

    #[test]
    fn fuel_over_all_attempts_violated() {
        let snooze = Snooze { delay: Duration::from_secs(1), reason: String::new(), until_completed: false };
        let snooze = reported(AttemptResult::Returned(Outcome::Snooze(snooze)));
        for seen in [failed("odd", Disposition::ByPolicy), stopped(Cause::Fuel), snooze] {
            let decision = decided(400, 600, seen);
            assert_eq!((decision.verdict, decision.policy), (Verdict::GiveUp, Policy::FuelBudget));
            assert_eq!(decision.reason, "budget fuel: 1,000 of 1,000 are spent");
        }
    }

    #[test]
    fn without_a_budget_nothing_is_decided_otherwise() {
        let mut task = testing::task();
        task.fuel_used = u64::MAX;
        let decision = Decision::uncharged(Verdict::Requeue, Policy::HostStop, "why".into());
        assert_eq!(within(&task, &failed("odd", Disposition::ByPolicy), decision.clone()), decision);
        assert_eq!(task.fuel_left(), None);
    }
}
