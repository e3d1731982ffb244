//! `sunaba handler decide`: has a decider decide about a situation, in the sandbox in which a host asks it.

use std::path::PathBuf;

use serde_json::json;
use sunaba_runtime::task::{DeciderVerdict, Executor as _, FuelMode, Situation, format_count};

use super::{load, read, read_component, small_sandbox};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// A longer file is no situation: a task's input and output are its largest parts.
const MAX_SITUATION_BYTES: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component, a `.wasm` file
    component: PathBuf,
    /// The situation, a JSON file: as `task explain -o json` has it at an attempt's `decision.decider.situation`
    #[arg(long, value_name = "FILE")]
    situation: PathBuf,
}

/// Prints the decision.
///
/// # Errors
/// There is no such file, it is none of these, or the decider does not decide.
pub(super) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let text = read(&args.situation, MAX_SITUATION_BYTES)?;
    let situation: Situation = serde_json::from_slice(&text).map_err(|error| {
        let message = format!(
            "`{}` is no situation: {error}\nhint: `sunaba task explain ID -o json` shows one",
            args.situation.display()
        );
        CommandError::new(Exit::Invalid, message)
    })?;
    situation.check_whole().map_err(|error| CommandError::new(Exit::Invalid, error))?;
    let sandbox = small_sandbox()?;
    let component = load(&sandbox, &args.component, read_component(&args.component)?, FuelMode::Exact).await?;
    let Some(info) = component.decider else {
        let shown = args.component.display();
        let message = format!("`{shown}` exports no policy\nhint: end the crate with `sunaba_decider::export!(...)`");
        return Err(CommandError::new(Exit::Invalid, message));
    };
    let answer = sandbox.decide(component.digest, situation).await;
    let answer = answer.map_err(|why| {
        let message = format!("it did not decide: {why}\nhint: a host would go by its built-in rules");
        CommandError::new(Exit::TaskFailed, message)
    })?;
    if global.output != Format::Text {
        let shown = json!({
            "component": component.digest.to_string(),
            "imports": info.imports,
            "verdict": answer.verdict.words(),
            "reason": answer.reason,
            "fuel": answer.fuel,
            "plan": match &answer.verdict {
                DeciderVerdict::Decompose(plan) => json!({
                    "join": plan.join,
                    "children": plan.children.iter().map(|child| json!({
                        "name": child.name,
                        "handler": child.handler,
                        "input": String::from_utf8_lossy(&child.input.bytes),
                    })).collect::<Vec<_>>(),
                }),
                _ => json!(null),
            },
        });
        print::json(global.output, &shown)?;
        return Ok(Exit::Ok);
    }
    let mut lines = format!("{}: {}\n", answer.verdict.words(), print::inert(&answer.reason));
    if let DeciderVerdict::Decompose(plan) = &answer.verdict {
        for child in &plan.children {
            lines.push_str(&format!("  {} by {}\n", print::inert(&child.name), print::inert(&child.handler)));
        }
    }
    print::data(lines.as_bytes())?;
    print::aside(global, format_args!("fuel {}, decider {info}", format_count(answer.fuel)));
    Ok(Exit::Ok)
}
