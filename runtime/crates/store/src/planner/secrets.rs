//! Keeps secrets. A text leaves here by one way, to whoever runs attempts.

use serde_json::{Value, json};
use sunaba_task::Secret;

use super::{Planner, Turn};
use crate::secrets::StoredSecret;
use crate::{MAX_STORED_SECRETS, NewSecret, SecretError, SecretInfo, StoreError, codec, keys};

impl Planner {
    pub(crate) fn secrets(&self, turn: &Turn<'_>) -> Result<Vec<SecretInfo>, StoreError> {
        let (first, end) = keys::all(b'S');
        let mut secrets = Vec::new();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            let name = String::from_utf8_lossy(&key[1..]).into_owned();
            secrets.extend(turn.read_or_suspect::<StoredSecret>(&key, &stored).map(|secret| info(name, &secret)));
        }
        Ok(secrets)
    }

    pub(crate) fn set_secret(&self, turn: &mut Turn<'_>, new: NewSecret) -> Result<SecretInfo, StoreError> {
        turn.txn.check_room()?;
        new.check()?;
        let key = keys::secret(&new.name);
        let before = match turn.txn.get(&key)? {
            // One that cannot be read is there to be set again.
            Some(stored) => codec::read::<StoredSecret>(&key, &stored).ok(),
            None => {
                let (first, end) = keys::all(b'S');
                if turn.txn.scan(&first, &end, false).take(MAX_STORED_SECRETS).count() == MAX_STORED_SECRETS {
                    return Err(SecretError::TooMany.into());
                }
                None
            }
        };
        let created_at = before.as_ref().map_or(turn.now, |before| before.created_at);
        let secret = StoredSecret { host: new.host, created_at, changed_at: turn.now, text: new.text };
        turn.note_change(|| (before.as_ref().map(shown), Some(shown(&secret))));
        turn.txn.put(key, codec::write(&secret));
        Ok(info(new.name, &secret))
    }

    pub(crate) fn remove_secret(&self, turn: &mut Turn<'_>, name: &str) -> Result<bool, StoreError> {
        let key = keys::secret(name);
        let Some(stored) = turn.txn.get(&key)? else { return Ok(false) };
        let before = codec::read::<StoredSecret>(&key, &stored).ok();
        turn.note_change(|| (before.as_ref().map(shown), None));
        turn.txn.delete(key);
        Ok(true)
    }

    pub(crate) fn secret(&self, turn: &Turn<'_>, name: &str) -> Result<Option<Secret>, StoreError> {
        let key = keys::secret(name);
        let Some(stored) = turn.txn.get(&key)? else { return Ok(None) };
        let StoredSecret { host, text, .. } = codec::read(&key, &stored)?;
        Ok(Some(Secret { name: name.to_owned(), text, host }))
    }
}

/// What of a secret may be written down: where it goes, and never its text.
fn shown(secret: &StoredSecret) -> Value {
    json!({ "host": secret.host.to_string(), "changed_at": secret.changed_at.to_string() })
}

fn info(name: String, secret: &StoredSecret) -> SecretInfo {
    SecretInfo { name, host: secret.host.clone(), created_at: secret.created_at, changed_at: secret.changed_at }
}
