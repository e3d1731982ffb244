//! How a look is shown: as a screen, or as a line.

use std::fmt::Write as _;

use sunaba_runtime::server::api::TaskView;
use sunaba_runtime::task::{counted, format_bytes, format_count, format_duration};

use super::Look;
use crate::commands::{frame, queue, workers};
use crate::print;

/// All of a look, with no more lines than there is room for; the last is left to the cursor.
pub(super) fn screen(look: &Look, height: usize) -> String {
    let mut screen = head(look);
    for alert in look.alerts.iter().flatten() {
        let of = if alert.subject.is_empty() { String::new() } else { format!(" of {}", alert.subject) };
        let message = alert.message.lines().next().unwrap_or_default();
        let _ = writeln!(screen, "! {}{of}: {message}", alert.alert);
    }
    let mut tables = Vec::new();
    if let Some(groups) = &look.workers {
        tables.push(frame::table(groups, workers::HEADER, workers::row));
    }
    if !look.queues.is_empty() {
        tables.push(frame::table(&look.queues, queue::HEADER, queue::row));
    }
    if !look.running.is_empty() {
        tables.push(frame::table(&look.running, ["RUNNING", "HANDLER", "QUEUE", "ATTEMPT", "SINCE"], running));
    }
    for table in tables {
        screen.push('\n');
        screen.push_str(&print::fitted(&table));
    }
    let mut lines: Vec<_> = screen.lines().map(|line| format!("{}\n", print::cut(&print::inert(line)))).collect();
    let room = height.saturating_sub(1).max(1);
    if lines.len() > room {
        lines.truncate(room.saturating_sub(1));
        lines.push("...\n".into());
    }
    lines.concat()
}

fn head(look: &Look) -> String {
    let host = &look.host;
    let of = host.memory_budget_bytes.map(|bytes| format!(" of {}", format_bytes(bytes))).unwrap_or_default();
    let held = format_bytes(host.memory_held_bytes);
    format!(
        "sunaba {} at {}\n{} of {} in use, {held}{of} held; {}\n",
        host.version,
        look.address,
        host.running,
        counted(host.slots as u64, "slot", "slots"),
        throughput(look)
    )
}

/// A look in a line.
pub(super) fn line(look: &Look) -> String {
    let sum = |of: fn(&_) -> u64| format_count(look.queues.iter().map(of).sum());
    let oldest = look.queues.iter().filter_map(|queue| queue.oldest_ms).max();
    let oldest = oldest.map(|ms| format!(", oldest {}", format_duration(std::time::Duration::from_millis(ms))));
    let alerts = look.alerts.as_ref().map_or_else(|| "-".into(), |alerts| alerts.len().to_string());
    format!(
        "queued {}, scheduled {}, running {} of {}{}; {}; alerts {alerts}\n",
        sum(|queue| queue.queued),
        sum(|queue| queue.scheduled),
        look.host.running,
        look.host.slots,
        oldest.unwrap_or_default(),
        throughput(look)
    )
}

fn throughput(look: &Look) -> String {
    match (look.attempts_per_second, look.failures_per_second) {
        (Some(attempts), Some(failures)) => format!("{attempts:.1} attempts/s, {failures:.1} failed/s"),
        _ => "attempts/s after the next look".into(),
    }
}

fn running(task: &TaskView) -> [String; 5] {
    let attempt = format!("{} of {}", task.attempts_started, task.max_attempts);
    [task.id.clone(), task.handler.clone(), task.queue.clone(), attempt, task.since.clone()]
}
