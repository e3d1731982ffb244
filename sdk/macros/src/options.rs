//! The options of `#[handler(...)]`: what each takes, and what to write instead when it is wrong.
//!
//! Values are checked here so that a mistake shows at its own span, and leave as the strings of the contract's
//! `settings`; the host checks them again, since not every component is built with this macro.

use std::str::FromStr;
use std::time::Duration;

use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprArray, ExprLit, ExprUnary, Lit, Result, Token, UnOp};

use crate::manifest;

const NAMES: [&str; 20] = [
    "name",
    "max_attempts",
    "backoff",
    "retry_on",
    "never_retry_on",
    "retry_for",
    "timeout",
    "fuel",
    "fuel_budget",
    "memory",
    "queue",
    "priority",
    "limits",
    "env",
    "dirs",
    "http",
    "secrets",
    "scratch",
    "clock",
    "deterministic",
];
/// The longest name of a handler, a queue or an error kind, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The longest timeout that a host takes.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time box that a host takes.
const MAX_RETRY_FOR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The options of one handler.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    /// In the order of the attribute, keys as in the contract.
    pub(crate) settings: Vec<(String, String)>,
    seen: Vec<String>,
}

impl Options {
    /// Reads one `option = value`.
    pub(crate) fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let option = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !NAMES.contains(&option.as_str()) {
            let hint = nearest(&option).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
            return Err(meta.error(format!("unknown option `{option}`: {hint}the options are {}", NAMES.join(", "))));
        }
        if self.seen.contains(&option) {
            return Err(meta.error(format!("`{option}` is given twice")));
        }
        if !meta.input.peek(Token![=]) {
            return Err(meta.error(format!("`{option}` takes a value: write `{}`", example(&option))));
        }
        let value: Expr = meta.value()?.parse()?;
        let value = match option.as_str() {
            "name" => {
                self.name = Some(name(&option, &value)?);
                self.seen.push(option);
                return Ok(());
            }
            "max_attempts" => integer(&option, &value, 1, i64::from(u32::MAX))?,
            "priority" => integer(&option, &value, i64::from(i32::MIN), i64::from(i32::MAX))?,
            "fuel" => fuel(&option, &value)?,
            "fuel_budget" => integer(&option, &value, 1, i64::MAX)?,
            "timeout" => text_as(&option, &value, timeout)?,
            "retry_for" => text_as(&option, &value, retry_for)?,
            "memory" => text_as(&option, &value, size)?,
            "backoff" => text_as(&option, &value, backoff)?,
            "queue" => name(&option, &value)?,
            "limits" => texts_as(&option, &value, manifest::limit)?,
            "env" => texts_as(&option, &value, manifest::env)?,
            "dirs" => texts_as(&option, &value, manifest::dir)?,
            "http" => texts_as(&option, &value, manifest::http)?,
            "secrets" => texts_as(&option, &value, manifest::secret)?,
            "scratch" => text_as(&option, &value, manifest::scratch)?,
            "clock" => text_as(&option, &value, manifest::clock)?,
            "deterministic" => flag(&option, &value)?,
            _ => kinds(&option, &value)?,
        };
        self.settings.push((option.replace('_', "-"), value));
        self.seen.push(option);
        Ok(())
    }
}

fn example(option: &str) -> &'static str {
    match option {
        "name" => "name = \"word-count\"",
        "max_attempts" => "max_attempts = 5",
        "backoff" => "backoff = \"exponential(1s, max = 1m)\"",
        "retry_on" => "retry_on = [\"network\", \"timeout\"]",
        "never_retry_on" => "never_retry_on = [\"quota\"]",
        "retry_for" => "retry_for = \"48h\"",
        "timeout" => "timeout = \"30s\"",
        "fuel" => "fuel = 1_000_000_000` or `fuel = \"off\"",
        "fuel_budget" => "fuel_budget = 10_000_000_000",
        "memory" => "memory = \"64MiB\"",
        "queue" => "queue = \"mail\"",
        "priority" => "priority = 10",
        "limits" => "limits = \"open-files=16,output=4MiB\"",
        "env" => "env = \"COLOR\"",
        "dirs" => "dirs = \"/data\"",
        "http" => "http = \"https://api.example.com\"",
        "secrets" => "secrets = \"API_KEY\"",
        "scratch" => "scratch = \"64MiB\"",
        "clock" => "clock = \"fine\"",
        _ => "deterministic = true",
    }
}

fn wrong(option: &str, value: &impl Spanned, what: &str) -> Error {
    Error::new(value.span(), format!("`{option}` takes {what}: write `{}`", example(option)))
}

/// The option that a misspelt one was meant to be: the same letters but for up to two.
fn nearest(option: &str) -> Option<&'static str> {
    NAMES
        .into_iter()
        .map(|name| (distance(option, name), name))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|best| best.1)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn string(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn number(value: &Expr) -> Option<i64> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => number(expr)?.checked_neg(),
        _ => None,
    }
}

