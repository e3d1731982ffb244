//! How the end of an attempt or of a task is shown to people, the same for `run` and `task`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sunaba_runtime::server::api::ResultView;
use sunaba_runtime::task::{
    AttemptReport, AttemptResult, Cause, JSON, LogEntry, Outcome, Payload, Plan, Snooze, StateName, format_bytes,
    format_count, format_duration,
};
use sunaba_runtime::{FailureReport, PlanReport, ReceiptReport};

use super::plan;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Frames of a backtrace that are printed for people.
const SHOWN_FRAMES: usize = 12;

/// What there is to show.
pub(crate) struct Shown {
    /// Whether somebody cancelled it.
    cancelled: bool,
    output: Option<Payload>,
    /// When the handler wants to be run again.
    snooze: Option<Snooze>,
    /// The children that are to do the handler's work.
    plan: Option<Plan>,
    failure: Option<FailureReport>,
    receipt: Option<ReceiptReport>,
}

impl From<&AttemptReport> for Shown {
    fn from(report: &AttemptReport) -> Self {
        let receipt = Some(report.receipt.clone().into());
        let nothing = Self { cancelled: false, output: None, snooze: None, plan: None, failure: None, receipt };
        match &report.result {
            AttemptResult::Returned(Outcome::Complete(output)) => Self { output: Some(output.clone()), ..nothing },
            AttemptResult::Returned(Outcome::Snooze(snooze)) => Self { snooze: Some(snooze.clone()), ..nothing },
            AttemptResult::Returned(Outcome::Decompose(plan)) => Self { plan: Some(plan.clone()), ..nothing },
            AttemptResult::Failed(failure) => Self { failure: Some(failure.clone().into()), ..nothing },
            AttemptResult::Stopped(stop) => Self { failure: Some(stop.clone().into()), ..nothing },
        }
    }
}

impl TryFrom<ResultView> for Shown {
    type Error = CommandError;

    /// Of a task that has ended.
    fn try_from(result: ResultView) -> Result<Self, CommandError> {
        let output = match (result.output, result.media_type) {
            (Some(json), Some(media_type)) if media_type == JSON => Some(Payload::json(json.get().to_owned())),
            (Some(json), Some(media_type)) => Some(Payload::new(media_type, bytes(json.get())?)),
            _ => None,
        };
        let cancelled = result.state == StateName::Cancelled;
        Ok(Self { cancelled, output, snooze: None, plan: None, failure: result.failure, receipt: result.receipt })
    }
}

/// The bytes of an output that is not JSON.
fn bytes(json: &str) -> Result<Vec<u8>, CommandError> {
    #[derive(Deserialize)]
    struct Encoded {
        base64: String,
    }
    let wrong = |error: &dyn ToString| {
        CommandError::new(Exit::Error, format!("the host sent an output that cannot be read: {}", error.to_string()))
    };
    let encoded: Encoded = serde_json::from_str(json).map_err(|error| wrong(&error))?;
    STANDARD.decode(encoded.base64).map_err(|error| wrong(&error))
}

