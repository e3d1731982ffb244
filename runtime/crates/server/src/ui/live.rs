//! Tells a page that something has changed, as events that a server sends: at most one a second, and one now and then for what no event
//! tells of. What has changed is not in it: the page is asked for anew, by whoever may see it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use sunaba_task::Digest;
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
/// Streams at a time.
const MAX_STREAMS: usize = 64;
/// The same of one key, so that whoever has one leaves some for others.
const MAX_OF_A_KEY: usize = 16;

/// The streams that there are, by the key of whoever looks; without a key, nobody is told from another.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<Option<Digest>, usize>>);

/// One stream's place among them; it is free again when this goes.
struct Place {
    streams: Arc<Streams>,
    key: Option<Digest>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Digest>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, if there may be one.
    fn take(self: &Arc<Self>, key: Option<Digest>) -> Option<Place> {
        let mut streams = self.lock();
        let own = streams.get(&key).copied().unwrap_or(0);
        if streams.values().sum::<usize>() >= MAX_STREAMS || key.is_some() && own >= MAX_OF_A_KEY {
            return None;
        }
        streams.insert(key, own + 1);
        Some(Place { streams: Arc::clone(self), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        match streams.get_mut(&self.key) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(streams.remove(&self.key)),
        }
    }
}

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
    let full = || {
        let message = format!(
            "as many pages are kept up to date as may be: {MAX_STREAMS}, and {MAX_OF_A_KEY} of one key\nhint: close some, or load \
             this one anew by hand"
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
    };
    let place = visit.ui.streams.take(visit.desk.signed).ok_or_else(full)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_a_key_obeyed_and_violated() {
        let streams = Arc::new(Streams::default());
        let (key, other) = (Some(Digest::of(b"key")), Some(Digest::of(b"other")));
        let mut places: Vec<_> = (0..MAX_OF_A_KEY).map(|_| streams.take(key).expect("as many as may be")).collect();
        assert!(streams.take(key).is_none());
        assert!(streams.take(other).is_some(), "another key has its own");
        places.pop();
        assert!(streams.take(key).is_some(), "one that ended makes room");
    }

    #[test]
    fn streams_at_a_time_obeyed_and_violated() {
        let streams = Arc::new(Streams::default());
        let places: Vec<_> = (0..MAX_STREAMS).map(|_| streams.take(None).expect("as many as may be")).collect();
        assert!(streams.take(None).is_none() && streams.take(Some(Digest::of(b"key"))).is_none());
        drop(places);
        assert!(streams.lock().is_empty(), "nothing is left of those that ended");
    }
}
