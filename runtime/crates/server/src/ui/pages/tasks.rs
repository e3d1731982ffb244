//! Tasks by what they have in common, and what is done to many of them.

use askama::Template;
use axum::response::Response;
use serde_json::{Value, json};
use sunaba_task::{StateName, TaskId, format_count};

use super::{Answer, confirm, refused, unknown};
use crate::api::{BulkView, Filter, TaskView, TasksView};
use crate::problem::Problem;
use crate::ui::desk::{encoded, query};
use crate::ui::form::Form;
use crate::ui::frame::{Frame, Note};
use crate::ui::show;
use crate::ui::visit::{Fields, see_other};
use crate::ui::{Visit, page};

/// Tasks of a page.
const PAGE: usize = 50;
/// Tasks of one commit, where something is done to all that pass a filter.
const BULK_PAGE: usize = 500;
/// Such pages that one form does; the rest is done by sending it again.
const BULK_PAGES: usize = 100;

/// What can be done to many: its word, its route, what was done, and whether it can be taken back.
const ACTIONS: [(&str, &str, &str); 4] = [
    ("cancel", "cancelled", "Cancel"),
    ("run-now", "made due", "Run now"),
    ("rerun", "run again", "Run again"),
    ("delete", "deleted", "Delete"),
];

#[derive(Template)]
#[template(path = "tasks.html")]
struct Tasks {
    frame: Frame,
    tasks: Vec<TaskView>,
    next: Option<String>,
    asked: Asked,
}

/// What the filter says, as its form has it.
pub(super) struct Asked {
    pub(super) states: Vec<String>,
    pub(super) queue: String,
    pub(super) handler: String,
    pub(super) tag: String,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) unhandled: bool,
    pub(super) awaiting: bool,
    before: Option<String>,
}

impl Asked {
    pub(super) fn of(form: &Form) -> Self {
        // One field with commas, or one for each.
        let states = form.all("state").flat_map(|states| states.split(',')).filter(|state| !state.is_empty());
        Self {
            states: states.map(str::to_owned).collect(),
            queue: form.text("queue").to_owned(),
            handler: form.text("handler").to_owned(),
            tag: form.text("tag").to_owned(),
            from: form.text("from").to_owned(),
            until: form.text("until").to_owned(),
            unhandled: matches!(form.text("unhandled"), "on" | "true"),
            awaiting: matches!(form.text("awaiting_completion"), "on" | "true"),
            before: form.get("before").map(str::to_owned),
        }
    }

    fn filter(&self) -> Filter {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Filter {
            state: some(&self.states.join(",")),
            queue: some(&self.queue),
            handler: some(&self.handler),
            tag: some(&self.tag),
            from: some(&instant(&self.from)),
            until: some(&instant(&self.until)),
            unhandled: self.unhandled.then_some(true),
            awaiting_completion: self.awaiting.then_some(true),
            before: None,
            limit: None,
        }
    }

    /// As it stands in a page's address, without the place in the list.
    fn query(&self) -> String {
        let states = self.states.join(",");
        let on = |is: bool| is.then_some("true");
        query([
            ("state", Some(&*states)),
            ("queue", Some(&*self.queue)),
            ("handler", Some(&*self.handler)),
            ("tag", Some(&*self.tag)),
            ("from", Some(&*instant(&self.from))),
            ("until", Some(&*instant(&self.until))),
            ("unhandled", on(self.unhandled)),
            ("awaiting_completion", on(self.awaiting)),
        ])
    }

    fn is_empty(&self) -> bool {
        self.filter().is_empty()
    }

    fn has(&self, state: &StateName) -> bool {
        self.states.iter().any(|own| *own == state.to_string())
    }

    fn all_states(&self) -> [StateName; 9] {
        StateName::ALL
    }
}

