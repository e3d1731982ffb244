//! What is asked of a store about webhooks: its trait, and why it does not do what it is asked.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sunaba_task::webhook::{
    Disabled, SecretLife, SigningSecret, Webhook, WebhookError, WebhookName, WebhookSpec, WebhookStanding,
};
use sunaba_task::{Task, TaskId, Timestamp};

use crate::{Expected, StoreFuture, access};

/// Webhooks of one store.
pub const MAX_WEBHOOKS: usize = 50;
/// Deliveries of one webhook that have not ended. Of what happens beyond, it is not told.
pub const MAX_PENDING_DELIVERIES: u64 = 100_000;
/// Deliveries that have ended and are kept of one webhook, and the bytes of them. Beyond, the oldest goes before its time.
pub const MAX_KEPT_DELIVERIES: u64 = 10_000;
/// See [`MAX_KEPT_DELIVERIES`].
pub const MAX_KEPT_BYTES: u64 = 16 << 20;
/// Deliveries that one turn makes, and those of the event by which it has made enough. The next turns make the others.
pub const MAX_MADE_DELIVERIES: usize = 2_000;
/// Events of which deliveries are left to the next turns. Of what happens beyond, nobody is told.
pub const MAX_OWED_EVENTS: usize = 50_000;
/// The longest time for which a secret signs beside its successor.
pub const MAX_SECRET_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The part of a store that keeps webhooks, and makes a task of each delivery.
///
/// A delivery is made in the turn of what it tells of: neither is there without the other. It is a task of a queue of its own,
/// [`WEBHOOK_QUEUE`](sunaba_task::webhook::WEBHOOK_QUEUE), and whoever leases from that sends it.
pub trait WebhookStore: Send + Sync + 'static {
    /// Makes a webhook, or changes it. What has happened before is none of its business.
    fn put_webhook(&self, new: NewWebhook) -> StoreFuture<'_, Result<Webhook, WebhookChangeError>>;

    /// Gives a webhook another secret. The one before signs beside it for so long.
    fn rotate_webhook(
        &self,
        name: WebhookName,
        secret: SigningSecret,
        overlap: Duration,
    ) -> StoreFuture<'_, Result<Webhook, WebhookChangeError>>;

    /// Forgets a webhook; its deliveries that have not ended are not sent any more. As it was.
    fn delete_webhook(
        &self,
        name: WebhookName,
        expected: Expected,
    ) -> StoreFuture<'_, Result<Webhook, WebhookChangeError>>;

    /// A webhook.
    fn webhook(&self, name: WebhookName) -> StoreFuture<'_, Option<Webhook>>;

    /// Every webhook, by name.
    fn webhooks(&self) -> StoreFuture<'_, Vec<Webhook>>;

    /// What it takes to send something to a webhook, with the secrets that sign now: for whoever sends, and nobody else.
    fn webhook_target(&self, name: WebhookName) -> StoreFuture<'_, Option<WebhookTarget>>;

    /// Tells every webhook that wants it of something that is not the store's, such as an alert. How many there are.
    fn tell_webhooks(&self, notice: Notice) -> StoreFuture<'_, usize>;

    /// Makes a delivery that says nothing but that it is one, whether or not the webhook is disabled.
    fn test_webhook(&self, name: WebhookName) -> StoreFuture<'_, Result<Task, WebhookChangeError>>;

    /// Makes a delivery over again: the same message, as another task.
    fn resend_delivery(&self, name: WebhookName, task: TaskId) -> StoreFuture<'_, Result<Task, WebhookChangeError>>;
}

/// A secret for a webhook that nobody can guess.
///
/// # Errors
/// The system has no random numbers.
pub fn new_signing_secret() -> std::io::Result<SigningSecret> {
    access::random().map(|bytes| SigningSecret::new(&bytes))
}

/// A webhook to be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Its name.
    pub name: WebhookName,
    /// What is asked for.
    pub spec: WebhookSpec,
    /// Whether it gets anything. None: as it was; a new one does. One that is enabled is tried anew.
    pub enabled: Option<bool>,
    /// Its secret, if it is a new one; one that is there keeps its own.
    pub secret: SigningSecret,
    /// What there must be before.
    pub expected: Expected,
}

/// What it takes to send something to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// Where it goes.
    pub url: String,
    /// That it gets nothing.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub made: Timestamp,
    /// The secrets that sign now, the newest first.
    pub secrets: Vec<SigningSecret>,
}

/// Something that webhooks are told of, and that is not the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `alert`, as the first part of its event's name.
    pub kind: &'static str,
    /// `firing`, as the other part.
    pub word: &'static str,
    /// What is told of it: JSON.
    pub data: Bytes,
}

/// A webhook as it is kept, without what has come of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredWebhook {
    pub(crate) revision: u64,
    pub(crate) spec: WebhookSpec,
    pub(crate) disabled: Option<Disabled>,
    /// The newest first. The directory is their only protection, as it is of other secrets.
    pub(crate) secrets: Vec<(SigningSecret, SecretLife)>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl StoredWebhook {
    /// Those of its secrets that sign at this instant.
    pub(crate) fn signing(&self, now: Timestamp) -> impl Iterator<Item = &(SigningSecret, SecretLife)> {
        self.secrets.iter().filter(move |(_, life)| life.until.is_none_or(|until| until > now))
    }

    pub(crate) fn shown(&self, name: &WebhookName, standing: &WebhookStanding, now: Timestamp) -> Webhook {
        Webhook {
            name: name.clone(),
            revision: self.revision,
            spec: self.spec.clone(),
            disabled: self.disabled.clone(),
            secrets: self.signing(now).map(|(_, life)| life.clone()).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            standing: standing.clone(),
        }
    }
}

/// Why a webhook was not changed, or nothing made for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookChangeError {
    /// There is no such webhook.
    #[error("there is no webhook `{0}`\nhint: list them with `sunaba webhook list`")]
    Unknown(WebhookName),
    /// Somebody has changed it since, or made or deleted it.
    #[error(
        "the webhook `{name}` should be {expected} before this change, and there is {}\nhint: look at it again, then repeat the \
         change", .found.map_or_else(|| "none".to_owned(), |revision| format!("revision {revision}"))
    )]
    Conflict {
        /// Its name.
        name: WebhookName,
        /// What there should have been.
        expected: Expected,
        /// Its revision, if it is there.
        found: Option<u64>,
    },
    /// There are too many.
    #[error("there are {MAX_WEBHOOKS} webhooks, and no more are kept\nhint: delete one that is not needed")]
    TooMany,
    /// It cannot be.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The secret before would sign for too long.
    #[error(
        "the secret before cannot sign for {} more; the limit is {}", sunaba_task::format_duration(*.0),
        sunaba_task::format_duration(MAX_SECRET_OVERLAP)
    )]
    Overlap(Duration),
    /// There is no such delivery of it.
    #[error("the webhook `{name}` has no delivery {task}\nhint: list them with `sunaba webhook deliveries {name}`")]
    NoDelivery {
        /// The webhook.
        name: WebhookName,
        /// What was asked for.
        task: TaskId,
    },
    /// It is still on its way.
    #[error("delivery {0} has not ended\nhint: wait for it, or have it tried now with `sunaba task run-now`")]
    NotEnded(TaskId),
    /// What it said is not kept any more.
    #[error("delivery {task} cannot be sent again: {problem}")]
    Damaged {
        /// The delivery.
        task: TaskId,
        /// What is wrong.
        problem: String,
    },
}
