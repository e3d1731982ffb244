//! What a guest says: `host.log`, standard output and standard error in one bounded sequence.
//!
//! A guest is never blocked and never stopped by its own talk. Beyond a limit the rest is dropped and counted, and one
//! line of the host's at the end says so. Secrets are taken out before anything is cut or split into lines.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sunaba_task::{
    ArtifactName, AttemptHost, Limits, LogEntry, LogLevel, LogSource, format_bytes, format_count, panic_text,
};

use crate::calls::panicked;
use crate::capture::Pipe;
use crate::clock::now;
use crate::convert::cut;
use crate::http::Redactor;
use crate::interrupt::Halt;

/// A longer line is split.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// More fields of one `host.log` call are dropped.
const MAX_FIELDS: usize = 32;

/// Shared by the attempt and its output streams.
#[derive(Clone)]
pub(crate) struct Book(Arc<Mutex<Pages>>);

struct Pages {
    begun: Instant,
    host: Arc<dyn AttemptHost>,
    entries: Vec<LogEntry>,
    lines_left: u64,
    lines_dropped: u64,
    /// What a panicking guest said, with its place; kept however full the book is.
    panic: Option<String>,
    /// Whoever was told of a line panicked: the attempt has failed.
    host_panic: Option<String>,
    /// What takes secrets out of lines, when there are any.
    redactor: Option<Arc<Redactor>>,
    log: Tally,
    stdout: Stream,
    stderr: Stream,
}

/// How much of one source was kept.
struct Tally {
    limit: u64,
    kept: u64,
    dropped: u64,
}

impl Tally {
    fn new(limit: u64) -> Self {
        Self { limit, kept: 0, dropped: 0 }
    }

    /// Takes back what was kept of a line that is dropped after all.
    fn drop_kept(&mut self, bytes: usize) {
        self.kept -= bytes as u64;
        self.dropped += bytes as u64;
    }

    /// How many of so many bytes may be kept; the others are counted as dropped.
    fn take(&mut self, bytes: usize) -> usize {
        let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX);
        let kept = bytes.min(room);
        self.kept += kept as u64;
        self.dropped += (bytes - kept) as u64;
        kept
    }
}

/// An output stream and its unfinished line.
struct Stream {
    level: LogLevel,
    tally: Tally,
    line: Vec<u8>,
    /// What may yet become a secret.
    held: Vec<u8>,
    /// Where all of it goes besides, when it is captured.
    pipe: Option<Arc<Pipe>>,
}

/// What a book counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) log_bytes: u64,
    pub(crate) stdout_bytes: u64,
    pub(crate) stderr_bytes: u64,
    pub(crate) dropped_bytes: u64,
}

