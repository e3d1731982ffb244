//! The order of a child's system calls: that what an answer stands for was synced before the answer was given.

use std::collections::BTreeMap;
use std::path::Path;

use super::child::Orders;
use super::ledger::Ledger;
use super::means::Means;
use super::run;
use super::{kill, trace};
use crate::tally::Tally;

/// Answers that are looked at in one round.
const ANSWERS: u64 = 100;
/// What is to be seen: writes to the log, its sync, and what is said.
const CALLS: &str = "write,pwrite64,writev,pwritev,fdatasync";

/// Traces a child that submits one task at a time; without a tracer, nothing fires, which fails whoever asked.
///
/// # Errors
/// The system did not let us try.
pub(super) fn barrier_comes_first(soak: &Path, means: Means, seed: u64, rounds: u32) -> std::io::Result<Tally> {
    let mut tally = Tally::new("power cut", "order of system calls (no image can be mounted)");
    if !means.trace {
        tally.problems.push("neither images can be mounted nor processes traced here: nothing was shown".into());
        return Ok(tally);
    }
    for round in 0..rounds {
        let folder = tempfile::Builder::new().prefix("sunaba-order-").tempdir()?;
        let (directory, file) = (folder.path().join("data"), folder.path().join("trace"));
        let orders = Orders { seed: crate::seed::nth(seed, u64::from(round)), alone: true, ..Orders::default() };
        let mut ledger = Ledger::default();
        let mut until = kill::until(ANSWERS);
        let command = run::command(&trace::record(CALLS, &file), soak, &directory, &orders);
        run::run(command, &mut ledger, &mut tally, |line, _| until(line))?;
        let text = std::fs::read_to_string(&file)?;
        match check(&text) {
            Ok(answers) => tally.fired += answers,
            Err(problem) => tally.problems.push(format!("{problem}, with seed {seed}")),
        }
        ledger.check(&directory, &mut tally);
    }
    Ok(tally)
}

/// How many answers came after the sync of all that was written to the log before them.
fn check(trace: &str) -> Result<u64, String> {
    let (mut answers, mut unsynced, mut syncs) = (0, false, 0);
    // What each thread has begun, where a line ends before the call does.
    let mut begun = BTreeMap::<&str, &str>::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let is_resumed = call.starts_with("<...");
        let what = if is_resumed { begun.remove(thread).unwrap_or_default() } else { call };
        if call.ends_with("<unfinished ...>") {
            begun.insert(thread, call);
        }
        let is_log = what.contains("/sled/db>");
        if is_log && what.contains("write") {
            // From its beginning on.
            unsynced = true;
        } else if is_log && what.starts_with("fdatasync") && call.ends_with("= 0") {
            (unsynced, syncs) = (false, syncs + 1);
        } else if !is_resumed && what.contains("\"submitted ") {
            if unsynced || syncs == 0 {
                return Err(format!("an answer came before the sync of what it stands for: `{line}`"));
            }
            (answers, syncs) = (answers + 1, 0);
        }
    }
    Ok(answers)
}
