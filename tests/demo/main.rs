//! The demo: a real host with its queue on disk audits every dependency of this project that is in the local cargo
//! registry, in one job: a task that decomposes into one for each crate, each in a sandbox of its own that can read those sources
//! and nothing else, and a report that joins them. It renders a README, makes a thumbnail of a picture found in those sources,
//! and stops a guest that computes for ever.
//!
//! Every figure is read back from the host's store. A task that did not end as intended, or that the store does not know,
//! fails the demo.

mod host;
mod registry;
mod show;
mod tree;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::to_raw_value;
use sunaba_runtime::server::api::{ResultView, Submit};
use sunaba_runtime::task::{StateName, TaskId};
use sunaba_runtime::{Client, FailureReport, ReceiptReport};
use tokio::task::JoinSet;

use crate::host::Host;

/// How long the guest that computes for ever may.
const SPIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Submits that are under way at a time: the host makes them durable together.
const SUBMITS_AT_A_TIME: usize = 16;

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
    receipt: ReceiptReport,
}

/// What the job's report says, as far as it is checked: that it has all of the audits.
#[derive(Debug, Deserialize)]
struct Summary {
    crates: u64,
    failed: Vec<String>,
    files: u64,
    lines: Lines,
}

/// What a task is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// Audits all crates.
    Audits,
    Readme,
    Thumbnail,
    Spin,
}

/// What came of all tasks.
#[derive(Default)]
struct Outcome {
    summary: Option<Summary>,
    page: Option<Page>,
    thumbnail_bytes: usize,
    stopped: Option<FailureReport>,
    /// What did not end as intended, and why.
    failed: Vec<(String, String)>,
}

/// What `render-markdown` returns, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Page {
    title: Option<String>,
    outline: Vec<serde_json::Value>,
    words: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let packages = registry::packages().context("cannot find this project's dependencies")?;
    let picture = registry::picture(&packages)?;
    let data = guests().with_file_name("demo-data");
    let host = Host::start(&data, &registry::sources()?)?;
    show::started(&host.address, &data, host.concurrency);
    for guest in ["crate-audit", "render-markdown", "thumbnail", "spin"] {
        deploy(&host.client, guest).await?;
    }

    let submits = vec![
        (Purpose::Audits, audits(&packages)?),
        (Purpose::Readme, readme()?),
        (Purpose::Thumbnail, thumbnail(&picture)?),
        (Purpose::Spin, spin()),
    ];
    // Of these one has a child for each crate, and one that joins them.
    let count = submits.len() + packages.len() + 1;
    let begun = now();
    let tasks = submit_all(&host.client, submits).await?;
    let outcome = follow(&host.client, &tasks, packages.len()).await?;
    let took = begun.elapsed();
    let audited = tree::audited(&host.client).await?;
    let lost = count - tree::count_ended(&host.client).await?.min(count);
    host.stop()?;

    show::tables(&audited);
    let summary = outcome.summary.as_ref().context("there is no report")?;
    tree::check(summary, &audited)?;
    if let Some(page) = &outcome.page {
        show::page(page.title.as_deref(), page.outline.len(), page.words);
    }
    show::thumbnail(&picture, outcome.thumbnail_bytes);
    if let Some(stopped) = &outcome.stopped {
        show::stopped(stopped);
    }
    show::totals(&audited, count, took);
    for (task, why) in &outcome.failed {
        show::failure(task, why);
    }
    let succeeded = count - outcome.failed.len() - usize::from(outcome.stopped.is_some());
    show::last_line(succeeded, usize::from(outcome.stopped.is_some()), lost);
    ensure!(lost == 0, "{lost} of {count} tasks are not terminal in the store");
    ensure!(outcome.failed.is_empty(), "{} of {count} tasks did not end as intended", outcome.failed.len());
    Ok(())
}

/// The folder of built guests.
fn guests() -> PathBuf {
    std::env::var_os("SUNABA_GUESTS").map_or_else(|| PathBuf::from("target/guests"), PathBuf::from)
}

/// Deploys a guest that `cargo xtask guests` has built.
async fn deploy(client: &Client, guest: &str) -> Result<()> {
    let path = guests().join(guest).with_extension("wasm");
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read `{}`; `cargo xtask guests` builds it", path.display()))?;
    client.deploy(guest, bytes.into()).await.with_context(|| format!("cannot deploy `{}`", path.display()))?;
    Ok(())
}

