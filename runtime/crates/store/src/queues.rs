//! Where a worker takes tasks from.

use sunaba_task::webhook::is_internal;

/// Which queues a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queues {
    /// Every one.
    All,
    /// These.
    Only(Vec<String>),
}

impl Queues {
    /// Whether nothing that anybody submits is in them.
    pub(crate) fn is_internal(&self) -> bool {
        matches!(self, Self::Only(queues) if !queues.is_empty() && queues.iter().all(|queue| is_internal(queue)))
    }

    pub(crate) fn contain(&self, queue: &str) -> bool {
        match self {
            // What is the host's own is for those who ask for it.
            Self::All => !is_internal(queue),
            Self::Only(queues) => queues.iter().any(|known| known == queue),
        }
    }
}
