//! Which alerts fire: what is wrong for long enough fires once, and what is well for long enough is resolved once. Pure: time
//! comes in as an argument.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sunaba_task::Timestamp;

use super::rules::{AlertRules, Condition, Firing};
use super::sample::Moment;
use crate::rule::Rule;

/// Alerts that fire, or will soon. Further ones wait for one of these to be resolved.
const MAX_OPEN: usize = 500;
/// Resolved ones that are shown.
const MAX_RESOLVED: usize = 200;

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// By which rule.
    pub rule: Rule,
    /// With what: a queue, a handler, a task; empty for the host.
    pub subject: String,
    /// What was found last, in one line.
    pub message: String,
    /// When it was found first.
    pub since: Timestamp,
    /// When it fired.
    pub fired_at: Timestamp,
    /// When it was resolved; none while it fires.
    pub resolved_at: Option<Timestamp>,
}

/// Whoever is to be told of alerts. Called one at a time, on a thread that may not block.
pub trait AlertSink: Send + Sync + 'static {
    /// An alert fires, or was resolved.
    fn tell(&self, alert: &Alert);
}

/// Tells the log.
pub(super) struct LogSink;

impl AlertSink for LogSink {
    fn tell(&self, alert: &Alert) {
        let Alert { rule, subject, message, .. } = alert;
        if alert.resolved_at.is_some() {
            tracing::warn!(alert = rule.word(), subject, "resolved: {message}");
        } else {
            tracing::error!(alert = rule.word(), subject, "{message}");
        }
    }
}

/// What is or was wrong.
#[derive(Debug, Default)]
pub(crate) struct AlertBook {
    open: BTreeMap<(Rule, String), Open>,
    /// The newest last.
    resolved: VecDeque<Alert>,
    /// How many have fired.
    fired: u64,
}

#[derive(Debug)]
struct Open {
    since: Moment,
    /// When it was wrong last, by the clock that never jumps.
    last: Duration,
    message: String,
    /// None: not for long enough.
    fired_at: Option<Timestamp>,
}

impl AlertBook {
    /// Takes in what is wrong now; what has changed by that.
    pub(crate) fn look(&mut self, now: Moment, conditions: Vec<Condition>, rules: &AlertRules) -> Vec<Alert> {
        for Condition { rule, subject, message } in conditions {
            let (key, has_room) = ((rule, subject), self.open.len() < MAX_OPEN);
            match self.open.get_mut(&key) {
                Some(open) => (open.last, open.message) = (now.elapsed, message),
                None if has_room => {
                    self.open.insert(key, Open { since: now, last: now.elapsed, message, fired_at: None });
                }
                None => {}
            }
        }
        let mut changes = Vec::new();
        for ((rule, subject), open) in &mut self.open {
            let wrong_for = now.elapsed.saturating_sub(open.since.elapsed);
            if open.last == now.elapsed && open.fired_at.is_none() && wrong_for >= rules.fire_after {
                open.fired_at = Some(now.at);
                self.fired += 1;
                changes.extend(open.alert(*rule, subject, None));
            }
        }
        let is_over = |open: &Open| match open.fired_at {
            Some(_) => open.last < now.elapsed && now.elapsed - open.last >= rules.resolve_after,
            // It was wrong for too short a time for anybody to know.
            None => open.last < now.elapsed,
        };
        let over: Vec<_> = self.open.extract_if(.., |_, open| is_over(open)).collect();
        for ((rule, subject), open) in over {
            let Some(alert) = open.alert(rule, &subject, Some(now.at)) else { continue };
            if self.resolved.len() == MAX_RESOLVED {
                self.resolved.pop_front();
            }
            self.resolved.push_back(alert.clone());
            changes.push(alert);
        }
        changes
    }

