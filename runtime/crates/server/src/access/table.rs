//! What each route asks for: the one place where it stands.
//!
//! A test holds it against the sources of the routes, both ways; and a route that is not in it is answered by nobody.

use axum::http::Method;
use sunaba_task::Scope;

use super::Caller;

/// What whoever calls a route must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
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
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) needs: Needs,
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

const fn look(path: &'static str, needs: Needs, queues: Queues) -> Route {
    Route { method: "GET", path, needs, queues, audit: None }
}

const fn change(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    queues: Queues,
    audit: Option<&'static str>,
) -> Route {
    Route { method, path, needs, queues, audit }
}

/// Every route, in the order of its path.
pub(super) const ROUTES: &[Route] = &[
    look("/", VISIT, Queues::None),
    look("/livez", OPEN, Queues::None),
    look("/metrics", READ, Queues::All),
    look("/readyz", OPEN, Queues::None),
    look("/ui", VISIT, Queues::None),
    look("/ui/{*page}", VISIT, Queues::None),
    change("POST", "/ui/{*page}", VISIT, Queues::None, None),
    look("/v1/alerts", READ, Queues::All),
    look("/v1/audit", ADMIN, Queues::All),
    look("/v1/dead/groups", READ, Queues::Own),
    look("/v1/events", READ, Queues::Own),
    look("/v1/handlers", READ, Queues::None),
    look("/v1/handlers/{package}/{handler}", READ, Queues::None),
    change("PATCH", "/v1/handlers/{package}/{handler}", OPERATE, Queues::All, Some("handler.set")),
    look("/v1/host", READ, Queues::None),
    look("/v1/incidents", READ, Queues::All),
    look("/v1/jobs", READ, Queues::All),
    change("POST", "/v1/jobs", SUBMIT, Queues::Own, None),
    look("/v1/jobs/{id}", READ, Queues::Own),
    change("POST", "/v1/jobs/{id}/cancel", OPERATE, Queues::Own, Some("job.cancel")),
    look("/v1/jobs/{id}/explain", READ, Queues::All),
    look("/v1/jobs/{id}/graph", READ, Queues::All),
    look("/v1/jobs/{id}/outputs", READ, Queues::Own),
    look("/v1/jobs/{id}/result", READ, Queues::Own),
    change("POST", "/v1/jobs/{id}/retry", OPERATE, Queues::All, Some("job.retry")),
    look("/v1/jobs/{id}/tasks", READ, Queues::Own),
    look("/v1/keys", ADMIN, Queues::All),
    change("POST", "/v1/keys", ADMIN, Queues::All, Some("key.create")),
    change("DELETE", "/v1/keys/{id}", ADMIN, Queues::All, Some("key.revoke")),
    look("/v1/packages", READ, Queues::None),
    change("PUT", "/v1/packages/{package}", DEPLOY, Queues::All, Some("package.deploy")),
    change("POST", "/v1/packages/{package}/preview", DEPLOY, Queues::All, None),
    change("POST", "/v1/packages/{package}/rollback", DEPLOY, Queues::All, Some("package.rollback")),
    look("/v1/packages/{package}/versions", READ, Queues::None),
    look("/v1/queues", READ, Queues::Own),
    change("PATCH", "/v1/queues/{name}", OPERATE, Queues::Own, Some("queue.set")),
    look("/v1/report", READ, Queues::All),
    look("/v1/retention", READ, Queues::None),
    change("PUT", "/v1/retention", OPERATE, Queues::All, Some("retention.set")),
    look("/v1/schedules", READ, Queues::All),
    change("DELETE", "/v1/schedules/{name}", OPERATE, Queues::All, Some("schedule.delete")),
    look("/v1/schedules/{name}", READ, Queues::All),
    change("PUT", "/v1/schedules/{name}", OPERATE, Queues::All, Some("schedule.put")),
    look("/v1/schedules/{name}/next", READ, Queues::All),
    change("POST", "/v1/schedules/{name}/pause", OPERATE, Queues::All, Some("schedule.pause")),
    change("POST", "/v1/schedules/{name}/resume", OPERATE, Queues::All, Some("schedule.resume")),
    change("POST", "/v1/schedules/{name}/trigger", OPERATE, Queues::All, Some("schedule.trigger")),
    look("/v1/secrets", ADMIN, Queues::All),
    change("PUT", "/v1/secrets/{name}", ADMIN, Queues::All, Some("secret.set")),
    change("DELETE", "/v1/secrets/{name}", ADMIN, Queues::All, Some("secret.remove")),
    look("/v1/tasks", READ, Queues::Own),
    change("POST", "/v1/tasks", SUBMIT, Queues::Own, None),
    change("POST", "/v1/tasks/bulk", SUBMIT, Queues::Own, None),
    change("POST", "/v1/tasks/cancel", OPERATE, Queues::Own, Some("tasks.cancel")),
    change("POST", "/v1/tasks/delete", OPERATE, Queues::Own, Some("tasks.delete")),
    change("POST", "/v1/tasks/rerun", OPERATE, Queues::Own, Some("tasks.rerun")),
    change("POST", "/v1/tasks/run-now", OPERATE, Queues::Own, Some("tasks.run-now")),
    look("/v1/tasks/{id}", READ, Queues::Own),
    change("DELETE", "/v1/tasks/{id}", OPERATE, Queues::Own, Some("task.delete")),
    look("/v1/tasks/{id}/artifacts", READ, Queues::Own),
    look("/v1/tasks/{id}/artifacts/{name}", READ, Queues::Own),
    change("POST", "/v1/tasks/{id}/cancel", OPERATE, Queues::Own, Some("task.cancel")),
    change("POST", "/v1/tasks/{id}/complete", TOKEN, Queues::Own, Some("task.complete")),
    look("/v1/tasks/{id}/explain", READ, Queues::Own),
    look("/v1/tasks/{id}/logs", READ, Queues::Own),
    change("POST", "/v1/tasks/{id}/rerun", OPERATE, Queues::Own, Some("task.rerun")),
    look("/v1/tasks/{id}/result", READ, Queues::Own),
    change("POST", "/v1/tasks/{id}/run-now", OPERATE, Queues::Own, Some("task.run-now")),
    look("/v1/usage", READ, Queues::All),
    look("/v1/workers", READ, Queues::All),
    change("PATCH", "/v1/workers/{id}", OPERATE, Queues::All, Some("worker.set")),
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
    fn nothing_but_probes_is_open() {
        let open: Vec<_> = ROUTES.iter().filter(|route| route.needs == OPEN).map(|route| route.path).collect();
        assert_eq!(open, ["/livez", "/readyz"]);
    }
}
