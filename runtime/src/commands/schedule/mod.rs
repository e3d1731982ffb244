//! `sunaba schedule`: tasks that are made again and again.

mod view;

use std::time::Duration;

use sunaba_runtime::Client;
use sunaba_runtime::server::api::{PutSchedule, ScheduleView, Submit, TriggeredView};
use sunaba_runtime::store::Expected;
use sunaba_runtime::task::schedule::{CatchUp, Overlap, ScheduleName};
use sunaba_runtime::task::{HandlerName, parse_duration};

use super::input::Input;
use super::task::{SubmitArgs, give_input};
use super::{frame, ms};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a schedule: what `task submit` would submit, at each tick
    Create(Box<CreateArgs>),
    /// List schedules, and what comes next of each
    List {
        /// Of this package
        #[arg(long, value_name = "PACKAGE")]
        package: Option<String>,
    },
    /// Show a schedule: what it makes, what it has done, and what comes next
    Get {
        /// Its name
        name: ScheduleName,
    },
    /// Change when a schedule is due, its policies, or the input of its tasks; what is not named stays
    Update(UpdateArgs),
    /// Delete a schedule; tasks that it has made go on
    Delete {
        /// Its name
        name: ScheduleName,
        /// Only if it is still at this revision
        #[arg(long, value_name = "NUMBER")]
        revision: Option<u64>,
    },
    /// Have the ticks of a schedule pass by
    Pause {
        /// Its name
        name: ScheduleName,
    },
    /// Have a schedule that was paused make tasks again, from now on
    Resume {
        /// Its name
        name: ScheduleName,
    },
    /// Have a schedule make a task now, paused or not, and print its id
    Trigger {
        /// Its name
        name: ScheduleName,
    },
    /// Print when a schedule fires next
    Next {
        /// Its name
        name: ScheduleName,
        /// How many times
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        count: u16,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Its name: lower-case letters, digits and `-`
    name: ScheduleName,
    /// When it is due: minute, hour, day of the month, month, day of the week; seconds may stand in front; or `@daily`
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    /// The zone whose clocks the expression means, such as `Europe/Berlin` [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Make it paused
    #[arg(long)]
    paused: bool,
    /// Change the schedule if there is one of this name
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    task: SubmitArgs,
}

#[derive(Debug, clap::Args)]
struct UpdateArgs {
    /// Its name
    name: ScheduleName,
    /// When it is due
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The zone whose clocks the expression means
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// The input of its tasks: JSON, `@FILE`, or `-` for standard input
    #[arg(long, allow_hyphen_values = true)]
    input: Option<Input>,
}

#[derive(Debug, clap::Args)]
struct PolicyArgs {
    /// What becomes of a tick while a task of it has not ended: `skip`, `queue`, `cancel-old` or `allow` [default: skip]
    #[arg(long, value_name = "POLICY")]
    overlap: Option<Overlap>,
    /// What becomes of ticks for which the host was not there: `none`, `last`, or `all(N)` [default: last]
    #[arg(long, value_name = "POLICY")]
    catch_up: Option<CatchUp>,
    /// Put each tick off by up to so long, by a number that is made of the name and the tick
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    jitter: Option<Duration>,
}

impl PolicyArgs {
    fn put(&self, put: PutSchedule) -> PutSchedule {
        PutSchedule {
            overlap: self.overlap.map(|policy| policy.to_string()).or(put.overlap),
            catch_up: self.catch_up.map(|policy| policy.to_string()).or(put.catch_up),
            jitter_ms: self.jitter.map(ms).or(put.jitter_ms),
            ..put
        }
    }
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Create(args) => create(global, &client, *args).await,
        Command::List { package } => view::list(global, &client.list_schedules(package.as_deref()).await?),
        Command::Get { name } => view::show(global, &client.get_schedule(&name).await?),
        Command::Update(args) => update(global, &client, args).await,
        Command::Delete { name, revision } => {
            let expected = revision.map_or(Expected::Any, Expected::Revision);
            let deleted = client.delete_schedule(&name, expected).await?;
            frame::done(global, &deleted, |deleted| format!("deleted {}", deleted.deleted))
        }
        Command::Pause { name } => view::show(global, &client.pause_schedule(&name, Expected::Any).await?),
        Command::Resume { name } => view::show(global, &client.resume_schedule(&name, Expected::Any).await?),
        Command::Trigger { name } => trigger(global, &client.trigger_schedule(&name).await?),
        Command::Next { name, count } => {
            view::fires(global, &client.list_schedule_fires(&name, usize::from(count)).await?)
        }
    }
}

