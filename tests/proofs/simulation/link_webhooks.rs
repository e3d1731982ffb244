//! A worker's or a client's way to the webhooks of a store: passes everything on.

use std::time::Duration;

use sunaba_runtime::store::{
    Expected, NewWebhook, Notice, StoreFuture, WebhookChangeError, WebhookStore, WebhookTarget,
};
use sunaba_runtime::task::webhook::{SigningSecret, Webhook, WebhookName};
use sunaba_runtime::task::{Task, TaskId};

use super::link::{Link, pass_on};

impl WebhookStore for Link {
    pass_on! {
        put_webhook(new: NewWebhook) -> Result<Webhook, WebhookChangeError>;
        rotate_webhook(name: WebhookName, secret: SigningSecret, overlap: Duration) -> Result<Webhook, WebhookChangeError>;
        delete_webhook(name: WebhookName, expected: Expected) -> Result<Webhook, WebhookChangeError>;
        webhook(name: WebhookName) -> Option<Webhook>;
        webhooks() -> Vec<Webhook>;
        webhook_target(name: WebhookName) -> Option<WebhookTarget>;
        tell_webhooks(notice: Notice) -> usize;
        test_webhook(name: WebhookName) -> Result<Task, WebhookChangeError>;
        resend_delivery(name: WebhookName, task: TaskId) -> Result<Task, WebhookChangeError>;
    }
}
