//! Where a value of the configuration comes from, and what is wrong with one.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from. The later in this list, the more it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    /// The file.
    File {
        /// As it was named.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// A variable of the environment.
    Env(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// With an optional `hint:` line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str(&self.message),
            Origin::File { path, line, column } => write!(f, "{}:{line}:{column}: {}", path.display(), self.message),
            Origin::Env(name) | Origin::Flag(name) => write!(f, "`{name}`: {}", self.message),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`: {problem}\nhint: {hint}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// All that is wrong with it, in the order in which it stands there; at least one.
    #[error("{}", told(.0))]
    Wrong(Vec<Problem>),
}

fn told(problems: &[Problem]) -> String {
    let Some(first) = problems.first() else { return "the configuration is wrong".into() };
    let first = first.to_string();
    match problems.len() {
        0 | 1 => first,
        all => {
            // Before the hint, which ends the message.
            let (message, hint) = first.split_once("\nhint: ").map_or((first.as_str(), None), |(a, b)| (a, Some(b)));
            let more = format!("{message} (and {} more: `sunaba config validate` shows them)", all - 1);
            hint.map_or_else(|| more.clone(), |hint| format!("{more}\nhint: {hint}"))
        }
    }
}

/// A value, and where it comes from, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// With its section, such as `host.data`.
    pub key: String,
    /// As it is written; never a secret.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}
