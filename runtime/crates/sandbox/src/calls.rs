//! The ledger of an attempt's host calls: what it is in and since when, how many there were of which, how long they took,
//! and what they moved.
//!
//! Every interface that is linked goes through here: a function that cannot wait by [`Calls::call`], one that can by
//! [`Calls::wait`], which races it against the attempt's switch. Both catch a panic of host code, which then ends this
//! attempt and nothing else. A call that ends the attempt is never left, so that its name can be told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sunaba_task::{AttemptHost, Cause, Limit, catch_panic, format_bytes, panic_text};
use wasmtime_wasi::p2::bindings::filesystem::types as files;
use wasmtime_wasi::p2::{FsError, SocketError};
use wasmtime_wasi_io::streams::StreamError;

use crate::clock::now;
use crate::interrupt::{Halt, Interrupt};
use crate::sight::Sight;

/// Names that a receipt has.
const SHOWN_NAMES: usize = 32;

/// The ledger.
pub(crate) struct Calls {
    sight: Arc<Sight>,
    /// The call that the guest is in.
    entered: Option<(&'static str, Instant)>,
    count: u64,
    /// By name. There are no more of them than functions that are linked, and a guest calls few: the frequent ones move to
    /// the front, where they are found at once.
    by_name: Vec<(&'static str, u64)>,
    time: Duration,
    moved_bytes: u64,
    moved_limit: u64,
    /// Whoever is told of each call; mostly nobody.
    told: Option<Arc<dyn AttemptHost>>,
}

/// What a ledger says when the attempt is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) calls: u64,
    /// The most frequent first.
    pub(crate) by_name: Vec<(String, u64)>,
    pub(crate) time: Duration,
    pub(crate) moved_bytes: u64,
}

impl Calls {
    pub(crate) fn new(moved_limit: u64, sight: Arc<Sight>) -> Self {
        let (entered, by_name) = (None, Vec::new());
        Self { sight, entered, count: 0, by_name, time: Duration::ZERO, moved_bytes: 0, moved_limit, told: None }
    }

    /// The same; each call is told to this one, if it wants that.
    pub(crate) fn telling(self, host: &Arc<dyn AttemptHost>) -> Self {
        Self { told: host.wants_calls().then(|| Arc::clone(host)), ..self }
    }

    /// The guest calls its host, and hands it so many bytes.
    ///
    /// # Errors
    /// It has moved more than it may.
    pub(crate) fn enter(&mut self, name: &'static str, bytes: usize) -> Result<(), Halt> {
        let since = now();
        self.count += 1;
        self.count_name(name);
        self.entered = Some((name, since));
        self.sight.enter(name, since, self.count);
        self.move_bytes(bytes)
    }

    /// The call is over, and the guest goes on.
    pub(crate) fn leave(&mut self) {
        if let Some((name, since)) = self.entered.take() {
            let took = now().saturating_duration_since(since);
            self.time += took;
            self.sight.leave();
            if let Some(host) = &self.told {
                host.on_call(name, since, took);
            }
        }
    }

    /// So many bytes went to the guest, or came from it.
    ///
    /// # Errors
    /// It has moved more than it may.
    pub(crate) fn move_bytes(&mut self, bytes: usize) -> Result<(), Halt> {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes as u64);
        if self.moved_bytes <= self.moved_limit {
            return Ok(());
        }
        let limit = format_bytes(self.moved_limit);
        let message = format!("moved {} in host calls: the limit is {limit}", format_bytes(self.moved_bytes));
        Err(Halt { cause: Cause::Limit(Limit::MovedBytes), message })
    }

    fn count_name(&mut self, name: &'static str) {
        // By address: two of the same text are put together at the end.
        match self.by_name.iter().position(|(known, _)| std::ptr::eq(*known, name)) {
            Some(index) => {
                self.by_name[index].1 += 1;
                if index > 0 && self.by_name[index - 1].1 < self.by_name[index].1 {
                    self.by_name.swap(index - 1, index);
                }
            }
            None => self.by_name.push((name, 1)),
        }
    }

