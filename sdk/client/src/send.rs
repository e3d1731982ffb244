//! Sends requests and reads answers, with a bound on each: time, bytes and tries.

use std::fmt::Display;
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
/// What of an answer that is no problem of ours is read.
const MAX_PROBLEM_BYTES: usize = 1 << 20;

/// What came of a try.
struct Failed {
    error: ClientError,
    /// Whether it is certain that the host has done nothing.
    undone: bool,
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

    /// Tries as often as it may: what was not sent always, and all else only if it may be done twice.
    async fn tried(&self, request: RequestBuilder, may_repeat: bool) -> Result<Bytes, ClientError> {
        let request = request.build().map_err(|error| self.protocol(error))?;
        let may_repeat = may_repeat || *request.method() == Method::GET;
        let mut left = self.tries;
        let mut pause = FIRST_PAUSE;
        loop {
            left -= 1;
            // A body that is bytes can be had again; there are no others.
            let again = request.try_clone().ok_or_else(|| self.protocol("a body can be sent only once"))?;
            let failed = match self.once(again).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let wait = failed.error.retry_after().unwrap_or_else(|| pause.mul_f64(0.5 + fastrand::f64()));
            let again = failed.error.is_retryable() && (failed.undone || may_repeat);
            if left == 0 || !again || wait > LONGEST_PAUSE {
                return Err(failed.error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn once(&self, request: reqwest::Request) -> Result<Bytes, Failed> {
        let may_be_done = |error| Failed { error, undone: false };
        let response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(Failed { undone: error.is_connect(), error: self.lost(&error) }),
        };
        if response.status().is_success() {
            return self.body(response, self.max_answer_bytes).await.map_err(may_be_done);
        }
        Err(may_be_done(self.refusal(response).await))
    }

    /// A response of which more is read than its head, piece by piece.
    pub(crate) async fn open(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// How long the host is asked to wait for something, so that it answers in time.
    pub(crate) fn poll_time(&self) -> Duration {
        WAIT_TIME.min(self.answer_time / 2)
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
                    return Err(ClientError::TooLong { address: self.shown(), limit_bytes });
                }
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return Ok(body.freeze()),
                Err(error) if error.is_timeout() => return Err(ClientError::Late { address: self.shown() }),
                Err(error) => return Err(self.protocol(innermost(&error))),
            }
        }
    }

    fn lost(&self, error: &reqwest::Error) -> ClientError {
        let address = self.shown();
        if error.is_timeout() && !error.is_connect() {
            ClientError::Late { address }
        } else {
            ClientError::Unreachable { address, problem: innermost(error) }
        }
    }

    pub(crate) fn protocol(&self, problem: impl Display) -> ClientError {
        ClientError::Protocol { address: self.shown(), problem: problem.to_string() }
    }

    pub(crate) fn shown(&self) -> String {
        self.address.as_str().trim_end_matches('/').to_owned()
    }
}

/// Seconds, as our hosts write it; another form is left out.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// What lies at the bottom of an error: the rest only says that a request failed.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
