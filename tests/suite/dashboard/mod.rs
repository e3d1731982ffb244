//! The dashboard as a browser without a script has it: pages, forms, cookies. What a script adds is looked at in a browser, by
//! `tests/dashboard`.

mod bounds;
mod forms;
mod inert;
mod receiver;
mod schedules;
mod visits;
mod webhooks;
mod words;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::Host;

/// Every page that needs no name in its path.
const PAGES: [&str; 13] = [
    "/ui/overview",
    "/ui/tasks",
    "/ui/jobs",
    "/ui/queues",
    "/ui/dead",
    "/ui/schedules",
    "/ui/webhooks",
    "/ui/handlers",
    "/ui/workers",
    "/ui/incidents",
    "/ui/keys",
    "/ui/audit",
    "/ui/settings",
];

/// A browser: it keeps cookies, and sends the forms that it was shown.
struct Browser {
    address: String,
    cookies: BTreeMap<String, String>,
}

/// What was answered.
struct Page {
    status: u16,
    head: String,
    body: String,
}

impl Page {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The token of its forms.
    fn token(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{}", self.body));
        rest.split('"').next().expect("a value").to_owned()
    }

    fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// What it says of what was done.
    fn note(&self) -> &str {
        let (_, rest) = self.body.split_once("<p class=\"note ").unwrap_or_else(|| panic!("no note: {}", self.body));
        rest.split_once('>').and_then(|(_, rest)| rest.split("</p>").next()).expect("a note")
    }
}

impl Browser {
    fn new(address: &str) -> Self {
        let address = address.strip_prefix("http://").unwrap_or(address).to_owned();
        Self { address, cookies: BTreeMap::new() }
    }

    fn of(host: &Host) -> Self {
        Self::new(&host.address)
    }

    /// A request as it goes over the wire.
    fn ask(&mut self, target: &str, headers: &str, body: &str) -> Page {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
        let host = if headers.contains("Host: ") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let request = format!(
            "{target} HTTP/1.1\r\n{host}{cookies}{headers}Accept: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers in time");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        for line in head.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie: ")) {
            let (cookie, rest) = line[12..].split_once("; ").expect("its attributes");
            assert!(
                rest.contains("HttpOnly") && rest.contains("SameSite=Strict") && rest.contains("Path=/ui"),
                "{line}"
            );
            let (name, value) = cookie.split_once('=').expect("a name");
            if rest.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn get(&mut self, path: &str) -> Page {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// A page that is there.
    fn open(&mut self, path: &str) -> Page {
        let page = self.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page
    }

    /// Sends fields, with the token of this page.
    fn post(&mut self, path: &str, shown: &Page, fields: &[(&str, &str)]) -> Page {
        let token = shown.token();
        self.send(path, &[&[("csrf", &*token)], fields].concat())
    }

    /// Sends these fields alone.
    fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        self.ask(&format!("POST {path}"), "Content-Type: application/x-www-form-urlencoded\r\n", &body)
    }

    /// The page to which an answer leads.
    fn follow(&mut self, answer: &Page) -> Page {
        assert_eq!(answer.status, 303, "{}", answer.body);
        let to = answer.header("location").expect("a way").to_owned();
        self.open(&to)
    }

    /// Sends a form of this page, and says what the page says to which that leads.
    fn act(&mut self, path: &str, shown: &Page, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, shown, fields);
        self.follow(&answer).note().to_owned()
    }
}

fn encoded(text: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
