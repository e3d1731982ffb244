//! The flags by which an operator, a submitter, or somebody who runs a handler by hand says what tasks may do and use.

use sunaba_runtime::config::Layers;
use sunaba_runtime::task::{Capture, ClockAccess, HttpGrant, LimitCaps, parse_bytes};
use sunaba_runtime::{SecretSource, SecretSourceError};

use crate::exit::{CommandError, Exit};

/// What a task is to be granted beside variables and directories, and its other limits.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TaskArgs {
    /// A place that the handler may send requests to, such as `https://api.example.com`
    #[arg(long, value_name = "URL")]
    pub(crate) http: Vec<HttpGrant>,
    /// The size of a scratch directory at `/scratch`, such as `64MiB`
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) scratch: Option<u64>,
    /// Let the handler see time pass as exactly as the machine does
    #[arg(long)]
    pub(crate) fine_clock: bool,
    /// Another limit by its name, such as `open-files=16,output=4MiB` [default: the handler's, else the host's]
    #[arg(long, value_name = "NAME=VALUE[,..]")]
    limit: Vec<LimitCaps>,
    /// Keep what it writes to these whole, as artifacts: `stdout`, `stderr`, `stdout,stderr` or `none` [default: the handler's,
    /// else none]
    #[arg(long, value_name = "STREAMS")]
    pub(crate) capture: Option<Capture>,
}

impl TaskArgs {
    /// All the limits; of one that is said twice, the smaller.
    pub(crate) fn limits(&self) -> LimitCaps {
        together(&self.limit)
    }

    pub(crate) fn clock(&self) -> ClockAccess {
        if self.fine_clock { ClockAccess::Fine } else { ClockAccess::Coarse }
    }
}

fn together(caps: &[LimitCaps]) -> LimitCaps {
    caps.iter().fold(LimitCaps::NONE, LimitCaps::tighter)
}

/// What an operator allows, beside directories.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OperatorArgs {
    /// A place to which submitters may let requests go, and the addresses beside public ones that it may have; none by default
    /// [env: SUNABA_ALLOW_HTTP]
    #[arg(long, value_name = "URL[@CIDR]")]
    allow_http: Vec<HttpGrant>,
    /// A secret that submitters may pass on, where it is, and the one host that it is sent to: `NAME=env:VARIABLE@URL` or
    /// `NAME=file:PATH@URL` [env: SUNABA_SECRET]
    #[arg(long, value_name = "NAME=WHERE@URL")]
    secret: Vec<String>,
    /// Ceilings of limits by their names, such as `timeout=1h,open-files=512` [env: SUNABA_MAX] [default: timeout=600s,memory=1GiB and
    /// others]
    #[arg(long, value_name = "NAME=VALUE[,..]")]
    max: Vec<LimitCaps>,
    /// The largest scratch directory of an attempt; `0` for none [env: SUNABA_MAX_SCRATCH] [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_scratch: Option<u64>,
    /// Let submitters grant the fine clock [env: SUNABA_ALLOW_FINE_CLOCK]
    #[arg(long)]
    allow_fine_clock: bool,
    /// A file of certificate authorities, in PEM, that outgoing requests believe beside the system's [env: SUNABA_HTTP_CA]
    #[arg(long, value_name = "FILE")]
    http_ca: Vec<String>,
}

impl OperatorArgs {
    /// Lays what was typed over the other layers.
    pub(crate) fn lay_over(&self, layers: &mut Layers) {
        layers.flag("limits", self.max.iter().map(ToString::to_string));
        layers.flag("grants.http", self.allow_http.iter().map(ToString::to_string));
        layers.flag("grants.secrets", self.secret.iter().cloned());
        layers.flag("grants.scratch", self.max_scratch.map(|bytes| bytes.to_string()));
        layers.flag("grants.fine-clock", self.allow_fine_clock.then(|| "true".to_owned()));
        layers.flag("grants.http-ca", self.http_ca.iter().cloned());
    }
}

/// Where secrets are. Read here and not by the parser of the command line, which would repeat what is wrong: that may be the
/// secret itself.
///
/// # Errors
/// One does not say where it is, or two have one name.
pub(crate) fn secrets(texts: &[String]) -> Result<Vec<SecretSource>, CommandError> {
    let usage = |error: SecretSourceError| CommandError::new(Exit::Usage, error);
    let mut sources: Vec<SecretSource> = Vec::with_capacity(texts.len());
    for text in texts {
        let source: SecretSource = text.parse().map_err(usage)?;
        if sources.iter().any(|other| other.name == source.name) {
            return Err(usage(SecretSourceError::Twice(source.name)));
        }
        sources.push(source);
    }
    Ok(sources)
}
