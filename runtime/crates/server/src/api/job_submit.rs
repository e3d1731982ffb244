//! Submits of jobs, as JSON. A task of a job is written as one that is submitted alone, with its name, what it waits for and what
//! undoes it beside. Plans are bounded while they are read.

mod described;
mod fields;
mod read;

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(feature = "serve")]
use sunaba_host::{JobRequest, NodeRequest};
use sunaba_store::SubmitJobError;
use sunaba_task::format_bytes;
use sunaba_task::job::{After, Awaited, Budget, BudgetName, NodeName, OnFailure};

pub use fields::explain_field;

use super::{Submit, ms};
use crate::problem::Problem;

/// The body of the submit of a job.
pub const MAX_JOB_BYTES: usize = 64 << 20;
/// What the maps of a plan say once and their tasks have each for itself, all together.
const MAX_REPEATED_BYTES: usize = 256 << 20;

/// A job to be submitted.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitJob {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it means that a task does not succeed, where a dependency does not say it: `fail`, `compensate`, `continue` or
    /// `ignore`. By default it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Whether the first failure stops what else runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_failure: bool,
    /// What it may spend.
    #[serde(default, deserialize_with = "read::budget", skip_serializing_if = "Option::is_none")]
    pub budget: Option<JobBudget>,
    /// The task whose output is the job's. Null: the only one for which no other waits, if there is just one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<NodeName>,
    /// A second request with this key gives the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The package whose policy decides about the attempts of its tasks, where a task does not name another, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<String>,
    /// Groups, as `GROUP/*`, that may have no tasks. Of others it is a mistake to wait for them; a map is a group, whatever its
    /// inputs.
    #[serde(default, deserialize_with = "read::groups", skip_serializing_if = "Vec::is_empty")]
    pub may_be_empty: Vec<Awaited>,
    /// Its plan. It may be empty, and is never left out.
    #[serde(deserialize_with = "read::nodes")]
    pub nodes: Vec<SubmitNode>,
}

/// What a job may spend. What is left out has no limit; of tasks there may be a million.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobBudget {
    /// Attempts that begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u64>,
    /// From its submit to its end, such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The same in milliseconds, in place of `time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Bytes written to artifacts, over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_bytes: Option<u64>,
    /// Tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// How deep plans may be made under tasks; the job's own is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
}

/// A task of a job, or with `map` a group of them.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
pub struct SubmitNode {
    /// Unique in its plan.
    pub name: String,
    /// What has to end before: names, `GROUP/*`, or objects with a rule for failures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "described::Dependencies", default)]
    pub after: Vec<AfterNode>,
    /// What undoes it, should the job fail after it has succeeded; without an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<described::Undo>")]
    pub compensation: Option<Box<Submit>>,
    /// A task for each of these inputs, named `NAME/1` and so on, in place of a handler and an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<MapNode>,
    /// The task itself.
    #[serde(flatten)]
    pub task: Submit,
}

/// The same handler for many inputs.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapNode {
    /// `package/handler`.
    pub handler: String,
    /// An input for each task.
    #[serde(deserialize_with = "read::inputs")]
    pub inputs: Vec<Box<RawValue>>,
}

/// Something that has to end before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum AfterNode {
    /// A name, or `GROUP/*`.
    Name(Awaited),
    /// The same, with a rule of its own.
    Ruled {
        /// A name, or `GROUP/*`.
        name: Awaited,
        /// What it means that it does not succeed.
        on_failure: OnFailure,
    },
}

