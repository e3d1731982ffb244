//! What can be done to the queue, and how steps are drawn.

use proptest::prelude::*;

use super::reference::START_MS;

/// A task to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) queue: u8,
    pub(super) priority: i32,
    pub(super) delay_ms: Option<u64>,
    pub(super) expires_ms: Option<u64>,
    pub(super) handler: u8,
    /// What it is pinned to, unless it follows.
    pub(super) component: u8,
    pub(super) follows: bool,
    /// What shares a limit of its own.
    pub(super) lane: Option<u8>,
    pub(super) key: Option<u8>,
    pub(super) unique: Option<OneOfAKind>,
    /// Whether a callback follows its success or its failure.
    pub(super) followed_on_success: Option<bool>,
    pub(super) body: u16,
}

impl Wish {
    /// What every callback asks for.
    pub(super) fn follower() -> Self {
        Self {
            queue: 0,
            priority: 0,
            delay_ms: None,
            expires_ms: None,
            handler: 0,
            component: 0,
            follows: false,
            lane: None,
            key: None,
            unique: None,
            followed_on_success: None,
            body: 0,
        }
    }
}

/// A unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OneOfAKind {
    pub(super) key: u8,
    pub(super) window_ms: Option<u64>,
    pub(super) conflict: Conflict,
}

/// What a second task with a unique key wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    Reject,
    Existing,
    Replace,
}

/// What an operator sets; the last two are for queues alone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Control {
    Pause(bool),
    Concurrency(Option<u8>),
    KeyConcurrency(Option<u8>),
    MaxDepth(Option<u8>),
}

/// What is done about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Succeed,
    Retry {
        ms: u64,
    },
    Snooze {
        ms: u64,
    },
    /// It could not begin, and nothing of it has run.
    NotReady,
    Requeue,
    GiveUp,
    Cancel,
}

/// Something that is done. Small numbers stand for one of the tasks, sessions and leases that there are.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Submit(Vec<Wish>),
    OpenSession {
        lease_ms: u64,
    },
    Lease {
        session: u8,
        slots: usize,
        queue: Option<u8>,
    },
    Renew {
        session: u8,
    },
    CloseSession {
        session: u8,
    },
    Settle {
        token: u8,
        is_behind: bool,
        verdict: Verdict,
        charged: bool,
    },
    Cancel {
        task: u8,
    },
    RunNow {
        task: u8,
    },
    Rerun {
        task: u8,
        body: Option<u16>,
    },
    Delete {
        task: u8,
    },
    SetQueue {
        queue: u8,
        control: Control,
    },
    SetHandler {
        handler: u8,
        control: Control,
    },
    Deploy {
        component: u8,
    },
    /// Deploys as many components as a package keeps.
    DeployMany,
    /// One of the versions that are kept, or the one before.
    Activate {
        version: Option<u8>,
    },
    Pass {
        ms: u64,
    },
    SetClock {
        wall_ms: u64,
    },
    Restart,
    List {
        ended: Option<bool>,
        queue: Option<u8>,
    },
}

