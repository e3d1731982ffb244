//! Which deliveries that have ended are kept: so many of a webhook, and so many bytes of them. Beyond that the oldest goes, before its
//! time.

use sunaba_task::webhook::{DeliveryLink, WebhookName};
use sunaba_task::{Task, TaskId};

use super::super::{Planner, Turn};
use super::keys;
use crate::webhooks::{MAX_KEPT_BYTES, MAX_KEPT_DELIVERIES};
use crate::{StoreError, codec};

/// What is kept of an attempt and of a record beside the bodies, about.
const BESIDE_BYTES: u64 = 512;
/// Deliveries that go in the place of one that is large; of more the next one lets go.
const MAX_LET_GO: usize = 64;

/// What is kept of one webhook.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    count: u64,
    bytes: u64,
}

impl Kept {
    fn is_over(self) -> bool {
        self.count > MAX_KEPT_DELIVERIES || self.bytes > MAX_KEPT_BYTES
    }
}

/// What a delivery that has ended takes up.
fn bytes_of(task: &Task) -> u64 {
    let output = task.output.as_ref().map_or(0, |output| output.size_bytes);
    let beside = BESIDE_BYTES * (1 + task.attempts.len() as u64);
    task.input.size_bytes + output + beside
}

impl Planner {
    /// What is kept of a webhook, looked up when it is asked for first.
    fn kept_of(&mut self, turn: &Turn<'_>, webhook: &WebhookName) -> Result<&mut Kept, StoreError> {
        if !self.webhooks.kept.contains_key(webhook) {
            let (first, end) = keys::all_kept(webhook);
            let mut kept = Kept::default();
            for pair in turn.txn.scan(&first, &end, false) {
                let (key, bytes) = pair?;
                kept.count += 1;
                kept.bytes += codec::read::<u64>(&key, &bytes).unwrap_or(BESIDE_BYTES);
            }
            self.webhooks.kept.insert(webhook.clone(), kept);
        }
        Ok(self.webhooks.kept.get_mut(webhook).expect("it was just looked up"))
    }

    /// A delivery has ended, and is kept for its time, if there is room for it.
    pub(in super::super) fn keep_delivery(&mut self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        let Some(link) = DeliveryLink::of(&task.spec.attributes) else { return Ok(()) };
        let bytes = bytes_of(task);
        let kept = self.kept_of(turn, &link.webhook)?;
        (kept.count, kept.bytes) = (kept.count + 1, kept.bytes + bytes);
        turn.txn.put(keys::kept(&link.webhook, task.id), codec::write(&bytes));
        for _ in 0..MAX_LET_GO {
            if !self.kept_of(turn, &link.webhook)?.is_over() {
                return Ok(());
            }
            let (first, end) = keys::all_kept(&link.webhook);
            let mut oldest = None;
            // Its own record is still to be written.
            for pair in turn.txn.scan(&first, &end, false).take(2) {
                let (key, _) = pair?;
                oldest = keys::kept_delivery(&key).filter(|id| *id != task.id);
                if oldest.is_some() {
                    break;
                }
            }
            let Some(oldest) = oldest else { return Ok(()) };
            match self.stored_by(turn, oldest.as_bytes())? {
                Some(stored) => self.forget(turn, &stored)?,
                // What cannot be read was set aside, and takes no more of the room.
                None => self.forget_delivery(turn, &link.webhook, oldest)?,
            }
        }
        Ok(())
    }

    /// The record of a delivery is gone.
    pub(in super::super) fn delivery_forgotten(&mut self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        match DeliveryLink::of(&task.spec.attributes) {
            Some(link) => self.forget_delivery(turn, &link.webhook, task.id),
            None => Ok(()),
        }
    }

    fn forget_delivery(
        &mut self,
        turn: &mut Turn<'_>,
        webhook: &WebhookName,
        delivery: TaskId,
    ) -> Result<(), StoreError> {
        let key = keys::kept(webhook, delivery);
        let Some(stored) = turn.txn.get(&key)? else { return Ok(()) };
        let bytes = codec::read::<u64>(&key, &stored).unwrap_or(BESIDE_BYTES);
        let kept = self.kept_of(turn, webhook)?;
        (kept.count, kept.bytes) = (kept.count.saturating_sub(1), kept.bytes.saturating_sub(bytes));
        if kept.count == 0 {
            self.webhooks.kept.remove(webhook);
        }
        turn.txn.delete(key);
        Ok(())
    }
}
