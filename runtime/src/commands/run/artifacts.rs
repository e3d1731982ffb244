//! Where `sunaba run` puts what the attempt leaves: a directory that is named, or one that goes with the run.
//!
//! A file is written beside its place under a name of ours, and is there under its own whole or not at all. Names come from the
//! guest: they are checked before they get here, have no separator, and never take the place of what somebody else has put there.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sunaba_runtime::store::SystemClock;
use sunaba_runtime::task::{
    Artifact, ArtifactKind, ArtifactName, ArtifactSink, ArtifactSource, AskError, AskErrorKind, BoxFuture, Clock as _,
    Digester, MAX_ARTIFACTS, check_media_type, check_url, format_bytes,
};

use crate::exit::{CommandError, Exit};
use crate::{Global, print};

/// Directories of other runs that may be in the way of a name.
const TRIES: u32 = 100;
/// What is said of a link: what is there has a type of its own.
const LINK_TYPE: &str = "text/uri-list";

/// The artifacts of one run.
#[derive(Clone)]
pub(super) struct Folder(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// Whether it stays when the run has ended.
    stays: bool,
    /// Whether what others have put there may be replaced.
    force: bool,
    /// What has been begun, for names of our own.
    begun: AtomicU64,
    put: Mutex<BTreeMap<ArtifactName, Artifact>>,
}

