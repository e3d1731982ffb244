//! How a job's graph is asked for.

use serde::{Deserialize, Serialize};

/// What is asked of a job's graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphQuestion {
    /// As what; as JSON unless told otherwise.
    pub format: Option<GraphFormat>,
    /// Groups with more members than this are folded into one node; from 1 to 2,000, and 20 unless told otherwise.
    pub fold: Option<usize>,
}

/// As what a graph is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GraphFormat {
    /// For programs.
    Json,
    /// A tree for terminals of 80 columns.
    Text,
    /// For Graphviz.
    Dot,
    /// A picture.
    Svg,
}
