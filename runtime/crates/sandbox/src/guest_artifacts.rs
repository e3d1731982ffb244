//! The interface `artifacts`: files that a guest writes and reads in pieces, through whoever watches over its attempt.
//!
//! What is open is bounded by its number, what is written by the limit `artifact-bytes`; over that the attempt is stopped, as
//! with files: a guest that writes for ever would otherwise be refused for ever. All else that is wrong is a refusal.

use crate::asks::as_refusal as refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use sunaba_task::{
    Artifact, ArtifactKind, ArtifactName, ArtifactSink, ArtifactSource, AskError, AskErrorKind, Cause, Limit, Limits,
    format_bytes,
};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{Error, Result};

use crate::bindings::{artifacts as wit, types};
use crate::calls::Moves;
use crate::interrupt::Halt;
use crate::state::{State, refuse_in_describe};

/// Files that are open at a time: each is a descriptor of the host.
const MAX_OPEN: u32 = 16;
/// What one read gives at most, in bytes.
const READ_BYTES: usize = 64 << 10;

/// What an attempt has open, and has written.
pub(crate) struct Shelf {
    open: Arc<AtomicU32>,
    written: Arc<Written>,
}

/// What an attempt has written to artifacts, by itself and by what is captured of it.
pub(crate) struct Written {
    bytes: AtomicU64,
    limit_bytes: u64,
}

impl Written {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { bytes: AtomicU64::new(0), limit_bytes: limits.artifact_bytes }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit_bytes
    }

    /// Counts so many bytes more.
    ///
    /// # Errors
    /// They are too many; with what all would be.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), u64> {
        let wanted = |sum: u64| sum.saturating_add(bytes as u64);
        let fits = |sum: u64| Some(wanted(sum)).filter(|wanted| *wanted <= self.limit_bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map(drop).map_err(wanted)
    }

    /// Counts as many of these bytes as leave so many over; gives their number.
    pub(crate) fn take(&self, bytes: usize, spare: u64) -> usize {
        let left = self.limit_bytes.saturating_sub(self.bytes.load(Ordering::Relaxed)).saturating_sub(spare);
        let taken = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
        if self.add(taken).is_ok() { taken } else { 0 }
    }
}

impl Shelf {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { open: Arc::default(), written: Arc::new(Written::new(limits)) }
    }

    /// What was written.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written.bytes.load(Ordering::Relaxed)
    }

    /// The same as it is counted, for what is written beside the guest.
    pub(crate) fn written(&self) -> &Arc<Written> {
        &self.written
    }

    fn write(&self, bytes: usize) -> Result<(), Halt> {
        self.written.add(bytes).map_err(|wanted| {
            let (wanted, limit) = (format_bytes(wanted), format_bytes(self.written.limit()));
            let message = format!("wanted to write {wanted} to artifacts in all: the limit is {limit}");
            Halt { cause: Cause::Limit(Limit::ArtifactBytes), message }
        })
    }

    fn open(&self) -> Result<Open, AskError> {
        let open = self.open.load(Ordering::Relaxed);
        if open >= MAX_OPEN {
            let message = format!("{open} artifacts are open: the limit is {MAX_OPEN}\nhint: finish or drop one first");
            return Err(AskError::new(AskErrorKind::Limit, message));
        }
        self.open.store(open + 1, Ordering::Relaxed);
        Ok(Open(Arc::clone(&self.open)))
    }
}

