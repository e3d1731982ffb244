//! Nodes of a plan that stand together in the picture: members of one group that wait for the same, and for which the same
//! waits, are drawn side by side in one frame, with one edge in and one out. That is what a reader would see in a hundred
//! edges, too.

use std::collections::BTreeMap;

use super::super::graph::JobGraph;
use super::card::CARD_HEIGHT;

/// Fewer are drawn one by one.
const MIN_MEMBERS: usize = 4;

/// What takes one place in the layout.
pub(super) struct Block {
    pub(super) nodes: Vec<usize>,
    /// Whether it is one card alone, or with what undoes it under it.
    is_card: bool,
}

impl Block {
    /// How many stand side by side: so that it is about half as high again as it is wide.
    pub(super) fn columns(&self) -> usize {
        ((self.nodes.len() as f64 / 5.0).sqrt().ceil() as usize).max(1)
    }

    /// How far down edges begin and end.
    pub(super) fn middle(&self, height: f64) -> f64 {
        if self.is_card { CARD_HEIGHT / 2.0 } else { height / 2.0 }
    }
}

/// The group of a node's name.
fn group(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(group, _)| group)
}

/// The blocks of a plan. Only nodes that are nothing but a card stand together.
pub(super) fn blocks(graph: &JobGraph, plan: &[usize], is_plain: impl Fn(usize) -> bool) -> Vec<Block> {
    let mut ties = vec![(Vec::new(), Vec::new()); graph.nodes.len()];
    for edge in &graph.edges {
        ties[edge.from].1.push(edge.to);
        ties[edge.to].0.push(edge.from);
    }
    let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for index in plan.iter().copied().filter(|index| is_plain(*index) && graph.nodes[*index].fold.is_none()) {
        let (before, after) = &mut ties[index];
        before.sort_unstable();
        after.sort_unstable();
        if let Some(group) = group(&graph.nodes[index].name) {
            alike.entry((group, before.clone(), after.clone())).or_default().push(index);
        }
    }
    let mut blocks: Vec<_> = alike
        .into_values()
        .filter(|nodes| nodes.len() >= MIN_MEMBERS)
        .map(|nodes| Block { nodes, is_card: false })
        .collect();
    let mut together = vec![false; graph.nodes.len()];
    blocks.iter().flat_map(|block| &block.nodes).for_each(|index| together[*index] = true);
    let alone = plan.iter().copied().filter(|index| !together[*index]);
    let has_frame = |index: usize| graph.nodes.iter().any(|node| node.parent == Some(index) && !node.undoes);
    blocks.extend(alone.map(|index| Block { nodes: vec![index], is_card: is_plain(index) || !has_frame(index) }));
    blocks.sort_by_key(|block| block.nodes[0]);
    blocks
}
