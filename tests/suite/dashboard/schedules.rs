//! Schedules, and limits of queues that have nothing yet, made and changed by forms alone.

use serde_json::json;

use super::Browser;
use crate::support::Host;

#[test]
fn schedule_is_made_by_a_form_and_its_task_changed() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/schedules");
    assert!(page.has("<option value=\"hello/hello\">"), "{}", page.body);
    let good = [
        ("name", "nightly"),
        ("cron", "0 3 * * *"),
        ("time_zone", "Europe/Berlin"),
        ("handler", "hello/hello"),
        ("queue", "mail"),
        ("overlap", "queue"),
        ("catch_up", "all(3)"),
        ("jitter_ms", "1,000"),
        ("input", "{\"name\": \"Ada\"}"),
        ("paused", "on"),
    ];
    // What is wrong is told with all that was written, to be mended there.
    for (place, wrong, told) in [(1, "often", "often"), (3, "nothing/here", "nothing"), (8, "{", "`input` is no JSON")]
    {
        let mut fields = good;
        fields[place].1 = wrong;
        let refused = browser.post("/ui/schedules", &page, &fields);
        assert!(refused.status >= 400 && refused.note().contains(told), "{}: {}", refused.status, refused.body);
        assert!(refused.has("value=\"Europe/Berlin\"") && refused.has("value=\"all(3)\""), "{}", refused.body);
        assert!(refused.has("<option selected>queue</option>"), "{}", refused.body);
    }
    assert!(host.lines(&["schedule", "list"]).is_empty(), "nothing was made");
    let made = browser.post("/ui/schedules", &page, &good);
    assert_eq!(made.header("location"), Some("/ui/schedules/nightly"), "{}", made.body);
    assert_eq!(browser.follow(&made).note(), "the schedule nightly is made");
    let shown = host.json(&["schedule", "get", "nightly"]);
    assert_eq!(
        (&shown["time_zone"], &shown["overlap"], &shown["catch_up"], &shown["jitter_ms"], &shown["paused"]),
        (&json!("Europe/Berlin"), &json!("queue"), &json!("all(3)"), &json!(1000), &json!(true))
    );
    assert_eq!((&shown["task"]["input"], &shown["task"]["queue"]), (&json!({"name": "Ada"}), &json!("mail")));
    let again = browser.post("/ui/schedules", &page, &good);
    assert!(again.status == 412, "one that is there is not made again: {}", again.body);

    let own = "/ui/schedules/nightly";
    let page = browser.open(own);
    assert!(page.has("name=\"revision\" value=\"1\"") && page.has("<textarea name=\"task\""), "{}", page.body);
    let task = r#"{"handler": "hello/hello", "input": {"name": "Grace"}, "priority": 7}"#;
    let fields = [("action", "task"), ("revision", "1"), ("task", task)];
    assert_eq!(browser.act(own, &page, &fields), "nightly is changed");
    let shown = host.json(&["schedule", "get", "nightly"]);
    assert_eq!((&shown["task"]["input"]["name"], &shown["task"]["priority"]), (&json!("Grace"), &json!(7)));
    assert_eq!((&shown["cron"], &shown["jitter_ms"]), (&json!("0 3 * * *"), &json!(1000)), "the calendar stays");
    // Of what somebody else has changed meanwhile nothing is lost.
    let late = browser.act(own, &page, &[("action", "set"), ("revision", "1"), ("cron", "1 1 1 1 *")]);
    assert!(late.contains("revision"), "{late}");
    assert_eq!(host.json(&["schedule", "get", "nightly"])["cron"], json!("0 3 * * *"));
}

#[test]
fn queue_that_has_nothing_yet_is_found_by_its_name_and_limited() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let list = browser.open("/ui/queues");
    assert!(list.has("Set limits before anything comes"), "{}", list.body);
    let found = browser.get("/ui/queues?name=print");
    assert_eq!((found.status, found.header("location")), (303, Some("/ui/queues/print")));
    let page = browser.open("/ui/queues/print");
    let limits = [("action", "limits"), ("concurrency", "2")];
    assert_eq!(browser.act("/ui/queues/print", &page, &limits), "queue print is set");
    assert!(browser.open("/ui/queues").has("2 at a time"));
}
