//! Jobs that ended in every way, told.

use sunaba_store::{CancelWish, Store};
use sunaba_task::job::{Budget, OnFailure};
use sunaba_task::{QueueChange, StateName};

use super::house::task;
use super::*;
use crate::job_story::{GraphBounds, JobStory};

/// The story without its id.
fn told(story: &JobStory) -> String {
    story.to_string().lines().skip(1).map(|line| format!("{line}\n")).collect()
}

/// A trip of which the hotel is full: what was booked before is undone.
pub(super) async fn trip(house: &House) -> sunaba_task::job::JobId {
    let undone_by =
        |name: &str, handler: &str| sunaba_task::job::Node { compensation: Some(task(handler)), ..node(name, &[]) };
    let mut nodes = vec![
        undone_by("flight", "work/cancel-flight"),
        undone_by("car", "work/return-car"),
        node("hotel", &["flight"]),
        node("pay", &["flight", "car", "hotel"]),
        node("mail", &["pay"]),
    ];
    nodes[2].after[0].on_failure = Some(OnFailure::Fail);
    let id = house.submit(rule(OnFailure::Compensate, job("trip", nodes))).await;
    house.begin().await.pass(200).end("flight", 2_000_000, End::Well).await;
    house.pass(100).end("car", 1_500_000, End::Well).await;
    house.pass(300).end("hotel", 900_000, End::Again(1_000)).await;
    house.pass(1_000).begin().await.pass(400).end("hotel", 800_000, End::Dead("no room is left")).await;
    house.pass(35).end("undo", 10_000, End::Well).await;
    house.pass(65).end("undo", 20_000, End::Well).await;
    id
}

#[test]
fn job_of_which_a_branch_failed_and_was_undone() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = trip(&house).await;
        assert_eq!(told(&house.story(id).await), TRIP);
    });
}

const TRIP: &str = "\
name         trip
state        failed since 2026-01-01T00:00:02.100Z
submitted    2026-01-01T00:00:00.000Z
rules        a failure means compensate
tasks        4 succeeded, 1 dead, 2 cancelled
used         6 attempts, fuel 5,230,000, wall time 1.4s of which host calls <1ms, peak memory 0 B, outputs 0 B
failed       `hotel` by work/hotel, dead after 2 attempts: attempt 2: error: no room is left
  because    failure 2 of at most 2
not run      `mail`: `pay`, which it waits for, did not succeed
not run      `pay`: `hotel`, which it waits for, did not succeed
undone       2 tasks in all of the job, for `hotel`, which did not succeed
undone       1. `car` by work/return-car, succeeded, 35ms
undone       2. `flight` by work/cancel-flight, succeeded, 65ms
took         2.1s, by this chain of 4:
               9 % `flight` waited <1ms, ran 200ms
              85 % `hotel` waited <1ms, ran 800ms, between attempts 1s, dead
               1 % `car > undo` waited <1ms, ran 35ms
               3 % `flight > undo` waited <1ms, ran 65ms
end          it failed: `hotel` did not succeed, attempt 2: error: no room is left; what had succeeded in the job was undone, 2 tasks, the last first
";

#[test]
fn cancelled_job_tells_who_was_stopped_and_why() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("", [node("a", &[]), node("b", &["a"]), node("c", &["b"])])).await;
        house.begin().await.pass(10);
        let wish = CancelWish { reason: "wrong month".into(), grace: None };
        house.store.cancel_job(id, wish).await.expect("the store works").expect("it is there");
        let stopping = house.story(id).await;
        assert_eq!(
            stopping.conclusion.split("; ").next(),
            Some("it ends when its last tasks have, 1 of them, for wrong month")
        );
        house.pass(5).end("a", 7, End::Cancelled).await;
        let story = house.story(id).await;
        assert_eq!(story.conclusion, "it was cancelled: wrong month");
        let reasons: Vec<_> = story.not_run.iter().map(|why| (why.begun, why.count, why.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [(true, 1, "its job was cancelled: wrong month"), (false, 2, "its job was cancelled: wrong month")]
        );
        assert_eq!(story.path.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["a"]);
    });
}

