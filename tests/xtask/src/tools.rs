//! Running other programs.

use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How often a bounded wait looks.
const POLL: Duration = Duration::from_millis(50);

/// A command without what the outer cargo has put into the environment: it would choose our toolchain, compiler and
/// flags for a build of another target.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let inherited = name.starts_with("RUSTC")
            || name.starts_with("CARGO_PKG_")
            || matches!(
                &*name,
                "RUSTUP_TOOLCHAIN" | "CARGO_ENCODED_RUSTFLAGS" | "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH"
            );
        if inherited {
            command.env_remove(&*name);
        }
    }
    command
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Whether `cargo nextest` works here.
pub(crate) fn has_nextest() -> bool {
    let mut probe = clean(Command::new("cargo"));
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Runs a command for at most so long; none when it had to be killed.
#[expect(clippy::disallowed_methods, reason = "a real wait is bounded by the real clock")]
pub(crate) fn run_bounded(mut command: Command, limit: Duration) -> Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", show(&command)))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}
