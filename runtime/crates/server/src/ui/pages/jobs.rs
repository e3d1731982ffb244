//! Jobs: how far each is, its tasks as a graph, the chain that took longest, and what it fails of or waits for.

use askama::Template;
use axum::extract::Path;
use axum::http::HeaderMap;
use serde_json::json;
use sunaba_host::job_story::JobStory;
use sunaba_task::StateName;
use sunaba_task::job::JobState;

use super::{Answer, confirm, refused, told, unknown};
use crate::api::{JobCancelView, JobTasksView, JobView, JobsView, PlanView};
use crate::ui::desk::{encoded, query};
use crate::ui::form::Form;
use crate::ui::frame::{Frame, Note};
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Jobs, or tasks of a plan, of a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "jobs.html")]
struct Jobs {
    frame: Frame,
    jobs: Vec<JobView>,
    next: Option<String>,
    state: String,
    tag: String,
}

impl Jobs {
    fn all_states(&self) -> [JobState; 6] {
        JobState::ALL
    }

    fn query(&self) -> String {
        query([("state", Some(&*self.state)), ("tag", Some(&*self.tag))])
    }
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    job: JobView,
    story: Option<JobStory>,
    plan: PlanView,
}

impl JobPage {
    /// Whether it has ended, and something of it did not succeed.
    fn is_retried(&self) -> bool {
        self.job.ended_at.is_some() && (self.job.state != JobState::Succeeded || self.job.partial)
    }
}

/// What there is to say about the tasks of a job.
mod of {
    use super::{JobTasksView, StateName};

    /// How many have ended well.
    pub(super) fn succeeded(tasks: &JobTasksView) -> u64 {
        tasks.by_state.get(&StateName::Succeeded).copied().unwrap_or(0)
    }

    pub(super) fn ended(tasks: &JobTasksView) -> u64 {
        tasks.total.saturating_sub(tasks.unfinished)
    }
}

pub(super) async fn list(visit: Visit, Fields(fields): Fields) -> Answer {
    let (state, tag) = (fields.text("state").to_owned(), fields.text("tag").to_owned());
    let asked = query([("state", Some(&*state)), ("tag", Some(&*tag)), ("before", fields.get("before"))]);
    let JobsView { jobs, next } = visit.desk.get(&format!("/v1/jobs?limit={PAGE}&{asked}")).await?;
    Ok(page(&Jobs { frame: visit.frame("Jobs", "jobs").await, jobs, next, state, tag }))
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>, Fields(fields): Fields) -> Answer {
    let at = format!("/v1/jobs/{}", encoded(&id));
    let job: JobView = visit.desk.get(&at).await?;
    let story = visit.desk.maybe::<JobStory>(&format!("{at}/explain")).await?;
    let asked = query([("cursor", fields.get("cursor"))]);
    let plan: PlanView = visit.desk.get(&format!("{at}/tasks?limit={PAGE}&{asked}")).await?;
    let title = if job.name.is_empty() { format!("Job {id}") } else { format!("Job {}", job.name) };
    Ok(page(&JobPage { frame: visit.frame(&title, "jobs").await, job, story, plan }))
}

/// The picture of the graph, as the API draws it; as an image it runs nothing.
pub(super) async fn graph(visit: Visit, Path(id): Path<String>) -> Answer {
    let target = format!("/v1/jobs/{}/graph?format=svg", encoded(&id));
    Ok(visit.desk.ask("GET", &target, HeaderMap::new(), Vec::new()).await)
}

pub(super) async fn raw(visit: Visit, Path(id): Path<String>) -> Answer {
    Ok(visit.desk.ask("GET", &format!("/v1/jobs/{}", encoded(&id)), HeaderMap::new(), Vec::new()).await)
}

pub(super) async fn act(visit: Visit, Path(id): Path<String>, Fields(fields): Fields) -> Answer {
    let at = format!("/v1/jobs/{}", encoded(&id));
    let own = format!("/ui/jobs/{}", encoded(&id));
    let note = match fields.text("action") {
        "cancel" if !fields.has("sure") => {
            let what = "What has not begun never will; attempts that run are asked to end.";
            return confirm::ask(&visit, &fields, format!("Cancel job {id}?"), what, "Cancel the job").await;
        }
        "cancel" => {
            let wish = fields.get("reason").map_or(json!({}), |reason| json!({"reason": reason}));
            let done = visit.desk.send::<JobCancelView>("POST", &format!("{at}/cancel"), &wish).await;
            told(
                done.map(|done| format!("the job is being cancelled: {} will not run", show::of(done.stopped, "task"))),
            )
        }
        "retry" => match visit.desk.send::<JobView>("POST", &format!("{at}/retry"), &json!({})).await {
            Ok(made) => {
                let note =
                    Note::good(format!("this is the new job, made of {id}: what had succeeded is not run again"));
                return Ok(visit.back(&Form::default(), &format!("/ui/jobs/{}", encoded(&made.id)), note));
            }
            Err(problem) => refused(&problem),
        },
        other => return Err(unknown(other)),
    };
    Ok(visit.back(&fields, &own, note))
}
