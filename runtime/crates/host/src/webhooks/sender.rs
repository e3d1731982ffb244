//! Sends one delivery, and says what came of it: the handler of the queue of deliveries.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use sunaba_sandbox::{Post, PostError, Posted, Poster};
use sunaba_store::{Store, SystemClock, WebhookTarget};
use sunaba_task::webhook::{DeliveryLink, NOT_SENT, STATUS, TEST_EVENT, asked_delay, retry_after, signatures};
use sunaba_task::{Clock as _, Disposition, Failure, JSON, Outcome, Payload};

use super::WebhookPolicy;
use crate::native::Native;

/// How long an endpoint has to answer, from the look-up of its name on.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// The status by which an endpoint says that it wants nothing any more.
const GONE: u16 = 410;
/// The statuses by which one says that it wants it later; when, it may say, too.
const LATER: [u16; 2] = [429, 503];

pub(super) struct Sender {
    /// Weak: the store is free when the host has stopped.
    store: Weak<dyn Store>,
    policy: WebhookPolicy,
    poster: Poster,
    clock: SystemClock,
}

impl Sender {
    pub(super) fn new(store: Weak<dyn Store>, policy: WebhookPolicy, poster: Poster) -> Self {
        Self { store, policy, poster, clock: SystemClock::new() }
    }

    pub(super) fn policy(&self) -> &WebhookPolicy {
        &self.policy
    }

    pub(super) async fn deliver(self: Arc<Self>, native: Native) -> Result<Outcome, Failure> {
        let context = &native.context;
        let link = DeliveryLink::of(&context.attributes).ok_or_else(|| not_sent("it is no delivery", true))?;
        let target = self.target(&link).await?;
        let is_test = link.event == TEST_EVENT;
        if let Some(disabled) = target.disabled.as_ref().filter(|_| !is_test) {
            return Err(not_sent(&format!("the webhook is disabled: {}", disabled.reason), true));
        }
        let failed =
            |kind: String, message: String, detail: Option<Payload>, is_final: bool, asked: Option<Duration>| {
                // A test tells what it has found, and that is all.
                let disposition = match is_final || is_test {
                    true => Disposition::Fatal,
                    false => Disposition::RetryAfter(asked_delay(context.failures + 1, context.task_id.seed(), asked)),
                };
                Failure { kind, message, detail, disposition }
            };
        if let Err(refused) = self.policy.check(&target.url) {
            return Err(failed("address".into(), refused.to_string(), None, false, None));
        }
        match self.post(&link, &target, native.input).await {
            Ok(Posted { status, excerpt, retry_after: asked }) => {
                let answer = json!({ "status": status, "answer": String::from_utf8_lossy(&excerpt) });
                let answer = Payload::json(answer.to_string());
                if (200..300).contains(&status) {
                    return Ok(Outcome::Complete(answer));
                }
                let message = format!("the endpoint answered {status}");
                let asked = asked.filter(|_| LATER.contains(&status));
                let asked = asked.and_then(|asked| retry_after(&asked, self.clock.now()));
                Err(failed(format!("{STATUS}{status}"), message, Some(answer), status == GONE, asked))
            }
            Err(error) => Err(failed(error.word().into(), error.to_string(), None, false, None)),
        }
    }

    /// Where it goes, as long as the webhook is that for which it was made.
    async fn target(&self, link: &DeliveryLink) -> Result<WebhookTarget, Failure> {
        let store = self.store.upgrade().ok_or_else(|| not_sent("the host is stopping", false))?;
        let target = store.webhook_target(link.webhook.clone()).await;
        let target = target.map_err(|error| not_sent(&error.to_string(), false))?;
        target.filter(|target| target.made == link.made).ok_or_else(|| not_sent("the webhook was deleted", true))
    }

    async fn post(&self, link: &DeliveryLink, target: &WebhookTarget, body: Payload) -> Result<Posted, PostError> {
        let at = self.clock.now();
        let signed = signatures(&target.secrets, &link.message, at, &body.bytes);
        let mut headers = vec![
            ("webhook-id", link.message.clone()),
            ("webhook-timestamp", (at.unix_ms() / 1_000).to_string()),
            ("webhook-signature", signed),
        ];
        headers.extend(link.traceparent.clone().map(|trace| ("traceparent", trace)));
        let post = Post { url: &target.url, headers, media_type: JSON, body: body.bytes, within: ANSWER_TIME };
        self.poster.post(post, &|address| self.policy.permits(address)).await
    }
}

/// Says nothing about the endpoint.
fn not_sent(message: &str, is_final: bool) -> Failure {
    let disposition = if is_final { Disposition::Fatal } else { Disposition::ByPolicy };
    Failure { kind: NOT_SENT.into(), message: message.to_owned(), detail: None, disposition }
}
