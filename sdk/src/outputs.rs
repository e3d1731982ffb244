//! The outputs of what a task waited for, pulled page by page: there may be more of them than an instance has room for.

use std::fmt;
use std::marker::PhantomData;

use crate::ask::{EndedPage, EndedTask, TaskId};
use crate::{Context, Input, Refusal};

/// What one of those gave that were waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T> {
    /// Its name in its plan.
    pub name: String,
    /// Its id.
    pub task: TaskId,
    /// Its output.
    pub value: T,
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputError {
    /// It has not succeeded, and whoever waits for it goes on all the same.
    NotSucceeded {
        /// Its name in its plan.
        name: String,
        /// Its id.
        task: TaskId,
        /// `dead`, `cancelled` or `expired`.
        state: String,
    },
    /// Its output is not of the type that was asked for.
    Mismatch {
        /// Its name in its plan.
        name: String,
        /// What does not fit.
        problem: String,
    },
    /// Nothing of this name was waited for.
    Missing {
        /// The name.
        name: String,
    },
    /// The host did not say. Nothing follows after this.
    Refused(Refusal),
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSucceeded { name, state, .. } => write!(f, "`{name}` gave no output: it is {state}"),
            Self::Mismatch { name, problem } => write!(f, "the output of `{name}` cannot be read: {problem}"),
            Self::Missing { name } => write!(f, "there is no `{name}` that the task has waited for"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for OutputError {}

/// The outputs of a group, in the order of the names. Made by [`Context::outputs`].
#[derive(Debug)]
pub struct Outputs<'c, T> {
    context: &'c Context,
    awaited: String,
    page: std::vec::IntoIter<EndedTask>,
    /// None: there are no more pages.
    next: Option<After>,
    of: PhantomData<fn() -> T>,
}

/// Where the next page begins.
#[derive(Debug)]
enum After {
    Nothing,
    Name(String),
}

impl<'c, T: Input> Outputs<'c, T> {
    pub(crate) fn new(context: &'c Context, awaited: String) -> Self {
        Self { context, awaited, page: Vec::new().into_iter(), next: Some(After::Nothing), of: PhantomData }
    }

    /// Whether there is another page, which is there then.
    fn turn(&mut self) -> Result<bool, Refusal> {
        let after = match self.next.take() {
            None => return Ok(false),
            Some(After::Nothing) => None,
            Some(After::Name(name)) => Some(name),
        };
        let EndedPage { tasks, next } = self.context.dependency_outputs(&self.awaited, after.as_deref())?;
        (self.page, self.next) = (tasks.into_iter(), next.map(After::Name));
        Ok(true)
    }
}

impl<T: Input> Iterator for Outputs<'_, T> {
    type Item = Result<Given<T>, OutputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ended) = self.page.next() {
                return Some(given(ended));
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(refusal) => return Some(Err(OutputError::Refused(refusal))),
            }
        }
    }
}

impl<T: Input> std::iter::FusedIterator for Outputs<'_, T> {}

fn given<T: Input>(ended: EndedTask) -> Result<Given<T>, OutputError> {
    let EndedTask { name, task_id, state, output } = ended;
    let task = TaskId(task_id);
    let Some(output) = output else { return Err(OutputError::NotSucceeded { name, task, state }) };
    match T::decode(output) {
        Ok(value) => Ok(Given { name, task, value }),
        Err(error) => Err(OutputError::Mismatch { name, problem: error.message().to_owned() }),
    }
}
