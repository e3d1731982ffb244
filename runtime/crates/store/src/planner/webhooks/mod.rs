//! Webhooks: kept, changed, and looked up. What is made for them is in `deliver`, and what they are told in `told`.
//!
//! All of them are in memory, and there are few. Of a delivery, its task and the count of what is pending are written in the turn of
//! what it tells of, so that neither is there without the other; of more than a turn may make it is written what is owed.

mod deliver;
mod kept;
mod owed;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sunaba_task::webhook::{Disabled, SecretLife, SigningSecret, WEBHOOK_QUEUE, Webhook, WebhookName, WebhookStanding};
use sunaba_task::{CompletionKey, QueueChange};

use super::{Planner, Turn};
use crate::keys::webhooks::{self as keys, SETTINGS, STANDING};
use crate::webhooks::{MAX_SECRET_OVERLAP, StoredWebhook};
use crate::{Answers, Expected, MAX_WEBHOOKS, NewWebhook, StoreError, WebhookChangeError, WebhookSeries};
use crate::{WebhookTarget, codec};
use kept::Kept;
pub(crate) use owed::Owed;

/// Requests to one endpoint at a time, unless somebody sets that of the queue to something else.
const CONCURRENCY: u32 = 4;

/// What is in memory of the webhooks.
#[derive(Default)]
pub(super) struct Webhooks {
    known: BTreeMap<WebhookName, Hook>,
    /// How much of what the turn tells was looked at for them.
    seen: usize,
    /// Whether deliveries were made after workers had been served.
    pub(super) is_owed: bool,
    /// Deliveries that the turn has made.
    made: usize,
    /// What is left to the next turns: events, and the keys that have them.
    owed_events: usize,
    owed_keys: usize,
    /// What is kept of deliveries that have ended, as far as anybody has asked.
    kept: BTreeMap<WebhookName, Kept>,
}

/// A webhook, and whether what has come of it is to be written.
struct Hook {
    stored: StoredWebhook,
    standing: WebhookStanding,
    is_changed: bool,
    /// Since the store was opened.
    answers: Answers,
}

