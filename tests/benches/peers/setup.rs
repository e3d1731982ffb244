//! Brings peers from their registries, and runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sunaba_bench::Stopwatch;

use crate::{LONGEST, say};

const SCRIPTS: [(&str, &str); 4] = [
    ("measure.py", include_str!("measure.py")),
    ("noop_celery.py", include_str!("noop_celery.py")),
    ("noop_rq.py", include_str!("noop_rq.py")),
    ("measure.mjs", include_str!("measure.mjs")),
];
const PYTHON: [&str; 4] = ["celery[redis]>=5.5,<6", "packaging", "redis", "rq>=2"];
const NODE: [&str; 3] = ["bullmq", "graphile-worker", "ioredis"];
const PAUSE: Duration = Duration::from_millis(1);
/// A registry may be slow.
const FETCH: Duration = Duration::from_secs(600);

/// apalis is a library: the program that uses it is compiled.
const APALIS: (&str, &str) = (include_str!("apalis.toml"), include_str!("apalis.rs"));
/// As long as to compile what it needs may take.
const BUILD: Duration = Duration::from_secs(1800);

/// Where everything of peers is.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/peers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// The folder where they are.
pub(crate) struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Brings what is not there yet.
    pub(crate) fn prepare() -> Result<Self> {
        let folder = folder()?;
        for (name, text) in SCRIPTS {
            fs::write(folder.join(name), text)?;
        }
        let peers = Self { folder };
        peers.python_packages()?;
        peers.node_packages()?;
        Ok(peers)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn python_packages(&self) -> Result<()> {
        let environment = self.folder.join("venv");
        if environment.join("bin/celery").exists() && environment.join("bin/rq").exists() {
            return Ok(());
        }
        say("peers: Celery and RQ are brought from PyPI");
        let path = environment.to_string_lossy();
        run(&["python3", "-m", "venv", &path], FETCH)
            .context("`python3 -m venv` (Debian: `apt-get install python3-venv`)")?;
        let pip = format!("{path}/bin/pip");
        let mut command = vec![&*pip, "install", "--quiet", "--disable-pip-version-check"];
        command.extend(PYTHON);
        run(&command, FETCH).map(drop)
    }

    fn node_packages(&self) -> Result<()> {
        if NODE.iter().all(|package| self.folder.join("node_modules").join(package).exists()) {
            return Ok(());
        }
        say("peers: BullMQ and Graphile Worker are brought from the npm registry");
        let prefix = self.folder.to_string_lossy();
        let mut command = vec!["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", &prefix];
        command.extend(NODE);
        run(&command, FETCH).context("`npm` (Debian: `apt-get install nodejs npm`)").map(drop)
    }

    /// Compiles the program that uses apalis, if it is not there yet.
    pub(crate) fn build_apalis(&self) -> Result<()> {
        let folder = self.folder.join("apalis");
        fs::create_dir_all(folder.join("src"))?;
        for (name, text) in [("Cargo.toml", APALIS.0), ("src/main.rs", APALIS.1)] {
            // What is written anew is compiled anew.
            if fs::read_to_string(folder.join(name)).is_ok_and(|old| old == text) {
                continue;
            }
            fs::write(folder.join(name), text)?;
        }
        say("peers: apalis is brought from crates.io and compiled");
        let (manifest, target) = (folder.join("Cargo.toml"), folder.join("target"));
        let paths = [manifest, target].map(|path| path.to_string_lossy().into_owned());
        let [manifest, target] = &paths;
        run(&["cargo", "build", "--release", "--quiet", "--manifest-path", manifest, "--target-dir", target], BUILD)
            .map(drop)
    }

    pub(crate) fn apalis(&self, store: &str, place: &str, tasks: usize, workers: usize) -> Result<f64> {
        let program = self.folder.join("apalis/target/release/apalis-peer");
        self.measure(&[&program.to_string_lossy(), store, place, &tasks.to_string(), &workers.to_string()])
    }

    pub(crate) fn python(&self, peer: &str, url: &str, tasks: usize, workers: usize) -> Result<f64> {
        let python = self.folder.join("venv/bin/python");
        self.measure(&[&python.to_string_lossy(), "measure.py", peer, url, &tasks.to_string(), &workers.to_string()])
    }

    pub(crate) fn node(&self, peer: &str, place: &str, tasks: usize, workers: usize) -> Result<f64> {
        self.measure(&["node", "measure.mjs", peer, place, &tasks.to_string(), &workers.to_string()])
    }

    fn measure(&self, command: &[&str]) -> Result<f64> {
        let output = run_in(&self.folder, command, LONGEST)?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().with_context(|| format!("`{}` did not print a number: `{text}`", command.join(" ")))
    }
}

/// Brings what this program is in, if it is not here and Debian's packages can be installed.
pub(crate) fn installed(program: &str, package: &str) -> Result<()> {
    let is_here = || {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).exists())
    };
    if is_here() {
        return Ok(());
    }
    say(format_args!("peers: `{package}` is brought from Debian"));
    // Some of these packages start a server of their own when they are installed: not here.
    let command = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "RUNLEVEL=1",
        "apt-get",
        "install",
        "--yes",
        "--quiet=2",
        "--no-install-recommends",
        package,
    ];
    let tried = run(&command, FETCH);
    if is_here() {
        Ok(())
    } else {
        tried
            .and_then(|_| bail!("apt-get has not brought it"))
            .with_context(|| format!("`{program}` is not installed: `apt-get install {package}`"))
    }
}

/// Runs a command to its end, and no longer than this.
pub(crate) fn run(command: &[&str], longest: Duration) -> Result<Output> {
    run_in(Path::new("."), command, longest)
}

fn run_in(folder: &Path, command: &[&str], longest: Duration) -> Result<Output> {
    let shown = command.join(" ");
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` does not start"))?;
    let began = Stopwatch::start();
    while child.try_wait()?.is_none() {
        if began.elapsed() > longest {
            child.kill()?;
            child.wait()?;
            bail!("`{shown}` has not ended after {longest:?}");
        }
        thread::sleep(PAUSE);
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, errors.lines().last().unwrap_or_default());
    }
    Ok(output)
}
