//! Looks at the dashboard in a browser, and brings what that needs: Chromium of the system, Node, and Playwright without a browser of
//! its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{guests, root, run, say, target, tools};

/// What Chromium is called.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Where the screens are written, and Playwright is.
fn folder() -> PathBuf {
    target().join("dashboard")
}

/// Runs `tests/dashboard`. The binary and the guests are there already.
pub(crate) fn look() -> Result<()> {
    let chromium = chromium()?;
    playwright()?;
    say::step("looking at the dashboard in a browser");
    // A script finds its packages beside itself.
    for script in ["host.mjs", "screens.mjs"] {
        fs::copy(root().join("tests/dashboard").join(script), folder().join(script))?;
    }
    let mut node = Command::new("node");
    node.arg("screens.mjs").current_dir(folder()).env("DASHBOARD_CHROMIUM", chromium);
    node.env("DASHBOARD_BINARY", target().join("debug/sunaba")).env("SUNABA_GUESTS", guests::folder());
    node.env("DASHBOARD_SCREENS", folder().join("screens"));
    run(node)
}

/// A browser of the system, with Node beside it; installed where that is Debian's, and somebody may do so here.
fn chromium() -> Result<PathBuf> {
    let has_node = find(&["node"]).is_some() && find(&["npm"]).is_some();
    let mut packages = Vec::new();
    match find(&CHROMIUM) {
        Some(found) if has_node => return Ok(found),
        Some(_) => {}
        None => packages.push("chromium"),
    }
    if !has_node {
        packages.extend(["nodejs", "npm"]);
    }
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(&packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    let by_hand = tools::show(&install);
    say::step(&format!("installing what is absent: {by_hand}"));
    let installed = install.status().is_ok_and(|status| status.success());
    match find(&CHROMIUM) {
        Some(found) if installed => Ok(found),
        _ => bail!("Chromium or Node is not here, and could not be installed: as root, run `{by_hand}`"),
    }
}

/// Playwright, of the version that is pinned.
fn playwright() -> Result<()> {
    if find(&["npm"]).is_none() || find(&["node"]).is_none() {
        bail!("Node is not here: as root, run `apt-get install --yes nodejs npm`");
    }
    fs::create_dir_all(folder()).context("cannot make a folder in target")?;
    let pinned = root().join("tests/dashboard/package.json");
    let own = folder().join("package.json");
    let is_new = fs::read(&pinned)? != fs::read(&own).unwrap_or_default();
    if !is_new && folder().join("node_modules/playwright-core/package.json").is_file() {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder());
    let by_hand = format!("cd {} && {}", folder().display(), tools::show(&install));
    fs::copy(&pinned, &own)?;
    say::step(&format!("installing what is absent: {by_hand}"));
    if !install.status().is_ok_and(|status| status.success()) {
        // Tried again the next time.
        let _ = fs::remove_file(&own);
        bail!("Playwright could not be installed: run `{by_hand}`");
    }
    Ok(())
}

/// Where the first of these programs is that is here and runs.
fn find(names: &[&str]) -> Option<PathBuf> {
    let runs = |program: &PathBuf| {
        let mut probe = Command::new(program);
        probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    let folders = std::env::var_os("PATH")?;
    let places = names.iter().flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)));
    places.into_iter().filter(|place| place.is_file()).find(runs)
}
