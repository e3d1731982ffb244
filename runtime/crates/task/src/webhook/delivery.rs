//! A delivery is a task of an internal queue: what is the same of all of them, and what each says of itself.

use std::time::Duration;

use super::WebhookName;
use crate::{Backoff, Digest, Growth, HandlerName, TaskSpec, Timestamp};

/// The queue of deliveries. No submitter can name it.
pub const WEBHOOK_QUEUE: &str = "sunaba:webhooks";
/// The package of the handler that sends deliveries: a function of the host's own program.
pub const WEBHOOK_PACKAGE: &str = "sunaba-webhooks";
/// That handler.
pub const WEBHOOK_HANDLER: &str = "deliver";
/// What a webhook is sent when somebody tries it.
pub const TEST_EVENT: &str = "webhook.test";
/// How long what came of a delivery is kept.
pub const DELIVERY_KEPT: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// How long an attempt may last, all told. Requests have a shorter time of their own.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The kind of a failure that says that nothing was sent, and nothing about the endpoint.
pub const NOT_SENT: &str = "not-sent";
/// What the kind of a failure begins with that is an answer of the endpoint; its status follows.
pub const STATUS: &str = "status-";

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// How long after each failed attempt the next one is. Source: the schedule that the specification of Standard Webhooks gives as
/// an example.
pub const RETRY_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(14 * HOUR),
    Duration::from_secs(20 * HOUR),
    Duration::from_secs(24 * HOUR),
];
/// Attempts of one delivery.
#[expect(clippy::cast_possible_truncation, reason = "there are nine")]
pub const MAX_DELIVERY_ATTEMPTS: u32 = RETRY_DELAYS.len() as u32 + 1;
/// A host that is lost is no reason to give a delivery up.
const MAX_HOSTS_LOST: u32 = 1_000;
/// A delay is up to so much shorter or longer, so that what failed together does not come back together.
const JITTER: f64 = 0.1;

const NAME: &str = "webhook";
const MADE: &str = "webhook-made";
const MESSAGE: &str = "webhook-id";
const EVENT: &str = "webhook-event";
const TRACEPARENT: &str = "traceparent";

/// Whether a queue is the host's own: its tasks are in no list that does not ask for it, cause no events, and are run by no worker
/// that was not started for it.
pub fn is_internal(queue: &str) -> bool {
    queue.starts_with("sunaba:")
}

/// What stands for the component of the handler that sends deliveries.
pub fn webhook_component() -> Digest {
    Digest::of(format!("native:{WEBHOOK_PACKAGE}").as_bytes())
}

/// The tag of all deliveries of a webhook.
pub fn tag_of(webhook: &WebhookName) -> String {
    format!("webhook:{webhook}")
}

/// How long after so many failures, from 1, a delivery is tried again. The same seed gives the same delay.
pub fn retry_delay(failures: u32, seed: u64) -> Duration {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(RETRY_DELAYS.len() - 1);
    let jitter = fastrand::Rng::with_seed(seed ^ u64::from(failures)).f64().mul_add(2.0 * JITTER, 1.0 - JITTER);
    RETRY_DELAYS[place].mul_f64(jitter)
}

/// How long after so many failures a delivery is tried again of which the endpoint has said when it wants it, if it has. No sooner
/// than without, so that no answer uses up all attempts at once, and no later than the longest delay.
pub fn asked_delay(failures: u32, seed: u64, asked: Option<Duration>) -> Duration {
    let longest = RETRY_DELAYS[RETRY_DELAYS.len() - 1];
    retry_delay(failures, seed).max(asked.unwrap_or_default().min(longest))
}

/// What the `retry-after` of an answer says: so many seconds, or an instant as HTTP writes it. None: nothing that means something.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is too large for a number is longer than anybody waits.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    http_date(text).map(|at| at.since(now))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`. Of the three forms that there are this is the one that anybody writes.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<_> = text.split_once(", ")?.1.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    if day.len() != 2 || year.len() != 4 || time.len() != 8 {
        return None;
    }
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

/// What a delivery says of itself, in the attributes of its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLink {
    /// Where it goes.
    pub webhook: WebhookName,
    /// When that webhook was made: another one of its name is another one.
    pub made: Timestamp,
    /// What stays the same however often it is sent.
    pub message: String,
    /// Of what it tells.
    pub event: String,
    /// The trace that what it tells of is a part of.
    pub traceparent: Option<String>,
}

