//! What a job may spend, over all of its tasks and their attempts.
//!
//! Fuel and the bytes of artifacts are reserved when an attempt is leased and paid when its receipt comes: what attempts that run at
//! the same time can spend together never exceeds what is left.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{MAX_SPAN, Receipt, format_count, format_duration};

/// The most tasks that a job may be allowed.
const MAX_TASKS: u64 = 10_000_000;
/// The deepest plan that a job may be allowed.
const MAX_DEPTH: u64 = 64;
/// How many attempts without a fuel limit of their own share what is left, at most.
pub(super) const SHARES: u64 = 16;

/// What a job may spend. None: no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Budget {
    /// Attempts that begin.
    pub attempts: Option<u64>,
    /// From the job's submit to its end.
    pub time: Option<Duration>,
    /// Over all attempts.
    pub fuel: Option<u64>,
    /// Bytes written to artifacts, over all attempts; also those that another attempt has written again since.
    pub artifact_bytes: Option<u64>,
    /// Tasks.
    pub tasks: u64,
    /// How deep plans may be: a job's own is 1, that of one of its tasks 2; at most 64.
    pub depth: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { attempts: None, time: None, fuel: None, artifact_bytes: None, tasks: 1_000_000, depth: 16 }
    }
}

/// Which budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetName {
    /// Attempts.
    Attempts,
    /// Time.
    Time,
    /// Fuel.
    Fuel,
    /// Tasks.
    Tasks,
    /// Depth.
    Depth,
    /// Bytes written to artifacts.
    ArtifactBytes,
}

impl fmt::Display for BudgetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Attempts => "attempts",
            Self::Time => "time",
            Self::Fuel => "fuel",
            Self::Tasks => "tasks",
            Self::Depth => "depth",
            Self::ArtifactBytes => "artifact-bytes",
        })
    }
}

/// A budget that nothing can be done with, or that is beyond what can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the budget `{name}` cannot be {value}: it is {range}")]
pub struct BudgetError {
    /// Which.
    pub name: BudgetName,
    /// What was asked for.
    pub value: String,
    /// What can be.
    pub range: String,
}

impl Budget {
    /// Whether something can be done with it.
    ///
    /// # Errors
    /// It is nothing, or too much.
    pub fn check(&self) -> Result<(), BudgetError> {
        let check = |name, value: Option<u64>, most: Option<u64>| match value {
            Some(value) if !(1..=most.unwrap_or(u64::MAX)).contains(&value) => {
                let range = most.map_or("at least 1".into(), |most| format!("from 1 to {}", format_count(most)));
                Err(BudgetError { name, value: format_count(value), range })
            }
            _ => Ok(()),
        };
        check(BudgetName::Attempts, self.attempts, None)?;
        check(BudgetName::Fuel, self.fuel, None)?;
        check(BudgetName::ArtifactBytes, self.artifact_bytes, None)?;
        check(BudgetName::Tasks, Some(self.tasks), Some(MAX_TASKS))?;
        check(BudgetName::Depth, Some(self.depth.into()), Some(MAX_DEPTH))?;
        match self.time {
            Some(time) if time.is_zero() || time > MAX_SPAN => {
                let value = if time.is_zero() { "0s".into() } else { format_duration(time) };
                Err(BudgetError { name: BudgetName::Time, value, range: "above zero, and at most a year".into() })
            }
            _ => Ok(()),
        }
    }
}

/// What a job has spent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Attempts that began.
    pub attempts: u64,
    /// Of those that have ended.
    pub fuel: u64,
    /// Tasks that were made.
    pub tasks: u64,
    /// The time of attempts that have ended, one after the other.
    pub wall: Duration,
    /// The part of that in host calls.
    pub host_call_time: Duration,
    /// The most that one attempt held, in bytes.
    pub peak_memory_bytes: u64,
    /// The outputs of attempts.
    pub output_bytes: u64,
    /// What attempts that have ended have written to artifacts.
    pub artifact_bytes: u64,
}

