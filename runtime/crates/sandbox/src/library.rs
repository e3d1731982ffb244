//! The components that a sandbox has loaded, shared by all who ask it to run them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sunaba_task::{Digest, FuelMode};

use crate::attempt::Prepared;
use crate::component::ComponentInfo;

/// The code of a component in one fuel mode, ready to be instantiated on each shard.
pub(crate) type OnShards = Arc<[Prepared]>;

/// The components that are loaded: their code for each fuel mode, and what they say of themselves.
#[derive(Default)]
pub(crate) struct Library(RwLock<HashMap<Digest, Loaded>>);

struct Loaded {
    info: Arc<ComponentInfo>,
    code: HashMap<FuelMode, OnShards>,
}

impl Library {
    /// What a component says of itself.
    pub(crate) fn info(&self, component: Digest) -> Option<Arc<ComponentInfo>> {
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        loaded.get(&component).map(|loaded| Arc::clone(&loaded.info))
    }

    /// The same with its code.
    pub(crate) fn get(&self, component: Digest, mode: FuelMode) -> Option<(Arc<ComponentInfo>, OnShards)> {
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get(&component)?;
        Some((Arc::clone(&loaded.info), Arc::clone(loaded.code.get(&mode)?)))
    }

    pub(crate) fn add(&self, info: Arc<ComponentInfo>, mode: FuelMode, code: OnShards) {
        let mut loaded = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let digest = info.digest;
        loaded.entry(digest).or_insert_with(|| Loaded { info, code: HashMap::new() }).code.insert(mode, code);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn remove(&self, component: Digest) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&component);
    }
}
