//! What was acknowledged, kept outside of the store, and the look whether it is all there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sunaba_runtime::store::{EmbeddedStore, MAX_PAGE, OpenError, Store as _, TaskQuery};
use sunaba_runtime::task::{State, Task, TaskId, Verdict};

use super::child::output;
use crate::tally::Tally;

/// The attribute that says which of a child's tasks it is.
pub(super) const NUMBER: &str = "number";

/// How often, and after how long, a directory is looked at that another process has not quite left.
const MAX_LOOKS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// What a child says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// The store is open.
    Ready,
    /// A submit was acknowledged.
    Submitted(u64, TaskId),
    /// A settlement with which the task succeeded, in this attempt, was acknowledged.
    Ended(TaskId, u32),
    /// A submit was refused for want of room.
    NoRoom,
    /// The store has failed.
    Failed(String),
    /// Something was answered that must not be.
    Wrong(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Submitted(number, task) => write!(f, "submitted {number} {task}"),
            Self::Ended(task, attempt) => write!(f, "ended {task} {attempt}"),
            Self::NoRoom => f.write_str("no-room"),
            Self::Failed(error) => write!(f, "failed {error}"),
            Self::Wrong(what) => write!(f, "wrong {what}"),
        }
    }
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let two = || rest.split_once(' ').ok_or(());
        match word {
            "ready" => Ok(Self::Ready),
            "submitted" => {
                let (number, task) = two()?;
                Ok(Self::Submitted(number.parse().map_err(|_| ())?, task.parse().map_err(|_| ())?))
            }
            "ended" => {
                let (task, attempt) = two()?;
                Ok(Self::Ended(task.parse().map_err(|_| ())?, attempt.parse().map_err(|_| ())?))
            }
            "no-room" => Ok(Self::NoRoom),
            "failed" => Ok(Self::Failed(rest.to_owned())),
            "wrong" => Ok(Self::Wrong(rest.to_owned())),
            _ => Err(()),
        }
    }
}

/// All that was acknowledged of one store.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    submitted: BTreeMap<u64, TaskId>,
    ended: BTreeMap<TaskId, u32>,
}

impl Ledger {
    /// Writes down what was said.
    pub(super) fn note(&mut self, line: &Line, tally: &mut Tally) {
        match line {
            Line::Submitted(number, task) => {
                tally.acknowledged += 1;
                // The same number again is the same task, by its idempotency key.
                if self.submitted.insert(*number, *task).is_some_and(|before| before != *task) {
                    tally.duplicated += 1;
                }
            }
            Line::Ended(task, attempt) => {
                tally.acknowledged += 1;
                tally.duplicated += u64::from(self.ended.insert(*task, *attempt).is_some());
            }
            Line::Wrong(what) => tally.problems.push(what.clone()),
            Line::Ready | Line::NoRoom | Line::Failed(_) => {}
        }
    }

    /// The number of the next task; what was not acknowledged is submitted again.
    pub(super) fn next(&self) -> u64 {
        self.submitted.keys().rfind(|number| **number < u64::MAX / 2).map_or(0, |number| number + 1)
    }

    /// Opens the store, and looks for everything that was acknowledged.
    pub(super) fn check(&self, directory: &Path, tally: &mut Tally) {
        let watch = super::Stopwatch::start();
        let store = match open(directory) {
            Ok(store) => store,
            Err(error) => {
                tally.lost += (self.submitted.len() + self.ended.len()) as u64;
                return tally.problems.push(format!("the store cannot be opened: {error}"));
            }
        };
        let recovery = watch.elapsed();
        tally.recovery = tally.recovery.max(Some(recovery));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let looked = runtime.expect("a runtime").block_on(self.look(&store, tally));
        if let Err(error) = looked {
            tally.problems.push(format!("the store cannot be read: {error}"));
        }
    }

    async fn look(&self, store: &EmbeddedStore, tally: &mut Tally) -> Result<(), sunaba_runtime::store::StoreError> {
        let mut tasks = BTreeMap::new();
        let mut by_number = BTreeMap::<String, u32>::new();
        let mut before = None;
        loop {
            let page = store.tasks(TaskQuery { before, limit: MAX_PAGE, ..TaskQuery::default() }).await?;
            for task in page.tasks {
                let number = task.spec.attributes.iter().find(|(key, _)| key == NUMBER);
                *by_number.entry(number.map(|(_, number)| number.clone()).unwrap_or_default()).or_default() += 1;
                tasks.insert(task.id, task);
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        tally.duplicated += by_number.values().filter(|count| **count > 1).count() as u64;
        tally.duplicated += tasks.values().filter(|task| results(task) > 1).count() as u64;
        for (number, id) in &self.submitted {
            if !tasks.contains_key(id) {
                tally.lost += 1;
                tally.problems.push(format!("task {number}, {id}, is lost"));
            }
        }
        for (id, attempt) in &self.ended {
            let kept = match tasks.get(id) {
                Some(task) if task.state == State::Succeeded && task.attempts_started == *attempt => {
                    store.output(*id).await? == Some(output(*id, *attempt))
                }
                _ => false,
            };
            if !kept {
                tally.lost += 1;
                let state = tasks.get(id).map(|task| task.state.name().to_string());
                tally.problems.push(format!("the result of attempt {attempt} of {id} is lost: it is {state:?}"));
            }
        }
        Ok(())
    }
}

/// Opens a store as soon as the system has taken the directory from the process before.
fn open(directory: &Path) -> Result<EmbeddedStore, OpenError> {
    for _ in 0..MAX_LOOKS {
        match EmbeddedStore::sled(directory) {
            Err(OpenError::InUse { .. }) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    EmbeddedStore::sled(directory)
}

fn results(task: &Task) -> usize {
    task.attempts.iter().filter(|attempt| attempt.decision.verdict == Verdict::Succeed).count()
}
