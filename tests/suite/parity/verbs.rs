//! The verbs of the command line, each with calls of it and the operations that these must ask for.

/// A verb.
pub(super) struct Verb {
    /// As it is typed.
    pub(super) name: &'static str,
    /// What is typed after it. `{task}` is a task that has ended, `{job}` a job, `{none}` the id of nothing, `{folder}` a folder,
    /// `{guest}` a component.
    pub(super) calls: &'static [&'static [&'static str]],
    /// What all calls together ask for.
    pub(super) operations: &'static [&'static str],
}

const fn verb(
    name: &'static str,
    calls: &'static [&'static [&'static str]],
    operations: &'static [&'static str],
) -> Verb {
    Verb { name, calls, operations }
}

/// A verb that asks no host.
const fn alone(name: &'static str) -> Verb {
    verb(name, &[], &[])
}

/// Every verb, in the order in which they are called: what one makes others look at.
pub(super) const VERBS: &[Verb] = &[
    alone("completions"),
    alone("component inspect"),
    alone("config init"),
    alone("config show"),
    alone("config validate"),
    alone("handler decide"),
    alone("man"),
    alone("new"),
    alone("run"),
    alone("serve"),
    alone("store backup"),
    alone("store compact"),
    alone("store info"),
    alone("store restore"),
    alone("store verify"),
    verb("doctor", &[&[]], &[]),
    verb("host show", &[&[]], &["get_host", "get_liveness", "get_readiness"]),
    verb("host metrics", &[&[]], &["get_metrics"]),
    verb(
        "top",
        &[&["--once"]],
        &["get_host", "list_alerts", "list_queues", "list_tasks", "list_usage", "list_workers"],
    ),
    verb("alert list", &[&[]], &["list_alerts"]),
    verb("audit list", &[&[]], &["list_audit"]),
    verb("events", &[&["--limit", "1"]], &["stream_events"]),
    verb("incident list", &[&[]], &["list_incidents"]),
    verb("incident show", &[&["none"]], &["list_incidents"]),
    verb("report", &[&[]], &["get_report"]),
    verb("usage", &[&[]], &["list_usage"]),
    verb("retention show", &[&[]], &["get_retention"]),
    verb("retention set", &[&["--dead", "30d"]], &["get_retention", "set_retention"]),
    verb("workers list", &[&[]], &["list_workers"]),
    verb("workers set", &[&["none", "--slots", "1"]], &["set_worker"]),
    verb("key create", &[&["ci", "--scope", "read", "--save", "{folder}/key"]], &["create_key"]),
    verb("key list", &[&[]], &["list_keys"]),
    verb("key revoke", &[&["0123456789abcdef"]], &["revoke_key"]),
    verb("secret set", &[&["TOKEN", "--host", "https://example.com", "--from-file", "{folder}/key"]], &["set_secret"]),
    verb("secret list", &[&[]], &["list_secrets"]),
    verb("secret remove", &[&["TOKEN"]], &["remove_secret"]),
    verb("handler deploy", &[&["{guest}"], &["{guest}", "--dry-run"]], &["deploy_package", "preview_package"]),
    verb("handler versions", &[&["hello"]], &["list_package_versions"]),
    verb("handler rollback", &[&["hello"]], &["rollback_package"]),
    verb("handler list", &[&[]], &["list_packages"]),
    verb("handler describe", &[&["hello/hello"]], &["get_handler"]),
    verb("handler status", &[&[]], &["list_handlers"]),
    verb("handler pause", &[&["hello/hello"]], &["set_handler"]),
    verb("handler resume", &[&["hello/hello"]], &["set_handler"]),
    verb("handler set", &[&["hello/hello", "--concurrency", "4"]], &["set_handler"]),
    verb("queue list", &[&[]], &["list_queues"]),
    verb("queue show", &[&["default"]], &["list_queues"]),
    verb("queue pause", &[&["mail"]], &["set_queue"]),
    verb("queue resume", &[&["mail"]], &["set_queue"]),
    verb("queue set", &[&["mail", "--weight", "2"]], &["set_queue"]),
    verb(
        "schedule create",
        &[&["nightly", "hello/hello", "--cron", "0 3 * * *", "--input", r#"{"name":"Ada"}"#]],
        &["get_handler", "put_schedule"],
    ),
    verb("schedule list", &[&[]], &["list_schedules"]),
    verb("schedule get", &[&["nightly"]], &["get_schedule"]),
    verb("schedule update", &[&["nightly", "--cron", "0 4 * * *"]], &["get_schedule", "put_schedule"]),
    verb("schedule next", &[&["nightly"]], &["list_schedule_fires"]),
    verb("schedule pause", &[&["nightly"]], &["pause_schedule"]),
    verb("schedule resume", &[&["nightly"]], &["resume_schedule"]),
    verb("schedule trigger", &[&["nightly"]], &["trigger_schedule"]),
    verb("schedule delete", &[&["nightly"]], &["delete_schedule"]),
    verb(
        "task submit",
        &[&["hello/hello", "--input", r#"{"name":"Ada"}"#, "--wait"], &["hello/hello", "--batch", "{folder}/inputs"]],
        &["get_handler", "get_task", "get_task_result", "submit_task", "submit_tasks"],
    ),
    verb("task get", &[&["{task}"]], &["get_task"]),
    verb("task result", &[&["{task}"]], &["get_task", "get_task_result"]),
    verb("task logs", &[&["{task}"]], &["get_task_logs"]),
    verb(
        "task artifacts",
        &[&["{task}"], &["{task}", "none", "--output", "{folder}/none"]],
        &["get_artifact", "list_artifacts"],
    ),
    verb("task explain", &[&["{task}"]], &["explain_task"]),
    verb("task list", &[&[]], &["list_tasks"]),
    verb("task watch", &[&["{task}"]], &["get_task", "get_task_result", "stream_events"]),
    verb("task cancel", &[&["{none}"], &["--queue", "none", "--yes"]], &["cancel_task", "cancel_tasks"]),
    verb("task complete", &[&["{none}", "--output", "1"]], &["complete_task"]),
    verb("task rerun", &[&["{task}"], &["--queue", "none", "--yes"]], &["rerun_task", "rerun_tasks"]),
    verb("task retry", &[&["{none}"], &["--queue", "none", "--yes"]], &["run_task_now", "run_tasks_now"]),
    verb("task run-now", &[&["{none}"], &["--queue", "none", "--yes"]], &["run_task_now", "run_tasks_now"]),
    verb("task delete", &[&["{none}"], &["--queue", "none", "--yes"]], &["delete_task", "delete_tasks"]),
    verb("dead list", &[&[]], &["list_tasks"]),
    verb("dead groups", &[&[]], &["list_dead_groups"]),
    verb("dead show", &[&["{none}"]], &["get_task"]),
    verb("dead redrive", &[&["--queue", "none", "--yes"]], &["rerun_tasks"]),
    verb("dead purge", &[&["--queue", "none", "--yes"]], &["delete_tasks"]),
    verb("job submit", &[&["{folder}/job.json"]], &["submit_job"]),
    verb("job get", &[&["{job}"]], &["get_job"]),
    verb("job list", &[&[]], &["list_jobs"]),
    verb("job tasks", &[&["{job}"]], &["list_job_tasks"]),
    verb(
        "job result",
        &[&["{job}", "--wait"], &["{job}", "--of", "a"]],
        &["get_job", "get_job_outputs", "get_job_result"],
    ),
    verb("job explain", &[&["{job}"]], &["explain_job"]),
    verb("job graph", &[&["{job}"]], &["get_job_graph"]),
    verb("job cancel", &[&["{job}"]], &["cancel_job"]),
    verb("job retry", &[&["{job}"]], &["retry_job"]),
];
