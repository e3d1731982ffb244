//! The settings that can be said in the file, by a variable, and by a flag: one table, so that the three never disagree.

/// What a setting takes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text or a number.
    Word,
    /// `true` or `false`.
    Switch,
    /// A list of texts.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In the file, with its section.
    pub key: &'static str,
    /// On the command line.
    pub flag: &'static str,
    /// In the environment.
    pub env: &'static str,
    pub(super) kind: Kind,
    /// What it is when nobody says anything, as it is written.
    pub default: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
}

const fn word(
    key: &'static str,
    flag: &'static str,
    env: &'static str,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting { key, flag, env, kind: Kind::Word, default, about }
}

const fn list(key: &'static str, flag: &'static str, env: &'static str, about: &'static str) -> Setting {
    Setting { key, flag, env, kind: Kind::List, default: "", about }
}

const fn switch(key: &'static str, flag: &'static str, env: &'static str, about: &'static str) -> Setting {
    Setting { key, flag, env, kind: Kind::Switch, default: "false", about }
}

/// Every setting, in the order in which they are shown.
pub const SETTINGS: [Setting; 22] = [
    word("address", "--address", "SUNABA_ADDRESS", "http://127.0.0.1:7878", "The host that commands talk to"),
    word("host.data", "--data", "SUNABA_DATA", "sunaba-data", "The directory of the queue; made if it is not there"),
    word("host.listen", "--listen", "SUNABA_LISTEN", "127.0.0.1:7878", "Where the API listens"),
    switch(
        "host.require-keys",
        "--require-keys",
        "SUNABA_REQUIRE_KEYS",
        "Only those are answered who have a key, on a loopback address too",
    ),
    switch(
        "host.insecure-no-keys",
        "--insecure-no-keys",
        "SUNABA_INSECURE_NO_KEYS",
        "Whoever reaches an address that is not loopback may do everything",
    ),
    list("host.allow-host", "--allow-host", "SUNABA_ALLOW_HOST", "Names by which requests may call the host"),
    word(
        "host.concurrency",
        "--concurrency",
        "SUNABA_CONCURRENCY",
        "auto",
        "Attempts at a time, 1 to 512; `auto` is one for each core",
    ),
    word(
        "host.memory-budget",
        "--memory-budget",
        "SUNABA_MEMORY_BUDGET",
        "75%",
        "What all attempts at a time may hold of the machine's memory",
    ),
    word(
        "host.oversubscribe",
        "--oversubscribe",
        "SUNABA_OVERSUBSCRIBE",
        "1",
        "How many times over that budget is given to attempts, 1 to 100",
    ),
    switch(
        "host.follow-active",
        "--follow-active",
        "SUNABA_FOLLOW_ACTIVE",
        "Tasks run what their package has at each attempt, unless they are pinned",
    ),
    word(
        "host.durability",
        "--durability",
        "SUNABA_DURABILITY",
        "sync",
        "When an answer is on stable storage: `sync`, or `relaxed(50ms)`",
    ),
    word("host.grace", "--grace", "SUNABA_GRACE", "30s", "How long attempts have to end at a stop"),
    list("host.alerts", "--alert", "SUNABA_ALERT", "Other values for alert rules, as `NAME=VALUE`"),
    list(
        "host.webhook-allow",
        "--webhook-allow",
        "SUNABA_WEBHOOK_ALLOW",
        "Addresses that are not public, to which webhooks may go",
    ),
    switch("host.webhook-http", "--webhook-http", "SUNABA_WEBHOOK_HTTP", "Webhooks may go without encryption"),
    word(
        "telemetry.endpoint",
        "--otlp-endpoint",
        "SUNABA_OTLP_ENDPOINT",
        "none",
        "Where spans of tasks are sent, over OTLP/HTTP; OTEL_EXPORTER_OTLP_ENDPOINT says it, too",
    ),
    list("grants.dirs", "--allow-dir", "SUNABA_ALLOW_DIR", "Directories out of which submitters may grant"),
    list("grants.http", "--allow-http", "SUNABA_ALLOW_HTTP", "Places to which submitters may let requests go"),
    list(
        "grants.secrets",
        "--secret",
        "SUNABA_SECRET",
        "Secrets that submitters may pass on: where each is and goes, never its text",
    ),
    word(
        "grants.scratch",
        "--max-scratch",
        "SUNABA_MAX_SCRATCH",
        "1GiB",
        "The largest scratch directory of an attempt",
    ),
    switch("grants.fine-clock", "--allow-fine-clock", "SUNABA_ALLOW_FINE_CLOCK", "Submitters may grant the fine clock"),
    list("grants.http-ca", "--http-ca", "SUNABA_HTTP_CA", "Files of certificate authorities for outgoing requests"),
];

/// What other programs call a setting too; our own name counts more.
pub(super) const COMMON_ENV: [(&str, &str); 1] = [("telemetry.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT")];

/// What is said in one text of `NAME=VALUE`s by a flag and a variable, and in the file in a section of its own.
pub(super) const LIMITS: Setting = word("limits", "--max", "SUNABA_MAX", "", "Ceilings of limits");

/// Variables that mean something to `sunaba` beside those of settings.
const OTHER_ENV: [&str; 6] =
    ["SUNABA_API_KEY", "SUNABA_API_KEY_FILE", "SUNABA_CONFIG", "SUNABA_CONTRACT", "SUNABA_GUESTS", "SUNABA_LOG_FORMAT"];

/// The setting of this key, which is one.
pub(super) fn setting(key: &str) -> &'static Setting {
    SETTINGS.iter().chain([&LIMITS]).find(|setting| setting.key == key).expect("the key stands in the table")
}

/// Every variable that means something.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().chain([&LIMITS]).map(|setting| setting.env).chain(OTHER_ENV).chain(COMMON_ENV.map(|(_, env)| env))
}

/// The keys of a section.
pub(super) fn keys_of(section: &str) -> Vec<&'static str> {
    SETTINGS.iter().filter_map(|setting| setting.key.strip_prefix(section)?.strip_prefix('.')).collect()
}
