//! Webhooks and their deliveries over the wire. A secret goes out once: when it was made.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunaba_task::webhook::{DeliveryLink, STATUS, Webhook, WebhookSpec};
use sunaba_task::{AttemptRecord, Ending, Payload, SecretText, StateName, Task};

use super::ms;
use crate::problem::Problem;

/// Deliveries of one page.
pub const MAX_DELIVERIES: usize = 200;

/// A webhook to be made or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url", "events"]))]
pub struct PutWebhook {
    /// Where requests go.
    pub url: String,
    /// Of what it is told: `task.dead`, all of a kind as `task.*`, or all, `*`.
    pub events: Vec<String>,
    /// Of tasks only those in one of these queues. Empty: in any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// Of tasks only those of one of these handlers, as `package/handler`, or packages. Empty: of any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<String>,
    /// Of tasks only those with one of these tags. Empty: with any, or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it gets anything. Null: as it was; a new one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl PutWebhook {
    pub(crate) fn spec(self) -> Result<WebhookSpec, Problem> {
        let Self { url, events, queues, handlers, tags, .. } = self;
        let events = events.iter().map(|event| event.parse()).collect::<Result<_, _>>().map_err(Problem::invalid)?;
        Ok(WebhookSpec { url, events, queues, handlers, tags })
    }
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Grows with every change: the `ETag`, for `If-Match`.
    pub revision: u64,
    /// Where requests go. What follows the host is `/…` for whoever may not set webhooks.
    pub url: String,
    /// Of what it is told.
    pub events: Vec<String>,
    /// Of tasks only those in one of these queues. Empty: in any.
    pub queues: Vec<String>,
    /// Of tasks only those of one of these handlers or packages. Empty: of any.
    pub handlers: Vec<String>,
    /// Of tasks only those with one of these tags. Empty: with any, or none.
    pub tags: Vec<String>,
    /// Whether it gets anything.
    pub enabled: bool,
    /// Why not, if it does not.
    pub disabled: Option<DisabledView>,
    /// The secrets that sign now, the newest first; never their texts.
    pub secrets: Vec<SigningView>,
    /// When it was made.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
    /// Deliveries that have not ended.
    pub pending: u64,
    /// Deliveries that were taken.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub given_up: u64,
    /// Events of which it was not told, since too many deliveries were waiting.
    pub dropped: u64,
    /// Attempts that failed since one succeeded.
    pub failures: u64,
    /// Since when they do.
    pub failing_since: Option<String>,
    /// When one succeeded last.
    pub last_success: Option<String>,
    /// When one failed last, and how.
    pub last_failure: Option<FailedView>,
}

/// That a webhook gets nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DisabledView {
    /// Since when.
    pub at: String,
    /// Why.
    pub reason: String,
    /// Whether its failures are why.
    pub by_failure: bool,
}

/// When a secret was made, and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SigningView {
    /// When it was made.
    pub created_at: String,
    /// Until then it signs beside its successor. Null: it has none.
    pub until: Option<String>,
}

/// A failure of a webhook's endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FailedView {
    /// When.
    pub at: String,
    /// What.
    pub message: String,
}

/// Every webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WebhooksView {
    /// By name.
    pub webhooks: Vec<WebhookView>,
}

/// A webhook that was made or changed.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChangedWebhook {
    /// Its secret, if that is new. It is not shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookView,
}

/// How a secret is to be replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateWebhook {
    /// How long the secret before signs beside the new one; 0 for not at all. Null: a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_ms: Option<u64>,
}

/// That a webhook is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedWebhook {
    /// Its name.
    pub deleted: String,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryFilter {
    /// Only those that were not taken: given up, or to be tried again after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    /// Older than this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many at most; 50 unless said otherwise, and at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A delivery.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeliveryView {
    /// Its id: that of the task which sends it.
    pub id: String,
    /// The `webhook-id` of its requests: what stays the same however often it is sent.
    pub message: String,
    /// Of what it tells.
    pub event: String,
    /// Where it stands: `succeeded` was taken, `dead` was given up.
    pub state: StateName,
    /// When it was made.
    pub created_at: String,
    /// When it is tried next.
    pub due_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// The newest that was made in its stead.
    pub resent_as: Option<String>,
    /// What it was tried.
    pub attempts: Vec<SentView>,
    /// The body of its requests. Null in a list, and when it is not kept any more.
    pub body: Option<Box<RawValue>>,
}

