//! All that makes two runs of a program differ: random numbers, the order of a hash map, what the clock shows, how long a
//! wait takes, and the bits of a number that is none. In a deterministic attempt they come from a seed, and two runs are the
//! same to the last instruction.

use std::collections::{HashMap, hash_map::RandomState};
use std::hash::BuildHasher as _;
use std::time::{Instant, SystemTime};

use sunaba_sdk::prelude::*;

#[data]
pub struct Game {
    /// How many dice, up to 1,000.
    dice: u32,
}

#[data]
pub struct Played {
    /// What each of them showed.
    throws: Vec<u64>,
    /// How often each number came, in the order of a hash map.
    counts: Vec<(u64, u32)>,
    /// When the game began, by the wall clock; milliseconds since the Unix epoch.
    began_ms: u64,
    /// How long the player slept, who wanted an hour.
    slept_ms: u64,
    /// How long the player was busy waiting, who wanted a tenth of a second.
    waited_ms: u64,
    /// What is left of the attempt's time.
    left_ms: Option<u64>,
    /// The bits of zero divided by zero.
    nothing: String,
}

/// Throws dice, sleeps for an hour, and waits for a moment.
#[handler(clock = "fine", deterministic = true)]
#[expect(clippy::disallowed_methods, reason = "to look at the clock is the lesson")]
#[expect(clippy::eq_op, reason = "nothing divided by nothing is not a number, and its bits are the point")]
pub fn dice(ctx: &Context, game: Game) -> Result<Played, TaskError> {
    if game.dice > 1_000 {
        return Err(TaskError::fatal("nobody has more than 1,000 dice").with_kind("too-many-dice"));
    }
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The standard library's own source of chance: the one that protects hash maps.
    let chance = RandomState::new();
    let throws: Vec<u64> = (0..game.dice).map(|die| chance.hash_one(die) % 6 + 1).collect();
    let mut counts = HashMap::new();
    for throw in &throws {
        *counts.entry(*throw).or_default() += 1;
    }

    let before = Instant::now();
    std::thread::sleep(Duration::from_secs(3600));
    let slept = before.elapsed();
    let before = Instant::now();
    while before.elapsed() < Duration::from_millis(100) {}
    let waited = before.elapsed();

    let zero = f64::from(game.dice) - f64::from(game.dice);
    Ok(Played {
        throws,
        counts: counts.into_iter().collect(),
        began_ms: millis(began),
        slept_ms: millis(slept),
        waited_ms: millis(waited),
        left_ms: ctx.remaining().time.map(millis),
        nothing: format!("{:016x}", (zero / zero).to_bits()),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

export!(dice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_in_whole_milliseconds() {
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
    }
}
