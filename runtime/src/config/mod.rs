//! The configuration of `sunaba`: flags, then `SUNABA_*`, then `sunaba.toml`, then defaults, as one checked value that knows where
//! each of its parts comes from.
//!
//! [`Config::read`] is a pure function of its [`Layers`]; nothing here looks at a directory that is named, or opens a secret.
//! What is unknown is wrong, and everything that is wrong is told at once.

mod declared;
mod gather;
mod groups;
mod origin;
mod settings;
mod sheet;
mod template;
#[cfg(test)]
mod tests;
mod webhooks;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sunaba_host::{Declared, MemoryBudget, RuleSetting, SecretSource, WebhookPolicy, WorkerGroup};
use sunaba_server::Admission;
use sunaba_task::{Durability, HttpGrant, LimitCaps, format_bytes, nearest, parse_bytes, parse_duration};

pub use declared::PackageFile;
use gather::Gather;
pub use origin::{ConfigError, Origin, Problem, Row};
pub use settings::{SETTINGS, Setting};
pub use template::TEMPLATE;

/// The file that is read when nobody names one, if it is there.
pub const DEFAULT_FILE: &str = "sunaba.toml";
/// Attempts at a time, of all groups together.
pub const MAX_SLOTS: usize = 512;

/// What is said on each level.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// By the key of the setting. A list that is empty is not said.
    pub flags: BTreeMap<&'static str, Vec<String>>,
    /// All variables that begin with `SUNABA_`, and those of others that mean something here.
    pub env: BTreeMap<String, String>,
    /// The file's name and its text.
    pub file: Option<(PathBuf, String)>,
}

impl Layers {
    /// Those of this process: its environment, and the file of this name; without one that of `SUNABA_CONFIG`, else
    /// [`DEFAULT_FILE`], if it is there.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`]: the file that was named is not there, or cannot be read.
    pub fn of_process(file: Option<&Path>) -> Result<Self, ConfigError> {
        let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let is_ours = |name: &String| {
                name.starts_with("SUNABA_") || settings::COMMON_ENV.iter().any(|(_, common)| name == common)
            };
            let name = name.into_string().ok().filter(is_ours)?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        let env: BTreeMap<_, _> = std::env::vars_os().filter_map(ours).collect();
        let named = file.map(Path::to_owned).or_else(|| env.get("SUNABA_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let file = match read_file(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                let hint = match error.kind() {
                    ErrorKind::NotFound => "check the path; `sunaba config init` writes a file to begin with",
                    ErrorKind::InvalidData => "a configuration is TOML, in UTF-8, of up to 1 MiB",
                    _ => "name a file that you can read",
                };
                return Err(ConfigError::Unreadable { path, problem: error.to_string(), hint });
            }
        };
        Ok(Self { flags: BTreeMap::new(), env, file })
    }

    /// The same with this flag.
    pub fn flag(&mut self, key: &'static str, values: impl IntoIterator<Item = String>) {
        let values: Vec<_> = values.into_iter().collect();
        if !values.is_empty() {
            self.flags.insert(key, values);
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(sheet::MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > sheet::MAX_FILE_BYTES {
        let message = format!("it has more than {}", format_bytes(sheet::MAX_FILE_BYTES));
        return Err(std::io::Error::new(ErrorKind::InvalidData, message));
    }
    Ok(text)
}

/// All that is said, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Where commands look for the host.
    pub address: String,
    /// What the host itself is like.
    pub host: HostConfig,
    /// Where spans are sent, as `[telemetry]` says it; none by default.
    pub otlp_endpoint: Option<String>,
    /// Ceilings of limits.
    pub limits: LimitCaps,
    /// What submitters may pass on.
    pub grants: GrantsConfig,
    /// Settings of queues and handlers, and how long things are kept.
    pub declared: Declared,
    /// Components that are deployed when the host starts, by their packages.
    pub packages: BTreeMap<String, PackageFile>,
    /// Worker groups; none: one that serves all queues.
    pub workers: Vec<WorkerGroup>,
    /// Each value for people, with where it comes from.
    rows: Vec<Row>,
    /// What is no error, and worth a look.
    pub warnings: Vec<String>,
}

/// `[host]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostConfig {
    /// The directory of the queue.
    pub data: PathBuf,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Whether only those are answered who have a key, on a loopback address too.
    pub require_keys: bool,
    /// Whether whoever reaches an address that is not loopback may do everything.
    pub insecure_no_keys: bool,
    /// Names by which requests may call it.
    pub allow_host: Vec<String>,
    /// Attempts at a time; none is one for each core.
    pub concurrency: Option<u16>,
    /// What all attempts at a time may hold.
    pub memory_budget: MemoryBudget,
    /// How many times over that is given.
    pub oversubscribe: f64,
    /// Whether tasks follow unless they are pinned.
    pub follow_active: bool,
    /// When an answer is on stable storage.
    pub durability: Durability,
    /// How long attempts have to end at a stop.
    pub grace: Duration,
    /// Other values for alert rules, the last of a name counts.
    pub alerts: Vec<RuleSetting>,
    /// What webhooks may reach.
    pub webhooks: WebhookPolicy,
}

impl HostConfig {
    /// Who is answered; none when nobody has said so, and it is a question of the address.
    pub fn admits(&self) -> Option<Admission> {
        match (self.require_keys, self.insecure_no_keys) {
            (true, _) => Some(Admission::Keys),
            (_, true) => Some(Admission::Anybody),
            _ => None,
        }
    }
}

