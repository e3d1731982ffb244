//! The names of nodes, and of what a node can wait for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of a node, in bytes.
const MAX_BYTES: usize = 128;

/// A node's name in its plan. What stands before its last `/` is the group that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct NodeName(String);

/// A text that can name no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a task of a job\nhint: a name has 1 to {MAX_BYTES} bytes of visible ASCII without `*`; `GROUP/NAME` puts \
     it into a group, and `GROUP/*` stands for all of that"
)]
pub struct NodeNameError(String);

impl NodeName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The group that it is in.
    pub fn group(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(group, _)| group)
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'*';
        let is_name = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_visible);
        if is_name && text.split('/').all(|part| !part.is_empty()) {
            Ok(Self(text.into()))
        } else {
            Err(NodeNameError(text.chars().take(MAX_BYTES).collect()))
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: String) -> Result<Self, NodeNameError> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a node can wait for; written as the name of a node, or as `GROUP/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub enum Awaited {
    /// One node.
    Node(NodeName),
    /// Every node of a group.
    Group(String),
}

impl FromStr for Awaited {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        match text.strip_suffix("/*") {
            // A group's name is what could stand before the name of one of its nodes.
            Some(group) => match group.parse() {
                Ok(NodeName(group)) => Ok(Self::Group(group)),
                Err(_) => Err(NodeNameError(text.chars().take(MAX_BYTES).collect())),
            },
            None => text.parse().map(Self::Node),
        }
    }
}

impl TryFrom<String> for Awaited {
    type Error = NodeNameError;

    fn try_from(text: String) -> Result<Self, NodeNameError> {
        text.parse()
    }
}

impl From<Awaited> for String {
    fn from(awaited: Awaited) -> Self {
        awaited.to_string()
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => name.fmt(f),
            Self::Group(group) => f.pad(&format!("{group}/*")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_is_what_stands_before_the_last_slash() {
        let group = |name: &str| name.parse::<NodeName>().expect("a name").group().map(str::to_owned);
        assert_eq!(group("report"), None);
        assert_eq!(group("crate/serde-1.0.228"), Some("crate".into()));
        assert_eq!(group("a/b/c"), Some("a/b".into()));
    }

    #[test]
    fn what_is_awaited_reads_back() {
        for text in ["report", "crate/serde", "crate/*", "a/b/*"] {
            assert_eq!(text.parse::<Awaited>().expect("it can be awaited").to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "x".repeat(MAX_BYTES + 1);
        for text in ["", "*", "/*", "a b", "a/", "/a", "a//b", "a*", "a/*/b", "\u{e9}", "a\n", &long] {
            assert!(text.parse::<NodeName>().is_err() && text.parse::<Awaited>().is_err(), "{text}");
        }
        assert!(long[1..].parse::<NodeName>().is_ok());
    }
}
