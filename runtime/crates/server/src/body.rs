//! Reads what a request brings: within a bound, within a time, and of the one media type that is taken.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use sunaba_host::MAX_INPUT_BYTES;
use sunaba_task::format_bytes;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// A JSON body may be as large as the largest input in base64, and something around it.
const MAX_JSON_BYTES: usize = 2 * MAX_INPUT_BYTES as usize;
/// How long a body may take to arrive.
const MAX_TIME: Duration = Duration::from_secs(60);

/// What all bodies that are being read may take together; further ones wait.
const MAX_TOGETHER_BYTES: usize = 256 << 20;
/// What is counted at a time.
const COUNTED_BYTES: usize = 64 << 10;

static ROOM: Semaphore = Semaphore::const_new(MAX_TOGETHER_BYTES / COUNTED_BYTES);

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request, "application/json", MAX_JSON_BYTES).await?;
        // A list would be taken for the fields of a struct, in their order.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "the body is not a JSON object"));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not what is expected here: {error}"))
        })
    }
}

/// The body of a request, if it is of this media type and no larger.
pub(crate) async fn read(request: Request, media_type: &str, limit: usize) -> Result<Bytes, Problem> {
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
    let length: usize = length.unwrap_or(limit);
    if length > limit {
        return Err(too_large());
    }
    let counted = u32::try_from(length.div_ceil(COUNTED_BYTES)).unwrap_or(u32::MAX);
    let reading = async {
        // Held until the body is read; from then on it is its handler's.
        let _room = ROOM.acquire_many(counted).await;
        axum::body::to_bytes(request.into_body(), limit).await
    };
    match tokio::time::timeout(MAX_TIME, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}