fn integer(option: &str, value: &Expr, min: i64, max: i64) -> Result<String> {
    match number(value) {
        Some(number) if (min..=max).contains(&number) => Ok(number.to_string()),
        _ => Err(wrong(option, value, &format!("a whole number from {min} to {max}"))),
    }
}

fn fuel(option: &str, value: &Expr) -> Result<String> {
    match (number(value), string(value).as_deref()) {
        (Some(number), _) if number > 0 => Ok(number.to_string()),
        (_, Some("off")) => Ok("off".into()),
        _ => Err(wrong(option, value, "a number of instructions from 1, or \"off\"")),
    }
}

fn flag(option: &str, value: &Expr) -> Result<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Bool(flag), .. }) => Ok(flag.value.to_string()),
        _ => Err(wrong(option, value, "`true` or `false`")),
    }
}

/// A string, or a list of them, in which `check` finds each part right that a comma ends.
fn texts_as(option: &str, value: &Expr, check: fn(&str) -> std::result::Result<(), &'static str>) -> Result<String> {
    let read = |text: &Expr| {
        let text = string(text).ok_or_else(|| wrong(option, text, "a string, or a list of them"))?;
        Ok(text)
    };
    let Expr::Array(ExprArray { elems, .. }) = value else {
        return manifest::joined(&[read(value)?], check).map_err(|what| wrong(option, value, what));
    };
    // Each at its own span; all of them together for their number.
    for text in elems {
        manifest::joined(&[read(text)?], check).map_err(|what| wrong(option, text, what))?;
    }
    if elems.is_empty() {
        return Err(wrong(option, value, "at least one; without the option the handler asks for none"));
    }
    let texts = elems.iter().map(read).collect::<Result<Vec<_>>>()?;
    manifest::joined(&texts, check).map_err(|what| wrong(option, value, what))
}

/// A string that `check` finds right; it says what is wrong otherwise.
fn text_as(option: &str, value: &Expr, check: fn(&str) -> std::result::Result<(), &'static str>) -> Result<String> {
    let text = string(value)
        .ok_or_else(|| wrong(option, value, if option == "clock" { "a string" } else { "a string with a unit" }))?;
    check(&text).map_err(|what| wrong(option, value, what))?;
    Ok(text)
}

fn duration(text: &str) -> std::result::Result<(), &'static str> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(()),
        _ => Err("a duration above zero"),
    }
}

fn timeout(text: &str) -> std::result::Result<(), &'static str> {
    match humantime::parse_duration(text) {
        Ok(timeout) if (Duration::from_millis(1)..=MAX_TIMEOUT).contains(&timeout) => Ok(()),
        _ => Err("a duration from 1ms to 24h"),
    }
}

fn retry_for(text: &str) -> std::result::Result<(), &'static str> {
    match humantime::parse_duration(text) {
        Ok(span) if !span.is_zero() && span <= MAX_RETRY_FOR => Ok(()),
        _ => Err("a duration above zero, of up to a year"),
    }
}

fn size(text: &str) -> std::result::Result<(), &'static str> {
    match bytesize::ByteSize::from_str(text) {
        Ok(size) if (64 << 10..=4 << 30).contains(&size.as_u64()) => Ok(()),
        _ => Err("a size from 64KiB to 4GiB"),
    }
}

fn backoff(text: &str) -> std::result::Result<(), &'static str> {
    let form = "`fixed`, `linear` or `exponential` with a first delay and perhaps a `max`";
    let (kind, rest) = text.split_once('(').ok_or(form)?;
    let parameters = rest.trim_end().strip_suffix(')').ok_or(form)?;
    if !matches!(kind.trim(), "fixed" | "linear" | "exponential") {
        return Err(form);
    }
    let (first, max) = match parameters.split_once(',') {
        None => (parameters, None),
        Some((first, max)) => {
            let max = max.trim().strip_prefix("max").and_then(|rest| rest.trim_start().strip_prefix('='));
            (first, Some(max.ok_or(form)?))
        }
    };
    duration(first.trim()).and(max.map_or(Ok(()), |max| duration(max.trim()))).map_err(|_| form)
}

/// A name of a handler or a queue, or an error kind.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.chars().all(allowed)
}

fn name(option: &str, value: &Expr) -> Result<String> {
    match string(value) {
        Some(text) if is_name(&text) => Ok(text),
        _ => Err(wrong(option, value, &format!("up to {MAX_NAME_BYTES} lower-case letters, digits and `-`"))),
    }
}

fn kinds(option: &str, value: &Expr) -> Result<String> {
    let Expr::Array(ExprArray { elems, .. }) = value else {
        return Err(wrong(option, value, "a list of error kinds"));
    };
    let kinds: Punctuated<Expr, Token![,]> = elems.clone();
    if kinds.is_empty() {
        let without = if option == "retry_on" { "every kind is retried" } else { "no kind is exempt" };
        let what = format!("at least one error kind; without the option {without}");
        return Err(wrong(option, value, &what));
    }
    Ok(kinds.iter().map(|kind| name(option, kind)).collect::<Result<Vec<_>>>()?.join(","))
}
