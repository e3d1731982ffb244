//! Files of artifacts on this machine's disk.
//!
//! A file is durable under its digest before anybody can name it, and goes only after the record that named it last has gone
//! durably. Between the two somebody holds it, so that what is being recorded does not lose its file. Whether a file goes is
//! decided on the commit thread alone, under the lock by which files are held: nobody names one meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sunaba_task::{BoxFuture, Digest, Digester};
use tokio::sync::Semaphore;

use super::janitor::Janitor;
use super::{BlobError, BlobPlace, BlobReader, BlobWriter, Blobs, KeptBlob, MAX_READ_BYTES, files};

/// Threads that wait for the disk at a time, over all attempts and readers.
const MAX_THREADS: usize = 16;
/// With less room on the disk nothing is written: the records need some to come to their end.
const FLOOR_BYTES: u64 = 96 << 20;
/// Files that are looked at in one turn of the commit thread; more come in the next.
const MAX_SWEPT: usize = 1_000;

/// The files of one store. Clones are the same.
#[derive(Clone)]
pub(crate) struct LocalBlobs(Arc<Inner>);

struct Inner {
    place: BlobPlace,
    threads: Arc<Semaphore>,
    janitor: Janitor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Held by so many.
    held: HashMap<Digest, usize>,
    /// While there are such, no file goes.
    holds: usize,
    /// Perhaps nobody names them any more. At most a few for each change since the commit thread looked last.
    doubtful: Vec<Digest>,
}

impl Inner {
    /// Nothing that runs under it can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self) -> Result<(), BlobError> {
        let Ok(disk) = rustix::fs::statvfs(self.place.folder()) else { return Ok(()) };
        match disk.f_bavail.saturating_mul(disk.f_frsize) {
            free_bytes if free_bytes < FLOOR_BYTES => Err(BlobError::NoRoom { free_bytes, floor_bytes: FLOOR_BYTES }),
            _ => Ok(()),
        }
    }
}

impl LocalBlobs {
    pub(crate) fn new(place: BlobPlace) -> Self {
        let (threads, janitor) = (Arc::new(Semaphore::new(MAX_THREADS)), Janitor::default());
        Self(Arc::new(Inner { place, threads, janitor, state: Mutex::default() }))
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        self.0.place.folder()
    }

    /// Whether there is a file of this digest. The commit thread asks.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        files::is_there(self.folder(), digest)
    }

    /// Does something that waits for the disk, on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let failed = |problem: &dyn ToString| BlobError::system("use", problem.to_string());
        let place = Arc::clone(&self.0.threads).acquire_owned().await.map_err(|error| failed(&error))?;
        let inner = Arc::clone(&self.0);
        let work = move || {
            // As long as the thread really works, whoever still waits for it.
            let _place = place;
            work(&inner)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?
    }

    /// Removes what the process before has left: what is not finished, and what nobody names.
    pub(crate) fn clean(&self, is_named: impl Fn(&Digest) -> bool) {
        let (unfinished, unwanted) = files::sweep(self.folder(), is_named);
        if unfinished + unwanted > 0 {
            tracing::info!(unfinished, unwanted, "removed files of artifacts that nothing names");
        }
    }

    /// The last record that named it may be gone.
    pub(crate) fn doubt(&self, digests: impl IntoIterator<Item = Digest>) {
        self.0.state().doubtful.extend(digests);
    }

    /// Takes the names of files that nobody names any more. `is_named` sees what is durable, and nothing changes meanwhile.
    pub(crate) fn sweep(&self, is_named: impl Fn(&Digest) -> bool) {
        let mut state = self.0.state();
        if state.holds > 0 || state.doubtful.is_empty() {
            return;
        }
        let count = state.doubtful.len().min(MAX_SWEPT);
        let doubtful: Vec<_> = state.doubtful.drain(..count).collect();
        for digest in doubtful {
            // Whoever holds it brings it back here.
            if state.held.contains_key(&digest) || is_named(&digest) {
                continue;
            }
            match files::take_name(self.folder(), &digest) {
                Ok(unnamed) => self.0.janitor.remove(unnamed),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%digest, %error, "the file of an artifact stays until the next start"),
            }
        }
    }

    /// Whether the next sweep has something to look at. Each takes its share of it, so that this comes to an end.
    pub(crate) fn has_to_sweep(&self) -> bool {
        let state = self.0.state();
        state.holds == 0 && !state.doubtful.is_empty()
    }

    /// Keeps every file until it is dropped.
    pub(crate) fn hold_all(&self) -> HoldAll {
        self.0.state().holds += 1;
        HoldAll(Arc::clone(&self.0))
    }
}

/// No file goes.
pub(crate) struct HoldAll(Arc<Inner>);

impl Drop for HoldAll {
    fn drop(&mut self) {
        self.0.state().holds -= 1;
    }
}

/// One file does not go.
struct Hold {
    inner: Arc<Inner>,
    digest: Digest,
}

impl Hold {
    fn new(inner: &Arc<Inner>, digest: Digest) -> Self {
        *inner.state().held.entry(digest).or_default() += 1;
        Self { inner: Arc::clone(inner), digest }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        if let Some(count) = state.held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.digest);
                // Perhaps it was never recorded.
                state.doubtful.push(self.digest);
            }
        }
    }
}

