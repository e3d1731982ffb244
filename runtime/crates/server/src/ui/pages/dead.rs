//! Dead letters by what they died of: to be run again, one after it was mended or all, or to be purged.

use askama::Template;

use super::{Answer, confirm, tasks, unknown};
use crate::api::{GroupsView, TaskView, TasksView};
use crate::problem::Problem;
use crate::ui::desk::query;
use crate::ui::frame::{Frame, Note};
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Dead letters that are shown, or dealt with, at a time.
const PAGE: usize = 200;
/// Pages that are looked at for those of one group.
const MAX_PAGES: usize = 25;

#[derive(Template)]
#[template(path = "dead.html")]
struct Dead {
    frame: Frame,
    groups: GroupsView,
    chosen: Option<Group>,
    letters: Vec<TaskView>,
    more: bool,
}

/// A handler, and what its dead letters died of.
struct Group {
    handler: String,
    kind: String,
}

impl Dead {
    fn remark(&self, task: &TaskView) -> String {
        tasks::remark(task)
    }

    fn is_chosen(&self, group: &crate::api::GroupView) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| chosen.handler == group.handler && chosen.kind == group.kind)
    }
}

/// The newest dead letters of a group; whether older ones were not looked at.
async fn letters(visit: &Visit, group: &Group, most: usize) -> Result<(Vec<TaskView>, bool), Problem> {
    let (mut found, mut before) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let asked = query([("handler", Some(&*group.handler)), ("before", before.as_deref())]);
        let target = format!("/v1/tasks?state=dead&unhandled=true&limit={PAGE}&{asked}");
        let TasksView { tasks, next } = visit.desk.get(&target).await?;
        found.extend(tasks.into_iter().filter(|task| task.died_of.as_ref() == Some(&group.kind)));
        before = next;
        if before.is_none() || found.len() >= most {
            break;
        }
    }
    let more = before.is_some() || found.len() > most;
    found.truncate(most);
    Ok((found, more))
}

pub(super) async fn list(visit: Visit, Fields(fields): Fields) -> Answer {
    let groups: GroupsView = visit.desk.get("/v1/dead/groups").await?;
    let chosen = fields.get("handler").zip(fields.get("kind"));
    let chosen = chosen.map(|(handler, kind)| Group { handler: handler.into(), kind: kind.into() });
    let (letters, more) = match &chosen {
        Some(group) => letters(&visit, group, PAGE).await?,
        None => (Vec::new(), false),
    };
    Ok(page(&Dead { frame: visit.frame("Dead letters", "dead").await, groups, chosen, letters, more }))
}

pub(super) async fn act(visit: Visit, Fields(fields): Fields) -> Answer {
    let (word, done, verb) = match fields.text("action") {
        "redrive" => ("rerun", "run again", "Run again"),
        "purge" => ("delete", "purged", "Purge"),
        other => return Err(unknown(other)),
    };
    let chosen = fields.ids()?;
    let is_group = fields.text("which") == "group";
    let group = Group { handler: fields.text("handler").into(), kind: fields.text("kind").into() };
    if !is_group && chosen.is_empty() {
        return Ok(visit.back(
            &fields,
            "/ui/dead",
            Note::bad("no dead letter is chosen: mark some, or choose the whole group"),
        ));
    }
    if !fields.has("sure") && (is_group || word == "delete") {
        let what = match is_group {
            true => format!("the dead letters of {} that died of `{}`", group.handler, group.kind),
            false => show::of(chosen.len(), "dead letter"),
        };
        let lost = match word {
            "delete" => "Their records and inputs are gone for good.",
            _ => "Each becomes a new task, with its input and for the component that is deployed now.",
        };
        return confirm::ask(&visit, &fields, format!("{verb} {what}?"), lost, verb).await;
    }
    let note = if is_group {
        let (letters, more) = letters(&visit, &group, PAGE * MAX_PAGES).await?;
        let ids: Vec<_> = letters.iter().map(|task| &*task.id).collect();
        let note = tasks::each(&visit, &ids, word, done).await;
        let rest = if more { "; there are older ones, send it again for those" } else { "" };
        Note { text: note.text + rest, ..note }
    } else {
        tasks::each(&visit, &chosen, word, done).await
    };
    Ok(visit.back(&fields, "/ui/dead", note))
}
