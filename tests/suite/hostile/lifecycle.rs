//! Harm done between attempts, and harm that comes at the worst moment: cancels, lost hosts, endless snoozes, repeated
//! keys, changed files of the host. Well-behaved tasks run beside all of it.

use std::path::PathBuf;

use rustix::process::Signal;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{Cancel, Submit, TaskView};
use sunaba_runtime::task::{Digest, StateName, TaskId};

use crate::support::{Host, block_on, guest};

use super::others::Others;

struct Place {
    host: Host,
    client: Client,
    others: Others,
}

impl Place {
    /// A host with these guests, and `hello` for the others.
    fn with(guests: &[&str], arguments: &[&str]) -> Self {
        let host = Host::start(arguments);
        guests.iter().chain(&["hello"]).for_each(|guest| host.deploy(guest));
        let client = Client::new(&host.address).expect("an address");
        let others = Others::on(&host);
        Self { host, client, others }
    }

    fn submit(&self, submit: &Submit) -> TaskId {
        // One of its own: its connections live as long as the runtime that made them.
        let client = Client::new(&self.host.address).expect("an address");
        block_on(client.submit_task(submit)).expect("it is taken on").id.parse().expect("an id")
    }

    fn task(&self, id: TaskId) -> TaskView {
        block_on(self.client.get_task(id)).expect("it is there")
    }

    fn ended(&self, id: TaskId) -> TaskView {
        block_on(self.client.wait(id)).expect("it ends")
    }

    /// Waits until it is like this.
    fn until(&self, id: TaskId, like: impl Fn(&TaskView) -> bool) -> TaskView {
        loop {
            let task = self.task(id);
            if like(&task) {
                return task;
            }
            assert!(!task.state.is_terminal(), "{task:#?}");
        }
    }

    /// Does harm, and looks that nobody has noticed.
    fn beside<T>(&self, name: &str, harm: impl FnOnce() -> T) -> T {
        self.others.beside(name, harm)
    }

    /// Once more on its data, with another address and other others.
    fn restarted(mut self, end: impl FnOnce(&mut Host)) -> Self {
        self.others.end_with_the_host();
        end(&mut self.host);
        self.host.restart();
        let client = Client::new(&self.host.address).expect("an address");
        let others = Others::on(&self.host);
        Self { host: self.host, client, others }
    }

    /// Nothing is left of what was done.
    fn end(self) {
        self.others.end();
    }
}

fn of(handler: &str) -> Submit {
    Submit { handler: handler.into(), ..Submit::default() }
}

#[test]
fn cancel_ends_whatever_a_guest_is_in_the_middle_of() {
    let handlers = [
        "spin/spin",
        "sleep/sleep",
        "talk/ignore-cancel",
        "talk/flood-progress",
        "fill-memory/fill-memory",
        "realloc-spins/realloc-spins",
        "post-return-spins/post-return-spins",
        "handle-churn/handle-churn",
    ];
    let mut guests: Vec<_> = handlers.iter().filter_map(|handler| Some(handler.split_once('/')?.0)).collect();
    guests.dedup();
    let place = Place::with(&guests, &["--concurrency", "2"]);
    let now = Cancel { grace_ms: Some(0), reason: None };
    for handler in handlers {
        place.beside(handler, || {
            let id = place.submit(&of(handler));
            place.until(id, |task| task.state == StateName::Running);
            block_on(place.client.cancel_task(id, &now)).expect("it can be cancelled");
            let task = place.ended(id);
            assert_eq!((task.state, task.attempts_started), (StateName::Cancelled, 1), "{handler}: {task:#?}");
            // It may not have begun yet when the cancel came: then nothing was stopped.
            let cause = task.attempts.last().and_then(|attempt| attempt.cause.as_deref());
            assert!(matches!(cause, Some("cancelled") | None), "{handler}: {task:#?}");
        });
    }
    place.end();
}

#[test]
fn waiting_guest_keeps_its_lease() {
    let place = Place::with(&["lifecycle"], &["--lease-time", "1s"]);
    let task = place.beside("outlast-lease", || place.ended(place.submit(&of("lifecycle/outlast-lease"))));
    assert_eq!((task.state, task.attempts_started, task.hosts_lost), (StateName::Succeeded, 1, 0), "{task:#?}");
    place.end();
}

