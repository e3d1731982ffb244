//! Calls handlers natively, without a sandbox.
//!
//! A handler stays a plain function: a test calls it with an input and the context of an [`Attempt`]. [`run_json`]
//! goes the whole way that a host goes, from the bytes of the input to the bytes of the output.
//!
//! What the handler waited for is given to the attempt; the children that it asked for, and what it kept for its next attempt,
//! can be read from it afterwards. A plan that it returned is in its outcome.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod artifacts;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ask::{EndedPage, EndedTask};
use crate::context::{Facts, Host, Remaining};
use crate::handler::Entry;
use crate::{Child, Context, Handler, Outcome, Output, Payload, Refusal, RefusalKind, TaskError};

/// Outputs of one page: few, so that a test with some of them sees more than one.
const PAGE: usize = 3;

/// A fraction and a message.
type Report = (Option<f64>, String);

/// An attempt to run a handler in: the first of four, in the queue `default`, unless told otherwise.
///
/// ```
/// # use sunaba_sdk::{prelude::*, testing::Attempt};
/// #[handler]
/// fn careful(ctx: &Context, input: u32) -> Result<u32, TaskError> {
///     ctx.progress(0.5, "half");
///     if ctx.is_last_attempt() { Ok(0) } else { Ok(input) }
/// }
///
/// let attempt = Attempt::new().failures(3);
/// assert_eq!(careful(&attempt.context(), 7).unwrap(), 0);
/// assert_eq!(attempt.progress(), [(Some(0.5), "half".to_owned())]);
/// ```
#[derive(Debug, Clone)]
pub struct Attempt {
    facts: Facts,
    remaining: Remaining,
    cancelled: bool,
    completion_token: Option<String>,
    progress: Rc<RefCell<Vec<Report>>>,
    /// What the handler waited for, by name.
    given: BTreeMap<String, EndedTask>,
    submitted: Rc<RefCell<Vec<(String, Child)>>>,
    checkpoint: Rc<RefCell<Option<Vec<u8>>>>,
    /// Whether there is a store.
    without_store: bool,
    #[cfg(not(target_family = "wasm"))]
    shelf: Rc<artifacts::Shelf>,
}

impl Default for Attempt {
    fn default() -> Self {
        Self::new()
    }
}

impl Attempt {
    /// The first attempt of a new task.
    pub fn new() -> Self {
        Self {
            facts: Facts {
                task_id: "00000000-0000-7000-8000-000000000000".into(),
                job_id: None,
                queue: "default".into(),
                attempt: 1,
                failures: 0,
                max_attempts: 4,
                submitted_at: SystemTime::UNIX_EPOCH,
                started_at: SystemTime::UNIX_EPOCH,
                deadline: None,
                idempotency_key: None,
                attributes: Vec::new(),
            },
            remaining: Remaining::default(),
            cancelled: false,
            completion_token: None,
            progress: Rc::default(),
            given: BTreeMap::new(),
            submitted: Rc::default(),
            checkpoint: Rc::default(),
            without_store: false,
            #[cfg(not(target_family = "wasm"))]
            shelf: Rc::default(),
        }
    }