/// Something that is open, until this is dropped.
struct Open(Arc<AtomicU32>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file that the guest writes; nothing once it is finished.
#[expect(unreachable_pub, reason = "generated code names it so")]
pub struct Writer(Option<(Box<dyn ArtifactSink>, Open)>);

/// A file that the guest reads.
#[expect(unreachable_pub, reason = "generated code names it so")]
pub struct Reader {
    source: Box<dyn ArtifactSource>,
    _open: Open,
}

type Answer<T> = Result<Result<T, types::Refusal>>;

/// Adds `artifacts`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    wit::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl wit::Host for State {
    async fn create(&mut self, name: String, media_type: String) -> Answer<Resource<Writer>> {
        const NAME: &str = "sunaba:task/artifacts.create";
        let (bytes, purpose) = (name.len() + media_type.len(), self.purpose);
        let Self { inner, calls, interrupt, host, artifacts, .. } = self;
        let work = async {
            refuse_in_describe(purpose, NAME)?;
            let begun = async {
                let (name, open) = (own(&name)?, artifacts.open()?);
                Ok(Writer(Some((host.create_artifact(name, media_type).await?, open))))
            };
            begun.await.map_or_else(|error| Ok(Err(refusal(error))), |writer| Ok(Ok(inner.table().push(writer)?)))
        };
        calls.wait(interrupt, NAME, bytes, work).await
    }

    async fn open(&mut self, task: Option<String>, name: String) -> Answer<Resource<Reader>> {
        const NAME: &str = "sunaba:task/artifacts.open";
        let (bytes, purpose) = (name.len() + task.as_ref().map_or(0, String::len), self.purpose);
        let Self { inner, calls, interrupt, host, artifacts, .. } = self;
        let work = async {
            refuse_in_describe(purpose, NAME)?;
            let opened = async {
                let (name, _open) = (named(&name)?, artifacts.open()?);
                Ok(Reader { source: host.open_artifact(task, name).await?, _open })
            };
            opened.await.map_or_else(|error| Ok(Err(refusal(error))), |reader| Ok(Ok(inner.table().push(reader)?)))
        };
        calls.wait(interrupt, NAME, bytes, work).await
    }

    async fn list(&mut self, task: Option<String>) -> Answer<Vec<wit::ArtifactInfo>> {
        const NAME: &str = "sunaba:task/artifacts.list";
        let (bytes, purpose, host) = (task.as_ref().map_or(0, String::len), self.purpose, Arc::clone(&self.host));
        let work = async {
            refuse_in_describe(purpose, NAME)?;
            let listed = host.artifacts(task).await;
            Ok(listed.map(|artifacts| artifacts.iter().map(info).collect()).map_err(refusal))
        };
        self.calls.wait(&self.interrupt, NAME, bytes, work).await
    }

    async fn link(&mut self, name: String, url: String) -> Answer<wit::ArtifactInfo> {
        const NAME: &str = "sunaba:task/artifacts.link";
        let (bytes, purpose, host) = (name.len() + url.len(), self.purpose, Arc::clone(&self.host));
        let work = async {
            refuse_in_describe(purpose, NAME)?;
            let linked = async { host.link_artifact(own(&name)?, url).await };
            Ok(linked.await.map(|artifact| info(&artifact)).map_err(refusal))
        };
        self.calls.wait(&self.interrupt, NAME, bytes, work).await
    }
}

impl wit::HostWriter for State {
    async fn write(&mut self, writer: Resource<Writer>, bytes: Vec<u8>) -> Answer<()> {
        let Self { inner, calls, interrupt, artifacts, .. } = self;
        let length = bytes.len();
        let work = async {
            artifacts.write(length).map_err(Error::new)?;
            match &mut inner.table().get_mut(&writer)?.0 {
                Some((sink, _)) => Ok(sink.write(Bytes::from(bytes)).await.map_err(refusal)),
                None => Ok(Err(refusal(finished()))),
            }
        };
        calls.wait(interrupt, "sunaba:task/artifacts.writer.write", length, work).await
    }

    async fn finish(&mut self, writer: Resource<Writer>) -> Answer<wit::ArtifactInfo> {
        let Self { inner, calls, interrupt, .. } = self;
        let work = async {
            match inner.table().get_mut(&writer)?.0.take() {
                Some((sink, _open)) => Ok(sink.finish().await.map(|artifact| info(&artifact)).map_err(refusal)),
                None => Ok(Err(refusal(finished()))),
            }
        };
        calls.wait(interrupt, "sunaba:task/artifacts.writer.finish", 0, work).await
    }

