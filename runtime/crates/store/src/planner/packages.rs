//! Keeps packages and their components.

use bytes::Bytes;
use sunaba_task::Digest;

use super::{Planner, Turn};
use crate::codec;
use crate::keys;
use crate::{NewPackage, Package, StoreError};

impl Planner {
    pub(crate) fn deploy(
        &mut self,
        turn: &mut Turn<'_>,
        new: NewPackage,
        component: &Bytes,
    ) -> Result<Package, StoreError> {
        turn.txn.check_room()?;
        let NewPackage { name, component: digest, handlers } = new;
        turn.txn.put(keys::component(digest), codec::write_bytes(component));
        let key = keys::package(&name);
        let package =
            Package { name, component: digest, size_bytes: component.len() as u64, handlers, deployed_at: turn.now };
        turn.txn.put(key, codec::write(&package));
        Ok(package)
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

    pub(crate) fn component(&self, turn: &Turn<'_>, digest: Digest) -> Result<Option<Bytes>, StoreError> {
        let key = keys::component(digest);
        turn.txn.get(&key)?.map(|stored| codec::read_bytes(&key, &stored)).transpose()
    }
}
