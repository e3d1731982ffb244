//! The capabilities that an attempt gets. Without a grant a guest has no environment, no files and no network.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::secret::{MAX_SECRETS, is_secret_name};
use crate::{HttpGrant, format_bytes};

/// Directories of one attempt.
const MAX_DIRS: usize = 64;
/// Environment variables of one attempt, and their bytes together.
const MAX_ENV: usize = 256;
const MAX_ENV_BYTES: usize = 64 << 10;

/// Places of one attempt that requests may go to.
const MAX_HTTP: usize = 64;
/// The largest scratch directory.
pub const MAX_SCRATCH_BYTES: u64 = 64 << 30;
/// Where a guest has its scratch directory.
pub const SCRATCH: &str = "/scratch";

/// What a guest may do in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirAccess {
    /// List and read.
    ReadOnly,
    /// Create, change and delete too.
    ReadWrite,
}

/// A directory of the host, seen by the guest under a path of its own. Written `HOST::GUEST`, `HOST::GUEST:rw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirGrant {
    /// The directory on the host.
    pub host: PathBuf,
    /// The absolute path under which the guest sees it.
    pub guest: String,
    /// What the guest may do there.
    pub access: DirAccess,
}

/// An environment variable for the guest. Written `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvGrant {
    /// Not empty, without `=`.
    pub key: String,
    /// Any text.
    pub value: String,
}

/// How exactly a guest sees time pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClockAccess {
    /// In steps of a millisecond: enough for a handler, too little to listen to its neighbours.
    #[default]
    Coarse,
    /// As exactly as the machine does.
    Fine,
}

/// All that an attempt was granted. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Environment variables; nothing of the host's own environment is passed on.
    pub env: Vec<EnvGrant>,
    /// Directories.
    pub dirs: Vec<DirGrant>,
    /// Where requests may go.
    pub http: Vec<HttpGrant>,
    /// The names of secrets. What they are, the host looks up when an attempt begins.
    pub secrets: Vec<String>,
    /// A directory of its own at `/scratch`, empty at first and gone afterwards, for files of so many bytes together.
    pub scratch_bytes: Option<u64>,
    /// How exactly it sees time pass.
    pub clock: ClockAccess,
}

impl Grants {
    /// Whether the grants can all be given.
    ///
    /// # Errors
    /// [`GrantError::Env`]: no variable has such a key. [`GrantError::Twice`]: two directories have one guest path, or two
    /// variables one key. [`GrantError::TooMany`] and
    /// [`GrantError::Nul`]: more, or other, than a system takes.
    pub fn check(&self) -> Result<(), GrantError> {
        let texts = self.env.iter().flat_map(|grant| [&grant.key, &grant.value]);
        let bytes = texts.clone().map(|text| text.len()).sum::<usize>();
        if self.env.len() > MAX_ENV
            || self.dirs.len() > MAX_DIRS
            || bytes > MAX_ENV_BYTES
            || self.http.len() > MAX_HTTP
            || self.secrets.len() > MAX_SECRETS
        {
            return Err(GrantError::TooMany);
        }
        if let Some(name) = self.secrets.iter().find(|name| !is_secret_name(name)) {
            return Err(GrantError::Secret(name.chars().take(80).collect()));
        }
        if let Some(bytes) = self.scratch_bytes.filter(|bytes| !(1..=MAX_SCRATCH_BYTES).contains(bytes)) {
            return Err(GrantError::Scratch(bytes));
        }
        if let Some(grant) = self.env.iter().find(|grant| grant.key.is_empty() || grant.key.contains('=')) {
            return Err(GrantError::Env(format!("{}={}", grant.key, grant.value)));
        }
        if let Some(text) = texts.chain(self.dirs.iter().map(|grant| &grant.guest)).find(|text| text.contains('\0')) {
            return Err(GrantError::Nul(text.replace('\0', "\\0")));
        }
        let guests = self.dirs.iter().map(|grant| grant.guest.trim_end_matches('/'));
        let guests = guests.chain(self.scratch_bytes.map(|_| SCRATCH));
        // A secret is a variable too.
        let keys = self.env.iter().map(|grant| &grant.key).chain(&self.secrets).map(String::as_str);
        match twice(guests).or_else(|| twice(keys)) {
            Some(what) => Err(GrantError::Twice(what.to_owned())),
            None => Ok(()),
        }
    }
}

fn twice<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    texts.find(|text| !seen.insert(*text))
}

/// A text that is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Not a directory grant.
    #[error(
        "`{0}` is not a directory grant\nhint: write HOST::GUEST, such as `./data::/data`, or `./data::/data:rw` to allow writing"
    )]
    Dir(String),
    /// The guest's path does not start at its root.
    #[error("the guest path `{0}` is not absolute\nhint: write it with a leading `/`, such as `./data::/data`")]
    RelativeGuest(String),
    /// One would hide the other.
    #[error("`{0}` is granted twice\nhint: give each directory and each variable a name of its own")]
    Twice(String),
    /// More than any handler needs.
    #[error(
        "these are too many grants\nhint: at most {MAX_DIRS} directories, {MAX_HTTP} places for requests, {MAX_SECRETS} secrets, and \
         {MAX_ENV} variables of {} KiB together", MAX_ENV_BYTES >> 10
    )]
    TooMany,
    /// No system has that in a path or a variable.
    #[error("`{0}` has a zero byte\nhint: leave it out")]
    Nul(String),
    /// Not a secret's name.
    #[error("`{0}` cannot name a secret\nhint: a name has up to 64 capital letters, digits and `_`, such as `API_KEY`")]
    Secret(String),
    /// Outside what can be given.
    #[error("the scratch directory cannot have {}\nhint: it has from 1 byte to {}", format_bytes(*.0), format_bytes(MAX_SCRATCH_BYTES))]
    Scratch(u64),
    /// Not an environment variable.
    #[error("`{0}` is not an environment variable\nhint: write KEY=VALUE")]
    Env(String),
}

