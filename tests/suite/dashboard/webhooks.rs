//! Webhooks by forms alone: made, tried, changed and removed, and what came of their deliveries.

use serde_json::json;

use super::visits::{guarded, signed_in};
use super::{Browser, Page, receiver};
use crate::support::Host;

/// The secret that a page shows.
fn secret(page: &Page) -> String {
    let (_, rest) = page.body.split_once("<code class=\"secret\">").unwrap_or_else(|| panic!("{}", page.body));
    rest.split('<').next().expect("its text").to_owned()
}

/// A page as soon as it says this.
fn until(browser: &mut Browser, path: &str, text: &str) -> Page {
    loop {
        let page = browser.open(path);
        if page.has(text) {
            return page;
        }
        std::thread::yield_now();
    }
}

#[test]
fn webhook_is_made_tried_changed_and_removed_by_forms() {
    let host = Host::start(&receiver::LOCAL);
    let url = format!("http://{}/hooks/T0K3N", receiver::start("200 OK", "taken, thanks"));
    let mut browser = Browser::of(&host);
    let list = browser.open("/ui/webhooks");
    assert!(list.has("Nobody is told of anything yet"), "{}", list.body);
    let own = "/ui/webhooks/billing";
    let good = [("name", "billing"), ("url", &*url), ("events", "task.dead, job.*"), ("queues", "mail default")];
    for (place, wrong, told) in
        [(1, "ftp://example.com/x", "ftp"), (2, "task.deat", "task.deat"), (0, "no way", "no way")]
    {
        let mut fields = good;
        fields[place].1 = wrong;
        let refused = browser.post("/ui/webhooks", &list, &fields);
        assert!(refused.status >= 400 && refused.note().contains(told), "{}: {}", refused.status, refused.body);
        assert!(refused.has(&format!("value=\"{}\"", fields[1].1)), "what was written stays: {}", refused.body);
    }
    assert!(host.lines(&["webhook", "list"]).is_empty(), "nothing was made");
    let made = browser.post("/ui/webhooks", &list, &good);
    let first = secret(&made);
    assert!(made.status == 200 && first.starts_with("whsec_"), "{}", made.body);
    let shown = host.json(&["webhook", "show", "billing"]);
    assert_eq!(
        (&shown["events"], &shown["queues"], &shown["url"]),
        (&json!(["task.dead", "job.*"]), &json!(["mail", "default"]), &json!(url))
    );
    assert_eq!(browser.post("/ui/webhooks", &list, &good).status, 412, "one that is there is not changed by that");
    // In the list is where it leads, and not what may be a secret of it.
    let list = browser.open("/ui/webhooks");
    assert!(list.has(">billing</strong>") && list.has("http://127.0.0.1:") && !list.has("T0K3N"), "{}", list.body);
    let page = browser.open(own);
    for page in [&list, &page] {
        assert!(!page.has("whsec_"), "a secret is shown once: {}", page.body);
    }

    let tried = browser.post(own, &page, &[("action", "test")]);
    let delivery = tried.header("location").expect("its delivery").to_owned();
    assert!(delivery.starts_with("/ui/webhooks/billing/deliveries/"), "{delivery}");
    let told = until(&mut browser, &delivery, ">delivered</span>");
    assert!(told.has("taken, thanks") && told.has(">200</span>") && told.has("What was sent"), "{}", told.body);
    assert!(told.has("&#34;type&#34;") || told.has("&quot;type&quot;"), "the body: {}", told.body);
    let again = browser.post(&delivery, &told, &[("action", "resend")]);
    let resent = again.header("location").expect("its delivery").to_owned();
    assert_ne!(resent, delivery);
    until(&mut browser, &resent, ">delivered</span>");
    assert!(browser.open(&delivery).has("It was sent again, as"));
    assert_eq!(host.json(&["webhook", "show", "billing"])["delivered"], json!(2));

    assert_eq!(browser.act(own, &page, &[("action", "disable")]), "billing is disabled");
    assert_eq!(host.json(&["webhook", "show", "billing"])["enabled"], json!(false));
    assert_eq!(browser.act(own, &page, &[("action", "enable")]), "billing is enabled");
    let shown = host.json(&["webhook", "show", "billing"]);
    assert_eq!((&shown["enabled"], &shown["queues"]), (&json!(true), &json!(["mail", "default"])), "all else stays");
    let page = browser.open(own);
    let set = [("action", "set"), ("url", &*url), ("events", "task.succeeded"), ("tags", "a b, c")];
    let revision = shown["revision"].to_string();
    assert_eq!(browser.act(own, &page, &[&set[..], &[("revision", &*revision)]].concat()), "billing is changed");
    let shown = host.json(&["webhook", "show", "billing"]);
    assert_eq!((&shown["tags"], &shown["queues"]), (&json!(["a b", "c"]), &json!([])));
    let late = browser.act(own, &page, &[&set[..], &[("revision", &*revision)]].concat());
    assert!(late.contains("revision"), "{late}");

    let asked = browser.post(own, &page, &[("action", "rotate"), ("overlap", "2d")]);
    assert!(
        asked.has("Make a new secret for billing?") && asked.has("name=\"overlap\" value=\"2d\""),
        "{}",
        asked.body
    );
    let rotated = browser.post(own, &asked, &[("action", "rotate"), ("overlap", "2d"), ("sure", "yes")]);
    assert!(secret(&rotated) != first && rotated.has("signs beside it until"), "{}", rotated.body);
    let shown = host.json(&["webhook", "show", "billing"]);
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(2));
    assert!(browser.open(own).has(">Secrets</h2>"));
    let asked = browser.post(own, &page, &[("action", "delete")]);
    assert!(asked.has("Remove the webhook billing?"), "{}", asked.body);
    let gone = browser.act(own, &asked, &[("action", "delete"), ("sure", "yes")]);
    assert_eq!(gone, "the webhook billing is removed");
    assert_eq!(browser.get(own).status, 404);
}

