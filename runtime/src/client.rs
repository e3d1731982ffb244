//! Speaks to a host over its HTTP API.

mod access;
mod artifacts;
mod complete;
mod control;
mod job_retry;
mod job_story;
mod jobs;
mod schedules;
mod secrets;
mod tasks;
mod versions;
mod watch;
mod webhooks;
mod workers;

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sunaba_server::Problem;
use sunaba_server::api::{DeployQuestion, HandlerView, HostView, PackageView, PackagesView, PreviewView};
use sunaba_task::{HandlerName, KeyText};

/// How long a host may take to accept a connection. It is on this machine.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a host may take to answer, beside what it was asked to wait.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Compiling a large component takes long.
const DEPLOY_TIME: Duration = Duration::from_secs(600);
/// A host waits this long for one request.
const WAIT_TIME: Duration = Duration::from_secs(30);

pub use artifacts::Download;
pub use control::EventsWanted;
pub use tasks::BulkVerb;

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not an address of a host.
    #[error("`{0}` is not the address of a host\nhint: write it as `http://127.0.0.1:7878`")]
    Address(String),
    /// Nobody answers there.
    #[error(
        "no host answers at {address}: {problem}\nhint: start one with `sunaba serve`, or name another with `--address` or \
         SUNABA_ADDRESS"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        problem: String,
    },
    /// It has not answered in time.
    #[error(
        "{address} has not answered in time, and may have done what it was asked\nhint: `sunaba task list` shows that; a \
         submit with `--idempotency-key` can be repeated"
    )]
    Late {
        /// Where.
        address: String,
    },
    /// The host answered that it does not.
    #[error("{}{}", .0.detail, .0.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Refused(Problem),
    /// Something answered that is not a host of this version.
    #[error("{address} did not answer as a host does: {problem}\nhint: is something else listening there?")]
    Protocol {
        /// Where.
        address: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// A host somewhere else.
#[derive(Debug, Clone)]
pub struct Client {
    address: Url,
    http: reqwest::Client,
    /// What says who we are. Its text is not shown, nor logged.
    key: Option<HeaderValue>,
}

impl Client {
    /// The host at this address, such as `http://127.0.0.1:7878`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(address: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(address.to_owned());
        let url = Url::parse(address).map_err(|_| wrong())?;
        if url.scheme() != "http" || url.host().is_none() || url.path() != "/" {
            return Err(wrong());
        }
        // A host is spoken to directly: it listens on this machine only.
        // A host sends nobody elsewhere, and a key is for no one else.
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).connect_timeout(CONNECT_TIME);
        Ok(Self { address: url, http: http.build().map_err(|_| wrong())?, key: None })
    }

    /// The same with a key, which goes with every request.
    #[must_use]
    pub fn with_key(mut self, key: &KeyText) -> Self {
        // It has hexadecimal digits alone, which a header may have.
        self.key = HeaderValue::try_from(format!("Bearer {}", key.reveal())).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// The host itself.
    ///
    /// # Errors
    /// [`ClientError`], as for every other call.
    pub async fn host(&self) -> Result<HostView, ClientError> {
        self.send(self.request(Method::GET, "/v1/host")).await
    }

    /// Deploys a component, unless it may do or use more than the active version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy(&self, package: &str, component: Bytes) -> Result<PackageView, ClientError> {
        self.deploy_with(package, component, &DeployQuestion::default()).await
    }

    /// Deploys a component. A widening that is refused is told in [`Problem::widening`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy_with(
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
    pub async fn preview(&self, package: &str, component: Bytes) -> Result<PreviewView, ClientError> {
        let request = self.request_at(Method::POST, &["v1", "packages", package, "preview"]);
        self.send(request.header("content-type", "application/wasm").timeout(DEPLOY_TIME).body(component)).await
    }

    /// Every package.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn packages(&self) -> Result<PackagesView, ClientError> {
        self.send(self.request(Method::GET, "/v1/packages")).await
    }

    /// A handler.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn handler(&self, name: &HandlerName) -> Result<HandlerView, ClientError> {
        self.send(self.request_at(Method::GET, &["v1", "handlers", &name.package, &name.handler])).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.address.join(path).expect("our own paths are valid");
        self.to(method, url)
    }

    fn to(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url).timeout(ANSWER_TIME);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    /// The same by the parts of the path, whatever they hold.
    fn request_at(&self, method: Method, parts: &[&str]) -> RequestBuilder {
        let mut url = self.address.clone();
        url.path_segments_mut().expect("an http address has a path").clear().extend(parts);
        self.to(method, url)
    }

    /// A look at what a question asks for: its fields that say something, as the query.
    async fn ask<T: DeserializeOwned>(&self, path: &str, question: &impl Serialize) -> Result<T, ClientError> {
        self.send(self.asking(self.request(Method::GET, path), question)?).await
    }

    fn asking(&self, request: RequestBuilder, question: &impl Serialize) -> Result<RequestBuilder, ClientError> {
        let mut request = request.build().map_err(|error| self.protocol(error))?;
        let fields = serde_json::to_value(question).map_err(|error| self.protocol(error))?;
        let fields = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        request.url_mut().query_pairs_mut().extend_pairs(fields.map(|(name, value)| (name, text(value))));
        Ok(RequestBuilder::from_parts(self.http.clone(), request))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let bytes = self.fetch(request).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.protocol(error))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| {
            let address = self.shown();
            if error.is_timeout() && !error.is_connect() {
                ClientError::Late { address }
            } else {
                ClientError::Unreachable { address, problem: innermost(&error) }
            }
        })
    }

    /// What is answered, as it is.
    async fn fetch(&self, request: RequestBuilder) -> Result<Bytes, ClientError> {
        let response = self.answer(request).await?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.protocol(error))?;
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(ClientError::Refused(problem)),
            Err(_) => Err(self.protocol(status)),
        }
    }

    fn protocol(&self, problem: impl Display) -> ClientError {
        ClientError::Protocol { address: self.shown(), problem: problem.to_string() }
    }

    fn shown(&self) -> String {
        self.address.as_str().trim_end_matches('/').to_owned()
    }
}

/// What lies at the bottom of an error: the rest only says that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_taken() {
        assert!(Client::new("http://127.0.0.1:7878").is_ok());
        assert!(Client::new("http://localhost:7878/").is_ok());
        for address in ["", "127.0.0.1:7878", "localhost", "ftp://x", "https://x", "http://x/v1"] {
            assert!(matches!(Client::new(address), Err(ClientError::Address(_))), "{address}");
        }
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        let client = Client::new("http://127.0.0.1:7878").expect("an address");
        let path =
            |name| client.request_at(Method::GET, &["v1", "packages", name]).build().expect("built").url().to_string();
        assert_eq!(path("words"), "http://127.0.0.1:7878/v1/packages/words");
        assert_eq!(path("../tasks?x#y"), "http://127.0.0.1:7878/v1/packages/..%2Ftasks%3Fx%23y");
        assert_eq!(path(".."), "http://127.0.0.1:7878/v1/packages");
    }
}