impl FromStr for DirGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        // From the right: a host path may hold `::`, a guest path need not.
        let (host, guest) = text.rsplit_once("::").ok_or_else(|| GrantError::Dir(text.to_owned()))?;
        let (guest, access) = match guest.rsplit_once(':') {
            None => (guest, DirAccess::ReadOnly),
            Some((guest, "ro")) => (guest, DirAccess::ReadOnly),
            Some((guest, "rw")) => (guest, DirAccess::ReadWrite),
            Some(_) => return Err(GrantError::Dir(text.to_owned())),
        };
        if host.is_empty() || guest.is_empty() {
            return Err(GrantError::Dir(text.to_owned()));
        }
        if !guest.starts_with('/') {
            return Err(GrantError::RelativeGuest(guest.to_owned()));
        }
        Ok(Self { host: host.into(), guest: guest.to_owned(), access })
    }
}

impl fmt::Display for DirGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.access {
            DirAccess::ReadOnly => "",
            DirAccess::ReadWrite => ":rw",
        };
        write!(f, "{}::{}{suffix}", self.host.display(), self.guest)
    }
}

impl FromStr for EnvGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            _ => Err(GrantError::Env(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_only_unless_said() {
        for (text, access) in [
            ("./a::/a", DirAccess::ReadOnly),
            ("./a::/a:ro", DirAccess::ReadOnly),
            ("./a::/a:rw", DirAccess::ReadWrite),
        ] {
            assert_eq!(text.parse::<DirGrant>().map(|grant| grant.access), Ok(access), "{text}");
        }
        let odd: DirGrant = "/a::b::/c".parse().expect("the last `::` splits");
        assert_eq!((odd.host, odd.guest), (PathBuf::from("/a::b"), "/c".to_owned()));
    }

    #[test]
    fn malformed_directories_are_refused() {
        for text in ["", "/a", "/a:/b", "::/b", "/a::", "/a::/b:rwx", "/a::/b:RW"] {
            assert_eq!(text.parse::<DirGrant>(), Err(GrantError::Dir(text.to_owned())), "{text}");
        }
        assert_eq!("/a::b".parse::<DirGrant>(), Err(GrantError::RelativeGuest("b".into())));
    }

    #[test]
    fn one_grant_cannot_hide_another() {
        let dirs = |guests: [&str; 2]| Grants {
            dirs: guests.map(|guest| format!("/h::{guest}").parse().expect("a grant")).into(),
            ..Grants::default()
        };
        assert_eq!(dirs(["/a", "/b"]).check(), Ok(()));
        assert_eq!(dirs(["/a", "/a/"]).check(), Err(GrantError::Twice("/a".into())));
        let env = Grants { env: ["K=1", "K=2"].map(|text| text.parse().expect("a grant")).into(), ..Grants::default() };
        assert_eq!(env.check(), Err(GrantError::Twice("K".into())));
        let secret = Grants { secrets: vec!["K".into()], env: vec![env.env[0].clone()], ..Grants::default() };
        assert_eq!(secret.check(), Err(GrantError::Twice("K".into())));
        let scratch = Grants { scratch_bytes: Some(1), ..dirs(["/a", "/scratch/"]) };
        assert_eq!(scratch.check(), Err(GrantError::Twice("/scratch".into())));
    }

    #[test]
    fn grants_are_bounded() {
        let env = |count: usize, value: &str| Grants {
            env: (0..count).map(|n| EnvGrant { key: format!("K{n}"), value: value.into() }).collect(),
            ..Grants::default()
        };
        assert_eq!(env(MAX_ENV, "v").check(), Ok(()));
        assert_eq!(env(MAX_ENV + 1, "v").check(), Err(GrantError::TooMany));
        assert_eq!(env(2, &"v".repeat(MAX_ENV_BYTES / 2)).check(), Err(GrantError::TooMany));
        for key in ["", "A=B"] {
            let env = vec![EnvGrant { key: key.into(), value: "v".into() }];
            let refused = Grants { env, ..Grants::default() }.check();
            assert_eq!(refused, Err(GrantError::Env(format!("{key}=v"))));
        }
        assert_eq!(env(1, "a\0b").check(), Err(GrantError::Nul("a\\0b".into())));
    }

    #[test]
    fn environment_values_may_hold_anything() {
        let grant: EnvGrant = "URL=a=b".parse().expect("the first `=` splits");
        assert_eq!((grant.key.as_str(), grant.value.as_str()), ("URL", "a=b"));
        assert!("NOVALUE".parse::<EnvGrant>().is_err());
        assert!("=x".parse::<EnvGrant>().is_err());
    }
}
