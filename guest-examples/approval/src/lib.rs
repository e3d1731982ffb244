//! A task that waits for a person.
//!
//! Nothing runs while it waits, neither here nor on the host: the handler says for how long, and returns. Whoever completes the
//! task gives its output. If nobody does, the handler is run again, and sees how often it has waited.

mod notify;

use sunaba_sdk::prelude::*;

/// What is approved without asking anybody.
const SMALL: u64 = 100;

/// An expense that somebody wants to have approved.
#[data]
pub struct Expense {
    /// In whole units of money.
    amount: u64,
    /// What it is for.
    purpose: String,
    /// How long to wait for an answer, and once more after a reminder; a day unless it is said.
    wait_seconds: Option<u64>,
    /// Where an outside system is told, which can answer by itself: `http://HOST:PORT/PATH`.
    notify: Option<String>,
}

/// The answer: the task's output, whoever gives it.
#[data]
pub struct Approval {
    approved: bool,
    /// What there is to say about it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Has an expense approved: a small one at once, a larger one by somebody.
#[handler(timeout = "30s", memory = "16MiB", http = "*")]
pub fn approval(ctx: &Context, expense: Expense) -> Result<Outcome<Approval>, TaskError> {
    let Expense { amount, purpose, wait_seconds, notify } = expense;
    if amount <= SMALL {
        let note = Some(format!("nothing up to {SMALL} is asked about"));
        return Ok(Outcome::Complete(Approval { approved: true, note }));
    }
    let (asked, id) = (format!("{amount} for {purpose}"), ctx.task_id());
    match ctx.completion_waits() {
        0 => {
            log::info!(
                "asks for {asked}; answer with: sunaba task complete {id} --output '{{\"approved\":true}}' --by NAME"
            );
            // The token is in the message and nowhere else: whoever has it can answer for this task.
            if let Some(url) = &notify
                && let Some(token) = ctx.completion_token()
            {
                notify::post(url, &asked, id, &token)?;
            }
        }
        1 => log::warn!("nobody has answered yet; asks once more for {asked}"),
        _ => return Err(TaskError::fatal(format!("nobody has approved {asked}")).with_kind("not-approved")),
    }
    let wait = Duration::from_secs(wait_seconds.unwrap_or(24 * 60 * 60));
    Ok(Snooze::after(wait).reason(asked).until_completed().into())
}

export!(approval);

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::{Attempt, run_json};

    fn ask(amount: u64, waits: u32) -> Result<Outcome<Approval>, TaskError> {
        let (wait_seconds, notify) = (Some(60), None);
        let expense = Expense { amount, purpose: "paper".into(), wait_seconds, notify };
        let attempt = if waits > 0 { Attempt::new().completion_waits(waits) } else { Attempt::new() };
        approval(&attempt.context(), expense)
    }

    #[test]
    fn small_amounts_are_approved_at_once() {
        assert!(matches!(ask(SMALL, 0), Ok(Outcome::Complete(Approval { approved: true, .. }))));
    }

    #[test]
    fn larger_ones_wait_remind_once_and_fail() {
        for waits in [0, 1] {
            let Ok(Outcome::Snooze(snooze)) = ask(SMALL + 1, waits) else { panic!("it waits") };
            assert_eq!((snooze.delay(), snooze.why()), (Duration::from_secs(60), "101 for paper"));
        }
        let Err(error) = ask(SMALL + 1, 2) else { panic!("nobody has answered") };
        assert_eq!((error.kind(), error.message()), ("not-approved", "nobody has approved 101 for paper"));
    }

    #[test]
    fn other_json_is_refused_before_the_handler_runs() {
        let error = run_json::<approval>(&Attempt::new().context(), r#"{"amount":-1}"#).expect_err("it is none");
        assert_eq!(error.kind(), "invalid-input");
    }
}
