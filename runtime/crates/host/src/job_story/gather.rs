//! One plan's tasks, as they come page by page, gathered into nodes: a group that is too large is folded while it is read, so
//! that no more is held than is shown.

use std::collections::{BTreeMap, HashMap};

use sunaba_task::TaskId;
use sunaba_task::job::{After, Awaited, NodeName};

use super::graph::{Fold, GraphNode};

/// Members of a fold that are told of because they failed.
const MAX_FAILED: usize = 3;
/// What the members of a fold wait for, altogether.
const MAX_AFTER: usize = 64;

/// A node, and what is needed to tie it to others.
pub(super) struct Row {
    pub(super) node: GraphNode,
    /// Of a task that may have a plan of its own.
    pub(super) plan_of: Option<TaskId>,
    pub(super) after: Vec<After>,
    pub(super) place: Place,
}

/// What a row stands for in its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Node(NodeName),
    Group(String),
    /// All for which there was no room.
    Rest,
}

/// The tasks of one plan.
pub(super) struct Gather {
    fold: usize,
    /// How many rows there may be.
    room: usize,
    rows: BTreeMap<NodeName, Row>,
    /// The rows of each group, while they are few.
    groups: HashMap<String, Vec<NodeName>>,
    folded: BTreeMap<String, Row>,
    rest: Option<Row>,
}

impl Gather {
    pub(super) fn new(fold: usize, room: usize) -> Self {
        let (rows, groups, folded) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        Self { fold, room, rows, groups, folded, rest: None }
    }

    /// Adds a task. Those of a plan come by name, though the order does not matter.
    pub(super) fn add(&mut self, name: &NodeName, row: Row) {
        let Some(group) = name.group() else { return self.add_alone(name, row) };
        if let Some(fold) = self.folded.get_mut(group) {
            return fold.take_in(row);
        }
        let has_room = self.has_room();
        match self.groups.get_mut(group) {
            Some(members) if members.len() >= self.fold => {}
            Some(members) if has_room => {
                members.push(name.clone());
                return self.add_alone(name, row);
            }
            None if has_room => {
                self.groups.insert(group.to_owned(), vec![name.clone()]);
                return self.add_alone(name, row);
            }
            _ => return self.add_alone(name, row),
        }
        let members = self.groups.remove(group).unwrap_or_default();
        let mut fold = Row::fold(format!("{group}/*"), Place::Group(group.to_owned()), &row);
        let before = members.iter().filter_map(|name| self.rows.remove(name)).collect::<Vec<_>>();
        before.into_iter().chain([row]).for_each(|row| fold.take_in(row));
        self.folded.insert(group.to_owned(), fold);
    }

    fn has_room(&self) -> bool {
        self.rows.len() + self.folded.len() < self.room
    }

    fn add_alone(&mut self, name: &NodeName, row: Row) {
        if self.has_room() {
            self.rows.insert(name.clone(), row);
            return;
        }
        let rest = self.rest.get_or_insert_with(|| Row::fold(String::new(), Place::Rest, &row));
        rest.take_in(row);
    }

    /// The rows by name, and what there was no room for last.
    pub(super) fn finish(self) -> Vec<Row> {
        let mut rows: Vec<_> = self.rows.into_values().chain(self.folded.into_values()).collect();
        rows.sort_by(|a, b| a.node.name.cmp(&b.node.name));
        rows.extend(self.rest.map(Row::named_by_count));
        rows
    }
}

impl Row {
    /// A fold without members, of the kind of its first.
    fn fold(name: String, place: Place, first: &Self) -> Self {
        let node = GraphNode {
            name,
            task: None,
            attempts: 0,
            fuel: 0,
            waited: Default::default(),
            ran: Default::default(),
            between_attempts: Default::default(),
            for_somebody: Default::default(),
            pauses: Vec::new(),
            started_at: None,
            ran_until: None,
            ended_at: None,
            cause: None,
            fold: Some(Fold { is_rest: place == Place::Rest, ..Fold::default() }),
            ..first.node.clone()
        };
        Self { node, plan_of: None, after: Vec::new(), place }
    }

    /// What stands for tasks of any name is called by how many they are.
    fn named_by_count(mut self) -> Self {
        let members = self.node.fold.as_ref().map_or(0, |fold| fold.members);
        self.node.name = match members {
            1 => "1 other".into(),
            _ => format!("{} others", sunaba_task::format_count(members)),
        };
        self
    }

    fn take_in(&mut self, Self { node: member, after, .. }: Self) {
        let node = &mut self.node;
        node.attempts = node.attempts.saturating_add(member.attempts);
        node.fuel = node.fuel.saturating_add(member.fuel);
        node.waited = node.waited.saturating_add(member.waited);
        node.ran = node.ran.saturating_add(member.ran);
        node.between_attempts = node.between_attempts.saturating_add(member.between_attempts);
        node.for_somebody = node.for_somebody.saturating_add(member.for_somebody);
        node.submitted_at = node.submitted_at.min(member.submitted_at);
        node.started_at = node.started_at.into_iter().chain(member.started_at).min();
        node.ran_until = node.ran_until.max(member.ran_until);
        let room = MAX_AFTER.saturating_sub(self.after.len());
        let new = after.into_iter().filter(|after| !self.after.contains(after)).take(room).collect::<Vec<_>>();
        self.after.extend(new);
        let Some(fold) = &mut node.fold else { return };
        fold.members += 1;
        *fold.by_state.entry(member.state).or_default() += 1;
        let failed = matches!(member.state, sunaba_task::StateName::Dead | sunaba_task::StateName::Expired);
        if failed && fold.failed.len() < MAX_FAILED {
            fold.failed.push(member.clone());
        }
        // It has ended when all of it has.
        let is_over = fold.by_state.keys().all(|state| state.is_terminal());
        if fold.last.as_ref().is_none_or(|last| last.ended_at < member.ended_at) {
            fold.last = Some(Box::new(member));
        }
        node.ended_at = fold.last.as_ref().and_then(|last| last.ended_at).filter(|_| is_over);
        node.state = fold.state();
    }
}

/// Finds the rows of a plan by what waits for them.
pub(super) struct Places<'r> {
    nodes: HashMap<&'r NodeName, usize>,
    groups: HashMap<&'r str, Vec<usize>>,
    rest: Option<usize>,
}

impl<'r> Places<'r> {
    /// Of these rows, of which the first has this index among all.
    pub(super) fn of(rows: &'r [Row], first: usize) -> Self {
        let mut places = Self { nodes: HashMap::new(), groups: HashMap::new(), rest: None };
        for (row, index) in rows.iter().zip(first..) {
            match &row.place {
                Place::Node(name) => {
                    places.nodes.insert(name, index);
                    if let Some(group) = name.group() {
                        places.groups.entry(group).or_default().push(index);
                    }
                }
                Place::Group(group) => places.groups.entry(group).or_default().push(index),
                Place::Rest => places.rest = Some(index),
            }
        }
        places
    }

    /// The rows that stand for this.
    pub(super) fn find(&self, awaited: &Awaited) -> Vec<usize> {
        let found = match awaited {
            Awaited::Node(name) => match self.nodes.get(name) {
                Some(index) => vec![*index],
                // A member of a group that is folded.
                None => name.group().and_then(|group| self.groups.get(group)).cloned().unwrap_or_default(),
            },
            Awaited::Group(group) => self.groups.get(group.as_str()).cloned().unwrap_or_default(),
        };
        if found.is_empty() { self.rest.into_iter().collect() } else { found }
    }
}
