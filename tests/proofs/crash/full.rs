//! A disk without room: first below the store's floor, then without a byte.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::child::Orders;
use super::ledger::{Ledger, Line};
use super::means::Means;
use super::mount::Mount;
use super::run::{self, Then};
use crate::tally::Tally;

/// More than the floor under which a store takes nothing on, by a little.
const DISK_BYTES: u64 = 80 << 20;
/// The largest file, where no disk of our own can be had. In units of 512 bytes for the shell.
const MAX_FILE_BLOCKS: u64 = (4 << 20) / 512;
/// What is missing is told by the system sooner than this.
const MAX_LINES: u64 = 200_000;

/// Fills the disk under a child, so many times; opens its store while it is full, and once there is room again. Shows that a
/// lack of room harms nothing. It says nothing of barriers: whatever the system was given, it has.
///
/// # Errors
/// The system did not let us try.
pub fn disk_full(soak: &Path, means: Means, seed: u64, rounds: u32) -> std::io::Result<Tally> {
    let mounted = means.memory;
    let way = if mounted { "small tmpfs (no power cut)" } else { "file size limit (no power cut)" };
    let mut tally = Tally::new("disk is full", way);
    for round in 0..rounds {
        let round_seed = crate::seed::nth(seed, u64::from(round));
        let before = tally.problems.len();
        if mounted {
            on_a_small_disk(soak, round_seed, &mut tally)?
        } else {
            with_small_files(soak, round_seed, &mut tally)?
        }
        if tally.problems.len() > before {
            tally.problems.push(format!("in round {round} of `disk is full` with seed {seed}"));
            break;
        }
    }
    Ok(tally)
}

fn on_a_small_disk(soak: &Path, seed: u64, tally: &mut Tally) -> std::io::Result<()> {
    let disk = Mount::memory(DISK_BYTES)?;
    let (directory, filler) = (disk.path().join("data"), disk.path().join("filler"));
    let mut ledger = Ledger::default();
    let orders = Orders { seed, large: true, ..Orders::default() };
    let (mut lines, mut refused, mut filled) = (0, 0, false);
    let ended = run::run(run::command(&[], soak, &directory, &orders), &mut ledger, tally, |line, _| {
        lines += 1;
        refused += u64::from(*line == Line::NoRoom);
        // It takes nothing on any more, and lets the rest end: now that is made impossible, too.
        if refused == 1 && !filled {
            filled = true;
            fill(&filler);
        }
        if lines > MAX_LINES || refused > 3_000 { Then::Kill } else { Then::Listen }
    })?;
    if !ended.no_room {
        tally.problems.push("a submit was taken on with hardly any room left".into());
    }
    tally.fired += u64::from(ended.failure.is_some());
    // Whether it opens now or says that it cannot, nothing may be harmed.
    drop(sunaba_runtime::store::EmbeddedStore::sled(&directory));
    std::fs::remove_file(&filler)?;
    ledger.check(&directory, tally);
    Ok(())
}

/// Takes every byte that is left.
fn fill(path: &Path) {
    let Ok(mut file) = File::create(path) else { return };
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}

fn with_small_files(soak: &Path, seed: u64, tally: &mut Tally) -> std::io::Result<()> {
    let folder = tempfile::Builder::new().prefix("sunaba-full-").tempdir()?;
    let directory = folder.path().join("data");
    let mut ledger = Ledger::default();
    let orders = Orders { seed, large: true, ..Orders::default() };
    let limited = format!("trap '' XFSZ; ulimit -f {MAX_FILE_BLOCKS}; exec \"$@\"");
    let shell = ["sh".to_owned(), "-c".into(), limited, "sh".into()];
    let ended = run::run(run::command(&shell, soak, &directory, &orders), &mut ledger, tally, |_, _| Then::Listen)?;
    tally.fired += u64::from(ended.failure.is_some());
    ledger.check(&directory, tally);
    Ok(())
}
