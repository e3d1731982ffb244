//! The calls of a store that are about webhooks.

use std::time::Duration;

use sunaba_task::webhook::{SigningSecret, Webhook, WebhookName};
use sunaba_task::{Task, TaskId};

use crate::{Expected, NewWebhook, Notice, StoreFuture, WebhookChangeError, WebhookStore, WebhookTarget};

use super::EmbeddedStore;

impl WebhookStore for EmbeddedStore {
    fn put_webhook(&self, new: NewWebhook) -> StoreFuture<'_, Result<Webhook, WebhookChangeError>> {
        Box::pin(self.change(|planner, turn| planner.put_webhook(turn, new)))
    }

    fn rotate_webhook(
        &self,
        name: WebhookName,
        secret: SigningSecret,
        overlap: Duration,
    ) -> StoreFuture<'_, Result<Webhook, WebhookChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.rotate_webhook(turn, &name, secret, overlap)))
    }

    fn delete_webhook(
        &self,
        name: WebhookName,
        expected: Expected,
    ) -> StoreFuture<'_, Result<Webhook, WebhookChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.delete_webhook(turn, &name, expected)))
    }

    fn webhook(&self, name: WebhookName) -> StoreFuture<'_, Option<Webhook>> {
        Box::pin(self.read_settings(move |planner, turn| planner.webhook(turn, &name)))
    }

    fn webhooks(&self) -> StoreFuture<'_, Vec<Webhook>> {
        Box::pin(self.read_settings(|planner, turn| planner.webhooks(turn)))
    }

    fn webhook_target(&self, name: WebhookName) -> StoreFuture<'_, Option<WebhookTarget>> {
        Box::pin(self.read_settings(move |planner, turn| Ok(planner.webhook_target(turn, &name))))
    }

    fn tell_webhooks(&self, notice: Notice) -> StoreFuture<'_, usize> {
        Box::pin(self.change(move |planner, turn| planner.tell_webhooks(turn, &notice)))
    }

    fn test_webhook(&self, name: WebhookName) -> StoreFuture<'_, Result<Task, WebhookChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.test_webhook(turn, &name)))
    }

    fn resend_delivery(&self, name: WebhookName, task: TaskId) -> StoreFuture<'_, Result<Task, WebhookChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.resend_delivery(turn, &name, task)))
    }
}
