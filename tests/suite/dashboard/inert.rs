//! What a guest, or whoever submits, has written is shown as text and as nothing else, wherever it is shown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sunaba_runtime::server::Server;
use sunaba_runtime::store::Expected;
use sunaba_runtime::task::job::{JobSpec, NewJob, Node};
use sunaba_runtime::task::webhook::WebhookSpec;
use sunaba_runtime::task::{
    Disposition, Failure, LogLevel, NewApiKey, NewTask, Outcome, Payload, Scope, Snooze, TaskId, TaskSpec,
};
use sunaba_runtime::{Native, Runtime, ScheduleRequest, TaskRequest, WebhookPolicy, WebhookRequest};
use tokio::sync::oneshot;

use super::{Browser, PAGES, Page, receiver};

const WAIT: Duration = Duration::from_secs(60);
/// How often a page is looked at until it shows something.
const LOOKS: usize = 2_000;
/// What would run as a script, leave an attribute, turn the direction of text, or clear a terminal.
const EVIL: &str = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>'\u{202e}gnp.exe\u{1b}[2J</textarea></pre>";
/// The same without control characters, for where these are refused.
const TAG: &str = "<script>alert(3)</script>\"'><blink>";

/// Fails, waits or succeeds with something evil.
async fn work(native: Native) -> Result<Outcome, Failure> {
    native.log(LogLevel::Info, EVIL);
    let input: serde_json::Value = native.json()?;
    match input["how"].as_str() {
        Some("fail") => {
            let detail = Some(Payload::json(json!({"evil": EVIL}).to_string()));
            Err(Failure { kind: "evil".into(), message: EVIL.into(), detail, disposition: Disposition::Fatal })
        }
        Some("wait") => Ok(Outcome::Snooze(Snooze {
            delay: Duration::from_secs(3_600),
            reason: EVIL.into(),
            until_completed: true,
        })),
        Some("text") => Ok(Outcome::Complete(Payload::new("text/html", EVIL.as_bytes().to_vec()))),
        _ => Ok(Outcome::Complete(Payload::json(json!({"evil": EVIL}).to_string()))),
    }
}

struct Served {
    threads: tokio::runtime::Runtime,
    host: Arc<Runtime>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

impl Served {
    fn start() -> Self {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let (host, server) = threads.block_on(async {
            let builder = Runtime::builder().concurrency(2).native("evil/evil", work);
            let loopback = vec!["127.0.0.1".parse().expect("an address")];
            let builder = builder.webhooks(WebhookPolicy { addresses: loopback, http: true });
            // So that what has failed is soon among the incidents.
            let builder = builder.watch(|watch| watch.interval = Duration::from_millis(10));
            let host = builder.start().await.expect("it starts");
            let server = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
            (Arc::new(host), server)
        });
        let (address, (stop, stopped)) = (server.address(), oneshot::channel());
        threads.spawn(server.serve(Arc::clone(&host), async move { stopped.await.unwrap_or_default() }));
        Self { threads, host, address, stop: Some(stop) }
    }

    fn request(how: &str) -> TaskRequest {
        let input = Payload::json(json!({"how": how, "evil": EVIL}).to_string());
        TaskRequest {
            input: Some(input),
            tags: vec![TAG.into()],
            key: Some(TAG.into()),
            ..TaskRequest::new("evil/evil".parse().expect("a name"))
        }
    }

    fn submit(&self, how: &str) -> TaskId {
        self.threads.block_on(self.host.submit(Self::request(how))).expect("it is taken on").into_task().id
    }

    /// Until it waits for somebody, and says why.
    fn until_awaiting(&self, id: TaskId) {
        let find = || self.threads.block_on(self.host.store().task(id)).expect("the store works");
        while find().expect("it is there").awaits.is_none() {
            std::thread::yield_now();
        }
    }

    /// A webhook whose endpoint answers something evil.
    fn told(&self) {
        let spec = WebhookSpec {
            url: format!("http://{}/", receiver::start("500 Internal Server Error", EVIL)),
            events: vec!["task.submitted".parse().expect("an event")],
            queues: Vec::new(),
            handlers: Vec::new(),
            tags: vec![TAG.into()],
        };
        let name = "evil".parse().expect("a name");
        let request = WebhookRequest { name, spec, enabled: None, expected: Expected::Any };
        self.threads.block_on(self.host.put_webhook(request)).expect("it is kept");
    }

