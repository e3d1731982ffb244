//! What a guest asks its host for about its task's children and about its next attempt.
//!
//! Every call can wait, so each goes through the ledger and is raced against the attempt's switch. What a guest hands over is
//! held to its bounds here, before anybody else sees it, and its secrets are taken out. A refusal is an answer: the guest goes
//! on, and what it does with it is its own business.

use bytes::Bytes;
use sunaba_task::job::MAX_PLAN_NODES;
use sunaba_task::{AskError, AskErrorKind, EndedPage, EndedTask, MAX_CHECKPOINT_BYTES, format_bytes, format_count};

use crate::bindings::{host, types};
use crate::book::Book;
use crate::calls::Moves;
use crate::convert;
use crate::state::{State, refuse_in_describe};

/// The most children that one attempt may ask for one by one. As many as a plan may have.
const MAX_SUBMITS: u64 = MAX_PLAN_NODES as u64;
/// The longest name of a child, in bytes, and of what stands for a group of them.
const MAX_NAME_BYTES: usize = 128;
const MAX_AWAITED_BYTES: usize = MAX_NAME_BYTES + "/*".len();
/// The longest message of a refusal, in bytes. What is told of is the guest's own.
const MAX_REFUSAL_BYTES: usize = 2048;

type Asked<T> = wasmtime::Result<Result<T, types::Refusal>>;

/// Of a child that is asked for by itself: what its records, names, options and input have together.
fn child_bytes(child: &types::Child) -> usize {
    let settings = |settings: &[(String, String)]| settings.iter().map(|(key, value)| key.len() + value.len()).sum();
    let after = |after: &types::Dependency| -> usize {
        let settings: usize = settings(&after.settings);
        after.name.len() + settings
    };
    let of_settings: usize = settings(&child.settings);
    let of_after: usize = child.after.iter().map(after).sum();
    let names = child.name.len() + child.handler.len() + child.input.media_type.len();
    names + child.input.bytes.len() + of_after + of_settings
}

fn check_name(name: &str, what: &str, most: usize) -> Result<(), AskError> {
    if (1..=most).contains(&name.len()) {
        return Ok(());
    }
    let message = format!("{what} has {} bytes: it has 1 to {most} of visible ASCII", name.len());
    Err(AskError::new(AskErrorKind::Invalid, message))
}

fn refusal(mut error: AskError, book: &Book) -> types::Refusal {
    book.cut(&mut error.message, MAX_REFUSAL_BYTES);
    as_refusal(error)
}

/// A refusal in the words of the contract.
pub(crate) fn as_refusal(AskError { kind, message }: AskError) -> types::Refusal {
    let kind = match kind {
        AskErrorKind::Invalid => types::RefusalKind::Invalid,
        AskErrorKind::Conflict => types::RefusalKind::Conflict,
        AskErrorKind::NotFound => types::RefusalKind::NotFound,
        AskErrorKind::Limit => types::RefusalKind::Limit,
        AskErrorKind::Unavailable => types::RefusalKind::Unavailable,
    };
    types::Refusal { kind, message }
}

fn page(page: EndedPage) -> host::EndedPage {
    let task = |EndedTask { name, task, state, output }| host::EndedTask {
        name,
        task_id: task.to_string(),
        state: state.to_string(),
        output: output.as_ref().map(convert::to_guest),
    };
    host::EndedPage { tasks: page.tasks.into_iter().map(task).collect(), next: page.next }
}

impl State {
    pub(crate) async fn submit(&mut self, child: types::Child) -> Asked<String> {
        const NAME: &str = "sunaba:task/host.submit";
        let Self { calls, interrupt, host, book, purpose, submits, .. } = self;
        let bytes = child_bytes(&child);
        let work = async {
            refuse_in_describe(*purpose, NAME)?;
            let asked = async {
                check_name(&child.name, "the name of the child", MAX_NAME_BYTES)?;
                if *submits >= MAX_SUBMITS {
                    let most = format_count(MAX_SUBMITS);
                    let message = format!(
                        "this attempt has asked for {most} children: that is the limit\nhint: return a plan, or let \
                         children have children of their own"
                    );
                    return Err(AskError::new(AskErrorKind::Limit, message));
                }
                *submits += 1;
                let redactor = book.redactor();
                host.submit_child(convert::child(child, book, redactor.as_deref())).await
            };
            Ok(asked.await.map(|id| id.to_string()).map_err(|error| refusal(error, book)))
        };
        calls.wait(interrupt, NAME, bytes, work).await
    }

