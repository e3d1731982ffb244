//! Runs one attempt of a task in a fresh WebAssembly sandbox, within limits, with what it was granted and nothing else.
//!
//! A [`Sandbox`] is an [`Executor`](sunaba_task::Executor): it takes and gives plain data, and no type of the engine
//! leaves this crate. It does not know that a queue exists.
//!
//! Inside, a *shard* is an OS thread with a single-threaded async runtime and, for each fuel mode, an engine with its
//! own instance pool and a cache of prepared components. A component is compiled once for each fuel mode; every shard
//! loads that artifact.
//!
//! What stops a guest, from the gentlest to the last resort: fuel; the epoch, which a ticker thread advances and at
//! which the guest yields and checks its deadline; the deadline raced against every blocking host call; and dropping
//! the guest's future.

mod artifacts;
mod asks;
mod attempt;
mod bindings;
mod book;
mod budget;
mod calls;
mod capture;
mod cause;
mod clock;
mod compiler;
mod component;
mod convert;
mod decider;
mod decider_bindings;
mod decider_convert;
mod directory;
mod engine;
mod error;
mod file_streams;
mod guest_artifacts;
mod guest_clock;
mod http;
mod inspect;
mod interrupt;
mod library;
mod listing;
mod meter;
mod opening;
mod outbox;
mod reply;
mod sandbox;
mod scan;
mod scratch;
mod shard;
mod sight;
mod state;
mod sweep;
#[cfg(test)]
mod testing;
mod ticker;
mod virtual_poll;
mod wasi_cli;
mod wasi_clocks;
mod wasi_files;
mod wasi_http;
mod wasi_io;
mod wasi_random;

pub use artifacts::ArtifactsError;
pub use compiler::{CompileLimits, Compiler, serve_if_asked};
pub use component::ComponentInfo;
pub use engine::PageReset;
pub use error::LoadError;
pub use http::{Post, PostError, Posted, Poster};
pub use inspect::{MAX_COMPONENT_BYTES, imports};
pub use sandbox::{Sandbox, SandboxBuilder};
