//! The servers that peers need, on loopback, with folders of their own. Each is stopped when it is dropped, and by the
//! kernel if the program that has started it is killed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sunaba_bench::Stopwatch;

use crate::setup::{Peers, installed, run};

const START: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// When a server's log is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Nothing is kept.
    Never,
    /// Before it answers.
    Always,
}

/// A command that begins another program, which gets this signal when whoever has started it is gone, however that came. To be
/// started by the main thread: it is that thread whose end counts.
fn bound(as_user: &[&str], signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(as_user).args(["--pdeathsig", signal, "--"]);
    command
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn wait_for(port: u16, what: &str) -> Result<()> {
    let began = Stopwatch::start();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if began.elapsed() > START {
            bail!("{what} does not answer on port {port} after {START:?}");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// An empty folder of this name.
fn fresh(peers: &Peers, name: &str) -> Result<PathBuf> {
    let folder = peers.folder().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

pub(crate) struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    pub(crate) fn start(peers: &Peers, sync: Sync) -> Result<Self> {
        installed("redis-server", "redis-server")?;
        let folder = fresh(peers, if sync == Sync::Always { "redis-synced" } else { "redis" })?;
        let port = free_port()?;
        let mut command = bound(&[], "KILL");
        command.arg("redis-server").current_dir(&folder).args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]);
        match sync {
            Sync::Never => command.args(["--appendonly", "no"]),
            Sync::Always => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.context("`redis-server` does not start (Debian: `apt-get install redis-server`)")?;
        let redis = Self { child, port };
        wait_for(port, "redis-server")?;
        Ok(redis)
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Postgres {
    child: Option<Child>,
    programs: PathBuf,
    data: PathBuf,
    url: String,
    as_user: Vec<&'static str>,
}

impl Postgres {
    pub(crate) fn start(peers: &Peers) -> Result<Self> {
        if programs().is_none() {
            installed("pg_ctl", "postgresql").or_else(|error| programs().map(|_| ()).ok_or(error))?;
        }
        let programs = programs().context("there is no PostgreSQL (Debian: `apt-get install postgresql`)")?;
        let folder = fresh(peers, "postgres")?;
        // It refuses to run as root.
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let as_user = if is_root { vec!["runuser", "-u", "postgres", "--"] } else { Vec::new() };
        let folder = if is_root {
            // Where that user can get to.
            let place = std::env::temp_dir().join(format!("sunaba-bench-postgres-{}", std::process::id()));
            fs::create_dir_all(&place)?;
            run(&["chown", "postgres", &place.to_string_lossy()], START)?;
            place
        } else {
            folder
        };
        let (data, port) = (folder.join("data"), free_port()?);
        let url = format!("postgres://bench@127.0.0.1:{port}/postgres");
        let mut postgres = Self { child: None, programs, data, url, as_user };
        let path = postgres.data.to_string_lossy().into_owned();
        postgres.run("initdb", &["-D", &path, "-A", "trust", "-U", "bench"])?;
        // Not by `pg_ctl`, whose server would outlive us. Its fastest stop that leaves nothing behind is `QUIT`.
        let user: &[_] = if is_root { &["--reuid=postgres", "--regid=postgres", "--init-groups"] } else { &[] };
        let mut server = bound(user, "QUIT");
        server.arg(postgres.programs.join("postgres")).args(["-D", &path, "-p", &port.to_string()]);
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]).current_dir(&folder);
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        postgres.child =
            Some(child.context("`setpriv` does not start PostgreSQL (Debian: `apt-get install util-linux`)")?);
        let began = Stopwatch::start();
        // It listens before it can be asked.
        while let Err(error) = postgres.run("pg_isready", &["-q", "-h", "127.0.0.1", "-p", &port.to_string()]) {
            if began.elapsed() > START {
                return Err(error.context(format!("PostgreSQL is not ready after {START:?}")));
            }
            thread::sleep(PAUSE);
        }
        Ok(postgres)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let program = self.programs.join(program);
        let program = program.to_string_lossy();
        let mut command = self.as_user.clone();
        command.push(&program);
        command.extend(arguments);
        run(&command, START).map(drop)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let path = self.data.to_string_lossy().into_owned();
        let _ = self.run("pg_ctl", &["-D", &path, "-m", "immediate", "stop"]);
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.data.parent().map(fs::remove_dir_all);
    }
}

/// Debian keeps its programs away from the path.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin")).collect();
    found.retain(|folder: &PathBuf| Path::new(folder).join("initdb").exists());
    found.sort();
    found.pop()
}
