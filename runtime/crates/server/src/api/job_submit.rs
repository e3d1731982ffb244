//! Submits of jobs, as JSON. A task of a job is written as one that is submitted alone, with its name, what it waits for and what
//! undoes it beside. Plans are bounded while they are read.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sunaba_host::{JobRequest, NodeRequest};
use sunaba_task::format_count;
use sunaba_task::job::{After, Awaited, Budget, MAX_PLAN_NODES, NodeName, OnFailure};

use super::{Submit, ms};
use crate::problem::Problem;

/// The body of the submit of a job.
pub const MAX_JOB_BYTES: usize = 64 << 20;

/// A job to be submitted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmitJob {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it means that a task does not succeed, where a dependency does not say it: `fail`, `compensate`, `continue` or
    /// `ignore`. By default it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Whether the first failure stops what else runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_failure: bool,
    /// What it may spend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<JobBudget>,
    /// The task whose output is the job's. Null: the only one for which no other waits, if there is just one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<NodeName>,
    /// A second request with this key gives the same job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Its plan.
    #[serde(deserialize_with = "nodes")]
    pub nodes: Vec<SubmitNode>,
}

/// What a job may spend. What is left out has no limit; of tasks there may be a million.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Default, Serialize)]
pub struct SubmitNode {
    /// Unique in its plan.
    pub name: String,
    /// What has to end before: names, `GROUP/*`, or objects with a rule for failures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<AfterNode>,
    /// What undoes it, should the job fail after it has succeeded; without an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Box<Submit>>,
    /// A task for each of these inputs, named `NAME/1` and so on, in place of a handler and an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<MapNode>,
    /// The task itself.
    #[serde(flatten)]
    pub task: Submit,
}

/// The same handler for many inputs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapNode {
    /// `package/handler`.
    pub handler: String,
    /// An input for each task.
    pub inputs: Vec<Box<RawValue>>,
}

/// Something that has to end before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

impl<'de> Deserialize<'de> for AfterNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ruled {
            name: Awaited,
            on_failure: OnFailure,
        }
        struct OneOf;
        impl<'de> Visitor<'de> for OneOf {
            type Value = AfterNode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a task, `GROUP/*`, or an object with `name` and `on_failure`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AfterNode, E> {
                text.parse().map(AfterNode::Name).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AfterNode, A::Error> {
                let Ruled { name, on_failure } = Ruled::deserialize(MapAccessDeserializer::new(map))?;
                Ok(AfterNode::Ruled { name, on_failure })
            }
        }
        deserializer.deserialize_any(OneOf)
    }
}

impl<'de> Deserialize<'de> for SubmitNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneNode;
        impl<'de> Visitor<'de> for OneNode {
            type Value = SubmitNode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a task of a job, as an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SubmitNode, A::Error> {
                let (own, field) = (RefCell::default(), RefCell::default());
                let fields = Fields { map, own: &own, field: &field };
                // serde's own flattening would lose the places of errors, and inputs as they are written.
                let task = Submit::deserialize(MapAccessDeserializer::new(fields));
                let mut node: SubmitNode = own.into_inner();
                match task {
                    Ok(task) => {
                        node.task = task;
                        Ok(node)
                    }
                    Err(error) => Err(A::Error::custom(in_field(&node.name, &field.into_inner(), &error.to_string()))),
                }
            }
        }
        deserializer.deserialize_map(OneNode)
    }
}

/// What is wrong with a field of a task. What belongs to other fields is left out.
fn in_field(node: &str, field: &str, error: &str) -> String {
    let (problem, place) = error.rfind(" at line ").map_or((error, ""), |at| error.split_at(at));
    let task = if node.is_empty() { String::new() } else { format!("task `{node}`: ") };
    let problem = problem.split(", expected one of `handler`").next().unwrap_or(problem);
    let problem = if problem.starts_with("unknown field ") || field.is_empty() {
        problem.to_owned()
    } else {
        format!("the field `{field}`: {problem}")
    };
    // Beside the callbacks of a task, a job and a dependency have rules of this name.
    let hint = if field == "on_failure" && !problem.contains("\nhint: ") {
        "\nhint: of a task these are handlers; a rule such as `continue` stands in the job, or in `after` as `{\"name\": ..., \
         \"on_failure\": \"continue\"}`"
    } else {
        ""
    };
    format!("{task}{problem}{hint}{place}")
}

