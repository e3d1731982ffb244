//! What every request must be before anything looks at it: addressed to this host by a name of its own, and not sent by a
//! web page of somebody else.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::HeaderName;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::problem::Problem;

/// The names of a host, besides those of loopback.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    /// Whether it may be called by any address: it listens where others reach it. No name that somebody else has made resolve to
    /// it is an address.
    pub(crate) by_address: bool,
    /// What else it is called, in lower case.
    pub(crate) names: Arc<[String]>,
}

/// Whether a request may come in.
pub(crate) fn guard(hosts: &Hosts, request: &Request) -> Result<(), Problem> {
    check(hosts, request.uri(), request.headers(), is_visit(request))
}

/// Whether somebody has followed a link to one of our pages. That changes nothing, no other page sees what is shown, and a cookie
/// does not come with it.
fn is_visit(request: &Request) -> bool {
    let path = request.uri().path();
    let is = |name, value| one(request.headers(), HeaderName::from_static(name)).is_ok_and(|sent| sent == Some(value));
    let is_page = path == "/" || path == "/ui" || path.starts_with("/ui/");
    is_page && request.method() == Method::GET && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

fn check(hosts: &Hosts, uri: &Uri, headers: &HeaderMap, visits: bool) -> Result<(), Problem> {
    let host = one(headers, header::HOST)?.ok_or_else(|| bad("the request has no Host header"))?;
    let misdirected = |host: &str| {
        // A name that resolves to us by somebody else's doing: DNS rebinding.
        let message = format!(
            "the host `{host}` is not this one\nhint: use `http://127.0.0.1` or `http://localhost`; `sunaba serve --allow-host NAME` \
             lets it have another name"
        );
        Problem::new(StatusCode::MISDIRECTED_REQUEST, message)
    };
    for name in std::iter::once(host).chain(uri.authority().map(Authority::as_str)) {
        if !hosts.have(name) {
            return Err(misdirected(name));
        }
    }
    let forbidden = |what: &str, value: &str| {
        let hint = "only this host's own pages and programs may call it";
        Problem::new(StatusCode::FORBIDDEN, format!("requests from the {what} `{value}` are not taken\nhint: {hint}"))
    };
    if let Some(origin) = one(headers, header::ORIGIN)?
        // With TLS it is a proxy in front that has it.
        && origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) != Some(host)
    {
        return Err(forbidden("origin", origin));
    }
    match one(headers, HeaderName::from_static("sec-fetch-site"))? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if visits => Ok(()),
        Some(site) => Err(forbidden("site", site)),
    }
}

fn bad(message: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, message)
}

/// The value of a header that may stand there once.
pub(crate) fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(value) if values.next().is_none() => Ok(Some(value)),
        _ => Err(bad(&format!("the header `{name}` is there twice, or is not visible ASCII"))),
    }
}

impl Hosts {
    /// Whether `host` or `host:port` names this host.
    fn have(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let port = host.strip_prefix(authority.host()).unwrap_or("@");
        let has_port = port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_own = match name.parse::<IpAddr>() {
            Ok(address) => self.by_address || address.is_loopback(),
            Err(_) => {
                let own = self.names.iter().map(String::as_str);
                own.chain(["localhost"]).any(|own| name.eq_ignore_ascii_case(own))
            }
        };
        is_own && (port.is_empty() || has_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(headers: &[(&'static str, &str)]) -> Option<u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().expect("a header's value")));
        check(&Hosts::default(), &Uri::from_static("/v1/tasks"), &headers.collect(), false)
            .err()
            .map(|problem| problem.status)
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
    fn host_that_others_reach_has_its_addresses_and_the_names_that_it_was_given() {
        let hosts = Hosts { by_address: true, names: ["queue.example.org".to_owned()].into() };
        for host in ["10.0.0.1:7878", "[2001:db8::1]:1", "queue.example.org", "QUEUE.example.org:443", "localhost"] {
            assert!(hosts.have(host), "{host}");
            assert_eq!(Hosts::default().have(host), host == "localhost", "{host}");
        }
        for host in ["example.org", "a.queue.example.org", "10.0.0.1.example.org", "10.0.0.1:x", "user@10.0.0.1", ""] {
            assert!(!hosts.have(host), "{host}");
        }
    }

    #[test]
    fn absolute_targets_are_held_to_the_same() {
        let headers = HeaderMap::from_iter([(header::HOST, "localhost".parse().expect("a header's value"))]);
        assert!(check(&Hosts::default(), &Uri::from_static("http://localhost/v1"), &headers, false).is_ok());
        assert!(check(&Hosts::default(), &Uri::from_static("http://example.org/v1"), &headers, false).is_err());
    }

    #[test]
    fn link_of_another_site_opens_a_page_and_sends_nothing() {
        let asked = |method: &str, path: &str, dest: &str| {
            let request = Request::builder().method(method).uri(path).header("sec-fetch-mode", "navigate");
            is_visit(&request.header("sec-fetch-dest", dest).body(axum::body::Body::empty()).expect("a request"))
        };
        assert!(asked("GET", "/", "document") && asked("GET", "/ui/tasks?state=dead", "document"));
        assert!(!asked("POST", "/ui/tasks/bulk", "document") && !asked("GET", "/v1/tasks", "document"));
        assert!(
            !asked("GET", "/ui/tasks", "iframe")
                && !asked("GET", "/ui/tasks", "empty")
                && !asked("GET", "/uix", "document")
        );
    }

    #[test]
    fn only_our_own_pages_are_answered() {
        let host = ("host", "localhost:7878");
        for origin in ["http://localhost:7878", "https://localhost:7878"] {
            assert_eq!(status(&[host, ("origin", origin)]), None, "{origin}");
        }
        for origin in ["https://example.org", "http://localhost:1", "http://127.0.0.1:7878", "null"] {
            assert_eq!(status(&[host, ("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(status(&[host, ("sec-fetch-site", "cross-site")]), Some(403));
        assert_eq!(status(&[host, ("sec-fetch-site", "same-site")]), Some(403));
        assert_eq!(status(&[host, ("sec-fetch-site", "same-origin")]), None);
    }
}
