//! Keeps the notes of hosts.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Planner, Turn};
use crate::{MAX_NOTES, NAMES_PAGE, Note, NoteError, StoreError, codec, keys};

impl Planner {
    pub(crate) fn notes(&self, turn: &Turn<'_>, prefix: &str, after: Option<&str>) -> Result<Vec<Note>, StoreError> {
        let (_, end) = keys::all(b'O');
        let first = keys::note(after.filter(|after| *after > prefix).unwrap_or(prefix));
        let mut page = Vec::new();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            let name = String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned();
            if !name.starts_with(prefix) || page.len() == NAMES_PAGE {
                break;
            }
            if after != Some(name.as_str()) {
                let read = turn.read_or_suspect::<Vec<u8>>(&key, &stored);
                page.extend(read.map(|text| Note { name, text: text.into() }));
            }
        }
        Ok(page)
    }

    pub(crate) fn set_notes(&self, turn: &mut Turn<'_>, notes: Vec<Note>) -> Result<(), StoreError> {
        turn.txn.check_room()?;
        notes.iter().try_for_each(Note::check)?;
        let (mut new, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for note in &notes {
            match (turn.txn.get(&keys::note(&note.name))?.is_some(), note.text.is_empty()) {
                (false, false) => drop(new.insert(&note.name)),
                (true, true) => drop(gone.insert(&note.name)),
                _ => {}
            }
        }
        if new.len() > gone.len() {
            let (first, end) = keys::all(b'O');
            let kept = turn.txn.scan(&first, &end, false).take(MAX_NOTES).count();
            if kept + new.len() - gone.len() > MAX_NOTES {
                return Err(NoteError::TooMany.into());
            }
        }
        for Note { name, text } in &notes {
            let key = keys::note(name);
            if !text.is_empty() {
                turn.txn.put(key, written(text));
            } else if turn.txn.get(&key)?.is_some() {
                turn.txn.delete(key);
            }
        }
        Ok(())
    }
}

fn written(text: &Bytes) -> Bytes {
    codec::write(&text.to_vec())
}
