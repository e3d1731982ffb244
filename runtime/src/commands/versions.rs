//! `sunaba handler versions` and `sunaba handler rollback`.

use comfy_table::Table;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{Rollback, VersionsView};
use sunaba_runtime::task::format_bytes;

use crate::exit::CommandError;
use crate::{Format, Global, print};

/// Digits of a component's digest that tell it from others.
const SHORT_DIGEST: usize = 12;

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The package
    package: String,
    /// The version [default: the one that was active before]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<u32>,
    /// Even though tasks that follow wait for a handler that it does not have, or that takes another input there
    #[arg(long)]
    allow_signature_change: bool,
}

/// Reads the number of a version.
fn version(text: &str) -> Result<u32, String> {
    let version = text.parse().ok().filter(|version| *version > 0);
    version.ok_or_else(|| {
        format!("`{text}` is not a version\nhint: write its number, as `sunaba handler versions PACKAGE` shows it")
    })
}

pub(super) async fn list(global: &Global, client: &Client, package: &str) -> Result<(), CommandError> {
    let VersionsView { versions, .. } = client.list_package_versions(package).await?;
    if global.output != Format::Text {
        return versions.iter().try_for_each(|version| print::json(Format::Jsonl, version));
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "VERSION",
        "ACTIVE",
        "COMPONENT",
        "SIZE",
        "DEPLOYED",
        "HANDLERS",
    ]);
    for version in versions {
        let digest = version.component.strip_prefix("sha256:").unwrap_or(&version.component);
        table.add_row([
            version.version.to_string(),
            if version.active { "yes".into() } else { "-".into() },
            digest.chars().take(SHORT_DIGEST).collect(),
            format_bytes(version.size_bytes),
            version.deployed_at,
            version.handlers.join(", "),
        ]);
    }
    print::table(&table)
}

pub(super) async fn rollback(global: &Global, client: &Client, args: RollbackArgs) -> Result<(), CommandError> {
    let wish = Rollback { to: args.to, allow_signature_change: args.allow_signature_change };
    let package = client.rollback_package(&args.package, &wish).await?;
    if global.output != Format::Text {
        return print::json(global.output, &package);
    }
    let before = package.before.map_or_else(|| "-".into(), |before| before.to_string());
    print::rows(&[
        ("package", package.name),
        ("active", format!("version {}", package.version)),
        ("before", format!("version {before}")),
        ("component", package.component),
    ])
}
