//! What sunaba promises of its speed, and whether the samples bear it out.

use serde::Serialize;
use sunaba_bench::Unit;

use crate::summary::Case;

/// What a goal bounds.
enum Figure {
    /// The ratio of one way's figure to another's, in the median of the rounds.
    Ratio(&'static str, &'static str),
    /// A way's own figure.
    Own(&'static str, Unit),
    /// A quantile of a way's figures.
    Quantile(&'static str, f64, Unit),
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

struct Goal {
    what: &'static str,
    area: &'static str,
    case: &'static str,
    figure: Figure,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

impl Verdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::NotMeasured => "not measured",
        }
    }
}

/// A goal, and what was measured of it.
#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    pub(crate) what: &'static str,
    pub(crate) wanted: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

const fn goal(what: &'static str, area: &'static str, case: &'static str, figure: Figure, bound: Bound) -> Goal {
    Goal { what, area, case, figure, bound }
}

const GOALS: &[Goal] = &[
    goal(
        "a task in the sandbox, beside a bare wasmtime loop",
        "sandbox",
        "hello, CPU time of a task",
        Figure::Ratio("sandbox, its shard alone", "bare wasmtime"),
        Bound::AtMost(1.5),
    ),
    goal(
        "a task in the sandbox, beside fork and exec",
        "sandbox",
        "hello, CPU time of a task",
        Figure::Ratio("sandbox", "fork + exec"),
        Bound::AtMost(1.0 / 40.0),
    ),
    goal(
        "store: submit, lease and settle, beside a bare sled loop",
        "store",
        "submit + lease + settle, 64 waiters",
        Figure::Ratio("sunaba", "bare sled"),
        Bound::AtLeast(0.6),
    ),
    goal(
        "end to end, saturated, beside a bare loop that does the same",
        "end to end",
        "no-op tasks, saturated",
        Figure::Ratio("sunaba", "bare loop"),
        Bound::AtLeast(0.7),
    ),
    goal(
        "end to end, beside BullMQ with its log synced always",
        "peers",
        "no-op tasks, saturated",
        Figure::Ratio("sunaba", "BullMQ + Redis, synced always"),
        Bound::AtLeast(1.5),
    ),
    goal(
        "end to end, beside Celery",
        "peers",
        "no-op tasks, saturated",
        Figure::Ratio("sunaba", "Celery + Redis"),
        Bound::AtLeast(20.0),
    ),
    goal(
        "idle: submit to durable result, beyond two barriers, p50",
        "end to end",
        "idle, submit to result, beyond two barriers",
        Figure::Quantile("sunaba", 0.5, Unit::Milliseconds),
        Bound::AtMost(0.5),
    ),
    goal(
        "store: a backlog of a million beside one of a thousand, time of a task",
        "store",
        "submit + lease + settle, 64 waiters, with a backlog",
        Figure::Ratio("1000000 waiting", "1000 waiting"),
        Bound::AtLeast(1.0 / 1.2),
    ),
    goal(
        "memory of a waiting task among a million",
        "store",
        "memory of a waiting task",
        Figure::Own("sunaba", Unit::Bytes),
        Bound::AtMost(200.0),
    ),
    goal(
        "open a store of a million tasks",
        "store",
        "open a store, waiting tasks",
        Figure::Own("sunaba", Unit::Seconds),
        Bound::AtMost(5.0),
    ),
    goal(
        "a chain of 400 light steps",
        "jobs",
        "chain of 400",
        Figure::Own("sunaba", Unit::Seconds),
        Bound::AtMost(1.0),
    ),
    goal(
        "stop of a spinning guest, all cores busy: later than asked, p99",
        "sandbox",
        "stop of a spinning guest, overshoot",
        Figure::Quantile("sandbox", 0.99, Unit::Milliseconds),
        Bound::AtMost(50.0),
    ),
    goal(
        "first run of a deployed handler after a restart",
        "end to end",
        "first task after a restart",
        Figure::Own("sunaba", Unit::Milliseconds),
        Bound::AtMost(5.0),
    ),
    goal(
        "start of the binary, empty store",
        "end to end",
        "start to ready",
        Figure::Own("sunaba", Unit::Milliseconds),
        Bound::AtMost(100.0),
    ),
    goal(
        "HTTP API, no-op submit, 64 clients, beside the embedding API",
        "end to end",
        "submits, 64 callers",
        Figure::Ratio("HTTP", "embedded"),
        Bound::AtLeast(0.5),
    ),
];

/// A goal, as a plot shows it: a line at a figure.
pub(crate) struct Mark {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// Where the goals of a case are: among its figures, and among its quantiles.
pub(crate) fn marks(case: &Case) -> (Vec<Mark>, Vec<Mark>) {
    let (mut own, mut of_quantiles) = (Vec::new(), Vec::new());
    for goal in GOALS.iter().filter(|goal| case.area == goal.area && case.name == goal.case) {
        let (Bound::AtLeast(bound) | Bound::AtMost(bound)) = goal.bound;
        match goal.figure {
            Figure::Own(..) => own.push(Mark { value: bound, label: format!("goal: {}", case.unit.format(bound)) }),
            Figure::Quantile(_, quantile, _) => {
                let label = format!("goal for p{:.0}: {}", quantile * 100.0, case.unit.format(bound));
                of_quantiles.push(Mark { value: bound, label });
            }
            Figure::Ratio(_, to) => {
                let Some(to) = case.way(to) else { continue };
                let label = format!("goal: {} of {}", ratio_text(bound), to.name);
                own.push(Mark { value: bound * to.spread.median, label });
            }
        }
    }
    (own, of_quantiles)
}

pub(crate) fn judge(cases: &[Case]) -> Vec<Judged> {
    GOALS.iter().map(|goal| goal.judge(cases)).collect()
}

impl Goal {
    fn judge(&self, cases: &[Case]) -> Judged {
        let found = cases.iter().find(|case| case.area == self.area && case.name == self.case);
        let format = |value: f64| match self.figure {
            Figure::Ratio(..) => ratio_text(value),
            Figure::Own(_, unit) | Figure::Quantile(.., unit) => unit.format(value),
        };
        let wanted = match self.bound {
            Bound::AtLeast(bound) => format!("at least {}", format(bound)),
            Bound::AtMost(bound) => format!("at most {}", format(bound)),
        };
        let value = found.and_then(|case| self.figure.of(case));
        let verdict = match (value, &self.bound) {
            (None, _) => Verdict::NotMeasured,
            (Some(value), Bound::AtLeast(bound)) if value >= *bound => Verdict::Met,
            (Some(value), Bound::AtMost(bound)) if value <= *bound => Verdict::Met,
            (Some(_), _) => Verdict::Missed,
        };
        // A quick run has smaller numbers than the goal speaks of.
        let at =
            found.and_then(|case| case.at).map_or_else(String::new, |at| format!(" at {}", Unit::Count.format(at)));
        let measured = value.map_or_else(String::new, |value| format(value) + &at);
        Judged { what: self.what, wanted, measured, verdict }
    }
}

/// With two digits that count at least.
pub(crate) fn ratio_text(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.3}x") } else { format!("{ratio:.2}x") }
}

impl Figure {
    fn of(&self, case: &Case) -> Option<f64> {
        match self {
            Self::Own(way, _) => Some(case.way(way)?.spread.median),
            Self::Quantile(way, wanted, _) => {
                case.way(way)?.quantiles.iter().find(|(quantile, _)| quantile == wanted).map(|(_, value)| *value)
            }
            Self::Ratio(way, to) => {
                let ratios = sunaba_bench::ratios(&case.way(way)?.figures, &case.way(to)?.figures);
                Some(sunaba_bench::Spread::of(&ratios)?.median)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sunaba_bench::{Sample, Written};

    use super::*;
    use crate::summary::summarize;

    fn lives(ours: f64) -> Vec<Case> {
        let sample = |way: &str, value| Sample {
            area: "store".into(),
            case: "submit + lease + settle, 64 waiters".into(),
            way: way.into(),
            round: 0,
            value,
            unit: Unit::PerSecond,
            at: None,
            quantile: None,
        };
        summarize(&Written { samples: vec![sample("bare sled", 10.0), sample("sunaba", ours)], ..Written::default() })
    }

    fn verdict(cases: &[Case]) -> Verdict {
        let judged = judge(cases);
        judged.iter().find(|goal| goal.what.contains("bare sled")).expect("it is a goal").verdict
    }

    #[test]
    fn goal_is_met_from_its_bound_on() {
        assert_eq!(verdict(&lives(6.0)), Verdict::Met);
        assert_eq!(verdict(&lives(5.9)), Verdict::Missed);
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert!(judge(&[]).iter().all(|goal| goal.verdict == Verdict::NotMeasured));
    }

    #[test]
    fn ratio_is_marked_where_it_is_reached() {
        let (own, of_quantiles) = marks(&lives(5.0)[0]);
        assert!(of_quantiles.is_empty());
        assert_eq!(own.iter().map(|mark| mark.value).collect::<Vec<_>>(), [6.0]);
    }
}
