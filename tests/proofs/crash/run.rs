//! Starts a child, listens to it, and ends it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::child::Orders;
use super::ledger::{Ledger, Line};
use crate::tally::Tally;

/// A child that says nothing for so long is ended, which is a mistake of its own.
const SILENCE: Duration = Duration::from_secs(60);

/// A command that runs a child on this directory, behind these words.
pub(super) fn command(wrapper: &[String], soak: &Path, directory: &Path, orders: &Orders) -> Command {
    let mut command = match wrapper.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(soak);
            command
        }
        None => Command::new(soak),
    };
    command.arg("child").arg(directory).args(orders.arguments());
    // A group of its own: what is typed at a terminal is meant for us, and we end it in our time.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// How a child came to its end.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What the store said when it failed.
    pub(super) failure: Option<String>,
    pub(super) no_room: bool,
}

/// What to do after a line.
pub(super) enum Then {
    Listen,
    Kill,
}

/// Runs a child to its end; `heard` sees every line, and may have it killed. Whatever it said before its end counts.
pub(super) fn run(
    mut command: Command,
    ledger: &mut Ledger,
    tally: &mut Tally,
    mut heard: impl FnMut(&Line, &Child) -> Then,
) -> std::io::Result<Ended> {
    let mut child = Guard(command.spawn()?);
    let output = child.0.stdout.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
    let (lines, said) = mpsc::sync_channel(1_024);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let (mut failure, mut no_room) = (None, false);
    loop {
        let line = match said.recv_timeout(SILENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                tally.problems.push("a child was silent for too long".into());
                child.kill();
                continue;
            }
        };
        // The last line may have been cut off by its end: then it was not said.
        let Ok(line) = line.parse::<Line>() else { continue };
        if failure.is_some() && matches!(line, Line::Submitted(..) | Line::Ended(..)) {
            tally.problems.push(format!("acknowledged after the store had failed: {line}"));
        }
        ledger.note(&line, tally);
        no_room |= line == Line::NoRoom;
        if let Line::Failed(error) = &line {
            failure = Some(error.clone());
        }
        if let Then::Kill = heard(&line, &child.0) {
            child.kill();
        }
    }
    let status = child.0.wait()?;
    // It has nothing more to read.
    let _ = reader.join();
    Ok(Ended { status, failure, no_room })
}

/// A child that goes with whoever holds it.
struct Guard(Child);

impl Guard {
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

/// Stops a child between two instructions, so that it can be looked at.
pub(super) fn freeze(child: &Child) -> std::io::Result<()> {
    Ok(kill_process(Pid::from_child(child), Signal::STOP)?)
}