    fn scheduled(&self) {
        let name = "evil".parse().expect("a name");
        let request = ScheduleRequest::new(name, "0 3 * * *".to_owned(), Self::request("succeed"));
        self.threads.block_on(self.host.put_schedule(request, Expected::Any)).expect("it is kept");
    }

    /// The page of a delivery that was answered.
    fn delivery(&self, browser: &mut Browser) -> String {
        loop {
            let page = browser.open("/ui/webhooks/evil?failed=true");
            let found =
                page.body.split_once("/ui/webhooks/evil/deliveries/").and_then(|(_, rest)| rest.split('"').next());
            if let Some(id) = found {
                return format!("/ui/webhooks/evil/deliveries/{id}");
            }
            std::thread::yield_now();
        }
    }

    fn until_over(&self, id: TaskId) {
        let ended = self.threads.block_on(self.host.store().wait(id, WAIT)).expect("the store works");
        assert!(ended.expect("it is there").state.is_terminal());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.threads.block_on(self.host.stop(Duration::ZERO));
    }
}

/// What a page shows of what others have written.
#[derive(Clone, Copy)]
enum Shows {
    /// What a guest has said or was given.
    Said,
    /// A name or a tag.
    Named,
}

impl Shows {
    fn is_in(self, page: &Page) -> bool {
        let number = match self {
            Self::Said => 1,
            Self::Named => 3,
        };
        [format!("&#60;script&#62;alert({number})"), format!("&lt;script&gt;alert({number})")]
            .iter()
            .any(|text| page.has(text))
    }
}

/// A page as soon as it shows that; after a while, as it is.
fn until(browser: &mut Browser, path: &str, shows: Shows) -> Page {
    let mut page = browser.open(path);
    for _ in 0..LOOKS {
        if shows.is_in(&page) {
            return page;
        }
        std::thread::yield_now();
        page = browser.open(path);
    }
    panic!("{path} does not show it: {}", page.body)
}

/// What may not stand in a page, whatever was written by others.
fn check(path: &str, body: &str) {
    assert_eq!(body.matches("<script").count(), 1, "{path}: {body}");
    for evil in ["<img src=x", "<blink>", "\u{202e}", "\u{1b}", "onerror=alert(2)>'<", "</textarea></pre>"] {
        assert!(!body.contains(evil), "{path} has {evil:?}: {body}");
    }
}

#[test]
fn what_others_have_written_is_text_on_every_page() {
    let served = Served::start();
    served.told();
    served.scheduled();
    let (failed, good, text) = (served.submit("fail"), served.submit("succeed"), served.submit("text"));
    let waits = served.submit("wait");
    [failed, good, text].iter().for_each(|id| served.until_over(*id));
    served.until_awaiting(waits);
    let component = served.host.packages().first().expect("it is there").component;
    let spec = TaskSpec::new("evil/evil".parse().expect("a name"), component);
    let task = NewTask::new(spec, Payload::json(json!({"how": "fail"}).to_string()));
    let nodes = vec![Node::new("one".parse().expect("a name"), task)];
    let spec = JobSpec { name: TAG.into(), tags: vec![TAG.into()], ..JobSpec::default() };
    let store = served.host.store();
    let job = served.threads.block_on(store.submit_job(NewJob { spec, nodes, fingerprint: None }));
    let job = job.expect("the store works").expect("it is taken on").into_job().id;
    let ended = served.threads.block_on(store.wait_job(job, WAIT)).expect("the store works");
    assert!(ended.expect("it is there").ended_at.is_some(), "the job has ended");
    let key = NewApiKey {
        name: TAG.into(),
        scopes: vec![Scope::Read],
        queues: None,
        digest: sunaba_runtime::task::Digest::of(b"x"),
        expires_in: None,
    };
    served.threads.block_on(store.create_key(key)).expect("it is kept");

    let mut browser = Browser::new(&served.address.to_string());
    let mut paths: Vec<_> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    for id in [failed, good, text, waits] {
        paths.extend([format!("/ui/tasks/{id}"), format!("/ui/tasks/{id}?edit=1")]);
    }
    paths.extend([
        format!("/ui/jobs/{job}"),
        format!("/ui/tasks?tag={}", super::encoded(TAG)),
        format!("/ui/tasks?queue={}&state=dead", "mail"),
        format!("/ui/jobs?tag={}", super::encoded(TAG)),
        "/ui/dead?handler=evil%2Fevil&kind=evil".to_owned(),
        format!("/ui/dead?handler={}&kind={}", super::encoded(EVIL), super::encoded(EVIL)),
        "/ui/handlers/evil".to_owned(),
        "/ui/handlers/evil/evil".to_owned(),
        "/ui/queues/default".to_owned(),
        "/ui/schedules/evil".to_owned(),
        "/ui/webhooks/evil".to_owned(),
    ]);
    // It is there, as what it is, on every page that shows something of it.
    let page = |path: &str, shows: Shows| (path.to_owned(), shows);
    let mut shown = vec![
        page("/ui/overview", Shows::Said),
        page("/ui/incidents", Shows::Said),
        page("/ui/tasks", Shows::Said),
        page("/ui/dead", Shows::Said),
        page("/ui/dead?handler=evil%2Fevil&kind=evil", Shows::Said),
        page("/ui/jobs", Shows::Named),
        page("/ui/keys", Shows::Named),
        page("/ui/schedules/evil", Shows::Said),
        page("/ui/webhooks/evil", Shows::Named),
        page(&served.delivery(&mut browser), Shows::Said),
        page(&format!("/ui/jobs/{job}"), Shows::Said),
        page(&format!("/ui/jobs/{job}"), Shows::Named),
        page(&format!("/ui/tasks?tag={}", super::encoded(TAG)), Shows::Named),
    ];
    for id in [failed, good, text, waits] {
        shown.push(page(&format!("/ui/tasks/{id}"), Shows::Said));
        shown.push(page(&format!("/ui/tasks/{id}"), Shows::Named));
        shown.push(page(&format!("/ui/tasks/{id}?edit=1"), Shows::Said));
    }
    for (path, shows) in &shown {
        // What is told of failures is gathered now and then.
        let page = until(&mut browser, path, *shows);
        check(path, &page.body);
    }
    for path in &paths {
        check(path, &browser.open(path).body);
    }
    let shown = browser.open(&format!("/ui/tasks/{failed}"));
    assert!(shown.has("\\u{202e}gnp.exe\\u{1b}[2J"), "{}", shown.body);
    // And what is no page: an answer that no browser opens.
    let output = browser.open(&format!("/ui/tasks/{text}/output"));
    assert_eq!(output.header("content-disposition"), Some("attachment; filename=\"output\""));
    assert_eq!(output.header("content-security-policy"), Some("sandbox; default-src 'none'"));
    assert_eq!(output.header("x-content-type-options"), Some("nosniff"));
    // What stands in a path, in a query or in a field comes back as text, too.
    for path in [format!("/ui/queues/{}", super::encoded(TAG)), format!("/ui/tasks/{}", super::encoded(EVIL))] {
        let page = browser.get(&path);
        assert!(page.status >= 400);
        check(&path, &page.body);
    }
    let page = browser.open("/ui/queues");
    let answer = browser.post("/ui/queues/mail", &page, &[("action", "limits"), ("rate", EVIL)]);
    check("a note", &browser.follow(&answer).body);
    let answer = browser.post("/ui/tasks/bulk", &page, &[("action", EVIL)]);
    check("a problem", &answer.body);
    let asked = browser.post(
        "/ui/dead",
        &page,
        &[("action", "purge"), ("which", "group"), ("handler", EVIL), ("kind", EVIL), ("back", EVIL)],
    );
    check("a question", &asked.body);
}

/// So that no page is made of text that nobody has escaped.
#[test]
fn no_template_takes_text_as_it_is() {
    let folder = crate::support::root().join("runtime/crates/server/templates");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(
            !text.contains("|safe") && !text.contains("| safe") && !text.contains("escape none"),
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
}
