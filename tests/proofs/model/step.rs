//! What can be done to the queue, and how steps are drawn.

use proptest::prelude::*;

use super::reference::START_MS;

/// A task to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) queue: u8,
    pub(super) priority: i32,
    pub(super) delay_ms: Option<u64>,
    pub(super) key: Option<u8>,
    pub(super) body: u16,
}

/// What is done about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Succeed,
    Retry { ms: u64 },
    Snooze { ms: u64 },
    Requeue,
    GiveUp,
    Cancel,
}

/// Something that is done. Small numbers stand for one of the tasks, sessions and leases that there are.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Submit(Vec<Wish>),
    OpenSession { lease_ms: u64 },
    Lease { session: u8, slots: usize, queue: Option<u8> },
    Renew { session: u8 },
    CloseSession { session: u8 },
    Settle { token: u8, is_behind: bool, verdict: Verdict, charged: bool },
    Cancel { task: u8 },
    Pass { ms: u64 },
    SetClock { wall_ms: u64 },
    Restart,
    List { ended: Option<bool>, queue: Option<u8> },
}

fn wish() -> impl Strategy<Value = Wish> {
    let delay_ms = prop_oneof![4 => Just(None), 1 => (1..90_000_u64).prop_map(Some)];
    let plain = (0..2_u8, -2..=2_i32, delay_ms, 0..2_000_u16).prop_map(|(queue, priority, delay_ms, body)| Wish {
        queue,
        priority,
        delay_ms,
        key: None,
        body,
    });
    // Few keys and two bodies, so that they meet.
    let keyed = (0..4_u8, 0..2_u16).prop_map(|(key, body)| Wish {
        queue: 0,
        priority: 0,
        delay_ms: None,
        key: Some(key),
        body,
    });
    prop_oneof![3 => plain, 1 => keyed]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Succeed),
        3 => (1..60_000_u64).prop_map(|ms| Verdict::Retry { ms }),
        2 => (1..60_000_u64).prop_map(|ms| Verdict::Snooze { ms }),
        1 => Just(Verdict::Requeue),
        1 => Just(Verdict::GiveUp),
        1 => Just(Verdict::Cancel),
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
        5 => (1..20_000_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (START_MS - 3_600_000..START_MS + 3_600_000).prop_map(|wall_ms| Step::SetClock { wall_ms }),
        2 => Just(Step::Restart),
        2 => (prop::option::of(any::<bool>()), queue()).prop_map(|(ended, queue)| Step::List { ended, queue }),
    ]
    .boxed()
}
