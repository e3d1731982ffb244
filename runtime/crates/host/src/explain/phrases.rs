//! What is said of a task besides its numbers: what holds it up, what happens next, why it has ended.

use sunaba_store::{Hold, Stalled, Standing};
use sunaba_task::{
    Block, Completion, Ending, Policy, State, Task, Timestamp, format_bytes, format_count, format_duration,
};

use super::{CompletionReport, HoldReport};

/// What keeps a task from being started.
pub(super) fn hold(task: &Task, hold: &Hold) -> HoldReport {
    let (queue, handler) = (&task.spec.queue, &task.spec.handler);
    let key = task.spec.key.as_deref().unwrap_or_default();
    let (word, message) = match *hold {
        Hold::QueuePaused => ("queue-paused", format!("the queue `{queue}` is paused")),
        Hold::HandlerPaused => ("handler-paused", format!("the handler `{handler}` is paused")),
        Hold::NoWorker => ("no-worker", format!("no worker takes tasks from the queue `{queue}`")),
        Hold::Compiling { .. } => ("compiling", format!("its {}", code(hold))),
        Hold::Uncompilable { .. } => ("uncompilable", format!("its {}", code(hold))),
        Hold::BreakerOpen { left, failed, of } => (
            "breaker-open",
            format!(
                "the breaker of `{handler}` is open: {failed} of the last {of} attempts failed; it tries one task in {}",
                format_duration(left)
            ),
        ),
        Hold::BreakerProbing => {
            ("breaker-probing", format!("the breaker of `{handler}` tries one task, and waits for what becomes of it"))
        }
        Hold::QueueConcurrency { limit } => {
            ("queue-concurrency", format!("the queue `{queue}` runs {limit} at a time, and has as many"))
        }
        Hold::HandlerConcurrency { limit } => {
            ("handler-concurrency", format!("the handler `{handler}` runs {limit} at a time, and has as many"))
        }
        Hold::KeyConcurrency { limit } => {
            ("key-concurrency", format!("the key `{key}` runs {limit} at a time in `{queue}`, and has as many"))
        }
        Hold::QueueRate { left } => (
            "queue-rate",
            format!(
                "the queue `{queue}` has started as many as its rate allows; the next may start in {}",
                format_duration(left)
            ),
        ),
        Hold::KeyRate { left } => (
            "key-rate",
            format!(
                "the key `{key}` has started as many in `{queue}` as its rate allows; the next may start in {}",
                format_duration(left)
            ),
        ),
        Hold::Memory { needs_bytes, free_bytes, limit_bytes } => (
            "memory",
            format!(
                "it waits for memory: its attempt may hold {}, and of the {} that attempts may hold, {} are free",
                format_bytes(needs_bytes),
                format_bytes(limit_bytes),
                format_bytes(free_bytes)
            ),
        ),
    };
    HoldReport { hold: word.into(), message }
}

/// That it waits for somebody to complete it.
pub(super) fn awaits(task: &Task) -> Option<HoldReport> {
    let awaits = task.awaits.as_ref()?;
    let what = if awaits.reason.is_empty() { String::new() } else { format!(": {}", awaits.reason) };
    let message = format!("it waits for somebody to complete it, until {}{what}", awaits.until);
    Some(HoldReport { hold: "completion".into(), message })
}

/// What somebody has given as its output, and what that means.
pub(super) fn completion(task: &Task, given: &Completion) -> CompletionReport {
    let (who, at) = (given.who(), given.at);
    let means = if given.taken {
        "the task has succeeded with it"
    } else if task.state.is_terminal() {
        "its attempt ended by itself, and did not take it"
    } else {
        "the task succeeds with it as soon as its handler waits to be completed"
    };
    CompletionReport {
        by: given.by.clone(),
        with_token: given.with_token,
        at: at.to_string(),
        policy: given.taken.then(|| super::word(Policy::Completed)),
        message: format!("given at {at} by {who}; {means}"),
    }
}

/// What is to be said of code that no worker has ready; nothing of other holds.
fn code(hold: &Hold) -> String {
    match hold {
        Hold::Compiling { component, problem: None } => format!("component {component} is being compiled"),
        Hold::Compiling { component, problem: Some(problem) } => {
            format!("component {component} is compiled again, for the last time it was: {problem}")
        }
        Hold::Uncompilable { component, problem } => format!(
            "component {component} cannot be compiled on any host: {problem}; deploy it again, or cancel what waits for \
             it and rerun that with the active version"
        ),
        _ => String::new(),
    }
}

