//! What every request must be before anything looks at it: addressed to this host by a loopback name, and not sent by a
//! web page of somebody else.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Lets a request through, or not.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let Some(host) = text(header::HOST) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the request has no Host header"));
    };
    if !is_loopback(host) {
        // A name that resolves to us by somebody else's doing: DNS rebinding.
        let message = format!("the host `{host}` is not this one\nhint: use `http://127.0.0.1` or `http://localhost`");
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, message));
    }
    let forbidden = |what: &str, value: &str| {
        Problem::new(StatusCode::FORBIDDEN, format!("requests from the {what} `{value}` are not taken"))
    };
    if let Some(origin) = text(header::ORIGIN)
        && origin.strip_prefix("http://") != Some(host)
    {
        return Err(forbidden("origin", origin));
    }
    match headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or("?")) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(site) => Err(forbidden("site", site)),
    }
}

/// Whether `host` or `host:port` names this machine to itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(headers: &[(&'static str, &str)]) -> Option<u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().expect("a header's value")));
        check(&headers.collect()).err().map(|problem| problem.status)
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in ["127.0.0.1:7878", "127.0.0.1", "localhost:7878", "LOCALHOST", "[::1]:7878", "127.9.9.9:1"] {
            assert_eq!(status(&[("host", host)]), None, "{host}");
        }
        for host in ["example.org", "localhost.example.org:7878", "127.0.0.1.example.org", "10.0.0.1", "[::2]:7878", ""]
        {
            assert_eq!(status(&[("host", host)]), Some(421), "{host}");
        }
        assert_eq!(status(&[]), Some(400));
    }

    #[test]
    fn only_our_own_pages_are_answered() {
        let host = ("host", "localhost:7878");
        assert_eq!(status(&[host, ("origin", "http://localhost:7878")]), None);
        for origin in ["https://example.org", "http://localhost:1", "http://127.0.0.1:7878", "null"] {
            assert_eq!(status(&[host, ("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(status(&[host, ("sec-fetch-site", "cross-site")]), Some(403));
        assert_eq!(status(&[host, ("sec-fetch-site", "same-site")]), Some(403));
        assert_eq!(status(&[host, ("sec-fetch-site", "same-origin")]), None);
    }
}
