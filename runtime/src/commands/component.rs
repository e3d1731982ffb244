//! `sunaba component`: what a component is, before it is run or deployed.

use std::path::PathBuf;

use serde_json::{Value, json};
use sunaba_runtime::sandbox::ComponentInfo;
use sunaba_runtime::task::{FuelMode, HandlerInfo, HandlerSettings, format_bytes, format_duration};

use super::{load, small_sandbox};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show exports, imports, handlers, schemas, settings, digest and size
    Inspect {
        /// The component, a `.wasm` file
        component: PathBuf,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<Exit, CommandError> {
    let Command::Inspect { component: path } = command;
    let sandbox = small_sandbox()?;
    let info = load(&sandbox, &path, FuelMode::Exact).await?;
    match global.output {
        Format::Text => show(&path.display().to_string(), &info),
        format => print::json(format, &as_json(&info))?,
    }
    Ok(Exit::Ok)
}

fn show(path: &str, info: &ComponentInfo) {
    print::line(path);
    print::line(format_args!("  digest   {}", info.digest));
    print::line(format_args!("  size     {}", format_bytes(info.size_bytes)));
    show_list("exports", &info.exports);
    show_list("imports", &info.imports);
    for handler in &info.handlers {
        print::line("");
        print::line(format_args!("handler {}", handler.name));
        for line in handler.doc.lines() {
            print::line(format_args!("  {line}"));
        }
        print::line(format_args!("  settings  {}", settings(&handler.settings)));
        show_schema("input", handler.input_schema.as_deref());
        show_schema("output", handler.output_schema.as_deref());
    }
}

fn show_list(title: &str, names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        print::line(format_args!("  {:<8} {name}", if index == 0 { title } else { "" }));
    }
}

fn show_schema(title: &str, schema: Option<&str>) {
    let Some(schema) = schema else {
        return print::line(format_args!("  {title:<9} any bytes"));
    };
    // A handler's schema is text from a guest: shown as it is when it is no JSON.
    let pretty = serde_json::from_str::<Value>(schema).map_or_else(|_| schema.to_owned(), |value| format!("{value:#}"));
    for (index, line) in pretty.lines().enumerate() {
        print::line(format_args!("  {:<9} {line}", if index == 0 { title } else { "" }));
    }
}

fn settings(settings: &HandlerSettings) -> String {
    let rows = [
        ("max-attempts", settings.max_attempts.map(|value| value.to_string())),
        ("backoff", settings.backoff.map(|value| value.to_string())),
        ("retry-on", settings.retry_on.as_ref().map(|kinds| kinds.join(","))),
        ("timeout", settings.timeout.map(format_duration)),
        ("fuel", settings.fuel.map(|value| value.to_string())),
        ("memory", settings.memory_bytes.map(format_bytes)),
        ("queue", settings.queue.clone()),
        ("priority", settings.priority.map(|value| value.to_string())),
    ];
    let given = rows.into_iter().filter_map(|(key, value)| value.map(|value| format!("{key} {value}")));
    let given = given.collect::<Vec<_>>().join(", ");
    if given.is_empty() { "all by default".into() } else { given }
}

fn as_json(info: &ComponentInfo) -> Value {
    let handlers: Vec<Value> = info.handlers.iter().map(handler_as_json).collect();
    json!({
        "digest": info.digest,
        "size_bytes": info.size_bytes,
        "exports": info.exports,
        "imports": info.imports,
        "handlers": handlers,
    })
}

fn handler_as_json(handler: &HandlerInfo) -> Value {
    let schema = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let settings = &handler.settings;
    json!({
        "name": handler.name,
        "doc": handler.doc,
        "input_schema": schema(&handler.input_schema),
        "output_schema": schema(&handler.output_schema),
        "settings": {
            "max_attempts": settings.max_attempts,
            "backoff": settings.backoff,
            "retry_on": settings.retry_on,
            "timeout_ms": settings.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            "fuel": settings.fuel.map(|fuel| fuel.to_string()),
            "memory_bytes": settings.memory_bytes,
            "queue": settings.queue,
            "priority": settings.priority,
        },
    })
}
