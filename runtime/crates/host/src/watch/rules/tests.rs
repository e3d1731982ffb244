//! Each rule at its limit and beyond, and what fires already.

use sunaba_task::{TaskId, Timestamp};

use super::super::sample::{FailureSample, HandlerSample, QueueSample, WaitingSample};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

pub(in super::super) fn calm() -> Sample {
    Sample {
        at: Timestamp::from_unix_ms(1),
        elapsed: Duration::from_millis(1),
        up: MINUTE,
        lease_time: MINUTE / 2,
        slots: 2,
        running: 1,
        memory_budget_bytes: Some(1_000),
        memory_held_bytes: 0,
        resident_bytes: Some(800),
        free_bytes: Some(1 << 30),
        floor_bytes: 0,
        store_bytes: None,
        failure: None,
        unseen: None,
        workers: 1,
        quietest: Some(Duration::ZERO),
        dead: 0,
        queues: vec![queue(100, Duration::from_secs(30), 1)],
        handlers: vec![HandlerSample { name: "p/h".into(), breaker: BreakerState::Closed }],
        failures: vec![failures(10, 3)],
        waiting: Vec::new(),
        failed_webhooks: Vec::new(),
    }
}

fn queue(queued: u64, oldest: Duration, running: u64) -> QueueSample {
    QueueSample { name: "q".into(), paused: false, queued, scheduled: 0, running, oldest: Some(oldest) }
}

fn failures(attempts: u64, failed: u64) -> FailureSample {
    FailureSample { handler: "p/h".into(), attempts, failed }
}

fn found(sample: &Sample, firing: &Firing) -> Vec<(Rule, String)> {
    let found = conditions(sample, &AlertRules::default(), firing);
    found.into_iter().map(|condition| (condition.rule, condition.subject)).collect()
}

#[test]
fn each_rule_obeyed_at_its_limit() {
    assert_eq!(found(&calm(), &Firing::new()), []);
}

#[test]
fn each_rule_violated() {
    let waiting = |seconds| WaitingSample {
        task: TaskId::from_bytes([1; 16]),
        host_call: "wasi:http/handler".into(),
        since: Duration::from_secs(seconds),
    };
    let task = TaskId::from_bytes([1; 16]).to_string();
    let open = HandlerSample { name: "p/h".into(), breaker: BreakerState::Open { until: MINUTE } };
    let paused = QueueSample { paused: true, ..queue(1_000, MINUTE * 10, 0) };
    type Case<'a> = (&'a str, Sample, Vec<(Rule, &'a str)>);
    let cases: Vec<Case<'_>> = vec![
        ("failures", Sample { failures: vec![failures(10, 4)], ..calm() }, vec![(Rule::FailureRate, "p/h")]),
        ("few failures", Sample { failures: vec![failures(9, 9)], ..calm() }, vec![]),
        ("backlog", Sample { queues: vec![queue(101, MINUTE / 2, 1)], ..calm() }, vec![(Rule::Backlog, "")]),
        ("wait", Sample { queues: vec![queue(1, Duration::from_secs(31), 1)], ..calm() }, vec![(Rule::QueueWait, "q")]),
        ("a paused queue", Sample { queues: vec![paused], ..calm() }, vec![]),
        ("memory", Sample { resident_bytes: Some(801), ..calm() }, vec![(Rule::Memory, "")]),
        ("unknown memory", Sample { resident_bytes: None, ..calm() }, vec![]),
        (
            "nothing starts",
            Sample { queues: vec![queue(1, MINUTE * 3, 0)], ..calm() },
            vec![(Rule::QueueWait, "q"), (Rule::Stuck, "q")],
        ),
        (
            "nothing starts since all slots are taken",
            Sample { queues: vec![queue(1, MINUTE * 3, 0)], running: 2, ..calm() },
            vec![(Rule::QueueWait, "q")],
        ),
        ("a long call", Sample { waiting: vec![waiting(120)], ..calm() }, vec![]),
        (
            "a webhook",
            Sample { failed_webhooks: vec![("billing".into(), "gone".into())], ..calm() },
            vec![(Rule::Webhook, "billing")],
        ),
        (
            "deliveries",
            Sample {
                queues: vec![QueueSample { name: "sunaba:webhooks".into(), ..queue(101, MINUTE * 3, 0) }],
                ..calm()
            },
            vec![],
        ),
        ("a longer call", Sample { waiting: vec![waiting(121)], ..calm() }, vec![(Rule::Stuck, task.as_str())]),
        ("an open breaker", Sample { handlers: vec![open], ..calm() }, vec![(Rule::CircuitOpen, "p/h")]),
        ("disk", Sample { free_bytes: Some((1 << 30) - 1), ..calm() }, vec![(Rule::Disk, "")]),
        ("no worker", Sample { workers: 0, ..calm() }, vec![(Rule::Workers, "")]),
        // There is no worker because of that.
        ("store", Sample { workers: 0, failure: Some("f".into()), ..calm() }, vec![(Rule::Store, "")]),
    ];
    for (name, sample, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(rule, subject)| (rule, subject.to_owned())).collect();
        assert_eq!(found(&sample, &Firing::new()), expected, "{name}");
    }
}

#[test]
fn what_fires_is_clear_only_well_below_its_limit() {
    let wait = |seconds| Sample { queues: vec![queue(1, Duration::from_secs(seconds), 1)], ..calm() };
    let memory = |held| Sample { resident_bytes: Some(held), ..calm() };
    let disk = |free: u64| Sample { free_bytes: Some(free), ..calm() };
    let rate = |failed| Sample { failures: vec![failures(100, failed)], ..calm() };
    let gib: u64 = 1 << 30;
    for (rule, subject, fires, is_clear) in [
        (Rule::QueueWait, "q", wait(25), wait(24)),
        (Rule::Memory, "", memory(641), memory(640)),
        (Rule::Disk, "", disk(gib + gib / 5), disk(gib + gib / 3)),
        (Rule::FailureRate, "p/h", rate(25), rate(24)),
    ] {
        let firing = Firing::from([(rule, subject.to_owned())]);
        assert_eq!(found(&fires, &Firing::new()), [], "{rule}: it would not begin there");
        assert_eq!(found(&fires, &firing), [(rule, subject.to_owned())], "{rule}");
        assert_eq!(found(&is_clear, &firing), [], "{rule}");
    }
}

#[test]
fn settings_are_read_and_others_are_refused() {
    let settings: Vec<RuleSetting> = ["failure-percent=20", "queue-wait=5s", "disk-free=2GiB", "min-workers=3"]
        .into_iter()
        .map(|text| text.parse().expect("a setting"))
        .collect();
    let rules = AlertRules::default().with(&settings);
    let expected = AlertRules {
        failure_percent: 20.0,
        queue_wait: Duration::from_secs(5),
        disk_free_bytes: 2 << 30,
        min_workers: 3,
        ..AlertRules::default()
    };
    assert_eq!(rules, expected);
    for wrong in ["", "queue-wait", "queue-wait=soon", "failure-percent=101", "backlog-per-slot=-1", "speed=1"] {
        assert!(wrong.parse::<RuleSetting>().is_err(), "{wrong}");
    }
    assert!("failure-window=2h".parse::<RuleSetting>().is_err(), "nothing is remembered for so long");
}

#[test]
fn number_of_conditions_is_bounded() {
    let queues = (0..1_000).map(|number| QueueSample { name: format!("q-{number}"), ..queue(0, MINUTE, 1) }).collect();
    assert_eq!(found(&Sample { queues, ..calm() }, &Firing::new()).len(), MAX_CONDITIONS);
}
