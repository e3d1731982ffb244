//! The parent's side of a child that compiles: starts it, feeds it, bounds what it may take and say, and sees it end.
//!
//! However it goes, the child has ended and was reaped when [`compile`] returns, and its pipes are closed.

use std::io::{self, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sunaba_task::FuelMode;

use super::wire::{self, Answer, Status};
use super::{CHILD_ARGUMENT, CompileLimits};
use crate::error::LoadError;

/// What a child may say on its standard error that anybody looks at.
const MAX_STDERR_BYTES: u64 = 4 << 10;
/// Threads of the compiler: each reserves address space.
const MAX_THREADS: usize = 4;

/// Ends a compilation that nobody wants any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<Mutex<Cancelled>>);

#[derive(Debug, Default)]
struct Cancelled {
    is_cancelled: bool,
    watchdog: Option<Sender<Told>>,
}

/// What the watchdog is told.
#[derive(Debug, Clone, Copy)]
enum Told {
    Unwanted,
    Ended,
}

impl Cancel {
    pub(crate) fn cancel(&self) {
        let mut cancelled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cancelled.is_cancelled = true;
        if let Some(watchdog) = cancelled.watchdog.take() {
            // It has ended by itself, otherwise.
            let _ = watchdog.send(Told::Unwanted);
        }
    }

    /// Who is told from now on; at once, if it is cancelled already.
    fn tell(&self, watchdog: &Sender<Told>) {
        let mut cancelled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cancelled.is_cancelled {
            let _ = watchdog.send(Told::Unwanted);
        } else {
            cancelled.watchdog = Some(watchdog.clone());
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_cancelled
    }
}

/// A child that is killed and reaped at the latest when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // After its end both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has a child compile a component; the hash of its engine, and the code.
pub(super) fn compile(
    program: &Path,
    limits: &CompileLimits,
    component: &[u8],
    mode: FuelMode,
    cancel: &Cancel,
) -> Result<([u8; 32], Vec<u8>), LoadError> {
    let internal = |what: &str, error: io::Error| LoadError::Internal(format!("{what}: {error}"));
    let mut child = command(program, limits, mode)
        .spawn()
        .map(Running)
        .map_err(|error| internal(&format!("the compiler's process `{}` does not start", program.display()), error))?;
    let pid = Pid::from_child(&child.0);
    // A descriptor stands for this process and for no later one of its number.
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| internal("the compiler", error.into()))?;
    let (Some(mut input), Some(output), Some(errors)) =
        (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take())
    else {
        return Err(LoadError::Internal("the compiler's process has no pipes".into()));
    };
    let (tell, told) = channel();
    cancel.tell(&tell);
    let (answer, status, was_late) = thread::scope(|scope| {
        let (process, wall) = (&process, limits.wall);
        let watching = scope.spawn(move || watch(process, &told, wall));
        // A child that ends early reads no more: then its end says why.
        scope.spawn(move || drop(input.write_all(component)));
        let said = scope.spawn(move || listen(errors));
        let answer = wire::read(output, limits.artifact_bytes);
        if matches!(answer, Ok(Answer::TooLarge)) {
            // Whatever it still does, nobody reads it.
            let _ = tell.send(Told::Unwanted);
        }
        let status = child.0.wait();
        let _ = tell.send(Told::Ended);
        if let Ok(said) = said.join()
            && !said.is_empty()
        {
            tracing::debug!(said, "a compiler's process has said something");
        }
        (answer, status, watching.join().unwrap_or(false))
    });
    if cancel.is_cancelled() {
        return Err(LoadError::Internal("nobody waits for it any more".into()));
    }
    if was_late {
        return Err(limits.wall_passed());
    }
    let status = status.map_err(|error| internal("the compiler's process cannot be waited for", error))?;
    let answer = answer.map_err(|error| internal("the compiler's process cannot be read", error))?;
    conclude(answer, status, limits)
}

fn command(program: &Path, limits: &CompileLimits, mode: FuelMode) -> Command {
    let mut command = Command::new(program);
    let numbers = [limits.cpu.as_secs().max(1), limits.address_bytes, limits.artifact_bytes];
    command.arg(CHILD_ARGUMENT).arg(mode.to_string()).args(numbers.map(|number| number.to_string()));
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    command.env_clear().env("RAYON_NUM_THREADS", threads.to_string());
    // Allocators take address space ahead, which is limited here: glibc's, and mimalloc, which takes a gigabyte.
    command.env("MALLOC_ARENA_MAX", MAX_THREADS.to_string()).env("MIMALLOC_ARENA_RESERVE", "0");
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Kills the process when its time is up or nobody wants it; whether its time was up.
fn watch(process: &OwnedFd, told: &Receiver<Told>, wall: Duration) -> bool {
    let told = told.recv_timeout(wall);
    if !matches!(told, Ok(Told::Ended)) {
        // It may have ended just now.
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
    matches!(told, Err(RecvTimeoutError::Timeout))
}

/// Reads to the end, so that the child never waits for us, and keeps the beginning.
fn listen(mut errors: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = errors.by_ref().take(MAX_STDERR_BYTES).read_to_end(&mut kept);
    let _ = io::copy(&mut errors, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

fn conclude(answer: Answer, status: ExitStatus, limits: &CompileLimits) -> Result<([u8; 32], Vec<u8>), LoadError> {
    if answer == Answer::TooLarge {
        return Err(limits.artifact_passed());
    }
    // A limit of the kernel ends the process by a signal, and what it said before that does not matter.
    match status.signal().map(Signal::from_named_raw) {
        Some(Some(Signal::XCPU)) => return Err(limits.cpu_passed()),
        // Of a failed allocation or a full stack, our own program aborts; the system's allocator may be hit by it, too.
        Some(Some(Signal::ABORT | Signal::SEGV | Signal::BUS)) => return Err(limits.memory_passed()),
        Some(_) => return Err(LoadError::Internal(format!("the compiler's process was ended: {status}"))),
        None => {}
    }
    let words = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match answer {
        Answer::Whole(head, body) if status.success() => match head.status {
            Status::Compiled => Ok((head.engine, body)),
            Status::Refused => Err(LoadError::Invalid(words(body))),
            Status::TooLarge => Err(limits.artifact_passed()),
            Status::Failed => Err(LoadError::Internal(words(body))),
        },
        _ => Err(LoadError::Internal(format!("the compiler's process has not answered: {status}"))),
    }
}
