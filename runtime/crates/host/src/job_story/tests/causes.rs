//! Jobs that failed deep down, and what is told of that.

use sunaba_task::StateName;
use sunaba_task::job::{Budget, JobId, NewPlan, Node, OnFailure};

use super::house::task;
use super::*;
use crate::job_story::GraphBounds;

/// A flight, and then a car, which can both be undone.
fn trip(number: &str) -> NewPlan {
    let booked = |what: &str, after: &[&str]| Node {
        task: task(&format!("work/{what}")),
        compensation: Some(task(&format!("work/cancel-{what}"))),
        ..node(&format!("{what}-{number}"), after)
    };
    let nodes = vec![booked("flight", &[]), booked("car", &[&format!("flight-{number}")])];
    NewPlan { nodes, on_failure: OnFailure::Compensate, ..NewPlan::default() }
}

/// How the tasks of trips end, of which one has no car.
fn sold_out(name: &str) -> End {
    match name.split_once('/') {
        Some((_, number)) => End::Plans(trip(number)),
        None if name == "car-08" => End::Dead("no car is left"),
        None => End::Well,
    }
}

/// So many trips side by side.
async fn trips(house: &House, count: u32) -> JobId {
    let id = house.submit(job("tour", (0..count).map(|number| node(&format!("trip/{number:02}"), &[])))).await;
    house.end_all(sold_out).await;
    id
}

#[test]
fn group_that_is_folded_tells_what_failed_below_it_and_all_that_was_undone() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = trips(&house, 30).await;
        let story = house.story(id).await;
        let failed: Vec<_> = story.failed.iter().map(|failed| (failed.name.as_str(), failed.cause.as_str())).collect();
        assert_eq!(failed, [("trip/08 > car-08", "attempt 1: error: no car is left")]);
        assert_eq!((story.undone_tasks, story.undone.len(), story.not_shown), (59, 59, 0));
        assert_eq!(
            story.conclusion,
            "it failed: `trip/08` did not succeed because of `trip/08 > car-08`, attempt 1: error: no car is left; what had \
             succeeded in the job was undone, 59 tasks, the last first"
        );
        let text = story.to_string();
        assert!(
            text.contains("undone       59 tasks in all of the job, for `trip/08 > car-08`, which did not succeed\n")
        );
        assert!(text.contains("undone       47 more\n") && !text.contains("not shown"), "{text}");
        let graph = house.read(id, GraphBounds::default()).await.graph;
        let told = graph.nodes[0].fold.as_ref().and_then(|fold| fold.failed[0].cause.as_deref());
        assert_eq!(told, Some("its child `car-08` did not succeed: attempt 1: error: no car is left"));
        assert_eq!(graph.not_shown, 119, "they are in no node");
    });
}

#[test]
fn number_of_reads_below_a_group_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = trips(&house, 30).await;
        // The group, then what is below the one that is dead; 149 are all.
        for (reads, not_shown, undone) in [(149, 0, 59), (148, 1, 58), (32, 117, 0)] {
            let story = house.story_within(id, GraphBounds { reads, ..GraphBounds::default() }).await;
            assert_eq!((story.not_shown, story.undone.len()), (not_shown, undone), "{reads}");
            assert_eq!((story.failed[0].name.as_str(), story.undone_tasks), ("trip/08 > car-08", 59), "{reads}");
        }
        // Where there was no look at the child, its parent is told.
        let story = house.story_within(id, GraphBounds { reads: 30, ..GraphBounds::default() }).await;
        let told = story.failed.iter().map(|failed| (failed.name.as_str(), failed.cause.as_str(), &failed.because));
        assert_eq!(told.collect::<Vec<_>>(), [("trip/08", "its child `car-08` did not succeed", &None)]);
        assert!(
            story.conclusion.starts_with("it failed: `trip/08` did not succeed, its child `car-08` did not succeed")
        );
    });
}

#[test]
fn plan_below_a_plan_tells_the_last_child_once() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("", [node("t", &[])])).await;
        let below = |name: &str| End::Plans(NewPlan { nodes: vec![node(name, &[])], ..NewPlan::default() });
        house
            .end_all(|name| match name {
                "t" => below("u"),
                "u" => below("v"),
                _ => End::Dead("it is odd"),
            })
            .await;
        let story = house.story(id).await;
        assert_eq!((story.failed.len(), story.more_failed), (1, 0));
        assert_eq!(
            story.conclusion,
            "it failed: `t` did not succeed because of `t > u > v`, attempt 1: error: it is odd"
        );
        assert_eq!(story.tasks, [(StateName::Dead, 3)].into());
    });
}

#[test]
fn number_of_failures_told_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        for (count, told, more) in [(10, 10, 0), (11, 10, 1)] {
            let id = house.submit(job("", (0..count).map(|number| node(&format!("t-{number:02}"), &[])))).await;
            house
                .end_all(|name| match name.strip_prefix("t-") {
                    Some(number) => {
                        let child = node(&format!("below-{number}"), &[]);
                        End::Plans(NewPlan { nodes: vec![child], ..NewPlan::default() })
                    }
                    None => End::Dead("it is odd"),
                })
                .await;
            let story = house.story(id).await;
            assert_eq!((story.failed.len(), story.more_failed), (told, more));
            assert!(story.failed[0].is_cause && story.failed.iter().all(|failed| failed.name.contains(" > below-")));
        }
    });
}

#[test]
fn task_that_decomposes_into_itself_tells_the_budget_that_ended_it() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let mut new = job("", [node("x", &[])]);
        new.spec.budget = Budget { depth: 5, ..Budget::default() };
        let id = house.submit(new).await;
        let itself = |_: &str| End::Plans(NewPlan { nodes: vec![node("x", &[])], ..NewPlan::default() });
        house.end_all(itself).await;
        let story = house.story(id).await;
        assert_eq!(story.conclusion, "it failed: budget depth, 5 of 5");
        assert_eq!(story.failed, [], "{story}");
        let reasons: Vec<_> = story.not_run.iter().map(|why| why.reason.as_str()).collect();
        assert_eq!(reasons, ["its job has spent its budget `depth`"], "{story}");
    });
}
