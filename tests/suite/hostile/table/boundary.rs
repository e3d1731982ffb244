//! What passes between a guest and the host: the room for its arguments, and its results.

use super::super::case::{Case, decomposes, failed, snoozes, stopped, succeeds, text};

pub(super) const RESULTS: &[Case] = &[
    text("result-beyond-memory", "output").outside(),
    text("result-unaligned", "output").outside(),
    text("result-endless-list", "output").outside(),
    text("result-bad-text", "output").outside(),
    text("result-bad-tag", "output").outside(),
    text("result-bad-outcome", "output").outside(),
    text("result-bad-option", "output").outside(),
    text("result-no-media-type", "output").outside(),
    text("result-aliased", "output").outside(),
    decomposes("decompose-now", "decompose-now"),
    text("snooze-with-setting", "not-supported setting speed").outside(),
    text("post-return-traps", "trap unreachable"),
    text("post-return-spins", "timeout"),
    text("post-return-calls-host", "trap cannot-leave-component"),
    stopped("returns", "return-much", "output").outside(),
    stopped("returns", "return-header", "output").outside(),
    succeeds("returns", "return-no-json"),
    failed("returns", "fail-with-escapes", "a--31m-b"),
    failed("returns", "fail-at-length", "error"),
    stopped("returns", "fail-in-detail", "output").outside(),
    failed("returns", "retry-never", "error"),
    snoozes("returns", "snooze-for-ever"),
];

pub(super) const ARGUMENTS: &[Case] = &[
    text("realloc-beyond-memory", "trap bad-realloc").outside(),
    text("realloc-unaligned", "trap bad-realloc").outside(),
    text("realloc-traps", "trap unreachable"),
    text("realloc-spins", "timeout"),
    text("realloc-hoards", "memory"),
    text("realloc-calls-host", "trap cannot-leave-component"),
    succeeds("realloc-overlaps", "realloc-overlaps"),
];
