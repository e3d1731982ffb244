//! The keys of a host, and its log of changes.

use reqwest::Method;
use sunaba_server::api::{AuditsView, CreateKey, CreatedKey, KeyView, KeysView, PageQuestion};

use crate::{Client, ClientError};

impl Client {
    /// Makes a key. Its text is in the answer, and nowhere else.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_key(&self, key: &CreateKey) -> Result<CreatedKey, ClientError> {
        self.send(self.request(Method::POST, "/v1/keys").json(key)).await
    }

    /// What is shown of every key, the oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_keys(&self) -> Result<Vec<KeyView>, ClientError> {
        let (mut all, mut question) = (Vec::new(), PageQuestion { limit: Some(200), ..PageQuestion::default() });
        loop {
            let page: KeysView = self.ask("/v1/keys", &question).await?;
            all.extend(page.keys);
            question.after = page.next;
            if question.after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Ends a key: when this returns, the host answers to nobody who has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_key(&self, id: &str) -> Result<KeyView, ClientError> {
        self.send(self.request_at(Method::DELETE, &["v1", "keys", id])).await
    }

    /// Changes that were made, the newest first: a page of at most 200, before this place.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_audit(&self, before: Option<String>, limit: usize) -> Result<AuditsView, ClientError> {
        self.ask("/v1/audit", &PageQuestion { before, limit: Some(limit), ..PageQuestion::default() }).await
    }
}
