//! The verbs of the command line, each with a call that goes well and one that does not.

/// What a verb is called with.
pub(super) struct Case {
    /// As it is typed.
    pub(super) verb: &'static str,
    /// A call that goes well; none where it would not end, or takes long.
    pub(super) good: Option<&'static [&'static str]>,
    /// One that does not.
    pub(super) bad: &'static [&'static str],
    /// Lines of the good one that are kept; the rest is too long, or another on each machine.
    pub(super) lines: usize,
}

const fn case(verb: &'static str, good: &'static [&'static str], bad: &'static [&'static str]) -> Case {
    Case { verb, good: Some(good), bad, lines: 80 }
}

/// A verb of which the beginning is enough.
const fn long(verb: &'static str, good: &'static [&'static str], bad: &'static [&'static str], lines: usize) -> Case {
    Case { verb, good: Some(good), bad, lines }
}

/// A verb of which only errors are shown here.
const fn no_good(verb: &'static str, bad: &'static [&'static str]) -> Case {
    Case { verb, good: None, bad, lines: 0 }
}

const HELLO: &str = r#"{"name":"Ada"}"#;

/// Every verb, in the order in which they are called: what one makes others look at. `{n}` is another number at each call, `{task}` a
/// task that has ended, `{dead}` one that is dead, `{job}` a job, `{none}` the id of nothing, `{folder}` a folder, `{guest}` a component,
/// and `{data}` a directory that no host holds.
pub(super) const CASES: &[Case] = &[
    no_good("bench", &["--handler", "hello/nobody"]),
    no_good("build", &["{folder}"]),
    long("completions", &["bash"], &["tcsh"], 3),
    case("component compile", &["{guest}"], &["{folder}/none.wasm"]),
    long("component inspect", &["{guest}"], &["{folder}/none.wasm"], 24),
    case("component validate", &["{guest}"], &["{folder}/job.json"]),
    long("config init", &["{folder}/made-{n}.toml"], &["{folder}/job.json"], 3),
    long("config show", &[], &["--config", "{folder}/none.toml"], 12),
    case("config validate", &[], &["--config", "{folder}/wrong.toml"]),
    no_good("handler decide", &["{guest}", "--situation", "{folder}/none.json"]),
    long("man", &[], &["{folder}/job.json/man"], 6),
    case("new", &["{folder}/words-{n}"], &["{folder}"]),
    long("openapi", &[], &["more"], 6),
    case("run", &["{guest}", "hello", "--input", HELLO], &["{guest}", "nobody"]),
    no_good("serve", &["--listen", "nowhere"]),
    case("store info", &["--data", "{data}"], &["--data", "{folder}/none"]),
    case("store verify", &["--data", "{data}"], &["--data", "{folder}/none"]),
    case("store backup", &["{folder}/backup-{n}", "--data", "{data}"], &["{folder}/job.json", "--data", "{data}"]),
    case(
        "store restore",
        &["{folder}/backup-1", "--data", "{folder}/restored-{n}"],
        &["{folder}/job.json", "--data", "{folder}/x"],
    ),
    case("store compact", &["--data", "{data}"], &["--data", "{folder}/none"]),
    no_good("doctor", &["--config", "{folder}/none.toml", "more"]),
    case("host show", &[], &["--address", "http://127.0.0.1:9"]),
    long("host metrics", &[], &["--address", "http://127.0.0.1:9"], 4),
    long("top", &["--once"], &["--count", "0"], 12),
    case("alert list", &[], &["--address", "http://127.0.0.1:9"]),
    case("audit list", &["--limit", "2"], &["--limit", "many"]),
    case("events", &["--limit", "1"], &["--address", "ftp://127.0.0.1"]),
    case("incident list", &[], &["--days", "-1"]),
    no_good("incident show", &["none"]),
    long("report", &[], &["--daily", "--weekly"], 40),
    case("usage", &[], &["--by", "age"]),
    case("retention show", &[], &["--address", "http://127.0.0.1:9"]),
    case("retention set", &["--dead", "30d"], &["--dead", "soon"]),
    case("workers list", &[], &["--address", "http://127.0.0.1:9"]),
    no_good("workers set", &["none", "--slots", "1"]),
    case("key create", &["ci-{n}", "--scope", "read", "--save", "{folder}/key-{n}"], &["ci", "--scope", "all"]),
    case("key list", &[], &["--api-key-file", "{folder}/none"]),
    no_good("key revoke", &["0123456789abcdef"]),
    case(
        "secret set",
        &["TOKEN{n}", "--host", "https://example.com", "--from-file", "{folder}/secret"],
        &["TOKEN", "--host", "nowhere", "--from-file", "{folder}/secret"],
    ),
    case("secret list", &[], &["--address", "http://127.0.0.1:9"]),
    case("secret remove", &["TOKEN{n}"], &["NONE"]),
    case("handler deploy", &["{guest}"], &["{folder}/job.json"]),
    case("handler versions", &["hello"], &["none"]),
    no_good("handler rollback", &["hello"]),
    case("handler list", &[], &["--address", "http://127.0.0.1:9"]),
    case("handler describe", &["hello/hello"], &["hello/nobody"]),
    case("handler grants", &["fetch/fetch"], &["hello"]),
    case("handler status", &[], &["--address", "http://127.0.0.1:9"]),
    case("handler pause", &["hello/hello"], &["hello"]),
    case("handler resume", &["hello/hello"], &["hello"]),
    case("handler set", &["hello/hello", "--concurrency", "4"], &["hello/hello"]),
    case("queue list", &[], &["--address", "http://127.0.0.1:9"]),
    case("queue show", &["default"], &["none"]),
    case("queue pause", &["mail"], &["A B"]),
    case("queue resume", &["mail"], &["A B"]),
    case("queue set", &["mail", "--weight", "2"], &["mail"]),
    case(
        "schedule create",
        &["nightly-{n}", "hello/hello", "--cron", "0 0 3 1 1 * 2999", "--input", HELLO],
        &["nightly", "hello/hello", "--cron", "at night", "--input", HELLO],
    ),
    case("schedule list", &[], &["--address", "http://127.0.0.1:9"]),
    case("schedule get", &["nightly-1"], &["none"]),
    case("schedule update", &["nightly-1", "--cron", "0 0 4 1 1 * 2999"], &["none", "--cron", "0 4 * * *"]),
    case("schedule next", &["nightly-1"], &["none"]),
    case("schedule pause", &["nightly-1"], &["none"]),
    case("schedule resume", &["nightly-1"], &["none"]),
    case("schedule trigger", &["nightly-1"], &["none"]),
    case("schedule delete", &["nightly-{n}"], &["none"]),
    case(
        "webhook add",
        &["hook-{n}", "https://example.com/", "--event", "task.dead", "--disabled"],
        &["hook", "nowhere", "--event", "task.dead"],
    ),
    case("webhook list", &[], &["--address", "http://127.0.0.1:9"]),
    case("webhook show", &["hook-1"], &["none"]),
    case("webhook set", &["hook-1", "--event", "job.*"], &["none", "--event", "job.*"]),
    case("webhook rotate", &["hook-1"], &["none"]),
    no_good("webhook test", &["none"]),
    case("webhook deliveries", &["hook-1"], &["none"]),
    no_good("webhook delivery", &["hook-1", "{none}"]),
    no_good("webhook resend", &["hook-1", "{none}"]),
    case("webhook remove", &["hook-{n}"], &["none"]),
    case("task submit", &["hello/hello", "--input", HELLO, "--wait"], &["hello/hello", "--input", "{}"]),
    case("task get", &["{task}"], &["{none}"]),
    case("task result", &["{task}"], &["{dead}"]),
    case("task logs", &["{dead}"], &["{none}"]),
    case("task artifacts", &["{task}"], &["{task}", "none"]),
    case("task explain", &["{dead}"], &["{none}"]),
    case("task list", &["--state", "dead"], &["--state", "gone"]),
    case("task watch", &["{task}"], &["{none}"]),
    case("task cancel", &["--queue", "none", "--yes"], &["{none}"]),
    no_good("task complete", &["{task}", "--output", "1"]),
    case("task rerun", &["{dead}", "--input", r#"{"how":"last-attempt"}"#], &["{none}"]),
    case("task retry", &["--queue", "none", "--yes"], &["{none}"]),
    case("task run-now", &["--queue", "none", "--yes"], &["{none}"]),
    case("task delete", &["--queue", "none", "--yes"], &["{none}"]),
    case("dead list", &[], &["--address", "http://127.0.0.1:9"]),
    case("dead groups", &[], &["--address", "http://127.0.0.1:9"]),
    case("dead show", &["{dead}"], &["{task}"]),
    case("dead redrive", &["--queue", "none", "--yes"], &["{none}"]),
    case("dead purge", &["--queue", "none", "--yes"], &["{none}"]),
    case("job submit", &["{folder}/job.json"], &["{folder}/wrong.toml"]),
    case("job get", &["{job}"], &["{none}"]),
    case("job list", &["--limit", "1"], &["--limit", "many"]),
    case("job tasks", &["{job}"], &["{none}"]),
    case("job result", &["{job}", "--wait"], &["{none}"]),
    case("job explain", &["{job}"], &["{none}"]),
    case("job graph", &["{job}"], &["{none}"]),
    no_good("job cancel", &["{none}"]),
    no_good("job retry", &["{job}"]),
];
