//! Whole stories, told by the code that tells them to people.

use sunaba_store::Hold;
use sunaba_task::job::Shares;
use sunaba_task::{
    AttemptReport, AttemptResult, CancelRequest, Disposition, Event, Failure, Lease, NewTask, Observation, Outcome,
    Payload, Receipt, Settled, Snooze, Stop, TaskId, When, decide, transition,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A task whose life is told step by step.
struct Life {
    task: Task,
    now: Timestamp,
}

impl Life {
    fn new(change: impl FnOnce(&mut NewTask)) -> Self {
        let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
        let mut new = NewTask::new(spec, Payload::json(r#"{"text":"one two"}"#));
        change(&mut new);
        let now = Timestamp::from_unix_ms(1_767_225_600_000);
        Self { task: Task::submitted(id(7), 1, &new, now), now }
    }

    fn wait(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.after(time);
        self
    }

    fn event(&mut self, event: Event) -> &mut Self {
        self.task = transition(&self.task, event, self.now).expect("it can happen").task;
        self
    }

    /// Waits until the task is due, if it is not, and gives it to a worker.
    fn lease(&mut self, worker: &str) -> &mut Self {
        if let Some(due) = self.task.due_at() {
            self.now = due;
            self.event(Event::Due);
        }
        let session = serde_json::from_value(json!("00000000-0000-0000-0000-000000000000")).expect("a session");
        let started_at = self.now;
        let (worker, shares) = (worker.into(), Shares::default());
        self.event(Event::Leased(Lease { sequence: 1, nonce: 1, session, worker, started_at, shares }))
    }

    /// Ends the attempt, a quarter of a second later.
    fn end(&mut self, result: AttemptResult) -> &mut Self {
        self.wait(SECOND / 4);
        let component = self.task.spec.component;
        let wall = SECOND / 5;
        let receipt = Receipt { fuel: Some(12_345), fuel_exact: true, wall, ..Receipt::unmeasured(component) };
        let output = match &result {
            AttemptResult::Returned(Outcome::Complete(output)) => Some(sunaba_task::PayloadInfo::of(output)),
            _ => None,
        };
        let report = AttemptReport { result, receipt: receipt.clone(), logs: Vec::new() };
        let seen = Observation::Reported(Box::new(report));
        let decision = decide(&self.task, &seen, self.now);
        let settled = Settled { ending: seen.ending(), decision, receipt: Some(receipt), output };
        self.event(Event::Settled(Box::new(settled)))
    }

    fn told(&self, standing: Option<&Standing>) -> Story {
        explain(&self.task, standing, None, self.now)
    }
}

fn id(byte: u8) -> TaskId {
    TaskId::from_bytes([byte; 16])
}

fn failed(disposition: Disposition) -> AttemptResult {
    let (kind, message) = ("network".into(), "no answer from example.com".into());
    AttemptResult::Failed(Failure { kind, message, detail: None, disposition })
}

fn timed_out() -> AttemptResult {
    let message = "it took more than 30s".into();
    AttemptResult::Stopped(Stop { cause: Cause::Timeout, message, backtrace: Vec::new() })
}

fn completed() -> AttemptResult {
    AttemptResult::Returned(Outcome::Complete(Payload::json(r#"{"words":2}"#)))
}

/// The rows from the first with this name on, as text.
fn text_from(story: &Story, name: &str) -> String {
    story.to_string().lines().skip_while(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn task_that_was_retried_lost_its_host_and_died() {
    let mut life = Life::new(|new| {
        new.spec.max_attempts = 3;
        new.spec.queue = "mail".into();
        new.spec.retry_for = Some(SECOND * 3600);
        new.spec.limits.timeout = SECOND * 30;
    });
    life.wait(SECOND).lease("alpha").end(failed(Disposition::RetryAfter(SECOND * 10)));
    life.lease("alpha").wait(SECOND * 30).event(Event::HostLost);
    life.wait(SECOND).lease("beta").end(timed_out());
    life.lease("beta").end(failed(Disposition::ByPolicy));
    let story = explain(&life.task, None, Some(Digest::of(b"input")), life.now);
    assert_eq!(story.to_string(), DEAD);
}

#[test]
fn numbers_of_each_attempt_follow_from_the_counters_even_when_the_oldest_are_forgotten() {
    let mut life = Life::new(|new| {
        new.spec.max_attempts = 1_000;
        new.spec.max_hosts_lost = 1_000;
    });
    for attempt in 1..=130_u32 {
        life.lease("w");
        if attempt.is_multiple_of(3) {
            life.event(Event::HostLost);
        } else {
            life.end(failed(Disposition::RetryAfter(SECOND)));
        }
    }
    let story = life.told(None);
    assert_eq!((story.attempts_forgotten, story.attempts.len()), (30, 100));
    for attempt in &story.attempts {
        let (number, changed) = (attempt.number, &attempt.decision.changed);
        assert_eq!((changed.failures_charged, changed.hosts_lost), (number - number / 3, number / 3), "{number}");
        let observed = &attempt.decision.observed;
        assert_eq!(observed.failures_charged + observed.hosts_lost, number - 1, "{number}");
    }
    assert!(story.to_string().contains("\nforgotten    attempts 1 to 30: a record keeps the newest\n"));
}

#[test]
fn task_that_waits_says_for_what() {
    let life = Life::new(|new| {
        new.spec.queue = "mail".into();
        new.spec.key = Some("customer 7".into());
        new.expires = Some(When::After(SECOND * 60));
    });
    let (left, component) = (SECOND * 12, Digest::of(b"another than it was submitted for"));
    for (hold, said) in [
        (Hold::Compiling { component, problem: None }, "is being compiled"),
        (
            Hold::Compiling { component, problem: Some("no thread".into()) },
            "is compiled again, for the last time it was: no thread",
        ),
        (
            Hold::Uncompilable { component, problem: "too large".into() },
            "cannot be compiled on any host: too large; deploy it again, or cancel what waits for it and rerun that with \
             the active version",
        ),
    ] {
        let standing = Standing { holds: vec![hold], ahead: Some(0), now: Some(life.now), ..Standing::default() };
        let told = life.told(Some(&standing));
        assert!(told.holds[0].message.starts_with("its component sha256:"), "{:?}", told.holds);
        assert!(told.holds[0].message.ends_with(said), "{:?}", told.holds);
    }
    let holds = vec![
        Hold::QueuePaused,
        Hold::HandlerPaused,
        Hold::BreakerOpen { left, failed: 18, of: 20 },
        Hold::BreakerProbing,
        Hold::QueueConcurrency { limit: 2 },
        Hold::HandlerConcurrency { limit: 3 },
        Hold::KeyConcurrency { limit: 1 },
        Hold::QueueRate { left },
        Hold::KeyRate { left },
    ];
    let standing = Standing { holds, ahead: Some(1_234), now: Some(life.now), ..Standing::default() };
    assert_eq!(text_from(&life.told(Some(&standing)), "waits"), WAITS);
    let free = Standing { ahead: Some(1), now: Some(life.now), ..Standing::default() };
    assert_eq!(text_from(&life.told(Some(&free)), "waits"), WAITS_FOR_ITS_TURN);
}

#[test]
fn task_that_has_not_ended_says_what_happens_next() {
    let last = |life: &Life| life.told(None).conclusion;
    let mut life = Life::new(|new| new.start = Some(When::After(SECOND * 90)));
    assert_eq!(last(&life), "its first attempt is due at 2026-01-01T00:01:30.000Z, in 90s");
    life.wait(SECOND * 90).event(Event::Due);
    assert_eq!(last(&life), "attempt 1 starts when a worker of the queue `default` has a free slot");
    life.lease("w").wait(SECOND);
    assert_eq!(last(&life), "attempt 1 runs, and is stopped unless it ends by 2026-01-01T00:06:30.000Z");
    let running = "attempt 1    2026-01-01T00:01:30.000Z on w, running for 1s\n";
    assert!(text_from(&life.told(None), "attempt").starts_with(running));
    life.end(failed(Disposition::RetryAfter(SECOND * 10))).wait(SECOND);
    assert_eq!(last(&life), "attempt 2 is due at 2026-01-01T00:01:41.250Z, in 9s");
    let snooze = Snooze { delay: SECOND * 5, reason: "not yet".into(), until_completed: false };
    life.lease("w").end(AttemptResult::Returned(Outcome::Snooze(snooze)));
    assert_eq!(last(&life), "attempt 3 is due at 2026-01-01T00:01:46.500Z, in 5s");
    let asked = CancelRequest { at: life.now, reason: "wrong input".into(), grace: None };
    life.lease("w").event(Event::CancelRequested(asked));
    assert_eq!(last(&life), "it is cancelled as soon as its attempt has ended");
    life.end(completed());
    assert_eq!(last(&life), "it was cancelled: wrong input");
    assert!(life.told(None).attempts[2].decision.observed.cancelled);
}

#[test]
fn every_end_is_explained() {
    let mut cancelled = Life::new(|_| {});
    let asked = CancelRequest { at: cancelled.now, reason: "wrong input".into(), grace: None };
    cancelled.event(Event::CancelRequested(asked));
    let expected = "cancel       asked for at 2026-01-01T00:00:00.000Z: wrong input\n\
                    end          it was cancelled before its first attempt: wrong input\n";
    assert_eq!(text_from(&cancelled.told(None), "cancel"), expected);

    let mut expired = Life::new(|new| new.expires = Some(When::After(SECOND)));
    expired.wait(SECOND).event(Event::Expired);
    let expected = "it has expired: it was not started by 2026-01-01T00:00:01.000Z";
    assert_eq!(expired.told(None).conclusion, expected);

    let mut done = Life::new(|_| {});
    done.lease("w").end(completed());
    assert_eq!(done.told(None).conclusion, "it succeeded in attempt 1, with an output of 11 B of application/json");

    let mut poison = Life::new(|_| {});
    for _ in 0..3 {
        poison.lease("w").event(Event::HostLost);
    }
    assert_eq!(poison.told(None).conclusion, "it is dead: lost its host 3 times, of at most 3");

    let mut fatal = Life::new(|_| {});
    fatal.lease("w").end(failed(Disposition::Fatal));
    let expected =
        "it is dead: the handler said that no retry would help; the last was network: no answer from example.com";
    assert_eq!(fatal.told(None).conclusion, expected);
}

#[test]
fn tasks_that_belong_together_are_named() {
    let mut life = Life::new(|_| {});
    life.lease("w").end(failed(Disposition::Fatal));
    life.task.origin = Some(Origin::Rerun(id(1)));
    life.task.successor = Some(id(2));
    life.task.followers = vec![id(3), id(4)];
    let text = text_from(&life.told(None), "rerun of");
    let expected = "rerun of     01010101-0101-0101-0101-010101010101\n\
                    replaced by  02020202-0202-0202-0202-020202020202\n\
                    followed by  03030303-0303-0303-0303-030303030303\n\
                    followed by  04040404-0404-0404-0404-040404040404\n";
    assert!(text.starts_with(expected), "{text}");
    for (origin, word) in [(Origin::Callback(id(1)), "callback-of"), (Origin::Replaces(id(1)), "replaces")] {
        life.task.origin = Some(origin);
        assert_eq!(life.told(None).links[0], Link { link: word.into(), task: id(1).to_string() });
    }
}

#[test]
fn every_rule_names_what_it_goes_by() {
    let spec = |change: fn(&mut TaskSpec)| Life::new(|new| change(&mut new.spec));
    let cases = [
        (spec(|_| {}), failed(Disposition::ByPolicy), "retry: backoff exponential(5s), max-attempts 4"),
        (spec(|_| {}), failed(Disposition::RetryAfter(SECOND)), "handler-delay: asked 1s, max-attempts 4"),
        (spec(|_| {}), failed(Disposition::Fatal), "fatal"),
        (spec(|spec| spec.retry_on = Some(Vec::new())), timed_out(), "retry-on: retry-on nothing"),
        (
            spec(|spec| spec.never_retry_on = vec!["fuel".into(), "timeout".into()]),
            timed_out(),
            "never-retry-on: never-retry-on fuel, timeout",
        ),
        (spec(|spec| spec.retry_for = Some(SECOND)), timed_out(), "time-box: retry-for 1s"),
        (spec(|_| {}), completed(), "success"),
    ];
    for (mut life, result, expected) in cases {
        life.lease("w").end(result);
        let rows = life.told(None).rows();
        let policy = rows.iter().find(|(name, _)| name == "  policy").map(|(_, value)| value.as_str());
        assert_eq!(policy, Some(expected));
    }
}

#[test]
fn json_has_the_whole_and_reads_back() {
    let mut life = Life::new(|new| {
        new.spec.grants.env = vec!["TOKEN=hunter2".parse().expect("a variable")];
        new.spec.grants.dirs = vec!["/data::/in:rw".parse().expect("a directory")];
    });
    life.lease("alpha").end(failed(Disposition::RetryAfter(SECOND * 10)));
    let story = life.told(None);
    let json = serde_json::to_value(&story).expect("it has a JSON form");
    assert_eq!(serde_json::from_value::<Story>(json.clone()).expect("it reads back"), story);
    assert!(!json.to_string().contains("hunter2"));
    let grants = json!({
        "env": ["TOKEN"], "dirs": ["/data::/in:rw"], "http": [], "secrets": [], "scratch_bytes": null, "clock": "coarse",
    });
    assert_eq!(json["submitted"]["grants"], grants);
    let attempt = &json["attempts"][0];
    let expected = json!({
        "ending": "failed", "cause": null, "kind": "network", "message": "no answer from example.com",
    });
    assert_eq!(attempt["outcome"], expected);
    let expected = json!({
        "observed": { "kind": "network", "failures_charged": 0, "hosts_lost": 0, "cancelled": false },
        "policy": { "name": "handler-delay", "parameters": { "asked_ms": 10_000, "max_attempts": 4 } },
        "verdict": "retry",
        "delay_ms": 10_000,
        "charged": true,
        "reason": "failure 1 of at most 4, to be retried after the delay that the handler asked for",
        "changed": {
            "state": "retry-scheduled",
            "next_attempt_at": "2026-01-01T00:00:10.250Z",
            "failures_charged": 1,
            "hosts_lost": 0,
        },
    });
    assert_eq!(attempt["decision"], expected);
    assert_eq!(attempt["receipt"]["fuel"], 12_345);
}

#[test]
fn long_words_of_a_handler_are_cut_in_the_text_alone() {
    let mut life = Life::new(|_| {});
    let message = "\u{e9}".repeat(10_000);
    let failure = Failure { kind: "long".into(), message, detail: None, disposition: Disposition::Fatal };
    life.lease("w").end(AttemptResult::Failed(failure));
    let story = life.told(None);
    assert!(story.rows().iter().all(|(_, value)| value.chars().count() < 400));
    assert_eq!(story.attempts[0].outcome.message.as_ref().map(|text| text.chars().count()), Some(10_000));
}

const DEAD: &str = "\
task         07070707-0707-0707-0707-070707070707
handler      words/word-count
state        dead since 2026-01-01T00:00:52.156Z
submitted    2026-01-01T00:00:00.000Z to the queue `mail`, priority 0
retries      exponential(5s), for 1h; dead at failure 3 or lost host 3
limits       timeout 30s, memory 128.0 MiB, fuel exact
input        18 B of application/json, sha256:c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20
component    sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa
attempt 1    2026-01-01T00:00:01.000Z on alpha, 250ms, component 6985ca1f4daa
  outcome    failed network: no answer from example.com
  used       fuel 12,345, wall time 200ms, peak memory 0 B
  observed   kind network, 0 failures charged, 0 hosts lost before
  policy     handler-delay: asked 10s, max-attempts 3
  verdict    retry in 10s, charged: failure 1 of at most 3, to be retried after the delay that the handler asked for
  changed    retry-scheduled until 2026-01-01T00:00:11.250Z, 1 failure charged, 0 hosts lost
attempt 2    2026-01-01T00:00:11.250Z on alpha, 30s, component 6985ca1f4daa
  outcome    host-lost
  observed   1 failure charged, 0 hosts lost before
  policy     host-lost: max-hosts-lost 3
  verdict    requeue: lost its host, 1 of at most 3
  changed    queued, 1 failure charged, 1 host lost
attempt 3    2026-01-01T00:00:42.250Z on beta, 250ms, component 6985ca1f4daa
  outcome    stopped timeout: it took more than 30s
  used       fuel 12,345, wall time 200ms, peak memory 0 B
  observed   kind timeout, 1 failure charged, 1 host lost before
  policy     retry: backoff exponential(5s), max-attempts 3
  verdict    retry in 9.4s, charged: failure 2 of at most 3, to be retried by exponential(5s)
  changed    retry-scheduled until 2026-01-01T00:00:51.906Z, 2 failures charged, 1 host lost
attempt 4    2026-01-01T00:00:51.906Z on beta, 250ms, component 6985ca1f4daa
  outcome    failed network: no answer from example.com
  used       fuel 12,345, wall time 200ms, peak memory 0 B
  observed   kind network, 2 failures charged, 1 host lost before
  policy     retry: backoff exponential(5s), max-attempts 3
  verdict    give-up, charged: failure 3 of at most 3
  changed    dead, 3 failures charged, 1 host lost
end          it is dead: failure 3 of at most 3; the last was network: no answer from example.com
";

const WAITS: &str = "\
waits        the queue `mail` is paused
waits        the handler `words/word-count` is paused
waits        the breaker of `words/word-count` is open: 18 of the last 20 attempts failed; it tries one task in 12s
waits        the breaker of `words/word-count` tries one task, and waits for what becomes of it
waits        the queue `mail` runs 2 at a time, and has as many
waits        the handler `words/word-count` runs 3 at a time, and has as many
waits        the key `customer 7` runs 1 at a time in `mail`, and has as many
waits        the queue `mail` has started as many as its rate allows; the next may start in 12s
waits        the key `customer 7` has started as many in `mail` as its rate allows; the next may start in 12s
waits        1,234 tasks come before it
next         attempt 1 starts when nothing holds it up any more; it expires unless that is by 2026-01-01T00:01:00.000Z
";

const WAITS_FOR_ITS_TURN: &str = "\
waits        1 task comes before it
next         attempt 1 starts when its turn has come and a worker of the queue `mail` has a free slot; it expires unless \
             that is by 2026-01-01T00:01:00.000Z
";
