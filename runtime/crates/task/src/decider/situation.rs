//! All that a decider sees, and how it is kept: as JSON of a bounded length, from which the decision can be made again.

use serde::{Deserialize, Serialize};

use super::seen::is_zero;
use super::{Body, Seen};
use crate::job::Job;
use crate::{MAX_KEPT_ATTEMPTS, Payload, Receipt, Task, Timestamp};

/// The longest situation that is kept, in bytes.
pub const MAX_RECORDED_BYTES: usize = 32 << 10;
/// Bodies that are kept first of all when a situation is too long; then none is.
const SMALL_BODY_BYTES: usize = 1 << 10;
/// Texts and children of a plan that are kept of a situation that is too long without its bodies.
const SHORT_TEXT_BYTES: usize = 120;
const FEW_CHILDREN: usize = 8;

/// All that a decider sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// The task that is decided about.
    pub task_id: String,
    /// Its handler, as `package/handler`.
    pub handler: String,
    /// Its input.
    pub input: Body,
    /// Failures charged, the one under decision included.
    pub failures: u32,
    /// Attempts that ended because their host was lost.
    pub hosts_lost: u32,
    /// The limit for `failures`.
    pub max_attempts: u32,
    /// By the store's clock; milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Oldest first; the last is the one under decision.
    pub attempts: Vec<PastAttempt>,
    /// The oldest of them, which were left out of what is kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts_omitted: u64,
    /// What is left to spend.
    pub budgets: Vec<BudgetLeft>,
    /// What the built-in rules would go by.
    pub settings: Vec<(String, String)>,
}

/// One attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// From 1.
    pub number: u32,
    /// Milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub ended_at_ms: u64,
    /// Fuel used; none when it was not counted.
    pub fuel: Option<u64>,
    /// The highest sum of the attempt's memories and tables.
    pub peak_memory_bytes: u64,
    /// How it ended.
    pub observation: Seen,
}

/// One budget of the task or its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetLeft {
    /// `attempts`, `deadline-ms`, `fuel`, `tasks` or `depth`.
    pub name: String,
    /// What was given.
    pub limit: u64,
    /// What is left of it.
    pub left: u64,
}

/// A situation that is not whole: nobody can decide by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the situation is not whole: {0} was left out when it was kept\nhint: put it back in its place; its digest stands there"
)]
pub struct SituationError(String);

impl Situation {
    /// The situation of a task whose attempt has just ended so. `job` is the record of its job, if it is of one.
    pub fn of(
        task: &Task,
        input: &Payload,
        observation: Seen,
        receipt: &Receipt,
        job: Option<&Job>,
        now: Timestamp,
    ) -> Self {
        let failures = task.failures_charged.saturating_add(u32::from(observation.is_failure()));
        let last = PastAttempt {
            number: task.attempts_started,
            started_at_ms: task.lease().map_or(task.submitted_at, |lease| lease.started_at).unix_ms(),
            ended_at_ms: now.unix_ms(),
            fuel: receipt.fuel,
            peak_memory_bytes: receipt.peak_memory_bytes,
            observation,
        };
        let past = task.attempts.iter().map(|attempt| PastAttempt {
            number: attempt.number,
            started_at_ms: attempt.started_at.unix_ms(),
            ended_at_ms: attempt.ended_at.unix_ms(),
            fuel: attempt.receipt.as_ref().and_then(|receipt| receipt.fuel),
            peak_memory_bytes: attempt.receipt.as_ref().map_or(0, |receipt| receipt.peak_memory_bytes),
            observation: Seen::of_ending(&attempt.ending),
        });
        // The one under decision among them.
        let over = (task.attempts.len() + 1).saturating_sub(MAX_KEPT_ATTEMPTS);
        Self {
            task_id: task.id.to_string(),
            handler: task.spec.handler.to_string(),
            input: input.clone().into(),
            failures,
            hosts_lost: task.hosts_lost,
            max_attempts: task.spec.max_attempts,
            now_ms: now.unix_ms(),
            attempts: past.skip(over).chain([last]).collect(),
            attempts_omitted: 0,
            budgets: budgets(task, failures, job, now),
            settings: settings(task),
        }
    }

