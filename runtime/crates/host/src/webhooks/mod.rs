//! The webhooks of a host: what they may reach, who sends what they are told, and how alerts come to them.
//!
//! Deliveries are run by a worker of their own, which is there from the first webhook on: they take no slot of a task, and one
//! endpoint that hangs holds up its own deliveries alone.

mod declared;
mod sender;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;
use sunaba_sandbox::Poster;
use sunaba_store::{
    Expected, MAX_WEBHOOKS, NewWebhook, Notice, Queues, Store, StoreError, WebhookChangeError, new_signing_secret,
};
use sunaba_task::webhook::{
    SigningSecret, WEBHOOK_HANDLER, WEBHOOK_QUEUE, Webhook, WebhookName, WebhookSpec, check_webhook_url,
};
use sunaba_task::{AddressBlock, BoxFuture, Scheme, is_public};
use sunaba_worker::{Supervised, Worker, WorkerConfig, WorkerError};
use tokio::sync::mpsc;

use crate::native::{Native, NativePackage};
use crate::runtime::Runtime;
use crate::watch::{Alert, AlertSink};
pub use declared::{DeclareError, DeclaredWebhook};
use sender::Sender;

/// Requests at a time, to all endpoints: as many as they may have together, unless an operator has given each more.
const SLOTS: usize = MAX_WEBHOOKS * 4;
/// How long requests have to be answered when the host stops; what is not is sent again.
const MAX_GRACE: Duration = Duration::from_secs(5);
/// Alerts that wait to be told.
const MAX_ALERTS: usize = 256;

/// What webhooks may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookPolicy {
    /// Addresses that are not public, and to which requests may go nevertheless.
    pub addresses: Vec<AddressBlock>,
    /// Whether requests may go without encryption.
    pub http: bool,
}

/// A URL that the policy does not permit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookUrlRefusal {
    /// It is not encrypted.
    #[error(
        "webhooks of this host go to `https` alone\nhint: use such a URL, or start the host with `--webhook-http`, if what \
         they tell may be read on the way"
    )]
    Scheme,
    /// It names an address that is not public.
    #[error(
        "webhooks of this host go to public addresses alone, and {0} is none\nhint: start the host with `--webhook-allow {0}`, \
         if that is meant to be"
    )]
    Address(IpAddr),
}

impl WebhookPolicy {
    /// Whether requests may go to this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address.to_canonical()) || self.addresses.iter().any(|block| block.contains(address))
    }

    /// Whether a webhook may be here, as far as its URL tells. Where its name leads is looked at by each request.
    ///
    /// # Errors
    /// [`WebhookUrlRefusal`].
    pub fn check(&self, url: &str) -> Result<(), WebhookUrlRefusal> {
        // What is no URL is refused by whoever keeps it.
        let Ok(place) = check_webhook_url(url) else { return Ok(()) };
        if place.scheme == Scheme::Http && !self.http {
            return Err(WebhookUrlRefusal::Scheme);
        }
        match place.host.parse::<IpAddr>() {
            Ok(address) if !self.permits(address) => Err(WebhookUrlRefusal::Address(address)),
            _ => Ok(()),
        }
    }
}

/// A webhook to be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Its name.
    pub name: WebhookName,
    /// What is asked for.
    pub spec: WebhookSpec,
    /// Whether it gets anything. None: as it was; a new one does.
    pub enabled: Option<bool>,
    /// What there must be before.
    pub expected: Expected,
}

