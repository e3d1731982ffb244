//! A handler that says what it needs: it gets no more than that, and of that only what it is given.

use std::fs;

use sunaba_sdk::prelude::*;

#[data]
pub struct Found {
    /// The keys of its environment variables.
    env: Vec<String>,
    /// The directories that it can read.
    readable: Vec<String>,
}

/// Tells which of the things that it asks for it was given.
#[handler(
    timeout = "5s",
    memory = "16MiB",
    limits = "open-files=8",
    env = "COLOR",
    dirs = "/in,/out:rw",
    http = "https://api.example.com",
    secrets = "API_KEY",
    scratch = "64MiB",
    clock = "fine"
)]
pub fn manifest() -> Result<Found, TaskError> {
    let directories = ["/in", "/out", "/scratch"];
    let readable = directories.into_iter().filter(|path| fs::read_dir(path).is_ok());
    let mut env: Vec<_> = std::env::vars().map(|(key, _)| key).collect();
    env.sort();
    Ok(Found { env, readable: readable.map(str::to_owned).collect() })
}

export!(manifest);
