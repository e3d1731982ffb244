//! The longest chain of ends: from what ended last, back to what it waited for that ended last, to the job's submit. Of a job
//! that has not ended: from what it waits for now.
//!
//! A node with a plan of its own has run before its children have, and has ended after them: going back from its end leads
//! through its plan, and then to itself.

use sunaba_task::{StateName, Timestamp};

use super::graph::JobGraph;

/// Where the way back has come to.
#[derive(Clone, Copy)]
enum At {
    /// The end of a node, which is that of its plan if it has one.
    End(usize),
    /// A node's own attempts.
    Own(usize),
}

impl JobGraph {
    /// Finds the longest chain, and marks it.
    pub(super) fn mark_path(&mut self) {
        self.path = self.walk_back();
        for index in &self.path {
            self.nodes[*index].critical = true;
        }
        let mut place = vec![None; self.nodes.len()];
        for (step, index) in self.path.iter().enumerate() {
            place[*index] = Some(step);
        }
        // Between two of one plan there may be what is in the first one's own.
        for edge in &mut self.edges {
            let steps = place[edge.from].zip(place[edge.to]);
            edge.critical = steps.is_some_and(|(from, to)| {
                let between = self.path.get(from + 1..to);
                between.is_some_and(|between| between.iter().all(|index| is_within(&self.nodes, *index, edge.from)))
            });
        }
    }

    fn walk_back(&self) -> Vec<usize> {
        let mut awaited = vec![Vec::new(); self.nodes.len()];
        // Of those for which there was no room nobody can say which it was.
        for edge in self.edges.iter().filter(|edge| !self.is_rest(edge.from)) {
            awaited[edge.to].push(edge.from);
        }
        let children = self.children();
        let (mut path, mut seen) = (Vec::new(), vec![false; self.nodes.len()]);
        let mut at = self.last().map(At::End);
        while let Some(here) = at {
            let (At::End(index) | At::Own(index)) = here;
            let may_come = |child: &usize| !self.nodes[*child].undoes && !seen[*child] && !self.is_rest(*child);
            let within = children[index].iter().copied().filter(may_come);
            if let (At::End(_), Some(last)) = (here, within.max_by_key(|child| self.end(*child)))
                && !self.nodes[index].undoes
            {
                at = Some(At::End(last));
                continue;
            }
            if std::mem::replace(&mut seen[index], true) {
                break;
            }
            path.push(index);
            at = self.before(index, &awaited[index], &seen);
        }
        path.reverse();
        path
    }

    /// What had to end before a node began.
    fn before(&self, index: usize, awaited: &[usize], seen: &[bool]) -> Option<At> {
        let node = &self.nodes[index];
        let began = node.started_at.or(node.ended_at).unwrap_or(self.now);
        let in_time = |other: &usize| self.nodes[*other].ended_at.is_some_and(|end| end <= began);
        if node.undoes {
            // Of two within one millisecond each has ended when the other began.
            let undone =
                (0..self.nodes.len()).filter(|other| !seen[*other] && self.nodes[*other].undoes).filter(in_time);
            let before = undone.max_by_key(|other| self.end(*other));
            let planned =
                (0..self.nodes.len()).filter(|other| !self.nodes[*other].undoes && self.nodes[*other].parent.is_none());
            let planned = planned.filter(|other| !self.is_rest(*other));
            // What was not run has taken no time.
            let planned = planned.filter(in_time).max_by_key(|other| (self.has_begun(*other), self.end(*other)));
            return before.or(planned).map(At::End);
        }
        // One that did not run for what had failed before others ended had not to wait for these.
        let ended = awaited.iter().copied().filter(in_time).max_by_key(|other| self.end(*other));
        let last = || awaited.iter().copied().max_by_key(|other| self.end(*other));
        ended.or_else(last).map(At::End).or(node.parent.map(At::Own))
    }

    /// Where the chain ends.
    fn last(&self) -> Option<usize> {
        let is_last =
            |index: &usize| (self.nodes[*index].parent.is_none() || self.nodes[*index].undoes) && !self.is_rest(*index);
        let ended =
            || (0..self.nodes.len()).filter(is_last).max_by_key(|index| (self.has_begun(*index), self.end(*index)));
        if self.state.is_terminal() {
            return ended();
        }
        let unfinished =
            (0..self.nodes.len()).filter(|index| !self.nodes[*index].state.is_terminal() && !self.is_rest(*index));
        // What waits for others waits for what those wait for.
        let order = |index: &usize| {
            let node = &self.nodes[*index];
            (node.state == StateName::Blocked, node.started_at.unwrap_or(node.submitted_at), *index)
        };
        unfinished.min_by_key(order).or_else(ended)
    }

    fn has_begun(&self, index: usize) -> bool {
        self.nodes[index].started_at.is_some()
    }

    /// When it ended, or that it has not; of two at once, the later by name.
    fn end(&self, index: usize) -> (bool, Option<Timestamp>, usize) {
        let end = self.nodes[index].ended_at;
        (end.is_none() && !self.state.is_terminal(), end, index)
    }
}

/// Whether a node is in the plan of another, however deep.
fn is_within(nodes: &[super::GraphNode], index: usize, other: usize) -> bool {
    let mut parent = nodes[index].parent;
    // A parent stands before its children.
    while let Some(at) = parent.filter(|at| *at >= other) {
        if at == other {
            return true;
        }
        parent = nodes[at].parent;
    }
    false
}