#[test]
fn deliveries_that_were_not_taken_are_found_and_say_why() {
    let host = Host::start(&receiver::LOCAL);
    host.deploy("hello");
    let gone = format!("http://{}/", receiver::start("410 Gone", "no such hook"));
    host.ok(&["webhook", "add", "gone", &gone, "--event=task.submitted"]);
    host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#]);
    let mut browser = Browser::of(&host);
    let list = until(&mut browser, "/ui/webhooks", "disabled: the endpoint answered 410 Gone");
    assert!(list.has(">stopped</span>"), "{}", list.body);
    let page = until(&mut browser, "/ui/webhooks/gone?failed=true", ">given up</span>");
    assert!(page.has("task.submitted") && page.has("It is told of nothing"), "{}", page.body);
    let (_, rest) = page.body.split_once("/ui/webhooks/gone/deliveries/").expect("a delivery");
    let id = rest.split('"').next().expect("an id").to_owned();
    let delivery = browser.open(&format!("/ui/webhooks/gone/deliveries/{id}"));
    assert!(delivery.has("the endpoint answered 410") && delivery.has("no such hook"), "{}", delivery.body);
    let good = format!("http://{}/", receiver::start("200 OK", ""));
    host.ok(&["webhook", "add", "good", &good, "--event=task.submitted"]);
    host.ok(&["webhook", "test", "good"]);
    assert!(until(&mut browser, "/ui/webhooks/good", ">delivered</span>").has("answered 200"));
    assert!(browser.open("/ui/webhooks/good?failed=true").has("All that was sent was taken"));
}

#[test]
fn webhooks_are_shown_to_operators_and_changed_by_administrators() {
    let (host, admin) = guarded();
    let key = |scope: &str| host.ok(&["key", "create", scope, "--scope", scope, "--api-key", &admin]);
    let add = ["webhook", "add", "billing", "https://example.com/T0K3N", "--event=task.dead", "--disabled"];
    host.ok(&[&add[..], &["--api-key", &admin]].concat());
    let mut reader = signed_in(&host, &key("read"));
    assert!(!reader.open("/ui/queues").has("/ui/webhooks"), "a way that leads nowhere");
    for path in ["/ui/webhooks", "/ui/webhooks/billing"] {
        assert_eq!(reader.get(path).status, 403, "{path}");
    }
    let mut operator = signed_in(&host, &key("operate"));
    let page = operator.open("/ui/webhooks/billing");
    assert!(page.has("value=\"test\""), "{}", page.body);
    for button in ["value=\"set\"", "value=\"rotate\"", "value=\"delete\"", "value=\"enable\""] {
        assert!(!page.has(button), "{button}");
    }
    assert!(!operator.open("/ui/webhooks").has("A new webhook"));
    for action in ["enable", "set"] {
        let refused =
            operator.act("/ui/webhooks/billing", &page, &[("action", action), ("url", "https://example.com/")]);
        assert!(refused.contains("this takes the scope `admin`"), "{refused}");
    }
    let mut boss = signed_in(&host, &admin);
    let page = boss.open("/ui/webhooks/billing");
    assert_eq!(boss.act("/ui/webhooks/billing", &page, &[("action", "enable")]), "billing is enabled");
    let log = boss.open("/ui/audit");
    assert!(log.has("webhook.put") && log.has("(admin)"), "{}", log.body);
}
