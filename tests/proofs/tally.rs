//! What a proof has come to: the row of a table.

use std::time::Duration;

/// What one kind of fault has come to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// What went wrong.
    pub fault: String,
    /// How it was made to.
    pub way: String,
    /// How often it really did.
    pub fired: u64,
    /// Operations that were acknowledged meanwhile.
    pub acknowledged: u64,
    /// Of these, the ones that were gone or changed afterwards.
    pub lost: u64,
    /// Tasks and results that were there twice.
    pub duplicated: u64,
    /// The longest time from the fault until everything was served again.
    pub recovery: Option<Duration>,
    /// What else was found wrong, with the seed that shows it.
    pub problems: Vec<String>,
}

impl Tally {
    /// An empty row.
    pub fn new(fault: impl Into<String>, way: impl Into<String>) -> Self {
        Self { fault: fault.into(), way: way.into(), ..Self::default() }
    }

    /// Adds another run of the same.
    pub fn add(&mut self, other: Self) {
        self.fired += other.fired;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.recovery = self.recovery.max(other.recovery);
        self.problems.extend(other.problems);
    }

    /// Whether it shows that nothing was lost: a fault that did not fire shows nothing.
    pub fn holds(&self) -> bool {
        self.fired > 0 && self.acknowledged > 0 && self.lost == 0 && self.duplicated == 0 && self.problems.is_empty()
    }
}
