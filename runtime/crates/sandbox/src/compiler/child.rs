//! The child: bounds itself, reads one component, writes what it is compiled to, and ends.
//!
//! It has nothing of its parent but three pipes: no environment, no open file. What it cannot do any more once it has bounded
//! itself it cannot be made to do by what it reads.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::exit;

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setpriority_process, setrlimit,
};
use sunaba_task::FuelMode;

use super::wire::{Head, MAX_REASON_BYTES, Status};
use super::{CHILD_ARGUMENT, compile_here};
use crate::error::LoadError;
use crate::inspect::{MAX_COMPONENT_BYTES, inspect};

/// Descriptors that a compiler may have: its pipes, and a few that its libraries open at the start.
const MAX_DESCRIPTORS: u64 = 32;
/// The system does what others want first, and yet not only that: on a machine that is always busy, the lowest priority
/// would let a small component run into the limit on its time.
const NICE: i32 = 5;

/// Whether this process was started to be a compiler. Then it is one, and does not return.
///
/// A program that has [`Compiler::this_program`](super::Compiler::this_program) calls this first of all in `main`.
pub fn serve_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == CHILD_ARGUMENT) {
        exit(serve(&arguments.collect::<Vec<_>>()));
    }
}

/// What the parent has said of it.
struct Task {
    mode: FuelMode,
    cpu_s: u64,
    address_bytes: u64,
    artifact_bytes: u64,
}

impl Task {
    fn read(arguments: &[OsString]) -> Option<Self> {
        let [mode, numbers @ ..] = arguments else { return None };
        let mode = [FuelMode::Exact, FuelMode::Off].into_iter().find(|one| *mode == *one.to_string())?;
        let numbers: Option<Vec<u64>> = numbers.iter().map(|number| number.to_str()?.parse().ok()).collect();
        let [cpu_s, address_bytes, artifact_bytes] = numbers?[..] else { return None };
        Some(Self { mode, cpu_s, address_bytes, artifact_bytes })
    }

    fn bound(&self) -> rustix::io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        setpriority_process(None, NICE)?;
        let limits = [
            (Resource::Cpu, self.cpu_s, self.cpu_s.saturating_add(1)),
            (Resource::As, self.address_bytes, self.address_bytes),
            (Resource::Nofile, MAX_DESCRIPTORS, MAX_DESCRIPTORS),
            // A pipe is no file.
            (Resource::Fsize, 0, 0),
            (Resource::Core, 0, 0),
        ];
        for (resource, current, maximum) in limits {
            // Whoever has started us may allow less than that.
            let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            setrlimit(resource, Rlimit { current: Some(current.min(allowed)), maximum: Some(maximum.min(allowed)) })?;
        }
        Ok(())
    }
}

/// The exit code: 0 if there was an answer, whatever it says.
fn serve(arguments: &[OsString]) -> i32 {
    let Some(task) = Task::read(arguments) else { return 2 };
    if task.bound().is_err() {
        return 3;
    }
    let mut component = Vec::new();
    let limit = MAX_COMPONENT_BYTES as u64 + 1;
    if std::io::stdin().lock().take(limit).read_to_end(&mut component).is_err() {
        return 4;
    }
    let compiled = inspect(&component).and_then(|_| compile_here(&component, task.mode));
    let (head, body) = match compiled {
        Ok((engine, code)) if code.len() as u64 <= task.artifact_bytes => {
            (Head { status: Status::Compiled, engine, length: code.len() as u64 }, code)
        }
        Ok((engine, _)) => (Head { status: Status::TooLarge, engine, length: 0 }, Vec::new()),
        Err(error) => {
            let (status, mut reason) = match error {
                LoadError::Invalid(reason) => (Status::Refused, reason),
                other => (Status::Failed, other.to_string()),
            };
            crate::convert::cut(&mut reason, MAX_REASON_BYTES as usize);
            (Head { status, engine: [0; 32], length: reason.len() as u64 }, reason.into_bytes())
        }
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(&head.to_bytes()).and_then(|()| out.write_all(&body)).and_then(|()| out.flush()) {
        Ok(()) => 0,
        Err(_) => 5,
    }
}
