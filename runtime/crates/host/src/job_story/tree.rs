//! A job as a tree of text, which fits 80 columns: plans under those whose they are, and beside each node what it waited for.
//! What is deeper than there is room for names begins anew at the margin, under its full name.

use std::collections::VecDeque;

use sunaba_task::job::JobState;
use sunaba_task::{StateName, format_count, format_duration};

use super::graph::{GraphNode, JobGraph};
use super::node::mark;
use super::plain::{compact, fit, one_line, width};

/// How wide the tree is.
const COLUMNS: usize = 80;
/// What a node's place and name take, at least and at most.
const NAMES: (usize, usize) = (16, 40);
/// The longest name under which a plan begins anew.
const MAX_NAME_CHARS: usize = 800;
/// Plans within one another, until the next begins anew at the margin.
const MAX_INDENTS: usize = 8;
/// What a duration takes, and what a number of fuel does.
const NUMBER: usize = 8;

/// The word for where a job stands.
pub(super) fn word(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Stopping => "stopping",
        JobState::Compensating => "compensating",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// A node's place in the tree.
struct Line<'g> {
    /// What stands before its mark.
    branch: String,
    /// What stands there in the lines under it.
    under: String,
    node: &'g GraphNode,
    /// What it waited for.
    after: String,
    /// How many there are in its plan, if that is further down.
    further_down: usize,
}

/// The lines of a tree while they are made, and what they are made from.
struct Tree<'g> {
    graph: &'g JobGraph,
    children: Vec<Vec<usize>>,
    awaited: Vec<Vec<&'g str>>,
    lines: Vec<Line<'g>>,
    /// Nodes whose plans begin anew.
    anew: VecDeque<usize>,
}

impl JobGraph {
    /// The job as a tree. `*` marks the longest chain.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", fit(&self.headline(), COLUMNS));
        let (children, awaited) = (self.children(), self.awaited());
        let mut tree = Tree { graph: self, children, awaited, lines: Vec::new(), anew: VecDeque::new() };
        tree.branch(None, "", MAX_INDENTS);
        tree.write(&mut text);
        while let Some(index) = tree.anew.pop_front() {
            wrapped(&format!("under {}:", self.full_name(index)), &mut text);
            tree.branch(Some(index), "", MAX_INDENTS);
            tree.write(&mut text);
        }
        if let Some(left_out) = self.left_out() {
            text.push_str(&format!("{left_out}\n"));
        }
        text.push_str(&self.legend());
        text
    }

    /// The job itself, in one line.
    pub(super) fn headline(&self) -> String {
        let name = if self.name.is_empty() { &self.id } else { &self.name };
        let tasks = if self.tasks == 1 { "1 task".into() } else { format!("{} tasks", format_count(self.tasks)) };
        let took = format_duration(self.took());
        format!("{}: {} after {took}, {tasks}, fuel {}", one_line(name, 60), word(self.state), compact(self.fuel))
    }

    /// What the marks in it stand for.
    fn legend(&self) -> String {
        let shown = |state: &StateName| self.nodes.iter().any(|node| node.state == *state);
        let marks = StateName::ALL.into_iter().filter(shown).map(|state| format!("{} {state}", mark(state)));
        let chain = (!self.path.is_empty()).then(|| "* longest chain".to_owned());
        let legend: Vec<_> = marks.chain(chain).collect();
        if legend.is_empty() { String::new() } else { format!("{}\n", fit(&legend.join("  "), COLUMNS)) }
    }
}

