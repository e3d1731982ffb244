//! `sunaba task submit`.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sunaba_runtime::server::api::{Debounce, Submit, UniqueSubmit};
use sunaba_runtime::task::{
    Backoff, DirGrant, EnvGrant, Fuel, HandlerName, TaskId, Timestamp, parse_bytes, parse_duration,
};
use sunaba_runtime::{Client, InputError, MAX_INPUT_BYTES};

use super::super::input::Input;
use super::super::ms;
use super::super::permits::TaskArgs;
use super::{batch, result_of_waiting};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// As PACKAGE/HANDLER
    handler: HandlerName,
    /// The input: JSON, `@FILE`, or `-` for standard input [default: nothing, which is `null` in JSON]
    #[arg(long, allow_hyphen_values = true)]
    input: Option<Input>,
    /// The lane in which it waits [default: the handler's, else `default`]
    #[arg(long)]
    queue: Option<String>,
    /// Higher first [default: the handler's, else 0]
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// How long it waits before its first attempt, such as `10s`
    #[arg(long, value_parser = parse_duration, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// The instant before which it does not run, such as `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "INSTANT")]
    run_at: Option<Timestamp>,
    /// It is not started any more so long after the submit
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// It is not started any more after this instant
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<Timestamp>,
    /// Tasks of a queue with the same key share what the queue allows each key
    #[arg(long)]
    key: Option<String>,
    /// A word to find it by; up to 16 of them, with commas between them
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<String>,
    /// Failures until it is dead [default: the handler's, else 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,
    /// Lost hosts until it is dead [default: 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    max_hosts_lost: Option<u32>,
    /// How long it waits after a failure, such as `exponential(1s, max = 1m)` [default: the handler's, else exponential(5s)]
    #[arg(long)]
    backoff: Option<Backoff>,
    /// The kinds of failure that are retried, with commas; nothing means none [default: the handler's, else all]
    #[arg(long, value_name = "KINDS", value_parser = kinds)]
    retry_on: Option<Kinds>,
    /// The kinds of failure that are not retried, with commas [default: the handler's, else none]
    #[arg(long, value_name = "KINDS", value_parser = kinds)]
    never_retry_on: Option<Kinds>,
    /// No retry begins later than this after the submit, such as `48h` [default: the handler's, else any time]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    retry_for: Option<Duration>,
    /// How long the result can be had after the end [default: as the host has it for all]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    keep_result: Option<Duration>,
    /// How long an attempt may take [default: the handler's, else 300s]
    #[arg(long, value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Instructions that an attempt may use, `exact`, or `off` [default: the handler's, else exact]
    #[arg(long)]
    fuel: Option<Fuel>,
    /// Instructions that all attempts may use together [default: the handler's, else no limit]
    #[arg(long, value_name = "NUMBER")]
    fuel_budget: Option<u64>,
    /// Memory that an attempt may use [default: the handler's, else 128MiB]
    #[arg(long, value_parser = parse_bytes)]
    memory: Option<u64>,
    /// A second submit with this key gives the same task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// That there is one task with this key at a time, until it has ended
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,
    /// How long a task holds its unique key, from its submit [default: until it has ended]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "unique")]
    unique_for: Option<Duration>,
    /// What becomes of a second submit with a unique key [default: reject]
    #[arg(long, value_enum, requires = "unique")]
    on_conflict: Option<OnConflict>,
    /// One task for a burst of submits with this key: each puts it off by `--delay`
    #[arg(long, value_name = "KEY", requires = "delay", conflicts_with = "unique")]
    debounce: Option<String>,
    /// The latest that a burst can put a task off, from its first submit [default: ten delays]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "debounce")]
    debounce_longest: Option<Duration>,
    /// A handler of which a task follows when this one has succeeded; it gets what came of it
    #[arg(long, value_name = "PACKAGE/HANDLER")]
    on_success: Vec<HandlerName>,
    /// A handler of which a task follows when this one is dead, has expired or was cancelled
    #[arg(long, value_name = "PACKAGE/HANDLER")]
    on_failure: Vec<HandlerName>,
    /// Run what the package has at each attempt [default: as the host has it for all, which is `--pin` unless it says otherwise]
    #[arg(long, conflicts_with = "pin")]
    follow: bool,
    /// Run what the package has now, whatever is deployed later
    #[arg(long)]
    pin: bool,
    /// The package whose policy decides about its attempts, or `none` [default: the handler's, else none]
    #[arg(long, value_name = "PACKAGE")]
    decider: Option<String>,
    /// An environment variable for the handler
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<EnvGrant>,
    /// A directory for the handler, read-only unless `:rw`; the host must allow it
    #[arg(long, value_name = "HOST::GUEST[:rw]")]
    dir: Vec<DirGrant>,
    /// A secret that the handler may use, by its name; the host must have it
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    #[command(flatten)]
    more: TaskArgs,
    /// Submit a task for each line of a file, or of standard input with `-`: the line is its input; prints an id a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "wait", "idempotency_key"])]
    batch: Option<PathBuf>,
    /// Wait until it has ended, and end as `sunaba run` does
    #[arg(long)]
    wait: bool,
}

