//! `sunaba component`: what a component is, before it is run or deployed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use serde_json::{Value, json};
use sunaba_runtime::sandbox::ComponentInfo;
use sunaba_runtime::task::{FuelMode, HandlerInfo, format_bytes};

use super::{check, load, ms, read_component, small_sandbox};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show exports, imports, handlers, schemas, settings, limits, requested grants, digest and size
    Inspect {
        /// The component, a `.wasm` file
        component: PathBuf,
    },
    /// Check whether a host would take a component, and say at which step it would not; ends with 8 then
    Validate {
        /// The component, a `.wasm` file
        component: PathBuf,
    },
    /// Compile a component as a host would, within the same limits, and show how long that takes and how large its code is
    ///
    /// Nothing is written: a host compiles for itself, because machine code from elsewhere would have to be believed. What it has
    /// compiled it keeps, authenticated, in its data directory.
    Compile {
        /// The component, a `.wasm` file
        component: PathBuf,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit, CommandError> {
    let path = match command {
        Command::Inspect { component } => component,
        Command::Validate { component } => return check::validate(global, &component).await,
        Command::Compile { component } => return check::compile(global, &component).await,
    };
    let sandbox = small_sandbox()?;
    let info = load(&sandbox, &path, read_component(&path)?, FuelMode::Exact).await?;
    match global.output {
        Format::Text => print::data(description(&path.display().to_string(), &info).as_bytes())?,
        format => print::json(format, &as_json(&info))?,
    }
    Ok(Exit::Ok)
}

/// The whole description, for people. Names, docs and schemas are the guest's, and shown inert.
fn description(path: &str, info: &ComponentInfo) -> String {
    let mut lines = vec![
        path.to_owned(),
        format!("  digest   {}", info.digest),
        format!("  size     {}", format_bytes(info.size_bytes)),
    ];
    lines.extend(titled("exports", 8, info.exports.iter().map(String::as_str)));
    lines.extend(titled("imports", 8, info.imports.iter().map(String::as_str)));
    lines.extend(info.decider.map(|decider| format!("  decider  {decider}")));
    for handler in &info.handlers {
        lines.extend([String::new(), format!("handler {}", handler.name)]);
        let schemas = [handler.input_schema.as_deref(), handler.output_schema.as_deref()];
        lines.extend(handler_lines(&handler.doc, handler.settings.given(), schemas));
    }
    lines.iter().map(|line| format!("{}\n", print::inert(line))).collect()
}

/// A handler below its name: what it does, its settings, and the schemas of its input and its output.
pub(super) fn handler_lines(
    doc: &str,
    settings: impl Iterator<Item = (impl Display, String)>,
    [input, output]: [Option<&str>; 2],
) -> Vec<String> {
    let (mut others, mut limits, mut grants) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in settings {
        let key = key.to_string();
        let group = match key.as_str() {
            "timeout" | "fuel" | "memory" | "limits" => &mut limits,
            "env" | "dirs" | "http" | "secrets" | "scratch" | "clock" => &mut grants,
            _ => &mut others,
        };
        group.push(if key == "limits" { value.replace(',', ", ").replace('=', " ") } else { format!("{key} {value}") });
    }
    let mut lines: Vec<_> = doc.lines().map(|line| format!("  {line}")).collect();
    for (title, group, without) in [
        ("settings", others, "all by default"),
        ("limits", limits, "all by default"),
        ("grants", grants, "asks for none"),
    ] {
        lines.push(format!("  {title:<9} {}", if group.is_empty() { without.into() } else { group.join(", ") }));
    }
    lines.extend(titled("input", 9, schema(input).lines()));
    lines.extend(titled("output", 9, schema(output).lines()));
    lines
}

/// Lines with a title in front of the first.
fn titled<'a>(title: &str, width: usize, lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let titles = std::iter::once(title).chain(std::iter::repeat(""));
    titles.zip(lines).map(|(title, line)| format!("  {title:<width$} {line}")).collect()
}

/// A schema, spread over lines; as it is when it is no JSON.
fn schema(schema: Option<&str>) -> String {
    let Some(schema) = schema else { return "any bytes".into() };
    serde_json::from_str::<Value>(schema).map_or_else(|_| schema.to_owned(), |value| format!("{value:#}"))
}

fn as_json(info: &ComponentInfo) -> Value {
    let handlers: Vec<Value> = info.handlers.iter().map(handler_as_json).collect();
    json!({
        "digest": info.digest,
        "size_bytes": info.size_bytes,
        "exports": info.exports,
        "imports": info.imports,
        "decider": info.decider.map(|decider| json!({ "imports": decider.imports })),
        "handlers": handlers,
    })
}

fn handler_as_json(handler: &HandlerInfo) -> Value {
    let schema = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let settings = &handler.settings;
    let requests = &settings.requests;
    json!({
        "name": handler.name,
        "doc": handler.doc,
        "input_schema": schema(&handler.input_schema),
        "output_schema": schema(&handler.output_schema),
        "settings": {
            "max_attempts": settings.max_attempts,
            "backoff": settings.backoff,
            "retry_on": settings.retry_on,
            "never_retry_on": settings.never_retry_on,
            "retry_for_ms": settings.retry_for.map(ms),
            "timeout_ms": settings.timeout.map(ms),
            "fuel": settings.fuel.map(|fuel| fuel.to_string()),
            "fuel_budget": settings.fuel_budget,
            "memory_bytes": settings.memory_bytes,
            "queue": settings.queue,
            "priority": settings.priority,
            "deterministic": settings.deterministic,
            "capture": settings.capture.map(|streams| streams.to_string()),
            "decider": settings.decider,
            "limits": settings.limits.iter().map(|(limit, value)| (limit.name(), value)).collect::<BTreeMap<_, _>>(),
        },
        "requests": {
            "env": requests.env,
            "dirs": requests.dirs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "http": requests.http,
            "secrets": requests.secrets,
            "scratch_bytes": requests.scratch_bytes,
            "clock": requests.clock,
        },
    })
}
