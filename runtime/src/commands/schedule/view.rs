//! How schedules are printed.

use std::time::Duration;

use sunaba_runtime::server::api::{FireView, ScheduleView};
use sunaba_runtime::task::{format_count, format_duration};

use super::attention;
use crate::commands::frame;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

pub(super) fn list(global: &Global, schedules: &[ScheduleView]) -> Result<Exit, CommandError> {
    let header = ["SCHEDULE", "CRON", "ZONE", "HANDLER", "NEXT", "MADE", "ATTENTION"];
    let or_dash = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned().unwrap_or_else(|| "-".into());
    frame::list(global, schedules, "there is no schedule", header, |schedule| {
        [
            schedule.name.clone(),
            schedule.cron.clone(),
            schedule.time_zone.clone(),
            or_dash(schedule.task.as_ref().map(|task| &task.handler)),
            or_dash(schedule.next.as_ref().map(|next| &next.at)),
            format_count(schedule.made + schedule.triggered),
            or_dash(Some(&attention(schedule).join("; "))),
        ]
    })
}

pub(super) fn show(global: &Global, schedule: &ScheduleView) -> Result<Exit, CommandError> {
    frame::one(global, schedule, rows)
}

fn rows(schedule: &ScheduleView) -> Vec<(&'static str, String)> {
    let jitter = match schedule.jitter_ms {
        0 => String::new(),
        jitter => format!(", jitter {}", format_duration(Duration::from_millis(jitter))),
    };
    let mut rows = vec![
        ("schedule", format!("{}, revision {}", schedule.name, schedule.revision)),
        ("due", format!("{} in {}{jitter}", schedule.cron, schedule.time_zone)),
        ("policies", format!("overlap {}, catch-up {}", schedule.overlap, schedule.catch_up)),
        ("handler", schedule.task.as_ref().map_or_else(|| "-".into(), |task| task.handler.clone())),
    ];
    let input = schedule.task.as_ref().and_then(|task| Some(task.input.as_ref()?.get().to_owned()));
    let others = [
        ("input", input.map(|input| shortened(&input))),
        ("next", schedule.next.as_ref().map(|next| format!("{} ({})", next.at, next.local))),
        ("last tick", schedule.last_tick.clone()),
        ("last task", schedule.last_task.clone()),
        ("active", (!schedule.active.is_empty()).then(|| schedule.active.join(", "))),
    ];
    rows.extend(others.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let [made, triggered, skipped, missed, failed] =
        [schedule.made, schedule.triggered, schedule.skipped, schedule.missed, schedule.failed].map(format_count);
    let counts =
        format!("{made} made, {skipped} skipped, {missed} missed, {failed} failed; {triggered} triggered by hand");
    rows.push(("ticks", counts));
    let attention = attention(schedule).join("; ");
    rows.push(("attention", if attention.is_empty() { "-".into() } else { attention }));
    rows
}

pub(super) fn fires(global: &Global, fires: &[FireView]) -> Result<Exit, CommandError> {
    if global.output != Format::Text {
        fires.iter().try_for_each(|fire| print::json(Format::Jsonl, fire))?;
        return Ok(Exit::Ok);
    }
    if fires.is_empty() {
        print::aside(global, "nothing comes: it is paused, or has no more ticks");
    }
    let line = |fire: &FireView| format!("{} ({})\n", fire.at, fire.local);
    print::data(fires.iter().map(line).collect::<String>().as_bytes())?;
    Ok(Exit::Ok)
}

/// As much of an input as fits a line.
fn shortened(input: &str) -> String {
    const SHOWN: usize = 100;
    let line = input.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN { line } else { line.chars().take(SHOWN).chain("...".chars()).collect() }
}
