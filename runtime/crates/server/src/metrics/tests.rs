//! The text as a scraper reads it.

use std::collections::BTreeSet;
use std::time::Duration;

use sunaba_host::{HandlerSample, Rule};
use sunaba_store::{Answers, Totals};
use sunaba_task::Timestamp;

use super::*;

fn sample() -> Sample {
    let at = Timestamp::from_unix_ms(1_767_225_600_000);
    Sample {
        at,
        up: Duration::ZERO,
        lease_time: Duration::ZERO,
        slots: 4,
        running: 2,
        memory_budget_bytes: Some(1 << 30),
        memory_held_bytes: 7,
        resident_bytes: Some(8),
        free_bytes: Some(9),
        floor_bytes: 1,
        store_bytes: Some(10),
        failure: None,
        unseen: None,
        elapsed: Duration::ZERO,
        workers: 1,
        quietest: None,
        dead: 3,
        queues: vec![queue("mail", 5, Duration::from_secs(2))],
        handlers: vec![
            HandlerSample { name: "p/closed".into(), breaker: BreakerState::Closed },
            HandlerSample { name: "p/open".into(), breaker: BreakerState::Open { until: Duration::ZERO } },
        ],
        failures: Vec::new(),
        waiting: Vec::new(),
        failed_webhooks: Vec::new(),
    }
}

fn queue(name: &str, queued: u64, oldest: Duration) -> QueueSample {
    QueueSample { name: name.into(), paused: false, queued, scheduled: 0, running: 0, oldest: Some(oldest) }
}

fn page() -> Page {
    let mut counts = Counts { submitted: 6, succeeded: 4, dead: 1, ..Counts::default() };
    counts.ends[0] = 4;
    let place = |end| ENDS.iter().position(|known| *known == end).expect("an end");
    counts.ends[place(("stopped", "timeout"))] = 2;
    counts.ends[place(("host-lost", ""))] = 1;
    counts.wait_us.add(1_500_000);
    counts.wait_us.add(2_000);
    let series = Series { queue: "ma\"il\n".into(), handler: "p/h".into(), counts };
    let mut answers = Answers { taken: 5, failed: 2, ..Answers::default() };
    answers.time_us.add(70_000);
    let observations = Observations {
        elapsed: Duration::ZERO,
        failed_webhooks: Vec::new(),
        webhooks: vec![WebhookSeries {
            name: "billing".into(),
            pending: 3,
            delivered: 5,
            given_up: 1,
            dropped: 0,
            answers,
        }],
        since: sample().at,
        now: sample().at,
        series: vec![series],
        totals: Totals { events: 20, recovered: 2, recovered_by_person: 1, recovery: Duration::from_millis(1_500) },
        workers: 1,
        quietest: None,
        dead: 3,
        free_bytes: None,
        floor_bytes: 0,
        troubles: Vec::new(),
        next: 0,
        missed: 0,
    };
    let alert = |resolved_at: Option<Timestamp>| Alert {
        rule: Rule::QueueWait,
        subject: if resolved_at.is_some() { "calls".into() } else { "mail".into() },
        message: "m".into(),
        since: sample().at,
        fired_at: sample().at,
        resolved_at,
    };
    let alerts = vec![alert(None), alert(Some(sample().at))];
    Page { version: "0.1.0", sample: sample(), observations: Some(observations), alerts, alerts_fired: 2 }
}