/// An attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SentView {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub at: String,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What was wrong. Null: it was taken.
    pub problem: Option<String>,
    /// The beginning of the answer's body. Null in a list.
    pub answer: Option<String>,
}

/// Some deliveries.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeliveriesView {
    /// The newest first.
    pub deliveries: Vec<DeliveryView>,
    /// `before` of the next page.
    pub next: Option<String>,
}

/// What an attempt of a delivery has left: its output, or what it added to its failure.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answered {
    status: u16,
    answer: String,
}

impl Answered {
    pub(crate) fn of(payload: &Payload) -> Option<Self> {
        serde_json::from_slice(&payload.bytes).ok()
    }
}

impl WebhookView {
    /// A webhook as it is shown. What follows the host of its URL, where others keep a secret, is for whoever may set webhooks.
    pub(crate) fn of(webhook: &Webhook, may_set: bool) -> Self {
        let (spec, standing) = (&webhook.spec, &webhook.standing);
        let life = |life: &sunaba_task::webhook::SecretLife| SigningView {
            created_at: life.created_at.to_string(),
            until: life.until.map(|until| until.to_string()),
        };
        Self {
            name: webhook.name.to_string(),
            revision: webhook.revision,
            url: if may_set { spec.url.clone() } else { spec.shown_url() },
            events: spec.events.iter().map(ToString::to_string).collect(),
            queues: spec.queues.clone(),
            handlers: spec.handlers.clone(),
            tags: spec.tags.clone(),
            enabled: webhook.disabled.is_none(),
            disabled: webhook.disabled.as_ref().map(|disabled| DisabledView {
                at: disabled.at.to_string(),
                reason: disabled.reason.clone(),
                by_failure: disabled.by_failure,
            }),
            secrets: webhook.secrets.iter().map(life).collect(),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
            pending: standing.pending,
            delivered: standing.delivered,
            given_up: standing.given_up,
            dropped: standing.dropped,
            failures: standing.failures,
            failing_since: standing.failing_since.map(|at| at.to_string()),
            last_success: standing.last_success.map(|at| at.to_string()),
            last_failure: standing
                .last_failure
                .as_ref()
                .map(|(at, message)| FailedView { at: at.to_string(), message: message.clone() }),
        }
    }
}

impl DeliveryView {
    /// A delivery; none of what is no such task. `output` is what its last attempt left when it was taken.
    pub(crate) fn new(task: &Task, output: Option<&Answered>) -> Option<Self> {
        let link = DeliveryLink::of(&task.spec.attributes)?;
        let attempts = task.attempts.iter().map(|attempt| SentView::new(attempt, output)).collect();
        Some(Self {
            id: task.id.to_string(),
            message: link.message,
            event: link.event,
            state: task.state.name(),
            created_at: task.submitted_at.to_string(),
            due_at: task.due_at().map(|at| at.to_string()),
            ended_at: task.ended_at.map(|at| at.to_string()),
            resent_as: task.successor.map(|task| task.to_string()),
            attempts,
            body: None,
        })
    }

    /// What an attempt was answered.
    pub(crate) fn answer(&mut self, number: u32, answered: Answered) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) {
            attempt.answer = Some(answered.answer);
        }
    }
}

impl SentView {
    fn new(attempt: &AttemptRecord, output: Option<&Answered>) -> Self {
        let (status, problem) = match &attempt.ending {
            Ending::Completed => (output.map(|output| output.status), None),
            Ending::Failed { kind, message } => {
                (kind.strip_prefix(STATUS).and_then(|status| status.parse().ok()), Some(message.clone()))
            }
            Ending::Stopped { message, .. } | Ending::HostFailed { message } => (None, Some(message.clone())),
            Ending::HostLost => (None, Some("the host was lost".into())),
            Ending::HandedBack => (None, Some("the host was stopped".into())),
            Ending::Snoozed { .. } | Ending::Decomposed { .. } => (None, None),
        };
        Self {
            number: attempt.number,
            at: attempt.started_at.to_string(),
            duration_ms: attempt.receipt.as_ref().map(|receipt| ms(receipt.wall)),
            status,
            problem,
            answer: None,
        }
    }
}