    async fn drop(&mut self, writer: Resource<Writer>) -> Result<()> {
        self.inner.table().delete(writer)?;
        Ok(())
    }
}

impl wit::HostReader for State {
    async fn info(&mut self, reader: Resource<Reader>) -> Result<wit::ArtifactInfo> {
        let Self { inner, calls, .. } = self;
        calls.call("sunaba:task/artifacts.reader.info", 0, || {
            Ok::<_, Error>(info(inner.table().get(&reader)?.source.artifact()))
        })
    }

    async fn read(&mut self, reader: Resource<Reader>, max_bytes: u32) -> Answer<Vec<u8>> {
        let Self { inner, calls, interrupt, .. } = self;
        let most = usize::try_from(max_bytes).unwrap_or(usize::MAX).min(READ_BYTES);
        let work = async {
            let source = &mut inner.table().get_mut(&reader)?.source;
            Ok(source.read(most).await.map(|bytes| bytes.to_vec()).map_err(refusal))
        };
        calls.wait(interrupt, "sunaba:task/artifacts.reader.read", 0, work).await
    }

    async fn drop(&mut self, reader: Resource<Reader>) -> Result<()> {
        self.inner.table().delete(reader)?;
        Ok(())
    }
}

fn named(name: &str) -> Result<ArtifactName, AskError> {
    name.parse().map_err(|error| AskError::new(AskErrorKind::Invalid, format!("{error}")))
}

/// A name under which the guest may put something.
fn own(name: &str) -> Result<ArtifactName, AskError> {
    named(name)?.unreserved().map_err(|error| AskError::new(AskErrorKind::Invalid, error.to_string()))
}

fn finished() -> AskError {
    AskError::new(
        AskErrorKind::Invalid,
        "the artifact is finished, or a write to it has failed\nhint: create another one",
    )
}

fn info(artifact: &Artifact) -> wit::ArtifactInfo {
    wit::ArtifactInfo {
        name: artifact.name.to_string(),
        media_type: artifact.media_type.clone(),
        size_bytes: artifact.size_bytes().unwrap_or(0),
        digest: artifact.digest().map(|digest| digest.to_string()),
        url: match &artifact.kind {
            ArtifactKind::Url(url) => Some(url.clone()),
            ArtifactKind::File { .. } => None,
        },
        attempt: artifact.attempt,
    }
}

impl Moves for wit::ArtifactInfo {
    fn moves(&self) -> usize {
        let texts = [&self.digest, &self.url].into_iter().flatten().map(String::len).sum::<usize>();
        self.name.len() + self.media_type.len() + texts
    }
}

impl Moves for Vec<wit::ArtifactInfo> {
    fn moves(&self) -> usize {
        self.iter().map(Moves::moves).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(artifact_bytes: u64) -> Shelf {
        Shelf::new(&Limits { artifact_bytes, ..Limits::default() })
    }

    #[test]
    fn artifact_bytes_obeyed_and_violated() {
        let shelf = shelf(100);
        assert_eq!((shelf.write(60), shelf.write(40), shelf.write(0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(shelf.write(1).map_err(|halt| halt.cause), Err(Cause::Limit(Limit::ArtifactBytes)));
        assert_eq!(shelf.written_bytes(), 100);
    }

    #[test]
    fn open_artifacts_obeyed_and_violated() {
        let shelf = shelf(0);
        let mut open: Vec<_> = (0..MAX_OPEN).map(|_| shelf.open().expect("there is room")).collect();
        assert_eq!(shelf.open().map(drop).map_err(|error| error.kind), Err(AskErrorKind::Limit));
        open.pop();
        assert!(shelf.open().is_ok());
    }
}
