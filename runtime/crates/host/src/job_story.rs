//! Why a job ended so: its tasks as a graph with what each took, the longest chain among them, and the whole told as a story.
//!
//! [`read_job`] is the only part that asks a store, page by page and within [`GraphBounds`]; all else is a function of what it
//! has read. A job of a million tasks gives an answer of bounded size: large groups are folded into one node each, and what
//! was not read is counted. Nothing here is shown unescaped: names and messages are others' texts.

mod causes;
mod dot;
mod gather;
mod graph;
mod layout;
mod node;
mod path;
mod pauses;
mod place;
mod plain;
mod read;
mod rows;
mod story;
mod svg;
mod tally;
mod tell;
mod tree;
mod undone;
mod waits;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use read::may_have_plan;

pub use graph::{Fold, GraphBounds, GraphEdge, GraphNode, JobGraph};
pub use pauses::{Pause, PauseUntil};
pub use read::{JobRead, explain_job, read_job};
pub use story::{BudgetReport, FailedTask, JobStory, NotRun, PathStep, UndoneTask, UsedReport, WaitReport};
pub use waits::first_wait;
