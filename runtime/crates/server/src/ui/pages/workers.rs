//! The worker groups: their slots, their memory, and what they hold.

use askama::Template;
use axum::extract::Path;
use serde_json::json;
use sunaba_host::Story;

use super::{Answer, told};
use crate::api::{HostView, TaskView, TasksView, WorkerView, WorkersView};
use crate::ui::desk::encoded;
use crate::ui::frame::Frame;
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Leases that are shown; each is a look at its task.
const MAX_LEASES: usize = 30;

#[derive(Template)]
#[template(path = "workers.html")]
struct Workers {
    frame: Frame,
    host: HostView,
    workers: Vec<WorkerView>,
    leases: Vec<Lease>,
    more: bool,
}

/// A task that runs, and who runs it since when.
struct Lease {
    task: TaskView,
    worker: String,
    since: String,
}

pub(super) async fn list(visit: Visit) -> Answer {
    let WorkersView { workers } = visit.desk.get("/v1/workers").await?;
    let host: HostView = visit.desk.get("/v1/host").await?;
    let running = visit.desk.maybe::<TasksView>(&format!("/v1/tasks?state=running&limit={MAX_LEASES}")).await?;
    let (running, more) = running.map_or((Vec::new(), false), |page| (page.tasks, page.next.is_some()));
    let mut leases = Vec::new();
    for listed in running {
        let at = format!("/v1/tasks/{}", encoded(&listed.id));
        let story = visit.desk.maybe::<Story>(&format!("{at}/explain")).await?;
        // It may have ended meanwhile.
        if let Some(lease) = story.and_then(|story| story.running) {
            let task = visit.desk.maybe::<TaskView>(&at).await?.unwrap_or(listed);
            leases.push(Lease { task, worker: lease.worker, since: lease.started_at });
        }
    }
    Ok(page(&Workers { frame: visit.frame("Workers", "workers").await, host, workers, leases, more }))
}

pub(super) async fn set(visit: Visit, Path(id): Path<String>, Fields(fields): Fields) -> Answer {
    let wish = json!({"slots": fields.text("slots")});
    let set = visit.desk.send::<WorkerView>("PATCH", &format!("/v1/workers/{}", encoded(&id)), &wish).await;
    // What was asked for may be a range.
    let slots =
        |wanted: &str| wanted.parse::<u64>().map_or(format!("slots {wanted}"), |number| show::of(number, "slot"));
    let done =
        |worker: WorkerView| format!("{} has {} as asked, until the host ends", worker.id, slots(&worker.wanted));
    let note = told(set.map(done));
    Ok(visit.back(&fields, "/ui/workers", note))
}
