//! The end of a task from outside: somebody gives its output while it waits for that, or while its attempt still runs.
//!
//! What is given stands in the record. It is taken when the task waits for it, at once or later, and by nothing else: an
//! attempt that ends by itself meanwhile has its own output.

use std::fmt;
use std::hint::black_box;

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Digest, PayloadInfo, TaskId, Timestamp};

/// The key of the setting of a snooze by which a handler says for what it waits.
pub const WAIT_FOR: &str = "wait-for";
/// What it can wait for.
pub const COMPLETION: &str = "completion";
/// The attribute of an attempt's context that has how often the task has waited to be completed, and was not. Not there when it
/// never has.
pub const COMPLETION_WAITS: &str = "completion-waits";
/// A longer name of who has completed a task is refused; in bytes.
pub const MAX_COMPLETER_BYTES: usize = 256;

/// That a task may be completed now, and its handler waits for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaits {
    /// Since when.
    pub since: Timestamp,
    /// When the handler is run again, to decide without.
    pub until: Timestamp,
    /// Why, as the handler has said it; for people.
    pub reason: String,
}

/// What somebody has given as a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Who it was, in their own words. None: they did not say.
    pub by: Option<String>,
    /// Whether they had the task's token, and needed no other right.
    pub with_token: bool,
    /// When it came.
    pub at: Timestamp,
    /// What was given, without its body.
    pub output: PayloadInfo,
    /// The digest of its body, by which the same answer is known when it comes again.
    pub digest: Digest,
    /// Whether the task has succeeded with it. Not so while its attempt has not ended, nor when that ended otherwise.
    pub taken: bool,
}

impl Completion {
    /// Whether this was given.
    pub fn is(&self, output: &PayloadInfo, digest: Digest) -> bool {
        self.output == *output && self.digest == digest
    }

    /// Who it was, for people.
    pub fn who(&self) -> String {
        match (&self.by, self.with_token) {
            (Some(by), false) => format!("`{by}`"),
            (Some(by), true) => format!("`{by}`, with its token"),
            (None, false) => "somebody without a name".into(),
            (None, true) => "whoever had its token".into(),
        }
    }
}

/// What makes the tokens of a store's tasks: as good as all of them, and shown to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionKey([u8; 32]);

impl CompletionKey {
    /// The key with these bytes, which nobody can guess.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token of this task. It is the same for ever, and nothing of it is kept.
    pub fn token(&self, task: TaskId) -> CompletionToken {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(b"sunaba completion token\0");
        mac.update(task.as_bytes());
        let text = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        CompletionToken(text)
    }
}

impl CompletionKey {
    /// A mark by which two texts are told apart in a log, and from which nobody without the key learns anything of them, however few
    /// they may be.
    pub fn mark(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(b"sunaba mark\0");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for CompletionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompletionKey(..)")
    }
}

/// Whoever has it may complete one task, and needs no other right for that.
#[derive(Clone, PartialEq, Eq)]
pub struct CompletionToken(String);

impl CompletionToken {
    /// Its text: 64 hexadecimal digits.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is its text. Takes as long for one wrong text as for another.
    pub fn is(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let differs = own.iter().zip(given).fold(0, |differs, (own, given)| black_box(differs | (own ^ given)));
        differs == 0 && own.len() == given.len()
    }
}

