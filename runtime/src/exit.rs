//! How the process ends: the exit codes, and errors that carry one.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;

use sunaba_runtime::config::{ConfigError, Origin};
use sunaba_runtime::sandbox::LoadError;
use sunaba_runtime::task::ExecuteError;
use sunaba_runtime::{ClientError, GrantRefusal, InputError, UnknownHandler};

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything went well.
    Ok = 0,
    /// Something went wrong that no other code names.
    Error = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A file, a handler or a task is not there.
    NotFound = 3,
    /// It is in the way of something else.
    Conflict = 4,
    /// It is not allowed.
    NotAllowed = 5,
    /// No host answers, or it cannot at the moment.
    Unavailable = 6,
    /// The task failed.
    TaskFailed = 7,
    /// An input or a component is not acceptable.
    Invalid = 8,
    /// The task ran out of time.
    Timeout = 124,
    /// Interrupted from the keyboard.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error to be printed, with the code to end with.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    message: String,
}

impl CommandError {
    /// `message` is lower-case, without a full stop, with an optional `hint:` line.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// The same, of something that has a name.
    pub(crate) fn about(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// A file that could not be read.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let (exit, hint) = match error.kind() {
            ErrorKind::NotFound => (Exit::NotFound, "check the path, and the folder that you are in"),
            ErrorKind::PermissionDenied | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
                (Exit::Invalid, "name a file that you can read")
            }
            _ => (Exit::Error, "the system could not do it; it may later"),
        };
        Self::new(exit, format!("cannot read `{}`: {error}\nhint: {hint}", path.display()))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let is_typed = |origin: &Origin| matches!(origin, Origin::Flag(_) | Origin::Env(_));
        let exit = match &error {
            ConfigError::Wrong(problems) if problems.first().is_some_and(|first| is_typed(&first.origin)) => {
                Exit::Usage
            }
            ConfigError::Unreadable { path, .. } if !path.exists() => Exit::NotFound,
            _ => Exit::Invalid,
        };
        Self::new(exit, error)
    }
}

impl From<UnknownHandler> for CommandError {
    fn from(error: UnknownHandler) -> Self {
        Self::new(Exit::NotFound, error)
    }
}

impl From<InputError> for CommandError {
    fn from(error: InputError) -> Self {
        Self::new(Exit::Invalid, error)
    }
}

impl From<GrantRefusal> for CommandError {
    fn from(error: GrantRefusal) -> Self {
        let exit = match &error {
            GrantRefusal::Grants(_) => Exit::Usage,
            GrantRefusal::NotAllowed { .. } => Exit::NotAllowed,
            _ => Exit::Invalid,
        };
        Self::new(exit, error)
    }
}

impl From<ExecuteError> for CommandError {
    fn from(error: ExecuteError) -> Self {
        let exit = match &error {
            ExecuteError::UnknownHandler { .. } => Exit::NotFound,
            ExecuteError::Limit(_)
            | ExecuteError::Grants(_)
            | ExecuteError::Grant { .. }
            | ExecuteError::Secret { .. } => Exit::Invalid,
            ExecuteError::NotAllowed(_) => Exit::NotAllowed,
            _ => Exit::Error,
        };
        Self::new(exit, error)
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Address(_) => Exit::Usage,
            ClientError::Unreachable { .. } | ClientError::Late { .. } | ClientError::Lost { .. } => Exit::Unavailable,
            ClientError::Input(_) => Exit::Invalid,
            error => match error.status() {
                Some(401 | 403) => Exit::NotAllowed,
                Some(404) => Exit::NotFound,
                Some(409 | 412) => Exit::Conflict,
                Some(429 | 503 | 507) => Exit::Unavailable,
                Some(400..=499) => Exit::Invalid,
                _ => Exit::Error,
            },
        };
        Self::new(exit, error)
    }
}

/// A component that cannot be loaded, with its path.
pub(crate) fn cannot_load(path: &Path, error: &LoadError) -> CommandError {
    let exit = if error.is_retryable() { Exit::Error } else { Exit::Invalid };
    CommandError::new(exit, format!("cannot load `{}`: {error}", path.display()))
}
