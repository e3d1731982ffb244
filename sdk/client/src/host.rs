//! The host itself, its packages and their handlers.

use bytes::Bytes;
use reqwest::Method;
use sunaba_server::api::{DeployQuestion, HandlerView, HostView, PackageView, PackagesView, PreviewView};
use sunaba_task::HandlerName;

use crate::{Client, ClientError, DEPLOY_TIME};

impl Client {
    /// Whether the host is up; that it answers is all that this tells.
    ///
    /// # Errors
    /// [`ClientError`], as for every other call.
    pub async fn get_liveness(&self) -> Result<(), ClientError> {
        self.fetch(self.request(Method::GET, "/livez")).await.map(drop)
    }

    /// Whether the host can do its work; if not, [`ClientError::Refused`] says why.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_readiness(&self) -> Result<(), ClientError> {
        // That it cannot is an answer, and not asked for again.
        let once = Self { tries: 1, ..self.clone() };
        once.fetch(self.request(Method::GET, "/readyz")).await.map(drop)
    }

    /// The host itself.
    ///
    /// # Errors
    /// [`ClientError`], as for every other call.
    pub async fn get_host(&self) -> Result<HostView, ClientError> {
        self.send(self.request(Method::GET, "/v1/host")).await
    }

    /// What the API can do, as an OpenAPI document.
    ///
    /// # Errors
    /// [`ClientError`], as for every other call.
    pub async fn get_openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.send(self.request(Method::GET, "/v1/openapi.json")).await
    }

    /// Deploys a component, unless it may do or use more than the active version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy(&self, package: &str, component: Bytes) -> Result<PackageView, ClientError> {
        self.deploy_package(package, component, &DeployQuestion::default()).await
    }

    /// Deploys a component. A widening that is refused is told in [`Problem::widening`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy_package(
        &self,
        package: &str,
        component: Bytes,
        how: &DeployQuestion,
    ) -> Result<PackageView, ClientError> {
        let request = self.request_at(Method::PUT, &["v1", "packages", package]);
        let request = self.asking(request, how)?;
        self.send(request.header("content-type", "application/wasm").timeout(DEPLOY_TIME).body(component)).await
    }

    /// What a deploy of a component would change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn preview_package(&self, package: &str, component: Bytes) -> Result<PreviewView, ClientError> {
        let request = self.request_at(Method::POST, &["v1", "packages", package, "preview"]);
        self.send_again(request.header("content-type", "application/wasm").timeout(DEPLOY_TIME).body(component)).await
    }

    /// Every package.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_packages(&self) -> Result<PackagesView, ClientError> {
        self.send(self.request(Method::GET, "/v1/packages")).await
    }

    /// A handler.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_handler(&self, name: &HandlerName) -> Result<HandlerView, ClientError> {
        self.send(self.request_at(Method::GET, &["v1", "handlers", &name.package, &name.handler])).await
    }
}
