//! A power cut: what was on the disk at one moment, and nothing of what the system had in memory.
//!
//! The child writes to a file system in an image. It is stopped, the image is copied as it is, and the copy is mounted:
//! what the kernel had not written is not in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::Orders;
use super::ledger::Ledger;
use super::means::Means;
use super::mount::{self, Mount};
use super::run::{self, Then};
use super::{kill, order};
use crate::tally::Tally;

/// With room above the floor under which a store takes nothing on.
const IMAGE_BYTES: u64 = 192 << 20;
/// Cuts of one disk, before the next begins with an empty one.
const CUTS_OF_ONE: u32 = 5;
/// Lines until a cut, at most.
const MAX_LINES: u64 = 1_500;
/// The kernel may write while a copy is made; then it is made again.
const COPIES: u32 = 10;

/// Cuts the power, so many times; where no image can be mounted, a trace shows that each barrier comes before its answers.
///
/// # Errors
/// The system did not let us try.
pub fn power_cut(soak: &Path, means: Means, seed: u64, rounds: u32) -> std::io::Result<Tally> {
    if !means.image {
        return order::barrier_comes_first(soak, means, seed, rounds);
    }
    let mut tally = Tally::new("power cut", "copy of a mounted image");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::Builder::new().prefix("sunaba-power-").tempdir()?;
    let image = folder.path().join("image");
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        if round % CUTS_OF_ONE == 0 {
            mount::make_image(&image, IMAGE_BYTES)?;
            ledger = Ledger::default();
        }
        let before = tally.problems.len();
        let orders = Orders { seed: random.u64(..), first: ledger.next(), ..Orders::default() };
        let copy = folder.path().join("copy");
        cut(soak, &image, &copy, &orders, random.u64(1..MAX_LINES), &mut ledger, &mut tally)?;
        let disk = Mount::image(&copy)?;
        ledger.check(&disk.path().join("data"), &mut tally);
        drop(disk);
        // Life goes on from there.
        std::fs::rename(&copy, &image)?;
        if tally.problems.len() > before {
            tally.problems.push(format!("in round {round} of `power cut` with seed {seed}"));
            break;
        }
    }
    Ok(tally)
}

fn cut(
    soak: &Path,
    image: &Path,
    copy: &Path,
    orders: &Orders,
    lines: u64,
    ledger: &mut Ledger,
    tally: &mut Tally,
) -> std::io::Result<()> {
    let disk = Mount::image(image)?;
    let (mut copied, mut until) = (Ok(false), kill::until(lines));
    run::run(run::command(&[], soak, &disk.path().join("data"), orders), ledger, tally, |line, child| {
        match until(line) {
            Then::Listen => Then::Listen,
            Then::Kill => {
                if matches!(copied, Ok(false)) {
                    copied = run::freeze(child).and_then(|()| copy_image(image, copy)).map(|()| true);
                }
                Then::Kill
            }
        }
    })?;
    drop(disk);
    if !copied? {
        return Err(std::io::Error::other("the child ended before the power was cut"));
    }
    tally.fired += 1;
    Ok(())
}

/// Copies an image while nobody writes to it.
fn copy_image(image: &Path, copy: &Path) -> std::io::Result<()> {
    let counters = loop_counters(image)?;
    for _ in 0..COPIES {
        let before = std::fs::read_to_string(&counters)?;
        mount::done(Command::new("cp").arg("--sparse=always").arg(image).arg(copy))?;
        if std::fs::read_to_string(&counters)? == before {
            return Ok(());
        }
    }
    Err(std::io::Error::other("the image changes all the time"))
}

/// The file in which the kernel counts what it does to the image.
fn loop_counters(image: &Path) -> std::io::Result<PathBuf> {
    let output =
        Command::new("losetup").args(["--noheadings", "--output", "NAME", "--associated"]).arg(image).output()?;
    let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let name = device.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.contains('\n'));
    let name = name.ok_or_else(|| std::io::Error::other(format!("`losetup` names no device but `{device}`")))?;
    Ok(Path::new("/sys/block").join(name).join("stat"))
}
