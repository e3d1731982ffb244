//! `sunaba webhook`: whoever is told of what happens. A secret is shown once, when it is made; nothing else shows it.

mod view;

use std::time::Duration;

use sunaba_runtime::Client;
use sunaba_runtime::server::api::{DeliveryFilter, DeliveryView, PutWebhook};
use sunaba_runtime::store::Expected;
use sunaba_runtime::task::webhook::{EventPattern, WebhookName};
use sunaba_runtime::task::{StateName, TaskId, format_duration, parse_duration};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// An endpoint is asked once, and has much less; the rest is for what goes before.
const TEST_TIME: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a webhook, and print the secret by which its requests are signed; it is not shown again
    Add {
        /// Its name: lower-case letters, digits and `-`
        name: WebhookName,
        /// Where requests go: `https`, unless the host lets webhooks go to `http`, too
        url: String,
        /// Of what it is told: `task.dead`, all of a kind as `task.*`, `job.*`, `schedule.*` or `alert.*`, or all, `*`; may be
        /// repeated
        #[arg(long = "event", value_name = "EVENT", required = true, value_delimiter = ',')]
        events: Vec<EventPattern>,
        #[command(flatten)]
        filters: FilterArgs,
        /// Make it disabled
        #[arg(long)]
        disabled: bool,
    },
    /// List webhooks, and what has come of their deliveries
    List,
    /// Show a webhook
    Show {
        /// Its name
        name: WebhookName,
    },
    /// Change a webhook; what is not named stays
    Set(SetArgs),
    /// Give a webhook another secret, and print it; the one before signs beside it for a while
    Rotate {
        /// Its name
        name: WebhookName,
        /// How long the secret before signs, too; `0s` for not at all [default: 1d]
        #[arg(long, value_name = "DURATION", value_parser = overlap)]
        overlap: Option<Duration>,
    },
    /// Delete a webhook; what is on its way is not sent any more
    Remove {
        /// Its name
        name: WebhookName,
        /// Only if it is still at this revision
        #[arg(long, value_name = "NUMBER")]
        revision: Option<u64>,
    },
    /// Send something to a webhook that says nothing, and show what it has answered; ends with 7 if that is no success
    Test {
        /// Its name
        name: WebhookName,
    },
    /// List the deliveries of a webhook, the newest first
    Deliveries {
        /// Its name
        name: WebhookName,
        /// Only those that were not taken
        #[arg(long)]
        failed: bool,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Show a delivery: its body, each attempt, and what was answered
    Delivery {
        /// The webhook
        name: WebhookName,
        /// Its id
        id: TaskId,
    },
    /// Send a delivery again that has ended, and print the id of the new one
    Resend {
        /// The webhook
        name: WebhookName,
        /// Its id
        id: TaskId,
    },
}

#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Of tasks only those in this queue; may be repeated
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// Of tasks only those of this handler, as `package/handler`, or of this package; may be repeated
    #[arg(long = "handler", value_name = "HANDLER")]
    handlers: Vec<String>,
    /// Of tasks only those with this tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Its name
    name: WebhookName,
    /// Where requests go
    #[arg(long)]
    url: Option<String>,
    /// Of what it is told, in place of what it was told of
    #[arg(long = "event", value_name = "EVENT", value_delimiter = ',')]
    events: Vec<EventPattern>,
    #[command(flatten)]
    filters: FilterArgs,
    /// Take its filters away, but for those that are named
    #[arg(long)]
    no_filters: bool,
    /// Have it told again, and forget that it has failed
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Have it told of nothing
    #[arg(long)]
    disable: bool,
}

