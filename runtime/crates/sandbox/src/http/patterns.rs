//! The ways in which a text may come back: as it is, and in the encodings that servers commonly put into headers, pages
//! and JSON. Whatever is not here is not recognised.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A shorter pattern would be found where there is no secret.
const MIN_BYTES: usize = 8;

/// All of them, each once.
pub(super) fn of(text: &str) -> BTreeSet<Vec<u8>> {
    let mut patterns = BTreeSet::from([text.as_bytes().to_vec()]);
    patterns.extend(base64(text.as_bytes()));
    patterns.extend(percent(text.as_bytes()).map(String::into_bytes));
    patterns.extend(json(text).map(String::into_bytes));
    patterns.extend(hex(text.as_bytes()).map(String::into_bytes));
    patterns.retain(|pattern| pattern.len() >= MIN_BYTES);
    patterns
}

/// What base64 makes of the text, wherever in a longer one it stands: for each of the three ways in which it can lie
/// across groups of six bits, the digits that depend on it alone. Up to four bits at each end are in digits shared with
/// the neighbours.
fn base64(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).flat_map(move |before| {
        let shifted = [&[0_u8; 3][..before], text].concat();
        let shared = [0, 2, 3][before];
        let whole = shifted.len() * 8 / 6;
        [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)]
            .map(|digits| digits.as_bytes()[shared..whole].to_vec())
    })
}

/// As in a URL, a form, and where everything is escaped.
fn percent(text: &[u8]) -> impl Iterator<Item = String> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let component = move |byte: u8| unreserved(byte) || b"!'()*".contains(&byte);
    let uri = move |byte: u8| component(byte) || b";/?:@&=+$,#".contains(&byte);
    let form = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._ ".contains(&byte);
    let kept: [&dyn Fn(u8) -> bool; 5] = [&unreserved, &component, &uri, &form, &|_| false];
    let mut written = Vec::new();
    for (index, keep) in kept.into_iter().enumerate() {
        for upper in [true, false] {
            let mut out = String::new();
            for byte in text {
                match (keep(*byte), upper) {
                    (true, _) if index == 3 && *byte == b' ' => out.push('+'),
                    (true, _) => out.push(char::from(*byte)),
                    (false, true) => push(&mut out, format_args!("%{byte:02X}")),
                    (false, false) => push(&mut out, format_args!("%{byte:02x}")),
                }
            }
            written.push(out);
        }
    }
    written.into_iter()
}

/// As in a string of JSON: only what must be escaped, a slash too, what HTML minds too, all that is not ASCII too, and
/// everything.
fn json(text: &str) -> impl Iterator<Item = String> {
    let mut written = Vec::new();
    let html = |c: char| matches!(c, '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}');
    let wide = |c: char| !c.is_ascii() || c == '\u{7f}';
    let escaped: [&dyn Fn(char) -> bool; 5] = [&|_| false, &html, &wide, &|c: char| html(c) || wide(c), &|_| true];
    for escape in escaped {
        for slash in [false, true] {
            for upper in [false, true] {
                written.push(json_string(text, escape, slash, upper));
            }
        }
    }
    written.into_iter()
}

fn json_string(text: &str, escape: &dyn Fn(char) -> bool, slash: bool, upper: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if escape(c) => unicode(&mut out, c, upper),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' if slash => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => unicode(&mut out, c, upper),
            c => out.push(c),
        }
    }
    out
}

fn unicode(out: &mut String, c: char, upper: bool) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        match upper {
            true => push(out, format_args!("\\u{unit:04X}")),
            false => push(out, format_args!("\\u{unit:04x}")),
        }
    }
}

fn hex(text: &[u8]) -> impl Iterator<Item = String> {
    let (mut lower, mut upper) = (String::new(), String::new());
    for byte in text {
        push(&mut lower, format_args!("{byte:02x}"));
        push(&mut upper, format_args!("{byte:02X}"));
    }
    [lower, upper].into_iter()
}

fn push(out: &mut String, written: std::fmt::Arguments<'_>) {
    out.write_fmt(written).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const TEXT: &str = "s3cret/key+\"ö\"";

    fn found(haystack: &[u8]) -> bool {
        of(TEXT).iter().any(|pattern| haystack.windows(pattern.len()).any(|window| window == pattern))
    }

    #[test]
    fn common_encodings_are_known() {
        for encoded in [
            TEXT.to_owned(),
            "s3cret%2Fkey%2B%22%C3%B6%22".into(),
            "s3cret%2fkey%2b%22%c3%b6%22".into(),
            "s3cret/key+%22%C3%B6%22".into(),
            r#"s3cret/key+\"ö\""#.into(),
            r#"s3cret\/key+\"\u00f6\""#.into(),
            r#"s3cret/key+\"\u00F6\""#.into(),
            "7333637265742f6b65792b22c3b622".into(),
            "7333637265742F6B65792B22C3B622".into(),
        ] {
            assert!(found(encoded.as_bytes()), "{encoded}");
        }
        assert!(!found(b"s3cret/key"));
    }

    #[test]
    fn base64_is_known_in_every_alignment() {
        for before in ["", "x", "xy", "xyz", "user:", "Basic "] {
            for after in ["", "1", "12", "123"] {
                let whole = format!("{before}{TEXT}{after}");
                assert!(found(STANDARD.encode(&whole).as_bytes()), "{whole}");
                assert!(found(URL_SAFE_NO_PAD.encode(&whole).as_bytes()), "{whole}");
            }
        }
    }

    #[test]
    fn patterns_of_a_short_secret_are_long_enough() {
        assert!(of("12345678").iter().all(|pattern| pattern.len() >= MIN_BYTES));
        assert!(of("12345678").len() > 5);
    }
}
