//! Every key of the store: a letter for what it is, then big-endian numbers, so that keys sort as they are to be scanned.
//!
//! | key | value |
//! |---|---|
//! | `f` | the format of the store |
//! | `s` | the sequence that no task or lease has had yet |
//! | `h` | how the last host opened the store |
//! | `t` id | the record of a task, with small bodies |
//! | `i` id, `o` id | an input, an output that is not small |
//! | `a` id number | what is kept of an attempt besides its record |
//! | `q` queue 0 handler 0 code key rank sequence | the id of a queued task: by its lane, then as [`Place`](crate::spot::Place) has it |
//! | `d` instant sequence | the id of a task that waits for an instant, its [`Need`] and its queue; of one that waits for others, too |
//! | `x` instant sequence | the id of a task that expires unless it has begun by then |
//! | `l` sequence | the tasks that were leased in one turn, until the last of them is not leased any more |
//! | `v` sequence | events that were told together, from this one on |
//! | `k` digest | the task that has this idempotency key, and the digest of its body |
//! | `u` digest | the task that holds this unique key |
//! | `b` id | the callbacks of a task that has some |
//! | `e` instant sequence | tasks of which something is to be deleted then |
//! | `g` digest id | that the task has the tag of this digest |
//! | `z` state id | that the task ended in this state, and not well; or, in place of a state, that it waits to be completed |
//! | `Q` queue | what an operator has set for a queue |
//! | `H` handler | what an operator has set for a handler |
//! | `r` | how long what has ended is kept |
//! | `p` package | a package, with its active version |
//! | `n` package 0 version | a version of a package |
//! | `c` digest | a component |
//! | `I` need | how many tasks that have not ended are decided about by that component |
//! | `w` kind name | what the attempts of a handler or of a tag have used |
//! | `S` name | a secret |
//! | `O` name | a note of a host, such as of what it has observed |
//! | `m` | the key of the tokens by which tasks are completed |
//! | `j` job | a job |
//! | `J` digest | the job that has this idempotency key, and the digest of its body |
//! | `P` plan part | a part of a plan, that of a job or of a task, of which the tasks are still to be made |
//! | `T` id | how the plan of this task stands |
//! | `N` plan name | the task of this name in a plan; before it, of one that was submitted by its parent, the digest of its body |
//! | `G` plan name | how the group of this name stands, for which somebody waits |
//! | `D` plan name 0 id | that the task waits for the node or the group of this name, and by which rule |
//! | `E` id | what the task was to wait for, as its plan has it, whether or not it still waits |
//! | `B` instant job | that the job has until then |
//! | `U` id | the task that undoes this one |
//! | `K` job sequence | the task that ended then, and can be undone |
//! | `W` sequence | what is still to be done for a job |
//! | `C` id | the checkpoint of a task that has not ended |
//! | `A` id name | an artifact of a task |
//! | `R` digest id name | that this artifact of the task is the file of this digest |
//! | `Z` what name | of a schedule: what was asked for, how far it is, or what its tasks get |
//! | `V` what name | of a webhook: what was asked for, with its secrets; what has come of its deliveries; which of them are kept, or owed |
//! | `Y` id | a key of the API |
//! | `L` sequence | what was changed by whom |
//! | `y` key | a damaged value that was taken out of its place |

pub(crate) mod schedules;
pub(crate) mod webhooks;

use bytes::Bytes;
use sunaba_task::job::{JobId, NodeName};
use sunaba_task::{Digest, HandlerName, StateName, Task, TaskId, TaskSpec, Timestamp};

pub(crate) const FORMAT: &[u8] = b"f";
pub(crate) const SEQUENCE: &[u8] = b"s";
pub(crate) const OPENED: &[u8] = b"h";
pub(crate) const RETENTION: &[u8] = b"r";
pub(crate) const COMPLETION_KEY: &[u8] = b"m";

/// Whether a key is of a setting, of which a planner that is open has a copy: a queue's, a handler's, the retention, tokens, a webhook's.
pub(crate) fn is_setting(key: &[u8]) -> bool {
    matches!(key, [b'Q' | b'H' | b'r' | b'm', ..] | [b'V', webhooks::SETTINGS, ..])
}

