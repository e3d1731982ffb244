//! `sunaba usage`: what attempts have used, summed.

use std::time::Duration;

use comfy_table::Table;
use sunaba_runtime::server::api::{UsageBy, UsageView};
use sunaba_runtime::task::{format_bytes, format_count, format_duration};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// By what it is summed
    #[arg(long, value_enum, default_value_t = By::Handler)]
    by: By,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum By {
    /// By PACKAGE/HANDLER
    Handler,
    /// By tag; what has several is in the sum of each
    Tag,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let (by, header) = match args.by {
        By::Handler => (UsageBy::Handler, "HANDLER"),
        By::Tag => (UsageBy::Tag, "TAG"),
    };
    let usage = global.client()?.list_usage(by).await?;
    if global.output != Format::Text {
        usage.iter().try_for_each(|usage| print::json(Format::Jsonl, usage))?;
        return Ok(Exit::Ok);
    }
    if usage.is_empty() {
        print::aside(global, "no attempt has ended yet");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        header,
        "ATTEMPTS",
        "SUCCEEDED",
        "FAILED",
        "STOPPED",
        "FUEL",
        "WALL",
        "HOST CALLS",
        "PEAK MEMORY",
        "MOVED",
        "WAITED",
    ]);
    for sums in &usage {
        table.add_row(row(sums));
    }
    print::table(&table)?;
    Ok(Exit::Ok)
}

fn row(sums: &UsageView) -> [String; 11] {
    [
        print::inert(&sums.name).into_owned(),
        format_count(sums.attempts),
        format_count(sums.succeeded),
        format_count(sums.failed),
        format_count(sums.stopped),
        fuel(sums),
        time(sums.wall_ms),
        time(sums.host_call_ms),
        format_bytes(sums.peak_memory_bytes),
        format_bytes(sums.moved_bytes),
        time(sums.queue_wait_ms),
    ]
}

/// What a handler's attempts have used, for people.
pub(super) fn lines(usage: Option<&UsageView>) -> Vec<String> {
    let Some(sums) = usage else { return vec!["  usage     no attempt has ended yet".into()] };
    let counted = |what: &[(&str, u64)]| {
        let some =
            what.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{} {word}", format_count(*count)));
        some.collect::<Vec<_>>().join(", ")
    };
    let attempts =
        if sums.attempts == 1 { "1 attempt".into() } else { format!("{} attempts", format_count(sums.attempts)) };
    let ends = counted(&[
        ("succeeded", sums.succeeded),
        ("snoozed", sums.snoozed),
        ("failed", sums.failed),
        ("stopped", sums.stopped),
        ("unfinished", sums.unfinished),
    ]);
    let guest_ms = sums.wall_ms.saturating_sub(sums.host_call_ms);
    let mut rows = vec![
        format!("{attempts}: {ends}"),
        format!("fuel {}, peak memory {}", fuel(sums), format_bytes(sums.peak_memory_bytes)),
        format!(
            "wall {}: guest {}, host calls {} ({}); waited {} in queues",
            time(sums.wall_ms),
            time(guest_ms),
            time(sums.host_call_ms),
            format_count(sums.host_calls),
            time(sums.queue_wait_ms)
        ),
        format!(
            "bytes: input {}, output {}, logs {}, moved {}, written {}",
            format_bytes(sums.input_bytes),
            format_bytes(sums.output_bytes),
            format_bytes(sums.log_bytes),
            format_bytes(sums.moved_bytes),
            format_bytes(sums.written_bytes)
        ),
    ];
    if sums.requests > 0 {
        rows.push(format!("requests {}, {} to and fro", format_count(sums.requests), format_bytes(sums.request_bytes)));
    }
    let titles = std::iter::once("usage").chain(std::iter::repeat(""));
    titles.zip(rows).map(|(title, row)| format!("  {title:<9} {row}")).collect()
}

/// Sums are in milliseconds, and many attempts take less.
fn time(ms: u64) -> String {
    if ms == 0 { "<1ms".into() } else { format_duration(Duration::from_millis(ms)) }
}

/// Of some attempts the fuel is a lower bound, or was not counted: then the sum is no more than that.
fn fuel(sums: &UsageView) -> String {
    let bound = if sums.fuel_exact < sums.receipts { ">=" } else { "" };
    format!("{bound}{}", format_count(sums.fuel))
}
