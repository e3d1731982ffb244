//! Compiled code on disk: in a private directory, each file authenticated as a whole.
//!
//! Compiled code runs as this process does, and the engine checks nothing of it. So a file is believed only if it carries a
//! code made with the directory's own key over all that is in it: the engine that has compiled it, the component, the fuel
//! mode, what the component says of itself, and the machine code. What was checked is what is loaded: a file is read once,
//! into memory. A file that is not believed is deleted, and made again from the component.
//!
//! The key is in the same directory. It keeps out whatever is cut, flipped, renamed or copied here from elsewhere; whoever can
//! read a private directory of the host's user can do all that the host can.

mod directory;
mod file;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use sunaba_task::{Digest, FuelMode};

use crate::component::ComponentInfo;
use directory::Directory;
use file::Identity;
pub(crate) use file::Known;

/// A larger file is none of ours.
const MAX_FILE_BYTES: u64 = (512 << 20) + (32 << 20);
/// Files that are looked at when old ones are removed.
const MAX_LOOKED_AT: usize = 10_000;
const KEY: &str = "key";
const SUFFIX: &str = ".cwasm";
const TEMPORARY: &str = ".tmp";

/// Why a directory is not used for compiled code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactsError {
    /// Somebody else could write there.
    #[error(
        "`{}` cannot keep compiled code: {problem}\nhint: it has to be a directory of this user alone (mode 0700); remove it, and it is made again",
        .path.display()
    )]
    NotPrivate {
        /// The directory, or the key in it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system does not let us.
    #[error("`{}` cannot keep compiled code: {error}\nhint: name a directory that this user can make", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says. Not a `source`: it is printed as part of this error.
        error: io::Error,
    },
}

/// A directory of compiled code.
#[derive(Debug)]
pub(crate) struct Artifacts {
    directory: Directory,
    key: [u8; 32],
}

impl Artifacts {
    /// Opens the directory; makes it, and its key, if they are not there. What a crash has left half written is removed.
    pub(crate) fn open(path: &Path) -> Result<Self, ArtifactsError> {
        let directory = Directory::open(path)?;
        let key = directory.key()?;
        let artifacts = Self { directory, key };
        artifacts.sweep(|name| name.ends_with(TEMPORARY));
        Ok(artifacts)
    }

    /// What is kept of a component for an engine. What is not as it was written is deleted.
    pub(crate) fn get(&self, component: Digest, mode: FuelMode, engine: [u8; 32]) -> Option<Known> {
        let identity = Identity { component, mode, engine };
        let name = identity.file_name();
        let problem = match self.directory.read(&name, MAX_FILE_BYTES) {
            Ok(None) => return None,
            Ok(Some(bytes)) => match file::read(&self.key, &identity, bytes) {
                Ok(known) => return Some(known),
                Err(problem) => problem.to_owned(),
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(file = name, problem, "compiled code is not as it was written; it is deleted and made again");
        self.delete(&name);
        None
    }

    /// Keeps the code of a component. It is there as a whole, or not at all.
    pub(crate) fn put(&self, info: &ComponentInfo, mode: FuelMode, engine: [u8; 32], code: &[u8]) -> io::Result<()> {
        let identity = Identity { component: info.digest, mode, engine };
        let bytes = file::write(&self.key, &identity, info, code)?;
        self.directory.write(&identity.file_name(), TEMPORARY, &bytes)
    }

    /// Removes all that is kept of a component.
    pub(crate) fn forget(&self, component: Digest) {
        let begin = file::stem(component);
        self.sweep(|name| name.starts_with(&begin));
    }

    /// Removes what no engine of this process loads, and what is of none of these components.
    pub(crate) fn prune(&self, components: &BTreeSet<Digest>, engines: &[(FuelMode, [u8; 32])]) {
        let of = |component| {
            let identity = move |&(mode, engine)| Identity { component, mode, engine };
            engines.iter().map(move |engine| identity(engine).file_name())
        };
        let kept: BTreeSet<String> = components.iter().flat_map(|component| of(*component)).collect();
        self.sweep(|name| name.ends_with(SUFFIX) && !kept.contains(name));
    }

    fn sweep(&self, unwanted: impl Fn(&str) -> bool) {
        let names = self.directory.names(MAX_LOOKED_AT).unwrap_or_else(|error| {
            tracing::warn!(%error, "the directory of compiled code cannot be listed");
            Vec::new()
        });
        let text = |name: OsString| name.into_string().ok();
        for name in names.into_iter().filter_map(text).filter(|name| name != KEY && unwanted(name)) {
            self.delete(&name);
        }
    }

    fn delete(&self, name: &str) {
        if let Err(error) = self.directory.delete(name) {
            tracing::warn!(file = name, %error, "a file of compiled code cannot be deleted");
        }
    }
}