#[cfg(feature = "serve")]
impl SubmitJob {
    /// What is asked for, in the host's words.
    pub(crate) fn request(self) -> Result<JobRequest, Problem> {
        let mut plan = Plan::default();
        for (number, node) in (1..).zip(self.nodes) {
            node.requests(number, &mut plan)?;
        }
        let time = self.budget.as_ref().and_then(JobBudget::time_as_written);
        let budget = self.budget.map_or_else(|| Ok(Budget::default()), JobBudget::budget)?;
        Ok(JobRequest {
            name: self.name,
            tags: self.tags,
            on_failure: self.on_failure.unwrap_or_default(),
            stop_on_failure: self.stop_on_failure,
            decider: self.decider,
            budget: checked(budget, time)?,
            result: self.result,
            idempotency_key: self.idempotency_key,
            empty_maps: plan.empty_maps,
            may_be_empty: self.may_be_empty,
            nodes: plan.nodes,
        })
    }
}

/// The tasks of a plan, and what is known of it besides.
#[cfg(feature = "serve")]
#[derive(Default)]
struct Plan {
    nodes: Vec<NodeRequest>,
    empty_maps: Vec<NodeRequest>,
    maps: HashSet<NodeName>,
    /// What maps have had their tasks say again, in bytes.
    repeated: usize,
}

/// A budget whose time can be, or why not, with the time as it was written.
fn checked(budget: Budget, time: Option<String>) -> Result<Budget, Problem> {
    match (budget.check(), time) {
        (Err(mut error), Some(time)) if error.name == BudgetName::Time => {
            error.value = time;
            Err(Problem::invalid(SubmitJobError::from(error)))
        }
        // What else is wrong with it is told with what else is wrong with the job.
        _ => Ok(budget),
    }
}

impl JobBudget {
    fn time_as_written(&self) -> Option<String> {
        self.time.clone().or_else(|| Some(format!("{}ms", self.time_ms?)))
    }

    fn budget(self) -> Result<Budget, Problem> {
        let time = match (self.time, self.time_ms) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("the budget has `time` and `time_ms`\nhint: leave out one"));
            }
            (Some(text), None) => Some(sunaba_task::parse_duration(&text).map_err(Problem::invalid)?),
            (None, time_ms) => time_ms.map(Duration::from_millis),
        };
        let tasks = self.tasks.unwrap_or(Budget::default().tasks);
        let depth = self.depth.unwrap_or(Budget::default().depth);
        let Self { attempts, fuel, artifact_bytes, .. } = self;
        Ok(Budget { attempts, time, fuel, artifact_bytes, tasks, depth })
    }
}

#[cfg(feature = "serve")]
impl SubmitNode {
    /// The tasks of this, which is the `number`th of its plan.
    fn requests(self, number: usize, plan: &mut Plan) -> Result<(), Problem> {
        let Self { name, after, compensation, map, mut task } = self;
        let called = if name.is_empty() { format!("task {number} of the plan") } else { format!("task `{name}`") };
        let wrong = |problem: &str| Problem::invalid(format!("{called}: {problem}"));
        let about = |problem: Problem| Problem { detail: format!("{called}: {}", problem.detail), ..problem };
        if name.is_empty() {
            return Err(wrong("it has no `name`\nhint: each task of a job has one, by which others can wait for it"));
        }
        let inputs = match map {
            Some(map) => {
                if !task.handler.is_empty() || task.input.is_some() || task.input_base64.is_some() {
                    return Err(wrong(
                        "`map` has a handler and inputs of its own\nhint: leave out `handler` and `input`",
                    ));
                }
                task.handler = map.handler;
                Some(map.inputs)
            }
            None => None,
        };
        if task.handler.is_empty() {
            return Err(wrong("it has no `handler`\nhint: write it as `package/handler`"));
        }
        let compensation = compensation.map(|undo| undo.request()).transpose().map_err(|problem| Problem {
            detail: format!("the compensation of {called}: {}", problem.detail),
            ..problem
        })?;
        let request = NodeRequest {
            name: name.parse().map_err(Problem::invalid)?,
            task: task.request().map_err(about)?,
            after: after.into_iter().map(After::from).collect(),
            compensation,
        };
        match inputs {
            None => plan.nodes.push(request),
            Some(inputs) => plan.add_map(request, inputs).map_err(about)?,
        }
        Ok(())
    }
}