    /// What fires now.
    pub(crate) fn firing(&self) -> Firing {
        self.open.iter().filter(|(_, open)| open.fired_at.is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// Those that fire, the oldest first, and those that were resolved, the newest first.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        let mut firing: Vec<_> =
            self.open.iter().filter_map(|((rule, subject), open)| open.alert(*rule, subject, None)).collect();
        firing.sort_by_key(|alert| alert.fired_at);
        firing.into_iter().chain(self.resolved.iter().rev().cloned()).collect()
    }

    /// How many have fired.
    pub(crate) fn fired(&self) -> u64 {
        self.fired
    }
}

impl Open {
    fn alert(&self, rule: Rule, subject: &str, resolved_at: Option<Timestamp>) -> Option<Alert> {
        let fired_at = self.fired_at?;
        let (subject, message) = (subject.to_owned(), self.message.clone());
        Some(Alert { rule, subject, message, since: self.since.at, fired_at, resolved_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: fn() -> AlertRules = || AlertRules {
        fire_after: Duration::from_secs(10),
        resolve_after: Duration::from_secs(60),
        ..AlertRules::default()
    };

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1_000)
    }

    fn moment(second: u64) -> Moment {
        Moment { at: at(second), elapsed: Duration::from_secs(second) }
    }

    #[test]
    fn alert_fires_and_is_resolved_while_the_clock_goes_back() {
        let mut book = AlertBook::default();
        let mut told = Vec::new();
        for second in 0..=100 {
            let conditions = if second <= 20 { vec![wrong("q")] } else { Vec::new() };
            let set_back = Moment { at: at(1_000 - second), ..moment(second) };
            for alert in book.look(set_back, conditions, &RULES()) {
                told.push((second, alert.fired_at, alert.resolved_at));
            }
        }
        assert_eq!(told, [(10, at(990), None), (80, at(990), Some(at(920)))]);
    }

    fn wrong(subject: &str) -> Condition {
        Condition { rule: Rule::QueueWait, subject: subject.into(), message: "m".into() }
    }

    /// What is told at each second of a story, in which something is wrong at these.
    fn story(wrong_at: &[u64], until: u64) -> Vec<(u64, &'static str)> {
        let mut book = AlertBook::default();
        let mut told = Vec::new();
        for second in 0..=until {
            let conditions = if wrong_at.contains(&second) { vec![wrong("q")] } else { Vec::new() };
            for alert in book.look(moment(second), conditions, &RULES()) {
                told.push((second, if alert.resolved_at.is_some() { "resolved" } else { "fires" }));
            }
        }
        told
    }

    #[test]
    fn alert_fires_once_and_is_resolved_once() {
        let wrong_at: Vec<_> = (5..=100).collect();
        assert_eq!(story(&wrong_at, 300), [(15, "fires"), (160, "resolved")]);
    }

    #[test]
    fn what_is_wrong_for_a_moment_does_not_fire() {
        let wrong_at: Vec<_> = (5..=14).chain(20..=29).collect();
        assert_eq!(story(&wrong_at, 100), []);
    }

    #[test]
    fn what_is_well_for_a_moment_is_not_resolved() {
        let wrong_at: Vec<_> = (0..=20).chain(70..=80).collect();
        assert_eq!(story(&wrong_at, 200), [(10, "fires"), (140, "resolved")]);
    }

    #[test]
    fn firing_comes_before_resolved_and_each_has_its_times() {
        let mut book = AlertBook::default();
        for second in 0..=100 {
            let conditions = if second <= 20 { vec![wrong("a"), wrong("b")] } else { vec![wrong("b")] };
            book.look(moment(second), conditions, &RULES());
        }
        let seen: Vec<_> =
            book.alerts().into_iter().map(|alert| (alert.subject, alert.fired_at, alert.resolved_at)).collect();
        assert_eq!(seen, [("b".into(), at(10), None), ("a".into(), at(10), Some(at(80)))]);
        assert_eq!((book.fired(), book.firing()), (2, Firing::from([(Rule::QueueWait, "b".into())])));
    }

    fn open_of(subjects: usize) -> usize {
        let mut book = AlertBook::default();
        let conditions = (0..subjects).map(|number| wrong(&number.to_string())).collect();
        book.look(moment(0), conditions, &AlertRules { fire_after: Duration::ZERO, ..RULES() });
        book.alerts().len()
    }

    #[test]
    fn number_of_alerts_obeyed() {
        assert_eq!(open_of(MAX_OPEN), MAX_OPEN);
    }

    #[test]
    fn number_of_alerts_violated() {
        assert_eq!(open_of(MAX_OPEN + 1), MAX_OPEN);
    }
}
