//! What an attempt may do with artifacts: its own are put under its lease, so that a zombie puts nothing; of others it reads
//! those of its own plan, and of the tasks that it has made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sunaba_store::{BlobReader, BlobWriter, NewArtifact, PutArtifactError, Store};
use sunaba_task::job::Awaited;
use sunaba_task::{
    Artifact, ArtifactError, ArtifactKind, ArtifactName, ArtifactSink, ArtifactSource, AskError, AskErrorKind,
    BoxFuture, LeaseToken, TaskId, check_media_type, check_url, format_bytes,
};

use crate::asks::{parsed, unavailable};

/// What is said of a link: what is there has a type of its own.
const LINK_TYPE: &str = "text/uri-list";

/// The artifacts of an attempt.
#[derive(Clone)]
pub(crate) struct Artifacts {
    store: Arc<dyn Store>,
    token: LeaseToken,
    written: Arc<Written>,
}

/// What the attempt has written, all together. An executor stops at the limit; this bounds one that does not.
struct Written {
    bytes: AtomicU64,
    limit_bytes: u64,
}

impl Written {
    fn add(&self, bytes: u64) -> Result<(), AskError> {
        let fits = |sum: u64| sum.checked_add(bytes).filter(|wanted| *wanted <= self.limit_bytes);
        let Err(before) = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) else { return Ok(()) };
        let wanted = before.saturating_add(bytes);
        let (wanted, limit) = (format_bytes(wanted), format_bytes(self.limit_bytes));
        let message = format!("wanted to write {wanted} to artifacts: the limit is {limit}");
        Err(AskError::new(AskErrorKind::Limit, message))
    }
}

impl Artifacts {
    /// Of the attempt that has this lease, which may write so much.
    pub(crate) fn new(store: Arc<dyn Store>, token: LeaseToken, limit_bytes: u64) -> Self {
        Self { store, token, written: Arc::new(Written { bytes: AtomicU64::new(0), limit_bytes }) }
    }

    pub(crate) async fn create(
        &self,
        name: ArtifactName,
        media_type: String,
    ) -> Result<Box<dyn ArtifactSink>, AskError> {
        check_media_type(&media_type).map_err(|error| invalid(&error))?;
        let writer = self.store.blobs().create().await.map_err(|error| unavailable(&error))?;
        Ok(Box::new(Sink { artifacts: self.clone(), name, media_type, writer: Some(writer) }))
    }

    pub(crate) async fn open(
        &self,
        task: Option<String>,
        name: ArtifactName,
    ) -> Result<Box<dyn ArtifactSource>, AskError> {
        let id = self.resolve(task).await?;
        let found = self.store.artifact(id, name.clone()).await.map_err(|error| unavailable(&error))?;
        let artifact = found.ok_or_else(|| {
            AskError::new(
                AskErrorKind::NotFound,
                format!("task {id} has no artifact `{name}`\nhint: `list` says which it has"),
            )
        })?;
        let Some(digest) = artifact.digest() else {
            return Err(AskError::new(AskErrorKind::Invalid, format!("the artifact `{name}` is a link, and no file")));
        };
        let reader = self.store.blobs().open(digest, 0).await.map_err(|error| unavailable(&error))?;
        Ok(Box::new(Source { artifact, reader }))
    }

    pub(crate) async fn list(&self, task: Option<String>) -> Result<Vec<Artifact>, AskError> {
        let id = self.resolve(task).await?;
        self.store.artifacts(id).await.map_err(|error| unavailable(&error))
    }

    pub(crate) async fn link(&self, name: ArtifactName, url: String) -> Result<Artifact, AskError> {
        check_url(&url).map_err(|error| invalid(&error))?;
        self.put(NewArtifact { name, media_type: LINK_TYPE.into(), kind: ArtifactKind::Url(url) }).await
    }

    async fn put(&self, new: NewArtifact) -> Result<Artifact, AskError> {
        let put = self.store.put_artifact(self.token, new).await.map_err(|error| unavailable(&error))?;
        put.map_err(|error| {
            let kind = match error {
                PutArtifactError::TooMany => AskErrorKind::Limit,
                _ => AskErrorKind::Unavailable,
            };
            AskError::new(kind, error.to_string())
        })
    }

    /// The task of this name: of those for which the attempt's own waits or could wait, or of those that it has made.
    async fn resolve(&self, task: Option<String>) -> Result<TaskId, AskError> {
        let own = self.token.task;
        let Some(name) = task else { return Ok(own) };
        let only = Awaited::Node(parsed(&name)?);
        let awaited = self.store.awaited(own, only, None).await.map_err(|error| unavailable(&error))?;
        if let Some(found) = awaited.awaited.first() {
            return Ok(found.task);
        }
        let message = format!(
            "there is no task `{name}` whose artifacts this one may read\nhint: it reads its own, those of the tasks in its plan, \
             and those of its children"
        );
        Err(AskError::new(AskErrorKind::NotFound, message))
    }
}

