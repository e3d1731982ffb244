//! Makes guests buildable: the toolchain in use with the wasm target, or a private one where rustup has no server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{root, say, tools};

pub(crate) const TARGET: &str = "wasm32-wasip2";
/// rustup retries a server that does not answer for longer than anybody waits.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);
const FALLBACK_LIMIT: Duration = Duration::from_secs(20 * 60);

/// What builds guests.
pub(crate) enum Toolchain {
    /// The one in use, with the target.
    InUse,
    /// A private one; its compiler.
    Private(PathBuf),
}

impl Toolchain {
    /// Finds or installs one. `SUNABA_WASM_FALLBACK=1` goes straight to the private one.
    pub(crate) fn ensure() -> Result<Self> {
        if std::env::var_os("SUNABA_WASM_FALLBACK").is_none() {
            if in_use_has_target()? {
                return Ok(Self::InUse);
            }
            say::step(&format!("installing the target {TARGET} (rustup target add)"));
            if rustup_adds_target() && in_use_has_target()? {
                return Ok(Self::InUse);
            }
            say::note("rustup could not install it");
        }
        let folder = private_folder()?;
        let compiler = folder.join("bin/rustc");
        if !folder.join(".done").exists() {
            say::step("putting a private toolchain together from Debian packages (once; some minutes)");
            let mut script = tools::clean(Command::new("bash"));
            script.arg(root().join("tests/xtask/private-toolchain.sh")).arg(&folder).arg(TARGET);
            match tools::run_bounded(script, FALLBACK_LIMIT)? {
                Some(status) if status.success() => {}
                Some(_) => bail!(
                    "no way to build for {TARGET}\nhint: install the target (`rustup target add {TARGET}`), or look at \
                     what the private toolchain is missing, above"
                ),
                None => {
                    bail!("putting the private toolchain together took over {} minutes", FALLBACK_LIMIT.as_secs() / 60)
                }
            }
        }
        Ok(Self::Private(compiler))
    }

    /// `cargo` that builds with this.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = tools::clean(Command::new("cargo"));
        if let Self::Private(compiler) = self {
            cargo.env("RUSTC", compiler);
        }
        cargo
    }

    /// For whoever builds guests outside this program, such as a test.
    pub(crate) fn compiler(&self) -> Option<&Path> {
        match self {
            Self::InUse => None,
            Self::Private(compiler) => Some(compiler),
        }
    }
}

fn in_use_has_target() -> Result<bool> {
    let mut rustc = tools::clean(Command::new("rustc"));
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root());
    let output = rustc.output().context("cannot run rustc")?;
    // The path is printed whether or not anything is there.
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    Ok(files.any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

fn rustup_adds_target() -> bool {
    let mut rustup = tools::clean(Command::new("rustup"));
    rustup.args(["target", "add", TARGET]).current_dir(root()).stdin(Stdio::null());
    matches!(tools::run_bounded(rustup, RUSTUP_LIMIT), Ok(Some(status)) if status.success())
}

/// Outside the repository, so that a clean clone need not do it again.
fn private_folder() -> Result<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    Ok(data.context("neither XDG_DATA_HOME nor HOME says where to put a toolchain")?.join("sunaba/guest-toolchain"))
}
