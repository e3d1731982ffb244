//! Reads what a request brings: within a bound, within a time, and of the one media type that is taken.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sunaba_host::{MAX_COMPONENT_BYTES, MAX_INPUT_BYTES};
use sunaba_task::format_bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// A JSON body may be as large as the largest input in base64, and something around it.
const MAX_JSON_BYTES: usize = 2 * MAX_INPUT_BYTES as usize;
/// How deep its lists and objects may be nested: as deep as serde_json reads them, whoever uses it.
pub(crate) const MAX_DEPTH: usize = 127;
/// How long a body may take to arrive.
const MAX_TIME: Duration = Duration::from_secs(60);

/// What all large bodies may take together, from their arrival until they are done with.
const MAX_TOGETHER_BYTES: usize = 256 << 20;
const _: () = assert!(MAX_COMPONENT_BYTES <= MAX_TOGETHER_BYTES);
/// What is counted at a time; bodies that are no larger are not counted.
const COUNTED_BYTES: usize = 64 << 10;

static ROOM: Semaphore = Semaphore::const_new(MAX_TOGETHER_BYTES / COUNTED_BYTES);

/// A body, and the room that it takes while it is there.
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<SemaphorePermit<'static>>,
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let Body { bytes, room: _room } = read(request, "application/json", MAX_JSON_BYTES).await?;
        object(&bytes, "body").map(Self)
    }
}

/// An answer in JSON.
pub(crate) struct Reply<T>(pub(crate) T);

/// Most answers are no longer: their text is written in one piece.
const REPLY_BYTES: usize = 2 << 10;

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(REPLY_BYTES);
        match serde_json::to_writer(&mut text, &self.0) {
            Ok(()) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

/// Reads a JSON object.
pub(crate) fn object<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Problem> {
    // A list would be taken for the fields of a struct, in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::new(StatusCode::BAD_REQUEST, format!("the {what} is not a JSON object")));
    }
    if depth(bytes) > MAX_DEPTH {
        let message = format!("the {what} is nested deeper than {MAX_DEPTH}\nhint: that is the limit here");
        return Err(Problem::new(StatusCode::BAD_REQUEST, message).code("too-deep"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = with_place(&error);
        Problem::new(StatusCode::BAD_REQUEST, format!("the {what} is not what is expected here: {problem}"))
    })
}

/// How deep lists and objects are nested in what may be JSON. Whoever reads it goes down as deep, and some do so on their stack: the
/// guest, who gets an input as it is.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// An error with its place behind what is wrong. serde puts it at the very end, which may be a hint.
fn with_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place).and_then(|text| text.split_once("\nhint: ")) {
        Some((problem, hint)) => format!("{problem}{place}\nhint: {hint}"),
        None => text,
    }
}

/// The body of a request, if it is of this media type and no larger.
pub(crate) async fn read(request: Request, media_type: &str, limit: usize) -> Result<Body, Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let given = given.map(|given| given.split(';').next().unwrap_or_default().trim());
    if !given.is_some_and(|given| given.eq_ignore_ascii_case(media_type)) {
        let given = given.unwrap_or("nothing");
        let message = format!("the Content-Type is `{given}`\nhint: only `{media_type}` is taken here");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let too_large = || {
        let message = format!("the body has more than {}\nhint: that is the limit here", format_bytes(limit as u64));
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    within(MAX_TIME, gather(request.into_body(), limit)).await?.ok_or_else(too_large)
}

/// What arrives in this time.
async fn within<T>(time: Duration, arriving: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let mut arriving = pin!(arriving);
    // Most bodies come with their head: they need no timer.
    if let Poll::Ready(arrived) = poll_fn(|context| Poll::Ready(arriving.as_mut().poll(context))).await {
        return arrived;
    }
    tokio::time::timeout(time, arriving)
        .await
        .unwrap_or_else(|_| Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")))
}

/// All of a body; none when it is larger than the limit. Room is taken for what has arrived, not for what was announced:
/// whoever sends nothing keeps nothing from others.
async fn gather(mut body: axum::body::Body, limit: usize) -> Result<Option<Body>, Problem> {
    let (mut gathered, mut room): (Vec<u8>, Option<SemaphorePermit<'static>>) = (Vec::new(), None);
    let mut counted = COUNTED_BYTES;
    while let Some(frame) = body.frame().await {
        let broken = |error| Problem::new(StatusCode::BAD_REQUEST, format!("the body ended in the middle: {error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if gathered.len() + data.len() > limit {
            return Ok(None);
        }
        while gathered.len() + data.len() > counted {
            let more = ROOM.try_acquire().map_err(|_| {
                let message = "the host is reading too many large bodies\nhint: try again later";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
            })?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            counted += COUNTED_BYTES;
        }
        gathered.extend_from_slice(&data);
    }
    Ok(Some(Body { bytes: gathered.into(), room }))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;
    use crate::api::QueuePatch;

    /// A body of which nothing more comes.
    struct Stalled;

    impl hyper::body::Body for Stalled {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn body_that_stalls_is_given_up() {
        let stalled = gather(axum::body::Body::new(Stalled), 1);
        let problem = within(Duration::from_millis(10), stalled).await.err().expect("it does not come");
        assert_eq!((problem.status, problem.code.as_ref()), (408, "request-timeout"));
    }

    #[test]
    fn depth_counts_what_is_nested_and_no_text() {
        for (text, expected) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[{}],"b":[]}"#, 3),
            (r#"["[[[", "\"[[["]"#, 1),
            (r#"["\\",[]]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn place_of_an_error_is_no_part_of_its_hint() {
        let problem = super::object::<QueuePatch>(br#"{"rate":"fast"}"#, "body").expect_err("it is no rate");
        let expected = "the body is not what is expected here: `fast` is not a rate at line 1 column 15";
        assert_eq!(problem.detail, expected);
        assert!(problem.hint.is_some_and(|hint| hint.ends_with("a time of up to a day")));
        let other = super::object::<QueuePatch>(br#"{"speed":1}"#, "body").expect_err("there is no such field");
        assert!(other.detail.ends_with(" at line 1 column 8") && other.hint.is_none(), "{other:?}");
    }
}
