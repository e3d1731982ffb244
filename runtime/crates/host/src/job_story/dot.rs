//! A job as a graph for Graphviz. Every text stands between quotes, in which nothing of it can end them.

use sunaba_task::{StateName, format_count, format_duration};

use super::graph::{GraphNode, JobGraph};
use super::plain::{compact, one_line};

/// The longest text of a label's line.
const MAX_CHARS: usize = 120;

impl JobGraph {
    /// The job in the language of Graphviz: `dot -Tsvg` draws it.
    pub fn dot(&self) -> String {
        let mut dot = String::from("digraph job {\n");
        dot.push_str("  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
        dot.push_str(&format!("  label={};\n  labelloc=t;\n", quoted(&[&self.headline()])));
        self.dot_plan(None, 1, &self.children(), &mut dot);
        for edge in &self.edges {
            let rule = edge.rule.map(|rule| format!("label=\"{rule}\"")).into_iter();
            let bold = edge.critical.then(|| "penwidth=3".to_owned());
            let attributes: Vec<_> = rule.chain(bold).collect();
            dot.push_str(&format!("  n{} -> n{} [{}];\n", edge.from, edge.to, attributes.join(", ")));
        }
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.undoes) {
            if let Some(undone) = node.parent {
                dot.push_str(&format!("  n{undone} -> n{index} [style=dashed, label=\"undone by\"];\n"));
            }
        }
        if let Some(left_out) = self.left_out() {
            dot.push_str(&format!("  rest [shape=plaintext, style=\"\", label={}];\n", quoted(&[&left_out])));
        }
        dot.push_str("}\n");
        dot
    }

    fn dot_plan(&self, parent: Option<usize>, depth: usize, children: &[Vec<usize>], dot: &mut String) {
        let indent = "  ".repeat(depth);
        let plan: Vec<usize> = match parent {
            None => self.plan(None).collect(),
            Some(parent) => children[parent].clone(),
        };
        for index in plan {
            let node = &self.nodes[index];
            let has_plan = children[index].iter().any(|child| !self.nodes[*child].undoes);
            if has_plan {
                dot.push_str(&format!(
                    "{indent}subgraph cluster_{index} {{\n{indent}  label={};\n",
                    quoted(&[&node.name])
                ));
            }
            dot.push_str(&format!("{indent}n{index} [{}];\n", node.attributes()));
            self.dot_plan(Some(index), depth + usize::from(has_plan), children, dot);
            if has_plan {
                dot.push_str(&format!("{indent}}}\n"));
            }
        }
    }
}

impl GraphNode {
    fn attributes(&self) -> String {
        let counts = self.fold.as_ref().map(|fold| format!("{}: {}", format_count(fold.members), fold.counts()));
        let state = counts.unwrap_or_else(|| self.state.to_string());
        let used = format!("{}, fuel {}", format_duration(self.ran), compact(self.fuel));
        let used = if self.attempts == 0 { "not run".to_owned() } else { used };
        let color = match self.state {
            StateName::Succeeded => "#c8e6c9",
            StateName::Dead | StateName::Expired => "#ffcdd2",
            StateName::Cancelled => "#e0e0e0",
            StateName::Running => "#bbdefb",
            StateName::RetryScheduled => "#ffe0b2",
            StateName::Queued | StateName::Scheduled | StateName::Blocked => "#fff9c4",
        };
        let mut attributes = format!("label={}, fillcolor=\"{color}\"", quoted(&[&self.name, &state, &used]));
        if let Some(cause) = &self.cause {
            attributes.push_str(&format!(", tooltip={}", quoted(&[cause])));
        }
        if self.critical {
            attributes.push_str(", penwidth=3");
        }
        if self.undoes {
            attributes.push_str(", style=\"rounded,filled,dashed\"");
        }
        if self.fold.is_some() {
            attributes.push_str(", peripheries=2");
        }
        attributes
    }
}

/// Lines between quotes. A backslash begins an escape there, and a quote ends the text.
fn quoted(lines: &[&str]) -> String {
    let escape = |line: &&str| one_line(line, MAX_CHARS).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", lines.iter().map(escape).collect::<Vec<_>>().join("\\n"))
}
