//! What a guest can do with its own instructions and its own memory.

use super::super::case::{Case, stopped, succeeds, text};

pub(super) const CPU: &[Case] = &[
    stopped("spin", "spin", "timeout"),
    stopped("cpu", "backtrack", "timeout"),
    stopped("recurse", "recurse", "trap stack-overflow").input("1"),
    stopped("cpu", "call-deeper", "trap stack-overflow"),
    text("call-each-other", "trap stack-overflow"),
    text("fill-memory", "timeout"),
    text("copy-table", "timeout"),
    text("divide-by-zero", "trap integer-division-by-zero"),
    text("integer-overflow", "trap integer-overflow"),
    text("nan-to-integer", "trap bad-conversion-to-integer"),
    text("call-null", "trap indirect-call-to-null"),
    text("call-wrong-type", "trap bad-signature"),
    text("call-beyond-table", "trap table-out-of-bounds"),
    stopped("panic", "panic", "trap unreachable").says("the guest panicked at hostile/panic/src/lib.rs:"),
    stopped("returns", "panic-twice", "trap unreachable"),
    stopped("returns", "abort", "trap unreachable"),
    stopped("returns", "exit-zero", "exit").says("exit with code 0"),
];

pub(super) const MEMORY: &[Case] = &[
    stopped("grow-memory", "grow-memory", "memory"),
    stopped("many-memories", "many-memories", "memory"),
    stopped("cpu", "riddle", "memory").memory(32 << 20),
    succeeds("cpu", "fill-to-the-limit"),
    stopped("trap", "trap", "trap memory-out-of-bounds"),
    text("touch-the-last-byte", "trap memory-out-of-bounds"),
    text("grow-at-once", "memory").says("wanted 4.0 GiB"),
    text("grow-table", "trap unreachable"),
    succeeds("grow-beyond-own-maximum", "grow-beyond-own-maximum"),
    succeeds("remember", "remember"),
];
