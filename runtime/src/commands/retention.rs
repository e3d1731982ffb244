//! `sunaba retention`: how long what has ended is kept.

use std::time::Duration;

use sunaba_runtime::server::api::RetentionView;
use sunaba_runtime::task::{format_duration, parse_duration};

use super::limit::{Limit, duration_or_none};
use super::ms;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how long what has ended is kept
    Show,
    /// Change that, for what ends from now on; what is not named stays as it is
    Set(SetArgs),
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// The results of tasks that have succeeded, such as `1h`; up to ten years
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    result: Option<Duration>,
    /// The records of tasks that have succeeded, from 1s, or `none`: until they are deleted
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    succeeded: Option<Limit<u64>>,
    /// The records of cancelled tasks, or `none`
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    cancelled: Option<Limit<u64>>,
    /// The records of tasks that have expired, or `none`
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    expired: Option<Limit<u64>>,
    /// Dead letters, or `none`
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    dead: Option<Limit<u64>>,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    let kept = client.get_retention().await?;
    let kept = match args.command {
        Command::Show => kept,
        Command::Set(args) => {
            let or = |new: Option<Limit<u64>>, old| new.map_or(old, |limit| limit.0);
            let changed = RetentionView {
                result_ms: args.result.map_or(kept.result_ms, ms),
                succeeded_ms: or(args.succeeded, kept.succeeded_ms),
                cancelled_ms: or(args.cancelled, kept.cancelled_ms),
                expired_ms: or(args.expired, kept.expired_ms),
                dead_ms: or(args.dead, kept.dead_ms),
            };
            client.set_retention(&changed).await?
        }
    };
    if global.output != Format::Text {
        print::json(global.output, &kept)?;
        return Ok(Exit::Ok);
    }
    let shown = |ms: Option<u64>| {
        ms.map_or_else(|| "until they are deleted".into(), |ms| format_duration(Duration::from_millis(ms)))
    };
    print::rows(&[
        ("result", shown(Some(kept.result_ms))),
        ("succeeded", shown(kept.succeeded_ms)),
        ("cancelled", shown(kept.cancelled_ms)),
        ("expired", shown(kept.expired_ms)),
        ("dead", shown(kept.dead_ms)),
    ])?;
    Ok(Exit::Ok)
}
