//! What each route asks for: the one place where it stands.
//!
//! A test holds it against the sources of the routes, both ways; and a route that is not in it is answered by nobody.

use axum::http::Method;
use sunaba_task::Scope;

use super::Caller;

/// What whoever calls a route must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// This scope.
    Scope(Scope),
    /// What a page asks of the other routes on its visitor's behalf, each by its own row; it has nothing of its own.
    Visit,
    /// A scope, or the token of the task that it is about: the route itself asks.
    ScopeOrToken,
}

/// What a route has to do with queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queues {
    /// Nothing: what is seen there is of no task.
    None,
    /// The route itself looks to which queues its caller is bound.
    Own,
    /// It is of all of them: whoever is bound to some may not call it.
    All,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// What it does, by which documents, clients and verbs name it.
    pub(crate) id: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    pub(super) queues: Queues,
    /// What its change is called in the log. None: it changes nothing, or takes tasks on, which have records of their own.
    pub(super) audit: Option<&'static str>,
}

const OPEN: Needs = Needs::Nothing;
const VISIT: Needs = Needs::Visit;
const SUBMIT: Needs = Needs::Scope(Scope::Submit);
const READ: Needs = Needs::Scope(Scope::Read);
const OPERATE: Needs = Needs::Scope(Scope::Operate);
const DEPLOY: Needs = Needs::Scope(Scope::Deploy);
const ADMIN: Needs = Needs::Scope(Scope::Admin);
const TOKEN: Needs = Needs::ScopeOrToken;

const fn look(id: &'static str, path: &'static str, needs: Needs, queues: Queues) -> Route {
    Route { id, method: "GET", path, needs, queues, audit: None }
}

const fn change(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    needs: Needs,
    queues: Queues,
    audit: Option<&'static str>,
) -> Route {
    Route { id, method, path, needs, queues, audit }
}

