//! What the children of tasks may be: each is admitted as a submit of its own is, by the same rules, and gets of its parent's
//! grants what its own handler asks for and the operator allows.

mod settings;

use std::sync::Arc;

use sunaba_store::Store;
use sunaba_task::job::{After, MAX_PLAN_EDGES, NewPlan, Node, PlanError};
use sunaba_task::{BoxFuture, Child, Dependency, Digest, HandlerName, NewTask, Payload, Plan, Task};
use sunaba_worker::{Admission, NotAdmitted};

use crate::admission::{self, RefusedTask, TaskRequest};
use crate::effective::{self, Operator};
use crate::memory;
use crate::packages::{self, Packages};
use crate::permits::Permits;
use settings::ChildSettings;

/// Children after which others of the host's work may go on.
const CHILDREN_AT_A_TIME: usize = 64;

/// Admits children on this host.
pub(crate) struct Children {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) packages: Arc<Packages>,
    pub(crate) permits: Arc<Permits>,
    /// What attempts may hold of the machine's memory.
    pub(crate) memory_bytes: Option<u64>,
}

/// A child on its way: everything about it but what the operator has to say.
struct Asked {
    name: String,
    request: TaskRequest,
    after: Vec<Dependency>,
    undo: Option<HandlerName>,
}

fn refused(name: &str, error: impl ToString) -> NotAdmitted {
    let name: String = name.chars().take(128).collect();
    NotAdmitted::Refused(format!("the child `{name}` cannot be: {}", error.to_string()))
}

fn unavailable(error: impl ToString) -> NotAdmitted {
    NotAdmitted::Unavailable(error.to_string())
}

impl Children {
    async fn admit_plan(&self, parent: &Task, plan: Plan) -> Result<NewPlan, NotAdmitted> {
        let Plan { children, join, settings } = plan;
        let (on_failure, stop_on_failure) = settings::of_plan(&settings).map_err(NotAdmitted::Refused)?;
        let edges = children.iter().map(|child| child.after.len()).sum();
        if edges > MAX_PLAN_EDGES {
            return Err(NotAdmitted::Refused(PlanError::TooManyEdges { edges }.to_string()));
        }
        let join = join.map(|join| join.parse().map_err(|error| refused(&join, error))).transpose()?;
        let mut nodes = Vec::with_capacity(children.len());
        let mut children = children.into_iter().peekable();
        while children.peek().is_some() {
            let asked = children.by_ref().take(CHILDREN_AT_A_TIME).map(|child| self.asked(parent, child));
            nodes.extend(self.nodes(asked.collect::<Result<_, _>>()?).await?);
            // A plan may have very many of them.
            tokio::task::yield_now().await;
        }
        Ok(NewPlan { nodes, join, on_failure, stop_on_failure })
    }

    async fn admit_child(&self, parent: &Task, child: Child) -> Result<Node, NotAdmitted> {
        // As it was written: a deploy between two attempts does not make it another.
        let body = serde_json::to_vec(&child).map_err(|error| refused(&child.name, error))?;
        let asked = self.asked(parent, child)?;
        let mut node = self.nodes(vec![asked]).await?.pop().ok_or_else(|| unavailable("it was not looked at"))?;
        node.task.fingerprint = Some(Digest::of(&body));
        Ok(node)
    }

    /// What a child asks for, with the grants that its parent can pass on to it.
    fn asked(&self, parent: &Task, child: Child) -> Result<Asked, NotAdmitted> {
        let Child { name, handler, input, after, settings } = child;
        let own = ChildSettings::parse(&settings).map_err(|error| refused(&name, error))?;
        let handler = resolved(&handler, parent).map_err(|error| refused(&name, error))?;
        let package = self.packages.package(&handler).map_err(|error| refused(&name, error))?;
        let info = packages::handler(&package, &handler).map_err(|error| refused(&name, error))?;
        let granted = effective::without_addresses(parent.spec.grants.clone());
        let passed = effective::still_requested(&info.settings.requests, granted);
        let undo = own.undo.as_deref().map(|undo| resolved(undo, parent)).transpose();
        let undo = undo.map_err(|error| refused(&name, error))?;
        let request = TaskRequest {
            env: passed.env,
            dirs: passed.dirs,
            http: passed.http,
            secrets: passed.secrets,
            scratch_bytes: passed.scratch_bytes,
            clock: passed.clock,
            ..own.request(handler).input(input)
        };
        Ok(Asked { name, request, after, undo })
    }

