//! Which part of a file a request asks for. Source: RFC 9110, section 14.

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// All of it: nothing else was asked for, or in a way that a server may leave out.
    Whole,
    /// So many bytes, at least one, from this one on.
    Part { from: u64, length: u64 },
    /// There is nothing there.
    Outside,
}

/// The part of a file of this size that the header asks for. Several parts at a time are not given: then all of it is.
pub(crate) fn range(text: &str, size_bytes: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Whole;
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (from, end) = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Range::Whole,
        (true, false) => match number(last) {
            Some(length) => (size_bytes.saturating_sub(length), size_bytes),
            None => return Range::Whole,
        },
        (false, _) => match (number(first), if last.is_empty() { Some(u64::MAX) } else { number(last) }) {
            (Some(from), Some(last)) if from <= last => (from, last.saturating_add(1).min(size_bytes)),
            _ => return Range::Whole,
        },
    };
    if from < end { Range::Part { from, length: end - from } } else { Range::Outside }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_file_are_found() {
        let part = |from, length| Range::Part { from, length };
        for (text, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=2-", part(2, 8)),
            ("bytes=2-99", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=0-18446744073709551615", part(0, 10)),
            ("bytes=18446744073709551615-", Range::Outside),
        ] {
            assert_eq!(range(text, 10), expected, "{text}");
        }
        for text in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=+1-2", "bytes=a-b"]
        {
            assert_eq!(range(text, 10), Range::Whole, "{text}");
        }
        assert_eq!((range("bytes=0-", 0), range("bytes=-5", 0)), (Range::Outside, Range::Outside));
    }
}
