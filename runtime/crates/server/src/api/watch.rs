//! What is or was wrong with a host, and what it has done.

use serde::{Deserialize, Serialize};
use sunaba_host::Rule;
#[cfg(feature = "serve")]
use sunaba_host::{Alert, Figures, Incident, Period, ServiceReport, TARGETS};
use sunaba_task::Timestamp;

use super::ms;

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It does.
    Firing,
    /// It did.
    Resolved,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AlertView {
    /// By which rule.
    pub alert: Rule,
    /// With what: a queue, a handler, a task; empty for the host.
    pub subject: String,
    /// Whether it fires.
    pub state: AlertState,
    /// What was found last, in one line.
    pub message: String,
    /// When it was found first.
    pub since: String,
    /// When it fired.
    pub fired_at: String,
    /// When it was resolved.
    pub resolved_at: Option<String>,
}

/// The alerts of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AlertsView {
    /// Those that fire, the oldest first; then those that were resolved lately, the newest first.
    pub alerts: Vec<AlertView>,
}

/// The figures of the service. Null: nothing happened that it could be made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FiguresView {
    /// In a hundred: of the time for which the host should have been there, that in which there were enough workers.
    pub availability_percent: Option<f64>,
    /// From the first failure of a task to its success, on the average.
    pub recovery_ms: Option<u64>,
    /// In a hundred: of tasks that have ended, those that are dead or were not started in time.
    pub error_percent: Option<f64>,
    /// In a hundred: of tasks that had failed, those that have succeeded without anybody.
    pub self_healed_percent: Option<f64>,
}

/// Some time, and what was done in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PeriodView {
    /// Its hours begin here or later,
    pub from: String,
    /// and before this.
    pub to: String,
    /// The figures.
    pub figures: FiguresView,
    /// Which of them miss their targets: `availability`, `recovery`, `errors`, `self-healed`.
    pub missed: Vec<String>,
    /// Tasks that were taken on.
    pub submitted: u64,
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that ended as dead.
    pub dead: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Tasks that were not started in time.
    pub expired: u64,
    /// Attempts that ended by themselves or failed.
    pub attempts: u64,
    /// Those that failed.
    pub failed: u64,
    /// Tasks that succeeded after an attempt had failed.
    pub recovered: u64,
    /// Tasks that succeeded, which somebody had run again.
    pub recovered_by_person: u64,
    /// How long attempts had waited in queues, on the average.
    pub mean_wait_ms: Option<u64>,
    /// How long attempts ran, together.
    pub run_ms: u64,
}

/// What a host has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReportView {
    /// The last first.
    pub periods: Vec<PeriodView>,
    /// What the figures should be.
    pub targets: FiguresView,
}

/// By which periods a report is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportBy {
    /// The last day as a whole.
    #[default]
    Last,
    /// The last seven days, each for itself.
    Day,
    /// The last eight weeks, each for itself.
    Week,
}

/// Like failures, and what came of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IncidentView {
    /// Always the same for the same.
    pub id: String,
    /// `package/handler`.
    pub handler: String,
    /// The word that retry policies go by.
    pub kind: String,
    /// What was said, without the numbers and names in it.
    pub pattern: String,
    /// What was said last.
    pub example: String,
    /// The task that failed last.
    pub task: String,
    /// When it was seen first.
    pub first_at: String,
    /// When it was seen last.
    pub last_at: String,
    /// Attempts that failed so.
    pub failures: u64,
    /// Those after which their task was over.
    pub ended: u64,
    /// What has resolved it.
    pub resolved: ResolvedView,
}

/// What has helped against like failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResolvedView {
    /// Tasks that succeeded when they were tried again, by themselves.
    pub by_retry: u64,
    /// Tasks that somebody had run again, as they were.
    pub by_rerun: u64,
    /// Tasks that somebody had run again, by another version of their package.
    pub by_other_version: u64,
    /// From the first failure to the success, on the average.
    pub mean_ms: Option<u64>,
    /// When the last of them succeeded.
    pub last_at: Option<String>,
}

/// Incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IncidentsView {
    /// The last that was seen first.
    pub incidents: Vec<IncidentView>,
}

#[cfg(feature = "serve")]
impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        let state = if alert.resolved_at.is_some() { AlertState::Resolved } else { AlertState::Firing };
        Self {
            alert: alert.rule,
            subject: alert.subject,
            state,
            message: alert.message,
            since: alert.since.to_string(),
            fired_at: alert.fired_at.to_string(),
            resolved_at: alert.resolved_at.map(|at| at.to_string()),
        }
    }
}

#[cfg(feature = "serve")]
impl From<Figures> for FiguresView {
    fn from(figures: Figures) -> Self {
        Self {
            availability_percent: figures.availability_percent,
            recovery_ms: figures.recovery.map(ms),
            error_percent: figures.error_percent,
            self_healed_percent: figures.self_healed_percent,
        }
    }
}

#[cfg(feature = "serve")]
impl From<Period> for PeriodView {
    fn from(Period { from, to, sum, figures }: Period) -> Self {
        Self {
            from: from.to_string(),
            to: to.to_string(),
            missed: figures.missed().into_iter().map(str::to_owned).collect(),
            figures: figures.into(),
            submitted: sum.submitted,
            succeeded: sum.succeeded,
            dead: sum.dead,
            cancelled: sum.cancelled,
            expired: sum.expired,
            attempts: sum.attempts,
            failed: sum.failed,
            recovered: sum.recovered,
            recovered_by_person: sum.recovered_by_person,
            mean_wait_ms: sum.wait_ms.checked_div(sum.waits),
            run_ms: sum.run_ms,
        }
    }
}

#[cfg(feature = "serve")]
impl From<ServiceReport> for ReportView {
    fn from(report: ServiceReport) -> Self {
        Self { periods: report.periods.into_iter().map(Into::into).collect(), targets: TARGETS.into() }
    }
}

#[cfg(feature = "serve")]
impl From<Incident> for IncidentView {
    fn from(incident: Incident) -> Self {
        let at = |at_ms| Timestamp::from_unix_ms(at_ms).to_string();
        let resolved = incident.resolved;
        Self {
            first_at: at(incident.first_ms),
            last_at: at(incident.last_ms),
            resolved: ResolvedView {
                by_retry: resolved.by_retry,
                by_rerun: resolved.by_rerun,
                by_other_version: resolved.by_other_version,
                mean_ms: resolved.mean().map(ms),
                last_at: (resolved.last_ms > 0).then(|| at(resolved.last_ms)),
            },
            id: incident.id,
            handler: incident.handler,
            kind: incident.kind,
            pattern: incident.pattern,
            example: incident.example,
            task: incident.task,
            failures: incident.failures,
            ended: incident.ended,
        }
    }
}
