//! Makes deliveries, and takes in what has come of them.

use bytes::Bytes;
use sunaba_task::webhook::{Attempted, DeliveryLink, Disabled, TEST_EVENT, WebhookName, event_type, is_internal};
use sunaba_task::{FeedEvent, NewTask, Origin, Payload, State, Task, TaskId};

use super::super::{Planner, Stored, Turn, body};
use super::owed::Owed;
use super::{Hook, SETTINGS, Webhooks, keys, seen, told};
use crate::webhooks::{MAX_MADE_DELIVERIES, MAX_PENDING_DELIVERIES};
use crate::{Notice, StoreError, WebhookChangeError, codec, keys as all_keys};

/// The attribute that has the trace of a task.
const TRACEPARENT: &str = "traceparent";

/// A message on its way to one webhook or more.
struct Message {
    event: String,
    body: Bytes,
    traceparent: Option<String>,
}

impl Webhooks {
    /// Who wants this, as far as the event itself tells.
    fn wanting(&self, event: &FeedEvent) -> Vec<WebhookName> {
        let Some((kind, word)) = event_type(event) else { return Vec::new() };
        let wants = |hook: &Hook| {
            hook.stored.disabled.is_none()
                && hook.stored.spec.wants(kind, word)
                && event.task().is_none_or(|event| hook.stored.spec.wants_of(&event.queue, &event.handler))
        };
        self.known.iter().filter(|(_, hook)| wants(hook)).map(|(name, _)| name.clone()).collect()
    }
}

impl Planner {
    /// Makes the deliveries of what the turn has told since this was asked last. Without a webhook that is one look.
    pub(in super::super) fn deliver_told(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let told = turn.told.len();
        let from = std::mem::replace(&mut self.webhooks.seen, told);
        if self.webhooks.known.is_empty() || from >= told {
            return Ok(());
        }
        let wanted: Vec<_> = turn.told[from..]
            .iter()
            .map(|event| (event, self.webhooks.wanting(event)))
            .filter(|(_, names)| !names.is_empty())
            .map(|(event, names)| (event.clone(), names))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // What is told of goes on below the floor of the disk; that it is told of is something new.
        let has_room = turn.txn.check_room().is_ok();
        let mut owed = Vec::new();
        for (event, names) in wanted {
            if self.webhooks.made < MAX_MADE_DELIVERIES {
                self.deliver_event(turn, &event, names, has_room)?;
            } else {
                let made = |name: WebhookName| Some((name.clone(), self.webhooks.known.get(&name)?.stored.created_at));
                owed.push(Owed { to: names.into_iter().filter_map(made).collect(), event });
            }
        }
        self.owe(turn, owed);
        Ok(())
    }

