//! What the values of webhooks must be, and that all of a webhook is there.

use bytes::Bytes;
use sunaba_task::webhook::WebhookStanding;

use super::links::{Found, Links};
use crate::codec;
use crate::keys::webhooks::{KEPT, OWED, SETTINGS, STANDING, kept_delivery, key as key_of, read};
use crate::planner::Owed;
use crate::webhooks::StoredWebhook;

pub(super) fn webhook(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    match key {
        [_, KEPT, ..] => {
            codec::read::<u64>(key, value)?;
            let Some(delivery) = kept_delivery(key) else { return Ok(vec!["it is of no delivery".into()]) };
            return links.of_task(delivery.as_bytes(), |stored| {
                (!stored.task.state.is_terminal()).then_some("its delivery has not ended")
            });
        }
        [_, OWED, ..] => return codec::read::<Vec<Owed>>(key, value).map(|_| Vec::new()),
        _ => {}
    }
    let Some((what, name)) = read(key) else { return Ok(vec!["it is of no webhook".into()]) };
    let missing = |what, problem: &str| {
        Ok::<_, crate::StoreError>(links.engine.get(&key_of(what, &name))?.is_none().then(|| problem.to_owned()))
    };
    let found = match what {
        SETTINGS => {
            let stored: StoredWebhook = codec::read(key, value)?;
            let wrong = stored.spec.check().err().map(|error| error.to_string());
            let silent = stored.secrets.is_empty().then(|| "it has no secret".to_owned());
            [wrong, silent, missing(STANDING, "what has come of it is not there")?]
        }
        STANDING => {
            codec::read::<WebhookStanding>(key, value)?;
            [missing(SETTINGS, "its webhook is not there")?, None, None]
        }
        _ => [Some("it is nothing that is known of webhooks".into()), None, None],
    };
    Ok(found.into_iter().flatten().collect())
}
