//! A target for cargo-fuzz; its body is in `sunaba_proofs::fuzz`, where tests and the soak drive it too.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use sunaba_proofs::fuzz::{BODIES, Bench};

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(|| Bench::new().expect("a sandbox starts"));
        BODIES[1].1(bench, bytes).expect("the sandbox holds");
    });
});