fn wish() -> impl Strategy<Value = Wish> {
    let delay_ms = prop_oneof![4 => Just(None), 1 => (1..90_000_u64).prop_map(Some)];
    let expires_ms = prop_oneof![5 => Just(None), 1 => (1..60_000_u64).prop_map(Some)];
    let lane = prop_oneof![1 => Just(None), 1 => (0..2_u8).prop_map(Some)];
    let followed = prop_oneof![2 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let code = || (0..2_u8, 0..3_u8, any::<bool>());
    let plain = ((0..2_u8, -2..=2_i32, delay_ms, expires_ms), (code(), lane, followed, 0..2_000_u16)).prop_map(
        |((queue, priority, delay_ms, expires_ms), (code, lane, followed_on_success, body))| Wish {
            queue,
            priority,
            delay_ms,
            expires_ms,
            handler: code.0,
            component: code.1,
            follows: code.2,
            lane,
            followed_on_success,
            body,
            ..Wish::follower()
        },
    );
    // Few keys and two bodies, so that they meet.
    let keyed = (0..4_u8, 0..2_u16).prop_map(|(key, body)| Wish { key: Some(key), body, ..Wish::follower() });
    let conflict = prop_oneof![Just(Conflict::Reject), Just(Conflict::Existing), Just(Conflict::Replace)];
    let window_ms = prop::option::of(1..120_000_u64);
    let unique =
        (0..2_u8, window_ms, conflict).prop_map(|(key, window_ms, conflict)| OneOfAKind { key, window_ms, conflict });
    let only = (plain.clone(), unique).prop_map(|(wish, unique)| Wish { unique: Some(unique), ..wish });
    prop_oneof![4 => plain, 1 => keyed, 2 => only]
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        2 => prop::bool::weighted(0.3).prop_map(Control::Pause),
        1 => prop::option::of(1..4_u8).prop_map(Control::Concurrency),
    ]
}

fn queue_control() -> impl Strategy<Value = Control> {
    prop_oneof![
        2 => control(),
        2 => prop::option::of(1..4_u8).prop_map(Control::KeyConcurrency),
        1 => prop::option::of(1..9_u8).prop_map(Control::MaxDepth),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Succeed),
        3 => (1..60_000_u64).prop_map(|ms| Verdict::Retry { ms }),
        2 => (1..60_000_u64).prop_map(|ms| Verdict::Snooze { ms }),
        2 => Just(Verdict::NotReady),
        1 => Just(Verdict::Requeue),
        1 => Just(Verdict::GiveUp),
        1 => Just(Verdict::Cancel),
    ]
}

fn deploy() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..3_u8).prop_map(|component| Step::Deploy { component }),
        // It takes long, and what it shows does not depend on much.
        1 => Just(Step::DeployMany),
        9 => prop::option::of(any::<u8>()).prop_map(|version| Step::Activate { version }),
    ]
}

/// Any step.
pub(super) fn any_step() -> BoxedStrategy<Step> {
    let queue = || prop_oneof![3 => Just(None), 1 => (0..2_u8).prop_map(Some)];
    prop_oneof![
        6 => prop::collection::vec(wish(), 1..5).prop_map(Step::Submit),
        2 => (1_000..60_000_u64).prop_map(|lease_ms| Step::OpenSession { lease_ms }),
        8 => (any::<u8>(), 1..6_usize, queue()).prop_map(|(session, slots, queue)| Step::Lease { session, slots, queue }),
        4 => any::<u8>().prop_map(|session| Step::Renew { session }),
        1 => any::<u8>().prop_map(|session| Step::CloseSession { session }),
        8 => (any::<u8>(), prop::bool::weighted(0.1), verdict(), any::<bool>())
            .prop_map(|(token, is_behind, verdict, charged)| Step::Settle { token, is_behind, verdict, charged }),
        3 => any::<u8>().prop_map(|task| Step::Cancel { task }),
        1 => any::<u8>().prop_map(|task| Step::RunNow { task }),
        3 => (any::<u8>(), prop::option::of(0..2_000_u16)).prop_map(|(task, body)| Step::Rerun { task, body }),
        2 => any::<u8>().prop_map(|task| Step::Delete { task }),
        3 => (0..2_u8, queue_control()).prop_map(|(queue, control)| Step::SetQueue { queue, control }),
        1 => (0..2_u8, control()).prop_map(|(handler, control)| Step::SetHandler { handler, control }),
        4 => deploy(),
        5 => (1..20_000_u64).prop_map(|ms| Step::Pass { ms }),
        // Until somebody has gone.
        1 => (60_000..200_000_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (START_MS - 3_600_000..START_MS + 3_600_000).prop_map(|wall_ms| Step::SetClock { wall_ms }),
        2 => Just(Step::Restart),
        2 => (prop::option::of(any::<bool>()), queue()).prop_map(|(ended, queue)| Step::List { ended, queue }),
    ]
    .boxed()
}