struct Sink {
    artifacts: Artifacts,
    name: ArtifactName,
    media_type: String,
    /// None once a write has failed: the file would have a hole.
    writer: Option<Box<dyn BlobWriter>>,
}

impl ArtifactSink for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        Box::pin(async move {
            let mut writer = self.writer.take().ok_or_else(|| broken(&self.name))?;
            self.artifacts.written.add(bytes.len() as u64)?;
            writer.write(bytes).await.map_err(|error| unavailable(&error))?;
            self.writer = Some(writer);
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Artifact, AskError>> {
        Box::pin(async move {
            let Self { artifacts, name, media_type, writer } = *self;
            // Held until the record is durable: then that keeps it.
            let writer = writer.ok_or_else(|| broken(&name))?;
            let file = writer.finish().await.map_err(|error| unavailable(&error))?;
            let kind = ArtifactKind::File { size_bytes: file.size_bytes, digest: file.digest };
            let put = artifacts.put(NewArtifact { name, media_type, kind }).await;
            file.release();
            put
        })
    }
}

struct Source {
    artifact: Artifact,
    reader: Box<dyn BlobReader>,
}

impl ArtifactSource for Source {
    fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    fn read(&mut self, max_bytes: usize) -> BoxFuture<'_, Result<Bytes, AskError>> {
        Box::pin(async move { self.reader.read(max_bytes).await.map_err(|error| unavailable(&error)) })
    }
}

fn broken(name: &ArtifactName) -> AskError {
    let message = format!("a write to the artifact `{name}` has failed before\nhint: create it anew");
    AskError::new(AskErrorKind::Invalid, message)
}

fn invalid(error: &ArtifactError) -> AskError {
    AskError::new(AskErrorKind::Invalid, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sunaba_store::{EmbeddedStore, LeaseRequest, ManualClock, MemoryEngine, Queues};
    use sunaba_task::{Digest, NewTask, Payload, TaskSpec, Timestamp};

    use super::*;

    /// The artifacts of an attempt that runs, in a store of its own.
    async fn artifacts(limit_bytes: u64) -> Artifacts {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock)).expect("memory opens");
        let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let new = NewTask::new(spec, Payload::json("{}"));
        store.submit(vec![new]).await.expect("it works").remove(0).expect("it is taken on");
        let session = store.open_session("w".into(), Duration::from_secs(60)).await.expect("it works");
        let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
        let token = store.lease(request).await.expect("the session lives").remove(0).token;
        Artifacts::new(Arc::new(store), token, limit_bytes)
    }

    #[test]
    fn artifact_with_a_hole_is_never_kept() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let artifacts = artifacts(10).await;
            let begin = async |name: &str| {
                let name = name.parse().expect("a name");
                artifacts.create(name, "text/plain".into()).await.expect("there is room")
            };
            let mut sink = begin("a").await;
            sink.write(Bytes::from_static(b"begin")).await.expect("there is room");
            let over = sink.write(Bytes::from_static(b"the middle")).await.expect_err("it is over the limit");
            assert_eq!(over.kind, AskErrorKind::Limit);
            let after = sink.write(Bytes::from_static(b"end")).await.expect_err("it would have a hole");
            assert_eq!(after.kind, AskErrorKind::Invalid);
            let finished = sink.finish().await.expect_err("it has lost its middle");
            assert!(finished.message.contains("has failed before"), "{}", finished.message);
            assert_eq!(artifacts.list(None).await.expect("it works"), []);
            // Another may still be written, of what is left.
            let mut sink = begin("a").await;
            sink.write(Bytes::from_static(b"whole")).await.expect("there is room");
            assert_eq!(sink.finish().await.expect("it is whole").size_bytes(), Some(5));
        });
    }

    #[test]
    fn written_bytes_obeyed_and_violated() {
        let written = Written { bytes: AtomicU64::new(0), limit_bytes: 100 };
        assert_eq!((written.add(60), written.add(40)), (Ok(()), Ok(())));
        let over = written.add(1).expect_err("it is over the limit");
        assert_eq!((over.kind, written.add(0)), (AskErrorKind::Limit, Ok(())));
        assert_eq!(written.add(u64::MAX).expect_err("it is over the limit").kind, AskErrorKind::Limit);
    }
}
