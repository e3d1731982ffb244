//! What a command prints, without what varies from run to run and from machine to machine: ids, instants, numbers, and the width of
//! what stands before them.

use serde_json::Value;

/// The shortest word of hexadecimal digits that is an id.
const MIN_HEX: usize = 12;
/// The shortest word with letters and digits that is a secret.
const MIN_TOKEN: usize = 30;

/// A text for people: what is shown of it, word by word, with one width for all gaps.
pub(super) fn text(shown: &str) -> String {
    let lines = shown.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        let mut words = Vec::new();
        for (number, part) in line.trim().split("  ").map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            if number > 0 {
                words.push("  ".to_owned());
            }
            words.push(part.split(' ').map(word).collect::<Vec<_>>().join(" "));
        }
        format!("{}{}", " ".repeat(indent), sizes(&words.concat()))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Objects, one or a line each, with their keys.
pub(super) fn json(shown: &str) -> String {
    let values = serde_json::Deserializer::from_str(shown).into_iter::<Value>();
    let shown = values.map(|value| match value {
        Ok(value) => format!("{:#}", steady(value)),
        Err(error) => format!("no JSON: {error}"),
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn steady(value: Value) -> Value {
    match value {
        Value::Number(_) => Value::from("N"),
        Value::String(words) => Value::String(words.lines().map(text).collect::<Vec<_>>().join("\n")),
        Value::Array(all) => Value::Array(all.into_iter().map(steady).collect()),
        Value::Object(all) => Value::Object(all.into_iter().map(|(key, value)| (word(&key), steady(value))).collect()),
        other => other,
    }
}

/// Of a size the unit is left out: it goes with the number.
fn sizes(line: &str) -> String {
    // Less than a unit is as good as one.
    let line = line.replace("<N", "N");
    ["KiB", "MiB", "GiB", "TiB"].iter().fold(line, |line, unit| line.replace(&format!("N {unit}"), "N B"))
}

fn word(word: &str) -> String {
    if let Some((before, _)) = word.split_once("whsec_") {
        return format!("{before}whsec_SECRET");
    }
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is = |masked: &str| word.replacen(bare, masked, 1);
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let is_uuid = bare.len() == 36 && bare.chars().all(|c| is_hex(c) || c == '-');
    let has_digit = bare.contains(|c: char| c.is_ascii_digit());
    let is_secret = bare.len() >= MIN_TOKEN && has_digit && !bare.contains(['/', '.', ':', '`', '{']);
    if bare.is_empty() {
        return word.to_owned();
    }
    if is_uuid || (bare.len() >= MIN_HEX && has_digit && bare.chars().all(is_hex)) {
        return is("ID");
    }
    if let Some((before, _)) = word.split_once("sha256:") {
        return format!("{before}sha256:ID");
    }
    if let Some((before, id)) = word.split_once("host-").filter(|(_, id)| id.starts_with(is_hex)) {
        let end = id.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
        return format!("{before}host-ID{end}");
    }
    if is_instant(bare) {
        return is("TIME");
    }
    if is_secret {
        return is("SECRET");
    }
    numbers(word)
}

fn is_instant(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[..4].iter().all(u8::is_ascii_digit)
}

/// Each number as `N`, and its unit, if that is one of time, as a second.
fn numbers(word: &str) -> String {
    let mut masked = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        masked.push_str(&rest[..at]);
        let number = &rest[at..];
        let end = number.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(number.len());
        let end = number[..end].trim_end_matches(['.', ',']).len();
        masked.push('N');
        rest = &number[end..];
        for unit in ["ms", "us", "s"] {
            if let Some(after) =
                rest.strip_prefix(unit).filter(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
            {
                masked.push('s');
                rest = after;
                break;
            }
        }
    }
    masked + rest
}

#[test]
fn what_varies_is_left_out_and_nothing_else() {
    let shown = "task         01900000-0000-7000-8000-000000000000\nwaits  since 2026-01-02T03:04:05.678Z, for 12.5ms (1,234 of `mail-7`)\n";
    assert_eq!(text(shown), "task  ID\nwaits  since TIME, for Ns (N of `mail-N`)");
    assert_eq!(text("  sha256:abc on host-0af; 1.5 MiB\n"), "  sha256:ID on host-ID; N B");
    assert_eq!(text("key 0123456789abcdef (ci)"), "key ID (ci)");
    assert_eq!(text("error: cannot do it"), "error: cannot do it");
    assert_eq!(
        json(r#"{"a":1,"b":["2 slots",null]}"#),
        "{\n  \"a\": \"N\",\n  \"b\": [\n    \"N slots\",\n    null\n  ]\n}"
    );
}
