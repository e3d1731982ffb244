//! The body of a response on its way to a guest: one frame at a time, never held whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::Error;

use super::errors;
use super::head;
use super::redact::Pieces;
use super::traffic::Open;
use super::vault::Vault;
use crate::clock::now;

/// What is left to be read.
pub(super) struct Incoming {
    /// None: it has ended, well or not.
    running: Option<Running>,
    /// They come after the bytes that were held back.
    trailers: Option<HeaderMap>,
}

struct Running {
    body: hyper::body::Incoming,
    between: Duration,
    silence: Pin<Box<Sleep>>,
    secrets: Option<(Arc<Vault>, Pieces)>,
    /// The request is one of those at a time until its response is read or dropped, and its connection is gone.
    _open: Arc<Open>,
}

impl Incoming {
    pub(super) fn new(
        body: hyper::body::Incoming,
        between: Duration,
        vault: Option<Arc<Vault>>,
        open: Arc<Open>,
    ) -> Self {
        let secrets = vault.map(|vault| {
            let pieces = Pieces::new(Arc::clone(vault.redactor()));
            (vault, pieces)
        });
        let silence = Box::pin(sleep(between));
        Self { running: Some(Running { body, between, silence, secrets, _open: open }), trailers: None }
    }

    /// The last bytes of a body, if any were held back.
    fn end(&mut self) -> Option<Bytes> {
        let (_, mut pieces) = self.running.take()?.secrets?;
        Some(pieces.finish()).filter(|rest| !rest.is_empty())
    }

    fn ended(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        match self.end() {
            Some(rest) => Some(Ok(Frame::data(rest))),
            None => self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            let Some(running) = &mut this.running else { return Poll::Ready(this.ended()) };
            let frame = match Pin::new(&mut running.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    this.running = None;
                    return Poll::Ready(Some(Err(errors::of_exchange(&error))));
                }
                Poll::Ready(None) => return Poll::Ready(this.ended()),
                Poll::Pending if running.silence.as_mut().poll(cx).is_ready() => {
                    this.running = None;
                    return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
                }
                Poll::Pending => return Poll::Pending,
            };
            running.silence.as_mut().reset((now() + running.between).into());
            match frame.into_data() {
                Ok(data) => {
                    let data = match &mut running.secrets {
                        Some((_, pieces)) => pieces.feed(data),
                        None => data,
                    };
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    if let Some((vault, _)) = &running.secrets {
                        vault.redact(&mut trailers);
                        // A name takes more room than a short text.
                        let bytes = head::size(&trailers);
                        if bytes > head::MAX_HEAD_BYTES {
                            let bytes = u32::try_from(bytes).ok();
                            return Poll::Ready(Some(Err(Error::HttpResponseTrailerSectionSize(bytes))));
                        }
                    }
                    this.trailers = Some(trailers);
                    return Poll::Ready(this.ended());
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
