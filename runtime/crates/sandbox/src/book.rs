//! What a guest says: `host.log`, standard output and standard error in one bounded sequence.
//!
//! A guest is never blocked and never stopped by its own talk. Beyond a limit the rest is dropped and counted, and one
//! line of the host's at the end says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sunaba_task::{AttemptHost, Limits, LogEntry, LogLevel, LogSource, format_bytes, format_count, panic_text};

use crate::calls::panicked;
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
        let stream = |level, limit| Stream { level, tally: Tally::new(limit), line: Vec::new() };
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

    /// A line of the host's own. There are few of them: they are kept however full the book is.
    pub(crate) fn note(&self, mut message: String) {
        cut(&mut message, MAX_LINE_BYTES);
        let mut pages = self.pages();
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
        cut(&mut message, MAX_LINE_BYTES);
        for (key, value) in &mut fields {
            cut(key, MAX_LINE_BYTES);
            cut(value, MAX_LINE_BYTES);
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
        let mut pages = self.pages();
        pages.end_line(LogSource::Stdout);
        pages.end_line(LogSource::Stderr);
        let counts = Counts {
            log_bytes: pages.log.kept,
            stdout_bytes: pages.stdout.tally.kept,
            stderr_bytes: pages.stderr.tally.kept,
            dropped_bytes: pages.log.dropped + pages.stdout.tally.dropped + pages.stderr.tally.dropped,
        };
        let marks = [("log", &pages.log), ("stdout", &pages.stdout.tally), ("stderr", &pages.stderr.tally)]
            .into_iter()
            .filter(|(_, tally)| tally.dropped > 0)
            .map(|(name, tally)| {
                format!("{name} was cut: {} kept, {} dropped", format_bytes(tally.kept), format_bytes(tally.dropped))
            })
            .collect::<Vec<_>>();
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

    fn push(&mut self, mut entry: LogEntry) {
        if let Some(redactor) = &self.redactor {
            redactor.text(&mut entry.message);
            for (key, value) in &mut entry.fields {
                redactor.text(key);
                redactor.text(value);
            }
        }
        self.tell(&entry);
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_task::Unattended;

    fn book(limits: Limits) -> Book {
        Book::new(&limits, now(), Arc::new(Unattended))
    }

    fn messages(book: &Book) -> Vec<(LogSource, String)> {
        book.close().0.into_iter().map(|entry| (entry.source, entry.message)).collect()
    }

    #[test]
    fn lines_are_joined_from_parts_and_kept_in_order() {
        let book = book(Limits::default());
        book.write(LogSource::Stdout, b"one\ntw").expect("nobody panics");
        book.write(LogSource::Stderr, b"err\r\n").expect("nobody panics");
        book.write(LogSource::Stdout, b"o\n\nlast").expect("nobody panics");
        let expected = [("one", false), ("err", true), ("two", false), ("", false), ("last", false)];
        let expected =
            expected.map(|(text, err)| (if err { LogSource::Stderr } else { LogSource::Stdout }, text.to_owned()));
        assert_eq!(messages(&book), expected);
    }

    #[test]
    fn stdout_limit_obeyed() {
        let book = book(Limits { stdout_bytes: 4, ..Limits::default() });
        book.write(LogSource::Stdout, b"abc\n").expect("nobody panics");
        let (entries, counts) = book.close();
        assert_eq!(entries.len(), 1);
        assert_eq!((counts.stdout_bytes, counts.dropped_bytes), (4, 0));
    }

    #[test]
    fn stdout_limit_violated_is_cut_with_a_mark() {
        let book = book(Limits { stdout_bytes: 4, ..Limits::default() });
        book.write(LogSource::Stdout, b"abcdefgh").expect("nobody panics");
        book.write(LogSource::Stdout, b"ij").expect("nobody panics");
        let (entries, counts) = book.close();
        assert_eq!(entries[0].message, "abcd");
        assert_eq!(entries[1].source, LogSource::Host);
        assert_eq!(entries[1].message, "stdout was cut: 4 B kept, 6 B dropped");
        assert_eq!((counts.stdout_bytes, counts.dropped_bytes), (4, 6));
    }

    #[test]
    fn log_lines_are_kept_whole_or_not_at_all() {
        let book = book(Limits { log_bytes: 5, ..Limits::default() });
        book.log(LogLevel::Info, "abc".into(), vec![]).expect("nobody panics");
        book.log(LogLevel::Info, "def".into(), vec![]).expect("nobody panics");
        let (entries, counts) = book.close();
        assert_eq!(entries[0].message, "abc");
        assert_eq!(entries[1].message, "log was cut: 3 B kept, 3 B dropped");
        assert_eq!((counts.log_bytes, counts.dropped_bytes), (3, 3));
    }

    #[test]
    fn line_limit_violated_is_cut_with_a_mark() {
        let book = book(Limits { log_lines: 2, ..Limits::default() });
        book.write(LogSource::Stdout, b"1\n2\n3\n4\n").expect("nobody panics");
        let (entries, counts) = book.close();
        let texts: Vec<_> = entries.iter().map(|entry| entry.message.as_str()).collect();
        let marks = ["stdout was cut: 6 B kept, 2 B dropped", "lines were cut: 2 dropped over the limit"];
        assert_eq!(texts, ["1", "2", marks[0], marks[1]]);
        assert_eq!((counts.stdout_bytes, counts.dropped_bytes), (6, 2));
    }

    #[test]
    fn an_endless_line_is_split() {
        let book = book(Limits::default());
        book.write(LogSource::Stdout, &[b'x'; MAX_LINE_BYTES + 1]).expect("nobody panics");
        let lengths: Vec<_> = messages(&book).into_iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, 1]);
    }

    #[test]
    fn a_panic_is_told_with_its_place() {
        // However full the book is.
        let book = book(Limits { log_lines: 1, ..Limits::default() });
        book.log(LogLevel::Info, "fine".into(), vec![]).expect("nobody panics");
        assert_eq!(book.panic_message(), None);
        book.log(LogLevel::Error, "boom".into(), vec![("panic".into(), "src/lib.rs:7:5".into())])
            .expect("nobody panics");
        assert_eq!(book.panic_message().as_deref(), Some("the guest panicked at src/lib.rs:7:5: boom"));
    }
}
