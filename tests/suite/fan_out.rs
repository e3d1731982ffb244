//! Fan-out end to end: guests that return plans or ask for children, on a real host, to the join's output and the undone
//! bookings.

use serde_json::{Value, json};

use crate::support::{Host, root};

fn submit(host: &Host, handler: &str, input: &str) -> String {
    host.ok(&["task", "submit", handler, "--input", input])
}

/// What came of a task, once it has ended.
fn result(host: &Host, id: &str) -> Value {
    let output = host.sunaba(["task", "result", id, "--wait", "-o", "json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The tasks of a handler, oldest first.
fn tasks(host: &Host, handler: &str) -> Vec<Value> {
    let mut tasks = host.lines(&["task", "list", "--handler", handler]);
    tasks.reverse();
    tasks
}

fn states(tasks: &[Value]) -> Vec<&str> {
    tasks.iter().map(|task| task["state"].as_str().expect("text")).collect()
}

#[test]
fn text_is_counted_in_pieces_and_joined() {
    let host = Host::start(&["--concurrency", "4"]);
    host.deploy("word-count");
    let text = root().join("guest-examples/word-count/sample/tides.txt");
    let id = submit(&host, "word-count/word-count", &format!("@{}", text.display()));
    let result = result(&host, &id);
    assert_eq!(result["state"], "succeeded", "{result:#}");
    assert_eq!((&result["output"]["words"], &result["output"]["top"][0][0]), (&json!(883), &json!("the")));
    let pieces = tasks(&host, "word-count/count");
    assert_eq!(states(&pieces), vec!["succeeded"; pieces.len()]);
    assert!(pieces.len() > 3, "{pieces:#?}");
    assert_eq!(states(&tasks(&host, "word-count/report")), ["succeeded"]);
}

#[test]
fn empty_text_is_joined_all_the_same() {
    let host = Host::start(&[]);
    host.deploy("word-count");
    let id = submit(&host, "word-count/word-count", "");
    let result = result(&host, &id);
    assert_eq!((&result["state"], &result["output"]["words"]), (&json!("succeeded"), &json!(0)), "{result:#}");
}

#[test]
fn bookings_are_undone_the_last_first() {
    let host = Host::start(&["--concurrency", "4"]);
    host.deploy("saga");
    let id = submit(&host, "saga/trip", r#"{"traveller":"Ada","city":"Turin","sold_out":"car"}"#);
    let result = result(&host, &id);
    assert_eq!(result["state"], "dead", "{result:#}");
    // The parent has ended, and what it undoes may still be under way.
    while tasks(&host, "saga/cancel-flight").iter().all(|task| task["state"] != "succeeded") {
        std::thread::yield_now();
    }
    let (hotel, flight) = (tasks(&host, "saga/cancel-hotel"), tasks(&host, "saga/cancel-flight"));
    assert_eq!((states(&hotel), states(&flight)), (vec!["succeeded"], vec!["succeeded"]));
    let ended = |task: &Value| task["ended_at"].as_str().expect("an instant").to_owned();
    assert!(ended(&hotel[0]) <= ended(&flight[0]), "{hotel:#?} {flight:#?}");
    assert_eq!(tasks(&host, "saga/cancel-car"), [] as [Value; 0]);
    assert!(!states(&tasks(&host, "saga/itinerary")).contains(&"succeeded"));
}

#[test]
fn one_trip_of_many_that_cannot_be_had_is_told_and_all_are_undone() {
    let host = Host::start(&["--concurrency", "4"]);
    host.deploy("saga");
    let trip = |number| match number {
        8 => json!({"traveller": "Ada", "city": "Rome", "sold_out": "car"}),
        _ => json!({"traveller": format!("t{number}"), "city": "Rome"}),
    };
    let trips: Vec<_> = (1..=30).map(trip).collect();
    let job = json!({"nodes": [{"name": "trip", "map": {"handler": "saga/trip", "inputs": trips}}]});
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("job.json");
    std::fs::write(&file, job.to_string()).expect("it is written");
    let id = host.ok(&["job", "submit", &file.display().to_string()]);
    let ended = host.sunaba(["job", "get", &id, "--wait"]);
    assert_eq!(ended.status.code(), Some(7));
    let shown = crate::support::text(&ended.stdout);
    assert!(shown.contains("trip/08 is dead, 1 attempt\n             its child `car` did not succeed\n"), "{shown}");
    let story = host.ok(&["job", "explain", &id]);
    for said in [
        "failed       `trip/08 > car` by saga/book-car, dead after 1 attempt: attempt 1: sold-out: no car is left in Rome\n",
        "undone       89 tasks in all of the job, for `trip/08 > car`, which did not succeed\n",
        "end          it failed: `trip/08` did not succeed because of `trip/08 > car`, attempt 1: sold-out: no car is left in Rome; \
         what had succeeded in the job was undone, 89 tasks, the last first",
    ] {
        assert!(story.contains(said), "{said}: {story}");
    }
    assert!(!story.contains("split its work") && !story.contains("not shown"), "{story}");
}

#[test]
fn trip_that_can_be_had_is_booked_and_nothing_is_undone() {
    let host = Host::start(&[]);
    host.deploy("saga");
    let id = submit(&host, "saga/trip", r#"{"traveller":"Ada","city":"Turin"}"#);
    let result = result(&host, &id);
    assert_eq!(result["output"]["bookings"][2]["code"], "car/turin/ada", "{result:#}");
    assert_eq!(tasks(&host, "saga/cancel-hotel"), [] as [Value; 0]);
}

#[test]
fn many_crates_are_one_job_and_a_broken_one_is_a_line() {
    let examples = root().join("guest-examples");
    let host = Host::start(&["--allow-dir", &format!("{}:ro", examples.display())]);
    host.deploy("crate-audit");
    let dir = format!("{}::/crates", examples.display());
    let input = r#"{"root":"/crates","crates":["hello","crate-audit/sample","hostile"]}"#;
    let id = host.ok(&["task", "submit", "crate-audit/audit-all", "--dir", &dir, "--input", input]);
    let result = result(&host, &id);
    let summary = &result["output"];
    assert_eq!(summary["crates"], 2, "{result:#}");
    assert_eq!(summary["failed"], json!(["`crate/hostile` gave no output: it is dead"]));
}

#[test]
fn children_that_are_asked_for_are_made_and_awaited() {
    let host = Host::start(&["--concurrency", "4"]);
    host.deploy("resume");
    let id = submit(&host, "resume/spread", "3");
    let result = result(&host, &id);
    assert_eq!(result["output"].as_array().map(Vec::len), Some(3), "{result:#}");
    let children = tasks(&host, "resume/resume");
    assert_eq!(states(&children), ["succeeded"; 3]);
    for child in result["output"].as_array().expect("a list") {
        assert!(children.iter().any(|task| task["id"] == *child), "{child}");
    }
}