impl<'g> Tree<'g> {
    /// A plan; so many more fit into one another. No deeper than plans are, which the job's budget bounds.
    fn branch(&mut self, parent: Option<usize>, under: &str, indents: usize) {
        let graph = self.graph;
        let plan: Vec<usize> = match parent {
            None => graph.plan(None).collect(),
            Some(parent) => self.children[parent].clone(),
        };
        let members: Vec<_> = parent.into_iter().flat_map(|parent| graph.nodes[parent].shown()).collect();
        let count = plan.len() + members.len();
        let nodes = members.into_iter().map(|node| (None, node));
        let nodes = nodes.chain(plan.into_iter().map(|index| (Some(index), &graph.nodes[index])));
        for (place, (index, node)) in nodes.enumerate() {
            let (branch, next) =
                if place + 1 == count { ("\u{2514}\u{2500} ", "   ") } else { ("\u{251c}\u{2500} ", "\u{2502}  ") };
            let (branch, under) = (format!("{under}{branch}"), format!("{under}{next}"));
            let awaited = index.map_or(&[][..], |index| &self.awaited[index][..]);
            let after = if awaited.is_empty() { String::new() } else { format!("after {}", awaited.join(", ")) };
            let within = index.map_or(0, |index| self.children[index].len() + node.shown().count());
            let further_down = if indents == 1 { within } else { 0 };
            self.lines.push(Line { branch, under: under.clone(), node, after, further_down });
            match index {
                Some(index) if further_down > 0 => self.anew.push_back(index),
                Some(index) => self.branch(Some(index), &under, indents - 1),
                None => {}
            }
        }
    }

    /// Writes the lines that there are.
    fn write(&mut self, text: &mut String) {
        let names = self.lines.iter().map(|line| width(&line.branch) + 4 + width(&line.node.name)).max().unwrap_or(0);
        let names = names.clamp(NAMES.0, NAMES.1);
        for line in self.lines.drain(..) {
            line.write(names, text);
        }
    }
}

impl GraphNode {
    /// The members of a group that are shown with it.
    fn shown(&self) -> impl Iterator<Item = &Self> {
        self.fold.iter().flat_map(|fold| fold.shown(self.critical))
    }
}

/// Writes a text in as many lines as it needs, broken between words.
fn wrapped(text: &str, to: &mut String) {
    let mut line = String::new();
    for word in one_line(text, MAX_NAME_CHARS).split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > COLUMNS {
            to.push_str(&format!("{}\n", fit(&line, COLUMNS)));
            line = "  ".into();
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    to.push_str(&format!("{}\n", fit(&line, COLUMNS)));
}

impl Line<'_> {
    fn write(&self, names: usize, text: &mut String) {
        let node = self.node;
        let star = if node.critical { '*' } else { ' ' };
        let label = format!("{}{} {star} {}", self.branch, mark(node.state), one_line(&node.name, COLUMNS));
        let label = fit(&label, names);
        let pad = " ".repeat(names - width(&label));
        let (ran, fuel) =
            if node.attempts == 0 { ("-".into(), "-".into()) } else { (format_duration(node.ran), compact(node.fuel)) };
        let line = format!("{label}{pad} {:>NUMBER$} {:>NUMBER$}", fit(&ran, NUMBER), fit(&fuel, NUMBER));
        let room = COLUMNS.saturating_sub(width(&line) + 2);
        // All of it, if it fits; else the first beside it, and the rest in lines of its own.
        let notes: Vec<_> = self.notes().into_iter().map(|note| one_line(&note, COLUMNS)).collect();
        let (all, first) = (notes.join("; "), notes.first().cloned().unwrap_or_default());
        let fits = width(&all) <= room;
        let beside = fit(if fits { &all } else { &first }, room);
        text.push_str(&format!("{line}  {beside}"));
        text.truncate(text.trim_end().len());
        text.push('\n');
        // What is counted is told to its last number; of what it waited for, the beginning does.
        let is_cut = node.fold.is_some() && width(&first) > room;
        let skipped = if fits { notes.len() } else { usize::from(!is_cut) };
        for long in notes.iter().skip(skipped).chain(&node.cause) {
            let under = format!("{}      ", self.under);
            let room = COLUMNS.saturating_sub(width(&under));
            text.push_str(&format!("{under}{}\n", fit(&one_line(long, COLUMNS), room)));
        }
    }

    /// What is said beside it: what it stands for or that it undoes, what it waited for, and where its plan is.
    fn notes(&self) -> Vec<String> {
        let node = self.node;
        let counts = node.fold.as_ref().map(|fold| format!("{}: {}", format_count(fold.members), fold.counts()));
        let undoes = node.undoes.then(|| format!("by {}", node.handler));
        let after = Some(self.after.clone()).filter(|after| !after.is_empty());
        let down =
            Some(self.further_down).filter(|count| *count > 0).map(|count| format!("{count} under it, further down"));
        [counts, undoes, down, after].into_iter().flatten().collect()
    }
}
