//! Who comes right behind the head of a lane, as far as it is known: so that the index is not searched for each task that is
//! started.

use std::collections::VecDeque;

use sunaba_task::TaskId;

use crate::spot::Place;

/// So many are known of a lane. Only of those without a key, since there may be as many with one as there are tasks.
pub(super) const MAX_AHEAD: usize = 64;

/// Tasks behind the head, in order: none is missing between the head and the last of them.
#[derive(Default)]
pub(super) struct Ahead(VecDeque<(Place, TaskId)>);

impl Ahead {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All that there are, as they were found.
    pub(super) fn fill(&mut self, found: impl Iterator<Item = (Place, TaskId)>) {
        self.0.clear();
        self.0.extend(found.take(MAX_AHEAD));
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Who is the head from now on; none when that is not known.
    pub(super) fn pop(&mut self) -> Option<(Place, TaskId)> {
        self.0.pop_front()
    }

    /// The head that was, behind a new one.
    pub(super) fn push_head(&mut self, place: Place, id: TaskId) {
        self.0.push_front((place, id));
        self.0.truncate(MAX_AHEAD);
    }

    /// A task has come behind the head. `are_all`: there is none that is not known.
    pub(super) fn add(&mut self, place: Place, id: TaskId, are_all: bool) {
        match self.0.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(at) => self.0[at].1 = id,
            // Behind the last, there may be others before it.
            Err(at) if at == self.0.len() && !are_all => {}
            Err(at) => {
                self.0.insert(at, (place, id));
                self.0.truncate(MAX_AHEAD);
            }
        }
    }

    /// A task is gone.
    pub(super) fn remove(&mut self, place: Place) {
        if let Ok(at) = self.0.binary_search_by_key(&place, |(place, _)| *place) {
            self.0.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64) -> (Place, TaskId) {
        (Place::new(0, sequence), TaskId::from_bytes([sequence as u8; 16]))
    }

    fn popped(ahead: &mut Ahead) -> Vec<(Place, TaskId)> {
        std::iter::from_fn(|| ahead.pop()).collect()
    }

    #[test]
    fn none_is_missing_before_the_last() {
        let mut ahead = Ahead::default();
        let add = |ahead: &mut Ahead, sequence, are_all| ahead.add(entry(sequence).0, entry(sequence).1, are_all);
        ahead.fill([entry(3), entry(5)].into_iter());
        add(&mut ahead, 9, false);
        add(&mut ahead, 4, false);
        ahead.push_head(entry(2).0, entry(2).1);
        ahead.remove(entry(3).0);
        ahead.remove(entry(7).0);
        assert_eq!(popped(&mut ahead), [entry(2), entry(4), entry(5)]);
        add(&mut ahead, 9, true);
        assert_eq!(popped(&mut ahead), [entry(9)]);
    }

    #[test]
    fn bound_obeyed() {
        let mut ahead = Ahead::default();
        (0..200).for_each(|sequence| ahead.add(entry(sequence).0, entry(sequence).1, ahead.len() < MAX_AHEAD));
        ahead.push_head(Place::new(1, 0), entry(0).1);
        assert_eq!(ahead.len(), MAX_AHEAD);
        ahead.fill((0..200).map(entry));
        assert_eq!(popped(&mut ahead), (0..MAX_AHEAD as u64).map(entry).collect::<Vec<_>>());
    }
}
