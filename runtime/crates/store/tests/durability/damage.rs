//! What is damaged is told, and all else is served.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    EmbeddedStore, Engine as _, LeaseRequest, MemoryEngine, OpenError, Queues, Store as _, StoreError, SystemClock,
    Writes,
};
use sunaba_task::{Ending, Payload, State};

use crate::{Folder, lease, new_task, test};

#[test]
fn damaged_record_is_told_and_the_others_are_served() {
    test(async {
        let engine = MemoryEngine::default();
        let open = || EmbeddedStore::open(engine.clone(), Arc::new(SystemClock::new())).expect("memory opens");
        let submitted = open().submit(vec![new_task(), new_task()]).await.expect("the store works");
        let ids: Vec<_> = submitted.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        let key = [b"t", ids[0].as_bytes().as_slice()].concat();
        let mut record = engine.get(&key).expect("memory works").expect("it is there").to_vec();
        *record.last_mut().expect("not empty") ^= 1;
        engine.clone().apply(&Writes::from([(key, Some(record.into()))])).expect("memory works");

        let store = open();
        let damaged = store.task(ids[0]).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        let leased = lease(&store, session).await;
        assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [ids[1]]);
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
    assert!(matches!(refused, OpenError::Newer { found: 99, known: 2 }), "{refused}");
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
