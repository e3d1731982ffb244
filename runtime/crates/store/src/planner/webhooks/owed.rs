//! Events of which a turn has made no deliveries, since it had made enough: they are written down in it, and the next turns make
//! theirs. So no turn is larger than it may be, however many webhooks want what happens in it.

use serde::{Deserialize, Serialize};
use sunaba_task::webhook::WebhookName;
use sunaba_task::{FeedEvent, Timestamp};

use super::super::{Planner, Turn};
use super::keys;
use crate::webhooks::{MAX_MADE_DELIVERIES, MAX_OWED_EVENTS};
use crate::{StoreError, codec};

/// Events of one key.
const CHUNK: usize = 64;

/// An event, and who is still to be told of it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Owed {
    pub(super) event: FeedEvent,
    /// With when each was made: another one of its name is another one.
    pub(super) to: Vec<(WebhookName, Timestamp)>,
}

impl Planner {
    /// Finds out what a turn before has left.
    pub(super) fn read_owed(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all_owed();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            self.webhooks.owed_events += codec::read::<Vec<Owed>>(&key, &stored).map_or(0, |owed| owed.len());
            self.webhooks.owed_keys += 1;
        }
        Ok(())
    }

    /// Whether turns before have left some.
    pub(in super::super) fn owes_deliveries(&self) -> bool {
        self.webhooks.owed_keys > 0
    }

    /// Writes down what this turn leaves to the next ones. Of what is too much nobody is told, and that is counted.
    pub(super) fn owe(&mut self, turn: &mut Turn<'_>, mut owed: Vec<Owed>) {
        let room = MAX_OWED_EVENTS.saturating_sub(self.webhooks.owed_events);
        for lost in owed.drain(room.min(owed.len())..) {
            lost.to.iter().for_each(|(name, _)| self.drop_delivery(name));
        }
        self.webhooks.owed_events += owed.len();
        for chunk in owed.chunks(CHUNK) {
            let sequence = self.sequence(turn);
            turn.txn.put(keys::owed(sequence), codec::write(&chunk));
            self.webhooks.owed_keys += 1;
        }
    }

    /// Makes deliveries that turns before have left, as many as one turn may make.
    pub(in super::super) fn deliver_owed(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        while self.owes_deliveries() && self.webhooks.made < MAX_MADE_DELIVERIES {
            let (first, end) = keys::all_owed();
            let Some((key, stored)) = turn.txn.first(&first, &end)? else {
                (self.webhooks.owed_keys, self.webhooks.owed_events) = (0, 0);
                return Ok(());
            };
            let mut owed = match codec::read::<Vec<Owed>>(&key, &stored) {
                Ok(owed) => owed,
                Err(error) => {
                    tracing::error!(%error, "what webhooks were still to be told cannot be read");
                    Vec::new()
                }
            };
            let has_room = turn.txn.check_room().is_ok();
            let mut done = 0;
            for Owed { event, to } in &owed {
                if self.webhooks.made >= MAX_MADE_DELIVERIES {
                    break;
                }
                let is_its = |(name, made): &&(WebhookName, Timestamp)| {
                    self.webhooks
                        .known
                        .get(name)
                        .is_some_and(|hook| hook.stored.created_at == *made && hook.stored.disabled.is_none())
                };
                let names: Vec<_> = to.iter().filter(is_its).map(|(name, _)| name.clone()).collect();
                self.deliver_event(turn, event, names, has_room)?;
                done += 1;
            }
            self.webhooks.owed_events = self.webhooks.owed_events.saturating_sub(done);
            owed.drain(..done);
            if owed.is_empty() {
                turn.txn.delete(key.to_vec());
                self.webhooks.owed_keys = self.webhooks.owed_keys.saturating_sub(1);
            } else {
                turn.txn.put(key.to_vec(), codec::write(&owed));
            }
        }
        Ok(())
    }
}