impl DeliveryLink {
    /// The link that a task's attributes are; none if it is no delivery.
    pub fn of(attributes: &[(String, String)]) -> Option<Self> {
        let get = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        Some(Self {
            webhook: get(NAME)?.parse().ok()?,
            made: Timestamp::from_unix_ms(get(MADE)?.parse().ok()?),
            message: get(MESSAGE)?,
            event: get(EVENT)?,
            traceparent: get(TRACEPARENT),
        })
    }

    /// What its task asks for.
    pub fn spec(&self) -> TaskSpec {
        let handler = HandlerName { package: WEBHOOK_PACKAGE.into(), handler: WEBHOOK_HANDLER.into() };
        let mut spec = TaskSpec::new(handler, webhook_component());
        spec.queue = WEBHOOK_QUEUE.into();
        // What one endpoint holds up is its own.
        spec.key = Some(self.webhook.to_string());
        spec.max_attempts = MAX_DELIVERY_ATTEMPTS;
        spec.max_hosts_lost = MAX_HOSTS_LOST;
        // For what the handler could say nothing of, such as a timeout.
        spec.backoff = Backoff { growth: Growth::Exponential, first: RETRY_DELAYS[1], max: Some(RETRY_DELAYS[8]) };
        spec.limits.timeout = DELIVERY_TIMEOUT;
        spec.keep_result = Some(DELIVERY_KEPT);
        spec.tags = vec![tag_of(&self.webhook)];
        let own = [
            (NAME, self.webhook.to_string()),
            (MADE, self.made.unix_ms().to_string()),
            (MESSAGE, self.message.clone()),
            (EVENT, self.event.clone()),
        ];
        let trace = self.traceparent.clone().map(|trace| (TRACEPARENT, trace));
        spec.attributes = own.into_iter().chain(trace).map(|(name, value)| (name.to_owned(), value)).collect();
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_DELAY, is_name};

    fn link() -> DeliveryLink {
        DeliveryLink {
            webhook: "billing".parse().expect("a name"),
            made: Timestamp::from_unix_ms(77),
            message: "msg_1".into(),
            event: "task.dead".into(),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        }
    }

    #[test]
    fn link_reads_back_from_its_task() {
        for link in [link(), DeliveryLink { traceparent: None, ..link() }] {
            assert_eq!(DeliveryLink::of(&link.spec().attributes), Some(link));
        }
        assert_eq!(DeliveryLink::of(&[]), None);
    }

    #[test]
    fn queue_of_deliveries_is_one_that_nobody_can_name() {
        assert!(is_internal(WEBHOOK_QUEUE) && !is_name(WEBHOOK_QUEUE) && is_name(WEBHOOK_PACKAGE));
        assert!(!is_internal("sunaba") && !is_internal("default"));
    }

    #[test]
    fn endpoint_says_when_it_wants_a_delivery_in_seconds_or_by_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().expect("an instant");
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nom 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn asked_delay_obeyed() {
        let minute = Duration::from_secs(60);
        assert_eq!(asked_delay(1, 7, Some(minute)), minute);
        assert_eq!(asked_delay(1, 7, None), retry_delay(1, 7));
        // Ten answers of one second each would give a delivery up within ten.
        assert_eq!(asked_delay(4, 7, Some(minute)), retry_delay(4, 7));
    }

    #[test]
    fn asked_delay_violated() {
        assert_eq!(asked_delay(1, 7, Some(RETRY_DELAYS[8] * 30)), RETRY_DELAYS[8]);
    }

    #[test]
    fn delays_are_those_of_the_schedule_within_a_tenth() {
        for (failures, delay) in (1..).zip(RETRY_DELAYS) {
            for seed in 0..50 {
                let found = retry_delay(failures, seed);
                assert!((0.9..=1.1).contains(&(found.as_secs_f64() / delay.as_secs_f64())), "{failures}: {found:?}");
                assert!(found <= MAX_DELAY);
            }
        }
        assert!(retry_delay(u32::MAX, 1) >= RETRY_DELAYS[8].mul_f64(0.9));
    }
}
