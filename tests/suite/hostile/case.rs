//! One hostile guest: where it is, what it gets, and what must become of it.

use std::path::Path;

/// What must become of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The host stops it with this cause, word and detail.
    Stopped(&'static str),
    /// The handler itself fails, with this kind.
    Failed(&'static str),
    /// It returns: what it tries hurts nobody.
    Succeeds,
    /// It is put off.
    Snoozes,
    /// It returns a plan, which no host carries out to a good end.
    Decomposes,
    /// It is never run: it is refused with a message that has this in it.
    Refused(&'static str),
}

/// What a guest finds at `/data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    Nothing,
    ReadOnly,
    ReadWrite,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    /// The guest's file, without `.wasm`.
    pub(super) guest: &'static str,
    /// Its handler; unique in the table.
    pub(super) name: &'static str,
    pub(super) ends: Ends,
    /// JSON, for a handler that takes it.
    pub(super) input: Option<&'static str>,
    pub(super) data: Data,
    /// A limit of its memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Other limits, as options have them: where it takes long to come to the usual one.
    pub(super) limits: Option<&'static str>,
    /// Where it may send requests; `PORT` is that of the server that serves all guests. So it is in the input.
    pub(super) http: &'static [&'static str],
    /// Whether it may use the secret of that server.
    pub(super) secret: bool,
    /// What its message must have in it besides.
    pub(super) says: &'static str,
    /// Whether a guest that is stopped has been in a function of its own.
    pub(super) backtrace: bool,
}

impl Case {
    const fn new(guest: &'static str, name: &'static str, ends: Ends) -> Self {
        let backtrace = matches!(ends, Ends::Stopped(_));
        let (input, data, memory, limits) = (None, Data::Nothing, None, None);
        Self { guest, name, ends, input, data, memory, limits, http: &[], secret: false, says: "", backtrace }
    }

    pub(super) const fn input(mut self, input: &'static str) -> Self {
        self.input = Some(input);
        self
    }

    pub(super) const fn data(mut self, data: Data) -> Self {
        self.data = data;
        self
    }

    pub(super) const fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    pub(super) const fn limits(mut self, limits: &'static str) -> Self {
        self.limits = Some(limits);
        self
    }

    /// It may send requests to these places.
    pub(super) const fn http(mut self, places: &'static [&'static str]) -> Self {
        self.http = places;
        self
    }

    /// It is given the server's secret.
    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn says(mut self, what: &'static str) -> Self {
        self.says = what;
        self
    }

    /// It is stopped outside any of its functions, while the host reads what it gave.
    pub(super) const fn outside(mut self) -> Self {
        self.backtrace = false;
        self
    }

    /// How long an attempt of it may take: little, where that is what ends it.
    pub(super) fn timeout_ms(&self) -> u64 {
        if self.ends == Ends::Stopped("timeout") { 200 } else { 60_000 }
    }

    /// Makes what it finds at `/data`.
    pub(super) fn furnish(&self, folder: &Path) {
        if self.data == Data::Nothing {
            return;
        }
        std::fs::write(folder.join("kept"), "kept").expect("the folder is the test's own");
        let pipe = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().expect("mkfifo is there");
        assert!(pipe.success());
    }

    /// Whether this is how it must end.
    pub(super) fn is_cause(&self, cause: &str) -> bool {
        matches!(self.ends, Ends::Stopped(expected) if expected == cause)
    }
}

/// Stopped by the host with this cause.
pub(super) const fn stopped(guest: &'static str, name: &'static str, cause: &'static str) -> Case {
    Case::new(guest, name, Ends::Stopped(cause))
}

/// Fails by itself with this kind.
pub(super) const fn failed(guest: &'static str, name: &'static str, kind: &'static str) -> Case {
    Case::new(guest, name, Ends::Failed(kind))
}

/// Returns.
pub(super) const fn succeeds(guest: &'static str, name: &'static str) -> Case {
    Case::new(guest, name, Ends::Succeeds)
}

/// Is put off.
pub(super) const fn snoozes(guest: &'static str, name: &'static str) -> Case {
    Case::new(guest, name, Ends::Snoozes)
}

/// Returns a plan.
pub(super) const fn decomposes(guest: &'static str, name: &'static str) -> Case {
    Case::new(guest, name, Ends::Decomposes)
}

/// A guest in text form that is stopped; its handler is named like itself.
pub(super) const fn text(name: &'static str, cause: &'static str) -> Case {
    stopped(name, name, cause)
}

/// Is refused before it runs; its handler is named like itself.
pub(super) const fn refused(name: &'static str, message: &'static str) -> Case {
    Case::new(name, name, Ends::Refused(message))
}
