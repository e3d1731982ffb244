//! What this machine lets us do to a process and to a disk.

use std::sync::OnceLock;

use super::{mount, trace};

/// What can be used here. What cannot has a fallback, which the tally names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// strace is there, and may trace and spoil the calls of our processes.
    pub trace: bool,
    /// A file system in memory can be mounted.
    pub memory: bool,
    /// A file system in a file can be made and mounted.
    pub image: bool,
}

impl Means {
    /// Nothing that a fresh machine may lack.
    pub const NONE: Self = Self { trace: false, memory: false, image: false };

    /// All that works here; tried once.
    pub fn here() -> Self {
        static HERE: OnceLock<Means> = OnceLock::new();
        *HERE.get_or_init(|| Self { trace: trace::works(), memory: mount::memory_works(), image: mount::images_work() })
    }
}
