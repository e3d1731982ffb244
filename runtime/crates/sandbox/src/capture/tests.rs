//! What is kept of a stream, what is cut, who waits for whom, and that nothing of it ends an attempt.

use super::*;
use crate::clock::now;
use crate::http::Redactor;
use sunaba_task::{Artifact, ArtifactKind, AskErrorKind, BoxFuture, Digest, Limits, Timestamp};

/// Name, media type and bytes of each.
type Files = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

const SECRET: &str = "a-secret-that-nobody-may-read";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Keeps artifacts in memory; refuses to keep more than so many bytes.
struct Kept {
    files: Files,
    room: usize,
    panics: bool,
}

impl Kept {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { files: Arc::default(), room, panics: false })
    }

    fn text(&self, name: &str) -> Option<String> {
        let files = self.files.lock().expect("nobody panics");
        files.iter().find(|file| file.0 == name).map(|file| String::from_utf8(file.2.clone()).expect("text"))
    }
}

struct Sink {
    files: Files,
    file: (String, String, Vec<u8>),
    room: usize,
}

impl ArtifactSink for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        self.file.2.extend_from_slice(&bytes);
        let fits = self.file.2.len() <= self.room;
        let full = || AskError::new(AskErrorKind::Unavailable, "the disk is full\nhint: wait");
        Box::pin(std::future::ready(fits.then_some(()).ok_or_else(full)))
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Artifact, AskError>> {
        let kind = ArtifactKind::File { size_bytes: self.file.2.len() as u64, digest: Digest::of(&self.file.2) };
        let (name, media_type) = (self.file.0.parse().expect("a name"), self.file.1.clone());
        self.files.lock().expect("nobody panics").push(self.file);
        let created_at = Timestamp::from_unix_ms(0);
        Box::pin(std::future::ready(Ok(Artifact { name, media_type, kind, attempt: 2, created_at })))
    }
}

