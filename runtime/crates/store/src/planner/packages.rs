//! Keeps packages, their versions and their components.
//!
//! What decides in the commit thread is in memory too: which component each package has now, which versions it keeps, and how
//! many unfinished tasks need what. The last is counted at each change, so that a deploy need not look for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sunaba_task::{DeciderInfo, Digest, HandlerInfo, HandlerName, TaskSpec, Timestamp};

use super::{Planner, Turn};
use crate::keys::Need;
use crate::{
    Activation, ChangedHandler, DeployChange, Deployed, MAX_VERSIONS, NewPackage, Package, PackageVersion, StoreError,
    VersionError, codec, keys,
};

/// A version as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredVersion {
    pub(crate) component: Digest,
    pub(crate) size_bytes: u64,
    handlers: Vec<HandlerInfo>,
    decider: Option<DeciderInfo>,
    deployed_at: Timestamp,
}

/// A package, as far as it decides what runs and what is kept.
#[derive(Default)]
struct Shelf {
    active: Option<Package>,
    versions: BTreeMap<u32, Digest>,
}

impl Shelf {
    /// The components that are active, and that were before.
    fn in_use(&self) -> impl Iterator<Item = Digest> {
        let active = self.active.iter();
        active
            .flat_map(|it| [Some(it.component), it.before.and_then(|before| self.versions.get(&before).copied())])
            .flatten()
    }
}

#[derive(Default)]
pub(super) struct Shelves(BTreeMap<String, Shelf>);

impl Shelves {
    /// What the package has now.
    pub(super) fn active(&self, package: &str) -> Option<&Package> {
        self.0.get(package)?.active.as_ref()
    }

    /// Whether a package has had this component, and has forgotten it since.
    pub(super) fn has_forgotten(&self, package: &str, component: Digest) -> bool {
        self.0.get(package).is_some_and(|shelf| !shelf.versions.values().any(|kept| *kept == component))
    }

    fn has(&self, component: Digest) -> bool {
        self.0.values().any(|shelf| shelf.versions.values().any(|kept| *kept == component))
    }
}

/// How many tasks that have not ended need what.
#[derive(Default)]
pub(super) struct Unfinished {
    /// Those that follow, by their handlers.
    following: HashMap<HandlerName, u64>,
    /// Those that are pinned, by their components.
    pinned: HashMap<Need, u64>,
    /// Those that have a decider, by its component.
    decided: HashMap<Need, u64>,
}

impl Unfinished {
    pub(super) fn add(&mut self, spec: &TaskSpec) {
        self.add_many(Need::of(spec), &spec.handler, 1);
    }

    /// A task that is pinned, whatever its handler.
    pub(super) fn add_pinned(&mut self, need: Need) {
        *self.pinned.entry(need).or_default() += 1;
    }

    pub(super) fn add_many(&mut self, need: Need, handler: &HandlerName, count: u64) {
        if count == 0 {
            return;
        }
        match need {
            Need::Active => *self.following.entry(handler.clone()).or_default() += count,
            Need::Component(_) => *self.pinned.entry(need).or_default() += count,
        }
    }

    pub(super) fn remove(&mut self, spec: &TaskSpec) {
        self.remove_one(Need::of(spec), Some(&spec.handler));
    }

    /// A task is no more; only one that follows is counted by its handler.
    pub(super) fn remove_one(&mut self, need: Need, handler: Option<&HandlerName>) {
        match need {
            Need::Active => {
                if let Some(handler) = handler
                    && let Some(count) = self.following.get_mut(handler)
                {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.following.remove(handler);
                    }
                }
            }
            Need::Component(_) => {
                if let Some(count) = self.pinned.get_mut(&need) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.pinned.remove(&need);
                    }
                }
            }
        }
    }

    fn following(&self, package: &str, handler: &str) -> u64 {
        let name = HandlerName { package: package.to_owned(), handler: handler.to_owned() };
        self.following.get(&name).copied().unwrap_or(0)
    }

    fn need(&self, component: Digest) -> bool {
        let need = Need::component(component);
        self.pinned.contains_key(&need) || self.decided.contains_key(&need)
    }

    /// So many have this decider.
    pub(super) fn decided_by(&mut self, need: Need, count: u64) {
        if count == 0 {
            self.decided.remove(&need);
        } else {
            self.decided.insert(need, count);
        }
    }

    pub(super) fn decided(&self, need: Need) -> u64 {
        self.decided.get(&need).copied().unwrap_or(0)
    }
}

