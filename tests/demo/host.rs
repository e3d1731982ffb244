//! The host that the demo runs its tasks on: the real binary, with its queue on disk.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use sunaba_runtime::Client;

/// A running `sunaba serve`.
pub(crate) struct Host {
    process: Child,
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) concurrency: usize,
}

/// What the host says of itself when it is ready.
#[derive(Deserialize)]
struct Ready {
    address: String,
    concurrency: usize,
}

impl Host {
    /// Starts one on a fresh data directory and a free port; what is in `sources` may be granted for reading.
    pub(crate) fn start(data: &Path, sources: &Path) -> Result<Self> {
        if data.exists() {
            std::fs::remove_dir_all(data).with_context(|| format!("cannot clear `{}`", data.display()))?;
        }
        let binary = std::env::current_exe()?.with_file_name("sunaba");
        let mut command = Command::new(&binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "-o", "json", "--data"]).arg(data);
        command.arg("--allow-dir").arg(format!("{}:ro", sources.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start `{}`", binary.display()))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line).context("the host did not start; it says why above")?;
        let client = Client::new(&ready.address)?;
        Ok(Self { process, client, address: ready.address, concurrency: ready.concurrency })
    }

    /// Stops it in good order.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM).context("cannot send a signal to the host")?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the host ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Host {
    /// For a demo that has failed: nothing is left running.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
