//! What is done on the dashboard, by forms alone.

use serde_json::json;

use super::Browser;
use crate::support::Host;

const ADA: &str = r#"{"name":"Ada"}"#;

fn submit(host: &Host, more: &[&str]) -> String {
    host.ok(&[&["task", "submit", "hello/hello", "--input", ADA][..], more].concat())
}

#[test]
fn queue_is_paused_limited_and_resumed() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/queues");
    assert_eq!(browser.act("/ui/queues/mail", &page, &[("action", "pause")]), "queue mail is paused");
    let fields =
        [("action", "limits"), ("concurrency", "3"), ("rate", "100/1s"), ("max_depth", "1,000"), ("weight", "")];
    assert_eq!(browser.act("/ui/queues/mail", &page, &fields), "queue mail is set");
    let queues = host.lines(&["queue", "list"]);
    let mail = queues.iter().find(|queue| queue["name"] == "mail").expect("it is there");
    assert_eq!((&mail["concurrency"], &mail["rate"], &mail["max_depth"]), (&json!(3), &json!("100/1s"), &json!(1000)));
    let shown = browser.open("/ui/queues/mail");
    assert!(shown.has("value=\"100/1s\"") && shown.has("paused"), "{}", shown.body);
    let wrong = browser.act("/ui/queues/mail", &page, &[("action", "limits"), ("rate", "<fast>")]);
    assert!(wrong.contains("`&#60;fast&#62;` is not a rate"), "{wrong}");
    let other = browser.post("/ui/queues/mail", &page, &[("action", "explode")]);
    assert_eq!(other.status, 422);
    assert_eq!(browser.act("/ui/queues/mail", &page, &[("action", "resume")]), "queue mail is resumed");
}

#[test]
fn tasks_are_found_by_filters_and_by_words() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "pause", "mail"]);
    let mail = submit(&host, &["--queue", "mail", "--tag", "red"]);
    let other = submit(&host, &[]);
    host.until(&other, "succeeded");
    let mut browser = Browser::of(&host);
    for (query, finds) in [
        ("queue=mail", (true, false)),
        ("state=succeeded", (false, true)),
        ("state=succeeded&state=queued", (true, true)),
        ("state=succeeded,queued&tag=red", (true, false)),
        ("handler=hello", (true, true)),
        ("handler=hello%2Fhello&queue=default", (false, true)),
        ("from=2000-01-01T00:00", (true, true)),
        ("until=2000-01-01T00:00", (false, false)),
    ] {
        let page = browser.open(&format!("/ui/tasks?{query}"));
        assert_eq!((page.has(&mail), page.has(&other)), finds, "{query}");
    }
    for (words, to) in [
        (mail.as_str(), format!("/ui/tasks/{mail}")),
        ("hello/hello", "/ui/tasks?handler=hello%2Fhello".to_owned()),
        ("red", "/ui/tasks?tag=red".to_owned()),
        ("queue:mail", "/ui/tasks?queue=mail".to_owned()),
        ("job:x y", "/ui/jobs/x%20y".to_owned()),
    ] {
        let answer = browser.get(&format!("/ui/tasks?q={}", super::encoded(words)));
        assert_eq!((answer.status, answer.header("location")), (303, Some(to.as_str())), "{words}");
    }
}

