//! What goes over the wire: the JSON that a host takes and gives. Durations are in milliseconds, instants in RFC 3339.

mod access;
mod artifact;
mod bulk;
mod complete;
mod control;
mod dead;
mod feed;
mod job;
mod job_bulk;
mod job_place;
mod job_retry;
mod job_story;
mod job_submit;
mod live;
mod package;
mod result;
mod schedule;
mod secret;
mod submit;
mod task;
#[cfg(feature = "serve")]
mod to_submit;
mod usage;
mod version;
mod watch;
mod webhook;
mod worker;

use std::time::Duration;

pub use access::{AuditView, AuditsView, CreateKey, CreatedKey, KeyView, KeysView, PageQuestion};
pub use artifact::{ArtifactView, ArtifactsView};
pub use bulk::{Bulk, BulkView, Cancel, Deleted, Filter, NewInput, NotDone};
pub use complete::{AwaitsView, Complete, CompletedView, CompletionView};
#[cfg(feature = "serve")]
pub(crate) use control::revision_of;
pub use control::{ControlView, ControlsView, HandlerPatch, QueuePatch, QueueView, QueuesView, RetentionView};
pub(crate) use dead::Groups;
pub use dead::{GroupView, GroupsView};
pub use feed::{EventView, EventsView};
pub use job::{
    CauseView, JobCancelView, JobFilter, JobOutputView, JobOutputsView, JobResultView, JobTaskView, JobTasksView,
    JobView, JobsView, PlanFilter, PlanView, SpentView,
};
pub use job_bulk::{CancelJobs, CancelledJobs};
pub use job_place::JobPlaceView;
pub use job_retry::JobRetry;
pub use job_story::{GraphFormat, GraphQuestion};
pub use job_submit::{AfterNode, JobBudget, MAX_JOB_BYTES, MapNode, SubmitJob, SubmitNode, explain_field};
pub use live::RunningView;
pub use package::{DeployQuestion, HandlerView, HostView, PackageView, PackagesView, PreviewView};
pub use result::{AttemptLogs, LogsView, ResultView};
pub use schedule::{
    DeletedSchedule, FireView, FiresView, MAX_FIRES, OfSchedule, PutSchedule, ScheduleFilter, ScheduleView,
    SchedulesView, TriggeredView, TroubleView,
};
pub use secret::{RemovedSecret, SecretView, SecretsView, SetSecret};
pub use submit::{
    Debounce, MAX_BULK_BYTES, MAX_BULK_TASKS, Submit, SubmitAll, SubmittedAll, SubmittedView, UniqueSubmit,
};
pub use task::{AttemptView, CancelView, OriginView, TaskView, TasksView};
pub use usage::{UsageBy, UsageView, UsagesView};
pub use version::{Rollback, VersionView, VersionsView};
pub use watch::{
    AlertState, AlertView, AlertsView, FiguresView, IncidentView, IncidentsView, PeriodView, ReportBy, ReportView,
    ResolvedView,
};
pub(crate) use webhook::Answered;
pub use webhook::{
    ChangedWebhook, DeletedWebhook, DeliveriesView, DeliveryFilter, DeliveryView, DisabledView, FailedView,
    MAX_DELIVERIES, PutWebhook, RotateWebhook, SentView, SigningView, WebhookView, WebhooksView,
};
pub use worker::{SetWorker, WorkerView, WorkersView};

/// Milliseconds; what is longer than they can say is the most that they can.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