/// How long two secrets sign; none is a time, too.
fn overlap(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        text => parse_duration(text).map_err(|error| error.to_string()),
    }
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Add { name, url, events, filters, disabled } => {
            let FilterArgs { queues, handlers, tags } = filters;
            let events = events.iter().map(ToString::to_string).collect();
            let put = PutWebhook { url, events, queues, handlers, tags, enabled: disabled.then_some(false) };
            view::changed(global, &client.put_webhook(&name, &put, Expected::Absent).await?)?;
        }
        Command::List => view::list(global, &client.list_webhooks().await?)?,
        Command::Show { name } => view::show(global, &client.get_webhook(&name).await?)?,
        Command::Set(args) => set(global, &client, args).await?,
        Command::Rotate { name, overlap } => {
            view::changed(global, &client.rotate_webhook_secret(&name, overlap).await?)?;
        }
        Command::Remove { name, revision } => {
            let expected = revision.map_or(Expected::Any, Expected::Revision);
            let deleted = client.delete_webhook(&name, expected).await?;
            match global.output {
                Format::Text => print::aside(global, format_args!("removed {}", deleted.deleted)),
                format => print::json(format, &deleted)?,
            }
        }
        Command::Test { name } => return test(global, &client, &name).await,
        Command::Deliveries { name, failed, limit } => {
            view::deliveries(global, &deliveries(&client, &name, failed, usize::from(limit)).await?)?;
        }
        Command::Delivery { name, id } => view::delivery(global, &client.get_webhook_delivery(&name, id).await?)?,
        Command::Resend { name, id } => {
            let delivery = client.resend_webhook_delivery(&name, id).await?;
            match global.output {
                Format::Text => print::data(format!("{}\n", delivery.id).as_bytes())?,
                format => print::json(format, &delivery)?,
            }
        }
    }
    Ok(Exit::Ok)
}

async fn set(global: &Global, client: &Client, args: SetArgs) -> Result<(), CommandError> {
    let SetArgs { name, url, events, filters: FilterArgs { queues, handlers, tags }, no_filters, enable, disable } =
        args;
    let has_filters = !(queues.is_empty() && handlers.is_empty() && tags.is_empty());
    if url.is_none() && events.is_empty() && !has_filters && !no_filters && !enable && !disable {
        let message = "nothing says what to change\nhint: name something, such as `--event 'task.*'` or `--enable`";
        return Err(CommandError::new(Exit::Usage, message));
    }
    let before = client.get_webhook(&name).await?;
    let or = |named: Vec<String>, known: Vec<String>| if named.is_empty() && !no_filters { known } else { named };
    let events: Vec<String> = events.iter().map(ToString::to_string).collect();
    let put = PutWebhook {
        url: url.unwrap_or(before.url),
        events: if events.is_empty() { before.events } else { events },
        queues: or(queues, before.queues),
        handlers: or(handlers, before.handlers),
        tags: or(tags, before.tags),
        enabled: if enable { Some(true) } else { disable.then_some(false) },
    };
    // What somebody else has changed meanwhile is not overwritten.
    view::changed(global, &client.put_webhook(&name, &put, Expected::Revision(before.revision)).await?)
}

async fn test(global: &Global, client: &Client, name: &WebhookName) -> Result<Exit, CommandError> {
    let made = client.test_webhook(name).await?;
    let id: TaskId = made.id.parse().map_err(|error| CommandError::new(Exit::Error, error))?;
    if client.wait_at_most(id, TEST_TIME).await?.is_none() {
        let message = format!(
            "the delivery {id} has not ended in {}: other deliveries, or a host without a worker for them, hold it up\nhint: \
             `sunaba webhook delivery {name} {id}` shows it later, and `sunaba task explain {id}` why it waits",
            format_duration(TEST_TIME)
        );
        return Err(CommandError::new(Exit::Timeout, message));
    }
    let delivery = client.get_webhook_delivery(name, id).await?;
    view::delivery(global, &delivery)?;
    Ok(if delivery.state == StateName::Succeeded { Exit::Ok } else { Exit::TaskFailed })
}

async fn deliveries(
    client: &Client,
    name: &WebhookName,
    failed: bool,
    limit: usize,
) -> Result<Vec<DeliveryView>, CommandError> {
    const PAGE: usize = 200;
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let wanted = (limit - all.len()).min(PAGE);
        let filter = DeliveryFilter { failed: failed.then_some(true), before, limit: Some(wanted) };
        let page = client.list_webhook_deliveries(name, &filter).await?;
        all.extend(page.deliveries);
        before = page.next;
        if before.is_none() || all.len() >= limit {
            all.truncate(limit);
            return Ok(all);
        }
    }
}