    /// Whether all of it is here, so that a decider can be asked.
    ///
    /// # Errors
    /// Something was left out when it was kept; what.
    pub fn check_whole(&self) -> Result<(), SituationError> {
        let omitted = |body: &Body| matches!(body, Body::Omitted { .. });
        let missing = |what: &str| Err(SituationError(what.to_owned()));
        if omitted(&self.input) {
            return missing("the input");
        }
        if self.attempts_omitted > 0 {
            return missing("the oldest attempts");
        }
        for attempt in &self.attempts {
            match &attempt.observation {
                Seen::Completed { output } if omitted(output) => return missing("an output"),
                Seen::Failed { detail: Some(detail), .. } if omitted(detail) => return missing("a failure's detail"),
                Seen::Decomposed { plan }
                    if plan.children_omitted > 0 || plan.children.iter().any(|child| omitted(&child.input)) =>
                {
                    return missing("a part of a plan");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The situation as JSON of at most [`MAX_RECORDED_BYTES`]. What is too large is left out in steps, and said to be: bodies
    /// first, then children of a plan and what failures said, then the oldest attempts.
    pub fn recorded(&self) -> String {
        let json = |situation: &Self| serde_json::to_string(situation).unwrap_or_default();
        let mut short = self.clone();
        // Before the first look: a body of many megabytes is not written only to be thrown away.
        short.bodies(|body| body.omit_over(MAX_RECORDED_BYTES));
        short.plans(FEW_CHILDREN * FEW_CHILDREN);
        for step in 0..3 {
            let text = json(&short);
            if text.len() <= MAX_RECORDED_BYTES {
                return text;
            }
            match step {
                0 => short.bodies(|body| body.omit_over(SMALL_BODY_BYTES)),
                1 => {
                    short.bodies(|body| body.omit_over(0));
                    short.plans(FEW_CHILDREN);
                }
                _ => short.shorten_texts(),
            }
        }
        let mut text = json(&short);
        while text.len() > MAX_RECORDED_BYTES && short.attempts.len() > 1 {
            let dropped = short.attempts.len().div_ceil(2);
            short.attempts.drain(..dropped.min(short.attempts.len() - 1));
            short.attempts_omitted = (self.attempts.len() - short.attempts.len()) as u64;
            text = json(&short);
        }
        if text.len() > MAX_RECORDED_BYTES {
            // Names and options of a plan alone are that long.
            short.plans(0);
            text = json(&short);
        }
        text
    }

    fn bodies(&mut self, mut change: impl FnMut(&mut Body)) {
        change(&mut self.input);
        for attempt in &mut self.attempts {
            match &mut attempt.observation {
                Seen::Completed { output } => change(output),
                Seen::Failed { detail: Some(detail), .. } => change(detail),
                Seen::Decomposed { plan } => plan.children.iter_mut().for_each(|child| change(&mut child.input)),
                _ => {}
            }
        }
    }

    /// Leaves so many children of plans, and of none at all their rules neither.
    fn plans(&mut self, children: usize) {
        for attempt in &mut self.attempts {
            if let Seen::Decomposed { plan } = &mut attempt.observation {
                let dropped = plan.children.len().saturating_sub(children);
                plan.children.truncate(children);
                plan.children_omitted += dropped as u64;
                if children == 0 {
                    plan.settings.clear();
                }
            }
        }
    }

    fn shorten_texts(&mut self) {
        let last = self.attempts.len().saturating_sub(1);
        for (at, attempt) in self.attempts.iter_mut().enumerate() {
            // The whole of it is what was decided about.
            let most = if at == last { 8 * SHORT_TEXT_BYTES } else { SHORT_TEXT_BYTES };
            if let Seen::Failed { message: text, .. }
            | Seen::Stopped { message: text, .. }
            | Seen::Snoozed { reason: text, .. } = &mut attempt.observation
                && text.len() > most
            {
                text.truncate(text.floor_char_boundary(most));
                text.push_str("...");
            }
        }
    }
}

fn budgets(task: &Task, failures: u32, job: Option<&Job>, now: Timestamp) -> Vec<BudgetLeft> {
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let budget = |name: &str, limit: u64, left: u64| BudgetLeft { name: name.into(), limit, left };
    let max = task.spec.max_attempts;
    let mut budgets = vec![budget("attempts", max.into(), max.saturating_sub(failures).into())];
    if let Some(limit) = task.spec.retry_for {
        let end = task.submitted_at.after(limit);
        budgets.push(budget("deadline-ms", millis(limit), end.unix_ms().saturating_sub(now.unix_ms())));
    }
    let Some(job) = job else { return budgets };
    let (given, spent) = (&job.spec.budget, &job.spent);
    if let Some(fuel) = given.fuel {
        budgets.push(budget("fuel", fuel, fuel.saturating_sub(spent.fuel)));
    }
    budgets.push(budget("tasks", given.tasks, given.tasks.saturating_sub(spent.tasks)));
    let depth = task.job.as_ref().map_or(0, |link| link.depth);
    budgets.push(budget("depth", given.depth.into(), given.depth.saturating_sub(depth).into()));
    budgets
}

/// The rules that the decider stands in for, as a handler would write them.
fn settings(task: &Task) -> Vec<(String, String)> {
    let spec = &task.spec;
    let listed = |kinds: &Vec<String>| kinds.join(",");
    let own = [
        ("max-attempts", Some(spec.max_attempts.to_string())),
        ("backoff", Some(spec.backoff.to_string())),
        ("retry-on", spec.retry_on.as_ref().map(listed)),
        ("never-retry-on", Some(listed(&spec.never_retry_on)).filter(|kinds| !kinds.is_empty())),
        ("retry-for", spec.retry_for.map(|limit| humantime::format_duration(limit).to_string())),
    ];
    own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NOW};
    use crate::{AttemptRecord, Decision, Digest, Disposition, Ending, Policy, Verdict};

    fn failed(message: &str) -> Seen {
        let detail = Some(Payload::json("{}").into());
        Seen::Failed { kind: "network".into(), message: message.into(), detail, disposition: Disposition::ByPolicy }
    }

    fn situation(input: &Payload, attempts: u32, message: &str) -> Situation {
        let mut task = testing::task();
        let record = |number| AttemptRecord {
            number,
            worker: "w".into(),
            started_at: NOW,
            ended_at: NOW,
            ending: Ending::Failed { kind: "network".into(), message: message.into() },
            decision: Decision::charged(Verdict::GiveUp, Policy::Retry, String::new()),
            receipt: None,
        };
        task.attempts = (1..attempts).map(record).collect();
        task.attempts_started = attempts;
        task.failures_charged = attempts - 1;
        let receipt = Receipt::unmeasured(Digest::of(b"component"));
        Situation::of(&task, input, failed(message), &receipt, None, NOW)
    }

    #[test]
    fn situation_reads_back_and_is_whole() {
        let situation = situation(&Payload::json("{\"a\":1}"), 3, "no route");
        assert_eq!((situation.failures, situation.attempts.len()), (3, 3));
        assert_eq!(situation.budgets[0], BudgetLeft { name: "attempts".into(), limit: 4, left: 1 });
        assert_eq!(serde_json::from_str::<Situation>(&situation.recorded()).expect("our own"), situation);
        assert_eq!(situation.check_whole(), Ok(()));
    }

    #[test]
    fn hundred_newest_attempts_obeyed() {
        let attempts = |count| situation(&Payload::json("{}"), count, "m").attempts;
        assert_eq!((attempts(100).len(), attempts(100)[0].number), (100, 1));
        assert_eq!((attempts(101).len(), attempts(101)[0].number), (100, 2));
    }

    #[test]
    fn what_is_kept_of_a_situation_is_bounded_and_says_what_was_left_out() {
        let large = Payload::json("x".repeat(40 << 10));
        let long = "m".repeat(8 << 10);
        for (situation, missing) in
            [(situation(&large, 1, "m"), "the input"), (situation(&large, 100, &long), "the input")]
        {
            let text = situation.recorded();
            assert!(text.len() <= MAX_RECORDED_BYTES, "{}", text.len());
            let kept: Situation = serde_json::from_str(&text).expect("our own");
            let error = kept.check_whole().expect_err("something is missing").to_string();
            assert!(error.contains(missing), "{error}");
            let Body::Omitted { size_bytes, digest, .. } = kept.input else { panic!("it is large") };
            assert_eq!((size_bytes, digest), (40 << 10, Digest::of(&large.bytes)));
        }
        // Nothing is left out of one that fits.
        let fits = situation(&Payload::json("x".repeat(8 << 10)), 2, "m");
        assert_eq!(serde_json::from_str::<Situation>(&fits.recorded()).expect("our own"), fits);
    }
}