impl Inner {
    fn end(&self) {
        if !self.stays {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Drop for Inner {
    /// For a run that has failed.
    fn drop(&mut self) {
        self.end();
    }
}

impl Folder {
    /// The directory at this path, which is made if it is not there; or one that goes with this.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn new(wanted: Option<&Path>, force: bool) -> Result<Self, CommandError> {
        let stays = wanted.is_some();
        let failed = |path: &Path, error: std::io::Error| {
            let hint = if stays {
                "name a directory that you can write to"
            } else {
                "set `TMPDIR` to one that you can write to"
            };
            CommandError::new(Exit::Error, format!("cannot make `{}`: {error}\nhint: {hint}", path.display()))
        };
        let path = match wanted {
            Some(path) => {
                fs::create_dir_all(path).map_err(|error| failed(path, error))?;
                path.to_owned()
            }
            None => temporary().map_err(|error| failed(&std::env::temp_dir(), error))?,
        };
        let (begun, put) = (AtomicU64::new(0), Mutex::default());
        Ok(Self(Arc::new(Inner { path, stays, force, begun, put })))
    }

    fn put(&self) -> MutexGuard<'_, BTreeMap<ArtifactName, Artifact>> {
        // Nothing that runs under it can panic.
        self.0.put.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has ended. Not left to the last who has this: the process may end before other threads do.
    pub(super) fn end(&self) {
        self.0.end();
    }

    /// What there is, by name.
    pub(super) fn list(&self) -> Vec<Artifact> {
        self.put().values().cloned().collect()
    }

    /// What there is, for people.
    pub(super) fn print(&self, global: &Global) {
        let artifacts = self.list();
        for Artifact { name, media_type, kind, .. } in &artifacts {
            let what = match kind {
                ArtifactKind::File { size_bytes, .. } => format_bytes(*size_bytes),
                ArtifactKind::Url(url) => url.clone(),
            };
            print::aside(global, format_args!("  artifact     {name}, {what}, {media_type}"));
        }
        match (artifacts.is_empty(), self.0.stays) {
            (true, _) => {}
            (false, true) => print::aside(global, format_args!("  kept in      {}", self.0.path.display())),
            (false, false) => print::aside(global, "  not kept; `--artifacts DIR` keeps them"),
        }
    }

    /// Whether the place is free for this run, as far as anybody can know before the file is there.
    fn check(&self, name: &ArtifactName) -> Result<(), AskError> {
        let put = self.put();
        if put.contains_key(name) {
            return Ok(());
        }
        if put.len() >= MAX_ARTIFACTS {
            let message = format!("the run has {MAX_ARTIFACTS} artifacts: the limit is {MAX_ARTIFACTS}");
            return Err(AskError::new(AskErrorKind::Limit, message));
        }
        let is_taken = !self.0.force && fs::symlink_metadata(self.0.path.join(name.as_str())).is_ok();
        if is_taken { Err(exists(name)) } else { Ok(()) }
    }

    fn keep(&self, name: ArtifactName, media_type: String, kind: ArtifactKind) -> Artifact {
        let created_at = SystemClock::new().now();
        let artifact = Artifact { name, media_type, kind, attempt: 1, created_at };
        self.put().insert(artifact.name.clone(), artifact.clone());
        artifact
    }

    pub(super) async fn create(
        &self,
        name: ArtifactName,
        media_type: String,
    ) -> Result<Box<dyn ArtifactSink>, AskError> {
        check_media_type(&media_type).map_err(invalid)?;
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed);
        let partial = self.0.path.join(format!(".sunaba-{}-{number}.partial", std::process::id()));
        let folder = self.clone();
        blocking(move || {
            folder.check(&name)?;
            let file = File::create_new(&partial).map_err(failed)?;
            let partial = Partial(partial);
            let digester = Digester::default();
            Ok(Box::new(Sink { folder, name, media_type, file: Some((file, digester)), size_bytes: 0, partial })
                as Box<dyn ArtifactSink>)
        })
        .await
    }

    pub(super) async fn open(
        &self,
        task: Option<String>,
        name: ArtifactName,
    ) -> Result<Box<dyn ArtifactSource>, AskError> {
        let found = if task.is_none() { self.put().get(&name).cloned() } else { None };
        let missing = || AskError::new(AskErrorKind::NotFound, format!("this run has no artifact `{name}` to be read"));
        let artifact = found.filter(|artifact| artifact.digest().is_some()).ok_or_else(missing)?;
        let path = self.0.path.join(artifact.name.as_str());
        let file = blocking(move || File::open(path).map_err(failed)).await?;
        Ok(Box::new(Source { artifact, file: Some(file) }))
    }

    pub(super) async fn link(&self, name: ArtifactName, url: String) -> Result<Artifact, AskError> {
        check_url(&url).map_err(invalid)?;
        let folder = self.clone();
        blocking(move || {
            folder.check(&name)?;
            Ok(folder.keep(name, LINK_TYPE.to_owned(), ArtifactKind::Url(url)))
        })
        .await
    }
}

/// A directory of this user alone.
fn temporary() -> std::io::Result<PathBuf> {
    let (parent, process) = (std::env::temp_dir(), std::process::id());
    for number in 0..TRIES {
        let path = parent.join(format!("sunaba-run-{process}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            // A run of this number that was killed has left it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn invalid(error: impl ToString) -> AskError {
    AskError::new(AskErrorKind::Invalid, error.to_string())
}

fn failed(error: impl ToString) -> AskError {
    AskError::new(AskErrorKind::Unavailable, format!("the artifact cannot be kept: {}", error.to_string()))
}

fn exists(name: &ArtifactName) -> AskError {
    let message = format!(
        "`{name}` is in the directory of artifacts already\nhint: replace it with `--force`, or name another directory"
    );
    AskError::new(AskErrorKind::Invalid, message)
}

/// Whoever runs the attempt must not wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AskError> + Send + 'static,
) -> Result<T, AskError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// A file under a name of ours; it goes with this.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Under its own name it is not there any more, or there twice.
        let _ = fs::remove_file(&self.0);
    }
}

struct Sink {
    folder: Folder,
    name: ArtifactName,
    media_type: String,
    /// None after an error.
    file: Option<(File, Digester)>,
    size_bytes: u64,
    partial: Partial,
}

impl ArtifactSink for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        Box::pin(async move {
            let (mut file, mut digester) = self.file.take().ok_or_else(|| failed("a write has failed before"))?;
            let length = bytes.len() as u64;
            self.file = Some(
                blocking(move || {
                    file.write_all(&bytes).map_err(failed)?;
                    digester.update(&bytes);
                    Ok((file, digester))
                })
                .await?,
            );
            self.size_bytes += length;
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Artifact, AskError>> {
        let Self { folder, name, media_type, file, size_bytes, partial } = *self;
        Box::pin(blocking(move || {
            let (file, digester) = file.ok_or_else(|| failed("a write has failed before"))?;
            file.sync_all().map_err(failed)?;
            folder.check(&name)?;
            let place = folder.0.path.join(name.as_str());
            if folder.0.force || folder.put().contains_key(&name) {
                fs::rename(&partial.0, place).map_err(failed)?;
            } else {
                // Never over what has come there meanwhile.
                fs::hard_link(&partial.0, place).map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => exists(&name),
                    _ => failed(error),
                })?;
            }
            Ok(folder.keep(name, media_type, ArtifactKind::File { size_bytes, digest: digester.finish() }))
        }))
    }
}

struct Source {
    artifact: Artifact,
    /// None after an error.
    file: Option<File>,
}

impl ArtifactSource for Source {
    fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    fn read(&mut self, max_bytes: usize) -> BoxFuture<'_, Result<Bytes, AskError>> {
        Box::pin(async move {
            let mut file = self.file.take().ok_or_else(|| failed("a read has failed before"))?;
            let (file, bytes) = blocking(move || {
                let mut bytes = Vec::new();
                (&mut file).take(max_bytes as u64).read_to_end(&mut bytes).map_err(failed)?;
                Ok((file, Bytes::from(bytes)))
            })
            .await?;
            self.file = Some(file);
            Ok(bytes)
        })
    }
}