#[test]
fn job_that_waits_for_a_paused_queue_says_so() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let mut second = node("b", &["a"]);
        second.task.spec.queue = "night".into();
        house.store.set_queue("night".into(), vec![QueueChange::Paused(true)]).await.expect("it is in range");
        let id = house.submit(job("", [node("a", &[]), second, node("c", &["b"])])).await;
        house.begin().await.pass(10).end("a", 7, End::Well).await;
        house.pass(1_000);
        let story = house.story(id).await;
        assert_eq!(story.conclusion, "it has ended when its tasks have, 2 of them; `b`: the queue `night` is paused");
        assert_eq!((story.waits[0].name.as_str(), story.waits[0].state), ("b", StateName::Queued));
        let steps: Vec<_> = story.path.iter().map(|step| (step.name.as_str(), step.waited_ms, step.ran_ms)).collect();
        assert_eq!(steps, [("a", 0, 10), ("b", 1_000, 0)], "the chain leads to what is waited for");
    });
}

#[test]
fn job_that_waits_for_its_next_attempt_says_when_that_is() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("", [node("a", &[])])).await;
        house.begin().await.pass(10).end("a", 7, End::Again(5_000)).await;
        let story = house.story(id).await;
        assert!(story.conclusion.ends_with("`a`: attempt 2 is due at 2026-01-01T00:00:05.010Z, in 5s"), "{story}");
        assert_eq!(story.tasks, [(StateName::RetryScheduled, 1)].into());
    });
}

#[test]
fn job_that_has_spent_a_budget_tells_how_much() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let mut new = job("", [node("a", &[]), node("b", &["a"])]);
        new.spec.budget = Budget { fuel: Some(1_000), attempts: Some(9), ..Budget::default() };
        let id = house.submit(new).await;
        house.begin().await.pass(10).end("a", 1_200, End::Well).await;
        let story = house.story(id).await;
        assert_eq!(story.conclusion, "it failed: budget fuel, 1,200 of 1,000");
        assert!(told(&story).contains("budget       fuel 1,200 of 1,000, 120 %\n"), "{story}");
        assert!(told(&story).contains("not run      `b`: its job has spent its budget `fuel`\n"), "{story}");
    });
}

#[test]
fn large_group_is_one_node_and_tells_of_its_failures() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let crates = (0..10_000).map(|number| node(&format!("crate/{number:05}"), &["first"]));
        let nodes = crates.chain([node("first", &[]), node("report", &["crate/*"])]);
        let id = house.submit(rule(OnFailure::Continue, job("audit", nodes))).await;
        house.end_all(|name| if name.ends_with("777") { End::Dead("it does not compile") } else { End::Well }).await;
        let read = house.read(id, GraphBounds::default()).await;
        let names: Vec<_> = read.graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["first", "crate/*", "report"]);
        let fold = read.graph.nodes[1].fold.as_ref().expect("it is folded");
        assert_eq!((fold.members, fold.counts().as_str()), (10_000, "9,990 succeeded, 10 dead"));
        assert_eq!((read.graph.path.clone(), read.graph.not_shown), (vec![0, 1, 2], 0));
        assert_eq!(read.graph.nodes[1].fuel, 10_000_000);
        assert_eq!(read.graph.edges.len(), 2);
        let story = house.story(id).await;
        assert_eq!((story.failed.len(), story.more_failed), (10, 0));
        assert_eq!(story.conclusion, "it succeeded in part: what failed was to be done without");
        assert!(read.graph.text().lines().count() <= 13, "{}", read.graph.text());
    });
}

#[test]
fn number_of_members_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        for (members, expected) in [(20, 21), (21, 2)] {
            let group = (0..members).map(|number| node(&format!("x/{number:02}"), &[]));
            let id = house.submit(job("", group.chain([node("join", &["x/*"])]))).await;
            house.end_all(ended_well).await;
            let read = house.read(id, GraphBounds::default()).await;
            assert_eq!(read.graph.nodes.len(), expected, "{members}");
            let shown = house.read(id, GraphBounds::default().folding(100)).await;
            assert_eq!((shown.graph.nodes.len(), shown.graph.edges.len()), (members + 1, members));
        }
    });
}

