//! Sums what attempts have used, by handler and by tag. What a turn has added to is written with the turn, one key for each,
//! so that the sums are those of the records, whenever the host ends.

use std::collections::{BTreeMap, BTreeSet};

use sunaba_task::{AttemptRecord, TaskSpec};

use super::{Planner, Turn};
use crate::{MAX_SUMMED, NAMES_PAGE, OTHERS, StoreError, Usage, UsageOf, UsageSums, codec, keys};

/// A longer name is among the others: keys are short.
const MAX_NAME_BYTES: usize = 160;

/// All sums, and which have changed in this turn.
#[derive(Default)]
pub(super) struct Sums {
    by_name: BTreeMap<(UsageOf, String), UsageSums>,
    /// How many of them each kind has.
    handlers: usize,
    tags: usize,
    touched: BTreeSet<(UsageOf, String)>,
}

impl Sums {
    fn add(&mut self, of: UsageOf, name: &str, attempt: &AttemptRecord) {
        let mut key = (of, name.to_owned());
        let known = match of {
            UsageOf::Handlers => &mut self.handlers,
            UsageOf::Tags => &mut self.tags,
        };
        if !self.by_name.contains_key(&key) && name != OTHERS {
            if *known >= MAX_SUMMED || name.len() > MAX_NAME_BYTES {
                key.1 = OTHERS.to_owned();
            } else {
                *known += 1;
            }
        }
        self.by_name.entry(key.clone()).or_default().add(attempt);
        self.touched.insert(key);
    }

    fn known(&mut self, of: UsageOf, name: String, sums: UsageSums) {
        if name != OTHERS {
            match of {
                UsageOf::Handlers => self.handlers += 1,
                UsageOf::Tags => self.tags += 1,
            }
        }
        self.by_name.insert((of, name), sums);
    }
}

fn letter(of: UsageOf) -> u8 {
    match of {
        UsageOf::Handlers => b'h',
        UsageOf::Tags => b't',
    }
}

impl Planner {
    pub(super) fn read_usage(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'w');
        let found: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        for (key, stored) in found {
            let of = match key.get(1) {
                Some(b'h') => UsageOf::Handlers,
                Some(b't') => UsageOf::Tags,
                _ => continue,
            };
            // Set aside, or its name would begin anew over what can still be looked at.
            if let Some(sums) = turn.read_or_set_aside(&key, &stored)? {
                self.sums.known(of, String::from_utf8_lossy(&key[2..]).into_owned(), sums);
            }
        }
        Ok(())
    }

    /// An attempt of such a task has ended.
    pub(super) fn sum(&mut self, spec: &TaskSpec, attempt: &AttemptRecord) {
        self.sums.add(UsageOf::Handlers, &spec.handler.to_string(), attempt);
        for tag in &spec.tags {
            self.sums.add(UsageOf::Tags, tag, attempt);
        }
    }

    pub(super) fn write_usage(&mut self, turn: &mut Turn<'_>) {
        for key in std::mem::take(&mut self.sums.touched) {
            if let Some(sums) = self.sums.by_name.get(&key) {
                turn.txn.put(keys::usage(letter(key.0), &key.1), codec::write(sums));
            }
        }
    }

    pub(crate) fn usage(&self, turn: &Turn<'_>, of: UsageOf, after: Option<&str>) -> Result<Vec<Usage>, StoreError> {
        let first = keys::usage(letter(of), after.unwrap_or_default());
        let end = [b'w', letter(of) + 1];
        let mut page = Vec::new();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            let name = String::from_utf8_lossy(key.get(2..).unwrap_or_default()).into_owned();
            if after == Some(name.as_str()) {
                continue;
            }
            page.extend(turn.read_or_suspect(&key, &stored).map(|sums| Usage { name, sums }));
            if page.len() == NAMES_PAGE {
                break;
            }
        }
        Ok(page)
    }
}
