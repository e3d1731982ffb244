//! The trace that a task is a part of: it comes with the submit and goes to the guest, as an attribute, and so to its children.

use sunaba_task::TaskSpec;

/// The name of the attribute, and of the header.
const TRACEPARENT: &str = "traceparent";

/// Whether a text is a `traceparent` of the version that there is. Source: W3C Trace Context, section 3.2.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_some = |text: &str| text.bytes().any(|byte| byte != b'0');
    match parts[..] {
        [version, trace, parent, flags] => {
            version == "00"
                && is_hex(trace, 32)
                && is_some(trace)
                && is_hex(parent, 16)
                && is_some(parent)
                && is_hex(flags, 2)
        }
        _ => false,
    }
}

/// What travels with a task of this trace.
pub(crate) fn attributes(traceparent: Option<String>) -> Vec<(String, String)> {
    traceparent.filter(|text| is_traceparent(text)).map(|text| (TRACEPARENT.to_owned(), text)).into_iter().collect()
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
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(attributes(Some(wrong.into())), [], "{wrong}");
        }
    }
}
