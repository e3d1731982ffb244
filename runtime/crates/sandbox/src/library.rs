//! The components that a sandbox has loaded, shared by all who ask it to run them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sunaba_task::{Digest, FuelMode};

use crate::attempt::Prepared;
use crate::component::ComponentInfo;
use crate::decider::Ready;
use crate::sandbox::Sandbox;

impl Sandbox {
    /// How many bytes of machine code a loaded component has in this fuel mode. None: it is not loaded, or has only a policy.
    pub fn code_bytes(&self, component: Digest, mode: FuelMode) -> Option<u64> {
        let (_, code) = self.library.get(component, mode)?;
        let image = code.first()?.instance_pre().component().image_range();
        Some((image.end as usize - image.start as usize) as u64)
    }
}

/// The code of a component in one fuel mode, ready to be instantiated on each shard.
pub(crate) type OnShards = Arc<[Prepared]>;

/// The components that are loaded: their code for each fuel mode, and what they say of themselves.
#[derive(Default)]
pub(crate) struct Library(RwLock<HashMap<Digest, Loaded>>);

struct Loaded {
    /// Its policy, if it has one.
    decider: Option<Ready>,
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

    /// The policy of a component.
    pub(crate) fn decider(&self, component: Digest) -> Option<Ready> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&component)?.decider.clone()
    }

    pub(crate) fn add(&self, info: Arc<ComponentInfo>, mode: FuelMode, code: OnShards, decider: Option<Ready>) {
        let mut loaded = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Loaded { decider: None, info: Arc::clone(&info), code: HashMap::new() };
        let loaded = loaded.entry(info.digest).or_insert_with(new);
        loaded.code.insert(mode, code);
        if info.decider.is_some() {
            loaded.info = info;
        }
        loaded.decider = decider.or(loaded.decider.take());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn remove(&self, component: Digest) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&component);
    }
}
