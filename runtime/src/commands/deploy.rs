//! `sunaba handler deploy`: makes a component a package's own, and shows what that changes.

use bytes::Bytes;
use sunaba_runtime::server::api::{DeployQuestion, PackageView, PreviewView};
use sunaba_runtime::store::DeployChange;
use sunaba_runtime::task::format_bytes;
use sunaba_runtime::{Change, Client, ClientError};

use crate::exit::CommandError;
use crate::{Format, Global, print};

/// What is told of a first deploy: that a handler is new, and what it imports, nobody needs to be told line by line.
const FIRST: [&str; 6] = ["env", "dirs", "http", "secrets", "scratch", "clock"];

/// Deploys.
///
/// # Errors
/// The host refuses it, or does not answer. What is wider than it may be is printed.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    name: &str,
    component: Bytes,
    how: DeployQuestion,
) -> Result<(), CommandError> {
    let package = client.deploy_package(name, component, &how).await.inspect_err(|error| {
        if let ClientError::Refused(problem) = error {
            problem.widening.iter().for_each(|change| print::note(format_args!("  {}", change.line())));
        }
    })?;
    match global.output {
        Format::Text => deployed(global, &package),
        format => print::json(format, &package),
    }
}

/// Shows what a deploy would change.
///
/// # Errors
/// It could not be deployed, or the host does not answer.
pub(super) async fn preview(
    global: &Global,
    client: &Client,
    name: &str,
    component: Bytes,
) -> Result<(), CommandError> {
    let preview: PreviewView = client.preview_package(name, component).await?;
    if global.output != Format::Text {
        return print::json(global.output, &preview);
    }
    let lines = preview.changes.iter().map(Change::line).chain(preview.lowered.iter().cloned());
    let lines: Vec<_> = lines.map(|line| format!("{}\n", print::inert(&line))).collect();
    print::data(lines.concat().as_bytes())?;
    if preview.changes.is_empty() {
        print::aside(global, "nothing would change");
    } else if preview.widens {
        print::aside(global, "a deploy needs `--allow-widening`");
    }
    Ok(())
}

fn deployed(global: &Global, package: &PackageView) -> Result<(), CommandError> {
    if !global.quiet {
        let size = format_bytes(package.size_bytes);
        let (word, again) = match package.change {
            Some(DeployChange::Unchanged) => ("unchanged", ""),
            Some(DeployChange::Again) => ("deployed", " again"),
            _ => ("deployed", ""),
        };
        let version = format!("version {}{again}", package.version);
        print::headline(true, word, &format!("{} {version} ({size}, {})", package.name, package.component));
        // Everything is new only once: a package always keeps something.
        let is_first = package.changes.iter().all(|change| change.is.is_some() && !change.widens)
            && package.handlers.iter().all(|handler| is_new(package, &handler.name));
        let told = package.changes.iter().filter(|change| !is_first || FIRST.contains(&change.what.as_str()));
        for change in told {
            let line = if is_first { asks(change) } else { change.line() };
            print::note(format_args!("  {line}"));
        }
        if let Some(decider) = &package.decider {
            print::note(format_args!("  decider, {decider}"));
        }
        package.lowered.iter().for_each(|line| print::note(format_args!("  {line}")));
    }
    let names: Vec<_> = package.handlers.iter().map(|handler| format!("{}\n", print::inert(&handler.name))).collect();
    print::data(names.concat().as_bytes())
}

/// Whether the deploy has brought this handler, `package/handler`.
fn is_new(package: &PackageView, name: &str) -> bool {
    let handler = name.rsplit('/').next();
    package.changes.iter().any(|change| change.what == "handler" && change.is.as_deref() == handler)
}

fn asks(change: &Change) -> String {
    let (handler, what) = (change.handler.as_deref().unwrap_or_default(), &change.what);
    format!("{handler} asks for {what} {}", change.is.as_deref().unwrap_or_default())
}
