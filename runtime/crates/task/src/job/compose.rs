//! The shapes that jobs usually have, as nodes of a plan: one after the other, side by side, and side by side with a body after
//! all of them.

use super::{Awaited, NodeName, NodeNameError};

/// Tasks in a shape, whatever stands for a task. What is empty takes no time, and what comes after it waits for what came
/// before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow<T> {
    /// One task.
    Task(Box<T>),
    /// Each after the one before.
    Chain(Vec<Self>),
    /// Side by side.
    Group(Vec<Self>),
    /// Side by side, and the body after all of them.
    Chord(Vec<Self>, Box<Self>),
}

/// A task of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<T> {
    /// Unique in its shape.
    pub name: NodeName,
    /// What runs.
    pub task: T,
    /// What has to end before.
    pub after: Vec<Awaited>,
}

/// What a shape comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps<T> {
    /// Its tasks.
    pub steps: Vec<Step<T>>,
    /// What to wait for to come after all of it.
    pub ends: Vec<Awaited>,
}

impl<T> Flow<T> {
    /// The tasks of this, the last of which has the given name if there is one last. The others' names begin with it:
    ///
    /// - a chain of three named `x`: `x.steps/1`, `x.steps/2`, `x`;
    /// - a group of three named `x`: `x/1`, `x/2`, `x/3`;
    /// - a chord of three named `x`: `x.parts/1`, `x.parts/2`, `x.parts/3`, `x`.
    ///
    /// Numbers have as many digits as the last, so that names sort as they stand.
    ///
    /// # Errors
    /// The name is none, or so long that it would be none with what is added to it.
    pub fn steps(self, name: &str) -> Result<Steps<T>, NodeNameError> {
        let mut steps = Vec::new();
        let ends = self.add(name.to_owned(), &[], &mut steps)?;
        Ok(Steps { steps, ends })
    }

    /// Adds the tasks, which wait for `after`; what waits for all of them waits for what this gives.
    fn add(self, name: String, after: &[Awaited], nodes: &mut Vec<Step<T>>) -> Result<Vec<Awaited>, NodeNameError> {
        match self {
            Self::Task(task) => {
                let name: NodeName = name.parse()?;
                nodes.push(Step { name: name.clone(), task: *task, after: after.to_vec() });
                Ok(vec![Awaited::Node(name)])
            }
            Self::Chain(steps) => {
                let (last, width) = (steps.len(), digits(steps.len()));
                let mut after = after.to_vec();
                for (step, number) in steps.into_iter().zip(1..) {
                    let name = if number == last { name.clone() } else { format!("{name}.steps/{number:0width$}") };
                    after = step.add(name, &after, nodes)?;
                }
                Ok(after)
            }
            Self::Group(members) => {
                if members.is_empty() {
                    return Ok(after.to_vec());
                }
                let width = digits(members.len());
                let group = format!("{name}/*").parse::<Awaited>()?;
                let mut ends = Vec::new();
                for (member, number) in members.into_iter().zip(1..) {
                    ends.extend(member.add(format!("{name}/{number:0width$}"), after, nodes)?);
                }
                // Those that are nodes of the group are awaited together.
                let is_member = |end: &Awaited| matches!(end, Awaited::Node(node) if node.group() == Some(&*name));
                let all = ends.len();
                ends.retain(|end| !is_member(end));
                if ends.len() < all {
                    ends.push(group);
                }
                ends.sort_unstable();
                ends.dedup();
                Ok(ends)
            }
            Self::Chord(members, body) => {
                let ends = Self::Group(members).add(format!("{name}.parts"), after, nodes)?;
                body.add(name, &ends, nodes)
            }
        }
    }
}

fn digits(count: usize) -> usize {
    count.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{After, Graph, Node};
    use crate::{Digest, NewTask, Payload, TaskSpec};

    fn task() -> Flow<NewTask> {
        let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        Flow::Task(Box::new(NewTask::new(spec, Payload::json("1"))))
    }

    fn node(step: Step<NewTask>) -> Node {
        Node { after: step.after.into_iter().map(After::new).collect(), ..Node::new(step.name, step.task) }
    }

    fn tasks(count: usize) -> Vec<Flow<NewTask>> {
        vec![task(); count]
    }

    /// The plan as a text: each node, and what it waits for.
    fn shown(flow: Flow<NewTask>) -> Vec<String> {
        let nodes: Vec<_> = flow.steps("x").expect("a name").steps.into_iter().map(node).collect();
        Graph::of(&nodes).expect("it can be run");
        let after =
            |node: &Node| node.after.iter().map(|after| after.awaited.to_string()).collect::<Vec<_>>().join(" ");
        nodes.iter().map(|node| format!("{}: {}", node.name, after(node))).collect()
    }

    #[test]
    fn chain_is_one_after_the_other() {
        assert_eq!(shown(Flow::Chain(tasks(3))), ["x.steps/1: ", "x.steps/2: x.steps/1", "x: x.steps/2"]);
        assert_eq!(shown(Flow::Chain(tasks(1))), ["x: "]);
        assert_eq!(shown(Flow::Chain(tasks(10)))[9], "x: x.steps/09");
    }

    #[test]
    fn chord_is_side_by_side_with_a_body_after_all() {
        let shown = shown(Flow::Chord(tasks(2), Box::new(task())));
        assert_eq!(shown, ["x.parts/1: ", "x.parts/2: ", "x: x.parts/*"]);
    }

    #[test]
    fn empty_shapes_take_no_time() {
        for empty in [Flow::Chain(Vec::new()), Flow::Group(Vec::new())] {
            assert_eq!(shown(empty.clone()), [""; 0]);
            assert_eq!(shown(Flow::Chain(vec![task(), empty, task()])), ["x.steps/1: ", "x: x.steps/1"]);
        }
        assert_eq!(shown(Flow::Chord(Vec::new(), Box::new(task()))), ["x: "]);
        assert_eq!(shown(Flow::Chord(tasks(1), Box::new(Flow::Group(Vec::new())))), ["x.parts/1: "]);
    }

    #[test]
    fn group_within_a_chain_waits_and_is_waited_for() {
        let flow = Flow::Chain(vec![task(), Flow::Group(tasks(2)), task()]);
        assert_eq!(shown(flow), ["x.steps/1: ", "x.steps/2/1: x.steps/1", "x.steps/2/2: x.steps/1", "x: x.steps/2/*"]);
    }

    #[test]
    fn group_of_chains_is_awaited_by_their_last_steps() {
        let flow = Flow::Chord(vec![Flow::Chain(tasks(2)), task()], Box::new(task()));
        let first = ["x.parts/1.steps/1: ", "x.parts/1: x.parts/1.steps/1"];
        assert_eq!(shown(flow), [first[0], first[1], "x.parts/2: ", "x: x.parts/*"]);
    }

    #[test]
    fn group_of_groups_is_awaited_by_all_of_them() {
        let flow = Flow::Chord(vec![Flow::Group(tasks(1)), task(), Flow::Group(Vec::new())], Box::new(task()));
        assert_eq!(shown(flow), ["x.parts/1/1: ", "x.parts/2: ", "x: x.parts/* x.parts/1/*"]);
    }

    #[test]
    fn name_that_would_grow_too_long_is_refused() {
        assert!(Flow::Chain(tasks(2)).steps(&"x".repeat(121)).is_err());
        assert!(Flow::Chain(tasks(1)).steps(&"x".repeat(128)).is_ok());
        assert!(task().steps("").is_err());
    }
}
