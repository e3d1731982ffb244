//! Keeps keys of the API: of each its digest, and never its text.

use std::time::Duration;

use serde_json::{Value, json};
use sunaba_task::{ApiKey, ApiKeyError, KeyId, KeyStanding, NewApiKey, Timestamp};

use super::{Planner, Turn};
use crate::{ApiKeys, MAX_API_KEYS, StoreError, codec, keys};

/// When a key was used is written down this often, and no oftener.
const USE_PRECISION: Duration = Duration::from_secs(5 * 60);

fn key(id: KeyId) -> Vec<u8> {
    keys::of(b'Y', &[id.as_bytes()])
}

impl Planner {
    pub(crate) fn api_keys(&self, turn: &Turn<'_>) -> Result<ApiKeys, StoreError> {
        let (first, end) = keys::all(b'Y');
        let mut found = Vec::new();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            found.extend(turn.read_or_suspect::<ApiKey>(&key, &stored));
        }
        found.sort_by_key(|key| (key.created_at, key.id));
        Ok(ApiKeys { keys: found, now: turn.now })
    }

    pub(crate) fn create_key(&self, turn: &mut Turn<'_>, new: NewApiKey) -> Result<ApiKey, StoreError> {
        turn.txn.check_room()?;
        let made = new.checked()?.made(turn.now);
        let known = self.api_keys(turn)?.keys;
        let (good, over): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|known| known.standing(turn.now) == KeyStanding::Good);
        if good.len() >= MAX_API_KEYS {
            return Err(ApiKeyError::TooMany(MAX_API_KEYS).into());
        }
        // What is over is remembered for those who read the log, and not for ever.
        let forgotten = over.len().saturating_sub(MAX_API_KEYS - 1);
        over.iter().take(forgotten).for_each(|old| turn.txn.delete(key(old.id)));
        turn.change_of_program("key.create");
        turn.change_is_of(&made.id.to_string());
        turn.note_change(|| (None, Some(shown(&made, made.created_at))));
        turn.txn.put(key(made.id), codec::write(&made));
        Ok(made)
    }

    pub(crate) fn revoke_key(&self, turn: &mut Turn<'_>, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        let place = key(id);
        let Some(stored) = turn.txn.get(&place)? else { return Ok(None) };
        let before = codec::read::<ApiKey>(&place, &stored)?;
        if before.revoked_at.is_some() {
            return Ok(Some(before));
        }
        let revoked = ApiKey { revoked_at: Some(turn.now), ..before.clone() };
        turn.change_of_program("key.revoke");
        turn.change_is_of(&id.to_string());
        let now = turn.now;
        turn.note_change(|| (Some(shown(&before, now)), Some(shown(&revoked, now))));
        turn.txn.put(place, codec::write(&revoked));
        Ok(Some(revoked))
    }

    pub(crate) fn keys_used(&self, turn: &mut Turn<'_>, ids: &[KeyId]) -> Result<(), StoreError> {
        for id in ids {
            let place = key(*id);
            let Some(stored) = turn.txn.get(&place)? else { continue };
            // One that is damaged is told of where it is listed.
            let Ok(known) = codec::read::<ApiKey>(&place, &stored) else { continue };
            if known.last_used_at.is_none_or(|at| turn.now.since(at) >= USE_PRECISION) {
                turn.txn.put(place, codec::write(&ApiKey { last_used_at: Some(turn.now), ..known }));
            }
        }
        Ok(())
    }
}

/// What of a key may be seen.
fn shown(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "name": key.name, "scopes": key.scopes, "queues": key.queues, "expires_at": key.expires_at.map(|at| at.to_string()),
        "standing": key.standing(now),
    })
}
