//! What the children of tasks may be: each is admitted as a submit of its own is, by the same rules, and gets of its parent's
//! grants what its own handler asks for and the operator allows; of directories less, where its parent says so. Handlers of the
//! parent's own package are those of the version that the parent runs, as long as that is kept and nobody wants to follow; no child
//! goes before others that its parent would not.

mod narrow;
mod settings;

use std::sync::Arc;

use sunaba_store::{Package, Store};
use sunaba_task::job::{After, MAX_PLAN_BYTES, MAX_PLAN_EDGES, NewPlan, Node, PlanError};
use sunaba_task::trace::TaskTrace;
use sunaba_task::{BoxFuture, Child, Dependency, Digest, Grants, HandlerName, Limits, NewTask, Plan, Task};
use sunaba_worker::{Admission, NotAdmitted};

use crate::admission::{self, RefusedTask, TaskRequest};
use crate::checks::{Steps, too_heavy, weight};
use crate::effective::{self, Operator};
use crate::limits::{self, StatedLimits};
use crate::memory;
use crate::packages::{self, Packages};
use crate::permits::Permits;
use crate::trace;
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
    /// Whether attempts have spans, below which those of their children are.
    pub(crate) is_traced: bool,
}

/// A child on its way: everything about it but what the operator has to say.
struct Asked {
    name: String,
    request: TaskRequest,
    after: Vec<Dependency>,
    undo: Option<TaskRequest>,
}