impl Book {
    pub(crate) fn new(limits: &Limits, begun: Instant, host: Arc<dyn AttemptHost>) -> Self {
        let stream =
            |level, limit| Stream { level, tally: Tally::new(limit), line: Vec::new(), held: Vec::new(), pipe: None };
        Self(Arc::new(Mutex::new(Pages {
            begun,
            host,
            entries: Vec::new(),
            lines_left: limits.log_lines,
            lines_dropped: 0,
            panic: None,
            host_panic: None,
            redactor: None,
            log: Tally::new(limits.log_bytes),
            stdout: stream(LogLevel::Info, limits.stdout_bytes),
            stderr: stream(LogLevel::Warn, limits.stderr_bytes),
        })))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // A panic while a line is added leaves at worst that line out; the book stays whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes secrets out of every line from now on.
    pub(crate) fn redact_with(&self, redactor: Arc<Redactor>) {
        self.pages().redactor = Some(redactor);
    }

    /// Hands all that comes of this stream on, from now on.
    pub(crate) fn capture(&self, source: LogSource, pipe: Arc<Pipe>) {
        self.pages().stream(source).pipe = Some(pipe);
    }

    /// Where all of this stream goes besides.
    pub(crate) fn pipe(&self, source: LogSource) -> Option<Arc<Pipe>> {
        self.pages().stream(source).pipe.clone()
    }

    /// Nothing more is written: what was held back comes out.
    pub(crate) fn end(&self) {
        let mut pages = self.pages();
        pages.end(LogSource::Stdout);
        pages.end(LogSource::Stderr);
    }

    /// Shortens a text that a guest may have made to so many bytes; its secrets are taken out before.
    pub(crate) fn cut(&self, text: &mut String, max_bytes: usize) {
        self.pages().cut(text, max_bytes);
    }

    /// What takes secrets out, when there are any: for what is looked through outside the book's lock.
    pub(crate) fn redactor(&self) -> Option<Arc<Redactor>> {
        self.pages().redactor.clone()
    }

    /// A line of the host's own. There are few of them: they are kept however full the book is.
    pub(crate) fn note(&self, mut message: String) {
        let mut pages = self.pages();
        pages.cut(&mut message, MAX_LINE_BYTES);
        let at_ms = pages.at_ms();
        pages.push(LogEntry { at_ms, source: LogSource::Host, level: LogLevel::Warn, message, fields: Vec::new() });
    }

    /// A line by `host.log`.
    ///
    /// # Errors
    /// Whoever was told of it panicked.
    pub(crate) fn log(
        &self,
        level: LogLevel,
        mut message: String,
        mut fields: Vec<(String, String)>,
    ) -> Result<(), Halt> {
        let mut pages = self.pages();
        let size =
            |fields: &[(String, String)]| fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let whole = message.len() + size(&fields);
        fields.truncate(MAX_FIELDS);
        pages.cut(&mut message, MAX_LINE_BYTES);
        for (key, value) in &mut fields {
            pages.cut(key, MAX_LINE_BYTES);
            pages.cut(value, MAX_LINE_BYTES);
        }
        // What was cut off is given back: a line may be kept for as long as the attempt runs.
        fields.shrink_to_fit();
        let shown = message.len() + size(&fields);
        if let Some((_, place)) = fields.iter().find(|(key, _)| key == "panic") {
            pages.panic = Some(format!("the guest panicked at {place}: {message}"));
        }
        pages.log.dropped += whole.saturating_sub(shown) as u64;
        // A line is kept whole or not at all: half of a structured line says something else.
        if pages.log.limit - pages.log.kept < shown as u64 {
            pages.log.dropped += shown as u64;
            return Ok(());
        }
        pages.log.kept += shown as u64;
        if !pages.add(LogSource::Log, level, message, fields) {
            pages.log.drop_kept(shown);
        }
        pages.whole("sunaba:task/host.log")
    }

    /// Bytes of standard output or standard error.
    ///
    /// # Errors
    /// Whoever was told of a line panicked.
    pub(crate) fn write(&self, source: LogSource, bytes: &[u8]) -> Result<(), Halt> {
        let mut pages = self.pages();
        pages.write(source, bytes);
        pages.whole("wasi:io/streams.output-stream.write")
    }

    /// Whether nobody who was told of a line panicked.
    ///
    /// # Errors
    /// Somebody did.
    pub(crate) fn whole(&self) -> Result<(), Halt> {
        self.pages().whole("sunaba:task/host.log")
    }

    /// What a panicking guest said by `host.log`, with its place.
    pub(crate) fn panic_message(&self) -> Option<String> {
        self.pages().panic.clone()
    }

    /// Ends unfinished lines, marks what was cut, and hands all lines over.
    pub(crate) fn close(&self) -> (Vec<LogEntry>, Counts) {
        self.end();
        let mut pages = self.pages();
        // What is cut here, and is whole elsewhere, is not lost.
        let elsewhere = |stream: &Stream| stream.pipe.as_ref().and_then(|pipe| pipe.whole());
        let (stdout, stderr) = (elsewhere(&pages.stdout), elsewhere(&pages.stderr));
        let lost = |tally: &Tally, elsewhere: &Option<_>| if elsewhere.is_some() { 0 } else { tally.dropped };
        let counts = Counts {
            log_bytes: pages.log.kept,
            stdout_bytes: pages.stdout.tally.kept,
            stderr_bytes: pages.stderr.tally.kept,
            dropped_bytes: pages.log.dropped + lost(&pages.stdout.tally, &stdout) + lost(&pages.stderr.tally, &stderr),
        };
        let streams = [
            ("log", &pages.log, None),
            ("stdout", &pages.stdout.tally, stdout),
            ("stderr", &pages.stderr.tally, stderr),
        ];
        let mark = |(name, tally, elsewhere): (&str, &Tally, Option<ArtifactName>)| {
            let (kept, dropped) = (format_bytes(tally.kept), format_bytes(tally.dropped));
            match elsewhere {
                Some(artifact) => format!("{name} is shortened here to {kept}: all of it is the artifact `{artifact}`"),
                None => format!("{name} was cut: {kept} kept, {dropped} dropped"),
            }
        };
        let marks: Vec<_> = streams.into_iter().filter(|(_, tally, _)| tally.dropped > 0).map(mark).collect();
        let lines = (pages.lines_dropped > 0)
            .then(|| format!("lines were cut: {} dropped over the limit", format_count(pages.lines_dropped)));
        let at_ms = pages.at_ms();
        for message in marks.into_iter().chain(lines) {
            let mark = LogEntry { at_ms, source: LogSource::Host, level: LogLevel::Warn, message, fields: Vec::new() };
            pages.tell(&mark);
            pages.entries.push(mark);
        }
        (std::mem::take(&mut pages.entries), counts)
    }
}

impl Pages {
    /// Tells whoever watches; not any more once that has failed.
    fn tell(&mut self, entry: &LogEntry) {
        if self.host_panic.is_none()
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.host.on_log(entry)))
        {
            self.host_panic = Some(panic_text(&*panic));
        }
    }

    fn whole(&self, call: &str) -> Result<(), Halt> {
        self.host_panic.as_ref().map_or(Ok(()), |text| Err(panicked(call, text)))
    }

    fn cut(&self, text: &mut String, max_bytes: usize) {
        match &self.redactor {
            Some(redactor) => redactor.cut(text, max_bytes),
            None => cut(text, max_bytes),
        }
    }

    fn at_ms(&self) -> u64 {
        u64::try_from(now().duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }

    fn stream(&mut self, source: LogSource) -> &mut Stream {
        match source {
            LogSource::Stderr => &mut self.stderr,
            _ => &mut self.stdout,
        }
    }

    fn write(&mut self, source: LogSource, bytes: &[u8]) {
        let Some(redactor) = self.redactor.clone() else { return self.keep(source, bytes) };
        let held = &mut self.stream(source).held;
        held.extend_from_slice(bytes);
        let settled = redactor.settle(held);
        self.keep(source, &settled);
    }

    /// Splits what a stream was given into lines.
    fn keep(&mut self, source: LogSource, bytes: &[u8]) {
        if let Some(pipe) = &self.stream(source).pipe {
            pipe.push(bytes);
        }
        let kept = self.stream(source).tally.take(bytes.len());
        let mut rest = &bytes[..kept];
        while !rest.is_empty() {
            let line = &mut self.stream(source).line;
            let room = MAX_LINE_BYTES - line.len();
            match rest.iter().take(room).position(|byte| *byte == b'\n') {
                Some(end) => {
                    line.extend_from_slice(&rest[..end]);
                    rest = &rest[end + 1..];
                    let line = std::mem::take(line);
                    self.add_line(source, line);
                }
                None => {
                    let (part, more) = rest.split_at(room.min(rest.len()));
                    line.extend_from_slice(part);
                    rest = more;
                    if line.len() == MAX_LINE_BYTES {
                        self.end_line(source);
                    }
                }
            }
        }
    }

    fn end_line(&mut self, source: LogSource) {
        let line = std::mem::take(&mut self.stream(source).line);
        if !line.is_empty() {
            self.add_line(source, line);
        }
    }

    /// Nothing more comes.
    fn end(&mut self, source: LogSource) {
        let held = std::mem::take(&mut self.stream(source).held);
        let held = self.redactor.as_ref().and_then(|redactor| redactor.replaced(&held)).unwrap_or(held);
        self.keep(source, &held);
        self.end_line(source);
    }

    fn add_line(&mut self, source: LogSource, mut line: Vec<u8>) {
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let level = self.stream(source).level;
        if !self.add(source, level, String::from_utf8_lossy(&line).into_owned(), Vec::new()) {
            self.stream(source).tally.drop_kept(line.len());
        }
    }

    /// Adds a line; false when there is no room for one.
    fn add(&mut self, source: LogSource, level: LogLevel, message: String, fields: Vec<(String, String)>) -> bool {
        if self.lines_left == 0 {
            self.lines_dropped += 1;
            return false;
        }
        self.lines_left -= 1;
        self.push(LogEntry { at_ms: self.at_ms(), source, level, message, fields });
        true
    }

    fn push(&mut self, entry: LogEntry) {
        self.tell(&entry);
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests;