#[test]
fn number_of_nodes_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("", (0..50).map(|number| node(&format!("n{number:02}"), &[])))).await;
        house.end_all(ended_well).await;
        let all = house.read(id, GraphBounds { nodes: 50, ..GraphBounds::default() }).await;
        assert!(all.graph.nodes.len() == 50 && all.graph.nodes.iter().all(|node| node.fold.is_none()));
        let some = house.read(id, GraphBounds { nodes: 49, ..GraphBounds::default() }).await;
        let rest = some.graph.nodes.iter().find(|node| node.name == "1 other").expect("there was no room for one");
        assert_eq!((some.graph.nodes.len(), rest.fold.as_ref().map(|fold| fold.members)), (50, Some(1)));
        // It may have ended last, and stands for any.
        assert!(!rest.critical && some.graph.path.len() == 1, "{:?}", some.graph.path);
        let few = house.read(id, GraphBounds { nodes: 1, ..GraphBounds::default() }).await;
        assert!(few.graph.text().contains(" 49 others "), "{}", few.graph.text());
    });
}

#[test]
fn number_of_tasks_that_are_read_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("", (0..450).map(|number| node(&format!("n/{number:03}"), &[])))).await;
        house.end_all(ended_well).await;
        for (reads, members, not_shown) in [(450, 450, 0), (200, 200, 250)] {
            let graph = house.read(id, GraphBounds { reads, ..GraphBounds::default() }).await.graph;
            let fold = graph.nodes[0].fold.as_ref().map(|fold| fold.members);
            assert_eq!((fold, graph.not_shown), (Some(members), not_shown), "{reads}");
            assert_eq!(graph.text().contains("\n250 more tasks are not shown\n"), not_shown > 0, "{}", graph.text());
        }
    });
}

#[test]
fn number_of_edges_obeyed_and_violated() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        for (side, shown, not_shown) in [(100, 10_000, 0), (101, 10_002, 199)] {
            let names: Vec<_> = (0..side).map(|number| format!("a{number:03}")).collect();
            let before: Vec<_> = names.iter().map(String::as_str).collect();
            let first = before.iter().map(|name| node(name, &[]));
            let second = (0..side).map(|number| node(&format!("b{number:03}"), &before));
            let id = house.submit(job("", first.chain(second))).await;
            house.end_all(ended_well).await;
            let graph = house.read(id, GraphBounds::default()).await.graph;
            assert_eq!((graph.edges.len(), graph.edges_not_shown), (shown, not_shown));
            assert!(graph.svg().contains(" more dependencies are not shown") == (not_shown > 0));
        }
    });
}

#[test]
fn chain_goes_on_where_there_are_more_edges_than_are_kept() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let names = |layer: usize| (0..60).map(move |number| format!("l{layer}-{number:02}"));
        let layer = |layer: usize| {
            let before: Vec<_> = (layer > 0).then(|| names(layer - 1)).into_iter().flatten().collect();
            let before: Vec<_> = before.iter().map(String::as_str).collect();
            names(layer).map(|name| node(&name, &before)).collect::<Vec<_>>()
        };
        let id = house.submit(job("", (0..5).flat_map(layer))).await;
        house.end_all(ended_well).await;
        let story = house.story(id).await;
        assert_eq!(story.path.len(), 5, "{:?}", story.path);
        let not_shown = house.read(id, GraphBounds::default()).await.graph.edges_not_shown;
        assert!((1..=4_400).contains(&not_shown) && story.edges_not_shown == not_shown, "{not_shown}");
        assert!(story.to_string().contains(" dependencies between tasks\n"), "{story}");
    });
}

