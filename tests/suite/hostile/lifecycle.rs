//! Harm done between attempts, and harm that comes at the worst moment: cancels, lost hosts, endless snoozes, repeated keys.

use sunaba_runtime::Client;
use sunaba_runtime::server::api::{Cancel, Submit, TaskView};
use sunaba_runtime::task::{StateName, TaskId};

use crate::support::{Host, block_on};

struct Place {
    host: Host,
    client: Client,
}

impl Place {
    fn with(guests: &[&str], arguments: &[&str]) -> Self {
        let host = Host::start(arguments);
        guests.iter().for_each(|guest| host.deploy(guest));
        let client = Client::new(&host.address).expect("an address");
        Self { host, client }
    }

    fn submit(&self, submit: &Submit) -> TaskId {
        // One of its own: its connections live as long as the runtime that made them.
        let client = Client::new(&self.host.address).expect("an address");
        block_on(client.submit(submit)).expect("it is taken on").id.parse().expect("an id")
    }

    fn task(&self, id: TaskId) -> TaskView {
        block_on(self.client.task(id)).expect("it is there")
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

    fn is_well(&self) {
        let id = self.submit(&Submit {
            handler: "hello/hello".into(),
            input: Some(serde_json::value::RawValue::from_string(r#"{"name":"Ada"}"#.into()).expect("JSON")),
            ..Submit::default()
        });
        assert_eq!(self.ended(id).state, StateName::Succeeded);
    }

    /// On its data, with another address.
    fn killed_and_restarted(&mut self) {
        self.host.kill();
        self.host.restart();
        self.client = Client::new(&self.host.address).expect("an address");
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
    let guests: Vec<_> = handlers.iter().filter_map(|handler| Some(handler.split_once('/')?.0)).collect();
    let mut distinct = guests.clone();
    distinct.dedup();
    distinct.push("hello");
    let place = Place::with(&distinct, &["--concurrency", "2"]);
    let now = Cancel { grace_ms: Some(0), reason: None };
    for handler in handlers {
        let id = place.submit(&of(handler));
        place.until(id, |task| task.state == StateName::Running);
        block_on(place.client.cancel(id, &now)).expect("it can be cancelled");
        let task = place.ended(id);
        assert_eq!((task.state, task.attempts_started), (StateName::Cancelled, 1), "{handler}: {task:#?}");
        // It may not have begun yet when the cancel came: then nothing was stopped.
        let cause = task.attempts.last().and_then(|attempt| attempt.cause.as_deref());
        assert!(matches!(cause, Some("cancelled") | None), "{handler}: {task:#?}");
    }
    place.is_well();
}

#[test]
fn waiting_guest_keeps_its_lease() {
    let place = Place::with(&["lifecycle"], &["--lease-time", "1s"]);
    let id = place.submit(&of("lifecycle/outlast-lease"));
    let task = place.ended(id);
    assert_eq!((task.state, task.attempts_started, task.hosts_lost), (StateName::Succeeded, 1, 0), "{task:#?}");
}

#[test]
fn task_that_takes_its_hosts_down_is_dead_in_the_end() {
    let mut place = Place::with(&["spin", "hello"], &["--lease-time", "300ms"]);
    let id = place.submit(&Submit { max_hosts_lost: Some(2), ..of("spin/spin") });
    for attempt in 1..=2 {
        place.until(id, |task| task.state == StateName::Running && task.attempts_started == attempt);
        place.killed_and_restarted();
    }
    let task = place.ended(id);
    assert_eq!((task.state, task.attempts_started, task.hosts_lost), (StateName::Dead, 2, 2), "{task:#?}");
    assert_eq!(task.failures_charged, 0, "{task:#?}");
    place.is_well();
}

#[test]
fn endless_snooze_charges_nothing_holds_up_nobody_and_can_be_cancelled() {
    let place = Place::with(&["lifecycle", "hello"], &["--concurrency", "1"]);
    let id = place.submit(&of("lifecycle/snooze-again"));
    place.until(id, |task| task.attempts_started >= 20);
    place.is_well();
    block_on(place.client.cancel(id, &Cancel::default())).expect("it can be cancelled");
    let task = place.ended(id);
    assert_eq!((task.state, task.failures_charged), (StateName::Cancelled, 0), "{task:#?}");
    assert!(task.attempts.len() <= 100, "its record grows without an end");
}

#[test]
fn endless_failure_ends_at_its_attempts() {
    let place = Place::with(&["lifecycle"], &[]);
    let id = place.submit(&Submit { max_attempts: Some(7), ..of("lifecycle/fail-again") });
    let task = place.ended(id);
    assert_eq!((task.state, task.attempts_started, task.failures_charged), (StateName::Dead, 7, 7), "{task:#?}");
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
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| assert_eq!(place.submit(&keyed(3_600_000)), first)));
        }
    });
    let other = Submit { handler: "lifecycle/fail-again".into(), ..keyed(3_600_000) };
    let refused = block_on(place.client.submit(&other)).expect_err("another task under the same key");
    assert!(refused.to_string().contains("same"), "{refused}");
    for long in ["x".repeat(257), "x".repeat(100_000), "\u{1b}[2J\n".to_owned()] {
        let submit = Submit { idempotency_key: Some(long), ..of("lifecycle/fail-again") };
        // Refused, or taken as any other text; never a host that is gone.
        let _ = block_on(place.client.submit(&submit));
        assert_eq!(place.task(first).state, StateName::Scheduled);
    }
}
