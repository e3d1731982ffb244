//! Any host calls with any arguments: the attempt ends with an outcome or a cause, within its limits. It is about the calls.

use std::sync::Arc;

use sunaba_runtime::task::{AttemptReport, AttemptResult, Limits, Unattended};

use super::Bench;

pub(super) fn run(bench: &Bench, program: &[u8]) -> Result<u64, String> {
    let attempt = bench.attempt(program)?;
    let report = bench.run(attempt, Arc::new(Unattended))?;
    within(&report)?;
    bench.goes_on()?;
    Ok(report.receipt.host_calls)
}

/// What holds of every report.
pub(super) fn within(report: &AttemptReport) -> Result<(), String> {
    let (receipt, limits) = (&report.receipt, Limits::default());
    let bounds = [
        ("memory", receipt.peak_memory_bytes, 1 << 20),
        ("output", receipt.output_bytes, limits.output_bytes),
        ("log", receipt.log_bytes, limits.log_bytes),
        ("stdout", receipt.stdout_bytes, limits.stdout_bytes),
        ("lines", report.logs.len() as u64, limits.log_lines + 4),
    ];
    for (what, used, limit) in bounds {
        if used > limit {
            return Err(format!("{what}: {used} of {limit}"));
        }
    }
    match &report.result {
        // The host survives its own panics, which makes none of them right.
        AttemptResult::Stopped(stop) if stop.message.starts_with("host code panicked") => Err(stop.message.clone()),
        AttemptResult::Stopped(stop) if stop.message.is_empty() => Err(format!("a stop without a message: {stop:?}")),
        _ => Ok(()),
    }
}
