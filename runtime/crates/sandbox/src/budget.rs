//! What an attempt may hold open and may write: one count of open files, one of all that is written, and one more for each
//! preopened directory that has a cap of its own.
//!
//! A descriptor inherits the budget of the directory that it was opened from, by way of its place in the resource table.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sunaba_task::{Cause, Limit, Limits, format_bytes, format_count};

use crate::interrupt::Halt;

/// Files, directories and links that one attempt may make: each takes the file system's room however little is in it.
const MAX_MADE: u32 = 100_000;

/// What may be written, and was. Deleting gives nothing back.
pub(crate) struct Tally {
    limit_bytes: u64,
    bytes: AtomicU64,
    /// The directory that it is for; none when it is for all.
    place: Option<String>,
}

impl Tally {
    fn new(limit_bytes: u64, place: Option<String>) -> Arc<Self> {
        Arc::new(Self { limit_bytes, bytes: AtomicU64::new(0), place })
    }

    fn charge(&self, bytes: u64) -> Result<(), Halt> {
        let wanted = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if wanted <= self.limit_bytes {
            self.bytes.store(wanted, Ordering::Relaxed);
            return Ok(());
        }
        let place = self.place.as_ref().map_or_else(|| "files".into(), |place| format!("`{place}`"));
        let (wanted, limit) = (format_bytes(wanted), format_bytes(self.limit_bytes));
        let message = format!("wanted to write {wanted} to {place} in all: the limit is {limit}");
        Err(Halt { cause: Cause::Limit(Limit::WrittenBytes), message })
    }

    fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Where a write is charged.
#[derive(Clone)]
pub(crate) struct Account {
    all: Arc<Tally>,
    own: Option<Arc<Tally>>,
}

impl Account {
    /// So many bytes are about to be written.
    ///
    /// # Errors
    /// They are too many.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), Halt> {
        if let Some(own) = &self.own {
            own.charge(bytes)?;
        }
        self.all.charge(bytes)
    }

    /// So many of them were not written.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.all.give_back(bytes);
        if let Some(own) = &self.own {
            own.give_back(bytes);
        }
    }
}

/// Something that is open, until this is dropped.
pub(crate) struct Open(Arc<AtomicU32>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of a descriptor.
struct Known {
    own: Option<Arc<Tally>>,
    /// None: it is a preopened directory, which the host holds open anyway.
    _open: Option<Open>,
}

/// The files of an attempt.
pub(crate) struct Files {
    open_limit: u32,
    open: Arc<AtomicU32>,
    all: Arc<Tally>,
    caps: Vec<Arc<Tally>>,
    made: u32,
    /// By their place in the resource table.
    known: HashMap<u32, Known>,
}

impl Files {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            open_limit: limits.open_files,
            open: Arc::default(),
            all: Tally::new(limits.written_bytes, None),
            caps: Vec::new(),
            made: 0,
            known: HashMap::new(),
        }
    }

    /// From now on, no more than this is written to what the guest sees as this directory, nor to what is in it.
    pub(crate) fn cap(&mut self, guest: &str, limit_bytes: u64) {
        self.caps.push(Tally::new(limit_bytes, Some(guest.to_owned())));
    }

    /// What was written.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.all.bytes.load(Ordering::Relaxed)
    }

    /// One more is to be open.
    ///
    /// # Errors
    /// Too many are.
    pub(crate) fn open(&self) -> Result<Open, Halt> {
        let open = self.open.load(Ordering::Relaxed);
        if open >= self.open_limit {
            let limit = format_count(u64::from(self.open_limit));
            let message = format!("wanted one more open file, directory or stream: the limit is {limit}");
            return Err(Halt { cause: Cause::Limit(Limit::OpenFiles), message });
        }
        self.open.store(open + 1, Ordering::Relaxed);
        Ok(Open(Arc::clone(&self.open)))
    }

    /// A file, directory or link is about to be made.
    ///
    /// # Errors
    /// Too many were.
    pub(crate) fn make(&mut self) -> Result<(), Halt> {
        if self.made == MAX_MADE {
            let message = format!("made {} files and directories: there may be no more", format_count(MAX_MADE.into()));
            return Err(Halt { cause: Cause::Limit(Limit::WrittenBytes), message });
        }
        self.made += 1;
        Ok(())
    }

    /// A preopened directory was handed out.
    pub(crate) fn preopened(&mut self, descriptor: u32, guest: &str) {
        let own = self.caps.iter().find(|cap| cap.place.as_deref() == Some(guest)).cloned();
        self.known.insert(descriptor, Known { own, _open: None });
    }

    /// A descriptor was opened from another.
    pub(crate) fn opened(&mut self, descriptor: u32, from: u32, open: Open) {
        let own = self.known.get(&from).and_then(|known| known.own.clone());
        self.known.insert(descriptor, Known { own, _open: Some(open) });
    }

    /// A descriptor is gone.
    pub(crate) fn closed(&mut self, descriptor: u32) {
        self.known.remove(&descriptor);
    }

    /// Where writes to a descriptor are charged.
    pub(crate) fn account(&self, descriptor: u32) -> Account {
        let own = self.known.get(&descriptor).and_then(|known| known.own.clone());
        Account { all: Arc::clone(&self.all), own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mut files = Files::new(&Limits { open_files: 2, written_bytes: 100, ..Limits::default() });
        files.cap("/scratch", 10);
        files.preopened(1, "/data");
        files.preopened(2, "/scratch");
        files
    }

    fn cause(halt: Result<(), Halt>) -> Option<Cause> {
        halt.err().map(|halt| halt.cause)
    }

    #[test]
    fn open_files_obeyed_and_violated() {
        let mut files = files();
        let (first, second) = (files.open().expect("1 of 2"), files.open().expect("2 of 2"));
        files.opened(3, 1, first);
        let third = files.open().err().expect("3 of 2");
        assert_eq!(third.cause, Cause::Limit(Limit::OpenFiles));
        assert_eq!(third.message, "wanted one more open file, directory or stream: the limit is 2");
        drop(second);
        let again = files.open().expect("2 of 2");
        files.closed(3);
        assert!(files.open().is_ok());
        drop(again);
    }

    #[test]
    fn written_bytes_obeyed_and_violated() {
        let files = files();
        let account = files.account(1);
        account.charge(100).expect("100 of 100");
        assert_eq!(cause(account.charge(1)), Some(Cause::Limit(Limit::WrittenBytes)));
        account.give_back(40);
        assert_eq!(files.written_bytes(), 60);
        assert_eq!(cause(account.charge(40)), None);
    }

    #[test]
    fn cap_of_a_directory_is_inherited_by_what_is_opened_from_it() {
        let mut files = files();
        let open = files.open().expect("1 of 2");
        files.opened(3, 2, open);
        files.account(3).charge(6).expect("6 of 10");
        let over = files.account(2).charge(5).expect_err("11 of 10");
        assert_eq!(over.message, "wanted to write 11 B to `/scratch` in all: the limit is 10 B");
        files.account(1).charge(94).expect("elsewhere it is 100 of 100");
    }
}
