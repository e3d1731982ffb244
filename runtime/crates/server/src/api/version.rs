//! The versions of a package, and going back to one.

use serde::{Deserialize, Serialize};
use sunaba_store::PackageVersion;

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionView {
    /// From 1; never given twice.
    pub version: u32,
    /// Whether it is the one that the package has now.
    pub active: bool,
    /// Its component's digest.
    pub component: String,
    /// Its component's size.
    pub size_bytes: u64,
    /// When it came.
    pub deployed_at: String,
    /// The names of its handlers.
    pub handlers: Vec<String>,
}

/// The versions of a package that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionsView {
    /// Its name.
    pub package: String,
    /// Newest first.
    pub versions: Vec<VersionView>,
}

/// A wish for another version of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// Which. Null: the one that was active before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Though tasks that follow wait for a handler that it does not have, or that takes another input there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_signature_change: bool,
}

impl From<PackageVersion> for VersionView {
    fn from(version: PackageVersion) -> Self {
        Self {
            version: version.version,
            active: version.is_active,
            component: version.component.to_string(),
            size_bytes: version.size_bytes,
            deployed_at: version.deployed_at.to_string(),
            handlers: version.handlers.into_iter().map(|handler| handler.name).collect(),
        }
    }
}
