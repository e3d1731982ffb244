//! What a host is built of: its configuration, with what stands on the disk.

use sunaba_runtime::compile::Compiler;
use sunaba_runtime::config::Config;
use sunaba_runtime::store::Options;
use sunaba_runtime::{AllowedDir, Runtime, RuntimeBuilder, StartError};

use super::flags::Args;
use crate::exit::{CommandError, Exit};

/// The builder of a host that is allowed this. Nothing is made or locked.
///
/// # Errors
/// A directory or a file that is named is not there.
pub(crate) fn permitted(config: &Config) -> Result<RuntimeBuilder, CommandError> {
    let grants = &config.grants;
    let mut builder = Runtime::builder().ceilings(&config.limits).max_scratch(grants.scratch_bytes);
    for dir in &grants.dirs {
        let allowed = dir.parse::<AllowedDir>().map_err(|error| CommandError::new(Exit::Invalid, error));
        builder = builder.allow_dirs([allowed.map_err(|error| error.about(config.origin("grants.dirs")))?]);
    }
    builder = builder.allow_http(grants.http.iter().cloned()).secrets(grants.secrets.iter().cloned());
    for file in &grants.http_ca {
        let failed = |error| CommandError::new(Exit::Error, format!("cannot read `{}`: {error}", file.display()));
        builder = builder.root_certificates(std::fs::read(file).map_err(failed)?);
    }
    if grants.fine_clock {
        builder = builder.allow_fine_clock();
    }
    Ok(builder)
}

/// The host, with its store opened. A builder of what is permitted comes from [`permitted`].
///
/// # Errors
/// The store cannot be opened.
pub(super) fn host(config: &Config, builder: RuntimeBuilder, args: &Args) -> Result<RuntimeBuilder, StartError> {
    let host = &config.host;
    let mut builder = builder.data_with(&host.data, Options { durability: host.durability })?;
    // What is deployed may come from anybody: it is compiled where it can hurt nobody.
    builder = builder.compiler(Compiler::this_program());
    builder = builder.memory_budget(host.memory_budget).oversubscribe(host.oversubscribe);
    builder = builder.declare(config.declared.clone());
    builder = builder.worker(|worker| {
        worker.name = format!("host-{}", std::process::id());
        worker.lease_time = args.lease_time;
    });
    builder = builder.watch(|watch| {
        watch.interval = args.watch_interval;
        watch.rules = watch.rules.clone().with(&host.alerts);
    });
    builder = builder.webhooks(host.webhooks.clone());
    if host.follow_active {
        builder = builder.follow_active();
    }
    if let Some(slots) = host.concurrency {
        builder = builder.concurrency(usize::from(slots));
    }
    Ok(builder.worker_groups(config.workers.iter().cloned()))
}
