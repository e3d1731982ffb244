//! A plan as a graph: its names are unique, what it waits for is there, and nothing waits for itself.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use super::{After, Awaited, Node, NodeName};
use crate::{format_bytes, format_count, nearest};

/// The most nodes of one plan. A larger job is a plan whose nodes make plans of their own.
pub const MAX_PLAN_NODES: usize = 100_000;
/// The most bytes of one plan, with all that its nodes are given.
pub const MAX_PLAN_BYTES: u64 = 128 << 20;
/// The most that one node waits for by name. More is a group.
pub const MAX_DEPENDENCIES: usize = 1_000;
/// The most that all nodes of one plan wait for, each counted for each node that waits for it; a group counts as one.
pub const MAX_PLAN_EDGES: usize = 200_000;
/// The names of a cycle that are told; a longer one is cut in its middle.
const SHOWN_NAMES: usize = 12;

/// Why a plan cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is too large.
    #[error(
        "the plan has {} tasks, and one plan has at most {}\nhint: let tasks decompose into the rest, or submit several jobs",
        count(*nodes), count(MAX_PLAN_NODES)
    )]
    TooManyNodes {
        /// How many it has.
        nodes: usize,
    },
    /// What its nodes are given is too much.
    #[error(
        "the plan has {}, and one plan has at most {}\nhint: give its tasks smaller inputs and environments, or submit several jobs",
        format_bytes(*.bytes), format_bytes(*.limit)
    )]
    TooManyBytes {
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        limit: u64,
    },
    /// Its nodes wait for too much, all together.
    #[error(
        "the tasks of the plan have {} dependencies, and one plan has at most {}\nhint: name tasks `GROUP/NAME`, and wait for \
         `GROUP/*`, which is one dependency",
        count(*edges), count(MAX_PLAN_EDGES)
    )]
    TooManyEdges {
        /// How many there are.
        edges: usize,
    },
    /// Two nodes have one name.
    #[error("two tasks of the plan are named `{0}`\nhint: a name stands for one task of its plan")]
    Repeated(NodeName),
    /// There is no such node.
    #[error("`{node}` waits for `{awaited}`, which the plan does not have\nhint: {hint}")]
    Unknown {
        /// Who waits.
        node: NodeName,
        /// For what.
        awaited: Awaited,
        /// What it may have meant.
        hint: String,
    },
    /// It waits for the same twice.
    #[error("`{node}` waits for `{awaited}` twice\nhint: say it once, with the rule that you mean")]
    RepeatedAfter {
        /// Who waits.
        node: NodeName,
        /// For what.
        awaited: Awaited,
    },
    /// It waits for too many.
    #[error(
        "`{node}` waits for {} tasks by name, and the limit is {}\nhint: name them `GROUP/NAME`, and wait for `GROUP/*`",
        count(*found), count(MAX_DEPENDENCIES)
    )]
    TooManyDependencies {
        /// Who waits.
        node: NodeName,
        /// For how many.
        found: usize,
    },
    /// Something waits for itself.
    #[error("tasks of the plan wait for each other in a circle: {0}\nhint: take one of these dependencies out")]
    Cycle(String),
}

fn count(number: usize) -> String {
    format_count(number as u64)
}

/// What a plan is checked by, whatever its nodes are besides.
pub trait Placed {
    /// Unique in the plan.
    fn name(&self) -> &NodeName;
    /// What has to end before.
    fn after(&self) -> &[After];
}

impl Placed for Node {
    fn name(&self) -> &NodeName {
        &self.name
    }

    fn after(&self) -> &[After] {
        &self.after
    }
}

/// A plan that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The places of its nodes in the plan, each after all that it waits for.
    pub order: Vec<usize>,
    /// The groups that somebody waits for, by name, with their members.
    pub groups: Vec<(String, u64)>,
}

