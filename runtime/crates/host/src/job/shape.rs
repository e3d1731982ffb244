//! The shapes that jobs usually have: one after the other, side by side, and side by side with something after all of it. They
//! fit into each other. Names and what waits for what are made when a shape becomes a job.

use sunaba_task::job::Flow;
use sunaba_task::{HandlerName, Payload};

use crate::TaskRequest;

/// A task, and what undoes it.
#[derive(Debug, Clone)]
pub struct Work {
    /// What runs.
    pub task: TaskRequest,
    /// What undoes it, should the job fail after it has succeeded.
    pub undo: Option<TaskRequest>,
}

impl Work {
    /// The same, undone by this.
    #[must_use]
    pub fn undone_by(mut self, undo: TaskRequest) -> Self {
        self.undo = Some(undo);
        self
    }
}

/// Tasks in a shape, of which [`JobRequest::of`](crate::JobRequest::of) makes a job.
#[derive(Debug, Clone)]
pub struct Shape(pub(crate) Flow<Work>);

impl From<TaskRequest> for Work {
    fn from(task: TaskRequest) -> Self {
        Self { task, undo: None }
    }
}

impl From<Work> for Shape {
    fn from(work: Work) -> Self {
        Self(Flow::Task(Box::new(work)))
    }
}

impl From<TaskRequest> for Shape {
    fn from(task: TaskRequest) -> Self {
        Work::from(task).into()
    }
}

fn flows<S: Into<Shape>>(shapes: impl IntoIterator<Item = S>) -> Vec<Flow<Work>> {
    shapes.into_iter().map(|shape| shape.into().0).collect()
}

/// One task, as part of a shape.
pub fn task(task: impl Into<Work>) -> Shape {
    task.into().into()
}

/// Each after the one before; none, and one, are fine.
///
/// ```
/// use sunaba_host::{JobRequest, TaskRequest, Work, chain};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let step = |name: &str| TaskRequest::new(format!("shop/{name}").parse().expect("it is a name"));
/// let order = chain([Work::from(step("reserve")).undone_by(step("release")), step("pay").into()]);
/// let names: Vec<_> = JobRequest::of("order", order)?.nodes.into_iter().map(|node| node.name.to_string()).collect();
/// assert_eq!(names, ["order.steps/1", "order"]);
/// # Ok(())
/// # }
/// ```
pub fn chain<S: Into<Shape>>(steps: impl IntoIterator<Item = S>) -> Shape {
    Shape(Flow::Chain(flows(steps)))
}

/// Side by side; none, and one, are fine.
///
/// ```
/// use sunaba_host::{JobRequest, TaskRequest, group};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fetch = TaskRequest::new("web/fetch".parse()?);
/// assert_eq!(JobRequest::of("all", group(vec![fetch; 3]))?.nodes.len(), 3);
/// # Ok(())
/// # }
/// ```
pub fn group<S: Into<Shape>>(members: impl IntoIterator<Item = S>) -> Shape {
    Shape(Flow::Group(flows(members)))
}

/// Side by side, and a body after all of them, which runs at once when there are none. Without a body it is a [`group`].
///
/// ```
/// use sunaba_host::{JobRequest, TaskRequest, chord, task};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (count, sum) = (TaskRequest::new("words/count".parse()?), TaskRequest::new("words/sum".parse()?));
/// let job = JobRequest::of("words", chord(vec![count; 2], task(sum)))?;
/// let sum = &job.nodes[2];
/// assert_eq!((sum.name.as_str(), sum.after[0].awaited.to_string()), ("words", "words.parts/*".into()));
/// # Ok(())
/// # }
/// ```
pub fn chord<S: Into<Shape>>(members: impl IntoIterator<Item = S>, body: impl Into<Option<Shape>>) -> Shape {
    match body.into() {
        Some(Shape(body)) => Shape(Flow::Chord(flows(members), Box::new(body))),
        None => group(members),
    }
}

/// The same handler for each of these inputs, side by side.
///
/// ```
/// use sunaba_host::{JobRequest, chord, map, task, TaskRequest};
/// use sunaba_task::Payload;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let parts = map(&"words/count".parse()?, ["to be", "or not"].map(|text| Payload::json(format!("{{\"text\":\"{text}\"}}"))));
/// let job = JobRequest::of("words", chord([parts], task(TaskRequest::new("words/sum".parse()?))))?;
/// assert_eq!(job.nodes[0].name.as_str(), "words.parts/1/1");
/// # Ok(())
/// # }
/// ```
pub fn map(handler: &HandlerName, inputs: impl IntoIterator<Item = Payload>) -> Shape {
    group(inputs.into_iter().map(|input| TaskRequest::new(handler.clone()).input(input)))
}
