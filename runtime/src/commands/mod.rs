//! The verbs of the command line, a file each. They parse arguments, call the library and print; nothing else.

pub(crate) mod alert;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod build;
mod bulk;
mod check;
pub(crate) mod component;
pub(crate) mod config;
mod control;
pub(crate) mod dead;
mod decide;
mod deploy;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod events;
mod frame;
mod grants;
pub(crate) mod handler;
pub(crate) mod host;
pub(crate) mod incident;
mod input;
pub(crate) mod job;
pub(crate) mod key;
mod limit;
pub(crate) mod new;
pub(crate) mod permits;
mod plan;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod retention;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod secret;
pub(crate) mod serve;
mod show;
pub(crate) mod store;
pub(crate) mod task;
pub(crate) mod top;
pub(crate) mod usage;
mod versions;
pub(crate) mod webhook;
mod which;
pub(crate) mod workers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use sunaba_runtime::compile::Compiler;
use sunaba_runtime::sandbox::{ComponentInfo, MAX_COMPONENT_BYTES, Sandbox};
use sunaba_runtime::task::{FuelMode, format_bytes};

use crate::exit::{CommandError, Exit, cannot_load};

/// Milliseconds; what is longer than they can say is the most that they can.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A sandbox for one attempt at a time.
fn small_sandbox() -> Result<Sandbox, CommandError> {
    let started = Sandbox::builder().slots(2).compiler(Compiler::this_program()).start();
    started.map_err(|error| CommandError::new(Exit::Error, format!("cannot start the sandbox: {error}")))
}

/// Reads a component.
fn read_component(path: &Path) -> Result<Bytes, CommandError> {
    read(path, MAX_COMPONENT_BYTES as u64).map(Bytes::from)
}

/// Loads the component that was read from `path`.
async fn load(
    sandbox: &Sandbox,
    path: &Path,
    bytes: Bytes,
    mode: FuelMode,
) -> Result<Arc<ComponentInfo>, CommandError> {
    sandbox.load(bytes, mode).await.map_err(|error| cannot_load(path, &error))
}

/// Reads a file of at most so many bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CommandError> {
    let file = std::fs::File::open(path).map_err(|error| CommandError::file(path, &error))?;
    read_all(file, limit, &path.display().to_string()).map_err(|error| match error {
        ReadError::Io(error) => CommandError::file(path, &error),
        ReadError::TooLarge(error) => error,
    })
}

enum ReadError {
    Io(std::io::Error),
    TooLarge(CommandError),
}

/// Reads to the end, or one byte over the limit.
fn read_all(source: impl std::io::Read, limit: u64, name: &str) -> Result<Vec<u8>, ReadError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > limit {
        let message = format!("`{name}` has more than {}\nhint: that is the limit", format_bytes(limit));
        return Err(ReadError::TooLarge(CommandError::new(Exit::Invalid, message)));
    }
    Ok(bytes)
}
