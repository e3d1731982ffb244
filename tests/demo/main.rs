//! The demo: audits every dependency of this project that is in the local cargo registry, each in a fresh sandbox that
//! can read that crate's directory and nothing else; then stops a guest that computes for ever.
//!
//! Every figure is counted here from the attempts' reports. Any audit that does not succeed fails the demo.

mod registry;
mod show;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::{ComponentInfo, Sandbox};
use sunaba_runtime::task::{
    AttemptReport, AttemptResult, Cause, DirAccess, DirGrant, FuelMode, Grants, Outcome, Payload, Stop, Unattended,
};
use tokio::task::JoinSet;

use crate::registry::Package;

/// How long the guest that computes for ever may.
const SPIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What `crate-audit` returns, as far as the tables need it.
#[derive(Debug, Deserialize)]
struct Audit {
    name: String,
    version: Option<String>,
    license: Option<String>,
    license_files: Vec<String>,
    files: u64,
    lines: Lines,
}

#[derive(Debug, Deserialize)]
struct Lines {
    code: u64,
    comments: u64,
    blank: u64,
    unsafe_uses: u64,
}

/// One audited crate.
struct Audited {
    audit: Audit,
    report: AttemptReport,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let packages = registry::packages().context("cannot find this project's dependencies")?;
    let sandbox = Arc::new(Sandbox::builder().shards(cores).start().context("cannot start the sandbox")?);
    let crate_audit = load(&sandbox, "crate-audit").await?;
    let spin = load(&sandbox, "spin").await?;

    let (begun, count) = (now(), packages.len());
    let (audited, failed) = audit_all(&sandbox, &crate_audit, packages, cores).await?;
    let took = begun.elapsed();
    let stop = stop_spinning(&sandbox, &spin).await?;

    show::tables(&audited);
    show::stopped(&stop);
    show::totals(&audited, took, cores);
    for (package, why) in &failed {
        show::failure(package, why);
    }
    if !failed.is_empty() || audited.len() != count {
        bail!("{} of {count} audits did not succeed", count - audited.len());
    }
    show::last_line(audited.len());
    Ok(())
}

/// Loads a guest that `cargo xtask guests` has built.
async fn load(sandbox: &Sandbox, guest: &str) -> Result<Arc<ComponentInfo>> {
    let folder = std::env::var_os("SUNABA_GUESTS").map_or_else(|| PathBuf::from("target/guests"), PathBuf::from);
    let path = folder.join(guest).with_extension("wasm");
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read `{}`; `cargo xtask guests` builds it", path.display()))?;
    sandbox.load(bytes, FuelMode::Exact).await.with_context(|| format!("cannot load `{}`", path.display()))
}

type Failed = Vec<(String, String)>;

/// Audits all packages, so many at a time: one for each shard, so that the figures of an audit hold no waiting for a
/// neighbour's turn.
async fn audit_all(
    sandbox: &Arc<Sandbox>,
    component: &Arc<ComponentInfo>,
    packages: Vec<Package>,
    at_a_time: usize,
) -> Result<(Vec<Audited>, Failed)> {
    let bar = progress_bar(packages.len() as u64);
    let mut waiting = packages.into_iter();
    let mut running = JoinSet::new();
    let (mut audited, mut failed) = (Vec::new(), Vec::new());
    loop {
        while running.len() < at_a_time
            && let Some(package) = waiting.next()
        {
            let (sandbox, component) = (Arc::clone(sandbox), Arc::clone(component));
            running.spawn(async move { (package.id(), audit(&sandbox, &component, &package).await) });
        }
        let Some(done) = running.join_next().await else { break };
        let (package, done) = done?;
        match done {
            Ok(done) => audited.push(done),
            Err(why) => failed.push((package.clone(), format!("{why:#}"))),
        }
        show::progress(&bar, &package);
    }
    bar.finish_and_clear();
    Ok((audited, failed))
}

async fn audit(sandbox: &Sandbox, component: &ComponentInfo, package: &Package) -> Result<Audited> {
    let directory = DirGrant { host: package.directory.clone(), guest: "/crate".into(), access: DirAccess::ReadOnly };
    let attempt = Attempt::of(component, "crate-audit")?
        .grants(Grants { dirs: vec![directory], ..Grants::default() })
        .input(Payload::json(r#"{"path":"/crate"}"#))?;
    let report = attempt.run(sandbox, Arc::new(Unattended)).await?;
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => {
            let audit = serde_json::from_slice(&output.bytes).context("the audit's output cannot be read")?;
            Ok(Audited { audit, report })
        }
        AttemptResult::Failed(failure) => bail!("{}: {}", failure.kind, failure.message),
        AttemptResult::Stopped(stop) => bail!("{}: {}", stop.cause, stop.message),
        AttemptResult::Returned(other) => bail!("an outcome that nobody asked for: {other:?}"),
    }
}

/// Runs the guest that never returns, and insists on how it ends.
async fn stop_spinning(sandbox: &Sandbox, spin: &ComponentInfo) -> Result<Stop> {
    let mut attempt = Attempt::of(spin, "spin")?;
    attempt.limits_mut().timeout = SPIN_TIMEOUT;
    match attempt.run(sandbox, Arc::new(Unattended)).await?.result {
        AttemptResult::Stopped(stop) if stop.cause == Cause::Timeout && !stop.backtrace.is_empty() => Ok(stop),
        other => bail!("the guest that computes for ever should have timed out with a backtrace: {other:?}"),
    }
}

fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40.green} {pos:>4}/{len} {elapsed:>4} {wide_msg}");
    ProgressBar::new(length).with_style(style.expect("the template is valid"))
}

#[expect(clippy::disallowed_methods, reason = "the demo measures real time")]
fn now() -> Instant {
    Instant::now()
}