#[test]
fn bulk_actions_ask_before_they_do_what_cannot_be_taken_back() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "pause", "mail"]);
    let ids: Vec<_> = (0..3).map(|_| submit(&host, &["--queue", "mail"])).collect();
    let other = submit(&host, &["--delay", "1h"]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/tasks?queue=mail");
    let none = browser.act("/ui/tasks/bulk", &page, &[("action", "cancel"), ("which", "these")]);
    assert!(none.contains("no task is chosen"), "{none}");
    let one = browser.act("/ui/tasks/bulk", &page, &[("action", "cancel"), ("which", "these"), ("id", &ids[0])]);
    assert_eq!(one, "1 task cancelled");
    let all = [("action", "cancel"), ("which", "all"), ("filter", "queue=mail")];
    let asked = browser.post("/ui/tasks/bulk", &page, &all);
    assert!(asked.status == 200 && asked.has("Cancel all tasks that match the filter?"), "{}", asked.body);
    assert!(asked.has("name=\"filter\" value=\"queue=mail\"") && asked.has("name=\"sure\" value=\"yes\""));
    host.until(&ids[1], "queued");
    let done = browser.act("/ui/tasks/bulk", &asked, &[&all[..], &[("sure", "yes")]].concat());
    assert_eq!(done, "2 tasks cancelled");
    for id in &ids {
        host.until(id, "cancelled");
    }
    assert_eq!(host.json(&["task", "get", &other])["state"], "scheduled");
    let delete = [("action", "delete"), ("which", "these"), ("id", &*ids[0]), ("id", &*other)];
    let asked = browser.post("/ui/tasks/bulk", &page, &delete);
    assert!(asked.has("Delete 2 tasks?"), "{}", asked.body);
    let done = browser.act("/ui/tasks/bulk", &asked, &[&delete[..], &[("sure", "yes")]].concat());
    assert!(done.starts_with("1 task deleted; 1 not: "), "{done}");
}

