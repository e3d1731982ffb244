//! Checks that a handler can also be built by `cargo component`, as a user would do it: a package of its own, with
//! nothing in its manifest that plain cargo does not need as well.
//!
//! The tool is being given up in favour of the target wasm32-wasip2, so this is the one test of it, and it is run by
//! hand: installing the tool takes as long as everything else together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::toolchain::{TARGET, Toolchain};
use crate::{root, run, say, target, tools};

/// The newest one.
const VERSION: &str = "0.21.1";
/// What the tool itself builds for. It wraps the result with an adapter; plain cargo makes the component of `TARGET`.
const OWN_TARGET: &str = "wasm32-wasip1";
const INSTALL_LIMIT: Duration = Duration::from_secs(60 * 60);
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

const INPUT: &str = r#"{"name":"Ada"}"#;
const OUTPUT: &str = "{\"greeting\":\"Hello, Ada!\"}\n";

/// Installs the tool where it is missing, builds a handler with it, and runs what comes out.
pub(crate) fn check() -> Result<()> {
    let toolchain = Toolchain::ensure()?;
    if toolchain.compiler().is_some() {
        bail!("cargo component needs the target {OWN_TARGET} of rustup, and rustup can install nothing here");
    }
    find_or_install(&toolchain)?;

    let package = make_package()?;
    say::step(&format!("building a package of its own: cargo component build --release --target {TARGET}"));
    let mut build = with_private_tools(toolchain.cargo())?;
    build.args(["component", "build", "--release", "--target", TARGET]).current_dir(&package);
    // Built where it is, as a user's.
    build.env_remove("CARGO_TARGET_DIR");
    bounded(build, BUILD_LIMIT)?;

    say::step("building the binary that runs it");
    run(crate::build())?;
    for target in [OWN_TARGET, TARGET] {
        let component = package.join("target").join(target).join("release/hello.wasm");
        let shown = component.strip_prefix(root()).unwrap_or(&component).display();
        say::step(&format!("running {shown}, {} KiB", fs::metadata(&component)?.len() / 1024));
        run_and_compare(&component)?;
    }
    say::note("both components gave the output that is expected of them");
    Ok(())
}

fn find_or_install(toolchain: &Toolchain) -> Result<()> {
    let mut probe = with_private_tools(toolchain.cargo())?;
    probe.args(["component", "--version"]).stderr(Stdio::null());
    let output = probe.output().context("cannot run cargo")?;
    if output.status.success() {
        // It calls itself `cargo-component-component`; only the version is of interest.
        let said = String::from_utf8_lossy(&output.stdout);
        say::note(&format!("found cargo component {}", said.split_whitespace().last().unwrap_or_default()));
        return Ok(());
    }
    let folder = target().join("tools");
    let shown = folder.strip_prefix(root()).unwrap_or(&folder).display().to_string();
    say::step(&format!("installing cargo-component {VERSION} into {shown} (once; some ten minutes)"));
    // Not a temporary folder: a second try goes on where the first was stopped.
    let scratch = folder.join("build");
    let mut install = toolchain.cargo();
    install.args(["install", "cargo-component", "--version", VERSION, "--locked", "--root"]).arg(&folder);
    install.env("CARGO_TARGET_DIR", &scratch);
    bounded(install, INSTALL_LIMIT)?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove `{}`", scratch.display()))
}

/// Cargo, which finds its commands on the path.
fn with_private_tools(mut cargo: Command) -> Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = target().join("tools/bin");
    let folders = std::env::split_paths(&path).chain([ours]);
    cargo.env("PATH", std::env::join_paths(folders).context("the path for tools cannot be put together")?);
    Ok(cargo)
}

/// The source of `hello`, made anew in a folder of its own with the manifest of a user.
fn make_package() -> Result<PathBuf> {
    let package = target().join("cargo-component/hello");
    if package.exists() {
        fs::remove_dir_all(&package).with_context(|| format!("cannot clear `{}`", package.display()))?;
    }
    let (sources, from) = (package.join("src"), root().join("guest-examples/hello/src/lib.rs"));
    fs::create_dir_all(&sources).with_context(|| format!("cannot make `{}`", sources.display()))?;
    fs::copy(&from, sources.join("lib.rs")).with_context(|| format!("cannot copy `{}`", from.display()))?;
    // The versions that the guests are tested with.
    fs::copy(root().join("guest-examples/Cargo.lock"), package.join("Cargo.lock"))?;
    fs::write(package.join("Cargo.toml"), manifest())?;
    Ok(package)
}

/// The empty workspace is there because the folder lies in ours; a user has no need of it.
fn manifest() -> String {
    let sdk = root().join("sdk");
    format!(
        "[package]\n\
         name = \"hello\"\n\
         version = \"0.1.0\"\n\
         edition = \"2024\"\n\
         \n\
         [lib]\n\
         crate-type = [\"cdylib\"]\n\
         \n\
         [dependencies]\n\
         sunaba-sdk = {{ path = '{}' }}\n\
         \n\
         [workspace]\n",
        sdk.display()
    )
}

fn run_and_compare(component: &Path) -> Result<()> {
    let mut sunaba = Command::new(target().join("debug/sunaba"));
    sunaba.arg("run").arg(component).args(["hello", "--quiet", "--input", INPUT]).stderr(Stdio::inherit());
    let output = sunaba.output().with_context(|| format!("cannot start `{}`", tools::show(&sunaba)))?;
    let shown = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || shown != OUTPUT {
        bail!(
            "`{}` ended with {} and gave `{}` for `{}`",
            tools::show(&sunaba),
            output.status,
            shown.trim(),
            OUTPUT.trim()
        );
    }
    say::note(&format!("{INPUT} -> {}", shown.trim()));
    Ok(())
}

fn bounded(command: Command, limit: Duration) -> Result<()> {
    let shown = tools::show(&command);
    match tools::run_bounded(command, limit)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("`{shown}` ended with {status}"),
        None => bail!("`{shown}` took over {} minutes", limit.as_secs() / 60),
    }
}
