//! The webhooks of a host, and their deliveries.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sunaba_server::api::{
    ChangedWebhook, DeletedWebhook, DeliveriesView, DeliveryFilter, DeliveryView, PutWebhook, RotateWebhook,
    WebhookView, WebhooksView,
};
use sunaba_store::Expected;
use sunaba_task::TaskId;
use sunaba_task::webhook::WebhookName;

use crate::schedules::expecting;
use crate::{Client, ClientError};

impl Client {
    /// Makes a webhook, or changes it, if it is as it is expected to be. The secret of a new one is in the answer, and nowhere else.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_webhook(
        &self,
        name: &WebhookName,
        put: &PutWebhook,
        expected: Expected,
    ) -> Result<ChangedWebhook, ClientError> {
        self.send(expecting(self.of_webhook(Method::PUT, name, &[]), expected).json(put)).await
    }

    /// A webhook.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_webhook(&self, name: &WebhookName) -> Result<WebhookView, ClientError> {
        self.send(self.of_webhook(Method::GET, name, &[])).await
    }

    /// Every webhook, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_webhooks(&self) -> Result<Vec<WebhookView>, ClientError> {
        let WebhooksView { webhooks } = self.send(self.request(Method::GET, "/v1/webhooks")).await?;
        Ok(webhooks)
    }

    /// Forgets a webhook.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_webhook(&self, name: &WebhookName, expected: Expected) -> Result<DeletedWebhook, ClientError> {
        self.send(expecting(self.of_webhook(Method::DELETE, name, &[]), expected)).await
    }

    /// Gives a webhook another secret, which is in the answer, and nowhere else. The one before signs beside it for so long; of
    /// none, as the host has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rotate_webhook_secret(
        &self,
        name: &WebhookName,
        overlap: Option<Duration>,
    ) -> Result<ChangedWebhook, ClientError> {
        let overlap_ms = overlap.map(|overlap| u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX));
        self.send(self.of_webhook(Method::POST, name, &["rotate"]).json(&RotateWebhook { overlap_ms })).await
    }

    /// Makes a delivery that says nothing but that it is one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn test_webhook(&self, name: &WebhookName) -> Result<DeliveryView, ClientError> {
        self.send(self.of_webhook(Method::POST, name, &["test"]).json(&json!({}))).await
    }

    /// A page of the deliveries of a webhook, the newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_webhook_deliveries(
        &self,
        name: &WebhookName,
        filter: &DeliveryFilter,
    ) -> Result<DeliveriesView, ClientError> {
        self.ask(&format!("/v1/webhooks/{name}/deliveries"), filter).await
    }

    /// A delivery, with its body and what was answered.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_webhook_delivery(&self, name: &WebhookName, id: TaskId) -> Result<DeliveryView, ClientError> {
        self.send(self.of_webhook(Method::GET, name, &["deliveries", &id.to_string()])).await
    }

    /// Makes a delivery over again: the same message.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resend_webhook_delivery(&self, name: &WebhookName, id: TaskId) -> Result<DeliveryView, ClientError> {
        let request = self.of_webhook(Method::POST, name, &["deliveries", &id.to_string(), "resend"]);
        self.send(request.json(&json!({}))).await
    }

    fn of_webhook(&self, method: Method, name: &WebhookName, rest: &[&str]) -> RequestBuilder {
        self.request_at(method, &[&["v1", "webhooks", name.as_str()], rest].concat())
    }
}