#[test]
fn task_that_takes_its_hosts_down_is_dead_in_the_end() {
    let mut place = Place::with(&["spin"], &["--lease-time", "300ms"]);
    let id = place.submit(&Submit { max_hosts_lost: Some(2), ..of("spin/spin") });
    for attempt in 1..=2 {
        place.beside("spin", || {
            place.until(id, |task| task.state == StateName::Running && task.attempts_started == attempt);
        });
        place = place.restarted(Host::kill);
    }
    let task = place.beside("a lost task", || place.ended(id));
    assert_eq!((task.state, task.attempts_started, task.hosts_lost), (StateName::Dead, 2, 2), "{task:#?}");
    assert_eq!(task.failures_charged, 0, "{task:#?}");
    place.end();
}

#[test]
fn endless_snooze_charges_nothing_holds_up_nobody_and_can_be_cancelled() {
    let place = Place::with(&["lifecycle"], &["--concurrency", "1"]);
    let task = place.beside("snooze-again", || {
        let id = place.submit(&of("lifecycle/snooze-again"));
        place.until(id, |task| task.attempts_started >= 20);
        block_on(place.client.cancel_task(id, &Cancel::default())).expect("it can be cancelled");
        place.ended(id)
    });
    assert_eq!((task.state, task.failures_charged), (StateName::Cancelled, 0), "{task:#?}");
    assert!(task.attempts.len() <= 100, "its record grows without an end");
    place.end();
}

#[test]
fn endless_failure_ends_at_its_attempts() {
    let place = Place::with(&["lifecycle"], &[]);
    let submit = Submit { max_attempts: Some(7), ..of("lifecycle/fail-again") };
    let task = place.beside("fail-again", || place.ended(place.submit(&submit)));
    assert_eq!((task.state, task.attempts_started, task.failures_charged), (StateName::Dead, 7, 7), "{task:#?}");
    place.end();
}

/// The compiled code of a guest in the host's folder.
fn artifacts(host: &Host, name: &str) -> Vec<PathBuf> {
    let digest = Digest::of(&std::fs::read(guest(name)).expect("it is there")).to_string();
    let begin = digest.strip_prefix("sha256:").expect("a digest has its kind").to_owned();
    let files = std::fs::read_dir(host.data.path().join("data/artifacts")).expect("it keeps them there");
    let files = files.map(|file| file.expect("readable").path());
    let files: Vec<_> =
        files.filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin))).collect();
    assert!(!files.is_empty(), "nothing is kept of `{name}`");
    files
}

/// That its tasks wait meanwhile, and how they say so, is shown where a compiler can be held back: `ready` does it.
#[test]
fn changed_code_is_made_again_and_never_run() {
    let place = Place::with(&["remember"], &[]);
    let (changed, kept) = (artifacts(&place.host, "remember"), artifacts(&place.host, "hello"));
    let read = |files: &[PathBuf]| files.iter().map(|file| std::fs::read(file).expect("kept")).collect::<Vec<_>>();
    let (good, before) = (read(&changed), read(&kept));
    let bad: Vec<_> = good
        .iter()
        .map(|bytes| {
            let mut bytes = bytes.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        })
        .collect();
    let place = place.restarted(|host| {
        host.stop(Signal::TERM);
        changed.iter().zip(&bad).for_each(|(file, bytes)| std::fs::write(file, bytes).expect("written"));
    });
    let task = place.beside("changed code", || place.ended(place.submit(&of("remember/remember"))));
    assert_eq!((task.state, task.attempts_started, task.hosts_lost), (StateName::Succeeded, 1, 0), "{task:#?}");
    assert!(read(&changed).iter().zip(&bad).all(|(now, bad)| now != bad), "it was not made again");
    assert_eq!(read(&kept), before, "what nobody has changed was made again");
    place.end();
}

#[test]
fn repeated_key_makes_one_task_and_another_body_none() {
    let place = Place::with(&["lifecycle"], &[]);
    let keyed = |delay_ms| Submit {
        idempotency_key: Some("same".into()),
        delay_ms: Some(delay_ms),
        ..of("lifecycle/snooze-again")
    };
    let first = place.submit(&keyed(3_600_000));
    place.beside("the same key at once", || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10).for_each(|_| assert_eq!(place.submit(&keyed(3_600_000)), first)));
            }
        });
    });
    let other = Submit { handler: "lifecycle/fail-again".into(), ..keyed(3_600_000) };
    let refused = block_on(place.client.submit_task(&other)).expect_err("another task under the same key");
    assert!(refused.to_string().contains("same"), "{refused}");
    place.beside("keys that are too long", || {
        for long in ["x".repeat(257), "x".repeat(100_000), "\u{1b}[2J\n".to_owned()] {
            let submit = Submit { idempotency_key: Some(long), ..of("lifecycle/fail-again") };
            // Refused, or taken as any other text; never a host that is gone.
            let _ = block_on(place.client.submit_task(&submit));
            assert_eq!(place.task(first).state, StateName::Scheduled);
        }
    });
    place.end();
}
