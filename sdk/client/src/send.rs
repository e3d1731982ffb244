//! Sends requests and reads answers, with a bound on each: time, bytes and tries.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sunaba_server::Problem;

use crate::{Client, ClientError, WAIT_TIME};

/// Before the second try; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A host that asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A host that was asked to wait is asked again no sooner than after this.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
/// What of an answer that is no problem of ours is read.
const MAX_PROBLEM_BYTES: usize = 1 << 20;

/// What came of a try.
struct Failed {
    error: ClientError,
    /// Whether it is certain that the host has done nothing.
    undone: bool,
}

/// What is left to be tried of a request.
struct Tries {
    left: u32,
    pause: Duration,
    may_repeat: bool,
}

impl Tries {
    /// How long to wait before the next try, if there is one: what was not done is tried always, all else only if it may be done
    /// twice.
    fn next(&mut self, failed: &Failed) -> Option<Duration> {
        self.left -= 1;
        let again = failed.error.is_retryable() && (failed.undone || self.may_repeat);
        let wait = failed.error.retry_after().unwrap_or_else(|| self.pause.mul_f64(0.5 + fastrand::f64()));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        (self.left > 0 && again && wait <= LONGEST_PAUSE).then_some(wait)
    }
}

impl Client {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.address.join(path).expect("our own paths are valid");
        self.to(method, url)
    }

    /// The same by the parts of the path, whatever they hold.
    pub(crate) fn request_at(&self, method: Method, parts: &[&str]) -> RequestBuilder {
        let mut url = self.address.clone();
        url.path_segments_mut().expect("an http address has a path").clear().extend(parts);
        self.to(method, url)
    }

    fn to(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url).timeout(self.answer_time);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    /// A look at what a question asks for: its fields that say something, as the query.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.send(self.asking(self.request(Method::GET, path), question)?).await
    }

    pub(crate) fn asking(
        &self,
        request: RequestBuilder,
        question: &impl Serialize,
    ) -> Result<RequestBuilder, ClientError> {
        let mut request = request.build().map_err(|error| self.protocol(error))?;
        let fields = serde_json::to_value(question).map_err(|error| self.protocol(error))?;
        let fields = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        request.url_mut().query_pairs_mut().extend_pairs(fields.map(|(name, value)| (name, text(value))));
        Ok(RequestBuilder::from_parts(self.http.clone(), request))
    }

    /// What is answered, as JSON.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.read(self.fetch(request).await?)
    }

    /// The same of what may be done twice, though its method does not say so.
    pub(crate) async fn send_again<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.read(self.tried(request, true).await?)
    }

    fn read<T: DeserializeOwned>(&self, bytes: Bytes) -> Result<T, ClientError> {
        serde_json::from_slice(&bytes).map_err(|error| self.protocol(error))
    }

    /// What is answered, as it is.
    pub(crate) async fn fetch(&self, request: RequestBuilder) -> Result<Bytes, ClientError> {
        self.tried(request, false).await
    }

    /// What is answered, all of it, tried as often as it may be.
    async fn tried(&self, request: RequestBuilder, may_repeat: bool) -> Result<Bytes, ClientError> {
        let request = request.build().map_err(|error| self.protocol(error))?;
        let mut tries = self.tries(&request, may_repeat);
        loop {
            let failed = match self.once(self.copy(&request)?, self.answer_time_of(&request)).await {
                Ok(response) => match self.body(response, self.max_answer_bytes).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => Failed { error, undone: false },
                },
                Err(failed) => failed,
            };
            let Some(wait) = tries.next(&failed) else { return Err(failed.error) };
            tokio::time::sleep(wait).await;
        }
    }

    /// A response of which more is read than its head, piece by piece. Its head comes within the time of an answer, and is tried for
    /// like any.
    pub(crate) async fn open(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let request = request.build().map_err(|error| self.protocol(error))?;
        let mut tries = self.tries(&request, false);
        loop {
            let failed = match self.once(self.copy(&request)?, self.answer_time).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(wait) = tries.next(&failed) else { return Err(failed.error) };
            tokio::time::sleep(wait).await;
        }
    }

    fn tries(&self, request: &reqwest::Request, may_repeat: bool) -> Tries {
        Tries { left: self.tries, pause: FIRST_PAUSE, may_repeat: may_repeat || *request.method() == Method::GET }
    }

    /// A body that is bytes can be had again; there are no others.
    fn copy(&self, request: &reqwest::Request) -> Result<reqwest::Request, ClientError> {
        request.try_clone().ok_or_else(|| self.protocol("a body can be sent only once"))
    }

    fn answer_time_of(&self, request: &reqwest::Request) -> Duration {
        request.timeout().copied().unwrap_or(self.answer_time)
    }

    /// The head of a good answer, if it comes within this time.
    async fn once(&self, request: reqwest::Request, head_time: Duration) -> Result<Response, Failed> {
        // Who loses: the request, and with it its connection.
        let response = match tokio::time::timeout(head_time, self.http.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Failed { undone: error.is_connect(), error: self.failed(&error) }),
            Err(_) => return Err(Failed { undone: false, error: self.late() }),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Failed { error: self.refusal(response).await, undone: false })
    }

    /// How long the host is asked to wait for something, so that it answers in time.
    pub(crate) fn poll_time(&self) -> Duration {
        WAIT_TIME.min(self.answer_time / 2)
    }

    /// To be made before a request that has the host wait, and waited for when that has ended without what it was to wait for: a host
    /// that does not wait is not asked over and over.
    pub(crate) fn shortest_wait(&self) -> tokio::time::Sleep {
        tokio::time::sleep(SHORTEST_WAIT)
    }

    /// Why a host refuses, as its response has it.
    async fn refusal(&self, response: Response) -> ClientError {
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let bytes = match self.body(response, MAX_PROBLEM_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match (self.problem(status, &bytes), retry_after) {
            (Ok(problem), Some(retry_after)) => ClientError::RefusedForNow { problem: problem.into(), retry_after },
            (Ok(problem), None) => ClientError::Refused(problem),
            (Err(error), _) => error,
        }
    }

    fn problem(&self, status: StatusCode, bytes: &[u8]) -> Result<Problem, ClientError> {
        serde_json::from_slice(bytes).map_err(|_| self.protocol(status))
    }

    async fn body(&self, mut response: Response, limit_bytes: usize) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() > limit_bytes => {
                    return Err(ClientError::TooLong { address: self.address().to_owned(), limit_bytes });
                }
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return Ok(body.freeze()),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    /// What it means that no answer came, or not all of one.
    pub(crate) fn failed(&self, error: &reqwest::Error) -> ClientError {
        let (address, problem) = (self.address().to_owned(), innermost(error));
        if error.is_connect() {
            ClientError::Unreachable { address, problem }
        } else if error.is_timeout() {
            ClientError::Late { address }
        } else if is_malformed(error) {
            ClientError::Protocol { address, problem }
        } else {
            ClientError::Lost { address, problem }
        }
    }

    pub(crate) fn late(&self) -> ClientError {
        ClientError::Late { address: self.address().to_owned() }
    }

    pub(crate) fn protocol(&self, problem: impl Display) -> ClientError {
        ClientError::Protocol { address: self.address().to_owned(), problem: problem.to_string() }
    }
}

/// Whether something came that is no HTTP, which is no sign of a connection that was lost.
fn is_malformed(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
        {
            return true;
        }
        source = error.source();
    }
    false
}

/// Seconds, as our hosts write it; another form is left out.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// What lies at the bottom of an error: the rest only says that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
