//! Lets a request through to its route, or not, on behalf of whoever has sent it.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sunaba_store::audited;
use sunaba_task::{Digest, NewAudit};

use super::caller::no_key;
use super::keys::{Keys, sent};
use super::table::{Needs, Queues, Route, find, methods};
use super::{Admission, Caller};
use crate::envelope::RequestId;
use crate::problem::Problem;

/// By which rule, and with which keys.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) admission: Admission,
    pub(crate) keys: Arc<Keys>,
}

/// On a request that does not come from the wire: on behalf of whoever has the key with this digest. A page has looked whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed(pub(crate) Digest);

/// Lets a request through, or not.
pub(crate) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    // What is no path of ours says so to everybody.
    let Some(path) = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()) else {
        return next.run(request).await;
    };
    let Some(route) = find(request.method(), &path) else {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this path");
        return ([(header::ALLOW, methods(&path))], problem).into_response();
    };
    let caller = match gate.caller(route, &mut request).await {
        Ok(caller) => caller,
        Err(problem) => return refused(problem),
    };
    let who = caller.who();
    caller.does(rest(route, who, request, next)).await
}

/// The rest of the way, with what it changes logged in its caller's name.
async fn rest(route: &Route, who: String, request: Request, next: Next) -> Response {
    let Some(what) = route.audit else { return next.run(request).await };
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let by = NewAudit { request: id, ..NewAudit::by(who, what, names(route.path, request.uri().path())) };
    audited(by, next.run(request)).await
}

impl Gate {
    async fn caller(&self, route: &Route, request: &mut Request) -> Result<Caller, Problem> {
        // Whoever looks whether the host lives is not asked who they are.
        if matches!(route.needs, Needs::Nothing | Needs::Visit) {
            return Ok(Caller::Nobody);
        }
        let signed = request.extensions().get::<Signed>().copied();
        let caller = match (sent(request.headers_mut())?, self.admission) {
            _ if let Some(Signed(digest)) = signed => Caller::Key(self.keys.find_digest(digest).await?),
            (Some(text), _) => Caller::Key(self.keys.find(&text).await?),
            (None, Admission::Anybody) => Caller::Anybody,
            (None, Admission::Keys) => Caller::Nobody,
        };
        match route.needs {
            Needs::Scope(_) if matches!(caller, Caller::Nobody) => return Err(no_key()),
            Needs::Scope(scope) => caller.permit(scope)?,
            Needs::Nothing | Needs::Visit | Needs::ScopeOrToken => {}
        }
        if route.queues == Queues::All {
            caller.permit_all_queues()?;
        }
        Ok(caller)
    }
}

fn refused(problem: Problem) -> Response {
    let is_unknown = problem.status == StatusCode::UNAUTHORIZED.as_u16();
    let mut response = problem.into_response();
    if is_unknown {
        let scheme = HeaderValue::from_static("Bearer realm=\"sunaba\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// What stands in the places that a path has for names.
fn names(pattern: &str, path: &str) -> String {
    let places = pattern.split('/').zip(path.split('/'));
    let names = places.filter(|(pattern, _)| pattern.starts_with('{')).map(|(_, name)| name);
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_path_say_what_was_changed() {
        assert_eq!(names("/v1/handlers/{package}/{handler}", "/v1/handlers/words/count"), "words/count");
        assert_eq!(names("/v1/queues/{name}", "/v1/queues/mail"), "mail");
        assert_eq!(names("/v1/retention", "/v1/retention"), "");
    }
}