impl Graph {
    /// Checks a plan.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn of<N: Placed>(nodes: &[N]) -> Result<Self, PlanError> {
        if nodes.len() > MAX_PLAN_NODES {
            return Err(PlanError::TooManyNodes { nodes: nodes.len() });
        }
        // Before anything is made of them: each costs a look when its node is made.
        let edges = nodes.iter().map(|node| node.after().len()).sum();
        if edges > MAX_PLAN_EDGES {
            return Err(PlanError::TooManyEdges { edges });
        }
        let mut plan = Plan {
            nodes,
            by_name: HashMap::new(),
            members: HashMap::new(),
            groups: Vec::new(),
            by_group: HashMap::new(),
        };
        for (place, node) in nodes.iter().enumerate() {
            if plan.by_name.insert(node.name().as_str(), place).is_some() {
                return Err(PlanError::Repeated(node.name().clone()));
            }
            if let Some(group) = node.name().group() {
                plan.members.entry(group).or_default().push(place);
            }
        }
        for node in nodes {
            plan.check_after(node)?;
        }
        let order = plan.order()?;
        let counted = |group: &&str| ((*group).to_owned(), plan.members.get(group).map_or(0, Vec::len) as u64);
        Ok(Self { order, groups: plan.groups.iter().map(counted).collect() })
    }
}

struct Plan<'p, N> {
    nodes: &'p [N],
    by_name: HashMap<&'p str, usize>,
    members: HashMap<&'p str, Vec<usize>>,
    /// The groups that somebody waits for. Their places are behind those of the nodes.
    groups: Vec<&'p str>,
    by_group: HashMap<&'p str, usize>,
}

/// How far a visit has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Not,
    Begun,
    Done,
}

impl<'p, N: Placed> Plan<'p, N> {
    fn check_after(&mut self, node: &'p N) -> Result<(), PlanError> {
        let found = node.after().len();
        if found > MAX_DEPENDENCIES {
            return Err(PlanError::TooManyDependencies { node: node.name().clone(), found });
        }
        let mut seen = HashSet::with_capacity(found);
        for After { awaited, .. } in node.after() {
            if !seen.insert(awaited) {
                return Err(PlanError::RepeatedAfter { node: node.name().clone(), awaited: awaited.clone() });
            }
            match awaited {
                Awaited::Node(name) if !self.by_name.contains_key(name.as_str()) => {
                    let (node, awaited, hint) = (node.name().clone(), awaited.clone(), self.hint(name.as_str()));
                    return Err(PlanError::Unknown { node, awaited, hint });
                }
                Awaited::Node(_) => {}
                // One without members is nothing to wait for, and no mistake here: what a handler has worked out may come to
                // nothing. Of a job that is submitted a host knows more.
                Awaited::Group(group) => {
                    if let Entry::Vacant(place) = self.by_group.entry(group) {
                        place.insert(self.nodes.len() + self.groups.len());
                        self.groups.push(group);
                    }
                }
            }
        }
        Ok(())
    }

    /// What somebody may have meant by a name that is not there.
    fn hint(&self, name: &str) -> String {
        if self.members.contains_key(name) {
            return format!("for every task of the group write `{name}/*`");
        }
        match nearest(name, self.nodes.iter().map(|node| node.name().as_str())) {
            Some(close) => format!("there is `{close}`"),
            None => "a task waits for others of its own plan, by their names".into(),
        }
    }

    /// What stands at a place waits for what stands at these.
    fn awaited_by(&self, place: usize) -> Vec<usize> {
        match self.nodes.get(place) {
            Some(node) => node.after().iter().filter_map(|after| self.place(&after.awaited)).collect(),
            None => self.members.get(self.group(place)).cloned().unwrap_or_default(),
        }
    }

