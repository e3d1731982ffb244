//! What is planned beside a barrier is told after its own, and with the same care.

use std::time::Duration;

use sunaba_store::{EmbeddedStore, Store, StoreError};
use sunaba_task::TaskId;

use crate::slow::{House, Order, beside};
use crate::{new_task, submit, test};

type Submitting = tokio::task::JoinHandle<Result<TaskId, StoreError>>;

fn submitting(store: &EmbeddedStore) -> Submitting {
    let store = store.clone();
    tokio::spawn(async move {
        let mut submitted = store.submit(vec![new_task()]).await?;
        Ok(submitted.remove(0).expect("taken on").into_task().id)
    })
}

/// Two callers whose tasks come in one turn: the first turn of all has the commit thread busy until both wait.
async fn pair(store: &EmbeddedStore) -> [Submitting; 2] {
    let pair = [submitting(store), submitting(store)];
    tokio::task::yield_now().await;
    pair
}

/// A task that is durable, and two callers whose barrier is under way on another thread. What was before has had so many.
async fn under_way(house: &House, before: usize) -> (TaskId, [Submitting; 2]) {
    // Alone, it is made durable by the commit thread, and others gather meanwhile.
    let first = submitting(&house.store);
    house.until_barriers(before + 1).await;
    let second = pair(&house.store).await;
    house.order([Order::Pass]);
    let id = first.await.expect("it ends").expect("it is durable");
    house.until_barriers(before + 2).await;
    (id, second)
}

async fn told(callers: [Submitting; 2]) -> Vec<Result<TaskId, StoreError>> {
    let mut told = Vec::new();
    for caller in callers {
        told.push(caller.await.expect("it ends"));
    }
    told
}

#[test]
fn turn_is_planned_beside_a_barrier_and_told_after_its_own() {
    test(async {
        let house = beside();
        let store = &house.store;
        let (_, second) = under_way(&house, 0).await;
        // The store goes on.
        let third = pair(store).await;
        house.until_applies(3).await;
        assert!(second.iter().chain(&third).all(|caller| !caller.is_finished()), "nothing of it is durable");
        house.order([Order::Pass]);
        assert!(told(second).await.iter().all(Result::is_ok));
        house.until_barriers(3).await;
        assert!(third.iter().all(|caller| !caller.is_finished()), "theirs is not over");
        house.order([Order::Pass]);
        assert!(told(third).await.iter().all(Result::is_ok));
        assert_eq!(house.barriers(), 3);
    });
}

#[test]
fn read_shows_nothing_before_all_that_was_planned_is_durable() {
    test(async {
        let house = beside();
        let store = &house.store;
        let (id, second) = under_way(&house, 0).await;
        let reading = tokio::spawn({
            let store = store.clone();
            async move { store.task(id).await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!reading.is_finished(), "it would see what is not durable");
        house.order([Order::Pass]);
        assert!(reading.await.expect("it ends").expect("the store works").is_some());
        assert!(told(second).await.iter().all(Result::is_ok));
    });
}

#[test]
fn barrier_that_fails_beside_the_next_turn_fails_both() {
    for order in [Order::Fail, Order::Panic] {
        test(async {
            let house = beside();
            let store = &house.store;
            house.order([Order::Pass]);
            let kept = submit(store).await;
            let (also_kept, second) = under_way(&house, 1).await;
            let third = pair(store).await;
            house.until_applies(4).await;
            house.order([order]);
            for told in told(second).await.into_iter().chain(told(third).await) {
                assert!(matches!(told, Err(StoreError::Failed(_))), "{told:?}");
            }
            assert_eq!(house.barriers(), 3, "nothing was tried after the failure");
            assert!(matches!(store.submit(vec![new_task()]).await, Err(StoreError::Failed(_))));
            for id in [kept, also_kept] {
                assert!(store.task(id).await.expect("it is shown").is_some());
            }
            let page = store.tasks(sunaba_store::TaskQuery { limit: 9, ..Default::default() }).await.expect("a list");
            assert_eq!(page.tasks.len(), 2, "what nobody was told of is not shown");
        });
    }
}

#[test]
fn failure_is_told_to_those_who_wait_though_nobody_asks_for_anything() {
    test(async {
        let house = beside();
        let store = &house.store;
        let (id, second) = under_way(&house, 0).await;
        house.order([Order::Pass]);
        assert!(told(second).await.iter().all(Result::is_ok));
        // Parked in the store; the turn that parks it is its own.
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.wait(id, Duration::from_secs(3600)).await }
        });
        tokio::task::yield_now().await;
        let (_, last) = under_way(&house, 2).await;
        house.order([Order::Fail]);
        assert!(told(last).await.iter().all(Result::is_err));
        assert!(matches!(waiting.await.expect("it ends"), Err(StoreError::Failed(_))));
    });
}

#[test]
fn session_is_not_lost_while_a_barrier_beside_takes_long() {
    test(async {
        let house = beside();
        let store = &house.store;
        let session = store.open_session("w".into(), Duration::from_secs(1)).await.expect("the store works");
        let (_, second) = under_way(&house, 0).await;
        // Nobody asks for anything, and nobody can be told that he has renewed it.
        house.clock.advance(Duration::from_secs(5));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        house.order([Order::Pass]);
        assert!(told(second).await.iter().all(Result::is_ok));
        assert!(store.renew(session, Duration::ZERO).await.is_ok());
    });
}

#[test]
fn store_that_is_dropped_while_a_barrier_is_under_way_still_answers() {
    test(async {
        let house = beside();
        let (_, callers) = under_way(&house, 0).await;
        let (orders, engine) = (house.orders.clone(), house.engine.clone());
        drop(house);
        orders.send(Order::Pass).expect("the engine listens");
        assert!(told(callers).await.iter().all(Result::is_ok));
        drop(engine);
    });
}