/// The fields of a task of a job: its own are taken out, and the others handed on.
struct Fields<'a, A> {
    map: A,
    own: &'a RefCell<SubmitNode>,
    field: &'a RefCell<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            self.field.replace(key.clone());
            let mut own = self.own.borrow_mut();
            match key.as_str() {
                "name" => {
                    let name = self.map.next_value::<String>()?;
                    name.parse::<NodeName>().map_err(A::Error::custom)?;
                    own.name = name;
                }
                "after" => own.after = self.map.next_value()?,
                "compensation" => own.compensation = Some(self.map.next_value()?),
                "map" => own.map = Some(self.map.next_value()?),
                _ => return seed.deserialize(key.into_deserializer()).map(Some),
            }
        }
        self.field.replace(String::new());
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The nodes of a plan. Reading ends with the first that is too many.
fn nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SubmitNode>, D::Error> {
    struct Nodes;
    impl<'de> Visitor<'de> for Nodes {
        type Value = Vec<SubmitNode>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of tasks")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<SubmitNode>, A::Error> {
            let (mut nodes, mut count): (Vec<SubmitNode>, usize) = (Vec::new(), 0);
            while let Some(node) = list.next_element::<SubmitNode>()? {
                count += node.map.as_ref().map_or(1, |map| map.inputs.len());
                if count > MAX_PLAN_NODES {
                    return Err(A::Error::custom(too_many()));
                }
                nodes.push(node);
            }
            Ok(nodes)
        }
    }
    deserializer.deserialize_seq(Nodes)
}

fn too_many() -> String {
    format!(
        "the plan has more than {} tasks\nhint: let tasks decompose into the rest, or submit several jobs",
        format_count(MAX_PLAN_NODES as u64)
    )
}

impl SubmitJob {
    /// What is asked for, in the host's words.
    pub(crate) fn request(self) -> Result<JobRequest, Problem> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (number, node) in (1..).zip(self.nodes) {
            node.requests(number, &mut nodes)?;
        }
        Ok(JobRequest {
            name: self.name,
            tags: self.tags,
            on_failure: self.on_failure.unwrap_or_default(),
            stop_on_failure: self.stop_on_failure,
            budget: self.budget.map_or_else(|| Ok(Budget::default()), JobBudget::budget)?,
            result: self.result,
            idempotency_key: self.idempotency_key,
            nodes,
        })
    }
}

impl JobBudget {
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

impl SubmitNode {
    /// The tasks of this, which is the `number`th of its plan.
    fn requests(self, number: usize, nodes: &mut Vec<NodeRequest>) -> Result<(), Problem> {
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
        let Some(inputs) = inputs else {
            nodes.push(request);
            return Ok(());
        };
        let width = inputs.len().to_string().len();
        for (number, input) in (1..).zip(inputs) {
            let name = format!("{name}/{number:0width$}").parse().map_err(Problem::invalid)?;
            let input = sunaba_task::Payload::json(String::from(Box::<str>::from(input)));
            let task = request.task.clone().input(input);
            nodes.push(NodeRequest { name, task, ..request.clone() });
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
        Self {
            name: request.name,
            tags: request.tags,
            on_failure: Some(request.on_failure),
            stop_on_failure: request.stop_on_failure,
            budget: Some(budget),
            result: request.result,
            idempotency_key: request.idempotency_key,
            nodes: request.nodes.into_iter().map(node).collect(),
        }
    }
}
