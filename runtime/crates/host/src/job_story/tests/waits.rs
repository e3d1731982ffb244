//! What a job waits for, told from one of its tasks.

use sunaba_store::Store;
use sunaba_task::QueueChange;
use sunaba_task::job::JobId;

use super::*;
use crate::job_story::{WaitReport, first_wait};

impl House {
    async fn first_wait(&self, id: JobId) -> Option<WaitReport> {
        self.begin().await;
        let job = self.store.job(id).await.expect("the store works").expect("it is there");
        first_wait(&self.store, &job).await.expect("the store works")
    }

    async fn pause(&self, paused: bool) {
        self.store.set_queue("night".into(), vec![QueueChange::Paused(paused)]).await.expect("it is in range");
    }
}

/// A node in the queue that is paused at times.
fn at_night(name: &str) -> sunaba_task::job::Node {
    let mut node = node(name, &[]);
    node.task.spec.queue = "night".into();
    node
}

#[test]
fn job_waits_for_what_is_held_up_and_for_a_slot_only_where_nothing_runs() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        house.pause(true).await;
        let id = house.submit(job("", [node("a", &[]), at_night("z")])).await;
        let wait = house.first_wait(id).await.expect("one waits");
        assert_eq!((wait.name.as_str(), wait.messages[0].as_str()), ("z", "the queue `night` is paused"));
        house.end("a", 1, End::Again(5_000)).await;
        assert_eq!(house.first_wait(id).await.map(|wait| wait.name).as_deref(), Some("z"));
        house.pause(false).await;
        assert_eq!(house.first_wait(id).await, None, "one runs, and the other waits for its time");
        house.end("z", 1, End::Well).await;
        let wait = house.first_wait(id).await.expect("one waits");
        assert!(wait.messages[0].starts_with("attempt 2 is due at "), "{wait:?}");
    });
}

#[test]
fn number_of_tasks_looked_at_for_one_that_waits_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        house.pause(true).await;
        for (count, is_found) in [(5_000, true), (5_001, false)] {
            let last = at_night(&format!("n{:04}", count - 1));
            let id = house.submit(job("", (0..count - 1).map(|n| node(&format!("n{n:04}"), &[])).chain([last]))).await;
            house.end_all(ended_well).await;
            assert_eq!(house.first_wait(id).await.is_some(), is_found, "{count}");
        }
    });
}
