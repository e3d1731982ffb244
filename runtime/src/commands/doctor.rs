//! `sunaba doctor`: whether this machine has what a host needs, and what to do where it has not.
//!
//! Each check looks and changes nothing. What a host cannot do without fails; what it can is worth a look.

mod checks;

use std::time::Duration;

use comfy_table::Table;
use serde::Serialize;
use sunaba_runtime::config::Config;
use sunaba_runtime::task::{counted, format_count};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// A host that does not answer in this time is not there.
const HOST_WAIT: Duration = Duration::from_secs(2);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// A host runs, and something will go better otherwise.
    Look,
    /// A host does not run, or not for long.
    Fail,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How it is.
    pub(super) state: State,
    /// What was found.
    pub(super) found: String,
    /// What to do; none when there is nothing.
    pub(super) todo: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), todo: None }
    }

    pub(super) fn look(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, state: State::Look, found: found.into(), todo: Some(todo.into()) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), todo: Some(todo.into()) }
    }
}

pub(crate) async fn run(global: &Global) -> Result<Exit, CommandError> {
    let (config, mut findings) = match global.read_config() {
        Ok(config) => {
            let file = config.file.as_ref().map_or_else(|| "no file".into(), |file| file.display().to_string());
            let found = Finding::ok("configuration", format!("{file}; valid"));
            (config, vec![found])
        }
        Err(error) => {
            let text = error.to_string();
            let (found, _) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            let todo = "`sunaba config validate` tells all that is wrong; what follows is of the defaults";
            let config = Config::read(&sunaba_runtime::config::Layers::default())?;
            (config, vec![Finding::fail("configuration", found, todo)])
        }
    };
    let host = host(global, &config).await;
    let is_running = host.state == State::Ok;
    findings.push(host);
    findings.extend(checks::all(&config, is_running));

    let failed = findings.iter().filter(|finding| finding.state == State::Fail).count();
    match global.output {
        Format::Text => show(global, &findings, failed)?,
        Format::Json => print::json(Format::Json, &findings)?,
        format => findings.iter().try_for_each(|finding| print::json(format, finding))?,
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Error })
}

/// Whether a host answers. That none does is no fault.
async fn host(global: &Global, config: &Config) -> Finding {
    let asking = async {
        let client = global.client_at(&config.address).map_err(|error| error.to_string())?;
        client.get_host().await.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(HOST_WAIT, asking).await {
        Ok(Ok(host)) => {
            let found = format!(
                "sunaba {} with {} at {}",
                host.version,
                counted(host.slots as u64, "slot", "slots"),
                config.address
            );
            Finding::ok("host", found)
        }
        _ => Finding::look(
            "host",
            format!("none answers at {}", config.address),
            "`sunaba serve` starts one; `--address` names another",
        ),
    }
}

fn show(global: &Global, findings: &[Finding], failed: usize) -> Result<(), CommandError> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["CHECK", "STATE", "FOUND"]);
    for finding in findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Look => "look",
            State::Fail => "FAIL",
        };
        table.add_row([finding.check, state, &finding.found]);
        if let Some(todo) = &finding.todo {
            table.add_row(["", "", &format!("-> {todo}")]);
        }
    }
    print::table(&table)?;
    if !global.quiet {
        let rest = match failed {
            0 => "a host can run here".to_owned(),
            failed => format!("{} of {} checks failed", format_count(failed as u64), findings.len()),
        };
        print::headline(failed == 0, if failed == 0 { "well" } else { "unwell" }, &rest);
    }
    Ok(())
}
