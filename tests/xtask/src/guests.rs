//! Builds every guest into one folder, named like its package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::toolchain::{TARGET, Toolchain};
use crate::{frame, root, run, say, target};

/// Where the built guests are.
pub(crate) fn folder() -> PathBuf {
    target().join("guests")
}

/// Builds all of them.
pub(crate) fn build() -> Result<()> {
    let toolchain = Toolchain::ensure()?;
    say::step("building the guests");
    let workspace = root().join("guest-examples");
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--release", "--target", TARGET, "--locked"]).current_dir(&workspace);
    cargo.env_remove("CARGO_TARGET_DIR");
    run(cargo)?;

    // Made anew, so that a guest that was removed is not tested for ever.
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot clear `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let built = workspace.join("target").join(TARGET).join("release");
    for guest in guests(&workspace)? {
        let file = folder.join(&guest.name).with_extension("wasm");
        match guest.source {
            Source::Package => {
                let from = built.join(guest.name.replace('-', "_")).with_extension("wasm");
                fs::copy(&from, &file).with_context(|| format!("cannot copy `{}`", from.display()))?;
            }
            Source::Text(text) => {
                let bytes = wat::parse_file(&text).with_context(|| format!("cannot assemble `{}`", text.display()))?;
                fs::write(&file, bytes).with_context(|| format!("cannot write `{}`", file.display()))?;
            }
            Source::Framed(text) => {
                let read = |file: &Path| fs::read_to_string(file).with_context(|| format!("no `{}`", file.display()));
                let whole = frame::fill(&read(&text.with_file_name(FRAME))?, &guest.name, &read(&text)?)?;
                let bytes = wat::parse_str(&whole)
                    .with_context(|| format!("cannot assemble `{}`:\n{whole}", text.display()))?;
                fs::write(&file, bytes).with_context(|| format!("cannot write `{}`", file.display()))?;
            }
        }
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        say::note(&format!("{shown:<36} {:>5} KiB", fs::metadata(&file)?.len() / 1024));
    }
    // Tests that build guests of their own need to know.
    if let Some(compiler) = toolchain.compiler() {
        fs::write(folder.join("rustc"), compiler.as_os_str().as_encoded_bytes())?;
    }
    Ok(())
}

/// What the texts beside it have in common.
const FRAME: &str = "frame.wat";

struct Guest {
    name: String,
    source: Source,
}

enum Source {
    /// A package of the guests' workspace, in a folder of its name.
    Package,
    /// A component in text form.
    Text(PathBuf),
    /// The part of one that is its own; the rest is in the frame.
    Framed(PathBuf),
}

/// Every folder with a package or a text of its own name, here and one level down.
fn guests(workspace: &Path) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for parent in [workspace.to_owned(), workspace.join("hostile")] {
        for entry in fs::read_dir(&parent).with_context(|| format!("cannot list `{}`", parent.display()))? {
            let folder = entry?.path();
            let Some(name) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
            let text = folder.join(&name).with_extension("wat");
            if text.exists() {
                guests.push(Guest { name, source: Source::Text(text) });
            } else if folder.join("Cargo.toml").exists() {
                guests.push(Guest { name, source: Source::Package });
            }
        }
    }
    let texts = workspace.join("hostile/text");
    for entry in fs::read_dir(&texts).with_context(|| format!("cannot list `{}`", texts.display()))? {
        let text = entry?.path();
        let name = text.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if text.extension().is_some_and(|extension| extension == "wat") && text.file_name() != Some(FRAME.as_ref()) {
            guests.push(Guest { name, source: Source::Framed(text) });
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}
