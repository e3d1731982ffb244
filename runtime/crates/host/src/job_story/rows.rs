//! A job's story as text: a name and a value in each row, as a task's story has them.

use std::fmt;
use std::time::Duration;

use sunaba_task::{counted, format_bytes, format_count, format_duration};

use crate::explain::Rows;

use super::story::{FailedTask, JobStory, NotRun, PathStep, UndoneTask};

/// Steps of the chain that are shown at its beginning, and at its end.
const SHOWN_STEPS: usize = 6;
/// Undone tasks that are shown; JSON has all.
const SHOWN_UNDONE: usize = 12;

impl JobStory {
    /// The story as rows of a name and a value. Others' texts are in it, in one line each, and inert.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Rows::default();
        rows.add("job", self.id.clone());
        if !self.name.is_empty() {
            rows.add("name", super::plain::one_line(&self.name, 200));
        }
        let state = super::tree::word(self.state);
        rows.add("state", self.ended_at.as_ref().map_or_else(|| state.to_owned(), |at| format!("{state} since {at}")));
        rows.add("submitted", self.submitted_at.clone());
        let others = [("retry of", &self.origin), ("retried as", &self.successor)];
        for (word, job) in others.into_iter().filter_map(|(word, job)| Some((word, job.as_ref()?))) {
            rows.add(word, format!("job {job}"));
        }
        self.what_it_is(&mut rows);
        self.failed.iter().for_each(|failed| failed.rows(&mut rows));
        if self.more_failed > 0 {
            rows.add("failed", format!("{} more", format_count(self.more_failed)));
        }
        self.not_run.iter().for_each(|not_run| not_run.row(&mut rows));
        if self.more_not_run > 0 {
            rows.add("not run", format!("{} more, for other reasons", format_count(self.more_not_run)));
        }
        self.undone_rows(&mut rows);
        if let Some(name) = &self.not_undone {
            rows.add("not undone", format!("`{name}`, nor anything that had succeeded before it"));
        }
        self.path_rows(&mut rows);
        for wait in &self.waits {
            for message in &wait.messages {
                rows.add(
                    "waits",
                    format!("`{}` is {}: {}", wait.name, wait.state, super::plain::one_line(message, 300)),
                );
            }
        }
        if self.more_waiting > 0 {
            rows.add("waits", format!("{} could run", counted(self.more_waiting, "more task", "more tasks")));
        }
        if self.not_shown > 0 {
            rows.add("not shown", format!("{} not looked at", counted(self.not_shown, "task was", "tasks were")));
        }
        if self.edges_not_shown > 0 {
            rows.add(
                "not shown",
                format!("{} between tasks", counted(self.edges_not_shown, "dependency", "dependencies")),
            );
        }
        rows.add(if self.state.is_terminal() { "end" } else { "next" }, self.conclusion.clone());
        rows.0
    }

    fn what_it_is(&self, rows: &mut Rows) {
        let stops = if self.stop_on_failure { ", and stops the others" } else { "" };
        let result = self.result.as_ref().map(|name| format!("; its result is that of `{name}`")).unwrap_or_default();
        rows.add("rules", format!("a failure means {}{stops}{result}", self.on_failure));
        let count = |(state, count): (&sunaba_task::StateName, &u64)| format!("{} {state}", format_count(*count));
        let mut tasks: Vec<_> = self.tasks.iter().map(count).collect();
        if self.planned > 0 {
            tasks.push(format!("{} to be made", format_count(self.planned)));
        }
        rows.add("tasks", if tasks.is_empty() { "none".into() } else { tasks.join(", ") });
        let used = &self.used;
        let attempts = if used.attempts == 1 { "" } else { "s" };
        // Most jobs write none.
        let artifacts = Some(used.artifact_bytes).filter(|bytes| *bytes > 0);
        let artifacts = artifacts.map(|bytes| format!(", artifacts {}", format_bytes(bytes))).unwrap_or_default();
        rows.add(
            "used",
            format!(
                "{} attempt{attempts}, fuel {}, wall time {} of which host calls {}, peak memory {}, outputs {}{artifacts}",
                format_count(used.attempts),
                format_count(used.fuel),
                time(used.wall_ms),
                time(used.host_call_ms),
                format_bytes(used.peak_memory_bytes),
                format_bytes(used.output_bytes)
            ),
        );
        for budget in &self.budgets {
            let percent = budget.spent.saturating_mul(100) / budget.limit.max(1);
            rows.add("budget", format!("{} {}, {percent} %", budget.name, budget.spent_of()));
        }
    }

    /// How many were undone and why, and the first of them.
    fn undone_rows(&self, rows: &mut Rows) {
        if let Some(why) = self.undone_for.as_ref().filter(|_| self.undone_tasks > 0 || !self.undone.is_empty()) {
            let tasks = if self.undone_tasks == 1 { "task" } else { "tasks" };
            rows.add("undone", format!("{} {tasks} in all of the job, for {why}", format_count(self.undone_tasks)));
        }
        for (undone, number) in self.undone.iter().zip(1..).take(SHOWN_UNDONE) {
            undone.row(rows, number);
        }
        let told = self.undone.len().min(SHOWN_UNDONE) as u64;
        let more = (self.undone.len() as u64 + self.more_undone).max(self.undone_tasks).saturating_sub(told);
        if more > 0 {
            rows.add("undone", format!("{} more", format_count(more)));
        }
    }

    fn path_rows(&self, rows: &mut Rows) {
        if self.path.is_empty() {
            return;
        }
        let steps = self.path.len();
        rows.add("took", format!("{}, by this chain of {steps}:", time(self.took_ms)));
        let hidden = steps.saturating_sub(2 * SHOWN_STEPS);
        for (place, step) in self.path.iter().enumerate() {
            if hidden <= 1 || place < SHOWN_STEPS || place >= steps - SHOWN_STEPS {
                step.row(rows);
            } else if place == SHOWN_STEPS {
                let between = &self.path[place..steps - SHOWN_STEPS];
                let took = between.iter().map(PathStep::took_ms).sum();
                rows.add("", format!("{hidden} more took {}", time(took)));
            }
        }
    }
}