    pub(crate) async fn dependency_outputs(&mut self, name: String, after: Option<String>) -> Asked<host::EndedPage> {
        const NAME: &str = "sunaba:task/host.dependency-outputs";
        let Self { calls, interrupt, host, book, purpose, .. } = self;
        let bytes = name.len() + after.as_ref().map_or(0, String::len);
        let work = async {
            refuse_in_describe(*purpose, NAME)?;
            let asked = async {
                check_name(&name, "the name of what was waited for", MAX_AWAITED_BYTES)?;
                if let Some(after) = &after {
                    check_name(after, "the name to go on after", MAX_NAME_BYTES)?;
                }
                host.dependency_outputs(name, after).await
            };
            Ok(asked.await.map(page).map_err(|error| refusal(error, book)))
        };
        calls.wait(interrupt, NAME, bytes, work).await
    }

    pub(crate) async fn checkpoint(&mut self, bytes: Vec<u8>) -> Asked<()> {
        const NAME: &str = "sunaba:task/host.checkpoint";
        let Self { calls, interrupt, host, book, purpose, .. } = self;
        let size = bytes.len();
        let work = async {
            refuse_in_describe(*purpose, NAME)?;
            let asked = async {
                if size > MAX_CHECKPOINT_BYTES {
                    let (size, most) = (format_bytes(size as u64), format_bytes(MAX_CHECKPOINT_BYTES as u64));
                    let message = format!(
                        "the checkpoint has {size}: the limit is {most}\nhint: keep where to go on, and let children give \
                         what is large"
                    );
                    return Err(AskError::new(AskErrorKind::Limit, message));
                }
                let mut bytes = Bytes::from(bytes);
                if let Some(redactor) = book.redactor() {
                    redactor.bytes(&mut bytes);
                }
                host.checkpoint(bytes).await
            };
            Ok(asked.await.map_err(|error| refusal(error, book)))
        };
        calls.wait(interrupt, NAME, size, work).await
    }

    pub(crate) async fn last_checkpoint(&mut self) -> Asked<Option<Vec<u8>>> {
        const NAME: &str = "sunaba:task/host.last-checkpoint";
        let Self { calls, interrupt, host, book, purpose, .. } = self;
        let work = async {
            refuse_in_describe(*purpose, NAME)?;
            let kept = host.last_checkpoint().await;
            Ok(kept.map(|kept| kept.map(|bytes| bytes.to_vec())).map_err(|error| refusal(error, book)))
        };
        calls.wait(interrupt, NAME, 0, work).await
    }
}

impl<T: Moves> Moves for Result<T, types::Refusal> {
    fn moves(&self) -> usize {
        match self {
            Ok(value) => value.moves(),
            Err(refusal) => refusal.message.len(),
        }
    }
}

impl Moves for host::EndedPage {
    fn moves(&self) -> usize {
        let output = |output: &types::Payload| output.media_type.len() + output.bytes.len();
        let task = |task: &host::EndedTask| {
            task.name.len() + task.task_id.len() + task.state.len() + task.output.as_ref().map_or(0, output)
        };
        self.tasks.iter().map(task).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_obeyed_and_violated() {
        for (name, fits) in [("x", true), (&*"x".repeat(128), true), ("", false), (&*"x".repeat(129), false)] {
            let checked = check_name(name, "the name", MAX_NAME_BYTES);
            assert_eq!(checked.is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn all_of_a_child_is_counted() {
        let payload = types::Payload { media_type: "a/b".into(), bytes: vec![0; 10] };
        let settings = vec![("queue".to_owned(), "mail".to_owned())];
        let after = vec![types::Dependency { name: "first".into(), settings: settings.clone() }];
        let child = types::Child { name: "n".into(), handler: "hh".into(), input: payload, after, settings };
        assert_eq!(child_bytes(&child), 1 + 2 + 3 + 10 + (5 + 9) + 9);
    }
}
