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

/// One body: how often the bytes came to what it is about, such as a host call, or what is wrong.
pub type Body = fn(&Bench, &[u8]) -> Result<u64, String>;

/// Every body by its name, and how many rounds of it go into one round of all.
pub const BODIES: [(&str, Body, u32); 3] = [
    ("any bytes as a component", component::load, 300),
    ("any host calls", calls::run, 600),
    ("an end at any point", cancel::run, 400),
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
            Ok(fired) => {
                tally.fired += fired;
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
        return program(random);
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

/// Calls of the guest that cannot trap with arguments of the kind that the host takes.
const TAME: [u8; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16];

/// A program. Half of them are of bytes at random, which are soon over; the others go on for long, unless one byte among
/// them is anything.
fn program(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(1..200);
    if random.bool() {
        return (0..length).map(|_| random.u8(..)).collect();
    }
    // Any of them is harmless as a call and as an argument: fewer than the first that makes it anything.
    let tame = |random: &mut Rng| TAME[random.usize(..TAME.len())] + 24 * random.u8(..8);
    let mut program: Vec<u8> = (0..length + 2).map(|_| tame(random)).collect();
    // How an end comes, and when.
    program[..2].fill_with(|| random.u8(..));
    if random.bool() {
        let at = random.usize(..program.len());
        program[at] = random.u8(..);
    }
    program
}

/// Enough of it to be put into a file and tried again.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(4096).map(|byte| format!("{byte:02x}")).collect()
}
