//! A connection whose other end may be slow to read, but not for ever, and may send more than anybody wants to read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sunaba_host::MAX_COMPONENT_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::unread::Unread;

/// How long a write may make no progress.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// What is read and thrown away of a request that was answered before its end, so that its sender sees the answer: twice the
/// largest body that is taken, and no longer than this.
const LINGER_BYTES: usize = 2 * MAX_COMPONENT_BYTES;
const LINGER_TIME: Duration = Duration::from_secs(4);
/// Read at a time.
const PIECE: usize = 16 << 10;

/// A stream whose writes fail when nobody reads.
pub(crate) struct Patient {
    stream: TcpStream,
    /// Runs while a write waits.
    pause: Option<Pin<Box<Sleep>>>,
    unread: Unread,
    /// Since the last word was said: until when the other end may go on speaking, and how much.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Patient {
    pub(crate) fn new(stream: TcpStream, unread: Unread) -> Self {
        Self { stream, pause: None, unread, linger: None }
    }

    /// Throws away what still comes, until the other end has closed too or has had its share.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((time, left)) = &mut self.linger else { return Poll::Ready(()) };
        let mut piece = [0; PIECE];
        while *left > 0 && time.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut piece);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            let bytes = buffer.filled().len();
            if read.is_err() || bytes == 0 {
                break;
            }
            *left = left.saturating_sub(bytes);
        }
        Poll::Ready(())
    }

    /// The result of a write, or an error when it has waited for too long.
    fn wait<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.pause = None;
            return written;
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + MAX_PAUSE)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads the answer")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wait(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.wait(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.wait(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let closed = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.wait(closed, context))?;
            if !self.unread.is_left() {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some((Box::pin(tokio::time::sleep_until(Instant::now() + LINGER_TIME)), LINGER_BYTES));
        }
        self.linger(context).map(Ok)
    }
}