/// Why tasks of a queue wait for code, for whoever looks at the queue.
pub fn stalled(Stalled { handler, queued, hold }: &Stalled) -> String {
    let (count, tasks) = (format_count(*queued), if *queued == 1 { "task waits" } else { "tasks wait" });
    format!("{count} {tasks} for code of `{handler}`: {}", code(hold))
}

/// What happens next, or why the task has ended as it did.
pub(super) fn conclusion(task: &Task, standing: Option<&Standing>, now: Timestamp) -> String {
    let (held, ahead) = standing.map_or((false, None), |standing| (!standing.holds.is_empty(), standing.ahead));
    let attempt = task.attempts_started.saturating_add(1);
    let mut text = match &task.state {
        State::Blocked(Block::Children) if task.cancel.is_some() => {
            "it is cancelled as soon as its children have ended".into()
        }
        State::Blocked(Block::Children) => "its own part is over, and it ends when its children have".into(),
        State::Blocked(Block::Others { waits_for: 1, .. }) => "it waits for another task or group of its job".into(),
        State::Blocked(Block::Others { waits_for, .. }) => {
            format!("it waits for {} other tasks or groups of its job", format_count(*waits_for))
        }
        State::Scheduled { until } if task.awaits.is_some() => {
            format!("unless somebody completes it, attempt {attempt} is due {}", at(*until, now))
        }
        State::Scheduled { until } | State::RetryScheduled { until } if task.attempts_started > 0 => {
            format!("attempt {attempt} is due {}", at(*until, now))
        }
        State::Scheduled { until } | State::RetryScheduled { until } => {
            format!("its first attempt is due {}", at(*until, now))
        }
        State::Queued if held => format!("attempt {attempt} starts when nothing holds it up any more"),
        State::Queued => {
            let turn = match ahead {
                None | Some(0) => "",
                Some(_) => "its turn has come and ",
            };
            format!("attempt {attempt} starts when {turn}a worker of the queue `{}` has a free slot", task.spec.queue)
        }
        State::Running(_) if task.cancel.is_some() => "it is cancelled as soon as its attempt has ended".into(),
        State::Running(lease) => {
            let given = standing.and_then(|standing| standing.runs.as_ref()).map(|runs| runs.limits.timeout);
            let limit = lease.started_at.after(given.unwrap_or(task.spec.limits.timeout));
            format!("attempt {} runs, and is stopped unless it ends by {limit}", task.attempts_started)
        }
        State::Succeeded => succeeded(task),
        State::Dead => format!("it is dead: {}", last_words(task)),
        State::Cancelled => {
            let reason = task.cancel.as_ref().map(|cancel| format!(": {}", cancel.reason)).unwrap_or_default();
            let begun = if task.attempts_started == 0 { " before its first attempt" } else { "" };
            format!("it was cancelled{begun}{reason}")
        }
        State::Expired => match task.expires_at {
            Some(at) => format!("it has expired: it was not started by {at}"),
            None => "it has expired".into(),
        },
    };
    if task.is_unstarted()
        && let Some(expires) = task.expires_at
    {
        text.push_str(&format!("; it expires unless that is by {expires}"));
    }
    text
}

fn at(until: Timestamp, now: Timestamp) -> String {
    if until > now { format!("at {until}, in {}", format_duration(until.since(now))) } else { "now".into() }
}

fn succeeded(task: &Task) -> String {
    let output = task.output.as_ref().map_or(String::new(), |output| {
        format!(", with an output of {} of {}", format_bytes(output.size_bytes), output.media_type)
    });
    match task.completion.as_ref().filter(|given| given.taken) {
        Some(given) => format!("it was completed after attempt {} by {}{output}", task.attempts_started, given.who()),
        None => format!("it succeeded in attempt {}{output}", task.attempts_started),
    }
}

/// Why its last attempt was its last.
fn last_words(task: &Task) -> String {
    if task.failed_child.is_some() {
        return task.why_dead().unwrap_or_default();
    }
    let Some(last) = task.attempts.last() else { return "nothing is known of its attempts".into() };
    let said = match &last.ending {
        Ending::Failed { kind, message } => format!("; the last was {kind}: {message}"),
        Ending::Stopped { cause, message } => format!("; the last was {cause}: {message}"),
        Ending::HostFailed { message } => format!("; {message}"),
        Ending::Completed
        | Ending::Decomposed { .. }
        | Ending::Snoozed { .. }
        | Ending::HostLost
        | Ending::HandedBack => String::new(),
    };
    format!("{}{said}", last.decision.reason)
}
