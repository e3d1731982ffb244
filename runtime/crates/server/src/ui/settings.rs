//! What a host was configured with, to be shown: handed in by whoever has read the configuration.

use std::sync::{Arc, PoisonError, RwLock};

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// With its section, such as `host.data`.
    pub key: String,
    /// As it is written; never a secret.
    pub value: String,
    /// Where it comes from, for people.
    pub origin: String,
}

/// The settings of a host. Clones share them, so that a reload can say what is in force by then.
#[derive(Debug, Clone, Default)]
pub struct Settings(Arc<RwLock<Vec<Setting>>>);

impl Settings {
    /// These are in force from now on.
    pub fn set(&self, settings: Vec<Setting>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Those in force, in their order.
    pub(super) fn list(&self) -> Vec<Setting> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