/// A list of kinds of failure, which may be empty.
#[derive(Debug, Clone)]
struct Kinds(Vec<String>);

/// Reads kinds with commas between them; the host checks them.
fn kinds(text: &str) -> Result<Kinds, std::convert::Infallible> {
    Ok(Kinds(text.split(',').map(|kind| kind.trim().to_owned()).filter(|kind| !kind.is_empty()).collect()))
}

/// What becomes of a second submit with the same unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnConflict {
    /// It is refused
    Reject,
    /// It gives the first task
    Existing,
    /// It takes the first task's place, if that has not begun
    Replace,
}

impl OnConflict {
    fn word(self) -> String {
        match self {
            Self::Reject => "reject".into(),
            Self::Existing => "existing".into(),
            Self::Replace => "replace".into(),
        }
    }
}

pub(super) async fn run(global: &Global, client: &Client, args: SubmitArgs) -> Result<Exit, CommandError> {
    let handler = client.get_handler(&args.handler).await?;
    let is_json = handler.input_schema.is_some();
    if let Some(file) = args.batch.clone() {
        return batch::run(global, client, &file, is_json, &template(args)?).await;
    }
    let (input, wait) = (args.input.clone(), args.wait);
    let mut submit = template(args)?;
    set_input(&mut submit, input, is_json)?;
    let task = client.submit_task(&submit).await?;
    let id: TaskId = task.id.parse().map_err(|error| CommandError::new(Exit::Error, error))?;
    if wait {
        if global.output == Format::Text && !global.quiet {
            print::note(format_args!("task {id}"));
        }
        // The task is there, whatever becomes of us: its id must not be lost.
        return result_of_waiting(global, client, id).await.map_err(|error| error.about(format_args!("task {id}")));
    }
    match global.output {
        Format::Text => print::data(format!("{id}\n").as_bytes())?,
        format => print::json(format, &task)?,
    }
    Ok(Exit::Ok)
}

/// Gives the task this input, as its handler takes it.
///
/// # Errors
/// It is too large, or cannot be read; or the host does not know the handler.
pub(crate) async fn give_input(
    client: &Client,
    handler: &HandlerName,
    submit: &mut Submit,
    input: Option<Input>,
) -> Result<(), CommandError> {
    let is_json = client.get_handler(handler).await?.input_schema.is_some();
    set_input(submit, input, is_json)
}

fn set_input(submit: &mut Submit, input: Option<Input>, is_json: bool) -> Result<(), CommandError> {
    let Some(bytes) = input.map(Input::read).transpose()? else { return Ok(()) };
    let size_bytes = bytes.len() as u64;
    if size_bytes > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { size_bytes, limit_bytes: MAX_INPUT_BYTES }.into());
    }
    if is_json {
        let json: Box<RawValue> =
            serde_json::from_slice(&bytes).map_err(|error| InputError::Json(error.to_string()))?;
        submit.input = Some(json);
    } else {
        submit.input_base64 = Some(STANDARD.encode(&bytes));
    }
    Ok(())
}

