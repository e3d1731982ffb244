//! What a package's versions look like from outside, and why another is not made active.
//!
//! A version is a number from 1 and a component, and neither ever changes. One of them is active: new tasks are pinned to its
//! component, and tasks that follow run whatever is active at each lease.

use serde::{Deserialize, Serialize};
use sunaba_task::{DeciderInfo, Digest, HandlerInfo, HandlerName, Timestamp};

/// A package to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPackage {
    /// The name under which tasks ask for it.
    pub name: String,
    /// Its component.
    pub component: Digest,
    /// What the component has.
    pub handlers: Vec<HandlerInfo>,
    /// What is known of its policy, if it has one.
    pub decider: Option<DeciderInfo>,
    /// Whether it may be one that the handlers' waiting tasks do not fit.
    pub allow_signature_change: bool,
}

/// A deployed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The name under which tasks ask for it.
    pub name: String,
    /// Its component.
    pub component: Digest,
    /// The component's size.
    pub size_bytes: u64,
    /// What the component has.
    pub handlers: Vec<HandlerInfo>,
    /// What is known of its policy, if it has one.
    pub decider: Option<DeciderInfo>,
    /// When it got this component.
    pub deployed_at: Timestamp,
    /// The number of its active version, from 1; 0 for what is part of the host's program.
    pub version: u32,
    /// The version that was active before.
    pub before: Option<u32>,
}

impl Package {
    /// One of its handlers.
    pub fn handler(&self, name: &str) -> Option<&HandlerInfo> {
        self.handlers.iter().find(|handler| handler.name == name)
    }
}

/// Versions of a package that are kept, beside those that something needs.
pub const MAX_VERSIONS: usize = 100;
/// Handlers that a refusal names.
const SHOWN: usize = 10;

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageVersion {
    /// From 1; never given twice.
    pub version: u32,
    /// Its component.
    pub component: Digest,
    /// The component's size.
    pub size_bytes: u64,
    /// What the component has.
    pub handlers: Vec<HandlerInfo>,
    /// When it came.
    pub deployed_at: Timestamp,
    /// Whether it is the one that the package has now.
    pub is_active: bool,
}

/// What became of a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The package as it is now.
    pub package: Package,
    /// What has changed.
    pub change: DeployChange,
    /// Components that went with the last version that had them.
    pub dropped: Vec<Digest>,
    /// Components of the package that are kept and that nothing runs: they are neither active nor were before, and no task that
    /// has not ended is pinned to them.
    pub idle: Vec<Digest>,
}

/// What a deploy has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeployChange {
    /// There is a new version, and it is active.
    New,
    /// The component was that of an older version, which is active again.
    Again,
    /// The component is the active one already.
    Unchanged,
}

/// A wish for another version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The package.
    pub package: String,
    /// Which version. None: the one that was active before the one that is.
    pub version: Option<u32>,
    /// Whether it may be one that the handlers' waiting tasks do not fit.
    pub allow_signature_change: bool,
}

/// A handler that is not what it was, while tasks that follow wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedHandler {
    /// Which.
    pub handler: HandlerName,
    /// Whether there is one of this name at all; then its input has another schema.
    pub is_there: bool,
    /// Its tasks that follow and have not ended.
    pub waiting: u64,
}

/// Why a package has not got another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// No such package.
    #[error("no package `{0}` is deployed\nhint: `sunaba handler list` shows what there is")]
    NoPackage(String),
    /// No such version, or it is not kept any more.
    #[error(
        "the package `{package}` has no version {version}\nhint: `sunaba handler versions {package}` shows what it has"
    )]
    NoVersion {
        /// The package.
        package: String,
        /// What was asked for.
        version: u32,
    },
    /// Nothing was active before.
    #[error("the package `{0}` has had no other active version\nhint: name one with `--to`")]
    NoneBefore(String),
    /// Tasks that follow wait for handlers that are not what they were.
    #[error("{}", signature(.package, .changed))]
    Signature {
        /// The package.
        package: String,
        /// What has changed.
        changed: Vec<ChangedHandler>,
    },
}

fn signature(package: &str, changed: &[ChangedHandler]) -> String {
    let shown = changed.iter().take(SHOWN).map(|ChangedHandler { handler, is_there, waiting }| {
        let what = if *is_there { "has another input schema" } else { "is gone" };
        let tasks = if *waiting == 1 {
            "1 task that follows waits".into()
        } else {
            format!("{waiting} tasks that follow wait")
        };
        format!("`{handler}` {what}, and {tasks} for it")
    });
    let shown: Vec<_> = shown.collect();
    let more = if changed.len() > SHOWN { format!("; and {} more", changed.len() - SHOWN) } else { String::new() };
    format!(
        "this version of `{package}` does not fit its waiting tasks: {}{more}\nhint: wait until they have ended, cancel them, or \
         go ahead with `--allow-signature-change`",
        shown.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_says_which_handlers_how_many_wait_and_what_to_do() {
        let changed = |name: &str, is_there, waiting| ChangedHandler {
            handler: name.parse().expect("a name"),
            is_there,
            waiting,
        };
        let changed = vec![changed("words/count", true, 1), changed("words/sort", false, 20)];
        assert_eq!(
            VersionError::Signature { package: "words".into(), changed }.to_string(),
            "this version of `words` does not fit its waiting tasks: `words/count` has another input schema, and 1 task that \
             follows waits for it; `words/sort` is gone, and 20 tasks that follow wait for it\nhint: wait until they have \
             ended, cancel them, or go ahead with `--allow-signature-change`"
        );
    }
}
