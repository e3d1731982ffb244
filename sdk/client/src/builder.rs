//! What can be said of a client before it is one.

use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use sunaba_task::KeyText;

use crate::{Client, ClientError};

/// How long a host may take to accept a connection. It is near.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a host may take to answer, beside what it was asked to wait.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// More than a page of the largest outputs.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// A restart of a host takes longer; a connection that was lost does not.
const TRIES: u32 = 3;
/// Beyond that it would be a wait without a bound.
const MAX_TRIES: u32 = 20;

/// Makes a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    address: String,
    key: Option<KeyText>,
    connect_time: Duration,
    answer_time: Duration,
    max_answer_bytes: usize,
    tries: u32,
}

impl ClientBuilder {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            key: None,
            connect_time: CONNECT_TIME,
            answer_time: ANSWER_TIME,
            max_answer_bytes: MAX_ANSWER_BYTES,
            tries: TRIES,
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(self, key: KeyText) -> Self {
        Self { key: Some(key), ..self }
    }

    /// How long the host may take to accept a connection; 5 s by default.
    #[must_use]
    pub fn connect_timeout(self, connect_time: Duration) -> Self {
        Self { connect_time, ..self }
    }

    /// How long the host may take to answer, beside what it was asked to wait; 60 s by default. A deploy and a large job have longer,
    /// whatever is said here.
    #[must_use]
    pub fn timeout(self, answer_time: Duration) -> Self {
        Self { answer_time, ..self }
    }

    /// How much of an answer is read; 512 MiB by default. Files are read piece by piece, and have no limit.
    #[must_use]
    pub fn max_answer_bytes(self, max_answer_bytes: usize) -> Self {
        Self { max_answer_bytes, ..self }
    }

    /// How often something is tried at most, from 1 to 20; 3 by default. It is tried again if no connection was made; and, where it
    /// may be done twice (whatever looks, and submits with an idempotency key), if the answer was lost, the connection in the middle of
    /// it, too, or the host cannot at the moment. Between two tries it waits, as long as the host has asked for.
    #[must_use]
    pub fn tries(self, tries: u32) -> Self {
        Self { tries: tries.clamp(1, MAX_TRIES), ..self }
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn build(self) -> Result<Client, ClientError> {
        let wrong = || ClientError::Address(self.address.clone());
        let url = Url::parse(&self.address).map_err(|_| wrong())?;
        if url.scheme() != "http" || url.host().is_none() || url.path() != "/" {
            return Err(wrong());
        }
        // A host is spoken to directly. It sends nobody elsewhere, and a key is for no one else.
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).connect_timeout(self.connect_time);
        let client = Client {
            address: url,
            http: http.build().map_err(|_| wrong())?,
            key: None,
            answer_time: self.answer_time,
            max_answer_bytes: self.max_answer_bytes,
            tries: self.tries,
        };
        Ok(match &self.key {
            Some(key) => client.with_key(key),
            None => client,
        })
    }
}