    /// A call that cannot wait.
    pub(crate) fn call<T: Moves, E: Trap>(
        &mut self,
        name: &'static str,
        bytes: usize,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.enter(name, bytes).map_err(E::halted)?;
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => self.done(done),
            Err(panic) => Err(E::halted(panicked(name, &panic_text(&*panic)))),
        }
    }

    /// A call that can wait, until it is done or the switch is turned.
    pub(crate) async fn wait<T: Moves, E: Trap>(
        &mut self,
        interrupt: &Interrupt,
        name: &'static str,
        bytes: usize,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.enter(name, bytes).map_err(E::halted)?;
        match interrupt.race(name, catch_panic(work)).await {
            Ok(Ok(done)) => self.done(done),
            Ok(Err(panic)) => Err(E::halted(panicked(name, &panic))),
            Err(halt) => Err(E::halted(halt)),
        }
    }

    fn done<T: Moves, E: Trap>(&mut self, done: Result<T, E>) -> Result<T, E> {
        match &done {
            Ok(value) => self.move_bytes(value.moves()).map_err(E::halted)?,
            Err(error) if error.is_trap() => return done,
            Err(_) => {}
        }
        self.leave();
        done
    }

    /// The call that the guest is in, or that has ended it.
    pub(crate) fn current(&self) -> Option<&'static str> {
        self.entered.map(|(name, _)| name)
    }

    /// What there was of them until now.
    pub(crate) fn spent(&self) -> Spent {
        let entered = self.entered.map_or(Duration::ZERO, |(_, since)| now().saturating_duration_since(since));
        let mut by_name: Vec<(String, u64)> = Vec::with_capacity(self.by_name.len());
        for (name, count) in &self.by_name {
            match by_name.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known += count,
                None => by_name.push(((*name).to_owned(), *count)),
            }
        }
        by_name.sort_by(|(name, count), (other, others)| others.cmp(count).then_with(|| name.cmp(other)));
        by_name.truncate(SHOWN_NAMES);
        Spent { calls: self.count, by_name, time: self.time + entered, moved_bytes: self.moved_bytes }
    }
}

/// Host code panicked in this call.
pub(crate) fn panicked(name: &str, text: &str) -> Halt {
    Halt { cause: Cause::HostCall(Some(name.to_owned())), message: format!("host code panicked: {text}") }
}

/// What a host call gives the guest.
pub(crate) trait Moves {
    /// Its bytes. Numbers and handles are free.
    fn moves(&self) -> usize {
        0
    }
}

impl Moves for () {}
impl Moves for bool {}
impl Moves for u32 {}
impl Moves for u64 {}
impl Moves for (u64, u64) {}
impl Moves for wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime {}
impl<T: 'static> Moves for wasmtime::component::Resource<T> {}
impl Moves for files::DescriptorFlags {}
impl Moves for files::DescriptorType {}
impl Moves for files::DescriptorStat {}
impl Moves for files::MetadataHashValue {}
impl Moves for files::ErrorCode {}
impl Moves for wasmtime_wasi::p2::bindings::sockets::network::ErrorCode {}
impl Moves for wasmtime_wasi::p2::bindings::sockets::network::IpAddress {}
impl Moves for crate::bindings::host::RemainingBudget {}

impl Moves for files::DirectoryEntry {
    fn moves(&self) -> usize {
        self.name.len()
    }
}

impl Moves for String {
    fn moves(&self) -> usize {
        self.len()
    }
}

impl Moves for Vec<u8> {
    fn moves(&self) -> usize {
        self.len()
    }
}

impl Moves for Vec<u32> {}

impl Moves for Vec<String> {
    fn moves(&self) -> usize {
        self.iter().map(String::len).sum()
    }
}

impl Moves for Vec<(String, String)> {
    fn moves(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

impl<T: 'static> Moves for Vec<(wasmtime::component::Resource<T>, String)> {
    fn moves(&self) -> usize {
        self.iter().map(|(_, name)| name.len()).sum()
    }
}

impl<T: Moves> Moves for (T, bool) {
    fn moves(&self) -> usize {
        self.0.moves()
    }
}

impl<T: Moves> Moves for Option<T> {
    fn moves(&self) -> usize {
        self.as_ref().map_or(0, T::moves)
    }
}

/// An error of a host call: what the guest sees, or what ends it.
pub(crate) trait Trap: Sized {
    /// The one that ends it.
    fn halted(halt: Halt) -> Self;
    /// Whether it is such.
    fn is_trap(&self) -> bool;
}

impl Trap for wasmtime::Error {
    fn halted(halt: Halt) -> Self {
        Self::new(halt)
    }

    fn is_trap(&self) -> bool {
        true
    }
}

impl Trap for StreamError {
    fn halted(halt: Halt) -> Self {
        Self::Trap(wasmtime::Error::new(halt))
    }

    fn is_trap(&self) -> bool {
        matches!(self, Self::Trap(_))
    }
}

impl Trap for FsError {
    fn halted(halt: Halt) -> Self {
        Self::trap(wasmtime::Error::new(halt))
    }

