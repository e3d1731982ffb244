//! File systems of our own, where we may mount them. They go with whoever holds them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mounted file system.
pub(super) struct Mount {
    folder: TempDir,
}

impl Mount {
    /// Memory of this size.
    pub(super) fn memory(size_bytes: u64) -> std::io::Result<Self> {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={size_bytes},mode=0700"), "tmpfs"])
    }

    /// The file system in this file. Its journal is written when somebody syncs, and otherwise late.
    pub(super) fn image(file: &Path) -> std::io::Result<Self> {
        Self::new(&["-t", "ext4", "-o", "loop,commit=300", &file.display().to_string()])
    }

    fn new(arguments: &[&str]) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sunaba-mount-").tempdir()?;
        done(Command::new("mount").args(arguments).arg(folder.path()))?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if done(Command::new("umount").arg(self.folder.path())).is_err() {
            // Somebody has a file open still: it goes when that one does.
            let _ = done(Command::new("umount").arg("--lazy").arg(self.folder.path()));
        }
    }
}

/// Whether we may mount memory.
pub(super) fn memory_works() -> bool {
    Mount::memory(1 << 20).is_ok()
}

/// Whether we may mount images.
pub(super) fn images_work() -> bool {
    tempfile::tempdir().is_ok_and(|folder| {
        let file = folder.path().join("image");
        make_image(&file, 8 << 20).and_then(|()| Mount::image(&file)).is_ok()
    })
}

/// A file with an empty file system.
pub(super) fn make_image(file: &Path, size_bytes: u64) -> std::io::Result<()> {
    std::fs::File::create(file)?.set_len(size_bytes)?;
    done(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(file))
}

/// Runs a program that says nothing.
pub(super) fn done(command: &mut Command) -> std::io::Result<()> {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    Err(std::io::Error::other(format!("`{program}`: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
