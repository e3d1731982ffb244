//! A decider that does what its task's tag says, here the text behind `how` in the input: spins, traps, hoards, or answers far
//! too much. Whatever it does, the built-in rules decide then, and nobody else notices.

#![cfg_attr(target_family = "wasm", no_std)]

use sunaba_decider::prelude::*;

/// Far more than any answer may have.
const MUCH: usize = 8 << 20;

fn decide(situation: Situation) -> Decision {
    let input = String::from_utf8_lossy(&situation.input.bytes).into_owned();
    let is = |word: &str| input.contains(word);
    if is("spin") {
        let mut x = 1_u64;
        loop {
            x = core::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
    if is("fill") {
        let mut room = vec![0_u8; 16 << 20];
        loop {
            core::hint::black_box(&mut room).fill(1);
        }
    }
    if is("trap") {
        panic!("as was asked for");
    }
    if is("hoard") {
        let mut all = Vec::new();
        loop {
            all.push(core::hint::black_box(vec![1_u8; MUCH]));
        }
    }
    if is("giant-reason") {
        return Decision::give_up("x".repeat(MUCH));
    }
    if is("long-reason") {
        return Decision::give_up(format!("one\ntwo {}", "x".repeat(100_000)));
    }
    if is("giant-plan") {
        return Decision::escalate(Child::new("a", "hello/hello", "1".repeat(2 << 20)), "somebody else");
    }
    if is("no-such-handler") {
        return Decision::escalate(Child::new("a", "nowhere/nothing", "null"), "somebody else");
    }
    if is("retry-for-ever") {
        return Decision::retry_after(Duration::ZERO, "again");
    }
    Decision::accept("whatever it was")
}

sunaba_decider::export!(decide);
