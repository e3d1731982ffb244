//! What was acknowledged is there, whole.

use bytes::Bytes;
use sunaba_task::{AttemptDetail, LogEntry, LogLevel, LogSource};

use super::*;

/// Bytes that no mistake of an engine would give back.
fn body(length: usize, seed: u64) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// From nothing to a megabyte, over every bound at which a store may change its way.
pub async fn large_bodies_come_back_whole(subject: &mut impl Subject) {
    let sizes = [0, 1, 4 << 10, (4 << 10) + 1, 64 << 10, (64 << 10) + 1, 1 << 20];
    let store = subject.store();
    let session = open(&*store).await;
    let mut done = Vec::new();
    for (seed, size) in sizes.into_iter().enumerate() {
        let input = Payload::new("application/octet-stream", body(size, seed as u64));
        let output = Payload::new("image/png", body(size, !(seed as u64)));
        submit(&*store, with(|new| new.input = input.clone())).await;
        let leased = lease_one(&*store, session).await;
        assert_eq!(leased.input, input, "{size}");
        let settlement = Settlement { output: Some(output.clone()), ..settlement(&leased, Verdict::Succeed) };
        let task = settle(&*store, settlement).await.expect("it has the lease");
        done.push((task, input, output));
    }
    drop(store);
    subject.restart();
    let store = subject.store();
    for (expected, input, output) in done {
        assert_eq!(task(&*store, &expected).await, expected);
        assert_eq!(store.input(expected.id).await.expect("the store works"), Some(input));
        assert_eq!(store.output(expected.id).await.expect("the store works"), Some(output));
    }
}

/// Tasks in every state, as they were.
pub async fn everything_that_was_acknowledged_is_there_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let mut expected = Vec::new();
    for verdict in [Verdict::Succeed, Verdict::Retry(LEASE * 9), Verdict::Snooze(LEASE * 9), Verdict::GiveUp] {
        submit(&*store, new_task()).await;
        let leased = lease_one(&*store, session).await;
        expected.push(settle(&*store, settlement(&leased, verdict)).await.expect("it has the lease"));
    }
    expected.push(submit(&*store, with(|new| new.start = Some(When::After(LEASE * 9)))).await);
    let cancelled = submit(&*store, new_task()).await;
    expected.push(
        store
            .cancel(vec![cancelled.id], CancelWish::default())
            .await
            .expect("the store works")
            .remove(0)
            .expect("it is there"),
    );
    let queued = submit(&*store, new_task()).await;
    expected.push(queued.clone());
    drop(store);
    for _ in 0..2 {
        subject.restart();
        let store = subject.store();
        for before in &expected {
            assert_eq!(task(&*store, before).await, *before);
        }
    }
    let store = subject.store();
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [queued.id]);
    subject.advance(LEASE * 9);
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 4, "three were waiting, and one has lost its host");
    let newer = submit(&*store, new_task()).await;
    assert!(expected.iter().all(|task| task.sequence < newer.sequence && task.id < newer.id));
}

/// Logs and the like, by attempt.
pub async fn what_an_attempt_said_is_kept(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let line = |message: &str| LogEntry {
        at_ms: 3,
        source: LogSource::Log,
        level: LogLevel::Warn,
        message: message.into(),
        fields: vec![("key".into(), "value".into())],
    };
    for (verdict, message) in [(Verdict::Retry(Duration::ZERO), "first"), (Verdict::Succeed, "second")] {
        let leased = lease_one(&*store, session).await;
        let detail = AttemptDetail {
            failure_detail: Some(Payload::json("{}")),
            logs: vec![line(message)],
            ..AttemptDetail::default()
        };
        settle(&*store, Settlement { detail, ..settlement(&leased, verdict) }).await.expect("it has the lease");
        subject.advance(Duration::from_millis(1));
    }
    let id = store.tasks(Default::default()).await.expect("the store works").tasks[0].id;
    for (number, message) in [(1, "first"), (2, "second")] {
        let detail = store.attempt_detail(id, number).await.expect("the store works").expect("it is there");
        assert_eq!((detail.logs, detail.failure_detail), (vec![line(message)], Some(Payload::json("{}"))));
    }
    assert_eq!(store.attempt_detail(id, 3).await.expect("the store works"), None);
}

/// What is not known is none, never empty.
pub async fn unknown_task_is_none_and_never_empty(subject: &mut impl Subject) {
    let store = subject.store();
    let unknown = sunaba_task::TaskId::from_bytes([7; 16]);
    assert_eq!(store.input(unknown).await.expect("the store works"), None);
    assert_eq!(store.output(unknown).await.expect("the store works"), None);
    assert_eq!(store.task(unknown).await.expect("the store works"), None);
    assert_eq!(store.wait(unknown, LEASE).await.expect("the store works"), None);
}
