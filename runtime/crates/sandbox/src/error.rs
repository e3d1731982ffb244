//! Why a component cannot be loaded. What happens while a handler runs is in the attempt's report.

use sunaba_task::{SettingError, Stop, format_bytes};

use crate::inspect::MAX_COMPONENT_BYTES;

/// Why a component cannot be loaded. Nothing of it stays behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Neither a component nor a module.
    #[error(
        "it is not a WebAssembly file\nhint: build a component with `cargo build --release --target wasm32-wasip2`"
    )]
    NotWasm,
    /// A module without the component around it.
    #[error(
        "it is a core WebAssembly module, not a component\nhint: build it for `wasm32-wasip2` (not `wasm32-wasip1` or \
         `wasm32-unknown-unknown`), as a `cdylib`"
    )]
    CoreModule,
    /// More than [`MAX_COMPONENT_BYTES`].
    #[error("it has {}; the limit is {}\nhint: build it with `--release`, and `opt-level = \"s\"`", format_bytes(*.bytes as u64), format_bytes(MAX_COMPONENT_BYTES as u64))]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Over a bound of what is compiled at all.
    #[error(
        "it has {found} {what}; the limit is {limit}\nhint: split it into several components, or leave out what its handlers do not need"
    )]
    TooMuch {
        /// Of what, in words.
        what: &'static str,
        /// How much it has.
        found: String,
        /// How much it may have.
        limit: String,
    },
    /// Compiling it was stopped by a limit of the compiler.
    #[error("compiling it {0}\nhint: split it into several components, or raise the limits of the compiler")]
    CompileLimit(String),
    /// Damaged, or made with something that this engine does not run.
    #[error("it is not a valid component: {0}\nhint: build it again; the file may be cut or damaged")]
    Invalid(String),
    /// A component of some other kind.
    #[error(
        "it is not a component of task handlers: it exports {}\nhint: end the crate with `sunaba_sdk::export!(...)`",
        list_of(.exports)
    )]
    OtherWorld {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// A component of another version of the contract.
    #[error("it exports `{found}`; this host serves sunaba:task 0.1\nhint: build it with a sunaba-sdk of version 0.1")]
    OtherVersion {
        /// What it exports.
        found: String,
    },
    /// It exports a policy, and cannot be made to decide.
    #[error("it cannot be a decider: {0}\nhint: build it with a sunaba-decider of version 0.1")]
    Decider(String),
    /// It asks for something that no grant can give.
    #[error("it imports `{name}`, which this host does not have\nhint: this host has sunaba:task 0.1 and WASI 0.2")]
    UnknownImport {
        /// What it asks for.
        name: String,
    },
    /// Its imports or exports have the right names and the wrong types.
    #[error("it does not fit sunaba:task 0.1: {0}\nhint: build it with a sunaba-sdk of version 0.1")]
    Signature(String),
    /// `describe` did not return.
    #[error("its `describe` was stopped: {} ({})", .0.message, .0.cause)]
    Describe(Stop),
    /// `describe` returned something that cannot be.
    #[error("its handler `{handler}` is not acceptable: {reason}")]
    Handler {
        /// The handler's name.
        handler: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A handler has a setting that this host does not accept.
    #[error("its handler `{handler}` is not acceptable: {problem}")]
    Setting {
        /// The handler's name.
        handler: String,
        /// What is wrong with it. Not a `source`: it is printed as part of this error.
        problem: SettingError,
    },
    /// The package has a setting that this host does not know.
    #[error("its package has the unknown setting `{key}`\nhint: this host knows none")]
    PackageSetting {
        /// The key.
        key: String,
    },
    /// `describe` returned no handler, or too many.
    #[error("it describes {count} handlers; a component has 1 to {max}\nhint: name them in `sunaba_sdk::export!(...)`")]
    HandlerCount {
        /// How many.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The host could not do its part.
    #[error("the sandbox failed: {0}")]
    Internal(String),
}

impl LoadError {
    /// Whether the same component may load later or elsewhere.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Internal(_))
    }
}

/// The engine's error and what led to it, in one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect::<Vec<_>>().join(": ")
}

fn list_of(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