impl Planner {
    pub(super) fn read_packages(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'n');
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            match (keys::read_version(&key), codec::read::<StoredVersion>(&key, &stored)) {
                (Some((package, version)), Ok(kept)) => {
                    self.shelves.0.entry(package.to_owned()).or_default().versions.insert(version, kept.component);
                }
                (_, Err(error)) => tracing::error!(%error, "a version of a package cannot be read"),
                (None, _) => tracing::error!(?key, "a version of a package has no number"),
            }
        }
        for package in self.packages(turn)? {
            let name = package.name.clone();
            self.shelves.0.entry(name).or_default().active = Some(package);
        }
        self.read_deciders(turn)
    }

    pub(crate) fn deploy(
        &mut self,
        turn: &mut Turn<'_>,
        new: NewPackage,
        component: &Bytes,
    ) -> Result<Deployed, StoreError> {
        turn.txn.check_room()?;
        let shelf = self.shelves.0.get(&new.name);
        if let Some(active) = shelf.and_then(|shelf| shelf.active.as_ref()).filter(|it| it.component == new.component) {
            let package = active.clone();
            self.keep_component(turn, new.component, component);
            return Ok(Deployed { package, change: DeployChange::Unchanged, dropped: Vec::new(), idle: Vec::new() });
        }
        let known = shelf.and_then(|shelf| shelf.versions.iter().find(|(_, kept)| **kept == new.component));
        let known = known.map(|(version, _)| *version);
        let last = shelf
            .and_then(|shelf| shelf.versions.keys().copied().chain(shelf.active.as_ref().map(|it| it.version)).max());
        let version = known.unwrap_or_else(|| last.unwrap_or(0).saturating_add(1));
        let NewPackage { name, component: digest, handlers, decider, allow_signature_change } = new;
        let size_bytes = component.len() as u64;
        let kept = StoredVersion { component: digest, size_bytes, handlers, decider, deployed_at: turn.now };
        let package = self.next_active(turn, &name, version, &kept);
        self.check_signature(&package, allow_signature_change)?;
        self.keep_component(turn, digest, component);
        if known.is_none() {
            turn.txn.put(keys::version(&name, version), codec::write(&kept));
        }
        self.make_active(turn, &package);
        let dropped = self.forget_versions(turn, &name);
        let change = if known.is_some() { DeployChange::Again } else { DeployChange::New };
        Ok(Deployed { package, change, dropped, idle: self.idle(&name) })
    }

    pub(crate) fn activate(&mut self, turn: &mut Turn<'_>, wish: &Activation) -> Result<Package, StoreError> {
        let Activation { package: name, version, allow_signature_change } = wish;
        let active = self.shelves.active(name).ok_or_else(|| VersionError::NoPackage(name.clone()))?;
        let version = version.or(active.before).ok_or_else(|| VersionError::NoneBefore(name.clone()))?;
        if version == active.version {
            return Ok(active.clone());
        }
        let key = keys::version(name, version);
        let stored = turn.txn.get(&key)?.ok_or_else(|| VersionError::NoVersion { package: name.clone(), version })?;
        let kept: StoredVersion = codec::read(&key, &stored)?;
        let package = self.next_active(turn, name, version, &kept);
        self.check_signature(&package, *allow_signature_change)?;
        self.make_active(turn, &package);
        Ok(package)
    }

    /// The package with this version instead of the one that it has.
    fn next_active(&self, turn: &Turn<'_>, name: &str, version: u32, kept: &StoredVersion) -> Package {
        Package {
            name: name.to_owned(),
            component: kept.component,
            size_bytes: kept.size_bytes,
            handlers: kept.handlers.clone(),
            decider: kept.decider,
            deployed_at: turn.now,
            version,
            before: self.shelves.active(name).map(|active| active.version),
        }
    }

    fn make_active(&mut self, turn: &mut Turn<'_>, package: &Package) {
        let shown = |it: &Package| json!({ "version": it.version, "component": it.component.to_string() });
        turn.note_change(|| (self.shelves.active(&package.name).map(shown), Some(shown(package))));
        turn.txn.put(keys::package(&package.name), codec::write(package));
        let shelf = self.shelves.0.entry(package.name.clone()).or_default();
        shelf.versions.insert(package.version, package.component);
        shelf.active = Some(package.clone());
    }

    /// Writes a component, unless it is there and whole.
    fn keep_component(&self, turn: &mut Turn<'_>, digest: Digest, component: &Bytes) {
        if !matches!(self.component(turn, digest), Ok(Some(_))) {
            turn.txn.put(keys::component(digest), codec::write_bytes(component));
        }
    }

    /// Whether the tasks that follow fit what they would run from now on.
    fn check_signature(&self, next: &Package, is_allowed: bool) -> Result<(), VersionError> {
        let Some(active) = self.shelves.active(&next.name).filter(|_| !is_allowed) else { return Ok(()) };
        let changed = active.handlers.iter().filter_map(|old| {
            let waiting = Some(self.unfinished.following(&next.name, &old.name)).filter(|waiting| *waiting > 0)?;
            let new = next.handler(&old.name);
            let handler = HandlerName { package: next.name.clone(), handler: old.name.clone() };
            let is_same =
                new.is_some_and(|new| is_same_schema(old.input_schema.as_deref(), new.input_schema.as_deref()));
            (!is_same).then_some(ChangedHandler { handler, is_there: new.is_some(), waiting })
        });
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() { Ok(()) } else { Err(VersionError::Signature { package: next.name.clone(), changed }) }
    }

    /// What a task that follows would run, if that is not what it was checked against.
    pub(super) fn newer(&self, spec: &TaskSpec) -> Option<&Package> {
        let active = spec.follows.then(|| self.shelves.active(&spec.handler.package)).flatten()?;
        (active.component != spec.component).then_some(active)
    }

    /// Whether a handler takes with this package what it took with the component of a task. If that is not known any more, it
    /// does not.
    pub(super) fn takes_the_same(&self, turn: &Turn<'_>, spec: &TaskSpec, package: &Package) -> bool {
        if spec.component == package.component {
            return true;
        }
        let Some(shelf) = self.shelves.0.get(&package.name) else { return false };
        let Some((version, _)) = shelf.versions.iter().find(|(_, kept)| **kept == spec.component) else { return false };
        let key = keys::version(&package.name, *version);
        let Ok(Some(stored)) = turn.txn.get(&key) else { return false };
        let Ok(kept) = codec::read::<StoredVersion>(&key, &stored) else { return false };
        let name = &spec.handler.handler;
        let old = kept.handlers.iter().find(|handler| handler.name == *name);
        old.zip(package.handler(name))
            .is_some_and(|(old, new)| is_same_schema(old.input_schema.as_deref(), new.input_schema.as_deref()))
    }

    /// Components of a package's versions that nothing runs.
    fn idle(&self, name: &str) -> Vec<Digest> {
        let in_use = self.shelves.0.values().flat_map(Shelf::in_use).collect::<HashSet<_>>();
        let versions = self.shelves.0.get(name).into_iter().flat_map(|shelf| shelf.versions.values().copied());
        versions.filter(|kept| !in_use.contains(kept) && !self.unfinished.need(*kept)).collect()
    }

    /// Drops the oldest versions that nobody needs, beyond those that are kept, and components with their last version; those
    /// components.
    fn forget_versions(&mut self, turn: &mut Turn<'_>, name: &str) -> Vec<Digest> {
        let Some(shelf) = self.shelves.0.get_mut(name) else { return Vec::new() };
        // The last one among them, so that its number is never given again.
        let last = shelf.versions.keys().next_back().copied();
        let active = shelf.active.iter().flat_map(|active| [Some(active.version), active.before]);
        let needed: Vec<_> = active.chain([last]).flatten().collect();
        let more = shelf.versions.len().saturating_sub(MAX_VERSIONS);
        let unfinished = &self.unfinished;
        let is_old =
            |(version, component): &(&u32, &Digest)| !needed.contains(version) && !unfinished.need(**component);
        let old: Vec<_> =
            shelf.versions.iter().filter(is_old).take(more).map(|(version, it)| (*version, *it)).collect();
        for (version, _) in &old {
            shelf.versions.remove(version);
            turn.txn.delete(keys::version(name, *version));
        }
        let dropped: Vec<_> =
            old.into_iter().map(|(_, component)| component).filter(|component| !self.shelves.has(*component)).collect();
        for component in &dropped {
            turn.txn.delete(keys::component(*component));
        }
        dropped
    }

    pub(crate) fn versions(&self, turn: &Turn<'_>, name: &str) -> Result<Vec<PackageVersion>, StoreError> {
        let active = self.package(turn, name)?.map(|package| package.version);
        let (first, end) = (keys::version(name, 0), keys::version(name, u32::MAX));
        let mut versions = Vec::new();
        for pair in turn.txn.scan(&first, &end, true) {
            let (key, stored) = pair?;
            let Some((_, version)) = keys::read_version(&key) else { continue };
            let Some(kept) = turn.read_or_suspect::<StoredVersion>(&key, &stored) else { continue };
            let StoredVersion { component, size_bytes, handlers, deployed_at, .. } = kept;
            let is_active = active == Some(version);
            versions.push(PackageVersion { version, component, size_bytes, handlers, deployed_at, is_active });
        }
        Ok(versions)
    }

    pub(crate) fn packages(&self, turn: &Turn<'_>) -> Result<Vec<Package>, StoreError> {
        let (first, end) = keys::all(b'p');
        let mut packages = Vec::new();
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            packages.extend(turn.read_or_suspect::<Package>(&key, &stored));
        }
        Ok(packages)
    }

    pub(super) fn package(&self, turn: &Turn<'_>, name: &str) -> Result<Option<Package>, StoreError> {
        let key = keys::package(name);
        turn.txn.get(&key)?.map(|stored| codec::read(&key, &stored)).transpose()
    }

    pub(crate) fn component(&self, turn: &Turn<'_>, digest: Digest) -> Result<Option<Bytes>, StoreError> {
        let key = keys::component(digest);
        turn.txn.get(&key)?.map(|stored| codec::read_bytes(&key, &stored)).transpose()
    }
}

/// Whether two schemas are the same JSON, however they are written.
fn is_same_schema(old: Option<&str>, new: Option<&str>) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (old, new) {
        (Some(old), Some(new)) => old == new || json(old).is_some_and(|old| json(new) == Some(old)),
        (old, new) => old == new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_compared_as_json() {
        let schema = Some(r#"{"type": "object", "required": ["a"]}"#);
        assert!(is_same_schema(schema, Some(r#"{"required":["a"],"type":"object"}"#)) && is_same_schema(None, None));
        assert!(!is_same_schema(schema, None) && !is_same_schema(None, schema));
        assert!(!is_same_schema(schema, Some(r#"{"required":["b"],"type":"object"}"#)));
        assert!(is_same_schema(Some("no JSON"), Some("no JSON")) && !is_same_schema(Some("no JSON"), Some("nor this")));
    }
}
