//! The table: every hostile guest and what must become of it, in families.

mod boundary;
mod calls;
mod code;
mod files;
mod load;

use super::case::Case;

/// A family: guests that reach for the same thing.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) cases: &'static [Case],
}

/// All of them.
pub(super) const FAMILIES: [Family; 9] = [
    Family { name: "CPU", cases: code::CPU },
    Family { name: "Memory", cases: code::MEMORY },
    Family { name: "Results", cases: boundary::RESULTS },
    Family { name: "Arguments", cases: boundary::ARGUMENTS },
    Family { name: "Handles", cases: calls::HANDLES },
    Family { name: "Host calls", cases: calls::CALLS },
    Family { name: "Files", cases: files::FILES },
    Family { name: "Network", cases: files::NETWORK },
    Family { name: "Compile and load", cases: load::LOAD },
];

/// Handlers that only mean harm in a queue: `lifecycle` runs them.
pub(super) const IN_A_QUEUE: [(&str, &str); 3] =
    [("lifecycle", "fail-again"), ("lifecycle", "snooze-again"), ("lifecycle", "outlast-lease")];

/// What a case will end with once another part is there: name, part, cause. Either is accepted until then.
pub(super) const LATER: &[(&str, &str, &str)] = &[
    ("handle-forged", "calls", "host-call wasi:io/poll.pollable.block"),
    ("handle-used-after-drop", "calls", "host-call wasi:io/poll.pollable.block"),
    ("handle-of-another-type", "calls", "host-call wasi:io/poll.pollable.block"),
    ("handle-hoard", "calls", "limit resources"),
    ("poll-nothing", "calls", "host-call wasi:io/poll.poll"),
    ("poll-beyond-memory", "calls", "host-call wasi:io/poll.poll"),
    ("log-bad-text", "calls", "host-call sunaba:task/host.log"),
    ("log-bad-level", "calls", "host-call sunaba:task/host.log"),
    ("log-beyond-memory", "calls", "host-call sunaba:task/host.log"),
    ("log-aliased", "calls", "limit host-call-bytes"),
    ("random-hoard", "calls", "limit random-bytes"),
    ("open-many", "calls", "limit open-files"),
    ("write-on", "calls", "limit written-bytes"),
    ("make-sparse", "calls", "limit written-bytes"),
];

/// What leaves something behind on a host until another part is there: name and part. `sunaba run` has them all the same.
pub(super) const NOT_YET_IN_A_HOST: &[(&str, &str)] = &[("open-pipe", "calls")];

/// Every case.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    FAMILIES.iter().flat_map(|family| family.cases)
}