#[test]
fn dead_letter_is_mended_and_run_again() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    let submit = || host.ok(&["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"fatal"}"#]);
    let ids: Vec<_> = (0..3).map(|_| submit()).collect();
    ids.iter().for_each(|id| host.until_dead(id));
    let mut browser = Browser::of(&host);
    let groups = browser.open("/ui/dead");
    let kind =
        groups.body.split_once("&amp;kind=").and_then(|(_, rest)| rest.split('"').next()).expect("a group").to_owned();
    let group = browser.open(&format!("/ui/dead?handler=retry-or-fail%2Fretry-or-fail&kind={kind}"));
    assert!(ids.iter().all(|id| group.has(id)), "{}", group.body);
    let own = format!("/ui/tasks/{}", ids[0]);
    let editor = browser.open(&format!("{own}?edit=1"));
    assert!(editor.has("<textarea name=\"input\"") && editor.has("{&#34;how&#34;:&#34;fatal&#34;}"), "{}", editor.body);
    let wrong = browser.act(&own, &editor, &[("action", "rerun"), ("input", "{"), ("media_type", "application/json")]);
    assert!(wrong.contains("no JSON"), "{wrong}");
    let fields = [("action", "rerun"), ("input", "{\"how\":\r\n\"succeed\"}"), ("media_type", "application/json")];
    let answer = browser.post(&own, &editor, &fields);
    let made = answer.header("location").and_then(|to| to.strip_prefix("/ui/tasks/")).expect("the new task").to_owned();
    assert_ne!(made, ids[0]);
    host.until(&made, "succeeded");
    assert!(browser.follow(&answer).note().starts_with("this is the new task, made of"));

    let redrive = [
        ("action", "redrive"),
        ("which", "group"),
        ("handler", "retry-or-fail/retry-or-fail"),
        ("kind", kind.as_str()),
    ];
    let asked = browser.post("/ui/dead", &groups, &redrive);
    assert!(asked.has("Run again the dead letters of retry-or-fail/retry-or-fail"), "{}", asked.body);
    let done = browser.act("/ui/dead", &asked, &[&redrive[..], &[("sure", "yes")]].concat());
    assert_eq!(done, "2 tasks run again");
    let purge = [("action", "purge"), ("id", ids[0].as_str()), ("sure", "yes")];
    assert_eq!(browser.act("/ui/dead", &groups, &purge), "1 task purged");
}

#[test]
fn schedule_worker_handler_and_retention_are_set_by_forms() {
    let host = Host::start(&["--concurrency", "2"]);
    host.deploy("hello");
    host.ok(&["schedule", "create", "nightly", "--cron", "0 3 * * *", "hello/hello", "--input", ADA]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/schedules/nightly");
    let own = "/ui/schedules/nightly";
    assert_eq!(browser.act(own, &page, &[("action", "pause")]), "nightly is paused");
    assert_eq!(browser.act(own, &page, &[("action", "resume")]), "nightly is resumed");
    let fields = [("action", "set"), ("cron", "30 4 * * *"), ("time_zone", "Europe/Berlin"), ("overlap", "queue")];
    assert_eq!(browser.act(own, &page, &fields), "nightly is changed");
    let shown = host.json(&["schedule", "get", "nightly"]);
    assert_eq!((&shown["cron"], &shown["time_zone"]), (&json!("30 4 * * *"), &json!("Europe/Berlin")));
    assert_eq!(shown["task"]["input"], json!({"name": "Ada"}), "what it makes stays");
    let made = browser.act(own, &page, &[("action", "trigger")]);
    assert!(made.starts_with("task ") && made.ends_with(" is made"), "{made}");
    let asked = browser.post(own, &page, &[("action", "delete")]);
    assert!(asked.has("Delete the schedule nightly?"), "{}", asked.body);
    assert_eq!(browser.act(own, &asked, &[("action", "delete"), ("sure", "yes")]), "the schedule nightly is deleted");

    let handler = "/ui/handlers/hello/hello";
    assert_eq!(browser.act(handler, &page, &[("action", "pause")]), "hello/hello is paused");
    let limits = [("action", "limits"), ("concurrency", "2"), ("breaker", "50%/20, 30s")];
    assert_eq!(browser.act(handler, &page, &limits), "hello/hello is set");
    assert!(browser.open(handler).has("value=\"50%/20, 30s\""));
    let worker = host.lines(&["workers", "list"])[0]["id"].as_str().expect("a name").to_owned();
    let slots = browser.act(&format!("/ui/workers/{worker}"), &page, &[("slots", "1")]);
    assert!(slots.contains("has 1 slot as asked"), "{slots}");
    let slots = browser.act(&format!("/ui/workers/{worker}"), &page, &[("slots", "2")]);
    assert!(slots.contains("has 2 slots as asked"), "{slots}");
    let kept = [("action", "retention"), ("result", "2d"), ("succeeded", "3d"), ("dead", "")];
    assert_eq!(browser.act("/ui/settings", &page, &kept), "what ends from now on is kept for so long");
    assert!(browser.open("/ui/settings").has("value=\"2"));
}

#[test]
fn key_is_made_and_shown_once() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/keys");
    let fields =
        [("name", "ci"), ("scope", "submit"), ("scope", "read"), ("queues", "mail, print"), ("expires", "90d")];
    let made = browser.post("/ui/keys", &page, &fields);
    assert!(made.status == 200 && made.has("<code class=\"secret\">sunaba_"), "{}", made.body);
    let again = browser.open("/ui/keys");
    assert!(!again.has("sunaba_"), "it is shown once");
    assert!(again.has("submit, read") && again.has("mail, print"), "{}", again.body);
    let none = browser.act("/ui/keys", &page, &[("name", "x")]);
    assert!(none.contains("a key without a scope may do nothing"), "{none}");
}

#[test]
fn theme_is_kept_in_a_cookie_and_leads_back() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/queues");
    assert!(page.has("data-theme=\"system\""));
    let dark = browser.post("/ui/theme", &page, &[("theme", "dark"), ("back", "/ui/queues")]);
    assert_eq!(dark.header("location"), Some("/ui/queues"));
    assert!(browser.open("/ui/tasks").has("data-theme=\"dark\""));
    let away = browser.post("/ui/theme", &page, &[("theme", "system"), ("back", "https://example.org/")]);
    assert_eq!(away.header("location"), Some("/ui/overview"));
    assert!(browser.open("/ui/tasks").has("data-theme=\"system\""));
}

#[test]
fn version_is_rolled_back_and_what_differs_is_shown() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let dice = crate::support::guest("dice").display().to_string();
    host.ok(&["handler", "deploy", &dice, "--name", "hello", "--allow-widening"]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/handlers/hello");
    assert!(page.has("From version 1 to 2") && page.has("dice"), "{}", page.body);
    let asked = browser.post("/ui/handlers/hello", &page, &[("action", "rollback"), ("to", "1")]);
    assert!(asked.has("Make version 1 of hello the active one?"), "{}", asked.body);
    let fields = [("action", "rollback"), ("to", "1"), ("sure", "yes")];
    assert_eq!(browser.act("/ui/handlers/hello", &asked, &fields), "version 1 of hello is active");
}
