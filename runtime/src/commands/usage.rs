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
    let usage = global.client()?.usage(by).await?;
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
    let time = |ms| format_duration(Duration::from_millis(ms));
    // Of some attempts the fuel is a lower bound, or was not counted: then the sum is no more than that.
    let bound = if sums.fuel_exact < sums.receipts { ">=" } else { "" };
    [
        print::inert(&sums.name).into_owned(),
        format_count(sums.attempts),
        format_count(sums.succeeded),
        format_count(sums.failed),
        format_count(sums.stopped),
        format!("{bound}{}", format_count(sums.fuel)),
        time(sums.wall_ms),
        time(sums.host_call_ms),
        format_bytes(sums.peak_memory_bytes),
        format_bytes(sums.moved_bytes),
        time(sums.queue_wait_ms),
    ]
}
