//! How the host stands, what is wrong with it, and what it has done.

use sunaba_store::{Observations, StoreError};
use sunaba_task::Timestamp;

use super::Runtime;
use crate::watch::{Alert, Check, Every, Incident, Minute, Report, Sample};

impl Runtime {
    /// How the host stands now, and what its store has seen since it was opened; none of that when the store has failed.
    pub async fn sample(&self) -> (Sample, Option<Observations>) {
        self.watch.sample().await
    }

    /// What a host needs to be ready, and what is wrong with it, as it was at the last look: for anybody who asks, however often.
    pub async fn checks(&self) -> Vec<Check> {
        self.watch.checks().await
    }

    /// The alerts that fire, the oldest first; then those that were resolved lately, the newest first. A host that is started anew
    /// finds out for itself what is wrong.
    pub fn alerts(&self) -> Vec<Alert> {
        self.watch.alerts()
    }

    /// How many alerts have fired since the host was started.
    pub fn alerts_fired(&self) -> u64 {
        self.watch.alerts_fired()
    }

    /// Like failures that were seen at this instant or later, the last first. The newest may be missing for as long as one look
    /// is apart from the next.
    pub fn incidents(&self, since: Timestamp) -> Vec<Incident> {
        self.watch.incidents(since)
    }

    /// What the host has done lately, minute by minute, the oldest first; minutes in which nothing happened are left out. Not over
    /// restarts.
    pub fn minutes(&self) -> Vec<Minute> {
        self.watch.minutes()
    }

    /// What the host has done, with the figures of the service; over restarts.
    ///
    /// # Errors
    /// The store has failed, and with it its clock.
    pub async fn report(&self, every: Every) -> Result<Report, StoreError> {
        let now = self.store().observe(u64::MAX).await?.now;
        Ok(self.watch.report(now, every))
    }
}
