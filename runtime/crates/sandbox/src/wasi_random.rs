//! `wasi:random`: the machine's random numbers, or those of a seed, and how many a guest may ask for.
//!
//! A seed gives three streams that do not depend on each other: what a guest takes from one changes nothing in the others.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use sunaba_task::{Cause, Limit, Limits, Seed, format_bytes};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomCtx;

use crate::calls::{Calls, Moves};
use crate::interrupt::Halt;
use crate::state::State;

/// The random numbers of one attempt. Made when first asked for: most guests never do.
pub(crate) struct Random {
    seed: Option<Seed>,
    seeded: Option<Box<Seeded>>,
    machine: Option<Box<WasiRandomCtx>>,
    limit_bytes: u64,
    call_limit_bytes: u64,
    used_bytes: u64,
}

/// The streams of a seed.
struct Seeded {
    secure: ChaCha20Rng,
    insecure: ChaCha20Rng,
    insecure_seed: (u64, u64),
}

pub(crate) struct Chance<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) calls: &'a mut Calls,
}

struct HasChance;

impl HasData for HasChance {
    type Data<'a> = Chance<'a>;
}

/// Adds `wasi:random`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    random::add_to_linker::<State, HasChance>(linker, State::chance)?;
    insecure::add_to_linker::<State, HasChance>(linker, State::chance)?;
    insecure_seed::add_to_linker::<State, HasChance>(linker, State::chance)
}

impl Random {
    pub(crate) fn new(limits: &Limits, seed: Option<Seed>) -> Self {
        Self {
            seed,
            seeded: None,
            machine: None,
            limit_bytes: limits.random_bytes,
            call_limit_bytes: limits.host_call_bytes,
            used_bytes: 0,
        }
    }

    /// Counts what a call asks for, before anything is made for it.
    fn take(&mut self, function: &str, bytes: u64) -> Result<(), Halt> {
        if bytes > self.call_limit_bytes {
            let (size, limit) = (format_bytes(bytes), format_bytes(self.call_limit_bytes));
            let message = format!("asked `{function}` for {size} at once: the limit is {limit}");
            return Err(Halt { cause: Cause::Limit(Limit::HostCallBytes), message });
        }
        let wanted = self.used_bytes.saturating_add(bytes);
        if wanted > self.limit_bytes {
            let (size, limit) = (format_bytes(wanted), format_bytes(self.limit_bytes));
            let message = format!("asked `{function}` for {size} of random bytes in all: the limit is {limit}");
            return Err(Halt { cause: Cause::Limit(Limit::RandomBytes), message });
        }
        self.used_bytes = wanted;
        Ok(())
    }

    /// The streams of the seed, if there is one.
    fn seeded(&mut self) -> Option<&mut Seeded> {
        let seed = self.seed?;
        Some(self.seeded.get_or_insert_with(|| Box::new(Seeded::new(seed))))
    }

    fn machine(&mut self) -> &mut WasiRandomCtx {
        self.machine.get_or_insert_default()
    }
}

impl Seeded {
    fn new(seed: Seed) -> Self {
        // Not by a generator's own way of making a key of a number, which may change with its version.
        let key: [u8; 32] =
            Sha256::new().chain_update("sunaba random").chain_update(seed.random.to_le_bytes()).finalize().into();
        let stream = |number| {
            let mut stream = ChaCha20Rng::from_seed(key);
            stream.set_stream(number);
            stream
        };
        let mut third = stream(2);
        Self { secure: stream(0), insecure: stream(1), insecure_seed: (third.next_u64(), third.next_u64()) }
    }
}

fn bytes_of(stream: &mut ChaCha20Rng, count: u64) -> Vec<u8> {
    // Below the limit of a host call, which fits.
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
    stream.fill_bytes(&mut bytes);
    bytes
}

impl Chance<'_> {
    /// A call that asks for so many bytes.
    fn call<T: Moves>(
        &mut self,
        name: &'static str,
        bytes: u64,
        work: impl FnOnce(&mut Random) -> Result<T>,
    ) -> Result<T> {
        let Self { random, calls } = self;
        calls.call(name, 0, || {
            random.take(name, bytes)?;
            work(random)
        })
    }
}

