//! An answer comes after the barrier, and many share one.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    EmbeddedStore, Engine as _, EventQuery, ManualClock, MemoryEngine, Options, Store as _, StoreError,
};
use sunaba_task::{Durability, MAX_KEPT_ATTEMPTS, Payload, State, Timestamp, Verdict};

use crate::slow::{House, Order, house, house_with};
use crate::{lease, new_task, settlement, submit, test};

#[test]
fn answer_comes_after_the_barrier() {
    test(async {
        let house = house();
        let store = house.store.clone();
        let submit = tokio::spawn(async move { store.submit(vec![new_task()]).await });
        house.until_barriers(1).await;
        assert!(!submit.is_finished(), "nothing is durable yet");
        house.order([Order::Pass]);
        assert!(submit.await.expect("it ends").is_ok());
    });
}

#[test]
fn many_callers_share_one_barrier_and_a_read_needs_none() {
    test(async {
        let house = house();
        let submit = |store: EmbeddedStore| async move { store.submit(vec![new_task()]).await };
        let first = tokio::spawn(submit(house.store.clone()));
        house.until_barriers(1).await;
        // They come while the first is made durable, and are gathered meanwhile.
        let others: Vec<_> = (0..50).map(|_| tokio::spawn(submit(house.store.clone()))).collect();
        tokio::task::yield_now().await;
        house.order([Order::Pass]);
        house.order([Order::Pass]);
        let task = first.await.expect("it ends").expect("it is durable").remove(0).expect("taken on").into_task();
        for other in others {
            assert!(other.await.expect("it ends").is_ok());
        }
        assert_eq!(house.barriers(), 2);
        assert!(house.store.task(task.id).await.expect("the store works").is_some());
        assert_eq!(house.barriers(), 2);
    });
}

#[test]
fn turn_takes_no_more_than_it_can_do_soon_and_the_rest_comes_in_the_next() {
    test(async {
        let house = house();
        let submit = |store: EmbeddedStore, count| async move { store.submit(vec![new_task(); count]).await };
        let first = tokio::spawn(submit(house.store.clone(), 1));
        house.until_barriers(1).await;
        let large: Vec<_> = (0..6).map(|_| tokio::spawn(submit(house.store.clone(), 10_000))).collect();
        tokio::task::yield_now().await;
        house.order([Order::Pass, Order::Pass]);
        let third = tokio::time::timeout(Duration::from_secs(9), house.until_barriers(3));
        third.await.expect("one turn does not take them all");
        assert!(large.iter().any(|call| !call.is_finished()), "some are left");
        house.order((0..9).map(|_| Order::Pass));
        for call in large.into_iter().chain([first]) {
            assert!(call.await.expect("it ends").is_ok());
        }
        // Nobody asks for more, and the store still ends what it has taken.
        drop(house.store);
    });
}

#[test]
fn session_is_not_lost_while_its_renewal_waits_behind_others() {
    test(async {
        let house = house();
        let store = house.store.clone();
        let session = store.open_session("w".into(), Duration::from_secs(1)).await.expect("it works");
        let submit = |store: EmbeddedStore, count| async move { store.submit(vec![new_task(); count]).await };
        tokio::spawn(submit(store.clone(), 1));
        house.until_barriers(1).await;
        (0..4).for_each(|_| drop(tokio::spawn(submit(store.clone(), 10_000))));
        let renewal = tokio::spawn(async move { store.renew(session, Duration::ZERO).await });
        tokio::task::yield_now().await;
        for barrier in 2..=5 {
            house.order([Order::Pass]);
            house.until_barriers(barrier).await;
            house.clock.advance(Duration::from_millis(600));
        }
        house.order([Order::Pass]);
        assert!(renewal.await.expect("it ends").is_ok());
    });
}

#[test]
fn event_is_shown_after_the_barrier_of_its_change_and_never_without_it() {
    test(async {
        let house = house();
        let follow = |after| {
            let query = EventQuery { after: Some(after), limit: 10, wait: Duration::from_secs(60), of: None };
            let store = house.store.clone();
            tokio::spawn(async move { store.events(query).await })
        };
        // Lets the reader reach the store.
        let settle_down = async || {
            tokio::task::yield_now().await;
            house.store.packages().await.expect("it still works");
        };
        let reader = follow(0);
        settle_down().await;
        let store = house.store.clone();
        let submit = tokio::spawn(async move { store.submit(vec![new_task()]).await });
        house.until_barriers(1).await;
        assert!(!reader.is_finished(), "nothing is durable yet");
        house.order([Order::Pass]);
        assert_eq!(reader.await.expect("it ends").expect("it is durable").events.len(), 1);
        assert!(submit.await.expect("it ends").is_ok());

        let reader = follow(1);
        settle_down().await;
        house.order([Order::Fail]);
        assert!(house.store.submit(vec![new_task()]).await.is_err());
        let told = reader.await.expect("it ends");
        assert!(matches!(told, Err(StoreError::Failed(_))), "{told:?}");
    });
}

