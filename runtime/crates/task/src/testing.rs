//! What the tests of this crate share.

use std::time::Duration;

use uuid::Uuid;

use crate::job::Shares;
use crate::{
    AttemptReport, AttemptResult, Block, CancelRequest, Cause, Completion, Digest, Disposition, Failure, Lease,
    NewTask, Observation, Payload, PayloadInfo, Receipt, SessionId, State, StateName, Stop, Task, TaskId, TaskSpec,
    Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp::from_const(1_000_000);

/// A queued task with every default.
pub(crate) fn task() -> Task {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    let new = NewTask::new(spec, Payload::json("{}"));
    Task::submitted(TaskId::from_uuid(Uuid::nil()), 1, &new, NOW)
}

/// A task in this state.
pub(crate) fn task_in(state: StateName) -> Task {
    let until = NOW.after(Duration::from_secs(1));
    let state = match state {
        StateName::Blocked => State::Blocked(Block::Others { waits_for: 1, start: None }),
        StateName::Scheduled => State::Scheduled { until },
        StateName::Queued => State::Queued,
        StateName::Running => State::Running(lease()),
        StateName::RetryScheduled => State::RetryScheduled { until },
        StateName::Succeeded => State::Succeeded,
        StateName::Dead => State::Dead,
        StateName::Cancelled => State::Cancelled,
        StateName::Expired => State::Expired,
    };
    let attempts_started = u32::from(state.name() == StateName::Running);
    Task { state, attempts_started, ..task() }
}

pub(crate) fn cancel() -> CancelRequest {
    CancelRequest { at: NOW, reason: "asked for".into(), grace: None }
}

pub(crate) fn completion() -> Completion {
    let output = Payload::json("true");
    let (digest, output) = (Digest::of(&output.bytes), PayloadInfo::of(&output));
    Completion { by: Some("alice".into()), with_token: false, at: NOW, output, digest, taken: false }
}

pub(crate) fn lease() -> Lease {
    let session = SessionId::from_uuid(Uuid::nil());
    Lease { sequence: 1, nonce: 1, session, worker: "w".into(), started_at: NOW, shares: Shares::default() }
}

pub(crate) fn reported(result: AttemptResult) -> Observation {
    let receipt = Receipt::unmeasured(Digest::of(b"component"));
    Observation::Reported(Box::new(AttemptReport { result, receipt, logs: Vec::new() }))
}

pub(crate) fn failed(kind: &str, disposition: Disposition) -> Observation {
    let failure = Failure { kind: kind.into(), message: "m".into(), detail: None, disposition };
    reported(AttemptResult::Failed(failure))
}

pub(crate) fn stopped(cause: Cause) -> Observation {
    reported(AttemptResult::Stopped(Stop { cause, message: "m".into(), backtrace: Vec::new() }))
}
