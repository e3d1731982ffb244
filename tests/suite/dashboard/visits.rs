//! Who is shown what: pages with and without anything on them, keys and their scopes, tokens of forms, and other sites.

use rustix::process::Signal;

use super::{Browser, PAGES};
use crate::support::Host;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A host that asks for keys, and one that may do everything.
pub(super) fn guarded() -> (Host, String) {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let admin = host.ok(&["key", "create", "admin", "--scope", "admin"]);
    let (code, said) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    host.add_arguments(&["--require-keys"]);
    host.restart();
    (host, admin)
}

pub(super) fn signed_in(host: &Host, key: &str) -> Browser {
    let mut browser = Browser::of(host);
    let login = browser.open("/ui/login");
    let answer = browser.post("/ui/login", &login, &[("key", key)]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/ui/overview")), "{}", answer.body);
    browser
}

#[test]
fn every_page_is_there_with_nothing_to_show_and_with_something() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let home = browser.get("/");
    assert_eq!((home.status, home.header("location")), (303, Some("/ui/overview")));
    for path in PAGES {
        let page = browser.open(path);
        for part in
            ["<!doctype html>", "<html lang=\"en\"", "<main id=\"main\"", "class=\"skip\"", "<h1>", "name=\"viewport\""]
        {
            assert!(page.has(part), "{path} has no {part}");
        }
        assert!(page.has("aria-current=\"page\""), "{path}");
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(!page.has("<style") && !page.has(" style=") && !page.has(" onclick"), "{path}");
        assert_eq!(page.body.matches("<script").count(), 1, "{path}");
    }
    host.deploy("hello");
    host.deploy("retry-or-fail");
    let good = host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#, "--tag", "first"]);
    let dead = host.ok(&["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"fatal"}"#]);
    host.until(&good, "succeeded");
    host.until_dead(&dead);
    host.ok(&["schedule", "create", "nightly", "--cron", "0 3 * * *", "hello/hello", "--input", r#"{"name":"Ada"}"#]);
    for path in PAGES {
        browser.open(path);
    }
    let task = browser.open(&format!("/ui/tasks/{good}"));
    assert!(
        task.has("Hello, Ada!") && task.has("Receipt:") && task.has("Timeline") && task.has("first"),
        "{}",
        task.body
    );
    let failed = browser.open(&format!("/ui/tasks/{dead}"));
    assert!(failed.has("Why it failed") && failed.has("Edit and run again"), "{}", failed.body);
    let group = browser.open("/ui/dead?handler=retry-or-fail%2Fretry-or-fail&kind=fatal");
    assert!(group.has("retry-or-fail"), "{}", group.body);
    for path in ["/ui/queues/default", "/ui/handlers/hello", "/ui/handlers/hello/hello", "/ui/schedules/nightly"] {
        assert!(browser.open(path).has("<h1>"), "{path}");
    }
    assert!(browser.open("/ui/handlers/hello").has("wasi:cli/environment"));
    let raw = browser.open(&format!("/ui/tasks/{good}/raw"));
    assert_eq!(raw.header("content-type"), Some("application/json"));
    let input = browser.open(&format!("/ui/tasks/{good}/input"));
    assert_eq!(
        (&*input.body, input.header("content-disposition")),
        (r#"{"name":"Ada"}"#, Some("attachment; filename=\"input\""))
    );
    assert_eq!(browser.get("/ui/nothing").status, 404);
    assert_eq!(browser.get("/ui/tasks/nothing").status, 422);
}

#[test]
fn assets_are_kept_by_browsers_and_pages_are_not() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/overview");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let style =
        page.body.split("href=\"/ui/assets/").nth(2).and_then(|rest| rest.split('"').next()).expect("a style sheet");
    let style = browser.open(&format!("/ui/assets/{style}"));
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert!(style.header("cache-control").is_some_and(|kept| kept.contains("immutable")));
    assert_eq!(browser.get("/ui/assets/none.css").status, 404);
}

#[test]
fn form_of_another_visit_is_refused_and_its_own_is_taken() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/queues");
    let fields = [("action", "pause")];
    let without = browser.send("/ui/queues/mail", &fields);
    assert_eq!(without.status, 403);
    assert!(without.has("no token of this visit") && without.has("<main"), "{}", without.body);
    let mut other = Browser::of(&host);
    let foreign = other.open("/ui/queues");
    assert_eq!(browser.post("/ui/queues/mail", &foreign, &fields).status, 403);
    // A token without its cookie is as good as none.
    let mut bare = Browser::of(&host);
    assert_eq!(bare.post("/ui/queues/mail", &page, &fields).status, 403);
    assert!(host.lines(&["queue", "list"]).iter().all(|queue| queue["name"] != "mail"), "nothing was done");
    assert_eq!(browser.act("/ui/queues/mail", &page, &fields), "queue mail is paused");
    assert!(host.lines(&["queue", "list"]).iter().any(|queue| queue["name"] == "mail" && queue["paused"] == true));
}

#[test]
fn other_sites_change_nothing_on_a_host_that_is_open() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let token = browser.open("/ui/queues").token();
    let body = format!("csrf={token}&action=pause");
    let post = "POST /ui/queues/mail";
    for headers in [
        "Origin: https://example.org\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let refused = browser.ask(post, &format!("{headers}{FORM}"), &body);
        assert_eq!(refused.status, 403, "{headers}");
        assert!(refused.has("<h1>"), "a page says so: {}", refused.body);
    }
    let rebound = browser.ask(post, &format!("Host: evil.example.org\r\n{FORM}"), &body);
    assert_eq!(rebound.status, 421);
    // Whoever follows a link to a page is shown it, at the second request, which brings the cookie; the first takes none away.
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let first = browser.ask("GET /ui/queues?name=a%22b", link, "");
    assert!(
        first.status == 200 && first.has("http-equiv=\"refresh\"") && first.has("/ui/queues?name=a%22b"),
        "{}",
        first.body
    );
    assert_eq!(browser.open("/ui/queues").token(), token, "the visit is the same");
    assert_eq!(browser.ask("GET /v1/queues", link, "").status, 403);
    let frame = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n";
    assert_eq!(browser.ask("GET /ui/queues", frame, "").status, 403);
    let own = format!("Origin: {}\r\nSec-Fetch-Site: same-origin\r\n{FORM}", host.address);
    assert_eq!(browser.ask(post, &own, &body).status, 303);
    let json = browser.ask(post, "Content-Type: application/json\r\n", "{}");
    assert_eq!(json.status, 415);
}

#[test]
fn visitor_with_a_key_sees_and_does_what_the_key_may() {
    let (host, admin) = guarded();
    let mut stranger = Browser::of(&host);
    for path in PAGES {
        let page = stranger.get(path);
        let to = page.header("location").unwrap_or_default();
        assert!(page.status == 303 && to.starts_with("/ui/login?to=%2Fui%2F"), "{path}: {} {to}", page.status);
    }
    let login = stranger.open("/ui/login?to=%2Fui%2Ftasks");
    assert!(login.has("value=\"/ui/tasks\"") && !login.has("class=\"side\""), "{}", login.body);
    let wrong = format!("sunaba_{}", "0".repeat(64));
    for key in ["nonsense", &wrong] {
        let refused = stranger.post("/ui/login", &login, &[("key", key)]);
        assert_eq!(refused.status, 401, "{}", refused.body);
        assert!(!refused.has(&wrong), "a key is not shown again");
    }
    assert_eq!(stranger.post("/ui/queues/mail", &login, &[("action", "pause")]).status, 303, "to the login");

    let create = |scope: &str| host.ok(&["key", "create", scope, "--scope", scope, "--api-key", &admin]);
    let mut reader = signed_in(&host, &create("read"));
    let queues = reader.open("/ui/queues");
    assert!(!queues.has("value=\"pause\"") && !queues.has("/ui/keys"), "{}", queues.body);
    let refused = reader.act("/ui/queues/mail", &queues, &[("action", "pause"), ("back", "/ui/queues")]);
    assert!(refused.contains("this takes the scope `operate`"), "{refused}");
    for path in ["/ui/keys", "/ui/audit", "/ui/settings"] {
        assert_eq!(reader.get(path).status, 403, "{path}");
    }
    let mut operator = signed_in(&host, &create("operate"));
    let page = operator.open("/ui/queues");
    let done = operator.act("/ui/queues/mail", &page, &[("action", "pause"), ("back", "/ui/queues")]);
    assert_eq!(done, "queue mail is paused");
    let mut boss = signed_in(&host, &admin);
    let log = boss.open("/ui/audit");
    assert!(log.has("queue.set") && log.has("(operate)"), "{}", log.body);
    let page = boss.open("/ui/overview");
    assert!(page.has("Sign out") && page.has("/ui/keys"));
    let out = boss.post("/ui/logout", &page, &[]);
    assert_eq!(out.header("location"), Some("/ui/login"));
    assert_eq!(boss.get("/ui/overview").status, 303);
}

#[test]
fn visitor_is_signed_out_when_their_key_is_revoked() {
    let (host, admin) = guarded();
    let key = host.ok(&["key", "create", "other", "--scope", "operate", "--api-key", &admin]);
    let mut browser = signed_in(&host, &key);
    let mut boss = signed_in(&host, &admin);
    let keys = boss.open("/ui/keys");
    let (_, row) = keys.body.split_once("<strong>other</strong>").expect("its row");
    let id = row.split_once("<code>").and_then(|(_, rest)| rest.split('<').next()).expect("an id").to_owned();
    let path = format!("/ui/keys/{id}");
    let ask = boss.post(&path, &keys, &[]);
    assert!(ask.status == 200 && ask.has("Revoke the key"), "{}", ask.body);
    browser.open("/ui/tasks");
    let told = boss.act(&path, &ask, &[("sure", "yes")]);
    assert!(told.contains("is revoked"), "{told}");
    assert_eq!(browser.get("/ui/tasks").status, 303, "signed out");
}

#[test]
fn key_that_is_bound_to_a_queue_sees_that_queue_alone() {
    let (host, admin) = guarded();
    let submit = |queue: &str| {
        let input = r#"{"name":"Ada"}"#;
        host.ok(&["task", "submit", "hello/hello", "--queue", queue, "--input", input, "--api-key", &admin])
    };
    host.ok(&["queue", "pause", "mail", "--api-key", &admin]);
    let (mail, print) = (submit("mail"), submit("print"));
    let arguments = ["key", "create", "mail", "--scope", "operate", "--queue", "mail", "--api-key", &admin];
    let mut browser = signed_in(&host, &host.ok(&arguments));
    assert!(browser.open("/ui/overview").has(">mail</a>"));
    let tasks = browser.open("/ui/tasks");
    assert!(tasks.has(&mail) && !tasks.has(&print), "{}", tasks.body);
    assert_eq!(browser.get(&format!("/ui/tasks/{print}")).status, 404);
    assert_eq!(browser.get(&format!("/ui/tasks/{print}/input")).status, 404);
    assert!(!tasks.has("/ui/workers") && !tasks.has("/ui/incidents"));
}