    fn is_trap(&self) -> bool {
        self.downcast_ref().is_none()
    }
}

impl Trap for SocketError {
    fn halted(halt: Halt) -> Self {
        Self::trap(wasmtime::Error::new(halt))
    }

    fn is_trap(&self) -> bool {
        self.downcast_ref().is_none()
    }
}

/// Functions of an interface that the ledger sees and wasmtime-wasi carries out: `fn` those that cannot wait, `async fn`
/// those that can. `moves` is what the guest hands over, in bytes.
macro_rules! pass_on {
    ($trait:path, $view:ident;) => {};
    ($trait:path, $view:ident;
        $name:literal async fn $fn:ident($($arg:ident: $type:ty),*) -> $out:ty $(, moves $bytes:expr)?; $($rest:tt)*
    ) => {
        async fn $fn(&mut self, $($arg: $type),*) -> $out {
            let bytes = 0 $(+ $bytes)?;
            let Self { inner, calls, interrupt, .. } = self;
            let work = async move {
                let mut view = inner.$view();
                <_ as $trait>::$fn(&mut view, $($arg),*).await
            };
            calls.wait(interrupt, $name, bytes, work).await
        }
        $crate::calls::pass_on! { $trait, $view; $($rest)* }
    };
    ($trait:path, $view:ident;
        $name:literal fn $fn:ident($($arg:ident: $type:ty),*) -> $out:ty $(, moves $bytes:expr)?; $($rest:tt)*
    ) => {
        fn $fn(&mut self, $($arg: $type),*) -> $out {
            let bytes = 0 $(+ $bytes)?;
            let Self { inner, calls, .. } = self;
            calls.call($name, bytes, || {
                let mut view = inner.$view();
                <_ as $trait>::$fn(&mut view, $($arg),*)
            })
        }
        $crate::calls::pass_on! { $trait, $view; $($rest)* }
    };
}

pub(crate) use pass_on;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(moved_limit: u64) -> Calls {
        Calls::new(moved_limit, Arc::new(Sight::new(now(), true)))
    }

    fn fine<T>(value: T) -> wasmtime::Result<T> {
        Ok(value)
    }

    fn cause(error: &wasmtime::Error) -> Cause {
        error.downcast_ref::<Halt>().expect("ours").cause.clone()
    }

    #[test]
    fn calls_are_counted_by_name_the_most_frequent_first() {
        let mut calls = ledger(100);
        for _ in 0..3 {
            calls.call("b", 2, || fine(vec![0u8; 3])).expect("within the limit");
        }
        calls.call("a", 0, || fine(())).expect("within the limit");
        let spent = calls.spent();
        assert_eq!((spent.calls, spent.moved_bytes), (4, 15));
        assert_eq!(spent.by_name, [("b".to_owned(), 3), ("a".to_owned(), 1)]);
        assert_eq!(calls.current(), None);
    }

    #[test]
    fn moved_bytes_obeyed() {
        let mut calls = ledger(8);
        assert!(calls.call("a", 4, || fine(vec![0u8; 4])).is_ok());
    }

    #[test]
    fn moved_bytes_violated_on_the_way_in_or_out_names_the_call() {
        let mut calls = ledger(8);
        let error = calls.call("a", 4, || fine(vec![0u8; 5])).expect_err("9 of 8");
        assert_eq!(cause(&error), Cause::Limit(Limit::MovedBytes));
        assert_eq!(calls.current(), Some("a"));
        let mut calls = ledger(8);
        let never = || -> wasmtime::Result<()> { panic!("it must not begin") };
        assert_eq!(cause(&calls.call("a", 9, never).expect_err("9 of 8")), Cause::Limit(Limit::MovedBytes));
    }

    #[test]
    fn a_panic_of_host_code_is_that_call_s_failure() {
        let mut calls = ledger(8);
        let error = calls.call("a", 0, || -> wasmtime::Result<()> { panic!("on purpose") }).expect_err("it panicked");
        assert_eq!(cause(&error), Cause::HostCall(Some("a".into())));
        assert_eq!(error.to_string(), "host code panicked: on purpose");
    }

    #[test]
    fn no_more_names_are_shown_than_a_receipt_has() {
        let mut calls = ledger(8);
        for index in 0..2 * SHOWN_NAMES {
            let name: &'static str = Box::leak(index.to_string().into_boxed_str());
            calls.call(name, 0, || fine(())).expect("within the limit");
        }
        let spent = calls.spent();
        assert_eq!((spent.calls, spent.by_name.len()), (2 * SHOWN_NAMES as u64, SHOWN_NAMES));
    }
}
