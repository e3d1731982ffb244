//! Where components are compiled: in this process, or in a child with limits of its own.
//!
//! The compiler is not made for hostile input: its time is quadratic in what a component may have, and its memory is many
//! times that. So a host that takes components from others compiles in a child process, which the kernel stops when it has
//! used too much, and whose end nobody else notices.

mod child;
mod parent;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use sunaba_task::{FuelMode, format_bytes, format_duration};

use crate::engine::{compiling_engine, engine_hash};
use crate::error::{LoadError, one_line};

pub use child::serve_if_asked;
pub(crate) use parent::Cancel;

/// What the child is called by: a program that has this as its first argument is to be a compiler, and nothing else.
const CHILD_ARGUMENT: &str = "__compile";

/// What one compilation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time of all its threads, in whole seconds. Default 120 s.
    pub cpu: Duration,
    /// Address space, in bytes. Default 4 GiB.
    pub address_bytes: u64,
    /// Time from its start. Default 300 s.
    pub wall: Duration,
    /// Bytes of the compiled code. Default 512 MiB.
    pub artifact_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(120),
            address_bytes: 4 << 30,
            wall: Duration::from_secs(300),
            artifact_bytes: 512 << 20,
        }
    }
}

impl CompileLimits {
    fn cpu_passed(&self) -> LoadError {
        LoadError::CompileLimit(format!("took more than {} of processor time", format_duration(self.cpu)))
    }

    fn wall_passed(&self) -> LoadError {
        LoadError::CompileLimit(format!("took longer than {}", format_duration(self.wall)))
    }

    fn memory_passed(&self) -> LoadError {
        let limit = format_bytes(self.address_bytes);
        LoadError::CompileLimit(format!("needed more than {limit} of address space, or more stack than a thread has"))
    }

    fn artifact_passed(&self) -> LoadError {
        LoadError::CompileLimit(format!("gave more than {} of code", format_bytes(self.artifact_bytes)))
    }
}

/// Where components are compiled.
#[derive(Debug, Clone)]
pub struct Compiler(Way);

#[derive(Debug, Clone)]
enum Way {
    InProcess,
    Child { program: PathBuf, limits: CompileLimits },
}

impl Compiler {
    /// In this process, without any limit: for programs that trust the components that they load. A component that was made
    /// to hurt takes minutes and gigabytes of this process.
    pub fn in_process() -> Self {
        Self(Way::InProcess)
    }

    /// In a child: this program, which has to call [`serve_if_asked`] before all else, and is made of the same sources.
    pub fn child(program: impl Into<PathBuf>) -> Self {
        Self(Way::Child { program: program.into(), limits: CompileLimits::default() })
    }

    /// In a child that is this very program, even if its file has been replaced since it started.
    pub fn this_program() -> Self {
        Self::child("/proc/self/exe")
    }

    /// What a child may use. In this process there is no limit.
    #[must_use]
    pub fn limits(mut self, changed: CompileLimits) -> Self {
        if let Way::Child { limits, .. } = &mut self.0 {
            *limits = changed;
        }
        self
    }

    /// Compiles a component that was scanned. Blocks until it is done, or cancelled.
    ///
    /// # Errors
    /// [`LoadError::Invalid`]: the engine does not accept the component. [`LoadError::CompileLimit`]. [`LoadError::Internal`]:
    /// there is no child, or one that is not like us.
    pub(crate) fn compile(&self, bytes: &[u8], mode: FuelMode, cancel: &Cancel) -> Result<Vec<u8>, LoadError> {
        match &self.0 {
            Way::InProcess => compile_here(bytes, mode).map(|(_, code)| code),
            Way::Child { program, limits } => {
                let (hash, code) = parent::compile(program, limits, bytes, mode, cancel)?;
                let engine = compiling_engine(mode).map_err(|error| LoadError::Internal(error.to_string()))?;
                if hash != engine_hash(&engine) {
                    return Err(LoadError::Internal("the compiler's process has another engine than this one".into()));
                }
                Ok(code)
            }
        }
    }
}

/// The hash of the engine that has compiled it, and the code.
fn compile_here(bytes: &[u8], mode: FuelMode) -> Result<([u8; 32], Vec<u8>), LoadError> {
    let engine = compiling_engine(mode).map_err(|error| LoadError::Internal(error.to_string()))?;
    let code = engine.precompile_component(bytes).map_err(|error| LoadError::Invalid(one_line(&error)))?;
    Ok((engine_hash(&engine), code))
}
