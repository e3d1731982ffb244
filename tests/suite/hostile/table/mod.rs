//! The table: every hostile guest and what must become of it, in families.

mod boundary;
mod calls;
mod code;
mod files;
mod load;
mod plans;

use super::case::Case;

/// A family: guests that reach for the same thing.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) cases: &'static [Case],
}

/// All of them.
pub(super) const FAMILIES: [Family; 11] = [
    Family { name: "CPU", cases: code::CPU },
    Family { name: "Memory", cases: code::MEMORY },
    Family { name: "Results", cases: boundary::RESULTS },
    Family { name: "Arguments", cases: boundary::ARGUMENTS },
    Family { name: "Handles", cases: calls::HANDLES },
    Family { name: "Host calls", cases: calls::CALLS },
    Family { name: "Files", cases: files::FILES },
    Family { name: "Network", cases: files::NETWORK },
    Family { name: "Requests", cases: files::REQUESTS },
    Family { name: "Plans", cases: plans::PLANS },
    Family { name: "Compile and load", cases: load::LOAD },
];

/// Handlers that only mean harm in a queue: `lifecycle` runs them.
pub(super) const IN_A_QUEUE: [(&str, &str); 3] =
    [("lifecycle", "fail-again"), ("lifecycle", "snooze-again"), ("lifecycle", "outlast-lease")];

/// Those that do what their input says; the files of tests that are named run them.
pub(super) const BY_INPUT: [(&str, &str, &str); 8] = [
    ("abuse-artifacts", "abuse-artifacts", "artifact_files"),
    ("abuse-files", "abuse-files", "calls"),
    ("deep-tree", "deep-tree", "scratch"),
    ("http-escape", "http-escape", "http"),
    ("plans", "plan-many", "asks"),
    ("plans", "pass-on", "narrow"),
    ("plans", "ask-on", "narrow"),
    ("plans", "look-around", "narrow"),
];

/// Every case.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    FAMILIES.iter().flat_map(|family| family.cases)
}
