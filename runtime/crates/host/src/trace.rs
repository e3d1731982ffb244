//! The trace that a task is a part of: it comes with the submit and goes to the guest, as an attribute, and so to its children.

use sunaba_task::TaskSpec;
use sunaba_task::trace::{TRACEPARENT, TraceContext};

/// What travels with a task of this trace.
pub(crate) fn attributes(traceparent: Option<String>) -> Vec<(String, String)> {
    traceparent
        .filter(|text| TraceContext::parse(text).is_some())
        .map(|text| (TRACEPARENT.to_owned(), text))
        .into_iter()
        .collect()
}

/// The trace that a task is a part of.
pub(crate) fn of(spec: &TaskSpec) -> Option<String> {
    spec.attributes.iter().find(|(name, _)| name == TRACEPARENT).map(|(_, text)| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_traceparent_travels() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(attributes(Some(good.into())), [(TRACEPARENT.to_owned(), good.to_owned())]);
        assert_eq!(attributes(Some(good.replace('f', "F"))), []);
    }
}