/// A field for an instant gives one without its zone, which is UTC here.
fn instant(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

impl Tasks {
    fn remark(&self, task: &TaskView) -> String {
        remark(task)
    }
}

/// What there is to say about a task in a list.
pub(super) fn remark(task: &TaskView) -> String {
    if let Some(awaits) = &task.awaits {
        return format!("waits for somebody: {}", awaits.reason);
    }
    let Some(last) = task.attempts.last() else { return String::new() };
    match (&last.message, &last.kind) {
        (Some(message), Some(kind)) => format!("{kind}: {message}"),
        (Some(message), None) => message.clone(),
        (None, _) if task.state == StateName::Succeeded => String::new(),
        (None, _) => last.reason.clone(),
    }
}

pub(super) async fn list(visit: Visit, Fields(fields): Fields) -> Answer {
    if let Some(words) = fields.get("q") {
        return Ok(search(words));
    }
    let asked = Asked::of(&fields);
    let target = format!("/v1/tasks?limit={PAGE}&{}&{}", asked.query(), query([("before", asked.before.as_deref())]));
    let TasksView { tasks, next } = visit.desk.get(&target).await?;
    Ok(page(&Tasks { frame: visit.frame("Tasks", "tasks").await, tasks, next, asked }))
}

/// Where somebody wants to go who has written this.
fn search(words: &str) -> Response {
    if let Some(job) = words.strip_prefix("job:") {
        return see_other(&format!("/ui/jobs/{}", encoded(job.trim())));
    }
    if words.parse::<TaskId>().is_ok() {
        return see_other(&format!("/ui/tasks/{}", encoded(words)));
    }
    let field = words.split_once(':').filter(|(name, _)| ["queue", "tag", "handler", "state"].contains(name));
    let (name, value) = field.unwrap_or(if words.contains('/') { ("handler", words) } else { ("tag", words) });
    see_other(&format!("/ui/tasks?{name}={}", encoded(value.trim())))
}

/// What can be done in this state, for the hint beside a question.
fn acts_on(action: &str) -> &'static str {
    match action {
        "cancel" => "Tasks that have ended stay as they are; attempts that run are asked to end.",
        "run-now" => "Tasks that wait for an instant become due at once.",
        "rerun" => "Each becomes a new task, for the component that is deployed now.",
        _ => "Their records, inputs and outputs are gone for good. Tasks that have not ended stay.",
    }
}

pub(super) async fn act(visit: Visit, Fields(fields): Fields) -> Answer {
    let word = fields.text("action");
    let Some((word, done, verb)) = ACTIONS.into_iter().find(|(own, ..)| *own == word) else {
        return Err(unknown(word));
    };
    let is_all = fields.text("which") == "all";
    let chosen = fields.ids()?;
    if !is_all && chosen.is_empty() {
        return Ok(visit.back(
            &fields,
            "/ui/tasks",
            Note::bad("no task is chosen: mark some, or choose all that match"),
        ));
    }
    if !fields.has("sure") && (is_all || word == "delete") {
        let what = if is_all { "all tasks that match the filter".to_owned() } else { show::of(chosen.len(), "task") };
        return confirm::ask(&visit, &fields, format!("{verb} {what}?"), acts_on(word), verb).await;
    }
    let note = match is_all {
        true => all(&visit, &fields, word, done).await?,
        false => each(&visit, &chosen, word, done).await,
    };
    Ok(visit.back(&fields, "/ui/tasks", note))
}

/// Does it to these, one by one.
pub(super) async fn each(visit: &Visit, ids: &[&str], word: &str, done: &str) -> Note {
    let (mut count, mut wrong) = (0, Vec::new());
    for id in ids {
        let result = one(visit, id, word, &json!({})).await;
        match result {
            Ok(_) => count += 1,
            Err(problem) => wrong.push(problem),
        }
    }
    summary(count, done, wrong.len() as u64, wrong.first(), false)
}

/// Does it to one.
pub(super) async fn one(visit: &Visit, id: &str, word: &str, body: &Value) -> Result<Value, Problem> {
    let task = format!("/v1/tasks/{}", encoded(id));
    match word {
        "delete" => visit.desk.send("DELETE", &task, body).await,
        word => visit.desk.send("POST", &format!("{task}/{word}"), body).await,
    }
}

/// Does it to all that pass the filter, page by page.
async fn all(visit: &Visit, fields: &Form, word: &str, done: &str) -> Result<Note, Problem> {
    let asked = Asked::of(&Form::read(fields.text("filter").as_bytes())?);
    let mut filter = asked.filter();
    let is_all = filter.is_empty();
    filter.limit = Some(BULK_PAGE);
    let (mut count, mut refusals, mut first) = (0, 0, None);
    for _ in 0..BULK_PAGES {
        let bulk = json!({"filter": filter, "all": is_all});
        let did = visit.desk.send::<BulkView>("POST", &format!("/v1/tasks/{word}"), &bulk).await?;
        count += did.done.len() as u64;
        refusals += did.refused.len() as u64;
        first = first.or(did.refused.into_iter().next().map(|not_done| not_done.problem));
        filter.before = did.next;
        if filter.before.is_none() {
            break;
        }
    }
    Ok(summary(count, done, refusals, first.as_ref(), filter.before.is_some()))
}

fn summary(count: u64, done: &str, refusals: u64, first: Option<&Problem>, more: bool) -> Note {
    let mut text = format!("{} {done}", show::of(count, "task"));
    if let Some(problem) = first {
        text.push_str(&format!("; {} not: {}", format_count(refusals), refused(problem).text));
    }
    if more {
        text.push_str("; there are more, send it again for the rest");
    }
    if first.is_some() && count == 0 { Note::bad(text) } else { Note::good(text) }
}
