//! Artifacts: files that a task leaves under names, written and read piece by piece, and links.
//!
//! These are no part of the host that a [`Context`] has: whoever does not call them does not import them.

use std::io;

use crate::{Context, Refusal, TaskError};

#[cfg(target_family = "wasm")]
use crate::guest::artifacts as backend;
#[cfg(not(target_family = "wasm"))]
use crate::testing::artifacts as backend;

/// What is gathered before it goes to the host, in bytes: a call for each small write would be dear.
const BUFFER_BYTES: usize = 64 << 10;

/// A file or a link that a task has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Artifact {
    /// Unique in its task.
    pub name: String,
    /// Of the file, as its maker says.
    pub media_type: String,
    /// The size of the file; 0 of a link.
    pub size_bytes: u64,
    /// `sha256:` and 64 hexadecimal digits; none of a link, and in a native test.
    pub digest: Option<String>,
    /// Where a link leads; none of a file.
    pub url: Option<String>,
    /// The attempt that has put it, from 1.
    pub attempt: u32,
}

impl Context {
    /// Begins a file that becomes an artifact of this task, in place of one of the same name. It is there once it is
    /// [finished](ArtifactWriter::finish), and stays whatever becomes of the attempt.
    ///
    /// ```
    /// # use sunaba_sdk::{prelude::*, testing::Attempt};
    /// use std::io::Write as _;
    ///
    /// # fn report(ctx: &Context) -> Result<(), TaskError> {
    /// let mut file = ctx.artifact("report.html", "text/html")?;
    /// write!(file, "<h1>All is well</h1>")?;
    /// file.finish()?;
    /// # Ok(())
    /// # }
    /// # let attempt = Attempt::new();
    /// # report(&attempt.context()).unwrap();
    /// # assert_eq!(attempt.artifact("report.html").unwrap(), b"<h1>All is well</h1>");
    /// ```
    ///
    /// # Errors
    /// The name or the media type cannot be one, too many are open, or the host cannot keep any now.
    pub fn artifact(&self, name: &str, media_type: &str) -> Result<ArtifactWriter, TaskError> {
        let writer = backend::create(self, name, media_type).map_err(Refusal::into_failure)?;
        Ok(ArtifactWriter { writer, buffer: Vec::new() })
    }

    /// Opens a file of this task, put by this attempt or by one before; or of a task by its name: one in the same plan, or one
    /// that this has made.
    ///
    /// # Errors
    /// There is no such file, or none that this task may read.
    pub fn open_artifact<'n>(&self, task: impl Into<Option<&'n str>>, name: &str) -> Result<ArtifactReader, TaskError> {
        let reader = backend::open(self, task.into(), name).map_err(Refusal::into_failure)?;
        Ok(ArtifactReader { reader, piece: Vec::new(), at: 0 })
    }

    /// What there is of this task, or of another one as in [`open_artifact`](Self::open_artifact), by name.
    ///
    /// # Errors
    /// There is no such task, or none that this may look at.
    pub fn artifacts<'n>(&self, task: impl Into<Option<&'n str>>) -> Result<Vec<Artifact>, TaskError> {
        backend::list(self, task.into()).map_err(Refusal::into_failure)
    }

    /// Makes an `http` or `https` address an artifact of this task.
    ///
    /// # Errors
    /// The name or the address cannot be one, or the host cannot keep any now.
    pub fn link(&self, name: &str, url: &str) -> Result<Artifact, TaskError> {
        backend::link(self, name, url).map_err(Refusal::into_failure)
    }
}

/// A file that is being written. Dropped before it is finished, it leaves nothing behind.
pub struct ArtifactWriter {
    writer: backend::Writer,
    buffer: Vec<u8>,
}

impl ArtifactWriter {
    /// Makes it an artifact of the task. It is on the host's stable storage when this returns.
    ///
    /// # Errors
    /// The host could not keep all of it.
    pub fn finish(mut self) -> Result<Artifact, TaskError> {
        self.send().and_then(|()| self.writer.finish()).map_err(Refusal::into_failure)
    }

    fn send(&mut self) -> Result<(), Refusal> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let sent = self.writer.write(&self.buffer);
        self.buffer.clear();
        sent
    }
}

impl io::Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BUFFER_BYTES {
            self.send().map_err(io::Error::other)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send().map_err(io::Error::other)
    }
}

/// A file that is being read.
pub struct ArtifactReader {
    reader: backend::Reader,
    piece: Vec<u8>,
    at: usize,
}

impl ArtifactReader {
    /// What is read.
    pub fn artifact(&self) -> Artifact {
        self.reader.info()
    }
}

impl io::Read for ArtifactReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.piece = self.reader.read(BUFFER_BYTES as u32).map_err(io::Error::other)?;
            self.at = 0;
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