    async fn nodes(&self, asked: Vec<Asked>) -> Result<Vec<Node>, NotAdmitted> {
        let requests: Vec<_> = asked.iter().map(|asked| asked.request.clone()).collect();
        let operator = self.permits.operator(&self.packages, &requests).await.map_err(unavailable)?;
        let mut nodes = Vec::with_capacity(asked.len());
        for Asked { name, request, after, undo } in asked {
            let task = self.admit(request, &operator).map_err(|error| refused(&name, error))?;
            self.fits(&name, &task).await?;
            let compensation = undo.map(|undo| self.undo(&undo)).transpose().map_err(|error| refused(&name, error))?;
            let after = after.iter().map(dependency).collect::<Result<_, _>>();
            let after = after.map_err(|error| refused(&name, error))?;
            let name = name.parse().map_err(|error| refused(&name, error))?;
            nodes.push(Node { name, task, after, compensation });
        }
        Ok(nodes)
    }

    fn admit(&self, request: TaskRequest, operator: &Operator) -> Result<NewTask, RefusedTask> {
        let package = self.packages.package(&request.handler)?;
        let handler = packages::handler(&package, &request.handler)?;
        let schema = self.packages.schema(package.component, handler)?;
        admission::admit(request, &package, handler, schema.as_deref(), &self.permits, operator)
    }

    /// Whether there can ever be room for it here.
    async fn fits(&self, name: &str, task: &NewTask) -> Result<(), NotAdmitted> {
        if memory::check(&task.spec.limits, self.memory_bytes).is_ok() {
            return Ok(());
        }
        // Nearly always it fits whatever its queue says, which is asked only now.
        let queue = self.store.queue(task.spec.queue.clone()).await.map_err(unavailable)?;
        let limits = task.spec.limits.clone().at_most(&queue.settings.limits);
        memory::check(&limits, self.memory_bytes).map_err(|error| refused(name, error))
    }

    /// What undoes a child: nobody passes grants on to it. Its input is what came of the child.
    fn undo(&self, handler: &HandlerName) -> Result<NewTask, RefusedTask> {
        let ceilings = &self.permits.ceilings;
        let mut made = admission::callbacks(std::slice::from_ref(handler), &[], &self.packages, ceilings)?;
        let spec = made.pop().map(|callback| callback.spec);
        Ok(NewTask::new(spec.expect("one handler makes one callback"), Payload::json("null")))
    }
}

/// `handler` in the parent's own package, or `package/handler`.
fn resolved(handler: &str, parent: &Task) -> Result<HandlerName, String> {
    let named =
        if handler.contains('/') { handler.to_owned() } else { format!("{}/{handler}", parent.spec.handler.package) };
    named.parse().map_err(|error: sunaba_task::HandlerNameError| error.to_string())
}

fn dependency(Dependency { name, settings }: &Dependency) -> Result<After, String> {
    let mut after = After::new(name.parse().map_err(|error: sunaba_task::job::NodeNameError| error.to_string())?);
    for (key, value) in settings {
        match key.as_str() {
            "on-failure" => after.on_failure = Some(settings::rule(value)?),
            _ => return Err(settings::unknown("dependency", key, "on-failure")),
        }
    }
    Ok(after)
}

impl Admission for Children {
    fn plan<'a>(&'a self, parent: &'a Task, plan: Plan) -> BoxFuture<'a, Result<NewPlan, NotAdmitted>> {
        Box::pin(self.admit_plan(parent, plan))
    }

    fn child<'a>(&'a self, parent: &'a Task, child: Child) -> BoxFuture<'a, Result<Node, NotAdmitted>> {
        Box::pin(self.admit_child(parent, child))
    }
}
