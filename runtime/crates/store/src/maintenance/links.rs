//! What each kind of value must be, and which others it must agree with: a table, a check for each kind.

use std::collections::HashMap;

use bytes::Bytes;
use sunaba_task::job::{After, Job, OnFailure};
use sunaba_task::webhook::is_internal;
use sunaba_task::{
    ApiKey, AuditEntry, Callback, Completion, CompletionKey, Digest, HandlerControl, NewTask, QueueSettings, Retention,
    State, Task, TaskId, Timestamp,
};

use super::{LastOpened, artifacts, body, schedules, webhooks};
use crate::jobs::PlanPart;
use crate::planner::{
    Batch, Branch, Chore, EventBatch, Group, Holder, JobOwner, LeaseEntry, Noted, Owner, Stored, StoredVersion,
};
use crate::secrets::StoredSecret;
use crate::spot::Spot;
use crate::{Engine, Package, StoreError, UsageSums, codec, keys};

/// What is wrong with a pair besides itself. A value that cannot be read is [`StoreError::Damaged`].
pub(super) type Found = Result<Vec<String>, StoreError>;

/// A kind of keys.
pub(super) struct Kind {
    pub(super) letter: u8,
    /// What there are, in the plural.
    pub(super) name: &'static str,
    pub(super) check: fn(&Links<'_>, &[u8], &Bytes) -> Found,
}

/// Every kind but what was set aside, in the order of [`keys`].
pub(super) const KINDS: &[Kind] = &[
    Kind { letter: b'f', name: "format", check: |_, key, value| number(key, value) },
    Kind { letter: b's', name: "sequence", check: |_, key, value| number(key, value) },
    Kind { letter: b'h', name: "last host", check: |_, key, value| readable::<LastOpened>(key, value) },
    Kind { letter: b't', name: "tasks", check: task },
    Kind { letter: b'i', name: "inputs", check: input },
    Kind { letter: b'o', name: "outputs", check: output },
    Kind { letter: b'a', name: "attempts' details", check: attempt },
    Kind { letter: b'q', name: "places in queues", check: queued },
    Kind { letter: b'd', name: "tasks that wait for an instant", check: due },
    Kind { letter: b'x', name: "tasks that may expire", check: expiry },
    Kind { letter: b'l', name: "leases made together", check: leases },
    Kind { letter: b'v', name: "events told together", check: |_, key, value| readable::<EventBatch>(key, value) },
    Kind { letter: b'k', name: "idempotency keys", check: idempotency },
    Kind { letter: b'u', name: "unique keys", check: unique },
    Kind { letter: b'b', name: "tasks with callbacks", check: callbacks },
    Kind { letter: b'e', name: "notes of what is to be deleted", check: |_, key, value| readable::<Noted>(key, value) },
    Kind { letter: b'g', name: "tags of tasks", check: tag },
    Kind { letter: b'z', name: "tasks that ended, and not well, or wait to be completed", check: ended },
    Kind { letter: b'Q', name: "queues with settings", check: |_, key, value| readable::<QueueSettings>(key, value) },
    Kind {
        letter: b'H',
        name: "handlers with settings",
        check: |_, key, value| readable::<HandlerControl>(key, value),
    },
    Kind { letter: b'r', name: "retention", check: |_, key, value| readable::<Retention>(key, value) },
    Kind { letter: b'p', name: "packages", check: package },
    Kind { letter: b'n', name: "versions of packages", check: version },
    Kind { letter: b'c', name: "components", check: component },
    Kind { letter: b'I', name: "counts of tasks with deciders", check: |_, key, value| readable::<u64>(key, value) },
    Kind { letter: b'w', name: "sums of what was used", check: |_, key, value| readable::<UsageSums>(key, value) },
    Kind { letter: b'S', name: "secrets", check: |_, key, value| readable::<StoredSecret>(key, value) },
    Kind { letter: b'O', name: "notes of hosts", check: |_, key, value| readable::<Vec<u8>>(key, value) },
    Kind { letter: b'm', name: "key of tokens", check: |_, key, value| readable::<CompletionKey>(key, value) },
    Kind { letter: b'j', name: "jobs", check: |_, key, value| readable::<Job>(key, value) },
    Kind { letter: b'J', name: "idempotency keys of jobs", check: |_, key, value| readable::<JobOwner>(key, value) },
    Kind { letter: b'P', name: "parts of plans", check: |_, key, value| readable::<PlanPart>(key, value) },
    Kind { letter: b'T', name: "plans of tasks", check: branch },
    Kind { letter: b'N', name: "names in plans", check: node },
    Kind { letter: b'G', name: "groups of plans", check: |_, key, value| readable::<Group>(key, value) },
    Kind { letter: b'D', name: "tasks that wait for others", check: waits },
    Kind { letter: b'E', name: "what tasks were to wait for", check: after },
    Kind { letter: b'B', name: "jobs that have a time", check: |_, _, _| Ok(Vec::new()) },
    Kind { letter: b'U', name: "what undoes tasks", check: |_, key, value| readable::<NewTask>(key, value) },
    Kind { letter: b'K', name: "tasks that can be undone", check: |links, _, value| links.of_task(value, |_| None) },
    Kind { letter: b'A', name: "artifacts", check: artifacts::artifact },
    Kind { letter: b'R', name: "names of artifacts' files", check: artifacts::name },
    Kind { letter: b'W', name: "what is to be done for jobs", check: |_, key, value| readable::<Chore>(key, value) },
    Kind { letter: b'C', name: "checkpoints", check: checkpoint },
    Kind { letter: b'Z', name: "parts of schedules", check: schedules::schedule },
    Kind { letter: b'V', name: "parts of webhooks", check: webhooks::webhook },
    Kind { letter: b'Y', name: "keys of the API", check: |_, key, value| readable::<ApiKey>(key, value) },
    Kind {
        letter: b'L',
        name: "changes that were written down",
        check: |_, key, value| readable::<AuditEntry>(key, value),
    },
];

/// What checks look others up in.
pub(super) struct Links<'e> {
    pub(super) engine: &'e dyn Engine,
    /// What has a lease, with the revision that its record had before.
    pub(super) leased: HashMap<TaskId, u64>,
    pub(super) now: Timestamp,
}

