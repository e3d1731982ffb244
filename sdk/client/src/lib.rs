//! A client of a sunaba host: submits tasks and jobs, waits for them, follows what happens, and operates the host.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use sunaba_client::{Client, task};
//!
//! let client = Client::new("http://127.0.0.1:7878")?;
//! let mut hello = task("hello/hello", &serde_json::json!({ "name": "Ada" }))?;
//! hello.idempotency_key = Some("greet-ada".into());
//! let task = client.submit_task(&hello).await?;
//! match client.wait_at_most(task.id.parse()?, Duration::from_secs(60)).await? {
//!     Some(ended) => println!("{}: {:?}", ended.state, client.get_task_result(ended.id.parse()?).await?.output),
//!     None => println!("{} has not ended yet", task.id),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each operation of the API has a method of the same name; what gives pages ([`Client::list_tasks`]) asks for as many as are
//! wanted. [`Client::follow`] gives events as they come, and goes on where it was after the connection was lost. What is asked and
//! answered are the server's own types ([`api`]), so that the two cannot disagree.
//!
//! A host that refuses says why in a [`Problem`]: [`ClientError::code`] is for programs and does not change with the words. What is
//! tried again without being asked for is only what may be done twice ([`ClientBuilder::tries`]).

mod access;
mod artifacts;
mod builder;
mod complete;
mod control;
mod error;
mod follow;
mod host;
mod job_retry;
mod job_story;
mod jobs;
mod schedules;
mod secrets;
mod send;
mod tasks;
mod versions;
mod watch;
mod webhooks;
mod workers;

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Serialize;
use sunaba_task::KeyText;

pub use artifacts::Download;
pub use builder::ClientBuilder;
pub use control::EventsWanted;
pub use error::ClientError;
pub use follow::Events;
pub use sunaba_host::{Story, job_story as stories};
pub use sunaba_server::{Problem, api};
pub use sunaba_store::{EventsOf, Expected};
pub use sunaba_task as task;
pub use tasks::BulkVerb;

/// Compiling a large component takes long.
const DEPLOY_TIME: Duration = Duration::from_secs(600);
/// A host waits this long for one request.
const WAIT_TIME: Duration = Duration::from_secs(30);

/// A host somewhere else. A clone shares its connections.
#[derive(Debug, Clone)]
pub struct Client {
    address: Url,
    http: reqwest::Client,
    /// What says who we are. Its text is not shown, nor logged.
    key: Option<HeaderValue>,
    answer_time: Duration,
    max_answer_bytes: usize,
    tries: u32,
}

impl Client {
    /// The host at this address, such as `http://127.0.0.1:7878`, with everything by default. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(address: &str) -> Result<Self, ClientError> {
        Self::builder(address).build()
    }

    /// The same with more to say.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    /// Where the host is.
    pub fn address(&self) -> &str {
        self.address.as_str().trim_end_matches('/')
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
}

/// A task with an input in JSON, to be submitted; all else of it is by default.
///
/// # Errors
/// [`ClientError::Input`]: the input has no JSON form.
pub fn task(handler: &str, input: &impl Serialize) -> Result<api::Submit, ClientError> {
    let input = serde_json::value::to_raw_value(input).map_err(|error| ClientError::Input(error.to_string()))?;
    Ok(api::Submit { handler: handler.to_owned(), input: Some(input), ..api::Submit::default() })
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod addresses {
    use reqwest::Method;

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
