//! What a handler asks to be granted: its manifest. It gets no more than this.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::grants::{DirAccess, MAX_SCRATCH_BYTES};
use crate::secret::is_secret_name;
use crate::units::{format_bytes, parse_bytes};
use crate::{ClockAccess, GrantError, HttpGrant, HttpGrantError};

/// More of one kind are refused.
const MAX_OF_A_KIND: usize = 64;
/// Stands for whatever the submitter names.
const ANY: &str = "*";

/// A directory that a handler asks for, by the path at which it looks for it. Written `/data`, `/data:rw`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DirRequest {
    /// The guest's path, or `*` for any.
    pub guest: String,
    /// What it wants to do there, at most.
    pub access: DirAccess,
}

impl DirRequest {
    /// Whether a grant at this path is one that was asked for.
    pub fn covers(&self, guest: &str, access: DirAccess) -> bool {
        let is_same = self.guest == ANY || self.guest.trim_end_matches('/') == guest.trim_end_matches('/');
        is_same && access <= self.access
    }
}

impl FromStr for DirRequest {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let (guest, access) = match text.rsplit_once(':') {
            None => (text, DirAccess::ReadOnly),
            Some((guest, "ro")) => (guest, DirAccess::ReadOnly),
            Some((guest, "rw")) => (guest, DirAccess::ReadWrite),
            Some(_) => return Err(RequestError::Dir(text.to_owned())),
        };
        if guest != ANY && !guest.starts_with('/') {
            return Err(RequestError::Dir(text.to_owned()));
        }
        Ok(Self { guest: guest.to_owned(), access })
    }
}

impl fmt::Display for DirRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.guest)?;
        f.write_str(if self.access == DirAccess::ReadWrite { ":rw" } else { "" })
    }
}

/// What a handler asks to be granted. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequests {
    /// The keys of environment variables, or `*` for any.
    pub env: Vec<String>,
    /// Directories.
    pub dirs: Vec<DirRequest>,
    /// Where it wants to send requests.
    pub http: Vec<HttpGrant>,
    /// Whether it wants to send them wherever the submitter says. Written `*`.
    pub any_http: bool,
    /// The names of secrets.
    pub secrets: Vec<String>,
    /// The size of a scratch directory.
    pub scratch_bytes: Option<u64>,
    /// How exactly it wants to see time pass.
    pub clock: ClockAccess,
}

/// A text that asks for nothing that can be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not an environment variable's key.
    #[error("`{0}` is not the key of an environment variable\nhint: write keys with commas between them, or `*`")]
    Env(String),
    /// Not a directory's path.
    #[error(
        "`{0}` is not a directory of a guest\nhint: write an absolute path, such as `/data`, or `/data:rw`, or `*`"
    )]
    Dir(String),
    /// Names addresses, which only an operator does.
    #[error("`{0}` names addresses\nhint: leave them out; whoever operates the host names them")]
    Addresses(String),
    /// Not a place for requests.
    #[error(transparent)]
    Http(#[from] HttpGrantError),
    /// Not a secret's name.
    #[error(transparent)]
    Secret(GrantError),
    /// Not a size.
    #[error(
        "`{0}` is not the size of a scratch directory\nhint: write one such as `64MiB`, of up to {most}",
        most = format_bytes(MAX_SCRATCH_BYTES)
    )]
    Scratch(String),
    /// Neither clock.
    #[error("`{0}` is not a clock\nhint: write `coarse` or `fine`")]
    Clock(String),
    /// More than can be needed.
    #[error("these are too many\nhint: a handler asks for at most {MAX_OF_A_KIND} of a kind")]
    TooMany,
}

fn list<T>(text: &str, read: impl Fn(&str) -> Result<T, RequestError>) -> Result<Vec<T>, RequestError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let items = parts.map(read).collect::<Result<Vec<_>, _>>()?;
    if items.len() > MAX_OF_A_KIND { Err(RequestError::TooMany) } else { Ok(items) }
}

impl GrantRequests {
    /// Reads one key of the contract's settings; false if it is not one of these.
    ///
    /// # Errors
    /// The value does not fit the key.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, RequestError> {
        match key {
            "env" => {
                self.env = list(value, |key| {
                    let fits = !key.contains(['=', '\0']);
                    fits.then(|| key.to_owned()).ok_or_else(|| RequestError::Env(key.to_owned()))
                })?;
            }
            "dirs" => self.dirs = list(value, str::parse::<DirRequest>)?,
            "http" => {
                self.any_http = value.trim() == ANY;
                self.http = list(if self.any_http { "" } else { value }, |text| {
                    let grant: HttpGrant = text.parse()?;
                    let named = grant.addresses.is_empty();
                    named.then_some(grant).ok_or_else(|| RequestError::Addresses(text.to_owned()))
                })?;
            }
            "secrets" => {
                self.secrets = list(value, |name| {
                    let fits = is_secret_name(name);
                    fits.then(|| name.to_owned())
                        .ok_or_else(|| RequestError::Secret(GrantError::Secret(name.chars().take(80).collect())))
                })?;
            }
            "scratch" => {
                let bytes = parse_bytes(value).ok().filter(|bytes| (1..=MAX_SCRATCH_BYTES).contains(bytes));
                self.scratch_bytes = Some(bytes.ok_or_else(|| RequestError::Scratch(value.to_owned()))?);
            }
            "clock" => {
                self.clock = match value {
                    "coarse" => ClockAccess::Coarse,
                    "fine" => ClockAccess::Fine,
                    _ => return Err(RequestError::Clock(value.to_owned())),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is asked for under this key, as it would be written; none when nothing is.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        fn joined<T: fmt::Display>(items: &[T]) -> Option<String> {
            (!items.is_empty()).then(|| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
        match key {
            "env" => joined(&self.env),
            "dirs" => joined(&self.dirs),
            "http" if self.any_http => Some(ANY.to_owned()),
            "http" => joined(&self.http),
            "secrets" => joined(&self.secrets),
            "scratch" => self.scratch_bytes.map(format_bytes),
            _ => (self.clock == ClockAccess::Fine).then(|| "fine".to_owned()),
        }
    }

    /// Whether an environment variable of this key is asked for.
    pub fn has_env(&self, key: &str) -> bool {
        self.env.iter().any(|asked| asked == ANY || asked == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_covered_by_path_and_access() {
        let asked = |text: &str| text.parse::<DirRequest>().expect("a request");
        assert!(asked("/data").covers("/data/", DirAccess::ReadOnly));
        assert!(!asked("/data").covers("/data", DirAccess::ReadWrite));
        assert!(asked("/data:rw").covers("/data", DirAccess::ReadOnly));
        assert!(!asked("/data:rw").covers("/data/inner", DirAccess::ReadOnly));
        assert!(asked("*").covers("/x", DirAccess::ReadOnly) && !asked("*").covers("/x", DirAccess::ReadWrite));
    }

    #[test]
    fn requests_are_bounded() {
        let mut requests = GrantRequests::default();
        let many = vec!["K"; MAX_OF_A_KIND + 1].join(",");
        assert_eq!(requests.set("env", &many), Err(RequestError::TooMany));
        assert_eq!(requests.set("speed", "9"), Ok(false));
        assert!(matches!(requests.set("http", "http://a@10.0.0.0/8"), Err(RequestError::Addresses(_))));
        assert_eq!(requests.set("http", "*"), Ok(true));
        assert!(requests.any_http && requests.http.is_empty() && requests.get("http") == Some("*".into()));
        assert_eq!(requests.set("env", "K"), Ok(true));
        assert!(requests.has_env("K") && !requests.has_env("L"));
    }
}
