//! Callers that wait until something happens to what they name, each no longer than it wants.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// Who waits for what, in the order in which they came. How many there may be is for the owner to say.
pub(super) struct Waiters<K, T> {
    next: u64,
    waiting: BTreeMap<u64, Waiter<K, T>>,
    by_key: HashMap<K, BTreeSet<u64>>,
    deadlines: BTreeSet<(Duration, u64)>,
}

struct Waiter<K, T> {
    key: K,
    deadline: Duration,
    who: T,
}

// Not derived, which would ask for defaults of both.
impl<K, T> Default for Waiters<K, T> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new(), by_key: HashMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<K: Copy + Eq + Hash, T> Waiters<K, T> {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait for this.
    pub(super) fn count(&self, key: K) -> usize {
        self.by_key.get(&key).map_or(0, BTreeSet::len)
    }

    /// `deadline` is by the clock's `elapsed`.
    pub(super) fn add(&mut self, key: K, deadline: Duration, who: T) {
        let number = self.next;
        self.next += 1;
        self.by_key.entry(key).or_default().insert(number);
        self.deadlines.insert((deadline, number));
        self.waiting.insert(number, Waiter { key, deadline, who });
    }

    /// Takes out everybody who waits for this.
    pub(super) fn take(&mut self, key: K) -> Vec<T> {
        let numbers = self.by_key.get(&key).cloned().unwrap_or_default();
        numbers.into_iter().filter_map(|number| self.remove(number)).map(|waiter| waiter.who).collect()
    }

    /// Takes out everybody whose time is up.
    pub(super) fn take_due(&mut self, elapsed: Duration) -> Vec<(K, T)> {
        let due: Vec<_> = self.deadlines.range(..=(elapsed, u64::MAX)).map(|(_, number)| *number).collect();
        due.into_iter().filter_map(|number| self.remove(number)).map(|waiter| (waiter.key, waiter.who)).collect()
    }

    /// Forgets everybody of whom this is true.
    pub(super) fn forget(&mut self, gone: impl Fn(&T) -> bool) {
        let gone = self.waiting.iter().filter(|(_, waiter)| gone(&waiter.who));
        for number in gone.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.remove(number);
        }
    }

    pub(super) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn remove(&mut self, number: u64) -> Option<Waiter<K, T>> {
        let waiter = self.waiting.remove(&number)?;
        self.deadlines.remove(&(waiter.deadline, number));
        if let Some(numbers) = self.by_key.get_mut(&waiter.key) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_key.remove(&waiter.key);
            }
        }
        Some(waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiters() -> Waiters<char, u32> {
        let mut waiters = Waiters::default();
        for (who, (key, seconds)) in (0..).zip([('a', 3), ('b', 1), ('a', 2)]) {
            waiters.add(key, Duration::from_secs(seconds), who);
        }
        waiters
    }

    #[test]
    fn only_those_who_wait_for_it_are_taken_in_their_order() {
        let mut waiters = waiters();
        assert_eq!((waiters.count('a'), waiters.take('a'), waiters.take('a')), (2, vec![0, 2], vec![]));
        assert_eq!((waiters.len(), waiters.first_deadline()), (1, Some(Duration::from_secs(1))));
    }

    #[test]
    fn those_whose_time_is_up_are_taken_the_first_deadline_first() {
        let mut waiters = waiters();
        assert_eq!(waiters.take_due(Duration::from_secs(2)), [('b', 1), ('a', 2)]);
        assert_eq!(waiters.take('a'), [0]);
        assert_eq!((waiters.len(), waiters.first_deadline()), (0, None));
    }

    #[test]
    fn who_is_forgotten_leaves_nothing_behind() {
        let mut waiters = waiters();
        waiters.forget(|who| *who != 1);
        assert_eq!((waiters.count('a'), waiters.len()), (0, 1));
        assert_eq!(waiters.take_due(Duration::MAX), [('b', 1)]);
    }
}
