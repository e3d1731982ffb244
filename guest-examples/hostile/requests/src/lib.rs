//! Asks by HTTP, the one way out of a sandbox, where it may not: each handler writes a private place in another form.

use sunaba_sdk::prelude::*;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::{InputStream, StreamError};

#[data]
pub struct Input {
    /// Where a server listens, on the machine that this runs on.
    port: u16,
}

/// What an answer was: its headers and its body, as they came.
struct Answer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        let shown = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
        let headers: Vec<_> = self.headers.iter().map(shown).collect();
        format!("{} {} {}", self.status, headers.join(", "), String::from_utf8_lossy(&self.body))
    }
}

/// Sends a request. What the host does not let through is a failure of the kind `denied`.
fn ask(authority: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer, TaskError> {
    let odd = |what: &str| TaskError::fatal(what.to_owned());
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|_| odd("a header"))?;
    }
    let request = OutgoingRequest::new(fields);
    request.set_scheme(Some(&Scheme::Http)).map_err(|()| odd("a scheme"))?;
    request.set_authority(Some(authority)).map_err(|()| odd("an authority"))?;
    request.set_path_with_query(Some(path)).map_err(|()| odd("a path"))?;
    let coming = handle(request, None).map_err(refused)?;
    coming.subscribe().block();
    let response = coming.get().ok_or_else(|| odd("no answer"))?.map_err(|()| odd("an answer that was taken"))?;
    let response: IncomingResponse = response.map_err(refused)?;
    let (status, headers) = (response.status(), response.headers().entries());
    let body = response.consume().map_err(|()| odd("no body"))?;
    let body = read(&body.stream().map_err(|()| odd("no stream"))?)?;
    Ok(Answer { status, headers, body })
}

fn refused(error: ErrorCode) -> TaskError {
    let kind = match error {
        ErrorCode::HttpRequestDenied => "denied",
        ErrorCode::DestinationIpProhibited => "prohibited",
        _ => "error",
    };
    TaskError::fatal(format!("{error:?}")).with_kind(kind)
}

fn read(stream: &InputStream) -> Result<Vec<u8>, TaskError> {
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => return Err(TaskError::fatal(error.to_debug_string())),
        }
    }
}

/// Asks the machine that it runs on.
#[handler(http = "*")]
pub fn ask_loopback(input: Input) -> Result<String, TaskError> {
    ask(&format!("127.0.0.1:{}", input.port), "/", &[]).map(|answer| answer.text())
}

/// Asks where clouds keep the keys of their machines, in the words that they answer to.
#[handler(http = "*")]
pub fn ask_metadata() -> Result<String, TaskError> {
    let words = [("metadata-flavor", "Google"), ("x-aws-ec2-metadata-token-ttl-seconds", "60")];
    ask("169.254.169.254", "/latest/meta-data/", &words).map(|answer| answer.text())
}

/// Asks by a name that it was granted, which leads to its own machine.
#[handler(http = "*")]
pub fn ask_name_of_loopback(input: Input) -> Result<String, TaskError> {
    ask(&format!("localhost:{}", input.port), "/", &[]).map(|answer| answer.text())
}

/// Writes the address of its own machine as one of IPv6.
#[handler(http = "*")]
pub fn ask_mapped_address(input: Input) -> Result<String, TaskError> {
    ask(&format!("[::ffff:127.0.0.1]:{}", input.port), "/", &[]).map(|answer| answer.text())
}

/// Writes the address of its own machine as one number, which resolvers understand.
#[handler(http = "*")]
pub fn ask_number(input: Input) -> Result<String, TaskError> {
    ask(&format!("2130706433:{}", input.port), "/", &[]).map(|answer| answer.text())
}

/// Has a server that it may ask send it on to where it may not.
#[handler(http = "*")]
pub fn ask_round_a_corner(input: Input) -> Result<String, TaskError> {
    let answer = ask(&format!("127.0.0.1:{}", input.port), "/away", &[])?;
    let location = answer.headers.iter().find(|(name, _)| name == "location");
    let location = location.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    // The host has not gone there by itself, so it has to be asked.
    let location = location.ok_or_else(|| TaskError::fatal(format!("it was sent nowhere: {}", answer.text())))?;
    ask(location.trim_start_matches("http://").trim_end_matches('/'), "/", &[]).map(|answer| answer.text())
}

/// Sends a secret to its own server, which tells it back in every form, and returns whatever it hears.
#[handler(http = "*", secrets = "API_KEY")]
pub fn coax_secret(input: Input) -> Result<String, TaskError> {
    let placeholder = std::env::var("API_KEY").map_err(|error| TaskError::fatal(error.to_string()))?;
    let bearer = format!("Bearer {placeholder}");
    let answer = ask(&format!("127.0.0.1:{}", input.port), "/", &[("authorization", &bearer)])?;
    // Said too, so that logs and results are looked at as well.
    log::info!("{}", answer.text());
    println!("{}", answer.text());
    Ok(answer.text())
}

export!(
    ask_loopback,
    ask_metadata,
    ask_name_of_loopback,
    ask_mapped_address,
    ask_number,
    ask_round_a_corner,
    coax_secret
);
