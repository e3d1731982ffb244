//! Lays a graph out in layers, from left to right: each node right of all that it waits for, in an order with few crossings.
//!
//! Longest paths give the layers, some sweeps of barycenters the order in each; an edge that goes over layers has a place
//! in every one of them, so that it passes between nodes. All of that is bounded, and the same for the same graph.
//! Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", 1981.

use super::graph::GraphEdge;
use super::place::{Vertex, place};

/// Sweeps over the layers that look for an order.
const SWEEPS: usize = 12;
/// Places of edges in the layers that they go over; edges beyond that go straight.
const MAX_BENDS: usize = 6_000;
/// Between two layers.
const GAP: f64 = 64.0;

/// Where things are.
pub(super) struct Layout {
    /// The upper left corner of each item.
    pub(super) at: Vec<(f64, f64)>,
    /// Between its ends, where each edge goes along: through a column from here, so far to the right.
    pub(super) bends: Vec<Vec<(f64, f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The layer of each node of a graph. Where groups are folded there may be circles: what closes one counts for nothing.
pub(super) fn layers(count: usize, edges: &[GraphEdge]) -> Vec<usize> {
    let pairs: Vec<_> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    layers_of(count, &pairs)
}

fn layers_of(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut after = vec![Vec::new(); count];
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        after[*from].push(*to);
    }
    let order = topological(&after);
    let mut position = vec![0; count];
    order.iter().enumerate().for_each(|(place, node)| position[*node] = place);
    let mut layers = vec![0; count];
    for node in order {
        for next in &after[node] {
            if position[*next] > position[node] {
                layers[*next] = layers[*next].max(layers[node] + 1);
            }
        }
    }
    layers
}

/// The nodes, each before those after it, as far as there are no circles.
fn topological(after: &[Vec<usize>]) -> Vec<usize> {
    let (mut seen, mut order) = (vec![false; after.len()], Vec::with_capacity(after.len()));
    // By hand: a chain may be longer than a stack is deep.
    let mut path: Vec<(usize, usize)> = Vec::new();
    for start in (0..after.len()).rev() {
        if !std::mem::replace(&mut seen[start], true) {
            path.push((start, 0));
        }
        while let Some((node, next)) = path.last_mut() {
            match after[*node].get(*next) {
                None => {
                    order.push(*node);
                    path.pop();
                }
                Some(to) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[*to], true) {
                        path.push((*to, 0));
                    }
                }
            }
        }
    }
    order.reverse();
    order
}