/// One task for all of them.
fn audits(packages: &[registry::Package]) -> Result<Submit> {
    let sources = registry::sources()?;
    let crates =
        packages.iter().map(|package| package.directory.strip_prefix(&sources)).collect::<Result<Vec<_>, _>>()?;
    Ok(Submit {
        handler: "crate-audit/audit-all".into(),
        input: to_raw_value(&json!({"root": "/crates", "crates": crates})).ok(),
        dirs: vec![format!("{}::/crates", sources.display())],
        ..Submit::default()
    })
}

fn readme() -> Result<Submit> {
    let markdown =
        std::fs::read_to_string("README.md").context("cannot read README.md; run this in the project's root")?;
    let input = to_raw_value(&json!({"markdown": markdown})).ok();
    Ok(Submit { handler: "render-markdown/render-markdown".into(), input, ..Submit::default() })
}

fn thumbnail(picture: &Path) -> Result<Submit> {
    let bytes = std::fs::read(picture).with_context(|| format!("cannot read `{}`", picture.display()))?;
    let input_base64 = Some(STANDARD.encode(bytes));
    Ok(Submit { handler: "thumbnail/thumbnail".into(), input_base64, ..Submit::default() })
}

fn spin() -> Submit {
    let timeout_ms = u64::try_from(SPIN_TIMEOUT.as_millis()).ok();
    Submit { handler: "spin/spin".into(), timeout_ms, max_attempts: Some(1), ..Submit::default() }
}

/// Submits all, some at a time. When this returns, every one of them is on the host's disk.
async fn submit_all(client: &Client, submits: Vec<(Purpose, Submit)>) -> Result<Vec<(Purpose, TaskId)>> {
    let (mut waiting, mut running) = (submits.into_iter(), JoinSet::new());
    let mut tasks = Vec::new();
    loop {
        while running.len() < SUBMITS_AT_A_TIME
            && let Some((purpose, submit)) = waiting.next()
        {
            let client = client.clone();
            running.spawn(async move { (purpose, client.submit_task(&submit).await) });
        }
        let Some(done) = running.join_next().await else { return Ok(tasks) };
        let (purpose, task) = done?;
        tasks.push((purpose, task?.id.parse()?));
    }
}

/// Waits for the end of every task, and reads its result.
async fn follow(client: &Client, tasks: &[(Purpose, TaskId)], crates: usize) -> Result<Outcome> {
    let bar = progress_bar((tasks.len() + crates) as u64);
    let mut outcome = Outcome::default();
    for (purpose, id) in tasks {
        if *purpose == Purpose::Audits {
            tree::follow(client, *id, &bar).await?;
        }
        client.wait(*id).await?;
        let result = client.get_task_result(*id).await?;
        let name = format!("{purpose:?}").to_lowercase();
        if let Err(why) = take(&mut outcome, purpose, result) {
            outcome.failed.push((name.clone(), format!("{why:#}")));
        }
        show::progress(&bar, &name);
    }
    bar.finish_and_clear();
    Ok(outcome)
}

/// Keeps what came of a task, if it is what was intended.
fn take(outcome: &mut Outcome, purpose: &Purpose, result: ResultView) -> Result<()> {
    if *purpose == Purpose::Spin {
        let failure = result.failure.context("it should not have succeeded")?;
        ensure!(result.state == StateName::Dead, "it should be dead, and is {}", result.state);
        ensure!(failure.cause == "timeout" && !failure.backtrace.is_empty(), "it should have timed out: {failure:?}");
        outcome.stopped = Some(failure);
        return Ok(());
    }
    let Some(output) = result.output else {
        let failure = result.failure.context("the host does not say why")?;
        bail!("{}: {}", failure.kind, failure.message);
    };
    match purpose {
        Purpose::Audits => {
            let summary: Summary = serde_json::from_str(output.get()).context("the report cannot be read")?;
            outcome.failed.extend(summary.failed.iter().map(|why| ("an audit".to_owned(), why.clone())));
            outcome.summary = Some(summary);
        }
        Purpose::Readme => outcome.page = Some(serde_json::from_str(output.get()).context("the page cannot be read")?),
        Purpose::Thumbnail => {
            let encoded: serde_json::Value = serde_json::from_str(output.get())?;
            let bytes = STANDARD.decode(encoded["base64"].as_str().context("there are no bytes")?)?;
            ensure!(bytes.starts_with(b"\x89PNG"), "the thumbnail is no PNG");
            outcome.thumbnail_bytes = bytes.len();
        }
        Purpose::Spin => unreachable!("it was handled above"),
    }
    Ok(())
}

fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40.green} {pos:>4}/{len} {elapsed:>4} {wide_msg}");
    ProgressBar::new(length).with_style(style.expect("the template is valid"))
}

#[expect(clippy::disallowed_methods, reason = "the demo measures real time")]
fn now() -> Instant {
    Instant::now()
}
