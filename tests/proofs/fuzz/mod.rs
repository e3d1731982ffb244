//! What fuzzers do to a sandbox: arbitrary bytes as a component, arbitrary host calls, and ends at arbitrary points.
//!
//! Each body takes bytes and gives what it found wrong. `tests/fuzz` has the targets for cargo-fuzz, `cargo xtask soak` and
//! the tests drive the same bodies with seeds.

mod bench;
mod calls;
mod cancel;
mod component;

use fastrand::Rng;

pub use bench::Bench;

use crate::tally::Tally;

/// One body: what it did with the bytes, or what is wrong.
pub type Body = fn(&Bench, &[u8]) -> Result<(), String>;

/// Every body by its name, and how many rounds of it go into one round of all.
pub const BODIES: [(&str, Body, u32); 3] = [
    ("any bytes as a component", component::load, 300),
    ("any host calls", calls::run, 1500),
    ("an end at any point", cancel::run, 1000),
];

/// Rounds after which the sandbox is made anew: it keeps what it has loaded.
const ROUNDS_OF_A_BENCH: u32 = 200;

/// Drives a body with this seed for so many rounds; a row of what it came to.
pub fn drive(name: &str, body: Body, seed: u64, rounds: u32) -> Tally {
    let mut tally = Tally::new(name, "sandbox");
    let mut random = Rng::with_seed(seed);
    let mut bench = None;
    for round in 0..rounds {
        if round % ROUNDS_OF_A_BENCH == 0 {
            bench = None;
        }
        let outcome = match &bench {
            Some(bench) => Ok(bench),
            None => Bench::new().map(|new| &*bench.insert(new)),
        };
        let bytes = bytes(&mut random, name == BODIES[0].0);
        match outcome.and_then(|bench| body(bench, &bytes)) {
            Ok(()) => {
                tally.fired += 1;
                tally.acknowledged += 1;
            }
            Err(problem) => {
                tally.lost += 1;
                tally.problems.push(format!("{name}, seed {seed}, round {round}: {problem}: {}", hex(&bytes)));
                break;
            }
        }
    }
    tally
}

/// A component with a few bytes changed, or a program.
fn bytes(random: &mut Rng, component: bool) -> Vec<u8> {
    if !component {
        return (0..random.usize(1..200)).map(|_| random.u8(..)).collect();
    }
    let mut bytes = Bench::guest();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..bytes.len());
        match random.u8(0..5) {
            0 => bytes.truncate(at.max(8)),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] ^= 1 << random.u8(0..8),
            3 => bytes.insert(at, random.u8(..)),
            _ => {
                let piece = bytes[at..(at + random.usize(1..64)).min(bytes.len())].to_vec();
                let to = random.usize(0..bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// Enough of it to be put into a file and tried again.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(4096).map(|byte| format!("{byte:02x}")).collect()
}