impl Planner {
    /// Reads all of them. One that cannot be read is told of nothing until it is put again.
    pub(super) fn read_webhooks(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all_settings();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            let Some((_, name)) = keys::read(&key) else {
                tracing::error!(?key, "a webhook has no name");
                continue;
            };
            let stored = match codec::read(&key, &stored) {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::error!(webhook = %name, %error, "a webhook cannot be read, and is told of nothing");
                    continue;
                }
            };
            let place = keys::key(STANDING, &name);
            let standing = turn.txn.get(&place)?.map(|stored| codec::read(&place, &stored)).transpose();
            let standing = standing.ok().flatten().unwrap_or_default();
            let hook = Hook { stored, standing, is_changed: false, answers: Answers::default() };
            self.webhooks.known.insert(name, hook);
        }
        self.read_owed(turn)
    }

    /// A store that has failed knows what was asked for, and may not know what has come of it: then it says so.
    fn shown_webhook(&self, turn: &Turn<'_>, name: &WebhookName, hook: &Hook) -> Result<Webhook, StoreError> {
        turn.txn.get(&keys::key(STANDING, name))?;
        Ok(hook.stored.shown(name, &hook.standing, turn.now))
    }

    pub(crate) fn webhooks(&self, turn: &Turn<'_>) -> Result<Vec<Webhook>, StoreError> {
        self.webhooks.known.iter().map(|(name, hook)| self.shown_webhook(turn, name, hook)).collect()
    }

    pub(crate) fn webhook(&self, turn: &Turn<'_>, name: &WebhookName) -> Result<Option<Webhook>, StoreError> {
        self.webhooks.known.get(name).map(|hook| self.shown_webhook(turn, name, hook)).transpose()
    }

    pub(crate) fn webhook_target(&self, turn: &Turn<'_>, name: &WebhookName) -> Option<WebhookTarget> {
        let StoredWebhook { spec, disabled, created_at, .. } = &self.webhooks.known.get(name)?.stored;
        let secrets = self.webhooks.known.get(name)?.stored.signing(turn.now);
        Some(WebhookTarget {
            url: spec.url.clone(),
            disabled: disabled.clone(),
            made: *created_at,
            secrets: secrets.map(|(secret, _)| secret.clone()).collect(),
        })
    }

    /// The webhooks that their failures have disabled.
    pub(super) fn failed_webhooks(&self) -> Vec<(String, String)> {
        let failed = |(name, hook): (&WebhookName, &Hook)| {
            let disabled = hook.stored.disabled.as_ref().filter(|disabled| disabled.by_failure)?;
            Some((name.to_string(), disabled.reason.clone()))
        };
        self.webhooks.known.iter().filter_map(failed).collect()
    }

    /// What was counted of each.
    pub(super) fn webhook_series(&self) -> Vec<WebhookSeries> {
        let series = |(name, hook): (&WebhookName, &Hook)| WebhookSeries {
            name: name.to_string(),
            pending: hook.standing.pending,
            delivered: hook.standing.delivered,
            given_up: hook.standing.given_up,
            dropped: hook.standing.dropped,
            answers: hook.answers.clone(),
        };
        self.webhooks.known.iter().map(series).collect()
    }

    pub(crate) fn put_webhook(
        &mut self,
        turn: &mut Turn<'_>,
        new: NewWebhook,
    ) -> Result<Result<Webhook, WebhookChangeError>, StoreError> {
        turn.txn.check_room()?;
        let NewWebhook { name, spec, enabled, secret, expected } = new;
        if let Err(error) = spec.check() {
            return Ok(Err(error.into()));
        }
        let before = self.webhooks.known.get(&name).map(|hook| hook.stored.clone());
        if let Some(error) = conflict(&name, expected, before.as_ref().map(|before| before.revision)) {
            return Ok(Err(error));
        }
        if before.is_none() && self.webhooks.known.len() >= MAX_WEBHOOKS {
            return Ok(Err(WebhookChangeError::TooMany));
        }
        // What was told in this turn before is told by what there was.
        self.deliver_told(turn)?;
        let now = turn.now;
        let by_request = || Disabled { at: now, reason: "by request".into(), by_failure: false };
        let stored = match &before {
            Some(before) => {
                let disabled = match enabled {
                    Some(true) => None,
                    Some(false) => before.disabled.clone().or_else(|| Some(by_request())),
                    None => before.disabled.clone(),
                };
                let revision = before.revision + 1;
                StoredWebhook { revision, spec, disabled, updated_at: now, ..before.clone() }
            }
            None => {
                let own = self.lanes.queue(WEBHOOK_QUEUE).map(|queue| queue.settings.clone()).unwrap_or_default();
                if own == sunaba_task::QueueSettings::default() {
                    self.set_queue(turn, WEBHOOK_QUEUE, &[QueueChange::KeyConcurrency(Some(CONCURRENCY))])?;
                }
                let disabled = (enabled == Some(false)).then(by_request);
                let secrets = vec![(secret, SecretLife { created_at: now, until: None })];
                StoredWebhook { revision: 1, spec, disabled, secrets, created_at: now, updated_at: now }
            }
        };
        Ok(Ok(self.keep_webhook(turn, name, before.as_ref(), stored)))
    }

    pub(crate) fn rotate_webhook(
        &mut self,
        turn: &mut Turn<'_>,
        name: &WebhookName,
        secret: SigningSecret,
        overlap: Duration,
    ) -> Result<Result<Webhook, WebhookChangeError>, StoreError> {
        if overlap > MAX_SECRET_OVERLAP {
            return Ok(Err(WebhookChangeError::Overlap(overlap)));
        }
        let Some(hook) = self.webhooks.known.get(name) else {
            return Ok(Err(WebhookChangeError::Unknown(name.clone())));
        };
        let (before, now) = (hook.stored.clone(), turn.now);
        let mut secrets = vec![(secret, SecretLife { created_at: now, until: None })];
        // Of those before only the newest: two are all that there ever are.
        let last = before.secrets.first().filter(|_| !overlap.is_zero());
        secrets.extend(
            last.map(|(secret, life)| (secret.clone(), SecretLife { until: Some(now.after(overlap)), ..life.clone() })),
        );
        let stored = StoredWebhook { revision: before.revision + 1, secrets, updated_at: now, ..before.clone() };
        Ok(Ok(self.keep_webhook(turn, name.clone(), Some(&before), stored)))
    }

    pub(crate) fn delete_webhook(
        &mut self,
        turn: &mut Turn<'_>,
        name: &WebhookName,
        expected: Expected,
    ) -> Result<Result<Webhook, WebhookChangeError>, StoreError> {
        let found = self.webhooks.known.get(name).map(|hook| hook.stored.revision);
        if found.is_none() && !matches!(expected, Expected::Revision(_)) {
            return Ok(Err(WebhookChangeError::Unknown(name.clone())));
        }
        if let Some(error) = conflict(name, expected, found) {
            return Ok(Err(error));
        }
        self.deliver_told(turn)?;
        let Some(Hook { stored, standing, .. }) = self.webhooks.known.remove(name) else {
            return Ok(Err(WebhookChangeError::Unknown(name.clone())));
        };
        for what in [SETTINGS, STANDING] {
            turn.txn.delete(keys::key(what, name));
        }
        self.webhooks.kept.remove(name);
        turn.note_change(|| (Some(seen(&stored, &self.completion_key)), None));
        Ok(Ok(stored.shown(name, &standing, turn.now)))
    }

    /// Writes what somebody has changed.
    fn keep_webhook(
        &mut self,
        turn: &mut Turn<'_>,
        name: WebhookName,
        before: Option<&StoredWebhook>,
        stored: StoredWebhook,
    ) -> Webhook {
        let marks = &self.completion_key;
        turn.note_change(|| (before.map(|before| seen(before, marks)), Some(seen(&stored, marks))));
        turn.txn.put(keys::key(SETTINGS, &name), codec::write(&stored));
        let known = self.webhooks.known.remove(&name).map(|hook| (hook.standing, hook.answers));
        if before.is_none() {
            // Another one of this name may have left something.
            turn.txn.put(keys::key(STANDING, &name), codec::write(&WebhookStanding::default()));
        }
        let (standing, answers) = known.unwrap_or_default();
        let mut hook = Hook { standing, is_changed: false, stored, answers };
        if hook.stored.disabled.is_none() && before.is_some_and(|before| before.disabled.is_some()) {
            hook.standing.forgive();
            hook.is_changed = true;
        }
        let shown = hook.stored.shown(&name, &hook.standing, turn.now);
        self.webhooks.known.insert(name, hook);
        shown
    }

    /// Writes what has come of deliveries in the turn. The next turn's events are looked at from the first on.
    pub(super) fn write_webhooks(&mut self, turn: &mut Turn<'_>) {
        (self.webhooks.seen, self.webhooks.made) = (0, 0);
        for (name, hook) in self.webhooks.known.iter_mut().filter(|(_, hook)| hook.is_changed) {
            hook.is_changed = false;
            turn.txn.put(keys::key(STANDING, name), codec::write(&hook.standing));
        }
    }
}

/// Why a change is not made, if what there is is not what was expected.
fn conflict(name: &WebhookName, expected: Expected, found: Option<u64>) -> Option<WebhookChangeError> {
    let is_expected = match expected {
        Expected::Any => true,
        Expected::Absent => found.is_none(),
        Expected::Revision(revision) => found == Some(revision),
    };
    (!is_expected).then(|| WebhookChangeError::Conflict { name: name.clone(), expected, found })
}

/// What of a webhook may be written down: no secret, and of its URL no more than the host, since others keep theirs in what follows.
/// That the rest has changed is seen by a mark of it, which tells nothing to whoever has not the key.
fn seen(stored: &StoredWebhook, marks: &CompletionKey) -> Value {
    let StoredWebhook { revision, spec, disabled, secrets, .. } = stored;
    json!({
        "revision": revision, "url": spec.shown_url(), "url_mark": marks.mark(&spec.url), "events": spec.events,
        "queues": spec.queues, "handlers": spec.handlers,
        "tags": spec.tags, "disabled": disabled.as_ref().map(|disabled| &disabled.reason),
        "secrets": secrets.iter().map(|(_, life)| life.created_at.to_string()).collect::<Vec<_>>(),
    })
}
