//! `sunaba handler`: deploys components to a host, shows what it has, and controls it.

use std::path::PathBuf;

use comfy_table::Table;
use serde_json::value::RawValue;
use sunaba_runtime::server::api::{DeployQuestion, HandlerPatch, HandlerView, PackageView};
use sunaba_runtime::task::{HandlerName, is_name};
use sunaba_runtime::{DeployError, package_name_of};

use super::component::handler_lines;
use super::limit::Seen;
use super::{control, decide, deploy, grants, read_component, usage, versions};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a component the package's own; tasks that were submitted before stay with theirs, unless they follow or are run again
    Deploy {
        /// The component, a `.wasm` file
        component: PathBuf,
        /// The package [default: the file's name]
        #[arg(long, value_name = "PACKAGE")]
        name: Option<String>,
        /// Let it do and use more than the active version
        #[arg(long)]
        allow_widening: bool,
        /// Only show what it would change
        #[arg(long, conflicts_with = "allow_widening")]
        dry_run: bool,
        /// Even though tasks that follow wait for a handler that is gone, or that takes another input from then on
        #[arg(long)]
        allow_signature_change: bool,
    },
    /// List the versions of a package, the newest first
    Versions {
        /// The package
        package: String,
    },
    /// Make the version of a package active again that was before, or another one
    Rollback(versions::RollbackArgs),
    /// List every handler
    List,
    /// Show a handler: what it does, its settings, its schemas, and what its attempts have used
    Describe {
        /// As PACKAGE/HANDLER
        handler: HandlerName,
    },
    /// Show what a handler imports, what it asks for, whether the host allows that, and how it is granted or allowed
    Grants {
        /// As PACKAGE/HANDLER
        handler: HandlerName,
    },
    /// Have a decider decide about a situation, such as `task explain -o json` shows it; needs no host
    Decide(decide::Args),
    /// Show how handlers fare: what waits and runs, what failed, and what needs attention
    Status,
    /// Start no more tasks of a handler; what runs goes on
    Pause {
        /// As PACKAGE/HANDLER
        handler: HandlerName,
        #[command(flatten)]
        seen: Seen,
    },
    /// Let a handler go on
    Resume {
        /// As PACKAGE/HANDLER
        handler: HandlerName,
        #[command(flatten)]
        seen: Seen,
    },
    /// Set limits of a handler; what is not named stays as it is
    Set(control::SetArgs),
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    if let Command::Decide(args) = args.command {
        return decide::run(global, args).await;
    }
    let client = global.client()?;
    match args.command {
        Command::Decide(_) => {}
        Command::Deploy { component, name, allow_widening, allow_signature_change, dry_run } => {
            let name = name.unwrap_or_else(|| package_name_of(&component));
            if !is_name(&name) {
                return Err(CommandError::new(Exit::Invalid, DeployError::Name(name)));
            }
            let component = read_component(&component)?;
            let question = DeployQuestion { allow_widening, allow_signature_change };
            if dry_run {
                deploy::preview(global, &client, &name, component).await?;
            } else {
                deploy::run(global, &client, &name, component, question).await?;
            }
        }
        Command::Versions { package } => versions::list(global, &client, &package).await?,
        Command::Rollback(args) => versions::rollback(global, &client, args).await?,
        Command::List => {
            let packages = client.list_packages().await?.packages;
            if global.output == Format::Text {
                list(global, &packages)?;
            } else {
                for handler in packages.iter().flat_map(|package| &package.handlers) {
                    print::json(Format::Jsonl, handler)?;
                }
            }
        }
        Command::Describe { handler } => {
            let handler = client.get_handler(&handler).await?;
            match global.output {
                Format::Text => print::data(description(&handler).as_bytes())?,
                format => print::json(format, &handler)?,
            }
        }
        Command::Grants { handler } => grants::show(global, &client, &handler).await?,
        Command::Status => return control::status(global, &client).await,
        Command::Pause { handler, seen } => {
            let patch = HandlerPatch { paused: Some(true), ..HandlerPatch::default() };
            control::set(global, &client, &handler, &patch, seen).await?;
        }
        Command::Resume { handler, seen } => {
            let patch = HandlerPatch { paused: Some(false), ..HandlerPatch::default() };
            control::set(global, &client, &handler, &patch, seen).await?;
        }
        Command::Set(args) => control::set(global, &client, &args.handler, &args.patch()?, args.seen).await?,
    }
    Ok(Exit::Ok)
}

fn list(global: &Global, packages: &[PackageView]) -> Result<(), CommandError> {
    let handlers: Vec<_> = packages.iter().flat_map(|package| &package.handlers).collect();
    let deciders = packages.iter().filter_map(|package| Some((&package.name, package.decider.as_ref()?)));
    if handlers.is_empty() && deciders.clone().next().is_none() {
        print::aside(global, "no handler is deployed; `sunaba handler deploy COMPONENT.wasm` does that");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["HANDLER", "WHAT IT DOES"]);
    for handler in handlers {
        let doc = handler.doc.lines().next().unwrap_or_default();
        table.add_row([print::inert(&handler.name), print::inert(doc)]);
    }
    for (package, decider) in deciders {
        table.add_row([print::inert(package), format!("decides, {decider}").into()]);
    }
    print::table(&table)?;
    for package in packages {
        if let Some(problem) = &package.problem {
            print::aside(global, format!("{}: {}", package.name, print::inert(problem)));
        }
    }
    Ok(())
}

fn description(handler: &HandlerView) -> String {
    let settings = handler.settings.iter().map(|(key, value)| (key, value.clone()));
    let schemas = [&handler.input_schema, &handler.output_schema].map(|schema| schema.as_deref().map(RawValue::get));
    let mut lines = vec![handler.name.clone()];
    lines.extend(handler_lines(&handler.doc, settings, schemas));
    lines.extend(usage::lines(handler.usage.as_ref()));
    lines.iter().map(|line| format!("{}\n", print::inert(line))).collect()
}