#[test]
fn wait_for_somebody_is_told_apart_from_runs_and_drawn_so() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("", [node("a", &[]), node("b", &["a"])])).await;
        house.begin().await.pass(5).end("a", 1, End::Waits(60_000)).await;
        let waits = house.story(id).await;
        assert!(waits.waits[0].messages[0].starts_with("it waits for somebody to complete it"), "{waits}");
        let job = house.store.job(id).await.expect("the store works").expect("it is there");
        let first = crate::job_story::first_wait(&house.store, &job).await.expect("the store works");
        assert_eq!(first, Some(waits.waits[0].clone()));
        house.pass(60_000).begin().await.pass(7).end("a", 1, End::Again(2_000)).await;
        house.pass(2_000).begin().await.pass(8).end("a", 1, End::Well).await;
        house.pass(9).end("b", 1, End::Well).await;
        let story = house.story(id).await;
        let step = &story.path[0];
        let told = (step.waited_ms, step.ran_ms, step.between_attempts_ms, step.for_somebody_ms);
        assert_eq!(told, (0, 20, 2_000, 60_000));
        assert!(told_of(&story, "`a`").ends_with("ran 20ms, between attempts 2s, waited for somebody 60s"), "{story}");
        let svg = house.read(id, GraphBounds::default()).await.graph.svg();
        let bars = ["class=\"wait\"", "class=\"wait somebody\""].map(|class| svg.matches(class).count());
        assert_eq!(bars, [2, 1], "the second task waited for the first, which waited for its next attempt: {svg}");
    });
}

/// The line of the longest chain with this in it.
fn told_of(story: &JobStory, name: &str) -> String {
    let text = story.to_string();
    text.lines().find(|line| line.contains(" % ") && line.contains(name)).unwrap_or_default().to_owned()
}

#[test]
fn chain_that_is_folded_is_no_circle() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let step = |number: u32| node(&format!("x.steps/{number:03}"), &[&format!("x.steps/{:03}", number - 1)]);
        let nodes =
            [node("x.steps/001", &[])].into_iter().chain((2..=60).map(step)).chain([node("x", &["x.steps/060"])]);
        let id = house.submit(job("", nodes)).await;
        house.end_all(ended_well).await;
        let read = house.read(id, GraphBounds::default()).await;
        let names: Vec<_> = read.graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!((names, read.graph.edges.len()), (vec!["x.steps/*", "x"], 1));
        let shown = house.read(id, GraphBounds::default().folding(100)).await;
        assert_eq!(shown.graph.path.len(), 61, "every step is on the chain");
    });
}

#[test]
fn chain_goes_through_what_ended_last() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id =
            house.submit(job("", [node("a", &[]), node("b", &[]), node("c", &["a", "b"]), node("d", &["a"])])).await;
        house.begin().await.pass(10).end("b", 1, End::Well).await;
        house.pass(30).end("a", 1, End::Well).await;
        house.pass(5).end("d", 1, End::Well).await;
        house.pass(60).end("c", 1, End::Well).await;
        let story = house.story(id).await;
        let steps: Vec<_> = story.path.iter().map(|step| (step.name.as_str(), step.ran_ms, step.share)).collect();
        assert_eq!(steps, [("a", 40, 38), ("c", 65, 61)]);
        assert_eq!(story.took_ms, 105);
    });
}

#[test]
fn unknown_job_is_none_and_one_without_tasks_has_a_story() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let unknown = sunaba_task::job::JobId::from_bytes([9; 16]);
        let none = crate::job_story::explain_job(&house.store, unknown, GraphBounds::default()).await;
        assert_eq!(none.expect("the store works"), None);
        let id = house.submit(job("empty", [])).await;
        let story = house.story(id).await;
        assert_eq!((story.conclusion.as_str(), story.path.len()), ("it succeeded", 0));
        assert!(house.read(id, GraphBounds::default()).await.graph.svg().ends_with("</svg>\n"));
    });
}

#[test]
fn what_others_have_said_is_inert_in_a_story() {
    sunaba_store::conformance::run(async {
        let house = House::new().await;
        let id = house.submit(job("\x1b[2J\nname", [node("a", &[])])).await;
        house.begin().await.end("a", 1, End::Dead("\x1b]0;owned\x07\r\nsecond line \u{202e}")).await;
        let text = house.story(id).await.to_string();
        assert!(text.chars().all(|c| c == '\n' || !crate::job_story::plain::is_command(c)), "{text:?}");
        assert_eq!(text.lines().filter(|line| line.contains("second line")).count(), 2, "{text}");
    });
}
