//! Every operation, with the function that answers it: from its types comes what the document says of parameters, bodies and
//! answers. A test holds this against the routes.

use sunaba_host::MAX_COMPONENT_BYTES;
use sunaba_host::job_story::JobGraph;

use super::{
    access, artifacts, bulk, complete, control, feed, job_bulk, job_retry, job_story, jobs, packages, schedules,
    secrets, standing, submit, tasks, usage, webhooks, workers,
};
use crate::api::{
    ChangedWebhook, ControlView, CreatedKey, HandlerView, JobView, MAX_BULK_BYTES, MAX_JOB_BYTES, QueueView,
    ScheduleView, SubmitAll, SubmitJob, TaskView, WebhookView,
};
use crate::openapi::{Described, of, said};

const KEY: (&str, &str) = (
    "Idempotency-Key",
    "A second request with this key gives what the first has made. Up to 256 bytes of visible ASCII.",
);
const TRACE: (&str, &str) =
    ("traceparent", "The trace that the task is a part of, as W3C Trace Context has it. What is none is left out.");
const MATCH: (&str, &str) = ("If-Match", "The ETag of what this is a change of.");
const NONE_MATCH: (&str, &str) = ("If-None-Match", "`*`: there must be none of this name yet.");
const UNSET: &str = "`*`: nothing must be set for it yet.";
const TAKEN: &str = "It was taken on.";
const BEFORE: &str = "It had been taken on before.";
const IS_MADE: &str = "It is made.";
const IS_SET: &str = "It is as it was asked for.";

