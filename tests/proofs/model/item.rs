//! What the model knows of a task, and of what an operator has set.

use super::step::{Control, Wish};

/// Where a task of the model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Waits for this instant; snoozed or delayed.
    Scheduled(u64),
    /// Waits for a slot.
    Queued,
    /// In this session.
    Running(usize),
    /// Waits for this instant, having failed.
    RetryScheduled(u64),
    /// Ended.
    Succeeded,
    /// Ended.
    Dead,
    /// Ended.
    Cancelled,
    /// Ended, without having been started in time.
    Expired,
    /// Deleted, some time after its end.
    Gone,
}

impl Place {
    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired)
    }

    pub(super) fn is_unfinished(self) -> bool {
        self.waits() || matches!(self, Self::Running(_))
    }

    pub(super) fn waits(self) -> bool {
        matches!(self, Self::Scheduled(_) | Self::Queued | Self::RetryScheduled(_))
    }

    /// How the feed tells that a task has come here.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Scheduled(_) => "snoozed",
            Self::Queued => "queued",
            Self::Running(_) => "started",
            Self::RetryScheduled(_) => "retry-scheduled",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Gone => "gone",
        }
    }
}

/// Why there is a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was submitted.
    Submit,
    /// It is that one over again.
    Rerun(usize),
    /// It was submitted in that one's stead.
    Replaces(usize),
    /// It follows an end. Those that came together are all alike, so nobody needs to know which is whose.
    Callback,
}

/// A task of the model.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) wish: Wish,
    /// What its record says that it runs.
    pub(super) component: u32,
    pub(super) place: Place,
    pub(super) submitted_ms: u64,
    pub(super) attempts: u32,
    /// Whether some of it may have run.
    pub(super) begun: bool,
    pub(super) failures: u32,
    pub(super) lost: u32,
    pub(super) cancelled: bool,
    pub(super) revision: u64,
    pub(super) origin: Origin,
    /// The length of its input, less one; none where that is what a callback is told.
    pub(super) body: Option<u16>,
    pub(super) successor: Option<usize>,
    pub(super) followers: usize,
    pub(super) expires_ms: Option<u64>,
    pub(super) result_until_ms: u64,
    /// From then on it is deleted; none: nobody has said.
    pub(super) goes_ms: Option<u64>,
    /// What the feed has told of it.
    pub(super) told: Vec<&'static str>,
}

impl Item {
    pub(super) fn is_unstarted(&self) -> bool {
        !self.begun && matches!(self.place, Place::Scheduled(_) | Place::Queued)
    }
}

/// What an operator has set for a queue or a handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    pub(super) paused: bool,
    pub(super) concurrency: Option<usize>,
    pub(super) of_key: Option<usize>,
    pub(super) depth: Option<usize>,
}

impl Limits {
    pub(super) fn set(&mut self, control: Control) {
        match control {
            Control::Pause(paused) => self.paused = paused,
            Control::Concurrency(limit) => self.concurrency = limit.map(usize::from),
            Control::KeyConcurrency(limit) => self.of_key = limit.map(usize::from),
            Control::MaxDepth(limit) => self.depth = limit.map(usize::from),
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The idempotency key is this one's.
    Conflict(usize),
    /// The unique key is this one's.
    Taken(usize),
    /// No room in the queue.
    Full,
    /// It follows, and was checked against another component than this one, which is active.
    Unchecked(u32),
    /// No such task any more.
    Unknown,
    /// It has not ended.
    NotEnded,
}
