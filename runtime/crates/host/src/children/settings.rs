//! The keyed settings of plans and of their children: the options of a submit, in the words of a handler's own settings.

use std::collections::HashSet;
use std::time::Duration;

use sunaba_task::job::OnFailure;
use sunaba_task::{HandlerName, HandlerSettings, When, parse_duration};

use crate::admission::TaskRequest;

/// What a child may set that a handler does not.
const OWN: &str = "delay, expires, key, tags, follow, keep-result, max-hosts-lost, undo, dirs";
/// What it may set as a handler does.
const SHARED: &str = "queue, priority, max-attempts, backoff, retry-on, never-retry-on, retry-for, timeout, fuel, fuel-budget, memory, \
     limits, capture, decider";

/// What a child says of itself, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ChildSettings {
    shared: HandlerSettings,
    delay: Option<Duration>,
    expires: Option<Duration>,
    key: Option<String>,
    tags: Vec<String>,
    follow: Option<bool>,
    keep_result: Option<Duration>,
    max_hosts_lost: Option<u32>,
    /// The handler that undoes it.
    pub(super) undo: Option<String>,
    /// Of its parent's directories, those that it gets. None: what its handler asks for.
    pub(super) dirs: Option<String>,
}

/// That nobody knows this key.
pub(super) fn unknown(of: &str, key: &str, known: &str) -> String {
    let key: String = key.chars().take(64).collect();
    format!("unknown {of} setting `{key}`\nhint: this host knows {known}")
}

fn wrong(key: &str, value: &str, what: &str) -> String {
    let value: String = value.chars().take(64).collect();
    format!("the setting `{key}` cannot be `{value}`: it takes {what}")
}

fn span(key: &str, value: &str) -> Result<Duration, String> {
    parse_duration(value).map_err(|error| wrong(key, value, &format!("a duration: {error}")))
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| wrong(key, value, "`true` or `false`"))
}

/// What a failure means.
pub(super) fn rule(value: &str) -> Result<OnFailure, String> {
    value.parse().map_err(|error: sunaba_task::job::OnFailureError| error.to_string())
}

/// What a plan says of itself: what a failure means, and whether the first one stops what else runs.
pub(super) fn of_plan(settings: &[(String, String)]) -> Result<(OnFailure, bool), String> {
    let (mut on_failure, mut stops) = (OnFailure::default(), false);
    once(settings)?;
    for (key, value) in settings {
        match key.as_str() {
            "on-failure" => on_failure = rule(value)?,
            "stop-on-failure" => stops = flag(key, value)?,
            _ => return Err(unknown("plan", key, "on-failure, stop-on-failure")),
        }
    }
    Ok((on_failure, stops))
}

fn once(settings: &[(String, String)]) -> Result<(), String> {
    let mut seen = HashSet::with_capacity(settings.len());
    match settings.iter().find(|(key, _)| !seen.insert(key)) {
        Some((key, _)) => Err(format!("the setting `{key}` is given twice")),
        None => Ok(()),
    }
}

impl ChildSettings {
    pub(super) fn parse(settings: &[(String, String)]) -> Result<Self, String> {
        once(settings)?;
        let (mut own, mut shared) = (Self::default(), Vec::new());
        for (key, value) in settings {
            match key.as_str() {
                "delay" => own.delay = Some(span(key, value)?),
                "expires" => own.expires = Some(span(key, value)?),
                "keep-result" => own.keep_result = Some(span(key, value)?),
                "key" => own.key = Some(value.clone()),
                "tags" => own.tags = value.split(',').map(|tag| tag.trim().to_owned()).collect(),
                "follow" => own.follow = Some(flag(key, value)?),
                "max-hosts-lost" => {
                    let lost = value.parse().map_err(|_| wrong(key, value, "a whole number from 1"))?;
                    own.max_hosts_lost = Some(lost);
                }
                "undo" => own.undo = Some(value.clone()),
                "dirs" => own.dirs = Some(value.clone()),
                known if SHARED.split(", ").any(|shared| shared == known) => {
                    shared.push((key.as_str(), value.as_str()));
                }
                _ => return Err(unknown("child", key, &format!("{SHARED}, {OWN}"))),
            }
        }
        own.shared = HandlerSettings::parse(shared).map_err(|error| error.to_string())?;
        Ok(own)
    }

