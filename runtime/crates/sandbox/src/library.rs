//! The components that a sandbox has loaded, shared by all of its shards.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sunaba_task::{Digest, FuelMode};

use crate::component::{Artifact, ComponentInfo};

/// The components that are loaded: their code for each fuel mode, and what they say of themselves.
#[derive(Default)]
pub(crate) struct Library {
    artifacts: RwLock<HashMap<(Digest, FuelMode), Arc<Artifact>>>,
    components: RwLock<HashMap<Digest, Arc<ComponentInfo>>>,
}

impl Library {
    pub(crate) fn artifact(&self, component: Digest, mode: FuelMode) -> Option<Arc<Artifact>> {
        self.artifacts.read().unwrap_or_else(PoisonError::into_inner).get(&(component, mode)).cloned()
    }

    pub(crate) fn add_artifact(&self, component: Digest, mode: FuelMode, artifact: Artifact) {
        let mut artifacts = self.artifacts.write().unwrap_or_else(PoisonError::into_inner);
        artifacts.insert((component, mode), Arc::new(artifact));
    }

    pub(crate) fn remove_artifact(&self, component: Digest, mode: FuelMode) {
        self.artifacts.write().unwrap_or_else(PoisonError::into_inner).remove(&(component, mode));
    }

    pub(crate) fn component(&self, digest: Digest) -> Option<Arc<ComponentInfo>> {
        self.components.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
    }

    pub(crate) fn add_component(&self, info: Arc<ComponentInfo>) {
        self.components.write().unwrap_or_else(PoisonError::into_inner).insert(info.digest, info);
    }
}
