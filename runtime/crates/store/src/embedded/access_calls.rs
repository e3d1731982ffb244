//! The calls about keys and the audit log.

use serde_json::Value;
use sunaba_task::{ApiKey, KeyId, NewApiKey};

use crate::{AccessStore, ApiKeys, AuditPage, AuditQuery, StoreFuture};

use super::EmbeddedStore;

impl AccessStore for EmbeddedStore {
    fn create_key(&self, key: NewApiKey) -> StoreFuture<'_, ApiKey> {
        Box::pin(self.change(|planner, turn| planner.create_key(turn, key)))
    }

    fn api_keys(&self) -> StoreFuture<'_, ApiKeys> {
        Box::pin(self.read(|planner, turn| planner.api_keys(turn)))
    }

    fn revoke_key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        Box::pin(self.change(move |planner, turn| planner.revoke_key(turn, id)))
    }

    fn keys_used(&self, ids: Vec<KeyId>) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |planner, turn| planner.keys_used(turn, &ids)))
    }

    fn log_change(&self, before: Value, after: Value) -> StoreFuture<'_, ()> {
        Box::pin(self.change(move |_, turn| {
            turn.change_is_elsewhere(before, after);
            Ok(())
        }))
    }

    fn audit_log(&self, query: AuditQuery) -> StoreFuture<'_, AuditPage> {
        Box::pin(self.read(move |planner, turn| planner.audit_log(turn, &query)))
    }
}