/// Every route, in the order of its path.
pub(crate) const ROUTES: &[Route] = &[
    look("visit_host", "/", VISIT, Queues::None),
    look("get_docs", "/docs", OPEN, Queues::None),
    look("get_docs_style", "/docs/style.css", OPEN, Queues::None),
    look("get_liveness", "/livez", OPEN, Queues::None),
    look("get_metrics", "/metrics", READ, Queues::All),
    look("get_readiness", "/readyz", OPEN, Queues::None),
    look("visit_dashboard", "/ui", VISIT, Queues::None),
    look("visit_page", "/ui/{*page}", VISIT, Queues::None),
    change("send_form", "POST", "/ui/{*page}", VISIT, Queues::None, None),
    look("list_alerts", "/v1/alerts", READ, Queues::All),
    look("list_audit", "/v1/audit", ADMIN, Queues::All),
    look("list_dead_groups", "/v1/dead/groups", READ, Queues::Own),
    look("stream_events", "/v1/events", READ, Queues::Own),
    look("list_handlers", "/v1/handlers", READ, Queues::None),
    look("get_handler", "/v1/handlers/{package}/{handler}", READ, Queues::None),
    change("set_handler", "PATCH", "/v1/handlers/{package}/{handler}", OPERATE, Queues::All, Some("handler.set")),
    look("get_host", "/v1/host", READ, Queues::None),
    look("list_incidents", "/v1/incidents", READ, Queues::All),
    look("list_jobs", "/v1/jobs", READ, Queues::All),
    change("submit_job", "POST", "/v1/jobs", SUBMIT, Queues::Own, None),
    change("cancel_jobs", "POST", "/v1/jobs/cancel", OPERATE, Queues::All, Some("jobs.cancel")),
    look("get_job", "/v1/jobs/{id}", READ, Queues::Own),
    change("cancel_job", "POST", "/v1/jobs/{id}/cancel", OPERATE, Queues::Own, Some("job.cancel")),
    look("explain_job", "/v1/jobs/{id}/explain", READ, Queues::All),
    look("get_job_graph", "/v1/jobs/{id}/graph", READ, Queues::All),
    look("get_job_outputs", "/v1/jobs/{id}/outputs", READ, Queues::Own),
    look("get_job_result", "/v1/jobs/{id}/result", READ, Queues::Own),
    change("retry_job", "POST", "/v1/jobs/{id}/retry", OPERATE, Queues::All, Some("job.retry")),
    look("list_job_tasks", "/v1/jobs/{id}/tasks", READ, Queues::Own),
    look("list_keys", "/v1/keys", ADMIN, Queues::All),
    change("create_key", "POST", "/v1/keys", ADMIN, Queues::All, Some("key.create")),
    change("revoke_key", "DELETE", "/v1/keys/{id}", ADMIN, Queues::All, Some("key.revoke")),
    look("get_openapi", "/v1/openapi.json", OPEN, Queues::None),
    look("list_packages", "/v1/packages", READ, Queues::None),
    change("deploy_package", "PUT", "/v1/packages/{package}", DEPLOY, Queues::All, Some("package.deploy")),
    change("preview_package", "POST", "/v1/packages/{package}/preview", DEPLOY, Queues::All, None),
    change(
        "rollback_package",
        "POST",
        "/v1/packages/{package}/rollback",
        DEPLOY,
        Queues::All,
        Some("package.rollback"),
    ),
    look("list_package_versions", "/v1/packages/{package}/versions", READ, Queues::None),
    look("list_queues", "/v1/queues", READ, Queues::Own),
    look("get_queue", "/v1/queues/{name}", READ, Queues::Own),
    change("set_queue", "PATCH", "/v1/queues/{name}", OPERATE, Queues::Own, Some("queue.set")),
    look("get_report", "/v1/report", READ, Queues::All),
    look("get_retention", "/v1/retention", READ, Queues::None),
    change("set_retention", "PUT", "/v1/retention", OPERATE, Queues::All, Some("retention.set")),
    look("list_schedules", "/v1/schedules", READ, Queues::All),
    change("delete_schedule", "DELETE", "/v1/schedules/{name}", OPERATE, Queues::All, Some("schedule.delete")),
    look("get_schedule", "/v1/schedules/{name}", READ, Queues::All),
    change("put_schedule", "PUT", "/v1/schedules/{name}", OPERATE, Queues::All, Some("schedule.put")),
    look("list_schedule_fires", "/v1/schedules/{name}/next", READ, Queues::All),
    change("pause_schedule", "POST", "/v1/schedules/{name}/pause", OPERATE, Queues::All, Some("schedule.pause")),
    change("resume_schedule", "POST", "/v1/schedules/{name}/resume", OPERATE, Queues::All, Some("schedule.resume")),
    change("trigger_schedule", "POST", "/v1/schedules/{name}/trigger", OPERATE, Queues::All, Some("schedule.trigger")),
    look("list_secrets", "/v1/secrets", ADMIN, Queues::All),
    change("set_secret", "PUT", "/v1/secrets/{name}", ADMIN, Queues::All, Some("secret.set")),
    change("remove_secret", "DELETE", "/v1/secrets/{name}", ADMIN, Queues::All, Some("secret.remove")),
    look("list_tasks", "/v1/tasks", READ, Queues::Own),
    change("submit_task", "POST", "/v1/tasks", SUBMIT, Queues::Own, None),
    change("submit_tasks", "POST", "/v1/tasks/bulk", SUBMIT, Queues::Own, None),
    change("cancel_tasks", "POST", "/v1/tasks/cancel", OPERATE, Queues::Own, Some("tasks.cancel")),
    change("delete_tasks", "POST", "/v1/tasks/delete", OPERATE, Queues::Own, Some("tasks.delete")),
    change("rerun_tasks", "POST", "/v1/tasks/rerun", OPERATE, Queues::Own, Some("tasks.rerun")),
    change("run_tasks_now", "POST", "/v1/tasks/run-now", OPERATE, Queues::Own, Some("tasks.run-now")),
    look("get_task", "/v1/tasks/{id}", READ, Queues::Own),
    change("delete_task", "DELETE", "/v1/tasks/{id}", OPERATE, Queues::Own, Some("task.delete")),
    look("list_artifacts", "/v1/tasks/{id}/artifacts", READ, Queues::Own),
    look("get_artifact", "/v1/tasks/{id}/artifacts/{name}", READ, Queues::Own),
    change("cancel_task", "POST", "/v1/tasks/{id}/cancel", OPERATE, Queues::Own, Some("task.cancel")),
    change("complete_task", "POST", "/v1/tasks/{id}/complete", TOKEN, Queues::Own, Some("task.complete")),
    look("explain_task", "/v1/tasks/{id}/explain", READ, Queues::Own),
    look("get_task_logs", "/v1/tasks/{id}/logs", READ, Queues::Own),
    change("rerun_task", "POST", "/v1/tasks/{id}/rerun", OPERATE, Queues::Own, Some("task.rerun")),
    look("get_task_result", "/v1/tasks/{id}/result", READ, Queues::Own),
    change("run_task_now", "POST", "/v1/tasks/{id}/run-now", OPERATE, Queues::Own, Some("task.run-now")),
    look("list_usage", "/v1/usage", READ, Queues::All),
    look("list_webhooks", "/v1/webhooks", OPERATE, Queues::All),
    change("delete_webhook", "DELETE", "/v1/webhooks/{name}", ADMIN, Queues::All, Some("webhook.delete")),
    look("get_webhook", "/v1/webhooks/{name}", OPERATE, Queues::All),
    change("put_webhook", "PUT", "/v1/webhooks/{name}", ADMIN, Queues::All, Some("webhook.put")),
    look("list_webhook_deliveries", "/v1/webhooks/{name}/deliveries", OPERATE, Queues::All),
    look("get_webhook_delivery", "/v1/webhooks/{name}/deliveries/{id}", OPERATE, Queues::All),
    change(
        "resend_webhook_delivery",
        "POST",
        "/v1/webhooks/{name}/deliveries/{id}/resend",
        OPERATE,
        Queues::All,
        Some("webhook.resend"),
    ),
    change("rotate_webhook_secret", "POST", "/v1/webhooks/{name}/rotate", ADMIN, Queues::All, Some("webhook.rotate")),
    change("test_webhook", "POST", "/v1/webhooks/{name}/test", OPERATE, Queues::All, Some("webhook.test")),
    look("list_workers", "/v1/workers", READ, Queues::All),
    change("set_worker", "PATCH", "/v1/workers/{id}", OPERATE, Queues::All, Some("worker.set")),
];

