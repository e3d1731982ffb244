//! `cargo xtask soak`: every proof over and over with new seeds, and a table of what was shown.

mod rounds;
mod show;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sunaba_proofs::crash::{self, Means};
use sunaba_proofs::{seed, tally::Tally};

/// Set once we live in a mount namespace of our own.
const APART: &str = "SUNABA_SOAK_APART";
/// Somebody wants us to stop: the round that runs is the last.
static STOP: AtomicBool = AtomicBool::new(false);

struct Options {
    minutes: f64,
    seed: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((word, [directory, orders @ ..])) = arguments.split_first()
        && word == "child"
    {
        return child(Path::new(directory), orders);
    }
    match parse(&arguments).and_then(|options| soak(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            show::error(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// The process that the crash tests kill.
fn child(directory: &Path, orders: &[String]) -> ExitCode {
    let Some(orders) = crash::Orders::parse(orders) else { return ExitCode::from(2) };
    crash::live(directory, &orders).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { minutes: 5.0, seed: fastrand::u64(..) };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("`{name}` needs a value"))?;
        match name.as_str() {
            "--minutes" => options.minutes = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--seed" => options.seed = value.parse().with_context(|| format!("`{value}` is no seed"))?,
            _ => bail!("`{name}` is no option\nhint: there are `--minutes N` and `--seed S`"),
        }
    }
    if !(0.0..=100_000.0).contains(&options.minutes) {
        bail!("`--minutes` is from 0 to 100000");
    }
    Ok(options)
}

/// Runs all proofs in turn until the time is over, each at least once; whether everything held.
#[expect(clippy::disallowed_methods, reason = "how long it soaks is a matter of real time")]
fn soak(options: &Options) -> Result<bool> {
    live_apart();
    heed_signals()?;
    let begun = Instant::now();
    let limit = Duration::from_secs_f64(options.minutes * 60.0);
    let soak = std::env::current_exe()?;
    let means = Means::here();
    show::note(&format!("master seed {}: `--seed {0}` does the same again", options.seed));
    if means != (Means { trace: true, memory: true, image: true }) {
        show::warn(&format!("not everything can be done to a process and a disk here: {means:?}"));
    }
    let mut rows = Vec::<Tally>::new();
    for round in 0.. {
        for (index, (name, proof)) in rounds::ALL.iter().enumerate() {
            let seed = seed::nth(options.seed, round * rounds::ALL.len() as u64 + index as u64);
            for tally in proof(&soak, means, seed).with_context(|| format!("in `{name}` with seed {seed}"))? {
                match rows.iter_mut().find(|row| row.fault == tally.fault && row.way == tally.way) {
                    Some(row) => row.add(tally),
                    None => rows.push(tally),
                }
            }
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            show::note(&format!("{minutes:.1} of {} minutes: {name}, round {}", options.minutes, round + 1));
            // Everything has its turn once, unless somebody cannot wait.
            if STOP.load(Ordering::Relaxed) || (round > 0 && begun.elapsed() >= limit) {
                break;
            }
        }
        if STOP.load(Ordering::Relaxed) || begun.elapsed() >= limit || rows.iter().any(|row| !row.problems.is_empty()) {
            break;
        }
    }
    show::table(&rows);
    Ok(rows.iter().all(Tally::holds))
}

/// Goes on in a mount namespace of its own, where one can be had: whatever is mounted there is gone with the last of our
/// processes, however that ends.
fn live_apart() {
    let words = ["--mount", "--propagation", "private"];
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let can = std::env::var_os(APART).is_none() && quiet(Command::new("unshare").args(words).arg("true"));
    if let (true, Ok(soak)) = (can, std::env::current_exe()) {
        let mut again = Command::new("unshare");
        again.args(words).arg(soak).args(std::env::args().skip(1)).env(APART, "1");
        // It only returns when that did not work; then we go on as we are.
        show::warn(&format!("mounts are not kept apart: {}", again.exec()));
    }
}

/// Lets a signal end it in good order: what runs comes to its end, and cleans up after itself.
fn heed_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listen = async {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        show::note("stopping after this round");
        STOP.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen))?;
    Ok(())
}