#[test]
fn text_has_what_was_counted_and_sampled() {
    let text = page().text().expect("written");
    let queue = r#"queue="ma\"il\n",handler="p/h""#;
    for line in [
        r#"sunaba_build_info{version="0.1.0"} 1"#.to_owned(),
        "sunaba_slots 4".to_owned(),
        "sunaba_slots_used 2".to_owned(),
        "sunaba_dead_tasks 3".to_owned(),
        "sunaba_store_failed 0".to_owned(),
        r#"sunaba_breaker_open{handler="p/open"} 1.0"#.to_owned(),
        "sunaba_breakers_open 1".to_owned(),
        r#"sunaba_queue_tasks{queue="mail",state="queued"} 5.0"#.to_owned(),
        r#"sunaba_queue_oldest_seconds{queue="mail"} 2.0"#.to_owned(),
        r#"sunaba_alert_firing{alert="queue-wait",subject="mail"} 1.0"#.to_owned(),
        "sunaba_alerts_fired_total 2".to_owned(),
        "sunaba_events_total 20".to_owned(),
        r#"sunaba_webhook_deliveries_pending{webhook="billing"} 3.0"#.to_owned(),
        r#"sunaba_webhook_deliveries_total{webhook="billing",outcome="given-up"} 1"#.to_owned(),
        r#"sunaba_webhook_deliveries_total{webhook="billing",outcome="dropped"} 0"#.to_owned(),
        r#"sunaba_webhook_requests_total{webhook="billing",outcome="failed"} 2"#.to_owned(),
        r#"sunaba_webhook_answer_seconds_bucket{le="0.1",webhook="billing"} 1"#.to_owned(),
        r#"sunaba_webhook_answer_seconds_sum{webhook="billing"} 0.07"#.to_owned(),
        r#"sunaba_recoveries_total{by="person"} 1"#.to_owned(),
        "sunaba_recovery_seconds_total 1.5".to_owned(),
        format!("sunaba_tasks_submitted_total{{{queue}}} 6"),
        format!(r#"sunaba_tasks_ended_total{{{queue},state="dead"}} 1"#),
        format!(r#"sunaba_attempts_total{{{queue},outcome="completed",cause=""}} 4"#),
        format!(r#"sunaba_attempts_total{{{queue},outcome="stopped",cause="timeout"}} 2"#),
        format!("sunaba_leases_lost_total{{{queue}}} 1"),
        format!(r#"sunaba_queue_wait_seconds_bucket{{le="0.001",{queue}}} 0"#),
        format!(r#"sunaba_queue_wait_seconds_bucket{{le="5.0",{queue}}} 2"#),
        format!(r#"sunaba_queue_wait_seconds_bucket{{le="+Inf",{queue}}} 2"#),
        format!("sunaba_queue_wait_seconds_sum{{{queue}}} 1.502"),
        format!("sunaba_queue_wait_seconds_count{{{queue}}} 2"),
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\nis not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n") && !text.contains("calls") && !text.contains("p/closed"), "{text}");
}

#[test]
fn every_family_is_there_once_and_every_line_is_of_one() {
    let text = page().text().expect("written");
    let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(families.len(), families.iter().collect::<BTreeSet<_>>().len(), "{families:?}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        assert!(families.iter().any(|family| name.starts_with(family)), "{line}");
    }
}

#[test]
fn store_that_has_failed_is_told_of_and_nothing_is_counted() {
    let sample = Sample { failure: Some("f".into()), ..sample() };
    let text = Page { sample, observations: None, ..page() }.text().expect("written");
    assert!(text.contains("\nsunaba_store_failed 1\n") && !text.contains("sunaba_attempts"), "{text}");
}

fn queues(count: usize) -> Vec<QueueSample> {
    let queues = (0..count).map(|number| queue(&format!("q-{number:04}"), 1, Duration::from_secs(number as u64)));
    bounded(&queues.collect::<Vec<_>>())
}

#[test]
fn number_of_queues_obeyed() {
    assert_eq!(queues(MAX_SERIES).len(), MAX_SERIES);
}

#[test]
fn number_of_queues_violated() {
    let bounded = queues(MAX_SERIES + 3);
    let last = bounded.last().expect("there are some");
    assert_eq!((bounded.len(), last.name.as_str(), last.queued), (MAX_SERIES + 1, OTHER, 3));
    assert_eq!(last.oldest, Some(Duration::from_secs(MAX_SERIES as u64 + 2)));
}

#[test]
fn queue_that_is_called_as_the_others_are_is_one_of_them() {
    let queue = |name: String| QueueSample { name, paused: false, queued: 1, scheduled: 0, running: 0, oldest: None };
    let mut queues: Vec<_> = (0..=MAX_SERIES).map(|number| queue(format!("q{number}"))).collect();
    queues[0].name = OTHER.into();
    let bounded = bounded(&queues);
    let others: Vec<_> = bounded.iter().filter(|queue| queue.name == OTHER).map(|queue| queue.queued).collect();
    assert_eq!((others, bounded.len()), (vec![2], MAX_SERIES));
}
