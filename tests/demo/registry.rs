//! The packages of `Cargo.lock` whose sources cargo has unpacked on this machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

#[derive(Debug)]
pub(crate) struct Package {
    name: String,
    version: String,
    pub(crate) directory: PathBuf,
}

impl Package {
    pub(crate) fn id(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

/// All of them, in the lock file's order.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let lock =
        std::fs::read_to_string("Cargo.lock").context("cannot read Cargo.lock; run this in the project's root")?;
    let lock: Lock = toml::from_str(&lock).context("cannot read Cargo.lock")?;
    let registries = registries()?;
    let mut packages = Vec::new();
    for locked in lock.package {
        if !locked.source.is_some_and(|source| source.starts_with("registry+")) {
            continue;
        }
        let folder = format!("{}-{}", locked.name, locked.version);
        let found = registries.iter().map(|registry| registry.join(&folder)).find(|directory| directory.is_dir());
        if let Some(directory) = found {
            packages.push(Package { name: locked.name, version: locked.version, directory });
        }
    }
    if packages.is_empty() {
        bail!("no dependency is unpacked in the local cargo registry; `cargo fetch` does that");
    }
    Ok(packages)
}

/// One folder for each registry that cargo has used.
fn registries() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.context("neither CARGO_HOME nor HOME says where cargo keeps its registry")?.join("registry/src");
    let entries = std::fs::read_dir(&sources).with_context(|| format!("cannot list `{}`", sources.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