    /// Makes the deliveries of an event to these, as far as its task's tags are wanted.
    pub(super) fn deliver_event(
        &mut self,
        turn: &mut Turn<'_>,
        event: &FeedEvent,
        mut names: Vec<WebhookName>,
        has_room: bool,
    ) -> Result<(), StoreError> {
        let stored = match event.task().map(|event| self.stored(turn, event.task)).transpose() {
            Ok(stored) => stored.flatten(),
            // That it has happened is true all the same.
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let spec = stored.as_ref().map(|stored| &*stored.task.spec);
        names.retain(|name| self.webhooks.known.get(name).is_some_and(|hook| hook.stored.spec.wants_tags_of(spec)));
        let Some((kind, word)) = event_type(event).filter(|_| !names.is_empty()) else { return Ok(()) };
        let trace = spec.and_then(|spec| spec.attributes.iter().find(|(name, _)| name == TRACEPARENT));
        let traceparent = trace.map(|(_, value)| value.clone());
        let event_name = format!("{kind}.{word}");
        let body = told::of_event(turn, &event_name, event, stored.as_ref())?;
        let message = Message { event: event_name, body, traceparent };
        for name in names {
            self.deliver(turn, &name, &message, has_room)?;
        }
        Ok(())
    }

    /// Counts an event of which a webhook is not told.
    pub(super) fn drop_delivery(&mut self, name: &WebhookName) {
        let Some(hook) = self.webhooks.known.get_mut(name) else { return };
        if hook.standing.dropped == 0 {
            tracing::error!(webhook = %name, "too many deliveries wait, or the disk is full, and it is not told of all that happens");
        }
        hook.standing.dropped += 1;
        hook.is_changed = true;
    }

    /// Makes a delivery of a message that is new, unless too many wait already, or there is no room for it.
    fn deliver(
        &mut self,
        turn: &mut Turn<'_>,
        name: &WebhookName,
        message: &Message,
        has_room: bool,
    ) -> Result<bool, StoreError> {
        let Some(hook) = self.webhooks.known.get(name) else { return Ok(false) };
        if hook.standing.pending >= MAX_PENDING_DELIVERIES || !has_room {
            self.drop_delivery(name);
            return Ok(false);
        }
        self.webhooks.made += 1;
        let link = DeliveryLink {
            webhook: name.clone(),
            made: hook.stored.created_at,
            message: format!("msg_{:032x}", self.random.u128(..)),
            event: message.event.clone(),
            traceparent: message.traceparent.clone(),
        };
        self.send(turn, &link, Payload::json(message.body.clone()), None).map(|_| true)
    }

    fn send(
        &mut self,
        turn: &mut Turn<'_>,
        link: &DeliveryLink,
        body: Payload,
        origin: Option<Origin>,
    ) -> Result<Task, StoreError> {
        self.take_on(turn, &NewTask::new(link.spec(), body), origin)
    }

    pub(crate) fn tell_webhooks(&mut self, turn: &mut Turn<'_>, notice: &Notice) -> Result<usize, StoreError> {
        let wants = |hook: &Hook| hook.stored.disabled.is_none() && hook.stored.spec.wants(notice.kind, notice.word);
        let known = self.webhooks.known.iter();
        let names: Vec<_> = known.filter(|(_, hook)| wants(hook)).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return Ok(0);
        }
        turn.txn.check_room()?;
        let event = format!("{}.{}", notice.kind, notice.word);
        let body = told::of_notice(turn, &event, &notice.data);
        let message = Message { event, body, traceparent: None };
        let mut made = 0;
        for name in names {
            made += usize::from(self.deliver(turn, &name, &message, true)?);
        }
        Ok(made)
    }

    pub(crate) fn test_webhook(
        &mut self,
        turn: &mut Turn<'_>,
        name: &WebhookName,
    ) -> Result<Result<Task, WebhookChangeError>, StoreError> {
        turn.txn.check_room()?;
        let Some(hook) = self.webhooks.known.get(name) else {
            return Ok(Err(WebhookChangeError::Unknown(name.clone())));
        };
        let (webhook, made) = (name.clone(), hook.stored.created_at);
        let message = format!("msg_{:032x}", self.random.u128(..));
        let link = DeliveryLink { webhook, made, message, event: TEST_EVENT.into(), traceparent: None };
        let data = serde_json::to_vec(&serde_json::json!({ "webhook": name })).expect("a name can be written");
        let body = Payload::json(told::of_notice(turn, TEST_EVENT, &data));
        self.send(turn, &link, body, None).map(Ok)
    }

