//! The programs that hold the API against its document: schemathesis and openapi-spec-validator, of one version each, in a folder of
//! their own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{run, say, target, tools};

/// Both are under the MIT or the Apache licence, and no part of what is built.
const PACKAGES: [&str; 2] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];
/// Says which of them are installed.
const INSTALLED: &str = "packages";

/// Where they are.
pub(crate) fn folder() -> PathBuf {
    target().join("contract")
}

/// Installs what is not there.
pub(crate) fn set_up() -> Result<()> {
    let (folder, wanted) = (folder(), PACKAGES.join("\n"));
    if std::fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say::step(&format!("installing {} into {}", PACKAGES.join(" and "), folder.display()));
    let mut probe = Command::new("python3");
    probe.args(["-c", "import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 10))"]);
    if !probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        bail!(
            "the tests of the API need Python 3.10 or newer with its `venv`\n\
             hint: `apt-get install python3-venv` on Debian and Ubuntu, `dnf install python3` on Fedora, `brew install python` on macOS"
        );
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    run(tools::clean(venv))?;
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    run(install)?;
    std::fs::write(folder.join(INSTALLED), wanted).context("cannot note what is installed")
}
