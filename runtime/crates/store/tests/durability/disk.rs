//! What sled needs, and what it is spared.

use std::time::Duration;

use sunaba_store::{EmbeddedStore, OpenError, Options, SledEngine, Store as _};
use sunaba_task::{Durability, Payload, Verdict};

use crate::{Folder, lease, new_task, settlement, submit, test};

#[test]
fn directory_has_one_host_at_a_time() {
    let folder = Folder::new();
    let first = SledEngine::open(&folder.0).expect("it is free");
    let second = SledEngine::open(&folder.0).map(|_| ()).expect_err("it is held");
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(second.to_string().contains(&format!("(process {})\nhint: ", std::process::id())), "{second}");
    drop(first);
    assert!(SledEngine::open(&folder.0).is_ok());
}

#[test]
fn unfinished_snapshot_does_not_keep_the_store_from_opening() {
    let folder = Folder::new();
    drop(SledEngine::open(&folder.0).expect("it is free"));
    // A full disk leaves nothing of it, and a crash the first of what it writes in three steps.
    for half in ["", "half of a snapshot"] {
        let left = folder.0.join("sled/snap.0000000000000000.generating");
        std::fs::write(&left, half).expect("written");
        assert!(SledEngine::open(&folder.0).is_ok(), "{half}");
        assert!(!left.exists(), "{half}");
    }
}

#[test]
fn crash_at_the_first_opening_does_not_keep_the_store_from_opening() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.0.join("sled/blobs")).expect("made");
    // Its checksum is missing.
    std::fs::write(folder.0.join("sled/conf"), "segment_size: 131072\n").expect("written");
    assert!(SledEngine::open(&folder.0).is_ok());
}

/// A power cut can take what sled keeps outside its log, and then the store cannot be opened any more.
#[test]
fn nothing_is_ever_too_large_for_the_log() {
    let folder = Folder::new();
    test(async {
        let mut random = fastrand::Rng::with_seed(7);
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        let session = store.open_session("w".repeat(60), Duration::from_secs(900)).await.expect("it works");
        for _ in 0..60 {
            let new = |random: &mut fastrand::Rng| {
                let size = [10, 300, 700, 800, 2_500, 4_000, 20_000, 60_000, 70_000][random.usize(..9)];
                let mut new = new_task();
                new.input = Payload::new("a/b", vec![random.u8(..); random.usize(..size)]);
                new.spec.queue = format!("{}{}", "q".repeat(60), random.u8(..30));
                new.spec.idempotency_key = Some(format!("{}{:032x}", "k".repeat(200), random.u128(..)));
                new
            };
            let many = (0..50).map(|_| new(&mut random)).collect();
            store.submit(many).await.expect("the store works");
            let leased = lease(&store, session).await;
            let settled = leased.iter().map(|leased| {
                let output = Payload::new("a/b", vec![1; random.usize(..8_000)]);
                settlement(leased, Verdict::Succeed, Some(output))
            });
            store.settle(settled.collect()).await.expect("the store works");
        }
    });
    assert_eq!(std::fs::read_dir(folder.0.join("sled/blobs")).expect("it is there").count(), 0);
}

#[test]
fn relaxed_store_that_was_closed_has_all_that_it_answered() {
    let folder = Folder::new();
    test(async {
        let durability = Durability::relaxed(Duration::from_secs(10)).expect("it may be");
        let store = EmbeddedStore::sled_with(&folder.0, Options { durability }).expect("it is free");
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(submit(&store).await);
        }
        drop(store);
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        assert_eq!(store.durability(), Durability::Sync);
        for id in ids {
            assert!(store.task(id).await.expect("it works").is_some());
        }
    });
}
