//! The options by which a handler asks for grants and for other limits: its manifest.
//!
//! The same rules as the host's, which checks them again; here a mistake shows at its own span.

use std::net::IpAddr;
use std::str::FromStr;

use bytesize::ByteSize;

/// What is wrong with a text: what the option takes.
type Checked = Result<(), &'static str>;

/// More of one kind are refused by a host.
const MAX_OF_A_KIND: usize = 64;
/// The largest scratch directory that a host gives.
const MAX_SCRATCH_BYTES: u64 = 64 << 30;

/// What a limit counts.
enum Unit {
    Count,
    Bytes,
    Time,
}

/// The limits by name, with the smallest and the largest value that a host enforces; times in milliseconds.
const LIMITS: [(&str, Unit, u64, u64); 20] = [
    ("fuel", Unit::Count, 1, u64::MAX),
    ("timeout", Unit::Time, 1, 24 * 60 * 60 * 1_000),
    ("memory", Unit::Bytes, 64 << 10, 4 << 30),
    ("output", Unit::Bytes, 0, 64 << 20),
    ("stdout", Unit::Bytes, 0, 64 << 20),
    ("stderr", Unit::Bytes, 0, 64 << 20),
    ("log", Unit::Bytes, 0, 64 << 20),
    ("log-lines", Unit::Count, 0, 100_000),
    ("host-call-bytes", Unit::Bytes, 0, 64 << 20),
    ("moved-bytes", Unit::Bytes, 0, 1 << 40),
    ("resources", Unit::Count, 1, 10_000),
    ("instances", Unit::Count, 1, 64),
    ("tables", Unit::Count, 1, 32),
    ("open-files", Unit::Count, 0, 1_000),
    ("written-bytes", Unit::Bytes, 0, 1 << 40),
    ("random-bytes", Unit::Bytes, 0, 1 << 40),
    ("requests", Unit::Count, 0, 100_000),
    ("concurrent-requests", Unit::Count, 0, 100),
    ("request-bytes", Unit::Bytes, 0, 1 << 40),
    ("artifact-bytes", Unit::Bytes, 0, 1 << 40),
];

/// One `NAME=VALUE` of `limits`.
pub(crate) fn limit(text: &str) -> Checked {
    const FORM: &str =
        "limits by their names, each in the range that `sunaba component inspect` and the README tell of";
    let (name, value) = text.split_once('=').ok_or(FORM)?;
    let (_, unit, least, most) = LIMITS.iter().find(|limit| limit.0 == name.trim()).ok_or(FORM)?;
    let value = value.trim();
    let value = match unit {
        Unit::Count => value.replace('_', "").parse().ok(),
        Unit::Bytes => ByteSize::from_str(value).ok().map(|size| size.as_u64()),
        Unit::Time => humantime::parse_duration(value).ok().and_then(|time| u64::try_from(time.as_millis()).ok()),
    };
    value.filter(|value| (least..=most).contains(&value)).map(drop).ok_or(FORM)
}

/// The key of an environment variable, or `*`.
pub(crate) fn env(text: &str) -> Checked {
    if text.is_empty() || text.contains(['=', '\0']) { Err("keys of environment variables, or `*`") } else { Ok(()) }
}

/// A directory as the guest sees it, or `*`.
pub(crate) fn dir(text: &str) -> Checked {
    let path = text.strip_suffix(":rw").or_else(|| text.strip_suffix(":ro")).unwrap_or(text);
    if path == "*" || (path.starts_with('/') && !path.contains(':')) {
        Ok(())
    } else {
        Err("absolute paths, each with `:rw` to write there too, or `*`")
    }
}

/// A place that requests go to.
pub(crate) fn http(text: &str) -> Checked {
    const FORM: &str = "places as SCHEME://HOST or SCHEME://HOST:PORT, with `http` or `https` and no path; addresses \
                        behind `@` are the operator's to name";
    if text == "*" {
        return Ok(());
    }
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(FORM)?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(FORM)?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")).ok_or(FORM)?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port != 0);
    if is_port && (host.parse::<IpAddr>().is_ok() || is_host_name(host)) { Ok(()) } else { Err(FORM) }
}

/// A name, or `*.` and a name; not what some resolver takes for an address.
fn is_host_name(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(allowed);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x");
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}

/// The name of a secret.
pub(crate) fn secret(text: &str) -> Checked {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name =
        (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with(|c: char| c.is_ascii_digit());
    if is_name { Ok(()) } else { Err("names of secrets: up to 64 capital letters, digits and `_`") }
}

/// The size of a scratch directory.
pub(crate) fn scratch(text: &str) -> Checked {
    match ByteSize::from_str(text) {
        Ok(size) if (1..=MAX_SCRATCH_BYTES).contains(&size.as_u64()) => Ok(()),
        _ => Err("a size of up to 64GiB"),
    }
}

/// How exactly time is seen to pass.
pub(crate) fn clock(text: &str) -> Checked {
    if matches!(text, "coarse" | "fine") { Ok(()) } else { Err("\"coarse\" or \"fine\"") }
}

/// An output stream that is kept whole.
pub(crate) fn stream(text: &str) -> Checked {
    if matches!(text, "stdout" | "stderr") { Ok(()) } else { Err("\"stdout\", \"stderr\", or both") }
}

/// Texts, one or many, as the contract's settings have them; each is found right.
pub(crate) fn joined(texts: &[String], check: fn(&str) -> Checked) -> Result<String, &'static str> {
    let parts: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    if parts.len() > MAX_OF_A_KIND {
        return Err("at most 64 of a kind");
    }
    parts.iter().try_for_each(|part| check(part))?;
    Ok(parts.join(","))
}
