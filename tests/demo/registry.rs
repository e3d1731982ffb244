//! The packages of `Cargo.lock` whose sources cargo has unpacked on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use sunaba_runtime::MAX_INPUT_BYTES;

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) directory: PathBuf,
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
    let registries = registries(&sources()?)?;
    let mut packages = Vec::new();
    for locked in lock.package {
        if !locked.source.is_some_and(|source| source.starts_with("registry+")) {
            continue;
        }
        let folder = format!("{}-{}", locked.name, locked.version);
        let found = registries.iter().map(|registry| registry.join(&folder)).find(|directory| directory.is_dir());
        if let Some(directory) = found {
            packages.push(Package { directory });
        }
    }
    if packages.is_empty() {
        bail!("no dependency is unpacked in the local cargo registry; `cargo fetch` does that");
    }
    Ok(packages)
}

/// Where cargo keeps unpacked sources: what the host is allowed to grant.
pub(crate) fn sources() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    Ok(home.context("neither CARGO_HOME nor HOME says where cargo keeps its registry")?.join("registry/src"))
}

/// One folder for each registry that cargo has used.
fn registries(sources: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(sources).with_context(|| format!("cannot list `{}`", sources.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The largest picture in these sources that a task may have for its input; our own sample where there is none.
pub(crate) fn picture(packages: &[Package]) -> Result<PathBuf> {
    let mut largest = (0, PathBuf::from("guest-examples/thumbnail/sample/castle.png"));
    let mut folders: Vec<_> = packages.iter().map(|package| package.directory.clone()).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && extension.is_some_and(|extension| ["png", "jpg", "jpeg"].map(OsString::from).contains(&extension))
            {
                let bytes = entry.metadata()?.len();
                if (largest.0..=MAX_INPUT_BYTES).contains(&bytes) {
                    largest = (bytes, path);
                }
            }
        }
    }
    Ok(largest.1)
}
