//! Removes files that nobody can find any more, on a thread of its own: to remove a large file takes a disk its time, and
//! whoever drops one has others to serve.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Made when it is first needed; ends when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Janitor(OnceLock<Sender<PathBuf>>);

impl Janitor {
    /// Has a file removed soon. What cannot be removed goes when the store is opened next.
    pub(super) fn remove(&self, file: PathBuf) {
        // Bounded by the files that there are.
        let sender = self.0.get_or_init(|| {
            let (sender, files) = channel::<PathBuf>();
            let remove = move || {
                for file in files {
                    if let Err(error) = fs::remove_file(&file) {
                        tracing::debug!(file = %file.display(), %error, "cannot remove a file of an artifact");
                    }
                }
            };
            if let Err(error) = thread::Builder::new().name("sunaba-blobs".into()).spawn(remove) {
                tracing::warn!(%error, "files of artifacts stay until the store is opened next");
            }
            sender
        });
        let _ = sender.send(file);
    }
}
