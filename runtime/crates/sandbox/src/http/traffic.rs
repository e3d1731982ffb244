//! What the requests of an attempt have used together, and what stops it when that is too much.
//!
//! Bytes are counted between HTTP and TLS (or the socket), so that heads, framing, trailers and informational responses
//! are in the count like everything else. What does not fit is not sent, or not handed on; the transfer then hangs and
//! the attempt's switch is turned, so that the guest cannot mistake the limit for an error of the network.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use sunaba_task::{Limit, Limits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::interrupt::Interrupt;

pub(crate) struct Traffic {
    interrupt: Arc<Interrupt>,
    max_requests: u32,
    max_open: u32,
    max_bytes: u64,
    requests: AtomicU32,
    open: AtomicU32,
    bytes: AtomicU64,
    /// Tasks on the shard that work for the attempt.
    tasks: AtomicUsize,
    settled: Notify,
}

impl Traffic {
    pub(crate) fn new(limits: &Limits, interrupt: Arc<Interrupt>) -> Arc<Self> {
        Arc::new(Self {
            interrupt,
            max_requests: limits.requests,
            max_open: limits.concurrent_requests,
            max_bytes: limits.request_bytes,
            requests: AtomicU32::new(0),
            open: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            tasks: AtomicUsize::new(0),
            settled: Notify::new(),
        })
    }

    /// Requests that were sent, and bytes that they moved. Neither is above its limit.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let requests = self.requests.load(Relaxed).min(self.max_requests);
        (u64::from(requests), self.bytes.load(Relaxed).min(self.max_bytes))
    }

    /// Counts a request. False: it is one too many.
    pub(super) fn begin(&self) -> bool {
        let before = self.requests.load(Relaxed);
        self.requests.store(before.saturating_add(1), Relaxed);
        self.within(before < self.max_requests, Limit::Requests, u64::from(self.max_requests))
    }

    /// Counts a request among those at a time, until the result is dropped. None: it is one too many.
    pub(super) fn open(self: &Arc<Self>) -> Option<Open> {
        let before = self.open.fetch_add(1, Relaxed);
        // Made first: dropping it gives the place back.
        let open = Open(Arc::clone(self));
        self.within(before < self.max_open, Limit::ConcurrentRequests, u64::from(self.max_open)).then_some(open)
    }

    /// Bytes that may still move.
    fn room(&self) -> u64 {
        self.max_bytes.saturating_sub(self.bytes.load(Relaxed))
    }

    /// Counts bytes that moved. False: they are too many.
    fn moved(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes as u64, Relaxed);
        self.within(before + bytes as u64 <= self.max_bytes, Limit::RequestBytes, self.max_bytes)
    }

    fn within(&self, is_within: bool, limit: Limit, max: u64) -> bool {
        if !is_within {
            let what = match limit {
                Limit::Requests => "requests",
                Limit::ConcurrentRequests => "requests at a time",
                _ => "bytes of requests and responses",
            };
            self.interrupt.exceed(limit, format!("too many {what}: the limit is {}", limit.format(max)));
        }
        is_within
    }

    /// A task that works for the attempt, until the result is dropped.
    pub(super) fn task(self: &Arc<Self>) -> Task {
        self.tasks.fetch_add(1, Relaxed);
        Task(Arc::clone(self))
    }

    /// Waits until no task works for the attempt. They were aborted when the store went, and end at the next turn of
    /// the scheduler; their connections with them.
    pub(crate) async fn settled(&self) {
        while self.tasks.load(Relaxed) > 0 {
            self.settled.notified().await;
        }
    }
}

/// A request that counts among those at a time.
pub(super) struct Open(Arc<Traffic>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A task that works for the attempt.
pub(super) struct Task(Arc<Traffic>);

impl Drop for Task {
    fn drop(&mut self) {
        if self.0.tasks.fetch_sub(1, Relaxed) == 1 {
            self.0.settled.notify_one();
        }
    }
}

/// A connection whose bytes are counted.
pub(super) struct Counted<T> {
    stream: T,
    traffic: Arc<Traffic>,
}

impl<T> Counted<T> {
    pub(super) fn new(stream: T, traffic: Arc<Traffic>) -> Self {
        Self { stream, traffic }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() && !self.traffic.moved(buf.filled().len() - before) {
            buf.set_filled(before);
            return Poll::Pending;
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let room = usize::try_from(self.traffic.room()).unwrap_or(usize::MAX);
        if room == 0 && !bytes.is_empty() {
            // Turns the switch: there is no room for any of it.
            self.traffic.moved(1);
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, &bytes[..bytes.len().min(room)]);
        if let Poll::Ready(Ok(written)) = polled {
            self.traffic.moved(written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