/// A record that another value belongs to.
enum Record {
    Found(Box<Stored>),
    /// It is told where it stands itself.
    Damaged,
    Missing,
}

impl Links<'_> {
    fn record(&self, id: &[u8]) -> Result<Record, StoreError> {
        let Ok(id) = <[u8; 16]>::try_from(id) else { return Ok(Record::Missing) };
        let key = keys::task(TaskId::from_bytes(id));
        Ok(match self.engine.get(&key)? {
            Some(stored) => {
                codec::read(&key, &stored).map_or(Record::Damaged, |stored| Record::Found(Box::new(stored)))
            }
            None if self.engine.get(&keys::set_aside(&key))?.is_some() => Record::Damaged,
            None => Record::Missing,
        })
    }

    /// What is wrong with something that belongs to this task.
    pub(super) fn of_task(&self, id: &[u8], check: impl FnOnce(&Stored) -> Option<&'static str>) -> Found {
        Ok(match self.record(id)? {
            Record::Found(stored) => check(&stored).map(|problem| format!("{problem}, {}", stored.task.id)),
            Record::Damaged => None,
            Record::Missing => Some("its task is not there".into()),
        }
        .into_iter()
        .collect())
    }

    fn has(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        Ok(self.engine.get(key)?.as_deref() == Some(value))
    }

    /// Whether the task is in each index in which it is to be found.
    fn is_indexed(&self, Stored { task, .. }: &Stored) -> Result<bool, StoreError> {
        // A lease takes it out, and is not written into the record.
        let awaits = task.awaits.is_some() && self.leased.get(&task.id) != Some(&task.revision);
        let state = keys::in_state(task.state.name()).filter(|_| !is_internal(&task.spec.queue));
        let states = state.into_iter().chain(awaits.then(keys::awaiting));
        for prefix in states.chain(task.spec.tags.iter().map(|tag| keys::with_tag(tag))) {
            if !self.has(&keys::among(prefix, task.id), &[])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is wrong with a body that has a key of its own.
    fn body(&self, what: &str, key: &[u8], size_bytes: u64) -> Result<Option<String>, StoreError> {
        let Some(stored) = self.engine.get(key)? else { return Ok(Some(format!("its {what} is not there"))) };
        Ok(match body(key, &stored) {
            Ok(body) if body.len() as u64 == size_bytes => None,
            Ok(body) => Some(format!("its {what} has {} bytes, and not {size_bytes}", body.len())),
            // It is told where it stands itself.
            Err(_) => None,
        })
    }
}

fn readable<T: serde::de::DeserializeOwned>(key: &[u8], value: &Bytes) -> Found {
    codec::read::<T>(key, value).map(|_| Vec::new())
}

fn number(key: &[u8], value: &Bytes) -> Found {
    readable::<u64>(key, value)
}

fn task(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let stored: Stored = codec::read(key, value)?;
    let (task, id) = (&stored.task, stored.task.id);
    let mut found = Vec::new();
    if key != keys::task(id) {
        found.push(format!("its key is not that of its task, {id}"));
    }
    let lease = links.leased.get(&id);
    match &task.state {
        State::Queued => {
            let waits = links.has(&Spot::of(task).to_bytes(), &keys::queued_value(task))?;
            match (waits, lease == Some(&task.revision)) {
                (true, false) | (false, true) => {}
                (false, false) => found.push("it is queued, and has no place in its queue".into()),
                (true, true) => found.push("it runs, and has a place in its queue".into()),
            }
        }
        State::Blocked(_) => {
            if !links.has(&keys::blocked(task.sequence), &keys::due_value(task))? {
                found.push("it waits for others, and is not among those that wait".into());
            }
        }
        State::Scheduled { until } | State::RetryScheduled { until } => {
            if !links.has(&keys::due(*until, task.sequence), &keys::due_value(task))? {
                found.push("it waits for an instant, and nothing makes it due".into());
            }
        }
        State::Running(_) if lease.is_none() => found.push("it runs, and has no lease".into()),
        State::Running(_) | State::Succeeded | State::Dead | State::Cancelled | State::Expired => {}
    }
    if let Some(at) = task.expires_at
        && task.is_unstarted()
        && lease != Some(&task.revision)
        && !links.has(&keys::expiry(at, task.sequence), id.as_bytes())?
    {
        found.push("it expires, and nothing makes it".into());
    }
    if stored.input.is_none() {
        found.extend(links.body("input", &keys::input(id), task.input.size_bytes)?);
    }
    if !links.is_indexed(&stored)? {
        found.push("it cannot be found by its state or by a tag".into());
    }
    if task.callbacks > 0 && links.engine.get(&keys::callbacks(id))?.is_none() {
        found.push("its callbacks are not there".into());
    }
    if stored.has_checkpoint && links.engine.get(&keys::checkpoint(id))?.is_none() {
        found.push("its checkpoint is not there".into());
    }

    if let Some(given) = kept(task).filter(|_| stored.output.is_none()) {
        found.extend(links.body("completion", &keys::output(id), given.output.size_bytes)?);
    }
    // Of one that may be deleted it does not matter whether it was.
    let is_kept = |until: Option<Timestamp>| until.is_some_and(|until| until > links.now);
    if let Some(output) = task.output.as_ref().filter(|_| stored.output.is_none() && is_kept(stored.output_until)) {
        found.extend(links.body("output", &keys::output(id), output.size_bytes)?);
    }
    Ok(found)
}

/// What was given as a task's output, and is kept for it.
fn kept(task: &Task) -> Option<&Completion> {
    task.completion.as_ref().filter(|given| !given.taken && !task.state.is_terminal())
}

fn input(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    body(key, value)?;
    links.of_task(&key[1..], |stored| stored.input.is_some().then_some("its task has another input"))
}

fn output(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    body(key, value)?;
    links.of_task(&key[1..], |stored| {
        let has_one = stored.task.output.is_some() || kept(&stored.task).is_some();
        let is_its = has_one && stored.output.is_none();
        (!is_its).then_some("its task has no such output")
    })
}

fn attempt(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    readable::<sunaba_task::AttemptDetail>(key, value)?;
    let (id, number) = key[1..].split_at_checked(16).unwrap_or_default();
    let number = number.try_into().map(u32::from_be_bytes).unwrap_or(0);
    links.of_task(id, |stored| {
        let is_one = (1..=stored.task.attempts_started).contains(&number);
        (!is_one).then_some("its task has had no such attempt")
    })
}

fn checkpoint(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    body(key, value)?;
    links.of_task(&key[1..], |stored| {
        let is_its = stored.has_checkpoint && !stored.task.state.is_terminal();
        (!is_its).then_some("its task has no checkpoint")
    })
}

fn queued(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let Some(id) = keys::read_queued(value) else { return Ok(vec!["it has no task".into()]) };
    links.of_task(id.as_bytes(), |Stored { task, .. }| {
        let is_its = *value == keys::queued_value(task);
        let waits = is_its && task.state == State::Queued && key == Spot::of(task).to_bytes();
        (!waits).then_some("its task does not wait there")
    })
}

fn node(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let (name, id) = (keys::node_name(key), keys::id_of(value));
    links.of_task(id.as_ref().map_or(&[], |id| id.as_bytes().as_slice()), |Stored { task, .. }| {
        let is_its = task.job.as_ref().is_some_and(|link| Some(&link.name) == name.as_ref());
        (!is_its).then_some("its task has another name")
    })
}

fn branch(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    readable::<Branch>(key, value)?;
    links.of_task(&key[1..], |Stored { task, .. }| (!task.has_children).then_some("its task has no children"))
}

fn waits(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    readable::<Option<OnFailure>>(key, value)?;
    let id = keys::id_of(key);
    links.of_task(id.as_ref().map_or(&[], |id| id.as_bytes().as_slice()), |Stored { task, .. }| {
        task.job.is_none().then_some("its task is of no job")
    })
}

fn after(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    readable::<Vec<After>>(key, value)?;
    links.of_task(&key[1..], |Stored { task, .. }| task.job.is_none().then_some("its task is of no job"))
}

fn due(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let Some(due) = keys::read_due(value) else { return Ok(vec!["it has no task and queue".into()]) };
    links.of_task(due.id.as_bytes(), |Stored { task, .. }| {
        let is_there = *value == keys::due_value(task);
        let place = match &task.state {
            State::Blocked(_) => Some(keys::blocked(task.sequence)),
            _ => task.due_at().map(|until| keys::due(until, task.sequence)),
        };
        let waits = is_there && place.as_deref() == Some(key);
        (!waits).then_some("its task does not wait there")
    })
}

fn expiry(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    links.of_task(value, |Stored { task, .. }| {
        let at = task.expires_at.filter(|_| task.is_unstarted());
        let expires = at.is_some_and(|at| key == keys::expiry(at, task.sequence));
        (!expires).then_some("its task does not expire then")
    })
}

fn leases(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let batch: Batch = codec::read(key, value)?;
    let mut missing = Vec::new();
    for entry in &batch.entries {
        match links.record(entry.task.as_bytes())? {
            Record::Missing => missing.push(format!("the leased task is not there, {}", entry.task)),
            // It is what its batch is kept for. Others may have ended since and been deleted.
            Record::Found(stored) if !is_leased(&stored.task, &batch, entry) => {}
            Record::Found(_) | Record::Damaged => return Ok(Vec::new()),
        }
    }
    Ok(missing)
}

/// Whether the entry is that of the lease that the task has.
fn is_leased(task: &Task, batch: &Batch, entry: &LeaseEntry) -> bool {
    match &task.state {
        State::Queued => task.revision == entry.revision,
        State::Running(lease) => batch.lease(entry).as_ref() == Some(lease),
        _ => false,
    }
}

fn idempotency(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let owner: Owner = codec::read(key, value)?;
    links.of_task(owner.task.as_bytes(), |Stored { task, .. }| {
        let is_its = task.spec.idempotency_key.as_ref().is_some_and(|own| key == keys::idempotency(own));
        (!is_its).then_some("its task has another idempotency key")
    })
}

fn unique(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let holder: Holder = codec::read(key, value)?;
    links.of_task(holder.task.as_bytes(), |Stored { task, .. }| {
        let is_its = task.unique.as_ref().is_some_and(|own| key == keys::unique(own));
        (!is_its).then_some("its task has another unique key")
    })
}

fn callbacks(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    readable::<Vec<Callback>>(key, value)?;
    links.of_task(&key[1..], |stored| (stored.task.callbacks == 0).then_some("its task has no callbacks"))
}

/// The task of an index in which keys have no values.
fn indexed(key: &[u8], value: &Bytes) -> Result<TaskId, StoreError> {
    let id = keys::id_of(key).filter(|_| value.is_empty());
    id.ok_or_else(|| codec::damaged(key, "it is not of an index".into()))
}

fn tag(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let id = indexed(key, value)?;
    links.of_task(id.as_bytes(), |Stored { task, .. }| {
        let has = task.spec.tags.iter().any(|tag| key == keys::among(keys::with_tag(tag), id));
        (!has).then_some("its task has no such tag")
    })
}

fn ended(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let id = indexed(key, value)?;
    links.of_task(id.as_bytes(), |Stored { task, .. }| {
        let awaits = task.awaits.as_ref().map(|_| keys::awaiting());
        let mut prefixes = keys::in_state(task.state.name()).into_iter().chain(awaits);
        let has = prefixes.any(|prefix| key == keys::among(prefix, id));
        (!has).then_some("its task is in another state")
    })
}

fn package(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let package: Package = codec::read(key, value)?;
    let component = keys::component(package.component);
    Ok(links.body("component", &component, package.size_bytes)?.into_iter().collect())
}

fn version(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let version: StoredVersion = codec::read(key, value)?;
    if keys::read_version(key).is_none() {
        return Ok(vec!["it has no package and number".into()]);
    }
    let component = keys::component(version.component);
    Ok(links.body("component", &component, version.size_bytes)?.into_iter().collect())
}

fn component(_: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let is_its = Digest::of(&body(key, value)?).as_bytes() == &key[1..];
    Ok((!is_its).then(|| "it is not the component of its digest".into()).into_iter().collect())
}