/// What is asked for here.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Route> {
    // Whoever may see a thing may ask how large it is.
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    ROUTES.iter().find(|route| route.method == method && route.path == path)
}

/// Whether this caller would be let through to a route, as `POST /v1/tasks/{id}/cancel`; a page shows no button for what would be
/// refused.
pub(crate) fn allows(caller: &Caller, route: &str) -> bool {
    let found = route
        .split_once(' ')
        .and_then(|(method, path)| ROUTES.iter().find(|route| route.method == method && route.path == path));
    let Some(found) = found else { return false };
    let scope = match found.needs {
        Needs::Nothing | Needs::Visit => true,
        Needs::Scope(scope) => caller.may(scope),
        Needs::ScopeOrToken => caller.may(Scope::Operate),
    };
    scope && (found.queues != Queues::All || caller.queues().is_none())
}

/// The methods of a path, as a header has them.
pub(super) fn methods(path: &str) -> String {
    let methods = ROUTES.iter().filter(|route| route.path == path).map(|route| route.method);
    methods.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The routes that a source has: after each `.route(`, a path, and the methods up to the end of it.
    fn routes_of(source: &str) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for part in source.split(".route(").skip(1) {
            let Some((_, rest)) = part.split_once('"') else { continue };
            let (path, rest) = rest.split_once('"').expect("a text has an end");
            let mut depth = 1;
            let end = rest.find(|c: char| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let handlers = &rest[..end.expect("a call has an end")];
            let methods = ["get", "post", "put", "patch", "delete"];
            let has = |method: &&str| {
                let call = format!("{method}(");
                handlers
                    .match_indices(&call)
                    .any(|(at, _)| !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
            };
            found.extend(methods.into_iter().filter(has).map(|method| (method.to_uppercase(), path.to_owned())));
        }
        found
    }

    fn sources(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                sources(&path, all);
            } else {
                all.push_str(&std::fs::read_to_string(path).expect("it is there"));
            }
        }
    }

    #[test]
    fn every_route_of_the_router_asks_for_what_the_table_says() {
        let mut source = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes"), &mut source);
        let routed = routes_of(&source);
        let stated = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        let missing: Vec<_> = routed.difference(&stated).collect();
        assert!(missing.is_empty(), "these routes are in no table, and nobody is answered there: {missing:?}");
        let gone: Vec<_> = stated.difference(&routed).collect();
        assert!(gone.is_empty(), "these are no routes: {gone:?}");
        assert_eq!(stated.len(), ROUTES.len(), "a route stands there twice");
    }

    #[test]
    fn routes_are_found_in_a_source() {
        let source = r#"Router::new().route("/a/{b}", get(x::list).put(set)).route(
            "/c", post(async || ok(forget(1))).delete(gone))"#;
        let found = routes_of(source);
        let expected = [("DELETE", "/c"), ("GET", "/a/{b}"), ("POST", "/c"), ("PUT", "/a/{b}")];
        let expected = expected.map(|(method, path)| (method.to_owned(), path.to_owned()));
        assert_eq!(found, BTreeSet::from(expected));
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.id).collect();
        assert_eq!(names.len(), ROUTES.len(), "a name stands there twice");
        for name in names {
            let is_snake = name.split('_').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
            assert!(is_snake && name.contains('_'), "`{name}` is no verb and noun");
        }
    }

    #[test]
    fn what_changes_something_is_logged_and_what_looks_is_not() {
        for route in ROUTES {
            let takes_on = route.needs == SUBMIT || route.path.ends_with("/preview");
            // What a page changes is logged by the route that it asks.
            let logs = route.method != "GET" && !takes_on && route.needs != VISIT;
            assert_eq!(route.audit.is_some(), logs, "{}", route.path);
            assert!(route.method == "GET" || !matches!(route.needs, READ | OPEN), "{}", route.path);
            assert_eq!(route.needs == VISIT, route.path == "/" || route.path.starts_with("/ui"), "{}", route.path);
        }
    }

    #[test]
    fn nothing_but_probes_and_what_the_api_is_is_open() {
        let open: Vec<_> = ROUTES.iter().filter(|route| route.needs == OPEN).map(|route| route.path).collect();
        assert_eq!(open, ["/docs", "/docs/style.css", "/livez", "/readyz", "/v1/openapi.json"]);
    }
}
