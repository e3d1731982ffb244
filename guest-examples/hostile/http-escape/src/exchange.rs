//! One request as it was told, however wrong that may be.

use sunaba_sdk::prelude::*;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

#[data]
#[derive(Default)]
pub struct Step {
    /// `http`, `https`, or anything else.
    pub scheme: Option<String>,
    pub authority: Option<String>,
    pub path: Option<String>,
    pub method: Option<String>,
    /// `{NAME}` in a value is the environment variable; a value that begins with `basic:` becomes `Basic` and base64.
    pub headers: Option<Vec<(String, String)>>,
    /// So many bytes are sent.
    pub body_bytes: Option<u64>,
    /// So many times, in sequence.
    pub times: Option<u32>,
    /// Not waited for: the next step begins at once.
    pub hold: Option<bool>,
    /// Given up at once.
    pub forget: Option<bool>,
    /// In milliseconds.
    pub timeout_ms: Option<u64>,
    /// What to do instead: `env NAME`, `spin`.
    pub instead: Option<String>,
    /// How the body is read: all of it, unless it says `none` or `trailers`.
    pub read: Option<String>,
}

/// A request that was sent and not waited for.
pub struct Open {
    coming: FutureIncomingResponse,
    read: String,
}

pub fn carry_out(step: &Step, held: &mut Vec<Open>) -> Result<String, String> {
    if let Some(instead) = &step.instead {
        return match instead.split_once(' ') {
            Some(("env", name)) => std::env::var(name).map_err(|error| error.to_string()),
            _ => loop {
                std::hint::spin_loop();
            },
        };
    }
    let request = request(step)?;
    let body = step.body_bytes.map(|_| request.body().map_err(|()| "no body"));
    let body = body.transpose()?;
    let options = RequestOptions::new();
    let timeout = step.timeout_ms.map(|ms| ms * 1_000_000);
    let set = options.set_connect_timeout(timeout).and(options.set_first_byte_timeout(timeout));
    set.and(options.set_between_bytes_timeout(timeout)).map_err(|()| "no timeout")?;
    let coming = handle(request, Some(options)).map_err(|error| format!("{error:?}"))?;
    if let Some(body) = body {
        upload(body, step.body_bytes.unwrap_or(0))?;
    }
    if step.forget == Some(true) {
        return Ok("forgotten".into());
    }
    let mut open = Open { coming, read: step.read.clone().unwrap_or_default() };
    if step.hold == Some(true) {
        held.push(open);
        return Ok("held".into());
    }
    open.finish()
}

fn request(step: &Step) -> Result<OutgoingRequest, String> {
    let fields = Fields::new();
    for (name, value) in step.headers.iter().flatten() {
        let value = filled(value);
        fields.append(name, value.as_bytes()).map_err(|error| format!("{name}: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let scheme = match step.scheme.as_deref() {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => Scheme::Other(other.into()),
    };
    let method = match step.method.as_deref() {
        None | Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some("CONNECT") => Method::Connect,
        Some("TRACE") => Method::Trace,
        Some(other) => Method::Other(other.into()),
    };
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_method(&method).map_err(|()| "method")?;
    request.set_authority(step.authority.as_deref()).map_err(|()| "authority")?;
    request.set_path_with_query(step.path.as_deref()).map_err(|()| "path")?;
    Ok(request)
}

fn upload(body: OutgoingBody, bytes: u64) -> Result<(), String> {
    {
        let stream = body.write().map_err(|()| "no stream")?;
        let mut left = bytes;
        while left > 0 {
            let piece = vec![b'x'; left.min(4096) as usize];
            stream.blocking_write_and_flush(&piece).map_err(|error| format!("write: {error:?}"))?;
            left -= piece.len() as u64;
        }
    }
    OutgoingBody::finish(body, None).map_err(|error| format!("finish: {error:?}"))
}

impl Open {
    /// Waits for the answer; `STATUS HEADERS BODY`.
    pub fn finish(&mut self) -> Result<String, String> {
        self.coming.subscribe().block();
        let response = self.coming.get().ok_or("no answer")?.map_err(|()| "taken")?;
        let response: IncomingResponse = response.map_err(|error| format!("{error:?}"))?;
        let shown = |(name, value): (String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(&value));
        let headers: Vec<_> = response.headers().entries().into_iter().map(shown).collect();
        let head = format!("{} {}", response.status(), headers.join(", "));
        let body = response.consume().map_err(|()| "no body")?;
        let rest = match self.read.as_str() {
            "none" => String::new(),
            "trailers" => trailers(body)?,
            _ => all(&body).map_err(|error| format!("{head} | {error}"))?,
        };
        Ok(format!("{head} | {rest}"))
    }
}

fn all(body: &IncomingBody) -> Result<String, String> {
    let stream = body.stream().map_err(|()| "no stream")?;
    let (mut bytes, mut length) = (Vec::new(), 0_u64);
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(more) => {
                length += more.len() as u64;
                if bytes.len() < 4096 {
                    bytes.extend(more);
                }
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    Ok(if length > 4096 { format!("{length} bytes") } else { String::from_utf8_lossy(&bytes).into_owned() })
}

fn trailers(body: IncomingBody) -> Result<String, String> {
    let coming = IncomingBody::finish(body);
    coming.subscribe().block();
    let trailers = coming.get().ok_or("no trailers")?.map_err(|()| "taken")?.map_err(|error| format!("{error:?}"))?;
    let shown = |(name, value): (String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(&value));
    let shown: Vec<_> = trailers.iter().flat_map(|fields| fields.entries()).map(shown).collect();
    Ok(shown.join(", "))
}

/// The value with environment variables in it.
fn filled(value: &str) -> String {
    let mut filled = value.to_owned();
    for (key, text) in std::env::vars() {
        filled = filled.replace(&format!("{{{key}}}"), &text);
    }
    match filled.strip_prefix("basic:") {
        Some(pair) => format!("Basic {}", base64(pair.as_bytes())),
        None => filled,
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |index: usize| match index <= chunk.len() {
            true => char::from(ALPHABET[(bits >> (18 - 6 * index)) as usize & 63]),
            false => '=',
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(encode).collect()
}
