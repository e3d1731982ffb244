//! Which ticks of a calendar are due, and when each of them fires.

use std::time::Duration;

use super::{Calendar, CatchUp, ScheduleName};
use crate::{Digest, Timestamp};

/// Ticks that are looked at one by one. Of more that were missed it is known that they were so many at least.
pub const MAX_COUNTED: usize = 1_000;
/// A tick is not missed if its time was no more than this long ago.
const MISSED_AFTER: Duration = Duration::from_secs(60);

/// A tick, and when it fires: its jitter later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    /// What the calendar says.
    pub tick: Timestamp,
    /// No earlier than that, and before the next tick.
    pub at: Timestamp,
}

/// The ticks that are due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Those that become tasks, oldest first.
    pub made: Vec<Timestamp>,
    /// How many were missed and are not made up for; at least so many, if more than [`MAX_COUNTED`] ticks were due.
    pub missed: u64,
    /// The newest of all that were due.
    pub newest: Option<Timestamp>,
}

impl Calendar {
    /// The first tick after this one, and when it fires.
    pub fn next_fire(&self, name: &ScheduleName, after: Timestamp, jitter: Duration) -> Option<Fire> {
        let tick = self.next_after(after)?;
        Some(Fire { tick, at: self.fires_at(name, tick, jitter) })
    }

    /// When this tick fires: up to its jitter later, and before the next, so that ticks keep their order. The same for the same
    /// name and tick, for ever.
    pub fn fires_at(&self, name: &ScheduleName, tick: Timestamp, jitter: Duration) -> Timestamp {
        if jitter.is_zero() {
            return tick;
        }
        let room = self.next_after(tick).map_or(jitter, |next| next.since(tick).min(jitter));
        let room = u64::try_from(room.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_unix_ms(tick.unix_ms().saturating_add(share(name, tick, room)))
    }

    /// What is due by now of the ticks after this one, and which of it becomes tasks; what was met before is neither made nor
    /// missed. However long ago that one was, a bounded number of ticks is looked at.
    pub fn due(
        &self,
        name: &ScheduleName,
        (after, now): (Timestamp, Timestamp),
        jitter: Duration,
        policy: CatchUp,
        has_met: impl Fn(&Timestamp) -> bool,
    ) -> Due {
        let (mut ticks, mut from) = (Vec::new(), after);
        // One more, of which all that is asked is whether it is there.
        while let Some(tick) = self.next_after(from).filter(|tick| *tick <= now && ticks.len() <= MAX_COUNTED) {
            ticks.push(tick);
            from = tick;
        }
        let mut total = ticks.len();
        if total > MAX_COUNTED {
            ticks = self.newest_until(now, (after, policy.newest() + 1));
        }
        // Only the last can have its jitter before it.
        let is_early = ticks.last().is_some_and(|last| self.fires_at(name, *last, jitter) > now);
        if is_early {
            ticks.pop();
            total -= 1;
        }
        let Some(newest) = ticks.last().copied() else { return Due::default() };
        let looked_at = ticks.len();
        ticks.retain(|tick| !has_met(tick));
        total -= looked_at - ticks.len();
        let Some(last) = ticks.last().copied() else {
            return Due { made: ticks, missed: total as u64, newest: Some(newest) };
        };
        let is_late = now.since(self.fires_at(name, last, jitter)) > MISSED_AFTER;
        let most = if policy == CatchUp::None && is_late { 0 } else { policy.newest() };
        let made = ticks.split_off(ticks.len().saturating_sub(most));
        Due { missed: (total - made.len()) as u64, made, newest: Some(newest) }
    }

    /// The newest ticks until an instant, oldest first.
    fn newest_until(&self, until: Timestamp, (after, most): (Timestamp, usize)) -> Vec<Timestamp> {
        let mut ticks = Vec::new();
        let mut last = self.last_until(until);
        while let Some(tick) = last.filter(|tick| *tick > after && ticks.len() < most) {
            ticks.push(tick);
            last = self.last_until(Timestamp::from_unix_ms(tick.unix_ms().saturating_sub(1)));
        }
        ticks.reverse();
        ticks
    }
}

/// A part of this many milliseconds that is made of a name and a tick, and of nothing else.
fn share(name: &ScheduleName, tick: Timestamp, room: u64) -> u64 {
    let text = format!("{name} {}", tick.unix_ms());
    let chance =
        u64::from_be_bytes(*Digest::of(text.as_bytes()).as_bytes().first_chunk().expect("a digest has 32 bytes"));
    u64::try_from((u128::from(chance) * u128::from(room)) >> 64).unwrap_or(0)
}
