//! Which tasks a command is about: one by its id, or many by filters.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sunaba_runtime::server::api::Filter;
use sunaba_runtime::task::{StateName, TaskId, Timestamp, parse_duration};

use super::ms;
use crate::exit::{CommandError, Exit};

/// Filters; a task must pass all of them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// In this queue
    #[arg(long)]
    queue: Option<String>,
    /// Of this PACKAGE/HANDLER, or of this PACKAGE
    #[arg(long)]
    handler: Option<String>,
    /// With this tag
    #[arg(long)]
    tag: Option<String>,
    /// Submitted at this instant or later, such as `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Submitted before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<Timestamp>,
    /// Submitted so long ago or earlier, such as `7d`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "until")]
    older_than: Option<Duration>,
}

impl Which {
    /// The filter, with these states beside.
    pub(crate) fn filter(&self, states: &[StateName]) -> Filter {
        let until = self.until.or_else(|| self.older_than.map(ago));
        Filter {
            state: joined(states),
            queue: self.queue.clone(),
            handler: self.handler.clone(),
            tag: self.tag.clone(),
            from: self.from.map(|at| at.to_string()),
            until: until.map(|at| at.to_string()),
            ..Filter::default()
        }
    }
}

/// States as a filter has them; none when any will do.
pub(crate) fn joined(states: &[StateName]) -> Option<String> {
    let names: Vec<_> = states.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// So long ago, by this machine's clock, which is the host's too.
#[expect(clippy::disallowed_methods, reason = "a command is an edge: the person who types it means now")]
fn ago(duration: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms);
    Timestamp::from_unix_ms(now.saturating_sub(ms(duration)))
}

/// One task by its id, or many by filters.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// The id of one task; or say which with filters
    id: Option<TaskId>,
    #[command(flatten)]
    which: Which,
    /// All of them, without a filter
    #[arg(long)]
    all: bool,
    /// Do it to many; without this, they are counted only
    #[arg(long)]
    yes: bool,
}

/// What a [`Target`] comes to.
pub(crate) enum Aim {
    /// One task.
    One(TaskId),
    /// All that pass the filter.
    Many {
        filter: Filter,
        /// Whether to do it, and not only to count.
        yes: bool,
    },
}

impl Target {
    /// What is aimed at, with these states beside.
    ///
    /// # Errors
    /// Nothing says which tasks, or too much does.
    pub(crate) fn aim(&self, states: &[StateName]) -> Result<Aim, CommandError> {
        let filter = self.which.filter(states);
        let wrong = |message: &str| Err(CommandError::new(Exit::Usage, message));
        match (self.id, filter.is_empty(), self.all) {
            (Some(id), true, false) => Ok(Aim::One(id)),
            (Some(_), ..) => wrong("there are an id and a filter\nhint: name one task by its id, or many by filters"),
            (None, true, false) => {
                wrong("nothing says which tasks\nhint: give an id, a filter such as `--queue NAME`, or `--all`")
            }
            (None, false, true) => wrong("there are a filter and `--all`\nhint: leave out one"),
            (None, ..) => Ok(Aim::Many { filter, yes: self.yes }),
        }
    }
}
