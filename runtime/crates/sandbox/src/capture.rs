//! An attempt's standard output and standard error as artifacts, whole, written while the guest writes.
//!
//! What the guest writes comes here after secrets were taken out of it and before lines are cut to the limits of logs. It waits in a
//! small buffer for a pump, which runs beside the guest and takes it to the store in pieces: a stream is never whole in memory.
//! A guest that is faster than the disk waits until there is room, as it does when it writes a file.
//!
//! Nothing of this ends an attempt, and an attempt that fails or is stopped leaves what it has said until then. Over the limit
//! `artifact-bytes`, or where the store refuses, the capture ends, and the log says so.

use std::fmt::Display;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::{
    ArtifactName, ArtifactSink, AskError, AttemptHost, CAPTURED, Capture, LogSource, captured_name, catch_panic,
    format_bytes,
};
use tokio::sync::Notify;

use crate::book::Book;
use crate::guest_artifacts::Written;

/// While so much of a stream waits for the disk, so does the guest, in bytes.
const HELD_BYTES: usize = 64 << 10;
/// What a guest may write at a time, in bytes. A placeholder may be longer than the secret in whose place it stands.
const WRITE_BYTES: usize = 16 << 10;
/// More than this waits for nobody, in bytes: a guest that writes without asking for room fills no memory.
const MOST_BYTES: usize = 256 << 10;
/// What the mark takes at the end of a stream that was cut, in bytes.
const MARK_BYTES: u64 = 128;
/// How long the last of it may take once the guest has ended.
const FINISH: Duration = Duration::from_secs(10);

/// The streams of one attempt that are kept.
pub(crate) struct Captured(Vec<Arc<Pipe>>);

/// One stream, from the guest to the store.
pub(crate) struct Pipe {
    source: LogSource,
    name: ArtifactName,
    written: Arc<Written>,
    held: Mutex<Held>,
    /// Woken when there is something to take away, or nothing will come any more.
    filled: Notify,
    /// Woken when there is room.
    drained: Notify,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    kept: u64,
    dropped: u64,
    /// Why nothing more is kept.
    over: Option<Over>,
    closed: bool,
}

enum Over {
    /// It has its beginning.
    Cut(String),
    /// It is not there at all.
    Lost(String),
}

impl Captured {
    /// Keeps these streams of this attempt, within what it may write to artifacts.
    pub(crate) fn new(capture: Capture, attempt: u32, written: &Arc<Written>, book: &Book) -> Self {
        let pipe = |source| Arc::new(Pipe::new(source, attempt, Arc::clone(written)));
        let pipes: Vec<_> = capture.sources().map(pipe).collect();
        for pipe in &pipes {
            book.capture(pipe.source, Arc::clone(pipe));
        }
        Self(pipes)
    }

    /// Runs the guest to its end, and then what it has said to the store.
    pub(crate) async fn beside<T>(self, host: &Arc<dyn AttemptHost>, book: &Book, guest: impl Future<Output = T>) -> T {
        if self.0.is_empty() {
            return guest.await;
        }
        // Boxed: an attempt without it should be no larger.
        let mut pump = Box::pin(self.pump(host));
        let (mut guest, mut is_pumped) = (pin!(guest), false);
        let ended = std::future::poll_fn(|context| {
            let ended = guest.as_mut().poll(context);
            if ended.is_pending() && !is_pumped {
                is_pumped = pump.as_mut().poll(context).is_ready();
            }
            ended
        })
        .await;
        book.end();
        self.0.iter().for_each(|pipe| pipe.close());
        if !is_pumped && tokio::time::timeout(FINISH, pump).await.is_err() {
            self.0.iter().for_each(|pipe| pipe.lose("the store took too long"));
        }
        for note in self.0.iter().filter_map(|pipe| pipe.note()) {
            book.note(note);
        }
        ended
    }

