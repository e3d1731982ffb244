//! What somebody may make the dashboard do or hold who has no key, or one, or sends what no page of it would.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::visits::{guarded, signed_in};
use super::{Browser, Page};
use crate::support::Host;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
/// The largest form of somebody who has not signed in.
const MAX_STRANGER_BYTES: usize = 64 << 10;

/// A form of this many bytes, with the token of this page.
fn sized(browser: &mut Browser, path: &str, shown: &Page, bytes: usize) -> Page {
    let start = format!("csrf={}&action=limits&key=", shown.token());
    let body = format!("{start}{}", "x".repeat(bytes - start.len()));
    browser.ask(&format!("POST {path}"), FORM, &body)
}

#[test]
fn form_of_a_stranger_obeyed_and_violated() {
    let (host, admin) = guarded();
    let mut stranger = Browser::of(&host);
    let login = stranger.open("/ui/login");
    assert_eq!(sized(&mut stranger, "/ui/login", &login, MAX_STRANGER_BYTES).status, 401, "it is read, and no key");
    let refused = sized(&mut stranger, "/ui/login", &login, MAX_STRANGER_BYTES + 1);
    assert!(refused.status == 413 && refused.has("64.0 KiB"), "{}", refused.body);
    // Whoever has signed in may send an input.
    let mut boss = signed_in(&host, &admin);
    let page = boss.open("/ui/queues");
    assert_eq!(sized(&mut boss, "/ui/queues/mail", &page, 8 * MAX_STRANGER_BYTES).status, 303);
}

/// The status that is answered to a head of which the body never comes.
fn status_before_the_body(host: &Host, path: &str, cookies: &str) -> String {
    let address = host.address.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(address).expect("it listens");
    // Less than a body may take to arrive.
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{cookies}{FORM}Content-Length: 3000000\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("it answers without the body");
    String::from_utf8(status.to_vec()).expect("text")
}

#[test]
fn nothing_is_read_of_a_form_that_cannot_be_taken() {
    let (host, _) = guarded();
    assert_eq!(status_before_the_body(&host, "/ui/queues/mail", ""), "HTTP/1.1 303", "to the login");
    let cookie = format!("Cookie: sunaba_visit_{}=x\r\n", host.address.rsplit(':').next().expect("a port"));
    assert_eq!(status_before_the_body(&host, "/ui/login", &cookie), "HTTP/1.1 403", "there is no visit of ours");
    let open = Host::start(&[]);
    assert_eq!(status_before_the_body(&open, "/ui/queues/mail", ""), "HTTP/1.1 403", "nobody has shown it a form");
}

#[test]
fn name_of_what_is_meant_obeyed_and_violated() {
    let host = Host::start(&[]);
    let mut browser = Browser::of(&host);
    let page = browser.open("/ui/tasks");
    let id = "00000000-0000-0000-0000-000000000001";
    for (path, action) in [("/ui/tasks/bulk", "cancel"), ("/ui/dead", "redrive")] {
        let named = browser.act(path, &page, &[("action", action), ("id", id)]);
        assert!(named.contains("there is no task"), "{named}");
        for ids in [&[("id", "")][..], &[("id", id), ("id", " ")]] {
            let refused = browser.post(path, &page, &[&[("action", action)], ids].concat());
            assert!(refused.status == 400 && refused.has("an `id` of the form is empty"), "{}", refused.body);
            assert!(refused.has("<h1>Bad Request</h1>") && refused.has("choose again"), "{}", refused.body);
        }
    }
    let unnamed = browser.post("/ui/webhooks", &page, &[("url", "https://example.com/"), ("events", "*")]);
    assert!(unnamed.status == 400 && unnamed.has("the name or id of what is meant is empty"), "{}", unnamed.body);
    for path in ["/ui/tasks/", "/ui/webhooks/x/deliveries/", "/ui/queues/"] {
        assert_eq!(browser.get(path).status, 404, "{path}");
    }
}

/// Of which one page in a thousand would tell: what is read of keys is read once for all who look.
#[test]
fn no_page_asks_the_store_for_keys_itself() {
    let mut folders = vec![crate::support::root().join("runtime/crates/server/src/ui")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            assert!(!text.contains(".api_keys("), "{} asks the store; `Keys` has it", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
}
