//! What an attempt gets of a budget that is reserved, and whether it was stopped because that was too little. Pure.

use super::budget::SHARES;
use super::{Budget, BudgetName, Spent};
use crate::{Cause, Ending, Limit, Verdict};

/// How much less an attempt may spend of something than its own limit allows, because of its job's budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cut {
    /// No less.
    #[default]
    No,
    /// It has a part of what is left: others have the rest, or will.
    Part,
    /// It has all that is left.
    All,
}

impl Cut {
    /// Of an attempt that may spend `granted` where its own limit is this, and `left` is left of the budget.
    pub fn of(own: Option<u64>, granted: u64, left: u64) -> Self {
        match own {
            Some(own) if granted >= own => Self::No,
            _ if granted == left => Self::All,
            _ => Self::Part,
        }
    }

    /// Whether the budget is what an attempt was stopped for, whatever retries it has left: there is no more of it. Of whoever had
    /// a part of it this is not known before it has had all.
    fn is_hit(self, verdict: Verdict) -> bool {
        self == Self::All && matches!(verdict, Verdict::Retry(_) | Verdict::GiveUp)
    }
}

/// What an attempt may spend of its job's budgets until it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Of fuel.
    pub fuel: u64,
    /// Of bytes written to artifacts.
    pub artifact_bytes: u64,
    /// Whether that fuel is less than its own limit.
    pub cut_fuel: Cut,
    /// The same of artifacts.
    pub cut_artifacts: Cut,
}

impl Reserved {
    /// The budget for which an attempt has ended that had this much: a limit of its own has ended the others.
    pub fn hit(&self, ending: &Ending, verdict: Verdict) -> Option<BudgetName> {
        let Ending::Stopped { cause, .. } = ending else { return None };
        let (name, cut) = match cause {
            Cause::Fuel => (BudgetName::Fuel, self.cut_fuel),
            Cause::Limit(Limit::ArtifactBytes) => (BudgetName::ArtifactBytes, self.cut_artifacts),
            _ => return None,
        };
        cut.is_hit(verdict).then_some(name)
    }
}

impl Spent {
    /// How many bytes an attempt may write to artifacts, by its own limit, by what is left, and by what those may write that run:
    /// `reserved`. With `shares`, which is for those whose limit nobody has said, it shares what is left with the job's other
    /// tasks. When nothing is left it may write nothing, and runs: most tasks write no artifacts. None: it waits for what may come
    /// back.
    pub fn artifact_bytes_for(
        &self,
        budget: &Budget,
        reserved: u64,
        own: u64,
        shares: bool,
        unfinished: u64,
    ) -> Option<(u64, Cut)> {
        let Some(limit) = budget.artifact_bytes else { return Some((own, Cut::No)) };
        let left = limit.saturating_sub(self.artifact_bytes);
        let free = left.saturating_sub(reserved);
        let share = if shares { (left / unfinished.clamp(1, SHARES)).max(1) } else { own };
        let wanted = own.min(share);
        if free < wanted && reserved > 0 {
            return None;
        }
        let granted = wanted.min(free);
        Some((granted, Cut::of(Some(own), granted, left)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn grant(spent: u64, reserved: u64, own: u64, shares: bool, unfinished: u64) -> Option<(u64, Cut)> {
        let budget = Budget { artifact_bytes: Some(1_000), ..Budget::default() };
        let spent = Spent { artifact_bytes: spent, ..Spent::default() };
        spent.artifact_bytes_for(&budget, reserved, own, shares, unfinished)
    }

    #[test]
    fn attempts_that_run_together_never_write_more_than_is_left() {
        assert_eq!(grant(0, 0, 600, false, 3), Some((600, Cut::No)));
        assert_eq!(grant(0, 600, 600, false, 3), None);
        assert_eq!(grant(0, 600, 400, false, 3), Some((400, Cut::No)));
        assert_eq!(grant(0, 1_000, 1, false, 3), None);
        assert_eq!(grant(0, 1_000, 0, false, 3), Some((0, Cut::No)), "it wants nothing");
        assert_eq!(grant(500, 0, 600, false, 3), Some((500, Cut::All)));
    }

    #[test]
    fn those_without_a_limit_share_what_is_left() {
        assert_eq!(grant(0, 0, 4_000, true, 4), Some((250, Cut::Part)));
        assert_eq!(grant(0, 250, 4_000, true, 4), Some((250, Cut::Part)));
        assert_eq!(grant(0, 0, 4_000, true, 1_000_000), Some((62, Cut::Part)));
        assert_eq!(grant(600, 0, 4_000, true, 1), Some((400, Cut::All)));
        assert_eq!(grant(0, 0, 100, true, 4), Some((100, Cut::No)), "its own limit is less than its share");
    }

    #[test]
    fn attempt_that_writes_nothing_runs_when_all_is_spent() {
        assert_eq!(grant(1_000, 0, 4_000, true, 2), Some((0, Cut::All)));
        assert_eq!(grant(2_000, 0, 4_000, false, 2), Some((0, Cut::All)));
        let spent = Spent { artifact_bytes: 9, ..Spent::default() };
        assert_eq!(spent.artifact_bytes_for(&Budget::default(), 9, 7, true, 2), Some((7, Cut::No)));
    }

    #[test]
    fn budget_is_hit_by_whoever_could_get_no_more_of_it() {
        let stopped = |cause| Ending::Stopped { cause, message: String::new() };
        let hit = |cut, verdict| {
            let reserved = Reserved { cut_artifacts: cut, ..Reserved::default() };
            reserved.hit(&stopped(Cause::Limit(Limit::ArtifactBytes)), verdict)
        };
        let (retry, artifacts) = (Verdict::Retry(Duration::ZERO), Some(BudgetName::ArtifactBytes));
        assert_eq!((hit(Cut::All, retry), hit(Cut::All, Verdict::GiveUp)), (artifacts, artifacts));
        assert_eq!((hit(Cut::Part, retry), hit(Cut::Part, Verdict::GiveUp)), (None, None));
        assert_eq!((hit(Cut::No, retry), hit(Cut::No, Verdict::GiveUp)), (None, None));
        assert_eq!(hit(Cut::All, Verdict::Cancel), None);
        let reserved = Reserved { cut_fuel: Cut::All, ..Reserved::default() };
        assert_eq!(reserved.hit(&stopped(Cause::Fuel), Verdict::GiveUp), Some(BudgetName::Fuel));
        assert_eq!(reserved.hit(&stopped(Cause::Timeout), Verdict::GiveUp), None);
        assert_eq!(reserved.hit(&Ending::Completed, Verdict::Succeed), None);
    }
}
