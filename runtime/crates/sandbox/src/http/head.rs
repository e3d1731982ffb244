//! The heads of requests and responses: what a guest may not say, what this host says instead, and how large they may be.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Version};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error};

use super::place::Place;
use super::vault::Vault;

/// The head of a request or a response, in bytes. Also the buffer of a connection.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
/// Headers of a request, a response or its trailers.
pub(super) const MAX_HEADERS: usize = 100;

/// What a guest neither sets nor sees: it is between this host and the next.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || *name == header::TE || name.as_str().starts_with("proxy-")
}

/// Makes a request one that this host sends: a path, the granted authority, and secrets where they are allowed.
///
/// # Errors
/// It asks for a tunnel or an echo of itself, is too large, or a secret makes no header.
pub(super) fn outgoing(parts: &mut Parts, place: &Place, vault: Option<&Vault>) -> Result<(), Error> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Error::HttpRequestMethodInvalid);
    }
    parts.uri = path(parts.uri.path_and_query())?;
    parts.version = Version::HTTP_11;
    // The guest cannot set these; should it ever, they are not sent.
    let forbidden: Vec<_> = parts.headers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        parts.headers.remove(name);
    }
    if let Some(vault) = vault.filter(|vault| vault.binds(place)) {
        vault.fill(place, &mut parts.headers)?;
        // What is packed cannot be looked through.
        parts.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let host = HeaderValue::try_from(place.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
    parts.headers.insert(header::HOST, host);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let line = parts.method.as_str().len() + parts.uri.path_and_query().map_or(1, |path| path.as_str().len());
    let bytes = line + size(&parts.headers);
    if bytes > MAX_HEAD_BYTES || parts.headers.len() > MAX_HEADERS {
        return Err(Error::HttpRequestHeaderSectionSize(u32::try_from(bytes).ok()));
    }
    Ok(())
}

/// In the form that goes to a server: from the root, without a scheme or a host.
fn path(path: Option<&PathAndQuery>) -> Result<http::Uri, Error> {
    let path = match path.map_or("/", PathAndQuery::as_str) {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    };
    if !path.starts_with('/') {
        return Err(Error::HttpRequestUriInvalid);
    }
    let path = PathAndQuery::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    http::Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)
}

/// Makes a response one that a guest may see.
///
/// # Errors
/// It is too large, wants another protocol, or is packed although it may hold a secret.
pub(super) fn incoming(parts: &mut http::response::Parts, place: &Place, vault: Option<&Vault>) -> Result<(), Error> {
    if parts.status.is_informational() {
        return Err(Error::HttpUpgradeFailed);
    }
    // A connection stops reading soon after its buffer is full, not right at it.
    check_size(&parts.headers)?;
    // Reason phrases and what else came along: nothing that a guest asks for.
    parts.extensions = http::Extensions::new();
    let Some(vault) = vault else { return Ok(()) };
    if vault.binds(place) && is_packed(&parts.headers) {
        let why = "a response that may hold a secret must not be encoded";
        return Err(Error::HttpResponseContentCoding(Some(why.into())));
    }
    vault.redact(&mut parts.headers);
    // A placeholder may be longer than what it stands for.
    check_size(&parts.headers)?;
    // A placeholder is not as long as what it stands for.
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(())
}

fn check_size(headers: &HeaderMap) -> Result<(), Error> {
    let bytes = size(headers);
    if bytes > MAX_HEAD_BYTES { Err(Error::HttpResponseHeaderSectionSize(u32::try_from(bytes).ok())) } else { Ok(()) }
}

fn is_packed(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::CONTENT_ENCODING);
    codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity") && !coding.is_empty())
}

/// Bytes on the wire, about.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_task::{Secret, SecretText};

    fn place() -> Place {
        Place::of(&"http://a.example:81".parse().expect("a URI")).expect("a place")
    }

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).expect("a request").into_parts().0
    }

    fn sent(request: http::request::Builder) -> Result<Parts, Error> {
        let mut parts = parts(request);
        outgoing(&mut parts, &place(), None).map(|()| parts)
    }

    #[test]
    fn request_goes_to_the_granted_authority_whatever_it_says() {
        let request = http::Request::builder().uri("http://b.example/x?y=1").header("host", "b.example");
        let request =
            request.header("transfer-encoding", "chunked").header("proxy-thing", "1").header("te", "trailers");
        let parts = sent(request.header("x-own", "1")).expect("a request");
        assert_eq!(parts.uri, "/x?y=1");
        let headers: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers.len(), 3, "{headers:?}");
        assert_eq!(parts.headers[header::HOST], "a.example:81");
        assert_eq!(parts.headers[header::CONNECTION], "close");
    }

    #[test]
    fn tunnels_and_echoes_are_refused() {
        for method in ["CONNECT", "TRACE"] {
            let refused = sent(http::Request::builder().uri("http://a.example/").method(method));
            assert!(matches!(refused, Err(Error::HttpRequestMethodInvalid)), "{method}");
        }
    }

    #[test]
    fn request_head_obeyed() {
        let path = format!("http://a.example/{}", "x".repeat(60_000));
        assert!(sent(http::Request::builder().uri(path)).is_ok());
    }

    #[test]
    fn request_head_violated() {
        let large = http::Request::builder().uri("http://a.example/").header("x", "x".repeat(MAX_HEAD_BYTES));
        assert!(matches!(sent(large), Err(Error::HttpRequestHeaderSectionSize(_))));
        let many = (0..=MAX_HEADERS).fold(http::Request::builder().uri("http://a.example/"), |request, index| {
            request.header(format!("x-{index}"), "1")
        });
        assert!(matches!(sent(many), Err(Error::HttpRequestHeaderSectionSize(_))));
    }

    #[test]
    fn response_head_is_bounded_with_its_placeholders_too() {
        let host = "http://a.example:81".parse().expect("a grant");
        let secret = Secret { name: "KEY".into(), text: SecretText::new("12345678"), host };
        let vault = Vault::new(vec![secret], None);
        let taken = |times| {
            let response = http::Response::builder().header("x", "12345678".repeat(times)).body(());
            incoming(&mut response.expect("a response").into_parts().0, &place(), vault.as_deref())
        };
        assert!(taken(1_000).is_ok());
        assert!(matches!(taken(4_000), Err(Error::HttpResponseHeaderSectionSize(_))));
    }

    #[test]
    fn query_without_a_path_gets_one() {
        let uri = http::Uri::builder().scheme("http").authority("a.example").path_and_query("?a=b").build();
        let parts = sent(http::Request::builder().uri(uri.expect("a URI"))).expect("a request");
        assert_eq!(parts.uri, "/?a=b");
    }
}
