//! A job as a tree of text, which fits 80 columns: plans under those whose they are, and beside each node what it waited for.

use sunaba_task::job::JobState;
use sunaba_task::{StateName, format_count, format_duration};

use super::graph::{GraphNode, JobGraph};
use super::node::mark;
use super::plain::{compact, fit, one_line, width};

/// How wide the tree is.
const COLUMNS: usize = 80;
/// What a node's place and name take, at least and at most.
const NAMES: (usize, usize) = (16, 40);
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
}

impl JobGraph {
    /// The job as a tree. `*` marks the longest chain.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        self.branch(None, "", &self.children(), &self.awaited(), &mut lines);
        let names = lines.iter().map(|line| width(&line.branch) + 4 + width(&line.node.name)).max().unwrap_or(0);
        let names = names.clamp(NAMES.0, NAMES.1);
        let mut text = format!("{}\n", fit(&self.headline(), COLUMNS));
        for line in &lines {
            line.write(names, &mut text);
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

    fn branch<'g>(
        &'g self,
        parent: Option<usize>,
        under: &str,
        children: &[Vec<usize>],
        awaited: &[Vec<&str>],
        lines: &mut Vec<Line<'g>>,
    ) {
        let plan: Vec<usize> = match parent {
            None => self.plan(None).collect(),
            Some(parent) => children[parent].clone(),
        };
        let shown =
            parent.and_then(|parent| self.nodes[parent].fold.as_ref().map(|fold| (fold, self.nodes[parent].critical)));
        let members: Vec<_> = shown.into_iter().flat_map(|(fold, critical)| fold.shown(critical)).collect();
        let count = plan.len() + members.len();
        let mut place = 0;
        let mut branches = || {
            place += 1;
            let (branch, next) =
                if place == count { ("\u{2514}\u{2500} ", "   ") } else { ("\u{251c}\u{2500} ", "\u{2502}  ") };
            (format!("{under}{branch}"), format!("{under}{next}"))
        };
        for node in members {
            let (branch, under) = branches();
            lines.push(Line { branch, under, node, after: String::new() });
        }
        for index in plan {
            let (branch, under) = branches();
            let after =
                if awaited[index].is_empty() { String::new() } else { format!("after {}", awaited[index].join(", ")) };
            lines.push(Line { branch, under: under.clone(), node: &self.nodes[index], after });
            // No deeper than plans are, which the job's budget bounds.
            self.branch(Some(index), &under, children, awaited, lines);
        }
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
        let counts = node.fold.as_ref().map(|fold| format!("{}: {}", format_count(fold.members), fold.counts()));
        let note = counts.clone().or_else(|| self.note());
        let room = COLUMNS.saturating_sub(width(&line) + 2);
        match note {
            None => text.push_str(&line),
            Some(note) => text.push_str(&format!("{line}  {}", fit(&one_line(&note, COLUMNS), room))),
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        // What is too long to stand beside it stands under it.
        let long = counts.filter(|counts| width(counts) > room).or_else(|| node.cause.clone());
        if let Some(long) = long {
            let under = format!("{}      ", self.under);
            let room = COLUMNS.saturating_sub(width(&under));
            text.push_str(&format!("{under}{}\n", fit(&one_line(&long, COLUMNS), room)));
        }
    }

    /// What is said beside it: that it undoes, or what it waited for.
    fn note(&self) -> Option<String> {
        let undoes = self.node.undoes.then(|| format!("by {}", self.node.handler));
        undoes.or_else(|| (!self.after.is_empty()).then(|| self.after.clone()))
    }
}
