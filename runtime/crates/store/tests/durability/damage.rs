//! What is damaged is told, and all else is served.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    EmbeddedStore, Engine as _, LeaseRequest, ManualClock, MemoryEngine, NewPackage, OpenError, Queues, Store as _,
    StoreError, SystemClock, TaskQuery, Writes,
};
use sunaba_task::{
    Callback, CallbackOn, Digest, Ending, NewTask, Origin, Payload, State, TaskId, TaskSpec, Timestamp, When,
};

use crate::{Folder, lease, new_task, submit, test};

/// Flips a bit of a value.
fn damage(engine: &MemoryEngine, key: &[u8]) -> bytes::Bytes {
    let mut value = engine.get(key).expect("memory works").expect("it is there").to_vec();
    *value.last_mut().expect("not empty") ^= 1;
    let damaged = bytes::Bytes::from(value);
    engine.clone().apply(&Writes::from([(key.to_vec(), Some(damaged.clone()))])).expect("memory works");
    damaged
}

fn key_of(id: TaskId) -> Vec<u8> {
    [b"t", id.as_bytes().as_slice()].concat()
}

/// Whether exactly this damaged value was set aside, and is in its place no more.
fn is_set_aside(engine: &MemoryEngine, key: &[u8], value: &[u8]) -> bool {
    let kept = engine.get(&[b"y", key].concat()).expect("memory works");
    let is_kept = kept.is_some_and(|kept| kept.windows(value.len()).any(|part| part == value));
    is_kept && engine.get(key).expect("memory works").is_none()
}

fn open(engine: &MemoryEngine) -> EmbeddedStore {
    EmbeddedStore::open(engine.clone(), Arc::new(SystemClock::new())).expect("memory opens")
}

#[test]
fn damaged_record_is_told_and_set_aside_and_the_others_are_served() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(&engine);
        let ids = [submit(&store).await, submit(&store).await];
        drop(store);
        let value = damage(&engine, &key_of(ids[0]));
        let store = open(&engine);
        let damaged = store.task(ids[0]).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
        assert_eq!(engine.get(&key_of(ids[0])).expect("memory works").expect("a read writes nothing"), value);
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        let leased = lease(&store, session).await;
        assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [ids[1]]);
        assert!(is_set_aside(&engine, &key_of(ids[0]), &value));
        let damaged = store.task(ids[0]).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "not unknown: {damaged:?}");
        drop(store);
        let damaged = open(&engine).task(ids[0]).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
    });
}

#[test]
fn list_leaves_damage_out_and_the_next_change_sets_it_aside() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(&engine);
        let ids = [submit(&store).await, submit(&store).await];
        let package = NewPackage {
            name: "p".into(),
            component: Digest::of(b"c"),
            handlers: Vec::new(),
            decider: None,
            allow_signature_change: false,
        };
        store.deploy(package, bytes::Bytes::from("c")).await.expect("it works");
        let (value, package) = (damage(&engine, &key_of(ids[0])), damage(&engine, b"pp"));
        for _ in 0..2 {
            let page = store.tasks(TaskQuery { limit: 9, ..TaskQuery::default() }).await.expect("it is served");
            assert_eq!(page.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [ids[1]]);
            assert!(store.packages().await.expect("it is served").is_empty());
        }
        assert_eq!(engine.get(&key_of(ids[0])).expect("memory works").expect("a read writes nothing"), value);
        submit(&store).await;
        assert!(is_set_aside(&engine, &key_of(ids[0]), &value));
        assert!(is_set_aside(&engine, b"pp", &package));
    });
}

#[test]
fn delayed_task_whose_record_is_damaged_keeps_no_other_from_coming_due() {
    test(async {
        let (engine, clock) = (MemoryEngine::default(), ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
        let store = EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens");
        let delayed = NewTask { start: Some(When::After(Duration::from_secs(5))), ..new_task() };
        let submitted = store.submit(vec![delayed; 2]).await.expect("it works");
        let ids: Vec<_> = submitted.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        let value = damage(&engine, &key_of(ids[0]));
        clock.advance(Duration::from_secs(5));
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        assert_eq!(lease(&store, session).await.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [ids[1]]);
        assert!(is_set_aside(&engine, &key_of(ids[0]), &value));
    });
}

#[test]
fn leases_and_counts_that_are_damaged_do_not_keep_the_store_from_opening() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(&engine);
        let ids = [submit(&store).await, submit(&store).await];
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        assert_eq!(lease(&store, session).await.len(), 2);
        drop(store);
        let (batch, _) = engine.scan(b"l", b"m", false).next().expect("there is one").expect("memory works");
        let (leases, sequence) = (damage(&engine, &batch), damage(&engine, b"s"));
        let store = open(&engine);
        assert!(is_set_aside(&engine, &batch, &leases));
        assert!(is_set_aside(&engine, b"s", &sequence));
        let third = submit(&store).await;
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        let leased: Vec<_> = lease(&store, session).await.iter().map(|leased| leased.task.id).collect();
        assert_eq!(leased, [ids[0], ids[1], third], "no task has another's place");
    });
}

