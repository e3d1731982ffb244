//! How many slots a worker is to have that may choose: a pure function of what waits and of the memory that is left.

use crate::Slots;

/// Below this part of the machine's memory that is free, nothing is added.
const TIGHT: f64 = 0.15;
/// Below this one, slots are taken away.
const SCARCE: f64 = 0.07;

/// What was seen of a worker and of its machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// Slots that it has.
    pub slots: usize,
    /// Those of them that are in use.
    pub busy: usize,
    /// Tasks that wait for a slot in the queues that it serves.
    pub backlog: u64,
    /// The part of the machine's memory that is free, from 0 to 1; none where nobody knows.
    pub free_memory: Option<f64>,
}

/// How many slots it is to have next.
///
/// With all slots in use and tasks waiting it doubles, so that a burst is met in a few steps. With more than half of them idle and
/// nothing waiting it gives one up, so that a pause of a moment costs nothing. Scarce memory takes half of what is above the least.
pub fn scaled(within: Slots, seen: Pressure) -> usize {
    let (slots, free) = (seen.slots.clamp(within.min, within.max), seen.free_memory.unwrap_or(1.0));
    if free < SCARCE {
        return within.min + (slots - within.min) / 2;
    }
    if seen.busy >= slots && seen.backlog > 0 {
        if free < TIGHT {
            return slots;
        }
        // No more than there is work for.
        let useful = usize::try_from(seen.backlog).unwrap_or(usize::MAX).saturating_add(slots);
        return slots.saturating_mul(2).min(useful).min(within.max);
    }
    if seen.backlog == 0 && seen.busy * 2 < slots {
        return slots.saturating_sub(1).max(within.min);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(slots: usize, busy: usize, backlog: u64, free_memory: Option<f64>) -> usize {
        scaled(Slots { min: 1, max: 8 }, Pressure { slots, busy, backlog, free_memory })
    }

    #[test]
    fn backlog_adds_slots_as_far_as_there_is_work_for_them() {
        assert_eq!(next(1, 1, 100, None), 2);
        assert_eq!(next(4, 4, 100, Some(0.5)), 8);
        assert_eq!(next(4, 4, 1, None), 5, "one task more needs one slot more");
        assert_eq!(next(4, 3, 100, None), 4, "what waits does not wait for a slot: one is free");
        assert_eq!(next(4, 4, 0, None), 4);
    }

    #[test]
    fn slots_stay_within_their_range() {
        assert_eq!((next(8, 8, u64::MAX, None), next(6, 6, 100, None)), (8, 8));
        assert_eq!((next(1, 0, 0, None), next(0, 0, 0, None), next(99, 0, 0, None)), (1, 1, 7));
    }

    #[test]
    fn idle_slots_are_given_up_one_by_one() {
        assert_eq!((next(8, 3, 0, None), next(8, 4, 0, None), next(2, 0, 0, None)), (7, 8, 1));
    }

    #[test]
    fn memory_that_is_tight_adds_nothing_and_scarce_memory_takes_away() {
        assert_eq!(next(4, 4, 100, Some(0.1)), 4);
        assert_eq!((next(8, 8, 100, Some(0.01)), next(4, 4, 100, Some(0.01)), next(1, 1, 100, Some(0.0))), (4, 2, 1));
    }
}