impl random::Host for Chance<'_> {
    fn get_random_bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        self.call("wasi:random/random.get-random-bytes", count, |random| match random.seeded() {
            Some(seeded) => Ok(bytes_of(&mut seeded.secure, count)),
            None => random::Host::get_random_bytes(random.machine(), count),
        })
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        self.call("wasi:random/random.get-random-u64", 8, |random| match random.seeded() {
            Some(seeded) => Ok(seeded.secure.next_u64()),
            None => random::Host::get_random_u64(random.machine()),
        })
    }
}

impl insecure::Host for Chance<'_> {
    fn get_insecure_random_bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        self.call("wasi:random/insecure.get-insecure-random-bytes", count, |random| match random.seeded() {
            Some(seeded) => Ok(bytes_of(&mut seeded.insecure, count)),
            None => insecure::Host::get_insecure_random_bytes(random.machine(), count),
        })
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        self.call("wasi:random/insecure.get-insecure-random-u64", 8, |random| match random.seeded() {
            Some(seeded) => Ok(seeded.insecure.next_u64()),
            None => insecure::Host::get_insecure_random_u64(random.machine()),
        })
    }
}

impl insecure_seed::Host for Chance<'_> {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        self.call("wasi:random/insecure-seed.insecure-seed", 16, |random| match random.seeded() {
            Some(seeded) => Ok(seeded.insecure_seed),
            None => insecure_seed::Host::insecure_seed(random.machine()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::now;
    use crate::sight::Sight;

    fn random(seed: Option<u64>) -> Random {
        let limits = Limits { random_bytes: 100, host_call_bytes: 64, ..Limits::default() };
        Random::new(&limits, seed.map(|random| Seed { random, clock_ms: 0 }))
    }

    fn ledger() -> Calls {
        Calls::new(u64::MAX, Arc::new(Sight::new(now(), false)))
    }

    fn cause(result: Result<Vec<u8>>) -> Option<Cause> {
        result.err()?.downcast_ref::<Halt>().map(|halt| halt.cause.clone())
    }

    #[test]
    fn random_bytes_obeyed() {
        let (mut random, mut calls) = (random(None), ledger());
        let mut chance = Chance { random: &mut random, calls: &mut calls };
        assert_eq!(random::Host::get_random_bytes(&mut chance, 64).map(|bytes| bytes.len()).ok(), Some(64));
        assert!(insecure::Host::get_insecure_random_bytes(&mut chance, 28).is_ok());
        assert!(random::Host::get_random_u64(&mut chance).is_ok());
        assert_eq!(calls.spent().calls, 3);
    }

    #[test]
    fn random_bytes_violated() {
        let (mut random, mut calls) = (random(Some(1)), ledger());
        let mut chance = Chance { random: &mut random, calls: &mut calls };
        let too_large = random::Host::get_random_bytes(&mut chance, u64::MAX);
        assert_eq!(cause(too_large), Some(Cause::Limit(Limit::HostCallBytes)));
        assert!(random::Host::get_random_bytes(&mut chance, 64).is_ok());
        assert!(insecure_seed::Host::insecure_seed(&mut chance).is_ok());
        let too_many = insecure::Host::get_insecure_random_bytes(&mut chance, 21);
        assert_eq!(cause(too_many), Some(Cause::Limit(Limit::RandomBytes)));
    }

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut seeded = Seeded::new(Seed { random: 42, clock_ms: 7 });
        let first = (seeded.secure.next_u64(), seeded.insecure.next_u64(), seeded.insecure_seed);
        // A stored seed must give them in later versions too.
        assert_eq!(first, KNOWN);
        let mut other = Seeded::new(Seed { random: 43, clock_ms: 7 });
        assert_ne!(other.secure.next_u64(), first.0);
        assert!(first.0 != first.1 && first.1 != first.2.0);
    }

    /// By another implementation of the cipher.
    const KNOWN: (u64, u64, (u64, u64)) =
        (0xa7bf_73e8_d070_f29d, 0x5799_59fb_90e7_9e96, (0x5fb5_2676_927f_02cf, 0xd2f0_b254_9d17_eedd));
}