fn trigger(global: &Global, triggered: &TriggeredView) -> Result<Exit, CommandError> {
    match (global.output, &triggered.task) {
        (Format::Text, Some(task)) => print::data(format!("{}\n", task.id).as_bytes())?,
        (Format::Text, None) => {
            let active = triggered.schedule.active.join(", ");
            print::aside(global, format_args!("its task waits for the end of {active}"));
        }
        (format, _) => print::json(format, triggered)?,
    }
    Ok(Exit::Ok)
}

async fn create(global: &Global, client: &Client, args: CreateArgs) -> Result<Exit, CommandError> {
    let CreateArgs { name, cron, time_zone, policy, paused, replace, task } = args;
    let task = task.of_schedule(client).await?;
    let paused = paused.then_some(true);
    let put = policy.put(PutSchedule { cron, time_zone, paused, task, ..PutSchedule::default() });
    let expected = if replace { Expected::Any } else { Expected::Absent };
    view::show(global, &client.put_schedule(&name, &put, expected).await?)
}

async fn update(global: &Global, client: &Client, args: UpdateArgs) -> Result<Exit, CommandError> {
    let UpdateArgs { name, cron, time_zone, policy, input } = args;
    let is_named = cron.is_some() || time_zone.is_some() || input.is_some();
    if !is_named && policy.overlap.is_none() && policy.catch_up.is_none() && policy.jitter.is_none() {
        let message = "nothing says what to change\nhint: name something, such as `--cron '0 3 * * *'`; another task is made by \
                       `sunaba schedule create --replace`";
        return Err(CommandError::new(Exit::Usage, message));
    }
    let before = client.get_schedule(&name).await?;
    let revision = before.revision;
    let mut task = task_of(before.task)?;
    if let Some(input) = input {
        let handler: HandlerName = task.handler.parse().map_err(|error| CommandError::new(Exit::Error, error))?;
        (task.input, task.input_base64, task.media_type) = (None, None, None);
        give_input(client, &handler, &mut task, Some(input)).await?;
    }
    let put = policy.put(PutSchedule {
        cron: cron.unwrap_or(before.cron),
        time_zone: time_zone.or(Some(before.time_zone)),
        overlap: Some(before.overlap),
        catch_up: Some(before.catch_up),
        jitter_ms: Some(before.jitter_ms),
        paused: None,
        task,
    });
    // What somebody else has changed meanwhile is not overwritten.
    view::show(global, &client.put_schedule(&name, &put, Expected::Revision(revision)).await?)
}

fn task_of(task: Option<Submit>) -> Result<Submit, CommandError> {
    task.ok_or_else(|| {
        let message = "the task of the schedule was written by another release, in words that this host does not know\nhint: put it \
                       again with `sunaba schedule create --replace`";
        CommandError::new(Exit::Conflict, message)
    })
}

/// Whether something of it wants a look, in few words.
fn attention(schedule: &ScheduleView) -> Vec<String> {
    let problem = schedule.problem.as_ref().map(|problem| format!("failed at {}: {}", problem.at, problem.reason));
    let waiting = (schedule.waiting > 0).then(|| format!("{} waiting", schedule.waiting));
    let over = (!schedule.paused && schedule.next.is_none()).then(|| "no more ticks".to_owned());
    [schedule.paused.then(|| "paused".to_owned()), over, waiting, problem].into_iter().flatten().collect()
}
