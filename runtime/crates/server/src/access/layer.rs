//! Lets a request through to its route, or not, on behalf of whoever has sent it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::RequestExt as _;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Body as _, Frame, SizeHint};
use sunaba_store::audited;
use sunaba_task::{ApiKey, Digest, NewAudit};
use tokio::task::JoinSet;

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
    let (who, key) = (caller.who(), caller.key());
    // In a place of its own: each future around it would hold it twice, and is copied from layer to layer.
    let work = Box::pin(caller.does(rest(route, who, request, next)));
    match key {
        None => work.await,
        Some(key) => until_revoked(gate.keys, key, work).await,
    }
}

/// What is done by a key, which ends with it: waits, bodies that arrive slowly, and answers that are long on their way.
async fn until_revoked(keys: Arc<Keys>, key: Arc<ApiKey>, work: impl Future<Output = Response>) -> Response {
    let ended = {
        let (keys, key) = (Arc::clone(&keys), Arc::clone(&key));
        async move { keys.end_of(&key).await }
    };
    // Who loses: the work, as if its caller had gone; or the look at the key.
    let response = tokio::select! {
        biased;
        response = work => response,
        problem = ended => return refused(problem),
    };
    // What is there already goes out at once.
    if response.body().size_hint().upper().is_some_and(|bytes| bytes <= MAX_WHOLE_BYTES) {
        return response;
    }
    let mut ended = JoinSet::new();
    ended.spawn(async move { keys.end_of(&key).await });
    response.map(|body| Body::new(Ending { body, ended }))
}

/// A probe waits no longer to be told more: a store that does not answer must not keep it.
const MAX_KNOWN_IN: Duration = Duration::from_secs(1);

/// A longer answer is looked after while it is on its way.
const MAX_WHOLE_BYTES: u64 = 64 << 10;

/// A body that breaks off when the key for which it is sent is good no more. The look at the key is a task of its own, which ends with
/// the body: nobody asks for the next piece while one waits for a reader, and what a look holds would be held as long.
struct Ending {
    body: Body,
    ended: JoinSet<Problem>,
}

impl hyper::body::Body for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(Some(Ok(problem))) = self.ended.poll_join_next(context) {
            return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(problem.detail)))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The rest of the way, with what it changes logged in its caller's name.
async fn rest(route: &Route, who: String, mut request: Request, next: Next) -> Response {
    let Some(what) = route.audit else { return next.run(request).await };
    let of = names(&mut request).await;
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let by = NewAudit { request: id, ..NewAudit::by(who, what, of) };
    audited(by, next.run(request)).await
}

impl Gate {
    async fn caller(&self, route: &Route, request: &mut Request) -> Result<Caller, Problem> {
        // What a page shows and does is asked of the API behind it, on behalf of its visitor.
        if route.needs == Needs::Visit {
            return Ok(Caller::Nobody);
        }
        // Whoever looks whether the host lives is not asked who they are; who says it all the same may be told more.
        if route.needs == Needs::Nothing {
            return Ok(match (sent(request.headers_mut()), self.admission) {
                (Ok(Some(text)), _) => {
                    let found = tokio::time::timeout(MAX_KNOWN_IN, self.keys.find(&text)).await;
                    found.ok().and_then(Result::ok).map_or(Caller::Nobody, Caller::Key)
                }
                (Ok(None), Admission::Anybody) => Caller::Anybody,
                _ => Caller::Nobody,
            });
        }
        let signed = request.extensions().get::<Signed>().copied();
        let caller = match (sent(request.headers_mut())?, self.admission) {
            _ if let Some(Signed(digest)) = signed => Caller::Key(self.keys.find_digest(&digest).await?),
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

/// What stands in the places that a path has for names, as it was meant: not as a URL writes it.
async fn names(request: &mut Request) -> String {
    // What is no text names nothing, and its route says so.
    let Ok(names) = request.extract_parts::<RawPathParams>().await else { return String::new() };
    names.iter().map(|(_, name)| name).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::routing::any;
    use http_body_util::BodyExt as _;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[tokio::test]
    async fn names_of_a_path_say_what_was_changed() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let layer = axum::middleware::from_fn(move |mut request: Request, next: Next| {
            let tell = Arc::clone(&tell);
            async move {
                let names = names(&mut request).await;
                tell.lock().expect("nobody panics").push(names);
                next.run(request).await
            }
        });
        let empty = || any(async || ());
        let router = Router::new()
            .route("/v1/handlers/{package}/{handler}", empty())
            .route("/v1/queues/{name}", empty())
            .route("/v1/retention", empty())
            .layer(layer);
        let service = TowerToHyperService::new(router);
        for path in ["/v1/handlers/words/count", "/v1/queues/my%20mail%2Fprint", "/v1/retention", "/v1/queues/%FF"] {
            let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
            service.call(request).await.expect("it answers");
        }
        assert_eq!(*told.lock().expect("nobody panics"), ["words/count", "my mail/print", "", ""]);
    }

    /// A body that goes on.
    struct Endless;

    impl hyper::body::Body for Endless {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Ok(Frame::data("a".into()))))
        }
    }

    #[tokio::test]
    async fn answer_breaks_off_with_its_key() {
        let (end, ended) = tokio::sync::oneshot::channel();
        let (told, mut looks) = (Arc::new(tokio::sync::Notify::new()), JoinSet::new());
        let seen = Arc::clone(&told);
        looks.spawn(async move {
            ended.await.expect("it is told");
            seen.notify_one();
            Problem::new(StatusCode::UNAUTHORIZED, "the key was revoked")
        });
        let mut body = Ending { body: Body::new(Endless), ended: looks };
        assert_eq!(body.frame().await.and_then(|frame| frame.ok()?.into_data().ok()), Some("a".into()));
        // The look goes on though nobody asks for the next piece.
        end.send(()).expect("it waits");
        told.notified().await;
        let error = body.frame().await.expect("a frame").expect_err("it breaks off");
        assert_eq!(error.to_string(), "the key was revoked");
    }
}