/// `[grants]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantsConfig {
    /// Directories, as they are written; whether they are there is looked at when the host starts.
    pub dirs: Vec<String>,
    /// Places for requests.
    pub http: Vec<HttpGrant>,
    /// Where secrets are.
    pub secrets: Vec<SecretSource>,
    /// The largest scratch directory, in bytes.
    pub scratch_bytes: u64,
    /// Whether submitters may grant the fine clock.
    pub fine_clock: bool,
    /// Files of certificate authorities.
    pub http_ca: Vec<PathBuf>,
}

impl Config {
    /// Reads all layers.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`], with all that is.
    pub fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let mut gather = Gather::new(layers)?;
        let address = gather.one("address", address);
        let host = HostConfig {
            data: gather.path("host.data"),
            listen: gather.one("host.listen", listen_address),
            require_keys: gather.switch("host.require-keys"),
            insecure_no_keys: gather.switch("host.insecure-no-keys"),
            allow_host: gather.all("host.allow-host", host_name),
            concurrency: gather.one("host.concurrency", concurrency),
            memory_budget: gather.one("host.memory-budget", |text| text.parse().map_err(|error| told(&error))),
            oversubscribe: gather.one("host.oversubscribe", factor),
            follow_active: gather.switch("host.follow-active"),
            durability: gather.one("host.durability", |text| text.parse().map_err(|error| told(&error))),
            grace: gather.one("host.grace", |text| parse_duration(text).map_err(|error| told(&error))),
            alerts: gather.all("host.alerts", |text| text.parse().map_err(|error| told(&error))),
            webhooks: WebhookPolicy {
                addresses: gather.all("host.webhook-allow", |text| text.parse().map_err(|error| told(&error))),
                http: gather.switch("host.webhook-http"),
            },
        };
        if host.require_keys {
            gather.excludes("host.require-keys", "host.insecure-no-keys", host.insecure_no_keys);
        }
        let otlp_endpoint = gather.one("telemetry.endpoint", collector);
        let limits = gather.limits();
        let grants = GrantsConfig {
            dirs: gather.paths("grants.dirs", |text| Ok(text.to_owned())),
            http: gather.all("grants.http", |text| text.parse().map_err(|error| told(&error))),
            secrets: gather.secrets(),
            scratch_bytes: gather.one("grants.scratch", |text| {
                if text == "0" { Ok(0) } else { parse_bytes(text).map_err(|e| told(&e)) }
            }),
            fine_clock: gather.switch("grants.fine-clock"),
            http_ca: gather.paths("grants.http-ca", |text| Ok(PathBuf::from(text))),
        };
        let declared = Declared { webhooks: gather.webhooks(&host.webhooks), ..gather.declared() };
        let packages = gather.packages();
        let workers = gather.workers();
        let file = layers.file.as_ref().map(|(path, _)| path.clone());
        let (rows, warnings) = gather.done(layers)?;
        Ok(Self { file, address, host, otlp_endpoint, limits, grants, declared, packages, workers, rows, warnings })
    }

    /// Each value for people, with where it comes from, in the order of the sections.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where a value comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.rows.iter().find(|row| row.key == key).map_or(Origin::Default, |row| row.origin.clone())
    }
}

fn told(error: &impl ToString) -> String {
    error.to_string()
}

/// Reads the address of a collector.
///
/// # Errors
/// It is none.
pub fn collector(text: &str) -> Result<Option<String>, String> {
    if text == "none" {
        return Ok(None);
    }
    let hint = "name a collector of this machine or network, such as `http://127.0.0.1:4318`; for one that takes `https` \
                alone, put one beside that passes on";
    let is_one = text.strip_prefix("http://").is_some_and(|rest| !rest.trim_matches('/').is_empty());
    let is_one = is_one && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '@'));
    if is_one { Ok(Some(text.to_owned())) } else { Err(format!("this is no place to send spans to\nhint: {hint}")) }
}

/// Reads the address of a host; that it can be spoken to is seen when it is.
fn address(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is not the address of a host\nhint: write it with its scheme, as `http://127.0.0.1:7878`"))
}

/// Reads an address to listen on; `localhost` is one, too.
///
/// # Errors
/// It is none.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| {
        let default = settings::setting("host.listen").default;
        format!("`{text}` is not an address to listen on\nhint: write an IP address and a port, such as `{default}`")
    })
}

/// Reads how many times over something is given.
///
/// # Errors
/// It is no such number.
pub fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| format!("`{text}` is not a factor\nhint: write a number from 1 to 100, such as `1.5`"))
}

/// Reads a name of the host; a port is no part of it.
fn host_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let hint = "write it without a scheme and without a port, such as `queue.example.com`";
    if is_name { Ok(text.to_owned()) } else { Err(format!("`{text}` is no name of a host\nhint: {hint}")) }
}

fn concurrency(text: &str) -> Result<Option<u16>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let slots = text.parse::<u16>().ok().filter(|slots| (1..=MAX_SLOTS).contains(&usize::from(*slots)));
    let error =
        || format!("`{text}` is no number of attempts at a time\nhint: write one from 1 to {MAX_SLOTS}, or `auto`");
    slots.map(Some).ok_or_else(error)
}

/// What a variable may have been meant to be that nobody knows.
fn unknown_variable(name: &str) -> String {
    let near = nearest(name, settings::variables()).map(|near| format!("; did you mean `{near}`?"));
    format!("the variable `{name}` means nothing{}", near.unwrap_or_default())
}
