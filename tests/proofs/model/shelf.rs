//! What the model knows of a package and its versions.

use std::collections::{BTreeMap, BTreeSet};

/// As many versions are kept that nobody needs.
const MAX_VERSIONS: usize = 100;
/// The first component of those that are deployed only to have others forgotten.
const FIRST_FRESH: u32 = 1_000;

/// The one package of the model: components by the numbers of their versions.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    versions: BTreeMap<u32, u32>,
    active: Option<u32>,
    before: Option<u32>,
    fresh: u32,
}

impl Shelf {
    /// What a task of this component that is made now is pinned to: what is not kept any more has better ones after it.
    pub(super) fn kept_or_active(&self, component: u32) -> u32 {
        if self.has(component) { component } else { self.active().unwrap_or(component) }
    }

    /// The active component.
    pub(super) fn active(&self) -> Option<u32> {
        self.versions.get(&self.active?).copied()
    }

    pub(super) fn has(&self, component: u32) -> bool {
        self.versions.values().any(|kept| *kept == component)
    }

    /// Newest first: the number, the component, and whether it is active.
    pub(super) fn list(&self) -> Vec<(u32, u32, bool)> {
        self.versions.iter().rev().map(|(version, kept)| (*version, *kept, self.active == Some(*version))).collect()
    }

    /// From now on there are other fresh components.
    pub(super) fn refresh(&mut self) {
        self.fresh += 1;
    }

    /// As many components as are kept, of which nobody has seen any.
    pub(super) fn fresh(&self) -> Vec<u32> {
        (FIRST_FRESH * self.fresh..).take(MAX_VERSIONS).collect()
    }

    /// `needed` is what unfinished tasks are pinned to. Gives the version that is active then.
    pub(super) fn deploy(&mut self, component: u32, needed: &BTreeSet<u32>) -> u32 {
        if let (Some(active), true) = (self.active, self.active() == Some(component)) {
            return active;
        }
        let known = self.versions.iter().find(|(_, kept)| **kept == component).map(|(version, _)| *version);
        let version = known.unwrap_or_else(|| self.versions.keys().max().map_or(1, |last| last + 1));
        self.versions.insert(version, component);
        self.before = self.active.replace(version);
        let stays = [self.active, self.before, self.versions.keys().max().copied()];
        let may_go = |version: u32, component| !stays.contains(&Some(version)) && !needed.contains(&component);
        while self.versions.len() > MAX_VERSIONS
            && let Some(oldest) = self.versions.iter().find(|(version, kept)| may_go(**version, **kept))
        {
            let oldest = *oldest.0;
            self.versions.remove(&oldest);
        }
        version
    }

    /// One of those that there are, or the one before. Gives the version that is active then; none when there is none.
    pub(super) fn activate(&mut self, version: Option<u32>) -> Option<u32> {
        let active = self.active?;
        let version = version.or(self.before).filter(|version| self.versions.contains_key(version))?;
        if version != active {
            self.before = self.active.replace(version);
        }
        Some(version)
    }
}