/// Milliseconds as people write them.
fn time(ms: u64) -> String {
    if ms == 0 { "<1ms".into() } else { format_duration(Duration::from_millis(ms)) }
}

impl FailedTask {
    fn rows(&self, rows: &mut Rows) {
        let attempts = match self.attempts {
            1 => "1 attempt".into(),
            count => format!("{count} attempts"),
        };
        rows.add(
            "failed",
            format!("`{}` by {}, {} after {attempts}: {}", self.name, self.handler, self.state, self.cause),
        );
        if let Some(because) = &self.because {
            rows.add("  because", because.clone());
        }
    }
}

impl NotRun {
    fn row(&self, rows: &mut Rows) {
        let names = self.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more = self.count.saturating_sub(self.names.len() as u64);
        let more = if more > 0 { format!(" and {} more", format_count(more)) } else { String::new() };
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        rows.add(if self.begun { "stopped" } else { "not run" }, format!("{names}{more}{reason}"));
    }
}

impl UndoneTask {
    fn row(&self, rows: &mut Rows, number: usize) {
        let cause = self.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let (name, handler, state, ran) = (&self.name, &self.handler, self.state, time(self.ran_ms));
        rows.add("undone", format!("{number}. `{name}` by {handler}, {state}, {ran}{cause}"));
    }
}

impl PathStep {
    fn took_ms(&self) -> u64 {
        let parts = [self.waited_ms, self.ran_ms, self.between_attempts_ms, self.for_somebody_ms];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    fn row(&self, rows: &mut Rows) {
        let state = match self.state {
            sunaba_task::StateName::Succeeded => String::new(),
            other => format!(", {other}"),
        };
        let (share, name, waited, ran) = (self.share, &self.name, time(self.waited_ms), time(self.ran_ms));
        let pauses = [("between attempts", self.between_attempts_ms), ("waited for somebody", self.for_somebody_ms)];
        let pauses = pauses.into_iter().filter(|(_, ms)| *ms > 0);
        let pauses: String = pauses.map(|(what, ms)| format!(", {what} {}", time(ms))).collect();
        rows.add("", format!("{share:>3} % `{name}` waited {waited}, ran {ran}{pauses}{state}"));
    }
}

impl fmt::Display for JobStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rows(self.rows()).fmt(f)
    }
}
