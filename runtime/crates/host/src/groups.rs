//! Worker groups: what an operator says of each, what each may hold of the memory, and what it grants to the attempts that it runs.

use std::path::PathBuf;

use sunaba_store::Queues;
use sunaba_task::{DirAccess, DirGrant, EnvGrant, GrantRequests, Grants, LimitCaps};
use sunaba_worker::Slots;

use crate::allowed::{Allowance, AllowedDir, AllowedDirError};
use crate::memory::MemoryBudget;

/// Some of a host's attempts: those of these queues, so many at a time, and with what is granted here.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerGroup {
    /// Its name among the others of its host.
    pub id: String,
    /// Where it takes tasks from.
    pub queues: Queues,
    /// Attempts at a time. Within a range it has as many as its backlog needs.
    pub slots: Slots,
    /// The most that can be set while the host runs. None: what `slots` says.
    pub max_slots: Option<usize>,
    /// What its attempts at a time may hold. None: its part of what is left of the host's budget, by its slots.
    pub memory: Option<MemoryBudget>,
    /// What each of its attempts may use at most, within the host's ceilings.
    pub limits: LimitCaps,
    /// Variables for attempts whose handler asks for them, and whose submitter has passed no others on.
    pub env: Vec<EnvGrant>,
    /// Directories, in the same way.
    pub dirs: Vec<DirGrant>,
}

impl WorkerGroup {
    /// One that serves all queues, and grants nothing.
    pub fn new(id: impl Into<String>, slots: Slots) -> Self {
        Self {
            id: id.into(),
            queues: Queues::All,
            slots,
            max_slots: None,
            memory: None,
            limits: LimitCaps::NONE,
            env: Vec::new(),
            dirs: Vec::new(),
        }
    }

    /// The most attempts at a time that it can be told to have.
    pub fn most_slots(&self) -> usize {
        self.max_slots.unwrap_or(self.slots.max)
    }
}

/// What each group may hold, in bytes: what it says itself, or its part of what the others leave, by its slots. None for all:
/// nobody knows how much memory there is.
///
/// # Errors
/// Those that say so leave nothing for the one of this name.
pub(crate) fn memory_of(
    groups: &[WorkerGroup],
    budget: Option<u64>,
    oversubscribe: f64,
) -> Result<Vec<Option<u64>>, String> {
    let own: Vec<_> = groups.iter().map(|group| group.memory.and_then(|memory| memory.bytes(oversubscribe))).collect();
    let said = own.iter().flatten().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    let left = budget.map(|budget| budget.saturating_sub(said));
    let sharing = groups.iter().zip(&own).filter(|(_, own)| own.is_none()).map(|(group, _)| group.most_slots() as u64);
    let slots = sharing.sum::<u64>().max(1);
    let mut shares = Vec::with_capacity(groups.len());
    for (group, own) in groups.iter().zip(own) {
        let part = |left: u64| u128::from(left) * group.most_slots() as u128 / u128::from(slots);
        let share = own.or_else(|| left.map(|left| u64::try_from(part(left)).unwrap_or(left)));
        if share == Some(0) {
            return Err(group.id.clone());
        }
        shares.push(share);
    }
    Ok(shares)
}

/// What a group grants: looked at when the host starts, and again before each attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    env: Vec<EnvGrant>,
    dirs: Vec<DirGrant>,
    allowance: Allowance,
}

impl Given {
    /// # Errors
    /// A directory is not there, or cannot be read.
    pub(crate) fn new(group: &WorkerGroup, private: &[PathBuf]) -> Result<Self, AllowedDirError> {
        let allowed = |dir: &DirGrant| {
            let suffix = if dir.access == DirAccess::ReadOnly { ":ro" } else { ":rw" };
            format!("{}{suffix}", dir.host.display()).parse::<AllowedDir>()
        };
        let allowance =
            Allowance { dirs: group.dirs.iter().map(allowed).collect::<Result<_, _>>()?, private: private.to_vec() };
        let mut dirs = group.dirs.clone();
        for dir in &mut dirs {
            dir.host = std::path::absolute(&dir.host).unwrap_or_else(|_| dir.host.clone());
            // Not the host's own, however it is named.
            allowance.check(dir)?;
        }
        Ok(Self { env: group.env.clone(), dirs, allowance })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.env.is_empty() && self.dirs.is_empty()
    }