impl SubmitArgs {
    /// What is asked for of each task of a schedule.
    ///
    /// # Errors
    /// Something that a schedule says itself, or that the host does not know.
    pub(crate) async fn of_schedule(self, client: &Client) -> Result<Submit, CommandError> {
        let waits = [(self.wait, "--wait"), (self.batch.is_some(), "--batch")];
        if let Some((_, flag)) = waits.into_iter().find(|(is_there, _)| *is_there) {
            let message = format!("a schedule has no `{flag}`\nhint: leave it out; `sunaba task submit` has it");
            return Err(CommandError::new(Exit::Usage, message));
        }
        let (handler, input) = (self.handler.clone(), self.input.clone());
        let mut submit = template(self)?;
        give_input(client, &handler, &mut submit, input).await?;
        Ok(submit)
    }
}

/// What is asked for, without an input.
fn template(args: SubmitArgs) -> Result<Submit, CommandError> {
    let names = |handlers: &[HandlerName]| handlers.iter().map(ToString::to_string).collect();
    // A burst has its delay in itself.
    let (delay_ms, burst_ms) = match (&args.debounce, args.delay.map(ms)) {
        (Some(_), delay) => (None, delay.unwrap_or_default()),
        (None, delay) => (delay, 0),
    };
    let longest_ms = args.debounce_longest.map(ms);
    Ok(Submit {
        handler: args.handler.to_string(),
        queue: args.queue,
        priority: args.priority,
        delay_ms,
        run_at: args.run_at.map(|at| at.to_string()),
        expires_in_ms: args.expires_in.map(ms),
        expires_at: args.expires_at.map(|at| at.to_string()),
        key: args.key,
        tags: args.tag,
        max_attempts: args.max_attempts,
        max_hosts_lost: args.max_hosts_lost,
        backoff: args.backoff.map(|backoff| backoff.to_string()),
        retry_on: args.retry_on.map(|kinds| kinds.0),
        never_retry_on: args.never_retry_on.map(|kinds| kinds.0),
        retry_for_ms: args.retry_for.map(ms),
        keep_result_ms: args.keep_result.map(ms),
        unique: args.unique.map(|key| UniqueSubmit {
            key,
            window_ms: args.unique_for.map(ms),
            on_conflict: args.on_conflict.map(OnConflict::word),
        }),
        debounce: args.debounce.map(|key| Debounce { key, delay_ms: burst_ms, longest_ms }),
        on_success: names(&args.on_success),
        on_failure: names(&args.on_failure),
        timeout_ms: args.timeout.map(ms),
        fuel: args.fuel.map(|fuel| fuel.to_string()),
        fuel_budget: args.fuel_budget,
        memory_bytes: args.memory,
        follow: (args.follow || args.pin).then_some(args.follow),
        decider: args.decider,
        idempotency_key: args.idempotency_key,
        env: args.env.into_iter().map(|env| (env.key, env.value)).collect(),
        dirs: args.dir.iter().map(absolute).collect::<Result<_, _>>()?,
        http: args.more.http.iter().map(ToString::to_string).collect(),
        secrets: args.secret,
        scratch_bytes: args.more.scratch,
        clock: args.more.fine_clock.then(|| "fine".to_owned()),
        limits: Some(args.more.limits().to_string()).filter(|limits| !limits.is_empty()),
        capture: args.more.capture.map(|streams| streams.to_string()),
        ..Submit::default()
    })
}

/// The grant with the full path of its directory: the host is not in the folder that we are in.
fn absolute(grant: &DirGrant) -> Result<String, CommandError> {
    let host = std::path::absolute(&grant.host).map_err(|error| CommandError::file(&grant.host, &error))?;
    if host.to_str().is_none() {
        let message = format!("the path `{}` is not UTF-8\nhint: rename the directory", host.display());
        return Err(CommandError::new(Exit::Invalid, message));
    }
    Ok(DirGrant { host, ..grant.clone() }.to_string())
}