    pub(crate) fn resend_delivery(
        &mut self,
        turn: &mut Turn<'_>,
        name: &WebhookName,
        id: TaskId,
    ) -> Result<Result<Task, WebhookChangeError>, StoreError> {
        turn.txn.check_room()?;
        let Some(hook) = self.webhooks.known.get(name) else {
            return Ok(Err(WebhookChangeError::Unknown(name.clone())));
        };
        let made = hook.stored.created_at;
        let none = || WebhookChangeError::NoDelivery { name: name.clone(), task: id };
        let damaged = |problem| WebhookChangeError::Damaged { task: id, problem };
        let mut old: Stored = match self.stored(turn, id) {
            Ok(Some(old)) if is_internal(&old.task.spec.queue) => old,
            Ok(_) => return Ok(Err(none())),
            Err(StoreError::Damaged { problem, .. }) => return Ok(Err(damaged(problem))),
            Err(error) => return Err(error),
        };
        let Some(link) = DeliveryLink::of(&old.task.spec.attributes).filter(|link| link.webhook == *name) else {
            return Ok(Err(none()));
        };
        if !old.task.state.is_terminal() {
            return Ok(Err(WebhookChangeError::NotEnded(id)));
        }
        let input = body(turn, &all_keys::input(id), old.input.as_ref(), &old.task.input.media_type);
        let input = match input {
            Ok(input) => input,
            Err(StoreError::Damaged { problem, .. }) => return Ok(Err(damaged(problem))),
            Err(error) => return Err(error),
        };
        let task = self.send(turn, &DeliveryLink { made, ..link }, input, Some(Origin::Rerun(id)))?;
        // Where it stands does not change, only what is known of it.
        old.task.successor = Some(task.id);
        old.task.revision += 1;
        turn.txn.put(all_keys::task(id), codec::write(&old));
        Ok(Ok(task))
    }

    /// A delivery was made, whoever has asked for it.
    pub(in super::super) fn delivery_made(&mut self, task: &Task) {
        self.webhooks.is_owed = true;
        if let Some(link) = DeliveryLink::of(&task.spec.attributes)
            && let Some(hook) = self.webhooks.known.get_mut(&link.webhook)
            && hook.stored.created_at == link.made
        {
            hook.standing.pending += 1;
            hook.is_changed = true;
        }
    }

    /// The record of a delivery has become this one.
    pub(in super::super) fn delivery_moved(&mut self, turn: &mut Turn<'_>, before: &Task, after: &Task) {
        let Some(link) = DeliveryLink::of(&after.spec.attributes) else { return };
        let hook = self.webhooks.known.get_mut(&link.webhook).filter(|hook| hook.stored.created_at == link.made);
        let Some(hook) = hook else { return };
        let attempt = after.attempts.last().filter(|_| matches!(before.state, State::Running(_)));
        let seen_of = attempt.and_then(|attempt| Attempted::of(&attempt.ending));
        if let Some(seen) = seen_of {
            let (taken, failed) = (&mut hook.answers.taken, &mut hook.answers.failed);
            *if seen == Attempted::Taken { taken } else { failed } += 1;
            if let Some(receipt) = attempt.and_then(|attempt| attempt.receipt.as_ref()) {
                hook.answers.time_us.add(u64::try_from(receipt.wall.as_micros()).unwrap_or(u64::MAX));
            }
        }
        let reason = seen_of.and_then(|seen| hook.standing.attempted(seen, turn.now));
        if after.state.is_terminal() {
            hook.standing.pending = hook.standing.pending.saturating_sub(1);
            match after.state {
                State::Succeeded => hook.standing.delivered += 1,
                State::Dead => hook.standing.given_up += 1,
                _ => {}
            }
        }
        hook.is_changed = true;
        if let Some(reason) = reason.filter(|_| hook.stored.disabled.is_none()) {
            tracing::error!(webhook = %link.webhook, reason, "a webhook is disabled");
            let before = seen(&hook.stored, &self.completion_key);
            hook.stored.disabled = Some(Disabled { at: turn.now, reason, by_failure: true });
            hook.stored.revision += 1;
            hook.stored.updated_at = turn.now;
            let after = seen(&hook.stored, &self.completion_key);
            turn.txn.put(keys::key(SETTINGS, &link.webhook), codec::write(&hook.stored));
            self.log_by_program(turn, "webhook.disable", link.webhook.as_str(), &before, &after);
        }
    }
}
