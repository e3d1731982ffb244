//! What the host tells of refused requests in the attempt's log: each place once, and not endlessly many.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::book::Book;

/// Lines of one attempt. A guest can name any number of places.
const MAX_NOTES: usize = 16;

pub(crate) struct Notes {
    book: Book,
    told: Mutex<BTreeSet<String>>,
}

impl Notes {
    pub(super) fn new(book: Book) -> Self {
        Self { book, told: Mutex::default() }
    }

    /// Adds the line, unless it was told before.
    pub(super) fn tell(&self, line: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MAX_NOTES && told.insert(line.clone()) {
            let is_last = told.len() == MAX_NOTES;
            drop(told);
            self.book.note(line);
            if is_last {
                self.book.note("more requests were refused or failed: nothing is told of them".into());
            }
        }
    }
}
