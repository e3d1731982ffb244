//! What a guest can do with the functions that it imports and with the handles that it is given.

use super::super::case::{Case, stopped, succeeds, text};

pub(super) const HANDLES: &[Case] = &[
    text("handle-forged", "host-call").says("unknown handle"),
    text("handle-dropped-twice", "host-call").says("unknown handle"),
    text("handle-used-after-drop", "host-call").says("unknown handle"),
    text("handle-of-another-type", "host-call").says("wrong type"),
    text("handle-orphaned", "host-call wasi:io/streams.output-stream.drop").says("has children"),
    text("handle-hoard", "limit resources"),
    text("handle-churn", "timeout"),
];

pub(super) const CALLS: &[Case] = &[
    stopped("sleep", "sleep", "timeout").says("in `wasi:io/poll.pollable.block`"),
    text("wait-for-the-end-of-time", "timeout").says("in `wasi:io/poll.pollable.block`"),
    stopped("talk", "nap", "timeout"),
    stopped("talk", "watch-the-clock", "timeout"),
    stopped("talk", "ignore-cancel", "timeout"),
    stopped("talk", "flood-progress", "timeout"),
    stopped("talk", "flood-stderr", "timeout"),
    succeeds("flood-stdout", "flood-stdout").input("50000"),
    succeeds("talk", "log-nothing"),
    succeeds("talk", "endless-line"),
    succeeds("talk", "say-escapes"),
    succeeds("talk", "print-bytes"),
    succeeds("talk", "read-stdin"),
    text("log-bad-text", "host-call").says("utf-8"),
    text("log-bad-level", "host-call").says("discriminant"),
    text("log-beyond-memory", "host-call").says("out of bounds"),
    text("log-aliased", "limit host-call-bytes"),
    text("poll-nothing", "host-call wasi:io/poll.poll").says("empty poll list"),
    text("poll-beyond-memory", "host-call").says("out of bounds"),
    text("random-hoard", "limit host-call-bytes"),
];
