//! Artifacts: the list of a task's, and a file, whole or a part of it, streamed.
//!
//! A file is whatever a guest has made. So it is never shown by a browser as a page of this host: it is saved, its type is not
//! guessed, and were it opened all the same, it could do nothing.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sunaba_store::BlobError;
use sunaba_task::{ArtifactKind, ArtifactName};

use super::{Answer, Shared};
use crate::api::ArtifactsView;
use crate::body::Reply;
use crate::extract::At;
use crate::file_body::FileBody;
use crate::guard::one;
use crate::problem::Problem;
use crate::range::{Range, range};

pub(super) async fn list(State(shared): State<Shared>, At(id): At<String>) -> Answer<ArtifactsView> {
    let (id, _) = shared.find(&id).await?;
    let artifacts = shared.runtime.store().artifacts(id).await?;
    Ok(Reply(ArtifactsView { id: id.to_string(), artifacts: artifacts.into_iter().map(Into::into).collect() }))
}

pub(super) async fn get(
    State(shared): State<Shared>,
    At((id, name)): At<(String, String)>,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    let (id, _) = shared.find(&id).await?;
    let name: ArtifactName = name.parse().map_err(Problem::invalid)?;
    let store = shared.runtime.store();
    let artifact = store.artifact(id, name.clone()).await?.ok_or_else(|| {
        let message =
            format!("task {id} has no artifact `{name}`\nhint: `sunaba task artifacts {id}` shows what it has");
        Problem::not_found(message)
    })?;
    let (size_bytes, digest) = match artifact.kind {
        ArtifactKind::File { size_bytes, digest } => (size_bytes, digest),
        ArtifactKind::Url(url) => {
            let message = format!("the artifact `{name}` is a link, and no file\nhint: it leads to {url}");
            return Err(Problem::new(StatusCode::CONFLICT, message));
        }
    };
    let tag = format!("\"{digest}\"");
    let mut head = head(&name, &artifact.media_type, &tag);
    if one(&asked, header::IF_NONE_MATCH)?.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    // A part of another file than the one that the rest is of is of no use.
    let is_same = one(&asked, header::IF_RANGE)?.is_none_or(|known| known == tag);
    let part = one(&asked, header::RANGE)?.filter(|_| is_same).map_or(Range::Whole, |text| range(text, size_bytes));
    let (status, from, length) = match part {
        Range::Whole => (StatusCode::OK, 0, size_bytes),
        Range::Part { from, length } => {
            let last = from + length - 1;
            put(&mut head, header::CONTENT_RANGE, &format!("bytes {from}-{last}/{size_bytes}"));
            (StatusCode::PARTIAL_CONTENT, from, length)
        }
        Range::Outside => {
            put(&mut head, header::CONTENT_RANGE, &format!("bytes */{size_bytes}"));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, head).into_response());
        }
    };
    let reader = store.blobs().open(digest, from).await?;
    Ok((status, head, Body::new(FileBody::new(reader, length))).into_response())
}

fn head(name: &ArtifactName, media_type: &str, tag: &str) -> HeaderMap {
    let mut head = HeaderMap::new();
    put(&mut head, header::CONTENT_TYPE, media_type);
    put(&mut head, header::CONTENT_DISPOSITION, &disposition(name.as_str()));
    put(&mut head, header::ETAG, tag);
    put(&mut head, header::ACCEPT_RANGES, "bytes");
    put(&mut head, header::CACHE_CONTROL, "private, no-cache");
    put(&mut head, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(&mut head, header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    head
}

/// All of these are visible ASCII by how they are made.
fn put(head: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        head.insert(name, value);
    }
}

/// To be saved, under this name: once in letters that every program knows, and once as it is. Source: RFC 6266.
fn disposition(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || " -_.()".contains(char) { char } else { '_' };
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{}\"; filename*=UTF-8''{encoded}", name.chars().map(plain).collect::<String>())
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        let status = match error {
            BlobError::Missing(_) => StatusCode::GONE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_inert_in_a_header() {
        assert_eq!(disposition("a b.png"), "attachment; filename=\"a b.png\"; filename*=UTF-8''a%20b.png");
        let quoted = disposition("x\"; filename=evil.exe; é");
        assert_eq!(
            quoted,
            "attachment; filename=\"x__ filename_evil.exe_ _\"; filename*=UTF-8''x%22%3B%20filename%3Devil.exe%3B%20%C3%A9"
        );
        assert!(quoted.is_ascii());
    }
}