#[cfg(feature = "serve")]
impl Plan {
    /// A task for each input of a map.
    fn add_map(&mut self, map: NodeRequest, inputs: Vec<Box<RawValue>>) -> Result<(), Problem> {
        if !self.maps.insert(map.name.clone()) {
            let message =
                "there are two maps of this name\nhint: a name stands for one task of its plan, or for one map";
            return Err(Problem::invalid(message));
        }
        let width = inputs.len().to_string().len();
        let member = |number: usize| format!("{}/{number:0width$}", map.name).parse::<NodeName>();
        // The longest name, before there is any; and of a map without inputs, whether it could have some.
        member(inputs.len()).map_err(Problem::invalid)?;
        if inputs.is_empty() {
            self.empty_maps.push(map);
            return Ok(());
        }
        if inputs.len() > 1 {
            let once = serde_json::to_vec(&map).map_or(usize::MAX, |written| written.len());
            self.repeated = self.repeated.saturating_add(once.saturating_mul(inputs.len()));
        }
        if self.repeated > MAX_REPEATED_BYTES {
            let most = format_bytes(MAX_REPEATED_BYTES as u64);
            let message = format!(
                "what this map and those before it say for each of their tasks is more than {most} together\nhint: give what all \
                 tasks need to one of them, and let the others read what that gives"
            );
            return Err(Problem::invalid(message));
        }
        for (number, input) in (1..).zip(inputs) {
            let name = member(number).map_err(Problem::invalid)?;
            let input = sunaba_task::Payload::json(String::from(Box::<str>::from(input)));
            let (task, after, compensation) =
                (map.task.clone().input(input), map.after.clone(), map.compensation.clone());
            self.nodes.push(NodeRequest { name, task, after, compensation });
        }
        Ok(())
    }
}

impl From<AfterNode> for After {
    fn from(after: AfterNode) -> Self {
        match after {
            AfterNode::Name(awaited) => Self::new(awaited),
            AfterNode::Ruled { name, on_failure } => Self { on_failure: Some(on_failure), ..Self::new(name) },
        }
    }
}

impl From<After> for AfterNode {
    fn from(After { awaited, on_failure }: After) -> Self {
        match on_failure {
            None => Self::Name(awaited),
            Some(on_failure) => Self::Ruled { name: awaited, on_failure },
        }
    }
}

#[cfg(feature = "serve")]
impl From<JobRequest> for SubmitJob {
    fn from(request: JobRequest) -> Self {
        let Budget { attempts, time, fuel, artifact_bytes, tasks, depth } = request.budget;
        let (time_ms, tasks, depth) = (time.map(ms), Some(tasks), Some(depth));
        let budget = JobBudget { attempts, time: None, time_ms, fuel, artifact_bytes, tasks, depth };
        let node = |node: NodeRequest| SubmitNode {
            name: node.name.to_string(),
            after: node.after.into_iter().map(AfterNode::from).collect(),
            compensation: node.compensation.map(|undo| Box::new(Submit::from(undo))),
            map: None,
            task: node.task.into(),
        };
        let empty_map = |map: NodeRequest| {
            let mut map = node(map);
            let handler = std::mem::take(&mut map.task.handler);
            (map.task.input, map.task.input_base64, map.task.media_type) = (None, None, None);
            SubmitNode { map: Some(MapNode { handler, inputs: Vec::new() }), ..map }
        };
        let maps = request.empty_maps.into_iter().map(empty_map);
        Self {
            name: request.name,
            tags: request.tags,
            on_failure: Some(request.on_failure),
            stop_on_failure: request.stop_on_failure,
            decider: request.decider,
            budget: Some(budget),
            result: request.result,
            idempotency_key: request.idempotency_key,
            may_be_empty: request.may_be_empty,
            nodes: request.nodes.into_iter().map(node).chain(maps).collect(),
        }
    }
}