impl Shown {
    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match &self.failure {
            _ if self.output.is_some() || self.snooze.is_some() || self.plan.is_some() => Exit::Ok,
            Some(failure) if !self.cancelled && failure.cause == Cause::Timeout.word() => Exit::Timeout,
            _ => Exit::TaskFailed,
        }
    }

    /// The output on standard output, all else on standard error.
    ///
    /// # Errors
    /// Standard output is full.
    pub(crate) fn print(&self, global: &Global) -> Result<(), CommandError> {
        if let Some(output) = &self.output {
            if !global.quiet {
                let wall = self.receipt.as_ref().map(|receipt| format!("in {}", duration(receipt.wall_ms)));
                print::headline(true, "succeeded", &wall.unwrap_or_default());
                self.print_receipt();
            }
            print::data(&output.bytes)?;
            // JSON is a line; other bytes are left as they are.
            return if output.is_json() { print::data(b"\n") } else { Ok(()) };
        }
        if let Some(snooze) = &self.snooze {
            let reason = if snooze.reason.is_empty() { String::new() } else { format!(": {}", snooze.reason) };
            let delay = format_duration(snooze.delay);
            match snooze.until_completed {
                true => print::headline(true, "waits", &format!("to be completed, for {delay}{reason}")),
                false => print::headline(true, "snoozed", &format!("for {delay}{reason}")),
            }
            if !global.quiet {
                self.print_receipt();
            }
            return Ok(());
        }
        if let Some(children) = &self.plan {
            print::headline(true, "decomposed", &plan::summary(children));
            if !global.quiet {
                plan::print(children);
                self.print_receipt();
            }
            return print::json(Format::Json, &PlanReport::from(children.clone()));
        }
        match &self.failure {
            _ if self.cancelled => print::headline(false, "cancelled", ""),
            None => print::headline(false, "failed", ""),
            Some(failure) if failure.cause == "handler" => {
                print::headline(false, "failed", &format!("{}: {}", failure.kind, failure.message));
                if let Some(detail) = &failure.detail {
                    print::note(format_args!("  detail       {}", detail.get()));
                }
            }
            Some(failure) => {
                print::headline(false, "stopped", &format!("{}: {}", failure.cause, failure.message));
                print_backtrace(failure);
            }
        }
        if !global.quiet {
            self.print_receipt();
        }
        Ok(())
    }

    fn print_receipt(&self) {
        let Some(receipt) = &self.receipt else { return };
        let fuel = match (receipt.fuel, receipt.fuel_exact) {
            (Some(fuel), true) => format_count(fuel),
            (Some(fuel), false) => format!("at least {} (within a million)", format_count(fuel)),
            (None, _) => "off".into(),
        };
        let said = receipt.log_bytes + receipt.stdout_bytes + receipt.stderr_bytes;
        let rows = [
            ("fuel", fuel),
            ("wall time", format!("{} ({} of it sandbox)", duration(receipt.wall_ms), duration(receipt.overhead_ms))),
            ("peak memory", format_bytes(receipt.peak_memory_bytes)),
            ("host calls", calls(receipt)),
            ("input", format_bytes(receipt.input_bytes)),
            ("output", format_bytes(receipt.output_bytes)),
            ("logs", format!("{} kept, {} dropped", format_bytes(said), format_bytes(receipt.dropped_bytes))),
            ("component", receipt.component.clone()),
        ];
        let requests = (receipt.requests > 0).then(|| {
            let (count, bytes) = (format_count(receipt.requests), format_bytes(receipt.request_bytes));
            ("requests", format!("{count}, {bytes} with their responses"))
        });
        let artifacts = (receipt.artifact_bytes > 0)
            .then(|| ("artifacts", format!("{} written", format_bytes(receipt.artifact_bytes))));
        // Last, and only where there is one: with it the same run can be had again.
        let seed = receipt.seed.clone().map(|seed| ("seed", seed));
        for (name, value) in rows.into_iter().chain(requests).chain(artifacts).chain(seed) {
            print::note(format_args!("  {name:<12} {value}"));
        }
    }
}

/// The host calls of an attempt: how many, and what they took.
fn calls(receipt: &ReceiptReport) -> String {
    if receipt.host_calls == 0 {
        return "none".into();
    }
    let most = receipt.host_calls_by.first().filter(|most| most.count < receipt.host_calls);
    let most = most.map(|most| format!(", {} of them {}", format_count(most.count), most.name)).unwrap_or_default();
    let written = match receipt.written_bytes {
        0 => String::new(),
        bytes => format!(", {} written to files", format_bytes(bytes)),
    };
    let (count, moved) = (format_count(receipt.host_calls), format_bytes(receipt.moved_bytes));
    format!("{count} in {}{most}, {moved} moved{written}", duration(receipt.host_call_ms))
}

fn print_backtrace(failure: &FailureReport) {
    for (index, frame) in failure.backtrace.iter().take(SHOWN_FRAMES).enumerate() {
        print::note(format_args!("  {index:>4}: {frame}"));
    }
    let hidden = failure.backtrace.len().saturating_sub(SHOWN_FRAMES);
    if hidden > 0 {
        print::note(format_args!("        and {hidden} more (all with `-o json`)"));
    }
}

fn duration(ms: f64) -> String {
    format_duration(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
}

/// A line that a guest said.
pub(crate) fn log(entry: &LogEntry) {
    print::note(log_line(entry));
}

/// The same as text.
pub(crate) fn log_line(entry: &LogEntry) -> String {
    let fields = entry.fields.iter().map(|(key, value)| format!(" {key}={value}")).collect::<String>();
    format!("{:>6}ms {:<6} {:<5} {}{fields}", entry.at_ms, entry.source.to_string(), entry.level, entry.message)
}
