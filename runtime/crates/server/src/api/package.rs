//! Packages, their handlers, and the host itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunaba_host::{Asked, Change};
#[cfg(feature = "serve")]
use sunaba_host::{Deployed, Difference};
use sunaba_store::{DeployChange, Package};
use sunaba_task::HandlerInfo;

use super::UsageView;

/// A deployed package.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PackageView {
    /// Its name.
    pub name: String,
    /// Its component's digest.
    pub component: String,
    /// Its component's size.
    pub size_bytes: u64,
    /// When it got this component.
    pub deployed_at: String,
    /// The number of its active version; 0 for what is part of the host's program.
    pub version: u32,
    /// The version that was active before.
    pub before: Option<u32>,
    /// What a deploy has changed, in its answer: `new`, `again` when an older version is active again, or `unchanged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<DeployChange>,
    /// What it has.
    pub handlers: Vec<HandlerView>,
    /// That it has a policy, and how pure that is by its making: `pure: no imports`, or so many imports, each a trap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<String>,
    /// Why its tasks wait: its component is not compiled on this host yet, or cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What this deploy has changed. Only in the answer to one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Limits that handlers state and do not get, since the host allows less. Only in the answer to a deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lowered: Vec<String>,
}

/// What a deploy would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PreviewView {
    /// Against the active version; at the first deploy, all that there is.
    pub changes: Vec<Change>,
    /// Limits that handlers state and do not get, since the host allows less.
    pub lowered: Vec<String>,
    /// Whether it would be refused unless it is allowed to widen.
    pub widens: bool,
}

/// How a component is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeployQuestion {
    /// Whether it may do and use more than the active version.
    pub allow_widening: bool,
    /// Whether handlers may go, or take another input, though tasks that follow wait for them.
    pub allow_signature_change: bool,
}

/// Every package.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PackagesView {
    /// By name.
    pub packages: Vec<PackageView>,
}

/// A handler.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HandlerView {
    /// `package/handler`.
    pub name: String,
    /// What it does, in Markdown.
    pub doc: String,
    /// JSON Schema of the input; null means any bytes.
    pub input_schema: Option<Box<RawValue>>,
    /// JSON Schema of the output; null means any bytes.
    pub output_schema: Option<Box<RawValue>>,
    /// Its own options, as written in the handler attribute.
    pub settings: BTreeMap<String, String>,
    /// What its attempts have used, in all versions. Null in lists, and before its first attempt has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageView>,
    /// The interfaces that its component imports. Null in lists, and for what is part of the host's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports: Option<Vec<String>>,
    /// What it asks for, and whether this host allows that. Null in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Vec<Asked>>,
}

/// The host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostView {
    /// Of sunaba.
    pub version: String,
    /// Attempts at a time.
    pub slots: usize,
    /// Attempts that run now.
    pub running: usize,
    /// What the attempts that run at a time may hold of the machine's memory. Null: no matter how much.
    pub memory_budget_bytes: Option<u64>,
    /// What those that run now may hold of it.
    pub memory_held_bytes: u64,
    /// When what the host answers is on stable storage: `sync`, before the answer, or `relaxed(50ms)`, so long after it.
    pub durability: String,
    /// Whether tasks follow the active version of their package when their submitters do not say.
    #[serde(default)]
    pub follow_active: bool,
}

impl From<&Package> for PackageView {
    fn from(package: &Package) -> Self {
        Self {
            name: package.name.clone(),
            component: package.component.to_string(),
            size_bytes: package.size_bytes,
            deployed_at: package.deployed_at.to_string(),
            version: package.version,
            before: package.before,
            change: None,
            handlers: package.handlers.iter().map(|handler| HandlerView::new(&package.name, handler)).collect(),
            decider: package.decider.map(|decider| decider.to_string()),
            changes: Vec::new(),
            lowered: Vec::new(),
            problem: None,
        }
    }
}

#[cfg(feature = "serve")]
impl From<Deployed> for PackageView {
    fn from(deployed: Deployed) -> Self {
        let Difference { changes, lowered } = deployed.difference;
        Self { change: Some(deployed.change), changes, lowered, ..Self::from(&*deployed.package) }
    }
}

#[cfg(feature = "serve")]
impl From<Difference> for PreviewView {
    fn from(Difference { changes, lowered }: Difference) -> Self {
        let widens = changes.iter().any(|change| change.widens);
        Self { changes, lowered, widens }
    }
}

impl HandlerView {
    /// A package's handler.
    pub fn new(package: &str, handler: &HandlerInfo) -> Self {
        let schema = |text: &Option<String>| text.clone().and_then(|text| RawValue::from_string(text).ok());
        Self {
            name: format!("{package}/{}", handler.name),
            doc: handler.doc.clone(),
            input_schema: schema(&handler.input_schema),
            output_schema: schema(&handler.output_schema),
            settings: handler.settings.given().map(|(key, value)| (key.to_owned(), value)).collect(),
            usage: None,
            imports: None,
            asks: None,
        }
    }
}