    /// A request for a task of this handler.
    pub(super) fn request(self, handler: HandlerName) -> TaskRequest {
        let shared = self.shared;
        TaskRequest {
            queue: shared.queue,
            priority: shared.priority,
            start: self.delay.map(When::After),
            expires: self.expires.map(When::After),
            key: self.key,
            tags: self.tags,
            max_attempts: shared.max_attempts,
            max_hosts_lost: self.max_hosts_lost,
            backoff: shared.backoff,
            retry_on: shared.retry_on,
            never_retry_on: shared.never_retry_on,
            retry_for: shared.retry_for,
            keep_result: self.keep_result,
            timeout: shared.timeout,
            fuel: shared.fuel,
            fuel_budget: shared.fuel_budget,
            memory_bytes: shared.memory_bytes,
            limits: shared.limits,
            capture: shared.capture,
            decider: shared.decider,
            follow: self.follow,
            ..TaskRequest::new(handler)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_setting_of_a_child_is_read() {
        let settings = pairs(&[
            ("queue", "mail"),
            ("priority", "3"),
            ("max-attempts", "2"),
            ("backoff", "fixed(1s)"),
            ("retry-on", "network"),
            ("never-retry-on", "quota"),
            ("retry-for", "1h"),
            ("timeout", "9s"),
            ("fuel", "1000"),
            ("fuel-budget", "2000"),
            ("memory", "1MiB"),
            ("limits", "open-files=4"),
            ("capture", "stderr"),
            ("decider", "none"),
            ("delay", "2s"),
            ("expires", "1m"),
            ("key", "k"),
            ("tags", "a, b"),
            ("follow", "true"),
            ("keep-result", "1h"),
            ("max-hosts-lost", "7"),
            ("undo", "refund"),
            ("dirs", "/all/one::/data"),
        ]);
        assert_eq!(settings.len(), SHARED.split(", ").count() + OWN.split(", ").count());
        let settings = ChildSettings::parse(&settings).expect("all are known");
        assert_eq!((settings.undo.as_deref(), settings.dirs.as_deref()), (Some("refund"), Some("/all/one::/data")));
        let request = settings.request("a/b".parse().expect("a name"));
        assert_eq!(
            (request.queue.as_deref(), request.priority, request.max_attempts),
            (Some("mail"), Some(3), Some(2))
        );
        assert_eq!(
            (request.start, request.tags),
            (Some(When::After(Duration::from_secs(2))), vec!["a".into(), "b".into()])
        );
        assert_eq!((request.timeout, request.max_hosts_lost), (Some(Duration::from_secs(9)), Some(7)));
        assert_eq!((request.follow, request.memory_bytes), (Some(true), Some(1 << 20)));
        assert_eq!(request.capture, "stderr".parse().ok());
    }

    #[test]
    fn unknown_and_repeated_settings_are_refused_by_name() {
        for key in ["speed", "env", "http", "secrets", "scratch", "clock", "deterministic"] {
            let error = ChildSettings::parse(&pairs(&[(key, "1")])).expect_err(key);
            assert!(error.contains(&format!("`{key}`")) && error.contains("hint: "), "{error}");
        }
        assert!(ChildSettings::parse(&pairs(&[("queue", "a"), ("queue", "b")])).is_err());
        assert!(of_plan(&pairs(&[("on-failure", "ignore"), ("on-failure", "fail")])).is_err());
        assert!(of_plan(&pairs(&[("budget", "1")])).is_err());
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        for (key, value) in [("delay", "soon"), ("follow", "yes"), ("max-hosts-lost", "x"), ("timeout", "0s")] {
            assert!(ChildSettings::parse(&pairs(&[(key, value)])).is_err(), "{key}");
        }
        assert!(of_plan(&pairs(&[("on-failure", "panic")])).is_err());
        assert!(of_plan(&pairs(&[("stop-on-failure", "1")])).is_err());
    }

    #[test]
    fn settings_of_a_plan_are_read() {
        assert_eq!(of_plan(&[]), Ok((OnFailure::Fail, false)));
        let settings = pairs(&[("on-failure", "compensate"), ("stop-on-failure", "true")]);
        assert_eq!(of_plan(&settings), Ok((OnFailure::Compensate, true)));
    }
}
