//! How high in their columns the vertices of a layout stand: near those that they are tied to, in their order, without overlap.

/// Passes over the columns.
const PASSES: usize = 12;
/// Between two boxes, and beside a bend.
const GAPS: (f64, f64) = (22.0, 12.0);

/// A box, or where an edge goes through a column.
#[derive(Debug, Clone, Default)]
pub(super) struct Vertex {
    pub(super) layer: usize,
    pub(super) is_bend: bool,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: Vec<usize>,
    pub(super) right: Vec<usize>,
    pub(super) x: f64,
    /// Of its middle.
    pub(super) y: f64,
}

/// Places the vertices of each column, from the top on; how high all of it is.
pub(super) fn place(columns: &[Vec<usize>], vertices: &mut [Vertex]) -> f64 {
    for column in columns {
        let wished: Vec<f64> = vec![0.0; column.len()];
        set(column, vertices, &wished);
    }
    for pass in 0..PASSES {
        let from_left = pass % 2 == 0;
        for step in 0..columns.len() {
            let column = &columns[if from_left { step } else { columns.len() - 1 - step }];
            let is_last = pass + 2 >= PASSES;
            let wished: Vec<_> =
                column.iter().map(|index| wish(&vertices[*index], vertices, from_left, is_last)).collect();
            set(column, vertices, &wished);
        }
    }
    let top = vertices.iter().map(|vertex| vertex.y - vertex.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = vertices.iter().map(|vertex| vertex.y + vertex.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
    if vertices.is_empty() {
        return 0.0;
    }
    vertices.iter_mut().for_each(|vertex| vertex.y -= top);
    bottom - top
}

/// Where a vertex would like to be: in the middle of its ties. Those between bends pull more, so that long edges are straight.
fn wish(vertex: &Vertex, vertices: &[Vertex], from_left: bool, both: bool) -> f64 {
    let (near, far) = if from_left { (&vertex.left, &vertex.right) } else { (&vertex.right, &vertex.left) };
    let far: &[usize] = if both || near.is_empty() { far } else { &[] };
    let (mut sum, mut weight) = (0.0, 0.0);
    for other in near.iter().chain(far).map(|index| &vertices[*index]) {
        let pull = if vertex.is_bend && other.is_bend { 6.0 } else { 1.0 };
        sum += other.y * pull;
        weight += pull;
    }
    if weight > 0.0 { sum / weight } else { vertex.y }
}

/// Puts the vertices of a column as near to where they wish to be as their order and their sizes let them: the least sum of
/// squares, by joining neighbours that are in each other's way. Source: isotonic regression, M. Ayer and others, 1955.
fn set(column: &[usize], vertices: &mut [Vertex], wished: &[f64]) {
    let (mut offsets, mut offset) = (Vec::with_capacity(column.len()), 0.0);
    for (place, index) in column.iter().enumerate() {
        if let Some(before) = place.checked_sub(1).map(|before| &vertices[column[before]]) {
            let vertex = &vertices[*index];
            let gap = if before.is_bend || vertex.is_bend { GAPS.1 } else { GAPS.0 };
            offset += (before.height + vertex.height) / 2.0 + gap;
        }
        offsets.push(offset);
    }
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (wish, offset) in wished.iter().zip(&offsets) {
        let mut block = (wish - offset, 1);
        while let Some((sum, count)) = blocks.last().copied()
            && sum / count as f64 > block.0 / block.1 as f64
        {
            block = (block.0 + sum, block.1 + count);
            blocks.pop();
        }
        blocks.push(block);
    }
    let settled = blocks.iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
    for ((index, offset), at) in column.iter().zip(offsets).zip(settled) {
        vertices[*index].y = at + offset;
    }
}
