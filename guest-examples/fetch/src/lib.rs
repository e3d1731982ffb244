//! One request to the outside, and how it looks from inside a sandbox.
//!
//! The handler can ask exactly the hosts that it was granted. It holds no connection, no certificate and no name server:
//! it fills in a request, and the host resolves the name, checks the address, speaks TLS and hands the answer back piece by
//! piece. The interface is `wasi:http`; the `wasip2` crate has its types.

mod url;

use sunaba_sdk::prelude::*;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, IncomingBody, IncomingResponse, OutgoingRequest, RequestOptions};
use wasip2::io::streams::{InputStream, StreamError};

/// So many bytes of the answer are read, unless the input says less.
const MOST_BYTES: u32 = 64 * 1024;
/// How long the host may take to connect, in nanoseconds: ten seconds.
const CONNECT_TIMEOUT: u64 = 10_000_000_000;

#[data]
pub struct Request {
    /// Such as `https://api.example.com/v1/status`.
    url: String,
    /// The headers of the answer to return.
    headers: Option<Vec<String>>,
    /// How many bytes of the answer to return at most; 64 KiB unless it is less.
    first_bytes: Option<u32>,
    /// The environment variable with a token. Where it is a secret, the host puts the token in its place.
    token: Option<String>,
}

#[data]
pub struct Answer {
    status: u16,
    /// Those that were asked for and came.
    headers: Vec<Header>,
    /// The first bytes, as text.
    body: String,
    /// Whether there was more.
    cut: bool,
}

#[data]
pub struct Header {
    name: String,
    value: String,
}

/// Fetches a URL.
#[handler(timeout = "60s", memory = "32MiB", http = "*", secrets = "API_KEY")]
pub fn fetch(input: Request) -> Result<Answer, TaskError> {
    let response = send(&input)?;
    let wanted = input.headers.unwrap_or_default();
    let headers = wanted.into_iter().filter_map(|name| header(&response, name)).collect();
    let status = response.status();
    let body = response.consume().map_err(|()| TaskError::fatal("the answer has no body"))?;
    let (bytes, cut) = read(&body, input.first_bytes.unwrap_or(MOST_BYTES).min(MOST_BYTES) as usize)?;
    // What a server says of itself decides whether it is worth trying again.
    if status >= 500 {
        return Err(TaskError::new("server", format!("the server answered {status}")));
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned(), cut })
}

/// Sends the request and waits for the head of the answer.
fn send(input: &Request) -> Result<IncomingResponse, TaskError> {
    let url = url::parse(&input.url).ok_or_else(|| TaskError::fatal(format!("`{}` is not a URL", input.url)))?;
    let fields = Fields::new();
    if let Some(name) = &input.token {
        let token = std::env::var(name).map_err(|_| TaskError::fatal(format!("there is no variable `{name}`")))?;
        let value = format!("Bearer {token}").into_bytes();
        fields.append("authorization", &value).map_err(|error| TaskError::fatal(error.to_string()))?;
    }
    let request = OutgoingRequest::new(fields);
    let invalid = |()| TaskError::fatal(format!("`{}` is not a URL", input.url));
    request.set_scheme(Some(&url.scheme)).map_err(invalid)?;
    request.set_authority(Some(url.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(url.path)).map_err(invalid)?;
    let options = RequestOptions::new();
    options.set_connect_timeout(Some(CONNECT_TIMEOUT)).map_err(|()| TaskError::fatal("no timeout can be set"))?;

    let coming = handle(request, Some(options)).map_err(failed)?;
    // The sandbox waits here, not a thread of the host: other attempts go on.
    coming.subscribe().block();
    let answer = coming.get().ok_or_else(|| TaskError::fatal("the wait ended without an answer"))?;
    answer.map_err(|()| TaskError::fatal("the answer was taken before"))?.map_err(failed)
}

/// What is not granted stays so; everything else about a network may be better the next time.
fn failed(error: ErrorCode) -> TaskError {
    match error {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            TaskError::fatal(format!("{error}: the request was not granted")).with_kind("denied")
        }
        error => TaskError::new("network", format!("the request failed: {error:?}")),
    }
}

fn header(response: &IncomingResponse, name: String) -> Option<Header> {
    let value = response.headers().get(&name).into_iter().next()?;
    Some(Header { value: String::from_utf8_lossy(&value).into_owned(), name })
}

/// The first bytes of a body, and whether there are more. The rest is never sent for.
fn read(body: &IncomingBody, most: usize) -> Result<(Vec<u8>, bool), TaskError> {
    let stream: InputStream = body.stream().map_err(|()| TaskError::fatal("the body was taken before"))?;
    let mut bytes = Vec::new();
    loop {
        // One more than asked for, to know whether the answer went on.
        let room = (most + 1 - bytes.len()) as u64;
        match stream.blocking_read(room) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Ok((bytes, false)),
            Err(StreamError::LastOperationFailed(error)) => {
                let why = error.to_debug_string();
                return Err(TaskError::new("network", format!("the answer broke off: {why}")));
            }
        }
        if bytes.len() > most {
            bytes.truncate(most);
            return Ok((bytes, true));
        }
    }
}

export!(fetch);