    fn group(&self, place: usize) -> &'p str {
        self.groups[place - self.nodes.len()]
    }

    fn place(&self, awaited: &Awaited) -> Option<usize> {
        match awaited {
            Awaited::Node(name) => self.by_name.get(name.as_str()).copied(),
            Awaited::Group(group) => self.by_group.get(group.as_str()).copied(),
        }
    }

    fn name(&self, place: usize) -> String {
        match self.nodes.get(place) {
            Some(node) => node.name().to_string(),
            None => format!("{}/*", self.group(place)),
        }
    }

    /// The nodes, each after all that it waits for; otherwise in the order of the plan.
    fn order(&self) -> Result<Vec<usize>, PlanError> {
        let mut visits = vec![Visit::Not; self.nodes.len() + self.groups.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        // By hand: a chain of a hundred thousand is deeper than a stack.
        let mut path: Vec<(usize, std::vec::IntoIter<usize>)> = Vec::new();
        for start in 0..self.nodes.len() {
            if visits[start] == Visit::Not {
                visits[start] = Visit::Begun;
                path.push((start, self.awaited_by(start).into_iter()));
            }
            while let Some((place, awaited)) = path.last_mut() {
                match awaited.next() {
                    None => {
                        visits[*place] = Visit::Done;
                        order.extend(Some(*place).filter(|place| *place < self.nodes.len()));
                        path.pop();
                    }
                    Some(next) => match visits[next] {
                        Visit::Done => {}
                        Visit::Not => {
                            visits[next] = Visit::Begun;
                            path.push((next, self.awaited_by(next).into_iter()));
                        }
                        Visit::Begun => return Err(self.cycle(path.iter().map(|(place, _)| *place), next)),
                    },
                }
            }
        }
        Ok(order)
    }

    /// The circle at the end of a path, which comes back to this place.
    fn cycle(&self, path: impl Iterator<Item = usize>, back_to: usize) -> PlanError {
        let circle: Vec<_> = path.skip_while(|place| *place != back_to).chain([back_to]).collect();
        let mut names: Vec<_> = circle.iter().map(|place| format!("`{}`", self.name(*place))).collect();
        if names.len() > SHOWN_NAMES {
            let left_out = names.len() - SHOWN_NAMES;
            names.splice(SHOWN_NAMES - 1..names.len() - 1, [format!("{left_out} more")]);
        }
        PlanError::Cycle(names.join(" waits for "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, NewTask, Payload, TaskSpec};

    fn node(name: &str, after: &[&str]) -> Node {
        let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let after = after.iter().map(|awaited| After::new(awaited.parse().expect("it can be awaited"))).collect();
        let task = NewTask::new(spec, Payload::json("1"));
        Node { after, ..Node::new(name.parse().expect("a name"), task) }
    }

    fn plan(nodes: &[(&str, &[&str])]) -> Vec<Node> {
        nodes.iter().map(|(name, after)| node(name, after)).collect()
    }

    fn cycle(nodes: &[(&str, &[&str])]) -> String {
        match Graph::of(&plan(nodes)) {
            Err(PlanError::Cycle(names)) => names,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_comes_after_all_that_it_waits_for() {
        let nodes = plan(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"]), ("a", &[]), ("e", &[])]);
        let graph = Graph::of(&nodes).expect("it can be run");
        let names: Vec<_> = graph.order.iter().map(|place| nodes[*place].name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn group_comes_after_its_members() {
        let nodes =
            plan(&[("join", &["part/*"]), ("part/1", &["first"]), ("part/2", &[]), ("first", &[]), ("x/1", &[])]);
        let graph = Graph::of(&nodes).expect("it can be run");
        assert_eq!(graph.order, [3, 1, 2, 0, 4]);
        assert_eq!(graph.groups, [("part".into(), 2)], "nobody waits for `x`");
    }

    #[test]
    fn empty_group_and_empty_plan_can_be_run() {
        assert_eq!(Graph::of::<Node>(&[]).expect("it can be run").order, [0; 0]);
        let graph = Graph::of(&plan(&[("join", &["part/*"])])).expect("it can be run");
        assert_eq!((graph.order, graph.groups), (vec![0], vec![("part".into(), 0)]));
    }

    #[test]
    fn cycle_is_told_by_its_names() {
        assert_eq!(cycle(&[("a", &["a"])]), "`a` waits for `a`");
        assert_eq!(cycle(&[("z", &["a"]), ("a", &["b"]), ("b", &["a"])]), "`a` waits for `b` waits for `a`");
        assert_eq!(cycle(&[("part/1", &["part/*"])]), "`part/1` waits for `part/*` waits for `part/1`");
    }

    #[test]
    fn long_cycle_is_cut() {
        let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        let nodes: Vec<_> = (0..100).map(|number| node(&names[number], &[&names[(number + 1) % 100]])).collect();
        let told = Graph::of(&nodes).expect_err("it goes round").to_string();
        assert!(told.contains("`10` waits for 89 more waits for `0`"), "{told}");
    }

    #[test]
    fn chain_of_the_greatest_length_is_ordered_without_a_stack() {
        let names: Vec<_> = (0..MAX_PLAN_NODES).map(|number| number.to_string()).collect();
        let nodes: Vec<_> = (0..MAX_PLAN_NODES)
            .map(|number| node(&names[number], names.get(number + 1).map(String::as_str).as_slice()))
            .collect();
        let order = Graph::of(&nodes).expect("it can be run").order;
        assert!(order.into_iter().eq((0..MAX_PLAN_NODES).rev()));
    }

    #[test]
    fn number_of_nodes_obeyed_and_violated() {
        let names = (0..=MAX_PLAN_NODES).map(|number| node(&format!("part/{number}"), &[]));
        let mut nodes: Vec<_> = names.collect();
        assert_eq!(Graph::of(&nodes), Err(PlanError::TooManyNodes { nodes: MAX_PLAN_NODES + 1 }));
        nodes[0] = node("join", &["part/*"]);
        nodes.pop();
        let graph = Graph::of(&nodes).expect("it can be run");
        assert_eq!(graph.groups, [("part".into(), MAX_PLAN_NODES as u64 - 1)]);
    }

    #[test]
    fn number_of_dependencies_obeyed_and_violated() {
        let names: Vec<_> = (0..=MAX_DEPENDENCIES).map(|number| number.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut nodes: Vec<_> = names.iter().map(|name| node(name, &[])).collect();
        nodes.push(node("join", &names[1..]));
        assert!(Graph::of(&nodes).is_ok());
        nodes.push(node("join-2", &names));
        let error = Graph::of(&nodes).expect_err("one too many");
        assert!(matches!(error, PlanError::TooManyDependencies { found, .. } if found == MAX_DEPENDENCIES + 1));
    }

    #[test]
    fn number_of_edges_obeyed_and_violated() {
        let first: Vec<_> = (0..MAX_DEPENDENCIES).map(|number| number.to_string()).collect();
        let first: Vec<_> = first.iter().map(String::as_str).collect();
        let mut nodes: Vec<_> = first.iter().map(|name| node(name, &[])).collect();
        let joins = MAX_PLAN_EDGES / MAX_DEPENDENCIES;
        nodes.extend((0..joins).map(|number| node(&format!("join/{number}"), &first)));
        assert_eq!(Graph::of(&nodes).expect("it can be run").order.len(), MAX_DEPENDENCIES + joins);
        nodes.push(node("one-more", &["join/*"]));
        let error = Graph::of(&nodes).expect_err("one too many");
        assert_eq!(error, PlanError::TooManyEdges { edges: MAX_PLAN_EDGES + 1 });
        assert!(
            error.to_string().contains("200,001 dependencies, and one plan has at most 200,000\nhint: "),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let told = |nodes| Graph::of(&plan(nodes)).expect_err("it is refused").to_string();
        assert!(told(&[("a", &["b"])]).contains("`a` waits for `b`, which the plan does not have"));
        assert!(told(&[("a", &["Report"]), ("report", &[])]).contains("hint: there is `report`"));
        assert!(told(&[("a", &["reprot"]), ("report", &[])]).contains("hint: there is `report`"));
        assert!(
            told(&[("a", &["part"]), ("part/1", &[])]).contains("hint: for every task of the group write `part/*`")
        );
        assert!(told(&[("a", &[]), ("a", &[])]).starts_with("two tasks of the plan are named `a`"));
        assert!(told(&[("a", &["b", "b"]), ("b", &[])]).starts_with("`a` waits for `b` twice"));
    }
}
