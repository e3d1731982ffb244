//! What the values of schedules must be, and that all of a schedule is there.

use bytes::Bytes;
use sunaba_task::schedule::ScheduleProgress;

use super::body;
use super::links::{Found, Links};
use crate::codec;
use crate::keys::schedules::{INPUT, PROGRESS, SETTINGS, key as key_of, read};
use crate::schedules::StoredSchedule;

pub(super) fn schedule(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let Some((what, name)) = read(key) else { return Ok(vec!["it is of no schedule".into()]) };
    let missing = |what, problem: &str| {
        Ok::<_, crate::StoreError>(links.engine.get(&key_of(what, &name))?.is_none().then(|| problem.to_owned()))
    };
    let found = match what {
        SETTINGS => {
            let stored: StoredSchedule = codec::read(key, value)?;
            let calendar = stored.spec.calendar().err().map(|error| error.to_string());
            [calendar, missing(PROGRESS, "how far it is, is not there")?, missing(INPUT, "its input is not there")?]
        }
        PROGRESS => {
            codec::read::<ScheduleProgress>(key, value)?;
            [missing(SETTINGS, "its schedule is not there")?, None, None]
        }
        INPUT => {
            body(key, value)?;
            [missing(SETTINGS, "its schedule is not there")?, None, None]
        }
        _ => [Some("it is nothing that is known of schedules".into()), None, None],
    };
    Ok(found.into_iter().flatten().collect())
}
