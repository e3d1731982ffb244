//! Who says what the children of a task may be. A worker knows neither what is deployed nor what an operator allows.

use sunaba_task::job::{NewPlan, Node};
use sunaba_task::{BoxFuture, Child, Plan, Task};

/// Makes tasks of what attempts ask for: checked as any other submit is, with every default filled in.
pub trait Admission: Send + Sync + 'static {
    /// The plan that an attempt of this task has returned. Whether its children wait for each other in a way that can be is for
    /// the store to say.
    fn plan<'a>(&'a self, parent: &'a Task, plan: Plan) -> BoxFuture<'a, Result<NewPlan, NotAdmitted>>;

    /// A single child that an attempt of this task wants while it runs.
    fn child<'a>(&'a self, parent: &'a Task, child: Child) -> BoxFuture<'a, Result<Node, NotAdmitted>>;
}

/// Why there are no such children.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// They cannot be, or are not allowed: the same again will not be, either.
    #[error("{0}")]
    Refused(String),
    /// Nobody could tell just now.
    #[error("{0}")]
    Unavailable(String),
}

/// Nobody has children.
#[derive(Debug, Clone, Copy, Default)]
pub struct Childless;

fn refused<T>() -> BoxFuture<'static, Result<T, NotAdmitted>>
where
    T: Send + 'static,
{
    let reason = "this worker takes no children on\nhint: run the task on a host that knows what is deployed";
    Box::pin(async move { Err(NotAdmitted::Refused(reason.into())) })
}

impl Admission for Childless {
    fn plan<'a>(&'a self, _: &'a Task, _: Plan) -> BoxFuture<'a, Result<NewPlan, NotAdmitted>> {
        refused()
    }

    fn child<'a>(&'a self, _: &'a Task, _: Child) -> BoxFuture<'a, Result<Node, NotAdmitted>> {
        refused()
    }
}