/// Every operation, in the order of the table of routes.
pub(crate) fn described() -> Vec<(&'static str, Described)> {
    vec![
        ("get_docs", said("This API, for people").gives_other(200, "A page.", &["text/html"])),
        ("get_docs_style", said("How the page about this API looks").gives_other(200, "CSS.", &["text/css"])),
        ("get_liveness", said("Whether the host lives").gives_other(200, "It does.", &["text/plain"])),
        (
            "get_metrics",
            said("What the host counts, for Prometheus").gives_other(
                200,
                "OpenMetrics.",
                &["application/openmetrics-text"],
            ),
        ),
        ("get_readiness", of("Whether the host takes tasks and runs them", standing::ready)),
        ("list_alerts", of("What is or was wrong with the host", standing::alerts)),
        ("list_audit", of("Who has changed what, the newest first", access::audit)),
        ("list_dead_groups", of("Dead tasks that nothing was made of since, by what they died of", bulk::groups)),
        ("stream_events", of("What happened, from a place in the feed on; waits for it if asked to", feed::events)),
        ("list_handlers", of("Handlers that have run, wait or are controlled", control::handlers)),
        (
            "get_handler",
            of("A handler: what it does, takes and gives; its tag is that of what is set for it", packages::handler)
                .gives::<HandlerView>(200, "It.")
                .tagged(),
        ),
        (
            "set_handler",
            of("Pauses a handler, or sets its limits", control::set_handler)
                .header(MATCH.0, MATCH.1)
                .header(NONE_MATCH.0, UNSET)
                .gives::<ControlView>(200, IS_SET)
                .tagged()
                .may(&[412]),
        ),
        ("get_host", of("The host", super::host)),
        ("list_incidents", of("Like failures, and what has helped against them", standing::incidents)),
        ("list_jobs", of("Jobs, the newest first", jobs::list)),
        (
            "submit_job",
            of("Takes a job on: a plan of tasks", jobs::submit)
                .takes::<SubmitJob>(MAX_JOB_BYTES)
                .header(KEY.0, KEY.1)
                .gives::<JobView>(201, TAKEN)
                .gives::<JobView>(200, BEFORE)
                .may(&[429]),
        ),
        ("cancel_jobs", of("Cancels a page of jobs", job_bulk::cancel_page)),
        ("get_job", of("A job; waits for its end if asked to", jobs::get)),
        ("cancel_job", of("Cancels what has not ended of a job", jobs::cancel)),
        ("explain_job", of("Why a job is where it is", job_story::explain)),
        (
            "get_job_graph",
            of("The tasks of a job and what waits for what, as data or drawn", job_story::graph)
                .gives::<JobGraph>(200, "The graph.")
                .or_other("text/plain")
                .or_other("text/vnd.graphviz")
                .or_other("image/svg+xml"),
        ),
        ("get_job_outputs", of("What the tasks of a plan gave", jobs::outputs)),
        ("get_job_result", of("What came of a job", jobs::result)),
        (
            "retry_job",
            of("Makes a job over again, from what has not succeeded on", job_retry::retry)
                .gives::<JobView>(201, IS_MADE)
                .may(&[413, 429]),
        ),
        ("list_job_tasks", of("The tasks of a plan, by name", jobs::tasks)),
        ("list_keys", of("The API keys, without their texts", access::list)),
        (
            "create_key",
            of("Makes an API key, and shows its text this once", access::create).gives::<CreatedKey>(201, IS_MADE),
        ),
        ("revoke_key", of("Revokes an API key", access::revoke)),
        ("list_packages", of("What is deployed", packages::list)),
        (
            "deploy_package",
            of("Deploys a component", packages::deploy).takes_other("application/wasm", MAX_COMPONENT_BYTES),
        ),
        (
            "preview_package",
            of("What a deploy would change", packages::preview).takes_other("application/wasm", MAX_COMPONENT_BYTES),
        ),
        ("rollback_package", of("Goes back to another version of a package", packages::rollback)),
        ("list_package_versions", of("The versions of a package that are kept", packages::versions)),
        ("list_queues", of("Queues, and how they stand", control::queues)),
        ("get_queue", of("A queue, and how it stands", control::queue).gives::<QueueView>(200, "It.").tagged()),
        (
            "set_queue",
            of("Pauses a queue, or sets its limits", control::set_queue)
                .header(MATCH.0, MATCH.1)
                .header(NONE_MATCH.0, UNSET)
                .gives::<QueueView>(200, IS_SET)
                .tagged()
                .may(&[412]),
        ),
        ("get_report", of("What the host has done, and how well", standing::report)),
        ("get_retention", of("How long what has ended is kept", control::retention)),
        ("set_retention", of("Sets how long what has ended is kept", control::set_retention)),
        ("list_schedules", of("Schedules, by name", schedules::list)),
        ("delete_schedule", of("Deletes a schedule", schedules::delete).header(MATCH.0, MATCH.1).may(&[412])),
        ("get_schedule", of("A schedule", schedules::one).gives::<ScheduleView>(200, "It.").tagged()),
        (
            "put_schedule",
            of("Makes a schedule, or changes all of it", schedules::put)
                .header(MATCH.0, MATCH.1)
                .header(NONE_MATCH.0, NONE_MATCH.1)
                .gives::<ScheduleView>(201, IS_MADE)
                .gives::<ScheduleView>(200, IS_SET)
                .tagged()
                .may(&[412]),
        ),
        ("list_schedule_fires", of("When a schedule fires next", schedules::next)),
        (
            "pause_schedule",
            of("Lets the ticks of a schedule pass by", schedules::pause)
                .header(MATCH.0, MATCH.1)
                .gives::<ScheduleView>(200, IS_SET)
                .tagged()
                .may(&[412]),
        ),
        (
            "resume_schedule",
            of("Lets a schedule fire again", schedules::resume)
                .header(MATCH.0, MATCH.1)
                .gives::<ScheduleView>(200, IS_SET)
                .tagged()
                .may(&[412]),
        ),
        ("trigger_schedule", of("Makes a task of a schedule now", schedules::trigger).may(&[429])),
        ("list_secrets", of("The names of the secrets, and where they go", secrets::list)),
        ("set_secret", of("Keeps a secret", secrets::set)),
        ("remove_secret", of("Forgets a secret", secrets::remove)),
        ("list_tasks", of("Tasks, the newest first", tasks::list)),
        (
            "submit_task",
            of("Takes a task on", submit::one)
                .header(KEY.0, KEY.1)
                .header(TRACE.0, TRACE.1)
                .gives::<TaskView>(201, TAKEN)
                .gives::<TaskView>(200, BEFORE)
                .may(&[429]),
        ),
        (
            "submit_tasks",
            of("Takes many tasks on, in one commit; each is answered for itself", submit::many)
                .takes::<SubmitAll>(MAX_BULK_BYTES)
                .header(TRACE.0, TRACE.1),
        ),
        ("cancel_tasks", of("Cancels a page of tasks", bulk::cancel)),
        ("delete_tasks", of("Deletes a page of tasks that have ended", bulk::delete)),
        ("rerun_tasks", of("Makes new tasks of a page of tasks that have ended", bulk::rerun)),
        ("run_tasks_now", of("Has a page of tasks wait no longer", bulk::run_now)),
        ("get_task", of("A task; waits for its end if asked to", tasks::get)),
        ("delete_task", of("Deletes a task that has ended", tasks::delete)),
        ("list_artifacts", of("The files and links that a task has put", artifacts::list)),
        (
            "get_artifact",
            of("A file that a task has put, or a part of it", artifacts::get)
                .header("Range", "Which bytes, as `bytes=0-99`.")
                .header("If-Range", "The ETag of the file that the bytes are of; of another, all of it is sent.")
                .header("If-None-Match", "The ETag of what is there already.")
                .gives_other(200, "The file, in the media type that its maker has given it.", &["*/*"])
                .gives_other(206, "The bytes that were asked for.", &["*/*"])
                .gives_other(304, "It is there already.", &[])
                .gives_other(416, "There are no such bytes.", &[])
                .tagged()
                .may(&[409, 410]),
        ),
        ("cancel_task", of("Cancels a task", tasks::cancel)),
        ("complete_task", of("Gives the output of a task that waits for somebody", complete::complete)),
        ("explain_task", of("Why a task is where it is", tasks::explain)),
        ("get_task_logs", of("What the attempts of a task said", tasks::logs)),
        ("rerun_task", of("Makes a new task of one that has ended", tasks::rerun).may(&[429])),
        ("get_task_result", of("What came of a task", tasks::result)),
        ("run_task_now", of("Has a task wait no longer", tasks::run_now)),
        ("get_openapi", said("This document").gives_other(200, "OpenAPI 3.1.", &["application/json"])),
        ("list_usage", of("What attempts have used, by handler or by tag", usage::usage)),
        ("list_webhooks", of("Webhooks, by name", webhooks::list)),
        (
            "delete_webhook",
            of("Forgets a webhook, and what it was still to be told", webhooks::delete)
                .header(MATCH.0, MATCH.1)
                .may(&[412]),
        ),
        (
            "get_webhook",
            of("A webhook, and how its deliveries fare", webhooks::one).gives::<WebhookView>(200, "It.").tagged(),
        ),
        (
            "put_webhook",
            of("Makes a webhook, or changes all of it but its secret", webhooks::put)
                .header(MATCH.0, MATCH.1)
                .header(NONE_MATCH.0, NONE_MATCH.1)
                .gives::<ChangedWebhook>(201, "It is made; its secret is shown this once.")
                .gives::<ChangedWebhook>(200, IS_SET)
                .tagged()
                .may(&[412]),
        ),
        ("list_webhook_deliveries", of("What a webhook was told, the newest first", webhooks::deliveries)),
        ("get_webhook_delivery", of("A delivery: its body, and each answer", webhooks::delivery)),
        ("resend_webhook_delivery", of("Sends a delivery again, as the same message", webhooks::resend)),
        (
            "rotate_webhook_secret",
            of("Gives a webhook another secret; both sign for a while", webhooks::rotate)
                .gives::<ChangedWebhook>(200, "Its new secret, which is shown this once.")
                .tagged(),
        ),
        ("test_webhook", of("Makes a delivery that says nothing but that it is one", webhooks::test)),
        ("list_workers", of("The worker groups", workers::list)),
        ("set_worker", of("Sets how many slots a worker group has", workers::set)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::described;
    use crate::operations;

    #[test]
    fn every_operation_is_described() {
        let mut named: Vec<_> = described().iter().map(|(id, _)| *id).collect();
        let mut stated: Vec<_> = operations().map(|operation| operation.id).collect();
        named.sort_unstable();
        stated.sort_unstable();
        assert_eq!(named, stated, "the table of routes and what is described differ");
    }

    /// What stands behind the name of each operation in this file, up to the next: which function it is described by.
    #[test]
    fn each_is_described_by_the_function_that_answers_it() {
        let source = include_str!("described.rs").split("#[cfg(test)]").next().expect("a part");
        let mut routed = BTreeMap::new();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("readable").path();
            let module = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            let text = std::fs::read_to_string(&path).expect("it is there");
            for part in text.split(".route(").skip(1) {
                let Some((route, rest)) = part.split_once('"').and_then(|(_, rest)| rest.split_once('"')) else {
                    continue;
                };
                let rest = rest.split(".route(").next().expect("a part");
                for method in ["get", "post", "put", "patch", "delete"] {
                    let call = format!("{method}(");
                    let Some((before, named)) = rest.split_once(&call) else { continue };
                    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                        continue;
                    }
                    let named = named.split(')').next().expect("a name").to_owned();
                    let function = if named.contains("::") {
                        named
                    } else if module == "mod" {
                        format!("super::{named}")
                    } else {
                        format!("{module}::{named}")
                    };
                    routed.insert((method.to_uppercase(), route.to_owned()), function);
                }
            }
        }
        for operation in operations() {
            let (_, rest) = source.split_once(&format!("\"{}\"", operation.id)).expect("it is described");
            let (own, other) = (rest.find("of(\""), rest.find("said(\""));
            // Of some there is no function whose types tell anything.
            let Some(own) = own.filter(|own| other.is_none_or(|other| *own < other)) else { continue };
            let (_, named) = rest[own..].split_once("\", ").expect("a function");
            let function = named.split(')').next().expect("a name");
            let answered = &routed[&(operation.method.to_owned(), operation.path.to_owned())];
            assert_eq!(function, answered, "{}", operation.id);
        }
    }
}