/// Whose children they are, and the package that it runs.
struct Parent<'a> {
    task: &'a Task,
    /// As the parent runs it; none when that is not kept any more.
    package: Option<Arc<Package>>,
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
        let parent = self.parent(parent).await?;
        let mut steps = Steps::of_all(children.iter().map(|child| child.input.bytes.len()).sum());
        let (mut nodes, mut bytes) = (Vec::with_capacity(children.len()), 0);
        let mut children = children.into_iter().peekable();
        while children.peek().is_some() {
            let asked = children.by_ref().take(CHILDREN_AT_A_TIME).map(|child| self.asked(&parent, child));
            let made = self.nodes(&parent, asked.collect::<Result<_, _>>()?, &mut steps).await?;
            bytes += made.iter().map(|node| weight(&node.task)).sum::<u64>();
            if bytes > MAX_PLAN_BYTES {
                return Err(NotAdmitted::Refused(too_heavy(bytes)));
            }
            nodes.extend(made);
            // A plan may have very many of them.
            tokio::task::yield_now().await;
        }
        Ok(NewPlan { nodes, join, on_failure, stop_on_failure })
    }

    async fn admit_child(&self, parent: &Task, child: Child) -> Result<Node, NotAdmitted> {
        // As it was written: a deploy between two attempts does not make it another.
        let body = serde_json::to_vec(&child).map_err(|error| refused(&child.name, error))?;
        let parent = self.parent(parent).await?;
        let asked = self.asked(&parent, child)?;
        let made = self.nodes(&parent, vec![asked], &mut Steps::of_one()).await?;
        let mut node = made.into_iter().next().ok_or_else(|| unavailable("it was not looked at"))?;
        node.task.fingerprint = Some(Digest::of(&body));
        Ok(node)
    }

    async fn parent<'a>(&self, task: &'a Task) -> Result<Parent<'a>, NotAdmitted> {
        let (name, component) = (&task.spec.handler, task.spec.component);
        let active = self.packages.package(name).ok().filter(|package| package.component == component);
        if task.spec.follows || active.is_some() {
            return Ok(Parent { task, package: active });
        }
        let versions = self.store.versions(name.package.clone()).await.map_err(unavailable)?;
        let package = versions.into_iter().find(|version| version.component == component).map(|version| {
            Arc::new(Package {
                name: name.package.clone(),
                component,
                size_bytes: version.size_bytes,
                handlers: version.handlers,
                deployed_at: version.deployed_at,
                version: version.version,
                before: None,
                // Nobody asks it: a policy is looked up by its own package.
                decider: None,
            })
        });
        Ok(Parent { task, package })
    }

    /// What has this handler for a child that asks for nothing else.
    fn package(
        &self,
        parent: &Parent<'_>,
        handler: &HandlerName,
        follow: Option<bool>,
    ) -> Result<Arc<Package>, RefusedTask> {
        let follows = follow.unwrap_or(self.permits.follow_active || parent.task.spec.follows);
        let own = parent.package.as_ref().filter(|package| !follows && package.name == handler.package);
        own.map_or_else(|| self.packages.package(handler), |package| Ok(Arc::clone(package)))
    }

    /// The request with what its parent can pass on to it of its grants.
    fn passed_on(&self, parent: &Parent<'_>, request: TaskRequest) -> Result<TaskRequest, RefusedTask> {
        let package = self.package(parent, &request.handler, request.follow)?;
        let info = packages::handler(&package, &request.handler)?;
        let granted = effective::without_addresses(parent.task.spec.grants.clone());
        let Grants { env, dirs, http, secrets, scratch_bytes, clock } =
            effective::still_requested(&info.settings.requests, granted);
        let own = request.priority.or(info.settings.priority).unwrap_or(parent.task.spec.priority);
        let priority = Some(own.min(parent.task.spec.priority));
        let traceparent = if self.is_traced {
            Some(TaskTrace::of(parent.task).of_attempt(parent.task.attempts_started).to_string())
        } else {
            trace::of(&parent.task.spec)
        };
        Ok(TaskRequest { env, dirs, http, secrets, scratch_bytes, clock, priority, traceparent, ..request })
    }

    /// What a child asks for, with the grants that its parent can pass on to it.
    fn asked(&self, parent: &Parent<'_>, child: Child) -> Result<Asked, NotAdmitted> {
        let Child { name, handler, input, after, settings } = child;
        let own = ChildSettings::parse(&settings).map_err(|error| refused(&name, error))?;
        let handler = resolved(&handler, parent.task).map_err(|error| refused(&name, error))?;
        let undo = own.undo.as_deref().map(|undo| {
            let handler = resolved(undo, parent.task).map_err(|error| refused(&name, error))?;
            self.passed_on(parent, TaskRequest::new(handler)).map_err(|error| refused(&name, error))
        });
        let undo = undo.transpose()?;
        let dirs = own.dirs.clone();
        let mut request =
            self.passed_on(parent, own.request(handler).input(input)).map_err(|error| refused(&name, error))?;
        if let Some(dirs) = dirs {
            request.dirs = narrow::dirs(&parent.task.spec.grants.dirs, &dirs).map_err(|error| refused(&name, error))?;
        }
        Ok(Asked { name, request, after, undo })
    }

    async fn nodes(&self, parent: &Parent<'_>, asked: Vec<Asked>, steps: &mut Steps) -> Result<Vec<Node>, NotAdmitted> {
        let requests: Vec<_> =
            asked.iter().flat_map(|asked| [Some(&asked.request), asked.undo.as_ref()]).flatten().collect();
        let operator = self.permits.operator(&self.packages, requests).await.map_err(unavailable)?;
        let mut nodes = Vec::with_capacity(asked.len());
        for Asked { name, request, after, undo } in asked {
            let passed = request.dirs.clone();
            let task = self.admit(parent, request, &operator, Some(&mut *steps)).await;
            let task = task.map_err(|error| refused(&name, error))?;
            narrow::no_links(&passed, &task.spec.grants.dirs).map_err(|error| refused(&name, error))?;
            let unasked = self.unasked(parent, &task).map_err(|error| refused(&name, error))?;
            narrow::limits(&parent.task.spec.limits, &unasked, &task.spec.limits)
                .map_err(|error| refused(&name, error))?;
            self.fits(&name, &task).await?;
            let compensation = match undo {
                // What it gets is what came of the child, which nobody knows yet.
                Some(undo) => {
                    Some(self.admit(parent, undo, &operator, None).await.map_err(|error| refused(&name, error))?)
                }
                None => None,
            };
            let after = after.iter().map(dependency).collect::<Result<_, _>>();
            let after = after.map_err(|error| refused(&name, error))?;
            let name = name.parse().map_err(|error| refused(&name, error))?;
            nodes.push(Node { name, task, after, compensation });
        }
        Ok(nodes)
    }

    /// Without steps its input is not checked.
    async fn admit(
        &self,
        parent: &Parent<'_>,
        request: TaskRequest,
        operator: &Operator,
        steps: Option<&mut Steps>,
    ) -> Result<NewTask, RefusedTask> {
        let package = self.package(parent, &request.handler, request.follow)?;
        let handler = packages::handler(&package, &request.handler)?;
        let new = admission::admit(request, &package, handler, &self.permits, operator, &self.packages)?;
        if let Some(steps) = steps {
            admission::check_input(&self.packages, package.component, handler, &new.input, steps).await?;
        }
        Ok(new)
    }

    /// The limits that a task of this handler has if nobody asks for any.
    fn unasked(&self, parent: &Parent<'_>, task: &NewTask) -> Result<Limits, RefusedTask> {
        let package = self.package(parent, &task.spec.handler, Some(task.spec.follows))?;
        let handler = packages::handler(&package, &task.spec.handler)?;
        let stated = StatedLimits::of(&handler.settings);
        Ok(limits::effective(&stated, &StatedLimits::default(), &self.permits.ceilings))
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