    async fn pump(&self, host: &Arc<dyn AttemptHost>) {
        let mut pumps: Vec<_> = self.0.iter().map(|pipe| Some(Box::pin(pipe.pump(host)))).collect();
        std::future::poll_fn(|context| {
            for pump in &mut pumps {
                if pump.as_mut().is_some_and(|running| running.as_mut().poll(context).is_ready()) {
                    *pump = None;
                }
            }
            if pumps.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Pipe {
    fn new(source: LogSource, attempt: u32, written: Arc<Written>) -> Self {
        let (name, held) = (captured_name(source, attempt), Mutex::default());
        Self { source, name, written, held, filled: Notify::new(), drained: Notify::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing that runs under it can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a guest has written; what is over the limit is counted.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut held = self.held();
        if held.over.is_some() {
            held.dropped += bytes.len() as u64;
            return;
        }
        let room = bytes.len().min(MOST_BYTES.saturating_sub(held.bytes.len()));
        let kept = self.written.take(room, MARK_BYTES);
        held.bytes.extend_from_slice(&bytes[..kept]);
        held.kept += kept as u64;
        held.dropped += (bytes.len() - kept) as u64;
        if kept < bytes.len() {
            let why = match kept < room {
                true => format!("the limit `artifact-bytes` is {}", format_bytes(self.written.limit())),
                false => "more was written at a time than there was room for".to_owned(),
            };
            let mark = format!("\n[cut here: {why}]\n");
            if self.written.add(mark.len()).is_ok() {
                held.bytes.extend_from_slice(mark.as_bytes());
            }
            held.over = Some(Over::Cut(why));
        }
        drop(held);
        self.filled.notify_one();
    }

    /// What may be written at once, in bytes; none while the guest has to wait.
    pub(crate) fn room(&self) -> usize {
        let held = self.held();
        if held.bytes.len() < HELD_BYTES || held.over.is_some() { WRITE_BYTES } else { 0 }
    }

    /// Waits until there is room.
    pub(crate) async fn wait_for_room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.room() > 0 {
                return;
            }
            drained.await;
        }
    }

    /// The artifact that has all of it; none if something of it is missing.
    pub(crate) fn whole(&self) -> Option<ArtifactName> {
        self.held().over.is_none().then(|| self.name.clone())
    }

    fn close(&self) {
        self.held().closed = true;
        self.filled.notify_one();
    }

    /// Gives it up: what the store has of it goes.
    fn lose(&self, why: impl Display) {
        let why = why.to_string().lines().next().unwrap_or_default().to_owned();
        let mut held = self.held();
        held.bytes = Vec::new();
        held.over = Some(Over::Lost(why));
        drop(held);
        self.drained.notify_waiters();
    }

    /// The next piece, as soon as there is one; none when the last was taken.
    async fn next(&self) -> Option<Bytes> {
        loop {
            let filled = self.filled.notified();
            let (bytes, is_closed) = self.taken();
            if !bytes.is_empty() {
                self.drained.notify_waiters();
                return Some(bytes.into());
            }
            if is_closed {
                return None;
            }
            filled.await;
        }
    }

    /// What waits, and whether nothing more will come.
    fn taken(&self) -> (Vec<u8>, bool) {
        let mut held = self.held();
        (std::mem::take(&mut held.bytes), held.closed)
    }

    async fn pump(&self, host: &Arc<dyn AttemptHost>) {
        match catch_panic(self.keep(host)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lose(error),
            Err(panic) => self.lose(format_args!("host code panicked: {panic}")),
        }
    }

    /// Takes all of it to the store. A guest that says nothing leaves no artifact.
    async fn keep(&self, host: &Arc<dyn AttemptHost>) -> Result<(), AskError> {
        let mut sink: Option<Box<dyn ArtifactSink>> = None;
        while let Some(bytes) = self.next().await {
            if sink.is_none() {
                sink = Some(host.create_artifact(self.name.clone(), CAPTURED.to_owned()).await?);
            }
            if let Some(sink) = &mut sink {
                sink.write(bytes).await?;
            }
        }
        match sink {
            Some(sink) => sink.finish().await.map(drop),
            None => Ok(()),
        }
    }

    /// What the log says of a stream that was not kept whole.
    fn note(&self) -> Option<String> {
        let (held, name) = (self.held(), &self.name);
        Some(match held.over.as_ref()? {
            Over::Cut(why) => {
                let (kept, dropped) = (format_bytes(held.kept), format_bytes(held.dropped));
                format!("`{name}` was cut: {kept} kept, {dropped} dropped: {why}")
            }
            Over::Lost(why) => format!("`{name}` is not kept: {why}"),
        })
    }
}

#[cfg(test)]
mod tests;
