//! The secrets of a host.

use reqwest::Method;
use sunaba_server::api::{RemovedSecret, SecretView, SecretsView, SetSecret};

use crate::{Client, ClientError};

impl Client {
    /// What is shown of every secret, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_secrets(&self) -> Result<Vec<SecretView>, ClientError> {
        let SecretsView { secrets } = self.send(self.request(Method::GET, "/v1/secrets")).await?;
        Ok(secrets)
    }

    /// Keeps a secret, in place of the one of this name if there is one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_secret(&self, name: &str, secret: &SetSecret) -> Result<SecretView, ClientError> {
        self.send(self.request_at(Method::PUT, &["v1", "secrets", name]).json(secret)).await
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_secret(&self, name: &str) -> Result<RemovedSecret, ClientError> {
        self.send(self.request_at(Method::DELETE, &["v1", "secrets", name])).await
    }
}
