//! The queues: how they stand, a pause, and their limits.

use askama::Template;
use axum::extract::Path;
use serde_json::{Map, Value};
use sunaba_task::is_name;

use super::{Answer, told, unknown};
use crate::api::{QueueView, QueuesView};
use crate::problem::Problem;
use crate::ui::desk::{encoded, query};
use crate::ui::form::Form;
use crate::ui::frame::Frame;
use crate::ui::show;
use crate::ui::visit::{Fields, see_other};
use crate::ui::{Visit, page};

#[derive(Template)]
#[template(path = "queues.html")]
struct Queues {
    frame: Frame,
    queues: Vec<QueueView>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct Queue {
    frame: Frame,
    queue: QueueView,
}

impl Queue {
    /// The limits with the name of the field of each, and what it means.
    fn limits(&self) -> Vec<Field> {
        let queue = &self.queue;
        let number = |value: &Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
        let text = |value: &Option<sunaba_task::Rate>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![
            Field::new("concurrency", "At a time", number(&queue.concurrency), "attempts of this queue", "8"),
            Field::new(
                "key_concurrency",
                "At a time, each key",
                number(&queue.key_concurrency),
                "attempts with one key",
                "1",
            ),
            Field::new("rate", "Rate", text(&queue.rate), "starts in a time", "100/1s"),
            Field::new("key_rate", "Rate, each key", text(&queue.key_rate), "starts in a time with one key", "5/1m"),
            Field::new("weight", "Weight", number(&queue.weight), "share of all starts beside other queues", "1"),
            Field::new(
                "max_depth",
                "Depth",
                queue.max_depth.map(|depth| depth.to_string()).unwrap_or_default(),
                "tasks that may wait; more are refused",
                "10000",
            ),
            Field::new(
                "aging_ms",
                "Aging",
                queue.aging_ms.map(|ms| ms.to_string()).unwrap_or_default(),
                "milliseconds by which a waiting task gains one priority",
                "60000",
            ),
            Field::new(
                "limits",
                "Of an attempt",
                queue.limits.as_ref().map(ToString::to_string).unwrap_or_default(),
                "what each may use at most",
                "timeout=30s,memory=64MiB",
            ),
        ]
    }
}

struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    means: &'static str,
    example: &'static str,
}

impl Field {
    fn new(name: &'static str, label: &'static str, value: String, means: &'static str, example: &'static str) -> Self {
        Self { name, label, value, means, example }
    }
}

pub(super) async fn list(visit: Visit, Fields(fields): Fields) -> Answer {
    // One that has nothing yet is in no list, and may be limited before anything comes.
    if let Some(name) = fields.get("name") {
        return Ok(see_other(&format!("/ui/queues/{}", encoded(name))));
    }
    let asked = query([("after", fields.get("after"))]);
    let QueuesView { queues, next } = visit.desk.get(&format!("/v1/queues?{asked}")).await?;
    Ok(page(&Queues { frame: visit.frame("Queues", "queues").await, queues, next }))
}

/// A queue that has nothing, and for which nothing is set.
fn empty(name: &str) -> QueueView {
    QueueView {
        name: name.to_owned(),
        revision: crate::api::revision_of(&sunaba_task::QueueSettings::default()),
        paused: false,
        weight: None,
        concurrency: None,
        key_concurrency: None,
        rate: None,
        key_rate: None,
        max_depth: None,
        aging_ms: None,
        limits: None,
        queued: 0,
        scheduled: 0,
        running: 0,
        oldest_ms: None,
        attention: Vec::new(),
    }
}

/// The queue with this name: the first after all that come before it.
async fn find(visit: &Visit, name: &str) -> Result<QueueView, Problem> {
    let mut after = String::new();
    loop {
        let asked = query([("after", Some(&*after))]);
        let QueuesView { queues, next } = visit.desk.get(&format!("/v1/queues?{asked}")).await?;
        if let Some(queue) = queues.into_iter().find(|queue| queue.name == name) {
            return Ok(queue);
        }
        match next.filter(|next| next.as_str() < name && *next > after) {
            Some(next) => after = next,
            // One that has nothing is in no list, and can be set all the same.
            None if is_name(name) && visit.caller.sees(name) => return Ok(empty(name)),
            None => {
                let hint = "a queue is there once a task was submitted to it, or something was set for it";
                return Err(Problem::not_found(format!("there is no queue `{name}`\nhint: {hint}")));
            }
        }
    }
}

pub(super) async fn one(visit: Visit, Path(name): Path<String>) -> Answer {
    let queue = find(&visit, &name).await?;
    Ok(page(&Queue { frame: visit.frame(&format!("Queue {name}"), "queues").await, queue }))
}

pub(super) async fn act(visit: Visit, Path(name): Path<String>, Fields(fields): Fields) -> Answer {
    let (patch, done) = match fields.text("action") {
        "pause" => (Map::from_iter([("paused".to_owned(), Value::Bool(true))]), "paused"),
        "resume" => (Map::from_iter([("paused".to_owned(), Value::Bool(false))]), "resumed"),
        "limits" => (limits(&fields)?, "set"),
        other => return Err(unknown(other)),
    };
    let target = format!("/v1/queues/{}", encoded(&name));
    let set = visit.desk.send::<QueueView>("PATCH", &target, &patch).await;
    let note = told(set.map(|queue| format!("queue {} is {done}", queue.name)));
    Ok(visit.back(&fields, &format!("/ui/queues/{}", encoded(&name)), note))
}

/// What the fields of the form say; one that is empty takes its limit away.
fn limits(fields: &Form) -> Result<Map<String, Value>, Problem> {
    let mut patch = Map::new();
    for name in ["concurrency", "key_concurrency", "weight", "max_depth", "aging_ms"] {
        if fields.whole(name).is_some() {
            patch.insert(name.into(), fields.number(name)?.map_or(Value::Null, Value::from));
        }
    }
    for name in ["rate", "key_rate", "limits"] {
        if fields.whole(name).is_some() {
            patch.insert(name.into(), fields.get(name).map_or(Value::Null, Value::from));
        }
    }
    Ok(patch)
}