/// A budget of which four fifths are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowBudget {
    /// Which.
    pub budget: BudgetName,
    /// How much of it is spent; of `time`, milliseconds.
    pub spent: u64,
    /// How much there was.
    pub limit: u64,
}

/// Why an attempt gets no fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFuel {
    /// What is left is reserved by attempts that run, and may come back.
    Wait,
    /// It is spent.
    Spent,
}

impl Spent {
    /// The budgets of which four fifths are spent, `age` after the submit.
    pub fn low(&self, budget: &Budget, age: Duration) -> Vec<LowBudget> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let all = [
            (BudgetName::Attempts, self.attempts, budget.attempts),
            (BudgetName::Time, ms(age), budget.time.map(ms)),
            (BudgetName::Fuel, self.fuel, budget.fuel),
            (BudgetName::Tasks, self.tasks, Some(budget.tasks)),
            (BudgetName::ArtifactBytes, self.artifact_bytes, budget.artifact_bytes),
        ];
        let low = all.into_iter().filter_map(|(budget, spent, limit)| Some(LowBudget { budget, spent, limit: limit? }));
        low.filter(|low| u128::from(low.spent) * 5 >= u128::from(low.limit) * 4).collect()
    }

    /// An attempt has ended that has used this. What is too large stays as large as it can be.
    pub fn add(&mut self, receipt: &Receipt) {
        self.fuel = self.fuel.saturating_add(receipt.fuel.unwrap_or(0));
        self.wall = self.wall.saturating_add(receipt.wall);
        self.host_call_time = self.host_call_time.saturating_add(receipt.host_call_time);
        self.peak_memory_bytes = self.peak_memory_bytes.max(receipt.peak_memory_bytes);
        self.output_bytes = self.output_bytes.saturating_add(receipt.output_bytes);
        self.artifact_bytes = self.artifact_bytes.saturating_add(receipt.artifact_bytes);
    }

    /// How much fuel an attempt may use, by its own limit, by what is left, and by what those may use that run: `reserved`.
    /// Without a limit of its own it shares what is left with the job's other tasks if it `shares`, and else has all of that. None:
    /// nobody limits it.
    ///
    /// # Errors
    /// There is none.
    pub fn fuel_for(
        &self,
        budget: &Budget,
        reserved: u64,
        own: Option<u64>,
        shares: bool,
        unfinished: u64,
    ) -> Result<Option<u64>, NoFuel> {
        let Some(limit) = budget.fuel else { return Ok(own) };
        let left = limit.saturating_sub(self.fuel);
        let free = left.saturating_sub(reserved);
        let share = if shares { (left / unfinished.clamp(1, SHARES)).max(1) } else { left };
        let wanted = own.unwrap_or(share);
        match (left, free) {
            (0, _) => Err(NoFuel::Spent),
            (_, 0) => Err(NoFuel::Wait),
            // What comes back may be enough for it.
            (_, free) if free < wanted && reserved > 0 => Err(NoFuel::Wait),
            _ => Ok(Some(wanted.min(free))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUEL: Budget =
        Budget { fuel: Some(1_000), attempts: None, time: None, artifact_bytes: None, tasks: 10, depth: 16 };

    #[test]
    fn budgets_obeyed_and_violated() {
        let with = |change: fn(&mut Budget)| {
            let mut budget = Budget::default();
            change(&mut budget);
            budget.check().map_err(|error| error.name)
        };
        assert_eq!(with(|_| {}), Ok(()));
        assert_eq!(with(|budget| budget.attempts = Some(0)), Err(BudgetName::Attempts));
        assert_eq!(with(|budget| budget.fuel = Some(0)), Err(BudgetName::Fuel));
        assert_eq!(with(|budget| budget.fuel = Some(1)), Ok(()));
        assert_eq!(with(|budget| budget.artifact_bytes = Some(0)), Err(BudgetName::ArtifactBytes));
        assert_eq!(with(|budget| budget.artifact_bytes = Some(1)), Ok(()));
        assert_eq!(with(|budget| budget.tasks = MAX_TASKS + 1), Err(BudgetName::Tasks));
        assert_eq!(with(|budget| budget.tasks = MAX_TASKS), Ok(()));
        assert_eq!(with(|budget| budget.depth = 0), Err(BudgetName::Depth));
        assert_eq!(with(|budget| budget.depth = 65), Err(BudgetName::Depth));
        assert_eq!(with(|budget| budget.depth = 64), Ok(()));
        assert_eq!(with(|budget| budget.time = Some(Duration::ZERO)), Err(BudgetName::Time));
        assert_eq!(with(|budget| budget.time = Some(MAX_SPAN)), Ok(()));
    }

    #[test]
    fn error_says_what_can_be() {
        let told = |budget: Budget| budget.check().expect_err("nothing").to_string();
        let budget = Budget::default;
        let tasks = told(Budget { tasks: 20_000_000, ..budget() });
        assert_eq!(tasks, "the budget `tasks` cannot be 20,000,000: it is from 1 to 10,000,000");
        let attempts = told(Budget { attempts: Some(0), ..budget() });
        assert_eq!(attempts, "the budget `attempts` cannot be 0: it is at least 1");
        let time = told(Budget { time: Some(Duration::ZERO), ..budget() });
        assert_eq!(time, "the budget `time` cannot be 0s: it is above zero, and at most a year");
    }

    #[test]
    fn attempts_that_run_together_never_have_more_than_is_left() {
        let spent = Spent::default();
        assert_eq!(spent.fuel_for(&FUEL, 0, Some(600), true, 3), Ok(Some(600)));
        assert_eq!(spent.fuel_for(&FUEL, 600, Some(600), true, 3), Err(NoFuel::Wait));
        assert_eq!(spent.fuel_for(&FUEL, 600, Some(400), true, 3), Ok(Some(400)));
        assert_eq!(spent.fuel_for(&FUEL, 1_000, Some(1), true, 3), Err(NoFuel::Wait));
    }

    #[test]
    fn last_attempt_gets_what_is_left_and_the_next_is_told_that_it_is_spent() {
        let spent = |fuel| Spent { fuel, ..Spent::default() };
        assert_eq!(spent(990).fuel_for(&FUEL, 0, Some(600), true, 2), Ok(Some(10)));
        assert_eq!(spent(1_000).fuel_for(&FUEL, 0, Some(600), true, 2), Err(NoFuel::Spent));
        assert_eq!(spent(1_001).fuel_for(&FUEL, 5, None, true, 2), Err(NoFuel::Spent));
    }

    #[test]
    fn those_without_a_limit_share_what_is_left() {
        let share = |budget: &Budget, unfinished| Spent::default().fuel_for(budget, 0, None, true, unfinished);
        assert_eq!(
            (share(&FUEL, 4), share(&FUEL, 1), share(&FUEL, 1_000_000)),
            (Ok(Some(250)), Ok(Some(1_000)), Ok(Some(62)))
        );
        assert_eq!(Spent::default().fuel_for(&FUEL, 0, Some(600), false, 4), Ok(Some(600)), "its own limit stands");
        let tiny = Budget { fuel: Some(3), ..FUEL };
        assert_eq!(share(&tiny, 1_000_000), Ok(Some(1)));
        assert_eq!(share(&Budget::default(), 4), Ok(None));
    }

    #[test]
    fn whoever_does_not_share_waits_for_all_that_is_left() {
        let spent = Spent { fuel: 250, ..Spent::default() };
        assert_eq!(spent.fuel_for(&FUEL, 250, None, false, 4), Err(NoFuel::Wait));
        assert_eq!(spent.fuel_for(&FUEL, 0, None, false, 4), Ok(Some(750)));
        let all = Spent { fuel: 1_000, ..Spent::default() };
        assert_eq!(all.fuel_for(&FUEL, 0, None, false, 4), Err(NoFuel::Spent));
    }
}
