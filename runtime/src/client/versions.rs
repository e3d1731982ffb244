//! The versions of packages, and what their handlers have used.

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use sunaba_server::api::{PackageView, Rollback, UsageBy, UsageView, UsagesView, VersionsView};

use super::{Client, ClientError, DEPLOY_TIME};

impl Client {
    /// Deploys a component, though tasks that follow wait for a handler that is gone or takes another input from then on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy_changed(&self, package: &str, component: Bytes) -> Result<PackageView, ClientError> {
        let request = self.request_at(Method::PUT, &["v1", "packages", package]).timeout(DEPLOY_TIME);
        let request = request.header("content-type", "application/wasm").body(component).build();
        let mut request = request.map_err(|error| self.protocol(error))?;
        request.url_mut().query_pairs_mut().append_pair("allow_signature_change", "true");
        self.send(RequestBuilder::from_parts(self.http.clone(), request)).await
    }

    /// The versions of a package, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn versions(&self, package: &str) -> Result<VersionsView, ClientError> {
        self.send(self.request_at(Method::GET, &["v1", "packages", package, "versions"])).await
    }

    /// Makes another version of a package active; the package as it is then.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollback(&self, package: &str, to: &Rollback) -> Result<PackageView, ClientError> {
        let request = self.request_at(Method::POST, &["v1", "packages", package, "rollback"]);
        self.send(request.timeout(DEPLOY_TIME).json(to)).await
    }

    /// What attempts have used, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn usage(&self, by: UsageBy) -> Result<Vec<UsageView>, ClientError> {
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