/// Why a webhook was not made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookRefusal {
    /// It would reach what it may not.
    #[error(transparent)]
    Url(#[from] WebhookUrlRefusal),
    /// The store does not make the change.
    #[error(transparent)]
    Change(#[from] WebhookChangeError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no random numbers for a secret.
    #[error("there are no random numbers for a secret: {0}")]
    Random(#[from] std::io::Error),
}

/// The sending part of a host's webhooks.
pub(crate) struct Webhooks {
    store: Arc<dyn Store>,
    sender: Arc<Sender>,
    config: WorkerConfig,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// There is nothing to send yet.
    #[default]
    Idle,
    Sending(Arc<Supervised>),
    Stopped,
}

impl Webhooks {
    /// Sends what there is to be sent, now or from the first webhook on. `config` is the one of the host's workers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn start(
        store: &Arc<dyn Store>,
        policy: WebhookPolicy,
        poster: Poster,
        config: &WorkerConfig,
    ) -> Result<Self, StoreError> {
        let config = WorkerConfig {
            name: format!("{}-webhooks", config.name),
            slots: SLOTS,
            max_slots: SLOTS,
            queues: Queues::Only(vec![WEBHOOK_QUEUE.into()]),
            lease_time: config.lease_time,
            ..WorkerConfig::default()
        };
        let sender = Arc::new(Sender::new(Arc::downgrade(store), policy, poster));
        let new = Self { store: Arc::clone(store), sender, config, state: Mutex::default() };
        let queue = store.queue(WEBHOOK_QUEUE.into()).await?;
        // Those of a webhook that was deleted end, too.
        if queue.queued + queue.scheduled + queue.running > 0 || !store.webhooks().await?.is_empty() {
            new.begin();
        }
        Ok(new)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends from now on.
    fn begin(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Idle) {
            return;
        }
        let sender = Arc::clone(&self.sender);
        let send = move |native: Native| -> BoxFuture<'static, _> { Box::pin(Arc::clone(&sender).deliver(native)) };
        let mut package = NativePackage::default();
        package.add(WEBHOOK_HANDLER, Arc::new(send));
        let (from, executor, config) = (Arc::clone(&self.store), Arc::new(package), self.config.clone());
        *state = State::Sending(Arc::new(Supervised::start("webhooks", Arc::clone(&self.store), move || {
            Worker::start(Arc::clone(&from), Arc::clone(&executor) as _, config.clone())
        })));
    }

    /// As [`Worker::stop`].
    pub(crate) async fn stop(&self, grace: Duration) -> Result<(), WorkerError> {
        let before = std::mem::replace(&mut *self.state(), State::Stopped);
        match before {
            State::Sending(worker) => worker.stop(grace.min(MAX_GRACE)).await,
            State::Idle | State::Stopped => Ok(()),
        }
    }

    pub(crate) fn force(&self) {
        if let State::Sending(worker) = &*self.state() {
            worker.force();
        }
    }
}

impl Runtime {
    /// Makes a webhook, or changes it. A new one comes with its secret, which is shown now and never again.
    ///
    /// # Errors
    /// [`WebhookRefusal`].
    pub async fn put_webhook(
        &self,
        request: WebhookRequest,
    ) -> Result<(Webhook, Option<SigningSecret>), WebhookRefusal> {
        let WebhookRequest { name, spec, enabled, expected } = request;
        self.webhooks.sender.policy().check(&spec.url)?;
        let secret = new_signing_secret()?;
        let new = NewWebhook { name, spec, enabled, secret: secret.clone(), expected };
        let webhook = self.store().put_webhook(new).await??;
        self.webhooks.begin();
        // Every change makes another revision.
        let is_new = webhook.revision == 1;
        Ok((webhook, is_new.then_some(secret)))
    }

    /// Gives a webhook another secret, which is shown now and never again. The one before signs beside it for so long.
    ///
    /// # Errors
    /// [`WebhookRefusal`].
    pub async fn rotate_webhook(
        &self,
        name: WebhookName,
        overlap: Duration,
    ) -> Result<(Webhook, SigningSecret), WebhookRefusal> {
        let secret = new_signing_secret()?;
        let webhook = self.store().rotate_webhook(name, secret.clone(), overlap).await??;
        Ok((webhook, secret))
    }
}

/// Tells webhooks of alerts.
struct AlertTeller(mpsc::Sender<Notice>);

/// Whoever tells webhooks of alerts, as long as it is there.
pub(crate) fn alert_sink(store: &Arc<dyn Store>) -> Arc<dyn AlertSink> {
    let (sender, mut notices) = mpsc::channel(MAX_ALERTS);
    // Weak: the store is free when the host has stopped.
    let store: Weak<dyn Store> = Arc::downgrade(store);
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            let Some(store) = store.upgrade() else { return };
            if let Err(error) = store.tell_webhooks(notice).await {
                tracing::warn!(%error, "webhooks are not told of an alert");
            }
        }
    });
    Arc::new(AlertTeller(sender))
}

impl AlertSink for AlertTeller {
    fn tell(&self, alert: &Alert) {
        let Alert { rule, subject, message, since, fired_at, resolved_at } = alert;
        let data = json!({
            "rule": rule.word(), "subject": subject, "message": message, "since": since.to_string(),
            "fired_at": fired_at.to_string(), "resolved_at": resolved_at.as_ref().map(ToString::to_string),
        });
        let word = if resolved_at.is_some() { "resolved" } else { "firing" };
        if self.0.try_send(Notice { kind: "alert", word, data: data.to_string().into() }).is_err() {
            tracing::warn!(alert = rule.word(), "webhooks are not told of an alert: too many wait");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(addresses: &[&str], http: bool) -> WebhookPolicy {
        let addresses = addresses.iter().map(|block| block.parse().expect("a block")).collect();
        WebhookPolicy { addresses, http }
    }

    #[test]
    fn webhooks_reach_public_addresses_with_encryption_alone() {
        let strict = policy(&[], false);
        assert_eq!(strict.check("https://example.com/x"), Ok(()));
        assert_eq!(strict.check("http://example.com/x"), Err(WebhookUrlRefusal::Scheme));
        for host in ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:192.168.0.1]", "[fd00::1]"] {
            let refused = strict.check(&format!("https://{host}/x"));
            assert!(matches!(refused, Err(WebhookUrlRefusal::Address(_))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn operator_lets_webhooks_reach_more() {
        let wide = policy(&["10.0.0.0/8", "::1"], true);
        for url in ["http://10.1.2.3/", "https://[::1]:8443/", "http://example.com/"] {
            assert_eq!(wide.check(url), Ok(()), "{url}");
        }
        assert!(wide.check("http://127.0.0.1/").is_err() && wide.check("https://11.0.0.1/").is_ok());
    }
}