impl Blobs for LocalBlobs {
    fn create(&self) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>> {
        Box::pin(async {
            let blobs = self.clone();
            let begun = self.blocking(move |inner| {
                inner.place.make().map_err(|error| BlobError::system("create", error))?;
                inner.check_room()?;
                let (file, path) =
                    files::create(inner.place.folder()).map_err(|error| BlobError::system("create", error))?;
                Ok(Begun { file: Some(file), path: Some(path), digester: Digester::default(), size_bytes: 0, blobs })
            });
            let writer = Writer { blobs: self.clone(), begun: Some(begun.await?) };
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        })
    }

    fn open(&self, digest: Digest, from: u64) -> BoxFuture<'_, Result<Box<dyn BlobReader>, BlobError>> {
        Box::pin(async move {
            let opened = self.blocking(move |inner| {
                let failed = |error: std::io::Error| match error.kind() {
                    std::io::ErrorKind::NotFound => BlobError::Missing(digest),
                    _ => BlobError::system("open", error),
                };
                let mut file = File::open(files::path(inner.place.folder(), &digest).1).map_err(failed)?;
                let size_bytes = file.metadata().map_err(failed)?.len();
                file.seek(SeekFrom::Start(from)).map_err(failed)?;
                Ok((file, size_bytes))
            });
            let (file, size_bytes) = opened.await?;
            Ok(Box::new(Reader { blobs: self.clone(), file: Some(file), size_bytes }) as Box<dyn BlobReader>)
        })
    }
}

/// A file without a name. Removed when it is dropped, unless it has got one.
struct Begun {
    file: Option<File>,
    path: Option<PathBuf>,
    digester: Digester,
    size_bytes: u64,
    blobs: LocalBlobs,
}

impl Begun {
    fn write(&mut self, inner: &Inner, bytes: &[u8]) -> Result<(), BlobError> {
        inner.check_room()?;
        let file = self.file.as_mut().ok_or_else(|| BlobError::system("write", "it is closed"))?;
        file.write_all(bytes).map_err(|error| BlobError::system("write", error))?;
        self.digester.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(&mut self, inner: &Arc<Inner>) -> Result<KeptBlob, BlobError> {
        let failed = |error: std::io::Error| BlobError::system("keep", error);
        let (Some(file), Some(path)) = (self.file.take(), &self.path) else {
            return Err(BlobError::system("keep", "it is closed"));
        };
        file.sync_all().map_err(failed)?;
        let (digest, size_bytes) = (std::mem::take(&mut self.digester).finish(), self.size_bytes);
        // Before it is looked for: from here on no file of this name goes.
        let hold = Hold::new(inner, digest);
        files::publish(inner.place.folder(), path, &digest).map_err(failed)?;
        self.path = None;
        Ok(KeptBlob::new(digest, size_bytes, Box::new(hold)))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Closed first: what is removed while it is open goes when it is closed, here.
        self.file = None;
        if let Some(path) = self.path.take() {
            self.blobs.0.janitor.remove(path);
        }
    }
}

struct Writer {
    blobs: LocalBlobs,
    /// None once something went wrong.
    begun: Option<Begun>,
}

impl BlobWriter for Writer {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let mut begun = self.begun.take().ok_or_else(|| BlobError::system("write", "a write before has failed"))?;
            let written = self.blobs.blocking(move |inner| begun.write(inner, &bytes).map(|()| begun));
            self.begun = Some(written.await?);
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<KeptBlob, BlobError>> {
        Box::pin(async move {
            let mut begun = self.begun.take().ok_or_else(|| BlobError::system("keep", "a write before has failed"))?;
            let inner = Arc::clone(&self.blobs.0);
            self.blobs.blocking(move |_| begun.finish(&inner)).await
        })
    }
}

struct Reader {
    blobs: LocalBlobs,
    /// None once something went wrong.
    file: Option<File>,
    size_bytes: u64,
}

impl BlobReader for Reader {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read(&mut self, max_bytes: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        Box::pin(async move {
            let mut file = self.file.take().ok_or_else(|| BlobError::system("read", "a read before has failed"))?;
            let read = self.blobs.blocking(move |_| {
                let mut bytes = Vec::new();
                let most = max_bytes.min(MAX_READ_BYTES) as u64;
                (&mut file).take(most).read_to_end(&mut bytes).map_err(|error| BlobError::system("read", error))?;
                Ok((file, bytes))
            });
            let (file, bytes) = read.await?;
            self.file = Some(file);
            Ok(bytes.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_come_to_an_end_and_none_is_wanted_while_every_file_is_held() {
        let blobs = LocalBlobs::new(BlobPlace::temporary());
        let digests = (0..2 * MAX_SWEPT + 1).map(|number| Digest::of(&number.to_be_bytes()));
        assert!(!blobs.has_to_sweep());
        blobs.doubt(digests);
        let hold = blobs.hold_all();
        assert!(!blobs.has_to_sweep());
        blobs.sweep(|_| false);
        drop(hold);
        let mut sweeps = 0;
        while blobs.has_to_sweep() {
            blobs.sweep(|_| false);
            sweeps += 1;
        }
        assert_eq!(sweeps, 3);
    }
}