#[test]
fn lease_that_was_answered_and_not_received_is_given_back() {
    test(async {
        let House { store, orders, .. } = house();
        orders.send(Order::Pass).expect("the engine listens");
        let id = store.submit(vec![new_task()]).await.expect("it works").remove(0).expect("taken on").into_task().id;
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let asking = tokio::spawn({
            let store = store.clone();
            async move { lease(&store, session).await }
        });
        tokio::task::yield_now().await;
        // The answer comes while this thread looks on, and so is not received.
        let elsewhere = store.clone();
        let answered = move || {
            orders.send(Order::Pass).expect("the engine listens");
            // One for what is given back, one for the lease after that.
            orders.send(Order::Pass).expect("the engine listens");
            orders.send(Order::Pass).expect("the engine listens");
            test(async {
                while elsewhere.task(id).await.expect("it works").expect("it is there").lease().is_none() {}
            });
            orders
        };
        let _orders = std::thread::spawn(answered).join().expect("it runs");
        asking.abort();
        assert!(asking.await.is_err());
        let again = loop {
            let leased = lease(&store, session).await;
            if !leased.is_empty() {
                break leased;
            }
        };
        assert_eq!((again[0].task.id, again[0].task.failures_charged, again[0].task.hosts_lost), (id, 0, 0));
    });
}

#[test]
fn callers_that_have_gone_keep_nobody_from_waiting() {
    test(async {
        let store = EmbeddedStore::memory().expect("memory opens");
        let id = store.submit(vec![new_task()]).await.expect("it works").remove(0).expect("taken on").into_task().id;
        let hour = Duration::from_secs(3600);
        for _ in 0..110 {
            let gone: Vec<_> = (0..100)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move { store.wait(id, hour).await })
                })
                .collect();
            tokio::task::yield_now().await;
            store.packages().await.expect("the store works");
            gone.iter().for_each(|gone| gone.abort());
            tokio::task::yield_now().await;
        }
        let waiting = store.wait(id, Duration::from_millis(1)).await;
        assert!(waiting.is_ok(), "{waiting:?}");
        let session = store.open_session("w".into(), hour).await.expect("it works");
        assert_eq!(lease(&store, session).await.len(), 1);
    });
}

#[test]
fn what_the_record_forgets_is_forgotten() {
    test(async {
        let engine = MemoryEngine::default();
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens");
        store.submit(vec![new_task()]).await.expect("it works");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        for _ in 0..MAX_KEPT_ATTEMPTS + 20 {
            let leased = lease(&store, session).await.remove(0);
            let snooze = settlement(&leased, Verdict::Snooze(Duration::from_millis(1)), None);
            store.settle(vec![snooze]).await.expect("it works").remove(0).expect("it has the lease");
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(engine.scan(b"a", b"b", false).count(), MAX_KEPT_ATTEMPTS);
    });
}

#[test]
fn nearly_full_disk_takes_nothing_on_and_lets_the_rest_end() {
    test(async {
        let house = house();
        house.order((0..9).map(|_| Order::Pass));
        let store = house.store.clone();
        let submit = async || store.submit(vec![new_task()]).await;
        assert!(submit().await.is_ok());
        house.leave_free(10 << 20);
        let full = submit().await.expect_err("there is no room");
        assert!(full.to_string().starts_with("the disk of the data directory has 10.0 MiB left, "), "{full}");
        assert!(full.is_retryable());
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let leased = lease(&store, session).await.remove(0);
        let done = settlement(&leased, Verdict::Succeed, Some(Payload::json("1")));
        let done = store.settle(vec![done]).await.expect("it works").remove(0).expect("it has the lease");
        assert_eq!(done.state, State::Succeeded);
        house.leave_free(1 << 30);
        assert!(submit().await.is_ok());
    });
}

#[test]
fn relaxed_answer_comes_before_the_barrier_and_the_barrier_no_later_than_it_may() {
    test(async {
        let durability = Durability::relaxed(Duration::from_millis(50)).expect("it may be");
        let house = house_with(Options { durability });
        assert_eq!((house.store.durability(), durability.loss()), (durability, Some(Duration::from_millis(50))));
        let id = submit(&house.store).await;
        assert!(house.store.task(id).await.expect("the store works").is_some());
        house.clock.advance(Duration::from_millis(30));
        submit(&house.store).await;
        house.clock.advance(Duration::from_millis(19));
        house.store.packages().await.expect("the store works");
        assert_eq!(house.barriers(), 0);
        // Nobody asks the store for anything: the first write has waited for 50 ms.
        house.clock.advance(Duration::from_millis(1));
        house.order([Order::Pass]);
        house.until_barriers(1).await;
        house.clock.advance(Duration::from_secs(60));
        house.store.packages().await.expect("the store works");
        assert_eq!(house.barriers(), 1, "all is durable");
    });
}

#[test]
fn relaxed_store_is_durable_when_it_is_closed() {
    test(async {
        let durability = Durability::relaxed(Duration::from_secs(10)).expect("it may be");
        let house = house_with(Options { durability });
        submit(&house.store).await;
        assert_eq!(house.barriers(), 0);
        house.order([Order::Pass]);
        let House { store, strings, orders: _orders, .. } = house;
        drop(store);
        assert_eq!(strings.barriers(), 1);
    });
}