    /// What an attempt is granted with this, of what its handler asks for and nobody has passed on. Looks at the disk.
    ///
    /// # Errors
    /// A directory is not there any more.
    pub(crate) fn add(&self, asked: &GrantRequests, grants: &mut Grants) -> Result<(), AllowedDirError> {
        for variable in self.env.iter().filter(|variable| asked.has_env(&variable.key)) {
            let is_passed =
                grants.env.iter().any(|own| own.key == variable.key) || grants.secrets.contains(&variable.key);
            if !is_passed {
                grants.env.push(variable.clone());
            }
        }
        let is_asked = |dir: &&DirGrant| asked.dirs.iter().any(|request| request.covers(&dir.guest, dir.access));
        for dir in self.dirs.iter().filter(is_asked) {
            let name = |dir: &DirGrant| dir.guest.trim_end_matches('/').to_owned();
            if !grants.dirs.iter().any(|own| name(own) == name(dir)) {
                grants.dirs.push(self.allowance.check(dir)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, slots: usize, memory: Option<u64>) -> WorkerGroup {
        WorkerGroup { memory: memory.map(MemoryBudget::Bytes), ..WorkerGroup::new(id, Slots::fixed(slots)) }
    }

    #[test]
    fn memory_is_shared_by_slots_but_for_what_is_said() {
        let groups = [group("a", 1, None), group("b", 3, None), group("c", 9, Some(200))];
        assert_eq!(memory_of(&groups, Some(1_000), 1.0), Ok(vec![Some(200), Some(600), Some(200)]));
        assert_eq!(memory_of(&groups[..2], None, 1.0), Ok(vec![None, None]));
        assert_eq!(memory_of(&groups[..1], Some(1_000), 1.0), Ok(vec![Some(1_000)]));
    }

    #[test]
    fn group_for_which_nothing_is_left_is_told() {
        let groups = [group("a", 1, Some(1_000)), group("b", 1, None)];
        assert_eq!(memory_of(&groups, Some(1_000), 1.0), Err("b".into()));
    }

    #[test]
    fn what_is_given_is_what_the_handler_asks_for_and_nobody_has_passed_on() {
        let variable = |key: &str, value: &str| EnvGrant { key: key.into(), value: value.into() };
        let root = std::env::temp_dir().canonicalize().expect("it is there");
        let dir: DirGrant = format!("{}::/models", root.display()).parse().expect("a grant");
        let group = WorkerGroup {
            env: vec![variable("REGION", "eu"), variable("OTHER", "x"), variable("TOKEN", "y")],
            dirs: vec![dir],
            ..WorkerGroup::new("a", Slots::fixed(1))
        };
        let given = Given::new(&group, &[]).expect("it is there");
        let asked = |dirs: &[&str]| GrantRequests {
            env: vec!["REGION".into(), "TOKEN".into()],
            dirs: dirs.iter().map(|dir| dir.parse().expect("a request")).collect(),
            ..GrantRequests::default()
        };
        let mut grants = Grants { secrets: vec!["TOKEN".into()], ..Grants::default() };
        given.add(&asked(&["/models"]), &mut grants).expect("it is there");
        assert_eq!(grants.env, [variable("REGION", "eu")]);
        assert_eq!((grants.dirs.len(), &grants.dirs[0].host), (1, &root));

        // What was passed on stands, and what nobody asks for is not given.
        let own = variable("REGION", "us");
        let mut grants = Grants { env: vec![own.clone()], ..Grants::default() };
        given.add(&asked(&[]), &mut grants).expect("there is nothing to look at");
        assert_eq!((grants.env, grants.dirs.len()), (vec![own, variable("TOKEN", "y")], 0));

        // Never where the host keeps its own.
        assert!(matches!(Given::new(&group, &[root.join("data")]), Err(AllowedDirError::Private { .. })));
    }
}