impl AttemptHost for Kept {
    fn create_artifact(
        &self,
        name: ArtifactName,
        media_type: String,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSink>, AskError>> {
        assert!(!self.panics, "a host with a defect");
        let file = (name.to_string(), media_type, Vec::new());
        let sink = Sink { files: Arc::clone(&self.files), file, room: self.room };
        Box::pin(std::future::ready(Ok(Box::new(sink) as Box<dyn ArtifactSink>)))
    }
}

fn written(artifact_bytes: u64) -> Arc<Written> {
    Arc::new(Written::new(&Limits { artifact_bytes, ..Limits::default() }))
}

/// Says this as a guest of a host would that lets it write when there is room; gives what the log then says.
fn said(kept: &Arc<Kept>, artifact_bytes: u64, says: &[(LogSource, &[u8])]) -> Vec<String> {
    let host = Arc::clone(kept) as Arc<dyn AttemptHost>;
    let limits = Limits { stdout_bytes: 8, ..Limits::default() };
    let book = Book::new(&limits, now(), Arc::clone(&host));
    book.redact_with(Arc::new(Redactor::new([(SECRET, "[KEY]")].into_iter())));
    let captured = Captured::new(Capture { stdout: true, stderr: true }, 2, &written(artifact_bytes), &book);
    block_on(captured.beside(&host, &book, async {
        for (source, bytes) in says {
            for piece in bytes.chunks(WRITE_BYTES) {
                book.pipe(*source).expect("it is captured").wait_for_room().await;
                book.write(*source, piece).expect("nobody panics");
            }
        }
    }));
    let lines = book.close().0;
    lines.into_iter().filter(|line| line.source == LogSource::Host).map(|line| line.message).collect()
}

#[test]
fn both_streams_are_kept_whole_where_the_log_has_their_beginning() {
    let (kept, long) = (Kept::new(usize::MAX), "0123456789\n".repeat(100_000));
    let notes = said(&kept, 10 << 20, &[(LogSource::Stdout, long.as_bytes()), (LogSource::Stderr, b"oh")]);
    assert_eq!(kept.text("attempt-2.stdout").as_deref(), Some(&*long));
    assert_eq!(kept.text("attempt-2.stderr").as_deref(), Some("oh"));
    assert_eq!(notes, ["stdout is shortened here to 8 B: all of it is the artifact `attempt-2.stdout`"]);
    assert!(kept.files.lock().expect("nobody panics").iter().all(|file| file.1 == "text/plain"));
}

#[test]
fn who_says_nothing_leaves_no_artifact() {
    let kept = Kept::new(usize::MAX);
    assert_eq!(said(&kept, 1 << 10, &[(LogSource::Stderr, b"x")]), [] as [&str; 0]);
    assert_eq!(kept.files.lock().expect("nobody panics").len(), 1);
}

#[test]
fn captured_bytes_obeyed() {
    let (kept, said_all) = (Kept::new(usize::MAX), vec![b'x'; 1_000]);
    let notes = said(&kept, 1_000 + MARK_BYTES, &[(LogSource::Stdout, &said_all)]);
    assert_eq!(kept.text("attempt-2.stdout").map(|text| text.len()), Some(1_000));
    assert!(notes.iter().all(|note| !note.contains("artifact-bytes")), "{notes:?}");
}

#[test]
fn captured_bytes_violated_end_the_capture_with_a_mark_and_not_the_guest() {
    let (kept, said_all) = (Kept::new(usize::MAX), vec![b'x'; 1_001]);
    let says = [(LogSource::Stdout, &said_all[..]), (LogSource::Stdout, b"more")];
    let notes = said(&kept, 1_000 + MARK_BYTES, &says);
    let text = kept.text("attempt-2.stdout").expect("it is kept");
    assert!(text.starts_with(&"x".repeat(1_000)) && text.len() as u64 <= 1_000 + MARK_BYTES, "{text}");
    assert!(text.ends_with("\n[cut here: the limit `artifact-bytes` is 1.1 KiB]\n"), "{text}");
    let note = "`attempt-2.stdout` was cut: 1000 B kept, 5 B dropped: the limit `artifact-bytes` is 1.1 KiB";
    assert!(notes.contains(&note.to_owned()), "{notes:?}");
}

#[test]
fn no_secret_is_in_what_is_kept_however_it_is_split_or_cut() {
    for split in [1, 7, 28] {
        let kept = Kept::new(usize::MAX);
        let text = format!("it is {SECRET}!");
        let (one, two) = text.as_bytes().split_at(6 + split);
        said(&kept, 1 << 20, &[(LogSource::Stdout, one), (LogSource::Stdout, two)]);
        assert_eq!(kept.text("attempt-2.stdout").as_deref(), Some("it is [KEY]!"), "{split}");
    }
    // Cut in its middle, it would be half a secret.
    let kept = Kept::new(usize::MAX);
    said(&kept, MARK_BYTES + 10, &[(LogSource::Stdout, format!("it is {SECRET}").as_bytes())]);
    let text = kept.text("attempt-2.stdout").expect("it is kept");
    assert!(text.starts_with("it is [KEY\n[cut here"), "{text}");
}

#[test]
fn store_that_refuses_ends_the_capture_alone() {
    let (kept, said_all) = (Kept::new(100_000), vec![b'x'; 1 << 20]);
    let notes = said(&kept, 10 << 20, &[(LogSource::Stdout, &said_all), (LogSource::Stderr, b"oh")]);
    assert!(notes.contains(&"`attempt-2.stdout` is not kept: the disk is full".to_owned()), "{notes:?}");
    assert_eq!((kept.text("attempt-2.stdout"), kept.text("attempt-2.stderr").as_deref()), (None, Some("oh")));
    let broken = Arc::new(Kept { panics: true, ..Arc::into_inner(Kept::new(0)).expect("it is ours") });
    let notes = said(&broken, 1 << 20, &[(LogSource::Stderr, b"oh")]);
    assert_eq!(notes, ["`attempt-2.stderr` is not kept: host code panicked: a host with a defect"]);
}

#[test]
fn waiting_bytes_obeyed_and_violated() {
    let pipe = Pipe::new(LogSource::Stdout, 1, written(u64::MAX));
    while pipe.room() > 0 {
        pipe.push(&[b'x'; WRITE_BYTES]);
    }
    assert!(pipe.held().bytes.len() < HELD_BYTES + WRITE_BYTES, "who asks for room fills no more");
    pipe.push(&vec![b'x'; 2 * MOST_BYTES]);
    let held = pipe.held().bytes.len();
    assert!((MOST_BYTES..=MOST_BYTES + MARK_BYTES as usize).contains(&held), "{held}");
    assert!(pipe.room() > 0, "nobody waits for what is not kept any more");
    assert!(pipe.note().is_some_and(|note| note.contains("more was written at a time")));
}
