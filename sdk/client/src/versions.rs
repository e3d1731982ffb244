//! The versions of packages, and what their handlers have used.

use reqwest::Method;
use serde::Serialize;
use sunaba_server::api::{PackageView, Rollback, UsageBy, UsageView, UsagesView, VersionsView};

use crate::{Client, ClientError, DEPLOY_TIME};

impl Client {
    /// The versions of a package, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_package_versions(&self, package: &str) -> Result<VersionsView, ClientError> {
        self.send(self.request_at(Method::GET, &["v1", "packages", package, "versions"])).await
    }

    /// Makes another version of a package active; the package as it is then.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollback_package(&self, package: &str, to: &Rollback) -> Result<PackageView, ClientError> {
        let request = self.request_at(Method::POST, &["v1", "packages", package, "rollback"]);
        self.send(request.timeout(DEPLOY_TIME).json(to)).await
    }

    /// What attempts have used, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_usage(&self, by: UsageBy) -> Result<Vec<UsageView>, ClientError> {
        #[derive(Serialize)]
        struct Question {
            by: UsageBy,
            after: Option<String>,
        }
        let (mut all, mut question) = (Vec::new(), Question { by, after: None });
        loop {
            let page: UsagesView = self.ask("/v1/usage", &question).await?;
            all.extend(page.usage);
            question.after = page.next;
            if question.after.is_none() {
                return Ok(all);
            }
        }
    }
}