    /// So many attempts have failed before this one.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.facts.failures = failures;
        self.facts.attempt = failures.saturating_add(1);
        self
    }

    /// The task is dead after so many failures.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.facts.max_attempts = max_attempts;
        self
    }

    /// The task was submitted under this key.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.facts.idempotency_key = Some(key.into());
        self
    }

    /// A value travels with the task.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.attributes.push((key.into(), value.into()));
        self
    }

    /// The task has waited so often to be completed, and was not.
    #[must_use]
    pub fn completion_waits(mut self, waits: u32) -> Self {
        self.facts.attempt = self.facts.attempt.max(waits.saturating_add(1));
        self.attribute("completion-waits", waits.to_string())
    }

    /// What the handler gets when it asks for the task's token.
    #[must_use]
    pub fn completion_token(mut self, token: impl Into<String>) -> Self {
        self.completion_token = Some(token.into());
        self
    }

    /// The task was cancelled.
    #[must_use]
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// So much fuel is left, whenever the handler asks.
    #[must_use]
    pub fn remaining_fuel(mut self, fuel: u64) -> Self {
        self.remaining.fuel = Some(fuel);
        self
    }

    /// So much time is left, whenever the handler asks.
    #[must_use]
    pub fn remaining_time(mut self, time: Duration) -> Self {
        self.remaining.time = Some(time);
        self
    }

    /// The task has waited for this one, which gave this.
    ///
    /// # Panics
    /// The output has no JSON form.
    #[must_use]
    pub fn given(self, name: impl Into<String>, output: impl Output) -> Self {
        let output = output.encode().unwrap_or_else(|error| panic!("the output has no JSON form: {error}"));
        self.ended(name.into(), "succeeded", Some(output))
    }

    /// The task has waited for this one, which has ended in this state (`dead`, `cancelled`, `expired`), and goes on all the same.
    #[must_use]
    pub fn not_given(self, name: impl Into<String>, state: &str) -> Self {
        self.ended(name.into(), state, None)
    }

    fn ended(mut self, name: String, state: &str, output: Option<Payload>) -> Self {
        let task_id = id(self.given.len());
        let task = EndedTask { name: name.clone(), task_id, state: state.into(), output };
        self.given.insert(name, task);
        self
    }

    /// An attempt before this one has kept this.
    ///
    /// # Panics
    /// The value has no JSON form.
    #[must_use]
    pub fn checkpoint(self, value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_else(|error| panic!("the value has no JSON form: {error}"));
        *self.checkpoint.borrow_mut() = Some(bytes);
        self
    }

    /// There is no store, as by `sunaba run`: whatever needs one is refused.
    #[must_use]
    pub fn without_store(mut self) -> Self {
        self.without_store = true;
        self
    }

    /// The context that the handler gets.
    pub fn context(&self) -> Context {
        let context = Context::new(self.facts.clone(), Host::Recorder(self.clone()));
        #[cfg(not(target_family = "wasm"))]
        let context = context.with_shelf(&self.shelf);
        context
    }

    /// The children that the handler has asked for by [`Context::submit`] so far, each once.
    pub fn submitted(&self) -> Vec<(String, Child)> {
        self.submitted.borrow().clone()
    }

    /// What is kept for the next attempt.
    ///
    /// # Panics
    /// It is not of this type.
    pub fn last_checkpoint<T: DeserializeOwned>(&self) -> Option<T> {
        let kept = self.checkpoint.borrow();
        kept.as_deref().map(|bytes| {
            serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("the checkpoint is of another type: {error}"))
        })
    }

    /// Another task has left this file: one in the same plan, or one that this has made.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn artifact_of(self, task: &str, name: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.shelf.put(Some(task), artifacts::file(name, media_type, &bytes, 1), bytes);
        self
    }

    /// What the handler has put under this name, if it has finished it; nothing of a link.
    #[cfg(not(target_family = "wasm"))]
    pub fn artifact(&self, name: &str) -> Option<Vec<u8>> {
        self.shelf.get(None, name).map(|(_, bytes)| bytes)
    }

    /// What the handler has said by [`Context::progress`] so far.
    pub fn progress(&self) -> Vec<Report> {
        self.progress.borrow().clone()
    }
}

/// An id that looks like one.
fn id(index: usize) -> String {
    format!("00000000-0000-7000-8000-{:012x}", index + 1)
}

/// What a handler asks the host for.
impl Attempt {
    pub(crate) fn say_progress(&self, fraction: Option<f64>, message: &str) {
        self.progress.borrow_mut().push((fraction, message.to_owned()));
    }

    pub(crate) fn see_cancelled(&self) -> bool {
        self.cancelled
    }

    pub(crate) fn see_remaining(&self) -> Remaining {
        self.remaining
    }

    fn check_store(&self, what: &str) -> Result<(), Refusal> {
        let kind = RefusalKind::Unavailable;
        let refusal = || Refusal { kind, message: format!("there is no store for `{what}`") };
        if self.without_store { Err(refusal()) } else { Ok(()) }
    }

    pub(crate) fn submit_child(&self, name: String, child: &Child, _: Payload) -> Result<String, Refusal> {
        self.check_store("submit")?;
        let mut submitted = self.submitted.borrow_mut();
        match submitted.iter().position(|(known, _)| *known == name) {
            Some(index) if submitted[index].1 == *child => Ok(id(index)),
            Some(_) => {
                let message = format!("there is a child `{name}` already, with another body");
                Err(Refusal { kind: RefusalKind::Conflict, message })
            }
            None => {
                submitted.push((name, child.clone()));
                Ok(id(submitted.len() - 1))
            }
        }
    }

    pub(crate) fn page(&self, awaited: &str, after: Option<&str>) -> Result<EndedPage, Refusal> {
        self.check_store("dependency-outputs")?;
        let is_wanted = |name: &str| match awaited.strip_suffix("/*") {
            Some(group) => name.rsplit_once('/').is_some_and(|(found, _)| found == group),
            None => name == awaited,
        };
        let rest = self.given.values().filter(|task| is_wanted(&task.name));
        let mut rest = rest.filter(|task| after.is_none_or(|after| task.name.as_str() > after)).peekable();
        let tasks: Vec<_> = rest.by_ref().take(PAGE).cloned().collect();
        let next = rest.peek().and_then(|_| tasks.last()).map(|last| last.name.clone());
        Ok(EndedPage { tasks, next })
    }

    pub(crate) fn keep(&self, bytes: Vec<u8>) -> Result<(), Refusal> {
        self.check_store("checkpoint")?;
        *self.checkpoint.borrow_mut() = Some(bytes);
        Ok(())
    }

    pub(crate) fn kept(&self) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.checkpoint.borrow().clone())
    }

    pub(crate) fn see_token(&self) -> Option<String> {
        self.completion_token.clone()
    }
}

