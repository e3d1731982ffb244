//! What a host takes from its configuration while it runs: at its start, and again when it is told to reload.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sunaba_runtime::config::{Config, Layers, PackageFile, Row};
use sunaba_runtime::server::Setting;
use sunaba_runtime::store::{DeployChange, audited};
use sunaba_runtime::task::{Digest, NewAudit};
use sunaba_runtime::{Declared, DeployError, Runtime};

use crate::commands::read_component;
use crate::exit::{CommandError, Exit};
use crate::{Global, print};

use super::flags::Args;

/// What is read again. The rest is what a host is made of, and waits for its next start.
const LIVE: [&str; 5] = ["queues.", "handlers.", "retention.", "webhooks.", "packages."];

/// The layers as they are now, under the flags that the host was started with.
///
/// # Errors
/// The file cannot be read, or something is wrong.
pub(super) fn read(file: Option<&PathBuf>, args: &Args) -> Result<Config, CommandError> {
    let mut layers = Layers::of_process(file.map(PathBuf::as_path))?;
    args.lay_over(&mut layers);
    Ok(Config::read(&layers)?)
}

/// Deploys what is declared and is not active; a line for each that was.
///
/// # Errors
/// The first that cannot be, in the order of their names. Those before it stay deployed.
pub(super) async fn deploy(
    runtime: &Runtime,
    packages: &BTreeMap<String, PackageFile>,
) -> Result<Vec<String>, CommandError> {
    let mut deployed = Vec::new();
    for (name, package) in packages {
        let about = |error: CommandError| error.about(format!("the package `{name}` of {}", package.origin));
        let component = read_component(&package.component).map_err(about)?;
        let digest = Digest::of(&component);
        // Its checks, and its code, are those of when it was deployed.
        if runtime.packages().iter().any(|active| active.name == *name && active.component == digest) {
            continue;
        }
        let by = NewAudit::by(Declared::WHO, "package.deploy", name);
        let done = audited(by, runtime.deploy_with(name, component, package.options)).await.map_err(|error| {
            if let DeployError::Widening { widening, .. } = &error {
                widening.iter().for_each(|change| print::note(format_args!("  {}", change.line())));
            }
            about(CommandError::new(Exit::Invalid, error))
        })?;
        if done.change != DeployChange::Unchanged {
            deployed.push(format!("deployed {name} version {}", done.package.version));
        }
    }
    Ok(deployed)
}

/// Puts in force what the configuration says by now, and gives it back. What is wrong with it changes nothing, and is told.
pub(super) async fn reload(global: &Global, args: &Args, runtime: &Runtime, started: &Config) -> Option<Config> {
    let next = match read(global.config.as_ref(), args) {
        Ok(next) => next,
        Err(error) => {
            print::error(&error.about("the configuration was not reloaded"));
            return None;
        }
    };
    let mut done = Vec::new();
    match runtime.declare(&next.declared).await {
        Ok(lines) => done.extend(lines),
        Err(error) => {
            print::error(&CommandError::new(Exit::Error, error).about("what is declared was not put in force"))
        }
    }
    match deploy(runtime, &next.packages).await {
        Ok(lines) => done.extend(lines),
        Err(error) => print::error(&error),
    }
    for group in &next.workers {
        // What was set meanwhile gives way, as with queues: a file that is read and does not hold would be worse.
        let now = runtime.workers().into_iter().find(|now| now.id == group.id);
        if now.is_some_and(|now| now.wanted != group.slots) {
            let by = NewAudit::by(Declared::WHO, "worker.set", &group.id);
            match audited(by, runtime.set_slots(&group.id, group.slots)).await {
                Ok(_) => done.push(format!("worker `{}`: slots {}", group.id, group.slots)),
                Err(error) => print::error(&CommandError::new(Exit::Invalid, error)),
            }
        }
    }
    done.iter().for_each(|line| super::say(global, format_args!("reloaded: {line}")));
    let waits = waits(started, &next);
    if !waits.is_empty() {
        super::say(global, format_args!("reloaded: waits for the next start: {}", waits.join(", ")));
    }
    super::say(global, if done.is_empty() { "reloaded: nothing to do" } else { "reloaded" });
    Some(next)
}

/// What is in force, to be shown: of what is read again what was read last, and of the rest what the host was started with.
pub(super) fn shown(started: &Config, last: &Config) -> Vec<Setting> {
    let is_live = |row: &&Row| LIVE.iter().any(|live| row.key.starts_with(live));
    let rows = started.rows().iter().filter(|row| !is_live(row)).chain(last.rows().iter().filter(is_live));
    rows.map(|Row { key, value, origin }| Setting {
        key: key.clone(),
        value: value.clone(),
        origin: origin.to_string(),
    })
    .collect()
}

/// The keys of what is otherwise than when the host was started, and stays as it was.
fn waits(started: &Config, next: &Config) -> Vec<String> {
    let is_fixed = |row: &&Row| {
        let is_slots = row.key.starts_with("workers.") && row.key.ends_with(".slots");
        // Of a group that is there; one that is new has no worker.
        let is_known = started.workers.iter().any(|group| row.key == format!("workers.{}.slots", group.id));
        !(LIVE.iter().any(|live| row.key.starts_with(live)) || is_slots && is_known)
    };
    let rows = |config: &Config| -> BTreeMap<String, String> {
        config.rows().iter().filter(is_fixed).map(|row| (row.key.clone(), row.value.clone())).collect()
    };
    let (before, after) = (rows(started), rows(next));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut waits: Vec<_> = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
    // Their values are not in the rows.
    for group in &next.workers {
        let key = format!("workers.{}.env", group.id);
        let before = started.workers.iter().find(|before| before.id == group.id);
        if before.is_some_and(|before| before.env != group.env) && !waits.contains(&key) {
            waits.push(key);
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let file = Some(("sunaba.toml".into(), text.to_owned()));
        Config::read(&Layers { file, ..Layers::default() }).expect("it is valid")
    }

    #[test]
    fn what_waits_for_the_next_start_is_named_and_nothing_else() {
        let workers = |env: &str, slots: &str| {
            format!("[workers.a]\nslots = {slots}\nmax-slots = 8\nenv = {{ TOKEN = \"{env}\" }}\n")
        };
        let before = config(&format!("[queues.mail]\nweight = 1\n{}", workers("x", "1")));
        let after = config(&format!(
            "[host]\ngrace = \"1s\"\n[queues.mail]\nweight = 2\n[grants]\nfine-clock = true\n{}[workers.b]\nslots = 1\n",
            workers("y", "2")
        ));
        assert_eq!(waits(&before, &before), [""; 0]);
        assert_eq!(waits(&before, &after), ["grants.fine-clock", "host.grace", "workers.b.slots", "workers.a.env"]);
    }
}
