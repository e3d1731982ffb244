//! Schedules as they are shown.

use sunaba_task::Payload;
use sunaba_task::schedule::{Schedule, ScheduleName, ScheduleProgress};

use super::super::{Planner, Turn};
use super::{Open, shown};
use crate::keys::schedules::{self as keys, INPUT, PROGRESS};
use crate::schedules::StoredSchedule;
use crate::{NAMES_PAGE, SchedulePage, ScheduleQuery, StoreError, codec};

/// Schedules that one page looks at.
const MAX_LOOKS: usize = 1_000;

impl Planner {
    pub(crate) fn schedule(&self, turn: &Turn<'_>, name: &ScheduleName) -> Result<Option<Schedule>, StoreError> {
        let Some(open) = self.open_schedule(turn, name)? else { return Ok(None) };
        Ok(Some(shown(open, self.next_fire(name))))
    }

    pub(crate) fn schedule_input(&self, turn: &Turn<'_>, name: &ScheduleName) -> Result<Option<Payload>, StoreError> {
        let Some(open) = self.open_schedule(turn, name)? else { return Ok(None) };
        input_of(turn, &open).map(Some)
    }

    pub(crate) fn schedules(&self, turn: &Turn<'_>, query: &ScheduleQuery) -> Result<SchedulePage, StoreError> {
        let (first, end) = keys::settings_after(query.after.as_ref());
        let limit = query.limit.clamp(1, NAMES_PAGE);
        let (mut schedules, mut next) = (Vec::new(), None);
        for (looks, pair) in turn.txn.scan(&first, &end, false).enumerate() {
            let (key, stored) = pair?;
            let Some((_, name)) = keys::read(&key) else { continue };
            if schedules.len() == limit || looks == MAX_LOOKS {
                return Ok(SchedulePage { schedules, next });
            }
            next = Some(name.clone());
            let Some(settings) = turn.read_or_suspect::<StoredSchedule>(&key, &stored) else { continue };
            if query.package.as_ref().is_some_and(|package| *package != settings.spec.task.spec.handler.package) {
                continue;
            }
            let place = bytes::Bytes::from(keys::key(PROGRESS, &name));
            let Some(progress) = turn.txn.get(&place)? else { continue };
            let Some(progress) = turn.read_or_suspect::<ScheduleProgress>(&place, &progress) else { continue };
            let fire = self.next_fire(&name);
            schedules.push(shown(Open { name, settings, progress }, fire));
        }
        Ok(SchedulePage { schedules, next: None })
    }

    fn next_fire(&self, name: &ScheduleName) -> Option<sunaba_task::schedule::Fire> {
        self.schedules.known.get(name).and_then(|(next, _)| *next)
    }
}

/// What the tasks of a schedule get.
pub(super) fn input_of(turn: &Turn<'_>, open: &Open) -> Result<Payload, StoreError> {
    let key = keys::key(INPUT, &open.name);
    let stored = turn.txn.get(&key)?.ok_or_else(|| codec::damaged(&key, "it is not there".into()))?;
    let bytes = codec::read_bytes(&key, &stored)?;
    Ok(Payload::new(open.settings.spec.task.input.media_type.clone(), bytes))
}
