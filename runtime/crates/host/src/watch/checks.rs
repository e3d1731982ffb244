//! Whether a host is ready: each thing that it needs, and what is wrong with it. Pure.

use std::time::Duration;

use sunaba_task::{format_bytes, format_duration};

use super::sample::Sample;

/// A worker is heard of at least this often, or as often as its leases must be renewed.
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// A worker has a session so soon after the start.
const START_TIME: Duration = Duration::from_secs(10);

/// One thing that a host needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub is_good: bool,
    /// What was found, in one line.
    pub found: String,
}

/// A look that is older says nothing of now.
const MAX_AGE: Duration = Duration::from_secs(30);

/// What a host needs, of which nothing is left out because of another; as it was this long ago.
pub(crate) fn checks(sample: &Sample, age: Duration) -> Vec<Check> {
    vec![store(sample, age), disk(sample), worker(sample)]
}

fn check(name: &'static str, is_good: bool, found: impl Into<String>) -> Check {
    Check { name, is_good, found: found.into() }
}

fn store(sample: &Sample, age: Duration) -> Check {
    match sample.failure.as_ref().or(sample.unseen.as_ref()) {
        // The hint is for the log; here a check has a line.
        Some(problem) => check("store", false, problem.lines().next().unwrap_or_default()),
        None if age > MAX_AGE => {
            let age = format_duration(Duration::from_secs(age.as_secs()));
            check("store", false, format!("was last looked at {age} ago"))
        }
        None => check("store", true, "takes changes"),
    }
}

fn disk(sample: &Sample) -> Check {
    let Some(free) = sample.free_bytes else { return check("disk", true, "the store is in memory") };
    let (left, floor) = (format_bytes(free), format_bytes(sample.floor_bytes));
    if free < sample.floor_bytes {
        return check("disk", false, format!("{left} left, and nothing new is taken on below {floor}"));
    }
    check("disk", true, format!("{left} left"))
}

fn worker(sample: &Sample) -> Check {
    match sample.quietest {
        _ if sample.failure.is_some() => check("worker", false, "has no store"),
        _ if sample.unseen.is_some() => check("worker", false, "the store was not asked for it"),
        None if sample.up <= START_TIME => check("worker", true, "is starting"),
        None => check("worker", false, "no worker has a session"),
        Some(silent) if silent > MAX_SILENCE.max(sample.lease_time) => {
            let silent = format_duration(Duration::from_secs(silent.as_secs()));
            check("worker", false, format!("was last heard of {silent} ago"))
        }
        Some(_) => check("worker", true, format!("{} with a session, {} running", sample.workers, sample.running)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::rules::tests::calm;

    fn bad(sample: &Sample, age: Duration) -> Vec<&'static str> {
        checks(sample, age).into_iter().filter(|check| !check.is_good).map(|check| check.name).collect()
    }

    #[test]
    fn each_check_obeyed_and_violated() {
        let minute = Duration::from_secs(60);
        for (name, sample, expected) in [
            ("calm", calm(), vec![]),
            ("no disk", Sample { free_bytes: None, ..calm() }, vec![]),
            ("at the floor", Sample { free_bytes: Some(7), floor_bytes: 7, ..calm() }, vec![]),
            ("below the floor", Sample { free_bytes: Some(6), floor_bytes: 7, ..calm() }, vec!["disk"]),
            ("quiet", Sample { quietest: Some(minute), ..calm() }, vec![]),
            ("silent", Sample { quietest: Some(minute * 2), ..calm() }, vec!["worker"]),
            ("long leases", Sample { quietest: Some(minute * 2), lease_time: minute * 2, ..calm() }, vec![]),
            ("starting", Sample { quietest: None, up: START_TIME, ..calm() }, vec![]),
            ("no session", Sample { quietest: None, up: minute, ..calm() }, vec!["worker"]),
            (
                "unseen",
                Sample { unseen: Some("u".into()), quietest: None, up: START_TIME, ..calm() },
                vec!["store", "worker"],
            ),
            ("failed", Sample { failure: Some("f\nhint: h".into()), ..calm() }, vec!["store", "worker"]),
        ] {
            assert_eq!(bad(&sample, Duration::ZERO), expected, "{name}");
        }
        assert_eq!(bad(&calm(), MAX_AGE), Vec::<&str>::new());
        assert_eq!(bad(&calm(), MAX_AGE + Duration::from_secs(1)), ["store"]);
    }
}
