use sunaba_sdk::prelude::*;
use sunaba_sdk::{Handler, testing::{Attempt, run_json}};

#[data]
#[derive(Debug, PartialEq)]
pub struct Text {
    /// What to count.
    text: String,
}

#[data]
#[derive(Debug, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    VerySmall,
    Large { words: usize },
}

/// Counts words.
///
/// Twice, if need be.
#[handler(
    name = "count-words",
    max_attempts = 5,
    backoff = "exponential(1s, max = 1m)",
    retry_on = ["network", "timeout"],
    never_retry_on = ["quota"],
    retry_for = "48h",
    timeout = "1m 30s",
    fuel = 1_000_000,
    fuel_budget = 5_000_000,
    memory = "64MiB",
    queue = "text",
    priority = -3,
    limits = "open-files=4, output=2MiB",
    env = ["COLOR", "SIZE"],
    dirs = "/in, /out:rw",
    http = "https://api.example.com",
    secrets = "API_KEY",
    scratch = "64MiB",
    clock = "fine",
    deterministic = true,
)]
fn word_count(_ctx: &Context, input: Text) -> Result<Size, TaskError> {
    match input.text.split_whitespace().count() {
        0..3 => Ok(Size::VerySmall),
        words => Ok(Size::Large { words }),
    }
}

#[handler(
    fuel = "off",
    limits = [
        "timeout=24h, memory=4GiB, output=64MiB, stdout=64MiB, stderr=64MiB, log=64MiB, log-lines=100_000",
        "host-call-bytes=64MiB, moved-bytes=1TiB, resources=10000, instances=64, tables=32, open-files=1000",
        "written-bytes=1TiB, random-bytes=1TiB, requests=100000, concurrent-requests=100, request-bytes=1TiB",
        "artifact-bytes=1TiB",
    ],
    env = "*",
    dirs = ["*:rw", "/", "/data:ro"],
    http = ["https://*.example.com/", "http://[::1]:8080", "http://10.0.0.7"],
    clock = "coarse",
    deterministic = false,
)]
fn no_input() -> Result<(), TaskError> {
    Ok(())
}

#[handler]
fn raw(input: Bytes) -> Result<Outcome<Bytes>, TaskError> {
    if input.as_ref().is_empty() { Ok(Snooze::after(Duration::from_secs(1)).into()) } else { Ok(Outcome::Complete(input)) }
}

export!(word_count, no_input, raw);

fn main() {
    assert_eq!(<word_count as Handler>::NAME, "count-words");
    assert_eq!(<word_count as Handler>::DOC, "Counts words.\n\nTwice, if need be.");
    assert_eq!(
        <word_count as Handler>::SETTINGS,
        [
            ("max-attempts", "5"),
            ("backoff", "exponential(1s, max = 1m)"),
            ("retry-on", "network,timeout"),
            ("never-retry-on", "quota"),
            ("retry-for", "48h"),
            ("timeout", "1m 30s"),
            ("fuel", "1000000"),
            ("fuel-budget", "5000000"),
            ("memory", "64MiB"),
            ("queue", "text"),
            ("priority", "-3"),
            ("limits", "open-files=4,output=2MiB"),
            ("env", "COLOR,SIZE"),
            ("dirs", "/in,/out:rw"),
            ("http", "https://api.example.com"),
            ("secrets", "API_KEY"),
            ("scratch", "64MiB"),
            ("clock", "fine"),
            ("deterministic", "true"),
        ]
    );
    assert_eq!(<no_input as Handler>::NAME, "no-input");

    let ctx = Attempt::new().context();
    let run = |input: &str| match run_json::<word_count>(&ctx, input) {
        Ok(Outcome::Complete(output)) => String::from_utf8(output.bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(run(r#"{"text":"to be"}"#), r#""very-small""#);
    assert_eq!(run(r#"{"text":"to be or not"}"#), r#"{"large":{"words":4}}"#);
    assert!(no_input().is_ok());
}