/// One end of a kind of keys and the other.
pub(crate) fn all(kind: u8) -> ([u8; 1], [u8; 1]) {
    ([kind], [kind + 1])
}

pub(crate) fn of(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(crate) fn task(id: TaskId) -> Vec<u8> {
    of(b't', &[id.as_bytes()])
}

pub(crate) fn input(id: TaskId) -> Vec<u8> {
    of(b'i', &[id.as_bytes()])
}

pub(crate) fn output(id: TaskId) -> Vec<u8> {
    of(b'o', &[id.as_bytes()])
}

pub(crate) fn attempt(id: TaskId, number: u32) -> Vec<u8> {
    of(b'a', &[id.as_bytes(), &number.to_be_bytes()])
}

pub(crate) fn leases(sequence: u64) -> Vec<u8> {
    of(b'l', &[&sequence.to_be_bytes()])
}

pub(crate) fn events(first: u64) -> Vec<u8> {
    of(b'v', &[&first.to_be_bytes()])
}

/// The sequence of a key of [`events`].
pub(crate) fn first_event(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

pub(crate) fn idempotency(key: &str) -> Vec<u8> {
    of(b'k', &[Digest::of(key.as_bytes()).as_bytes()])
}

pub(crate) fn unique(key: &str) -> Vec<u8> {
    of(b'u', &[Digest::of(key.as_bytes()).as_bytes()])
}

pub(crate) fn callbacks(id: TaskId) -> Vec<u8> {
    of(b'b', &[id.as_bytes()])
}

/// All tasks with a tag; their ids follow. Tags may be long, and keys may not.
pub(crate) fn with_tag(tag: &str) -> Vec<u8> {
    of(b'g', &[Digest::of(tag.as_bytes()).as_bytes()])
}

/// All tasks that ended in this state; their ids follow. None: such tasks have no such keys.
pub(crate) fn in_state(state: StateName) -> Option<Vec<u8>> {
    let letter = match state {
        StateName::Dead => b'd',
        StateName::Cancelled => b'c',
        StateName::Expired => b'x',
        _ => return None,
    };
    Some(of(b'z', &[&[letter]]))
}

/// All tasks that wait to be completed; their ids follow.
pub(crate) fn awaiting() -> Vec<u8> {
    of(b'z', &[b"w"])
}

/// The key of a task among those that begin so.
pub(crate) fn among(mut prefix: Vec<u8>, id: TaskId) -> Vec<u8> {
    prefix.extend_from_slice(id.as_bytes());
    prefix
}

/// The task of a key that ends with its id.
pub(crate) fn id_of(key: &[u8]) -> Option<TaskId> {
    key.last_chunk().copied().map(TaskId::from_bytes)
}

/// No id of a task that was submitted at this instant or later is smaller, and no earlier one's is larger: ids begin with the
/// 48 bits of that instant.
pub(crate) fn first_id(at: Timestamp) -> TaskId {
    TaskId::from_bytes((u128::from(at.unix_ms()) << 80).to_be_bytes())
}

pub(crate) fn package(name: &str) -> Vec<u8> {
    of(b'p', &[name.as_bytes()])
}

pub(crate) fn component(digest: Digest) -> Vec<u8> {
    of(b'c', &[digest.as_bytes()])
}

/// Where a damaged value is kept.
pub(crate) fn set_aside(key: &[u8]) -> Vec<u8> {
    of(b'y', &[key])
}

pub(crate) fn due(at: Timestamp, sequence: u64) -> Vec<u8> {
    of(b'd', &[&at.unix_ms().to_be_bytes(), &sequence.to_be_bytes()])
}

/// Where a task stands among those that wait for an instant while it waits for others, and for none.
pub(crate) fn blocked(sequence: u64) -> Vec<u8> {
    of(b'd', &[&u64::MAX.to_be_bytes(), &sequence.to_be_bytes()])
}

/// Whether it is a key of [`blocked`]. No instant is so late.
pub(crate) fn is_blocked(key: &[u8]) -> bool {
    key.get(1..9) == Some(&[u8::MAX; 8])
}

pub(crate) fn expiry(at: Timestamp, sequence: u64) -> Vec<u8> {
    of(b'x', &[&at.unix_ms().to_be_bytes(), &sequence.to_be_bytes()])
}

pub(crate) fn ended(at: Timestamp, sequence: u64) -> Vec<u8> {
    of(b'e', &[&at.unix_ms().to_be_bytes(), &sequence.to_be_bytes()])
}

/// The instant of a key of [`due`], of [`expiry`] or of [`ended`].
pub(crate) fn due_at(key: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_unix_ms(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

/// What an unfinished task needs, short enough to stand in an index: so that what is needed is counted without the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Need {
    /// Whatever its package has.
    Active,
    /// A component whose digest begins so.
    Component([u8; NEED_BYTES]),
}

/// Two components that are kept for each other's tasks by chance are no harm.
pub(crate) const NEED_BYTES: usize = 8;

impl Need {
    pub(crate) fn of(spec: &TaskSpec) -> Self {
        if spec.follows { Self::Active } else { Self::component(spec.component) }
    }

    pub(crate) fn component(component: Digest) -> Self {
        Self::Component(*component.as_bytes().first_chunk().expect("a digest has 32 bytes"))
    }

    pub(crate) fn to_bytes(self) -> [u8; NEED_BYTES] {
        match self {
            Self::Active => [0; NEED_BYTES],
            Self::Component(start) => start,
        }
    }

    pub(crate) fn from_bytes(bytes: [u8; NEED_BYTES]) -> Self {
        if bytes == [0; NEED_BYTES] { Self::Active } else { Self::Component(bytes) }
    }
}

/// What a key of a queue has.
pub(crate) fn queued_value(task: &Task) -> Bytes {
    Bytes::copy_from_slice(task.id.as_bytes())
}

/// The task's id.
pub(crate) fn read_queued(value: &[u8]) -> Option<TaskId> {
    value.try_into().ok().map(TaskId::from_bytes)
}

/// What a key of [`due`] has: its need and its queue too, and the handler of one that follows, so that all is counted without
/// the record.
pub(crate) fn due_value(task: &Task) -> Bytes {
    let mut value = [task.id.as_bytes().as_slice(), &Need::of(&task.spec).to_bytes()].concat();
    value.extend_from_slice(task.spec.queue.as_bytes());
    if task.spec.follows {
        value.push(0);
        value.extend_from_slice(task.spec.handler.to_string().as_bytes());
    }
    value.into()
}

/// A value of [`due`], read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due<'v> {
    pub(crate) id: TaskId,
    pub(crate) need: Need,
    pub(crate) queue: &'v str,
    /// Of a task that follows.
    pub(crate) handler: Option<HandlerName>,
}

pub(crate) fn read_due(value: &[u8]) -> Option<Due<'_>> {
    let (id, rest) = value.split_first_chunk()?;
    let (need, rest) = rest.split_first_chunk()?;
    let (id, need) = (TaskId::from_bytes(*id), Need::from_bytes(*need));
    let rest = str::from_utf8(rest).ok()?;
    let (queue, handler) = match need {
        Need::Active => rest.split_once('\0').and_then(|(queue, name)| Some((queue, Some(name.parse().ok()?))))?,
        Need::Component(_) => (rest, None),
    };
    Some(Due { id, need, queue, handler })
}

pub(crate) fn version(package: &str, version: u32) -> Vec<u8> {
    of(b'n', &[package.as_bytes(), &[0], &version.to_be_bytes()])
}

/// The package of a key of [`version`], and the version.
pub(crate) fn read_version(key: &[u8]) -> Option<(&str, u32)> {
    let (name, version) = key.get(1..)?.split_last_chunk()?;
    Some((str::from_utf8(name.strip_suffix(&[0])?).ok()?, u32::from_be_bytes(*version)))
}

/// What was used by one of a kind: `h` for handlers, `t` for tags. Both are short.
pub(crate) fn usage(kind: u8, name: &str) -> Vec<u8> {
    of(b'w', &[&[kind], name.as_bytes()])
}

/// Of the component that decides.
pub(crate) fn decides(need: Need) -> Vec<u8> {
    of(b'I', &[&need.to_bytes()])
}

pub(crate) fn read_decides(key: &[u8]) -> Option<Need> {
    key.get(1..)?.try_into().ok().map(Need::from_bytes)
}

pub(crate) fn secret(name: &str) -> Vec<u8> {
    of(b'S', &[name.as_bytes()])
}

pub(crate) fn note(name: &str) -> Vec<u8> {
    of(b'O', &[name.as_bytes()])
}

pub(crate) fn artifact(task: TaskId, name: &str) -> Vec<u8> {
    of(b'A', &[task.as_bytes(), name.as_bytes()])
}

/// One end of all artifacts of a task, and the other. Names are UTF-8.
pub(crate) fn artifacts(task: TaskId) -> (Vec<u8>, Vec<u8>) {
    (artifact(task, ""), of(b'A', &[task.as_bytes(), &[u8::MAX]]))
}

/// The task and the name of a key of [`artifact`].
pub(crate) fn read_artifact(key: &[u8]) -> Option<(TaskId, &str)> {
    let (task, name) = key.get(1..)?.split_first_chunk()?;
    Some((TaskId::from_bytes(*task), str::from_utf8(name).ok()?))
}

pub(crate) fn name(digest: &Digest, task: TaskId, name: &str) -> Vec<u8> {
    of(b'R', &[digest.as_bytes(), task.as_bytes(), name.as_bytes()])
}

/// One end of all that names a file, and the other.
pub(crate) fn names(digest: &Digest) -> (Vec<u8>, Vec<u8>) {
    // No id begins so: ids follow the time.
    (of(b'R', &[digest.as_bytes()]), of(b'R', &[digest.as_bytes(), &[u8::MAX; 16]]))
}

/// The file, the task and the name of a key of [`name`].
pub(crate) fn read_name(key: &[u8]) -> Option<(Digest, TaskId, &str)> {
    let (digest, rest) = key.get(1..)?.split_first_chunk()?;
    let (task, name) = rest.split_first_chunk()?;
    Some((Digest::from_bytes(*digest), TaskId::from_bytes(*task), str::from_utf8(name).ok()?))
}

pub(crate) fn queue_settings(queue: &str) -> Vec<u8> {
    of(b'Q', &[queue.as_bytes()])
}

pub(crate) fn handler_control(handler: &HandlerName) -> Vec<u8> {
    of(b'H', &[handler.to_string().as_bytes()])
}

pub(crate) fn job(id: JobId) -> Vec<u8> {
    of(b'j', &[id.as_bytes()])
}

pub(crate) fn job_idempotency(key: &str) -> Vec<u8> {
    of(b'J', &[Digest::of(key.as_bytes()).as_bytes()])
}

pub(crate) fn plan_part(plan: &[u8; 16], part: u32) -> Vec<u8> {
    of(b'P', &[plan, &part.to_be_bytes()])
}

/// How the plan of a task stands.
pub(crate) fn branch(parent: TaskId) -> Vec<u8> {
    of(b'T', &[parent.as_bytes()])
}

/// What a key of [`node`] has for a child that its parent has submitted: what another submit of that name is held against, too.
pub(crate) fn submitted_node(body: Digest, id: TaskId) -> Bytes {
    [body.as_bytes().as_slice(), id.as_bytes()].concat().into()
}

/// The digest of a value of [`submitted_node`]; none of a child that came with a plan.
pub(crate) fn body_of_node(value: &[u8]) -> Option<Digest> {
    let (body, id) = value.split_first_chunk::<32>()?;
    (id.len() == 16).then(|| Digest::from_bytes(*body))
}

pub(crate) fn node(plan: &[u8; 16], name: &str) -> Vec<u8> {
    of(b'N', &[plan, name.as_bytes()])
}

/// The first key after that of a node.
pub(crate) fn after_node(plan: &[u8; 16], name: &str) -> Vec<u8> {
    of(b'N', &[plan, name.as_bytes(), &[0]])
}

/// The name of a key of [`node`].
pub(crate) fn node_name(key: &[u8]) -> Option<NodeName> {
    str::from_utf8(key.get(17..)?).ok()?.parse().ok()
}

/// One end of all nodes of a plan, and the other. Names are ASCII.
pub(crate) fn nodes(plan: &[u8; 16]) -> (Vec<u8>, Vec<u8>) {
    (node(plan, ""), of(b'N', &[plan, &[u8::MAX]]))
}

/// The same of those whose names begin as those of a group do.
pub(crate) fn members(plan: &[u8; 16], group: &str) -> (Vec<u8>, Vec<u8>) {
    let end = |byte: u8| of(b'N', &[plan, group.as_bytes(), &[byte]]);
    (end(b'/'), end(b'/' + 1))
}

pub(crate) fn group(plan: &[u8; 16], name: &str) -> Vec<u8> {
    of(b'G', &[plan, name.as_bytes()])
}

/// One end of all groups of a plan, and the other.
pub(crate) fn groups(plan: &[u8; 16]) -> (Vec<u8>, Vec<u8>) {
    (group(plan, ""), of(b'G', &[plan, &[u8::MAX]]))
}

pub(crate) fn waits(plan: &[u8; 16], awaited: &str, id: TaskId) -> Vec<u8> {
    of(b'D', &[plan, awaited.as_bytes(), &[0], id.as_bytes()])
}

/// One end of all who wait for this, and the other.
pub(crate) fn all_who_wait(plan: &[u8; 16], awaited: &str) -> (Vec<u8>, Vec<u8>) {
    let end = |byte: u8| of(b'D', &[plan, awaited.as_bytes(), &[byte]]);
    (end(0), end(1))
}

/// What a task was to wait for, if anything.
pub(crate) fn after(id: TaskId) -> Vec<u8> {
    of(b'E', &[id.as_bytes()])
}

pub(crate) fn job_deadline(at: Timestamp, job: JobId) -> Vec<u8> {
    of(b'B', &[&at.unix_ms().to_be_bytes(), job.as_bytes()])
}

pub(crate) fn compensation(id: TaskId) -> Vec<u8> {
    of(b'U', &[id.as_bytes()])
}

pub(crate) fn done(job: JobId, sequence: u64) -> Vec<u8> {
    of(b'K', &[job.as_bytes(), &sequence.to_be_bytes()])
}

pub(crate) fn chore(sequence: u64) -> Vec<u8> {
    of(b'W', &[&sequence.to_be_bytes()])
}

pub(crate) fn checkpoint(id: TaskId) -> Vec<u8> {
    of(b'C', &[id.as_bytes()])
}

/// The sequence of a key of [`chore`].
pub(crate) fn chore_sequence(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_keys_sort_by_instant() {
        let at = Timestamp::from_unix_ms;
        assert!(due(at(1), 9) < due(at(256), 1));
        assert_eq!(due_at(&due(at(77), 1)), Some(at(77)));
    }

    #[test]
    fn values_of_indexes_read_back() {
        let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let new = sunaba_task::NewTask::new(spec, sunaba_task::Payload::json("1"));
        let mut task = Task::submitted(TaskId::from_bytes([7; 16]), 1, &new, Timestamp::from_unix_ms(1));
        task.spec.queue = "mail".into();
        for follows in [false, true] {
            task.spec.follows = follows;
            let need = if follows { Need::Active } else { Need::component(Digest::of(b"component")) };
            assert_eq!(read_queued(&queued_value(&task)), Some(task.id));
            let handler = follows.then(|| task.spec.handler.clone());
            assert_eq!(read_due(&due_value(&task)), Some(Due { id: task.id, need, queue: "mail", handler }));
        }
        assert_eq!((read_queued(b"short"), read_due(b"short")), (None, None));
    }

    #[test]
    fn names_of_artifacts_read_back_and_lie_between_their_ends() {
        let (task, digest) = (TaskId::from_bytes([7; 16]), Digest::of(b"file"));
        for text in ["a", "\u{10FFFF}", "Übersicht.pdf"] {
            let (key, name) = (artifact(task, text), name(&digest, task, text));
            assert_eq!((read_artifact(&key), read_name(&name)), (Some((task, text)), Some((digest, task, text))));
            let ((first, end), (from, to)) = (artifacts(task), names(&digest));
            assert!(first < key && key < end && from < name && name < to);
        }
        assert_eq!((read_artifact(b"A"), read_name(b"R")), (None, None));
    }

    #[test]
    fn versions_sort_by_number_and_read_back() {
        assert!(version("words", 2) < version("words", 10) && version("words", 256) > version("words", 255));
        assert!(version("words", u32::MAX) < version("words-2", 0));
        assert_eq!(read_version(&version("words", 258)), Some(("words", 258)));
        assert_eq!(read_version(b"n"), None);
    }
}