impl fmt::Debug for CompletionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompletionToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{self, NOW};
    use crate::{Decision, Ending, Event, Policy, Settled, State, StateName, Task, Verdict, transition};

    #[test]
    fn token_is_of_one_task_and_one_key() {
        let (key, other) = (CompletionKey::new([1; 32]), CompletionKey::new([2; 32]));
        let (task, another) = (TaskId::from_bytes([1; 16]), TaskId::from_bytes([2; 16]));
        let token = key.token(task);
        assert_eq!((token.reveal().len(), key.token(task)), (64, token.clone()));
        assert!(token.is(key.token(task).reveal()));
        for wrong in [key.token(another).reveal(), other.token(task).reveal(), "", &token.reveal()[..63]] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert!(!token.is(&format!("{}0", token.reveal())) && !token.is(&token.reveal().to_uppercase()));
    }

    #[test]
    fn neither_key_nor_token_is_shown_by_chance() {
        let key = CompletionKey::new([7; 32]);
        let token = key.token(TaskId::from_bytes([1; 16]));
        let shown = format!("{key:?} {token:?}");
        assert!(!shown.contains(token.reveal()) && !shown.contains('7'), "{shown}");
    }

    fn completed() -> Event {
        Event::Completed(Box::new(testing::completion()))
    }

    fn settled(verdict: Verdict) -> Event {
        settled_by(verdict, Policy::Retry)
    }

    fn settled_by(verdict: Verdict, policy: Policy) -> Event {
        let decision = Decision::uncharged(verdict, policy, "r".into());
        Event::Settled(Box::new(Settled { ending: Ending::Completed, decision, receipt: None, output: None }))
    }

    fn waiting() -> Task {
        let running = testing::task_in(StateName::Running);
        transition(&running, settled(Verdict::Await(Duration::from_secs(60))), NOW).expect("it runs").task
    }

    #[test]
    fn completion_ends_a_task_that_waits_for_it_due_or_not() {
        let waiting = waiting();
        let until = NOW.after(Duration::from_secs(60));
        assert_eq!((&waiting.state, waiting.completion_waits), (&State::Scheduled { until }, 1));
        assert_eq!(waiting.awaits.as_ref().map(|awaits| (awaits.since, awaits.until)), Some((NOW, until)));
        let due = transition(&waiting, Event::Due, NOW).expect("it waits").task;
        for task in [waiting, due] {
            let ended = transition(&task, completed(), NOW).expect("it waits").task;
            let taken = ended.completion.expect("it was completed");
            assert_eq!((ended.state, ended.output, ended.awaits), (State::Succeeded, Some(taken.output), None));
            assert!(taken.taken);
        }
    }

    #[test]
    fn nobody_completes_a_task_that_waits_no_more() {
        let due = transition(&waiting(), Event::Due, NOW).expect("it waits").task;
        let again = transition(&due, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        assert_eq!((again.awaits.clone(), again.completion_waits), (None, 1));
        let dead = transition(&again, settled(Verdict::GiveUp), NOW).expect("it runs").task;
        assert!(transition(&dead, completed(), NOW).is_err());
        let cancelled = transition(&waiting(), Event::CancelRequested(testing::cancel()), NOW).expect("it waits").task;
        assert_eq!((cancelled.awaits.clone(), transition(&cancelled, completed(), NOW).is_err()), (None, true));
    }

    #[test]
    fn completion_of_a_running_task_is_kept_until_it_waits() {
        let running = testing::task_in(StateName::Running);
        let mut kept = transition(&running, completed(), NOW).expect("it runs").task;
        assert_eq!((kept.state.name(), kept.output.clone()), (StateName::Running, None));
        assert!(transition(&kept, completed(), NOW).is_err(), "the first stands");
        // Nothing but a wait takes it: not a failure, nor a lost host.
        for event in [settled(Verdict::Retry(Duration::ZERO)), Event::HostLost] {
            let back = transition(&kept, event, NOW).expect("it runs").task;
            let queued = if back.state == State::Queued {
                back
            } else {
                transition(&back, Event::Due, NOW).expect("it waits").task
            };
            kept = transition(&queued, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
            assert!(kept.completion.as_ref().is_some_and(|completion| !completion.taken));
        }
        let ended = transition(&kept, settled_by(Verdict::Succeed, Policy::Completed), NOW).expect("it runs").task;
        assert_eq!((ended.state, ended.output), (State::Succeeded, Some(testing::completion().output)));
    }

    #[test]
    fn completion_is_kept_by_what_has_begun_and_by_nothing_else() {
        for state in [StateName::Scheduled, StateName::Queued, StateName::RetryScheduled] {
            for begun in [false, true] {
                let task = Task { begun, ..testing::task_in(state) };
                assert_eq!(transition(&task, completed(), NOW).is_ok(), begun, "{state}");
            }
        }
        let blocked = Task { begun: true, ..testing::task_in(StateName::Blocked) };
        assert!(transition(&blocked, completed(), NOW).is_err());
    }
}
