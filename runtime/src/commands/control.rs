//! What an operator sets for handlers: `handler status`, `pause`, `resume` and `set`.

use std::time::Duration;

use sunaba_runtime::Client;
use sunaba_runtime::server::api::{ControlView, HandlerPatch};
use sunaba_runtime::task::{BreakerSettings, HandlerName, format_count, format_duration};

use super::frame;
use super::limit::{Limit, Seen};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// As PACKAGE/HANDLER
    pub(super) handler: HandlerName,
    /// Attempts at a time in all queues together, or `none`
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<Limit<u32>>,
    /// When it is given a pause because it fails, such as `50%/20, 30s`: at half of the last 20 attempts, for 30 s; or `none`
    #[arg(long, value_name = "PERCENT%/ATTEMPTS, PAUSE")]
    breaker: Option<Limit<BreakerSettings>>,
    #[command(flatten)]
    pub(super) seen: Seen,
}

impl SetArgs {
    /// What is to be changed.
    ///
    /// # Errors
    /// Nothing is.
    pub(super) fn patch(&self) -> Result<HandlerPatch, CommandError> {
        let patch = HandlerPatch {
            paused: None,
            concurrency: self.concurrency.map(|limit| limit.0),
            breaker: self.breaker.map(|limit| limit.0),
        };
        if patch == HandlerPatch::default() {
            let message = "nothing says what to set\nhint: name a limit, such as `--concurrency 4`";
            return Err(CommandError::new(Exit::Usage, message));
        }
        Ok(patch)
    }
}

pub(super) async fn set(
    global: &Global,
    client: &Client,
    handler: &HandlerName,
    patch: &HandlerPatch,
    seen: Seen,
) -> Result<(), CommandError> {
    let handler = client.set_handler(handler, patch, seen.expected()).await?;
    if global.output != Format::Text {
        return print::json(global.output, &handler);
    }
    let settings = settings(&handler);
    print::rows(&[
        ("handler", handler.name.clone()),
        ("settings", if settings.is_empty() { "all by default".into() } else { settings.join(", ") }),
        ("tasks", format!("{} queued, {} running", format_count(handler.queued), format_count(handler.running))),
        ("breaker", breaker(&handler)),
        ("attention", dash(&handler.attention.join("; "))),
    ])
}

pub(super) async fn status(global: &Global, client: &Client) -> Result<Exit, CommandError> {
    let handlers = client.list_handlers().await?;
    let header = ["HANDLER", "QUEUED", "RUNNING", "FAILED", "BREAKER", "SETTINGS", "ATTENTION"];
    frame::list(global, &handlers, "no handler has run, waits, or is controlled", header, |handler| {
        [
            handler.name.clone(),
            format_count(handler.queued),
            format_count(handler.running),
            format!("{} of {}", handler.failed, handler.attempts),
            breaker(handler),
            dash(&settings(handler).join(", ")),
            dash(&handler.attention.join("; ")),
        ]
    })
}

fn breaker(handler: &ControlView) -> String {
    let left = handler.breaker_open_ms.map(|ms| format!(" for {}", format_duration(Duration::from_millis(ms))));
    match handler.breaker {
        None => "-".into(),
        Some(_) => format!("{}{}", handler.breaker_state, left.unwrap_or_default()),
    }
}

fn settings(handler: &ControlView) -> Vec<String> {
    let settings = [
        handler.paused.then(|| "paused".to_owned()),
        handler.concurrency.map(|limit| format!("concurrency {limit}")),
        handler.breaker.map(|breaker| format!("breaker {breaker}")),
    ];
    settings.into_iter().flatten().collect()
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.to_owned() }
}
