//! Children that are killed, and children whose disk fails.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use super::child::Orders;
use super::fail_point::FailPoint;
use super::ledger::{Ledger, Line};
use super::means::Means;
use super::run::{self, Then};
use super::trace;
use crate::tally::Tally;

/// Rounds on one store, before the next begins with an empty one.
const ROUNDS_ON_ONE: u32 = 8;
/// Lines after which a child is killed, at most.
const MAX_LINES: u64 = 600;
/// No child makes so many calls in one thread before it is killed anyway.
const MAX_CALLS: u64 = 400;
/// It has opened its store after about so many.
const OPENING_CALLS: u64 = 20;
/// A child whose spoiled call does not come ends after so many lines.
const ENOUGH_LINES: u64 = 3_000;

/// A child is killed after a random line, so many times.
///
/// # Errors
/// The system did not let us try.
pub fn at_random(soak: &Path, _: Means, seed: u64, rounds: u32) -> std::io::Result<Tally> {
    let mut random = fastrand::Rng::with_seed(seed);
    rounds_of("killed at random", "SIGKILL", seed, rounds, |directory, ledger, tally, round_seed| {
        let orders = Orders { seed: round_seed, first: ledger.next(), ..Orders::default() };
        let last = random.u64(1..MAX_LINES);
        let mut lines = 0;
        let ended = run::run(run::command(&[], soak, directory, &orders), ledger, tally, |_, _| {
            lines += 1;
            if lines >= last { Then::Kill } else { Then::Listen }
        })?;
        Ok(ended.status.signal() == Some(9))
    })
}

/// A child is killed at its Nth call that writes, for so many N.
///
/// # Errors
/// The system did not let us try.
pub fn at_writes(soak: &Path, means: Means, seed: u64, rounds: u32) -> std::io::Result<Tally> {
    let mut random = fastrand::Rng::with_seed(seed);
    let traced = means.trace;
    let way = if traced { "SIGKILL by strace" } else { "abort at a fail point" };
    rounds_of("killed at the Nth write", way, seed, rounds, |directory, ledger, tally, round_seed| {
        // Every other time while the store is opened, where few calls decide much.
        let end = if random.bool() { OPENING_CALLS } else { MAX_CALLS };
        let call = random.u64(1..end);
        let mut orders = Orders { seed: round_seed, first: ledger.next(), ..Orders::default() };
        let wrapper = if traced {
            trace::spoil(trace::WRITES, &format!("signal=KILL:when={call}"))
        } else {
            orders.fail_point = Some(FailPoint::AbortAt(call));
            Vec::new()
        };
        let mut lines = 0;
        let ended = run::run(run::command(&wrapper, soak, directory, &orders), ledger, tally, |_, _| {
            lines += 1;
            if lines >= ENOUGH_LINES { Then::Kill } else { Then::Listen }
        })?;
        // What was ended by us was not ended by the call.
        Ok(lines < ENOUGH_LINES && ended.status.signal().is_some())
    })
}

/// A child's Nth `fdatasync` fails, for so many N: from then on nothing may be acknowledged.
///
/// # Errors
/// The system did not let us try.
pub fn sync_fails(soak: &Path, means: Means, seed: u64, rounds: u32) -> std::io::Result<Tally> {
    let mut random = fastrand::Rng::with_seed(seed);
    let traced = means.trace;
    let way = if traced { "EIO by strace" } else { "failing barrier" };
    rounds_of("fsync fails", way, seed, rounds, |directory, ledger, tally, round_seed| {
        let call = random.u64(2..150);
        let mut orders = Orders { seed: round_seed, first: ledger.next(), ..Orders::default() };
        let wrapper = if traced {
            trace::spoil("fdatasync", &format!("error=EIO:when={call}"))
        } else {
            orders.fail_point = Some(FailPoint::BarrierFails(call));
            Vec::new()
        };
        // Every few answers need a sync, so that it must have failed long before.
        let mut lines = 0;
        let ended = run::run(run::command(&wrapper, soak, directory, &orders), ledger, tally, |_, _| {
            lines += 1;
            if lines >= ENOUGH_LINES { Then::Kill } else { Then::Listen }
        })?;
        if ended.status.code() != Some(3) {
            tally.problems.push(format!("the child did not say that its store had failed: {}", ended.status));
        }
        Ok(ended.failure.is_some())
    })
}

/// Rounds on stores of their own; each says whether its fault fired, and after each everything is looked for.
fn rounds_of(
    fault: &str,
    way: &str,
    seed: u64,
    rounds: u32,
    mut round: impl FnMut(&Path, &mut Ledger, &mut Tally, u64) -> std::io::Result<bool>,
) -> std::io::Result<Tally> {
    let mut tally = Tally::new(fault, way);
    let mut folder = tempfile::Builder::new().prefix("sunaba-crash-").tempdir()?;
    let mut ledger = Ledger::default();
    for number in 0..rounds {
        if number > 0 && number % ROUNDS_ON_ONE == 0 {
            folder = tempfile::Builder::new().prefix("sunaba-crash-").tempdir()?;
            ledger = Ledger::default();
        }
        let directory = folder.path().join("data");
        let fired = round(&directory, &mut ledger, &mut tally, crate::seed::nth(seed, u64::from(number)))?;
        tally.fired += u64::from(fired);
        let before = tally.problems.len();
        ledger.check(&directory, &mut tally);
        if tally.problems.len() > before {
            tally.problems.push(format!("in round {number} of `{fault}` with seed {seed}"));
            break;
        }
    }
    Ok(tally)
}

/// What a line does to whoever only listens.
pub(super) fn until(lines: u64) -> impl FnMut(&Line) -> Then {
    let mut heard = 0;
    move |_| {
        heard += 1;
        if heard >= lines { Then::Kill } else { Then::Listen }
    }
}