/// Runs a handler as a host does: decodes the JSON, calls the function, encodes the output.
///
/// # Errors
/// Whatever the handler returns; fatal with kind `invalid-input` when the JSON does not match its input type.
pub fn run_json<H: Handler>(context: &Context, input: &str) -> Result<Outcome<Payload>, TaskError> {
    crate::handler::run(&[Entry::of::<H>()], context, H::NAME, Payload::json(input))
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::{ArtifactReader, OutputError};

    fn child() -> Child {
        Child::of("words/count", "to be")
    }

    #[test]
    fn same_name_gives_the_same_child_and_another_body_conflicts() {
        let attempt = Attempt::new();
        let context = attempt.context();
        let first = context.submit("a", child()).expect("it is taken on");
        let second = context.submit("b", child()).expect("it is taken on");
        assert_ne!(first, second);
        assert_eq!(context.submit("a", child()), Ok(first));
        let conflict = context.submit("a", child().priority(1)).expect_err("another body");
        assert_eq!(conflict.kind, RefusalKind::Conflict);
        assert_eq!(attempt.submitted(), [("a".to_owned(), child()), ("b".to_owned(), child())]);
    }

    #[test]
    fn outputs_come_over_all_pages_in_the_order_of_names() {
        let names = (0..2 * PAGE + 1).map(|number| format!("count/{number}")).collect::<Vec<_>>();
        let attempt = names.iter().rev().fold(Attempt::new(), |attempt, name| attempt.given(name, name));
        let attempt = attempt.given("count/deep/1", "no").given("other", "no");
        let context = attempt.context();
        let given: Result<Vec<_>, _> =
            context.outputs::<String>("count/*").map(|given| given.map(|g| g.value)).collect();
        assert_eq!(given, Ok(names));
        assert_eq!(context.outputs::<String>("none/*").count(), 0);
    }

    #[test]
    fn what_gave_nothing_is_told_and_does_not_end_the_others() {
        let attempt = Attempt::new().given("count/1", 1_u32).not_given("count/2", "dead").given("count/3", "three");
        let context = attempt.context();
        let given: Vec<_> = context.outputs::<u32>("count/*").collect();
        assert_eq!(given[0].as_ref().map(|given| given.value), Ok(1));
        assert!(
            matches!(&given[1], Err(OutputError::NotSucceeded { name, state, .. }) if name == "count/2" && state == "dead")
        );
        assert!(matches!(&given[2], Err(OutputError::Mismatch { name, .. }) if name == "count/3"));
        assert_eq!(context.output::<u32>("count/1"), Ok(1));
        assert_eq!(context.output::<u32>("count/4"), Err(OutputError::Missing { name: "count/4".into() }));
    }

    #[test]
    fn without_a_store_all_is_refused_but_the_last_checkpoint() {
        let attempt = Attempt::new().without_store();
        let context = attempt.context();
        let is_unavailable = |refusal: Refusal| refusal.kind == RefusalKind::Unavailable;
        assert!(context.submit("a", child()).is_err_and(is_unavailable));
        assert!(context.checkpoint(&1).is_err_and(is_unavailable));
        assert_eq!(context.last_checkpoint::<u32>(), Ok(None));
        let outputs: Vec<_> = context.outputs::<u32>("count/*").collect();
        assert!(matches!(outputs.as_slice(), [Err(OutputError::Refused(_))]), "{outputs:?}");
    }

    #[test]
    fn checkpoint_of_another_type_is_told() {
        let context = Attempt::new().checkpoint(&"row 7").context();
        assert_eq!(context.last_checkpoint::<u32>().expect_err("it is a text").kind, RefusalKind::Invalid);
    }

    #[test]
    fn artifacts_are_put_and_read_as_on_a_host() {
        let attempt = Attempt::new().artifact_of("part/1", "a.txt", "text/plain", "from another task");
        let context = attempt.context();
        let large: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        let mut file = context.artifact("large", "application/octet-stream").unwrap();
        file.write_all(&large).unwrap();
        assert_eq!(attempt.artifact("large"), None, "it is not finished");
        assert_eq!(file.finish().unwrap().size_bytes, 200_000);
        context.link("home", "https://example.org").unwrap();
        let names =
            |of: Option<&str>| context.artifacts(of).unwrap().into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!((names(None), names(Some("part/1"))), (vec!["home".into(), "large".into()], vec!["a.txt".into()]));
        let mut read = Vec::new();
        context.open_artifact(None, "large").unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, large);
        let mut text = String::new();
        context.open_artifact("part/1", "a.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "from another task");
        let kind = |done: Result<ArtifactReader, TaskError>| done.err().map(|error| error.kind().to_owned());
        assert_eq!(kind(context.open_artifact("part/2", "a.txt")), Some("not-found".into()));
        assert_eq!(kind(context.open_artifact(None, "home")), Some("invalid".into()));
        assert_eq!(context.artifact("../x", "a/b").err().map(|error| error.kind().to_owned()), Some("invalid".into()));
    }
}
