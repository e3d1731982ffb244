//! Dead letters by what they died of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sunaba_task::{Ending, Task};

/// Dead letters of one handler that died of the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GroupView {
    /// `package/handler`.
    pub handler: String,
    /// The kind of the last failure, or the word for what else ended the last attempt.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// What the newest of them said last.
    pub message: String,
    /// The newest of them.
    pub newest: String,
    /// When that one came to its end.
    pub ended_at: Option<String>,
}

/// The groups of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GroupsView {
    /// The largest first.
    pub groups: Vec<GroupView>,
    /// Dead letters that were looked at, the newest.
    pub counted: u64,
    /// Whether there are older ones, which are not counted.
    pub more: bool,
}

/// Sorts dead letters into groups, one by one, the newest first.
#[derive(Default)]
pub(crate) struct Groups {
    groups: BTreeMap<(String, String), GroupView>,
    counted: u64,
}

impl Groups {
    pub(crate) fn add(&mut self, task: &Task) {
        let (kind, message) = died_of(task);
        let handler = task.spec.handler.to_string();
        self.counted += 1;
        let group = self.groups.entry((handler.clone(), kind.to_owned())).or_insert_with(|| GroupView {
            handler,
            kind: kind.to_owned(),
            count: 0,
            message: message.to_owned(),
            newest: task.id.to_string(),
            ended_at: task.ended_at.map(|at| at.to_string()),
        });
        group.count += 1;
    }

    pub(crate) fn view(self, more: bool) -> GroupsView {
        let mut groups: Vec<_> = self.groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        GroupsView { groups, counted: self.counted, more }
    }
}

/// The word for what ended the last attempt, and what was said about it.
pub(super) fn died_of(task: &Task) -> (&str, &str) {
    let Some(last) = task.attempts.last() else { return ("never-started", "") };
    if let Some(child) = &task.failed_child {
        return ("child", child.name.as_str());
    }
    match &last.ending {
        Ending::Failed { kind, message } => (kind, message),
        Ending::Stopped { cause, message } => (cause.word(), message),
        Ending::HostFailed { message } => ("host", message),
        Ending::HostLost => ("host-lost", &last.decision.reason),
        Ending::Completed | Ending::Decomposed { .. } | Ending::Snoozed { .. } | Ending::HandedBack => {
            ("other", &last.decision.reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::{
        AttemptRecord, Decision, Digest, FailedChild, NewTask, Payload, Policy, State, TaskId, TaskSpec, Timestamp,
        Verdict,
    };

    use super::*;
    use crate::api::TaskView;

    fn dead(ending: Option<Ending>, failed_child: Option<FailedChild>) -> Task {
        let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let (new, now) = (NewTask::new(spec, Payload::json("{}")), Timestamp::from_unix_ms(1));
        let attempt = |ending| AttemptRecord {
            number: 1,
            worker: "w".into(),
            started_at: now,
            ended_at: now,
            ending,
            decision: Decision::uncharged(Verdict::GiveUp, Policy::TimeBox, "it is too late".into()),
            receipt: None,
        };
        let attempts = ending.into_iter().map(attempt).collect();
        Task { state: State::Dead, attempts, failed_child, ..Task::submitted(id(), 1, &new, now) }
    }

    fn id() -> TaskId {
        "00000000-0000-0000-0000-000000000001".parse().expect("an id")
    }

    /// So that what is done to a group is done to those that were counted in it, and to no others.
    #[test]
    fn every_dead_letter_says_the_group_in_which_it_is_counted() {
        let child = FailedChild { name: "part".parse().expect("a name"), task: id() };
        let letters = [
            (dead(Some(Ending::Decomposed { children: 2 }), Some(child)), "child"),
            (dead(Some(Ending::Decomposed { children: 2 }), None), "other"),
            (dead(Some(Ending::HandedBack), None), "other"),
            (dead(Some(Ending::HostLost), None), "host-lost"),
            (dead(Some(Ending::HostFailed { message: "no room".into() }), None), "host"),
            (dead(Some(Ending::Failed { kind: "network".into(), message: String::new() }), None), "network"),
            (dead(None, None), "never-started"),
        ];
        for (task, kind) in letters {
            let mut groups = Groups::default();
            groups.add(&task);
            assert_eq!(groups.view(false).groups[0].kind, kind);
            assert_eq!(TaskView::from(&task).died_of.as_deref(), Some(kind));
            let queued = Task { state: State::Queued, ..task };
            assert_eq!(TaskView::from(&queued).died_of, None);
        }
    }
}