#[test]
fn leases_that_are_damaged_are_counted_once_beside_others() {
    test(async {
        let engine = MemoryEngine::default();
        let store = open(&engine);
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        for _ in 0..3 {
            submit(&store).await;
            assert_eq!(lease(&store, session).await.len(), 1);
        }
        drop(store);
        let (batch, _) = engine.scan(b"l", b"m", false).next().expect("there is one").expect("memory works");
        damage(&engine, &batch);
        let queues = open(&engine).queues(None).await.expect("it works");
        assert_eq!(queues.iter().map(|queue| queue.queued).collect::<Vec<_>>(), [3]);
    });
}

#[test]
fn worker_that_waits_gets_what_follows_a_task_that_cannot_be_run() {
    test(async {
        let (engine, clock) = (MemoryEngine::default(), ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
        let open = || EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens");
        let mut large = NewTask { input: Payload::new("a/b", vec![7; 1_000]), ..new_task() };
        let spec = TaskSpec::new("after/failure".parse().expect("a name"), Digest::of(b"other"));
        large.callbacks = vec![Callback { on: CallbackOn::Failure, spec }];
        let id = open().submit(vec![large]).await.expect("it works").remove(0).expect("taken on").into_task().id;
        damage(&engine, &[b"i", id.as_bytes().as_slice()].concat());
        let store = open();
        let hour = Duration::from_secs(3_600);
        let session = store.open_session("w".into(), hour).await.expect("it works");
        let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: hour };
        // The clock stands still: nothing but the store itself can wake the worker.
        let leased = tokio::time::timeout(Duration::from_secs(9), store.lease(request)).await.expect("it is woken");
        assert_eq!(leased.expect("the session lives")[0].task.origin, Some(Origin::Callback(id)));
    });
}

#[test]
fn store_of_a_newer_format_is_refused_and_left_alone() {
    let engine = MemoryEngine::default();
    let open = || EmbeddedStore::open(engine.clone(), Arc::new(SystemClock::new()));
    drop(open().expect("memory opens"));
    let format = engine.get(b"f").expect("memory works").expect("it is there");
    // The same head, a larger number, and the checksum of that.
    let mut newer = format.to_vec();
    newer[5] = 99;
    let checksum = crc32fast::hash(&newer[5..]).to_be_bytes();
    newer[1..5].copy_from_slice(&checksum);
    engine.clone().apply(&Writes::from([(b"f".to_vec(), Some(newer.clone().into()))])).expect("memory works");
    let refused = open().map(|_| ()).expect_err("it is newer");
    assert!(matches!(refused, OpenError::Newer { found: 99, known: 7 }), "{refused}");
    assert_eq!(engine.get(b"f").expect("memory works").expect("it is there"), newer);
}

#[test]
fn task_whose_input_is_gone_is_dead_and_says_why() {
    let folder = Folder::new();
    test(async {
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        let mut large = new_task();
        large.input = Payload::new("a/b", vec![7; 100_000]);
        let submitted = store.submit(vec![large, new_task()]).await.expect("the store works");
        let ids: Vec<_> = submitted.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        drop(store);
        for file in std::fs::read_dir(folder.0.join("files")).expect("it is there") {
            std::fs::remove_file(file.expect("readable").path()).expect("removed");
        }
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        // One slot, and the first in the queue is the one that cannot be run.
        let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
        let leased = store.lease(request).await.expect("the session lives");
        assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [ids[1]]);
        let dead = store.task(ids[0]).await.expect("the store works").expect("it is there");
        let ending = &dead.attempts[0].ending;
        assert_eq!(dead.state, State::Dead);
        assert!(matches!(ending, Ending::HostFailed { message } if message.starts_with("its input is damaged: ")));
    });
}