/// Lays out items of these sizes.
pub(super) fn layout(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Layout {
    let layers = layers_of(sizes.len(), edges);
    let mut vertices: Vec<_> = sizes
        .iter()
        .zip(&layers)
        .map(|((width, height), layer)| Vertex { layer: *layer, width: *width, height: *height, ..Vertex::default() })
        .collect();
    let chains: Vec<Vec<usize>> =
        edges.iter().map(|(from, to)| chain(&mut vertices, *from, *to, sizes.len())).collect();
    let depth = layers.iter().max().map_or(0, |last| last + 1);
    let mut columns = vec![Vec::new(); depth];
    for (index, vertex) in vertices.iter().enumerate() {
        columns[vertex.layer].push(index);
    }
    order(&mut columns, &vertices);
    let height = place(&columns, &mut vertices);
    let mut x = 0.0;
    for column in &columns {
        let width = column.iter().map(|index| vertices[*index].width).fold(0.0, f64::max);
        for index in column {
            let vertex = &mut vertices[*index];
            // An edge goes straight on beside the boxes of a column, and turns between two.
            if vertex.is_bend {
                vertex.width = width;
            }
            vertex.x = x + (width - vertex.width) / 2.0;
        }
        x += width + GAP;
    }
    let corner = |vertex: &Vertex| (vertex.x, vertex.y - vertex.height / 2.0);
    let bend = |index: &usize| (vertices[*index].x, vertices[*index].y, vertices[*index].width);
    Layout {
        at: vertices.iter().take(sizes.len()).map(corner).collect(),
        bends: chains.iter().map(|chain| chain.iter().map(bend).collect()).collect(),
        width: (x - GAP).max(0.0),
        height,
    }
}

/// Ties two vertices together, over one in every layer between them, which are given.
fn chain(vertices: &mut Vec<Vertex>, from: usize, to: usize, items: usize) -> Vec<usize> {
    let (first, last) = (vertices[from].layer, vertices[to].layer);
    let mut chain = Vec::new();
    if last <= first {
        return chain;
    }
    if vertices.len() - items + (last - first) <= MAX_BENDS {
        for layer in first + 1..last {
            chain.push(vertices.len());
            vertices.push(Vertex { layer, is_bend: true, height: 10.0, ..Vertex::default() });
        }
    } else if last > first + 1 {
        return chain;
    }
    let all: Vec<_> = std::iter::once(from).chain(chain.iter().copied()).chain([to]).collect();
    for pair in all.windows(2) {
        vertices[pair[0]].right.push(pair[1]);
        vertices[pair[1]].left.push(pair[0]);
    }
    chain
}

/// Orders the columns: each by where those are that its vertices are tied to, from the left and from the right in turn. The
/// order with the fewest crossings is kept.
fn order(columns: &mut [Vec<usize>], vertices: &[Vertex]) {
    let mut position = vec![0.0; vertices.len()];
    let note = |column: &[usize], position: &mut Vec<f64>| {
        column.iter().enumerate().for_each(|(place, index)| position[*index] = place as f64);
    };
    columns.iter().for_each(|column| note(column, &mut position));
    let mut best = (crossings(columns, vertices, &position), columns.to_vec());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let from_left = sweep % 2 == 0;
        for step in 0..columns.len() {
            let column = if from_left { step } else { columns.len() - 1 - step };
            let mut keyed: Vec<_> = columns[column]
                .iter()
                .map(|index| {
                    let tied = if from_left { &vertices[*index].left } else { &vertices[*index].right };
                    let sum: f64 = tied.iter().map(|other| position[*other]).sum();
                    (if tied.is_empty() { position[*index] } else { sum / tied.len() as f64 }, *index)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            columns[column] = keyed.into_iter().map(|(_, index)| index).collect();
            note(&columns[column], &mut position);
        }
        let found = crossings(columns, vertices, &position);
        if found < best.0 {
            best = (found, columns.to_vec());
        }
    }
    columns.clone_from_slice(&best.1);
}

/// How many pairs of ties cross each other.
fn crossings(columns: &[Vec<usize>], vertices: &[Vertex], position: &[f64]) -> u64 {
    let mut crossings = 0;
    for column in columns {
        let mut ends = Vec::new();
        for index in column {
            let mut to: Vec<_> = vertices[*index].right.iter().map(|other| position[*other] as usize).collect();
            to.sort_unstable();
            ends.extend(to);
        }
        // Those that ended further on before, by a tree of sums.
        let mut sums = vec![0_u64; ends.iter().max().map_or(0, |last| last + 2)];
        for (before, end) in ends.iter().enumerate() {
            let (mut place, mut no_further) = (end + 1, 0);
            while place > 0 {
                no_further += sums[place];
                place &= place - 1;
            }
            crossings += before as u64 - no_further;
            place = end + 1;
            while place < sums.len() {
                sums[place] += 1;
                place += place & place.wrapping_neg();
            }
        }
    }
    crossings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(count: usize) -> Vec<(f64, f64)> {
        vec![(100.0, 50.0); count]
    }

    #[test]
    fn layer_is_the_longest_way_and_circles_end() {
        assert_eq!(layers_of(4, &[(0, 1), (1, 2), (0, 2), (0, 3)]), [0, 1, 2, 1]);
        let circle = layers_of(3, &[(0, 1), (1, 0), (1, 2), (2, 2)]);
        assert!(circle.iter().all(|layer| *layer < 3), "{circle:?}");
        let chain: Vec<_> = (0..99_999).map(|node| (node, node + 1)).collect();
        assert_eq!(layers_of(100_000, &chain)[99_999], 99_999);
    }

    #[test]
    fn nodes_do_not_overlap_and_edges_go_to_the_right() {
        let edges = [(0, 3), (1, 2), (0, 2), (2, 4), (3, 4), (1, 4), (0, 4)];
        let sizes = [(100.0, 50.0), (80.0, 90.0), (100.0, 20.0), (60.0, 50.0), (100.0, 50.0)];
        let layout = layout(&sizes, &edges);
        for (from, to) in edges {
            assert!(layout.at[from].0 + sizes[from].0 < layout.at[to].0);
        }
        for a in 0..5 {
            for b in 0..a {
                let apart = |axis: fn((f64, f64)) -> f64| {
                    let (first, second) = (axis(layout.at[a]), axis(layout.at[b]));
                    first + axis(sizes[a]) <= second || second + axis(sizes[b]) <= first
                };
                assert!(apart(|pair| pair.0) || apart(|pair| pair.1), "{a} {b} {:?}", layout.at);
            }
        }
        assert!(
            layout
                .at
                .iter()
                .zip(sizes)
                .all(|(at, size)| at.0 + size.0 <= layout.width && at.1 + size.1 <= layout.height + 1e-6)
        );
    }

    #[test]
    fn crossings_that_need_not_be_are_not() {
        let edges = [(0, 5), (1, 4), (2, 3)];
        let layout = layout(&boxes(6), &edges);
        let y = |node: usize| layout.at[node].1;
        assert!(y(0) < y(1) && y(1) < y(2) && y(5) < y(4) && y(4) < y(3));
        assert!((y(0) - y(5)).abs() < 1e-6, "a lone edge is straight");
    }
}
