//! Shares of a job's budgets: what an attempt gets where nobody has said what it may spend, and what follows when that was too
//! little. Pure.
//!
//! A share is the host's guess and no limit of the task's own: an attempt that it ends is charged nothing, and the next has no
//! share but all that is left. So this happens once to a task, as far as its attempts are kept.

use serde::{Deserialize, Serialize};

use super::{BudgetName, Cut, Reserved};
use crate::{AttemptReport, AttemptResult, Cause, Decision, Ending, Limit, Policy, Task, Verdict};

/// Of which budgets of its job an attempt has a share: others have the rest, or will.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// Of fuel.
    pub fuel: bool,
    /// Of bytes written to artifacts.
    pub artifact_bytes: bool,
}

impl Reserved {
    /// What of it is a share.
    pub fn shares(&self) -> Shares {
        Shares { fuel: self.cut_fuel == Cut::Part, artifact_bytes: self.cut_artifacts == Cut::Part }
    }
}

impl Task {
    /// Whether an attempt of it may be given a share of this budget, if nobody has said what it may spend: not after one to which
    /// that was too little.
    pub fn may_share(&self, budget: BudgetName) -> bool {
        let was_stopped = |ending: &Ending| match ending {
            Ending::Stopped { cause, .. } => budget_of(cause) == Some(budget),
            _ => false,
        };
        !self.attempts.iter().any(|attempt| was_stopped(&attempt.ending))
    }
}

/// The budget that this limits, as well as a limit of the task's own.
fn budget_of(cause: &Cause) -> Option<BudgetName> {
    match cause {
        Cause::Fuel => Some(BudgetName::Fuel),
        Cause::Limit(Limit::ArtifactBytes) => Some(BudgetName::ArtifactBytes),
        _ => None,
    }
}

/// The budget of which the attempt at hand had too small a share.
pub(crate) fn small_share(task: &Task, report: &AttemptReport) -> Option<BudgetName> {
    let (AttemptResult::Stopped(stop), Some(lease)) = (&report.result, task.lease()) else { return None };
    budget_of(&stop.cause).filter(|budget| match budget {
        BudgetName::Fuel => lease.shares.fuel,
        BudgetName::ArtifactBytes => lease.shares.artifact_bytes,
        _ => false,
    })
}

/// What follows from that: whatever is retried or not, this is no failure of the task.
pub(crate) fn after_small_share(budget: BudgetName) -> Decision {
    let reason =
        format!("its share of its job's budget `{budget}` was too little; it is run again with all that is left");
    Decision::uncharged(Verdict::Requeue, Policy::Share, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NOW, failed, stopped};
    use crate::{AttemptRecord, Disposition, Lease, State, decide};

    const BYTES: Cause = Cause::Limit(Limit::ArtifactBytes);

    /// A task whose attempt runs, with these shares. It has no other.
    fn running(shares: Shares) -> Task {
        let mut task = testing::task();
        task.spec.max_attempts = 1;
        Task { state: State::Running(Lease { shares, ..testing::lease() }), ..task }
    }

    fn fuel() -> Task {
        running(Shares { fuel: true, artifact_bytes: false })
    }

    #[test]
    fn attempt_whose_share_was_too_little_is_charged_nothing_and_run_again() {
        let bytes = running(Shares { fuel: false, artifact_bytes: true });
        for (task, cause, name) in [(fuel(), Cause::Fuel, "fuel"), (bytes, BYTES, "artifact-bytes")] {
            let decision = decide(&task, &stopped(cause), NOW);
            let found = (decision.verdict, decision.charged, decision.policy);
            assert_eq!(found, (Verdict::Requeue, false, Policy::Share));
            assert!(decision.reason.starts_with(&format!("its share of its job's budget `{name}` was too little")));
        }
    }

    #[test]
    fn what_a_share_has_not_ended_is_charged() {
        let ends = [stopped(BYTES), stopped(Cause::Timeout), failed("fuel", Disposition::ByPolicy)];
        for (task, seen) in
            ends.into_iter().map(|seen| (fuel(), seen)).chain([(running(Shares::default()), stopped(Cause::Fuel))])
        {
            let decision = decide(&task, &seen, NOW);
            assert_eq!((decision.verdict, decision.charged, decision.policy), (Verdict::GiveUp, true, Policy::Retry));
        }
    }

    /// What the submitter wants done about failures is for failures.
    #[test]
    fn rules_about_failures_do_not_matter_and_a_cancel_does() {
        let mut task = fuel();
        (task.spec.never_retry_on, task.spec.retry_on) = (vec!["fuel".into()], Some(Vec::new()));
        assert_eq!(decide(&task, &stopped(Cause::Fuel), NOW).verdict, Verdict::Requeue);
        task.cancel = Some(testing::cancel());
        assert_eq!(decide(&task, &stopped(Cause::Fuel), NOW).verdict, Verdict::Cancel);
    }

    #[test]
    fn task_has_no_share_once_that_was_too_little() {
        let mut task = testing::task();
        assert!(task.may_share(BudgetName::Fuel) && task.may_share(BudgetName::ArtifactBytes));
        let record = |cause| AttemptRecord {
            number: 1,
            worker: "w".into(),
            started_at: NOW,
            ended_at: NOW,
            ending: Ending::Stopped { cause, message: String::new() },
            decision: after_small_share(BudgetName::Fuel),
            receipt: None,
        };
        task.attempts = vec![record(Cause::Fuel), record(Cause::Timeout)];
        assert!(!task.may_share(BudgetName::Fuel) && task.may_share(BudgetName::ArtifactBytes));
    }

    #[test]
    fn share_is_what_is_less_than_all() {
        for (cut, is_share) in [(Cut::No, false), (Cut::Part, true), (Cut::All, false)] {
            let fuel = Reserved { cut_fuel: cut, ..Reserved::default() }.shares();
            let bytes = Reserved { cut_artifacts: cut, ..Reserved::default() }.shares();
            assert_eq!(fuel, Shares { fuel: is_share, artifact_bytes: false });
            assert_eq!(bytes, Shares { fuel: false, artifact_bytes: is_share });
        }
    }
}
