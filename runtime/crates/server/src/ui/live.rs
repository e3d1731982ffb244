//! Tells a page that something has changed, as events that a server sends: at most one a second, and one now and then for what no event
//! tells of. What has changed is not in it: the page is asked for anew, by whoever may see it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::visit::Visit;
use crate::access::allows;
use crate::api::EventsView;
use crate::problem::Problem;

/// Between two that are told.
const PAUSE: Duration = Duration::from_secs(1);
/// At the latest after this something is told: the connection is seen to live, and what is in no feed is looked at again.
const QUIET_MS: u64 = 10_000;
/// A stream is not longer than this; whoever still looks asks again.
const ROUNDS: usize = 300;

/// What a stream has told its channel.
struct Told(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|told| told.map(|bytes| Ok(Frame::data(bytes))))
    }
}

pub(super) async fn live(visit: Visit) -> Result<Response, Problem> {
    let place = Arc::clone(&visit.ui.streams).try_acquire_owned().map_err(|_| {
        let message = "as many pages are kept up to date as may be\nhint: close some, or load this one anew by hand";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
    })?;
    if !allows(&visit.caller, "GET /v1/events") {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this key may not see events").code("scope-missing"));
    }
    // One piece waits at most: whoever does not read is told nothing more.
    let (tell, told) = mpsc::channel(1);
    let desk = visit.desk.clone();
    let mut stopping = visit.ui.shared.stopping.clone();
    let telling = async move {
        let _place = place;
        let mut after = String::new();
        for _ in 0..ROUNDS {
            // A key that is revoked meanwhile ends it here.
            let asked = format!("/v1/events?limit=1000&wait_ms={QUIET_MS}{after}");
            let Ok(page) = desk.get::<EventsView>(&asked).await else { return };
            after = format!("&after={}", page.next);
            let event = if page.events.is_empty() { "quiet" } else { "change" };
            let text = format!("event: {event}\nid: {}\ndata: {}\n\n", page.next, page.events.len());
            if tell.send(text.into()).await.is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::spawn(async move {
        // Who loses: a look at the feed, which takes nothing away; or the look at the server's stop.
        tokio::select! {
            () = telling => {}
            () = async { stopping.wait_for(|stopping| *stopping).await.map_or((), |_| ()) } => {}
        }
    });
    let stream = (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(([stream], Body::new(Told(told))).into_response())
}
