//! Where a request wants to go, in the one form that grants are compared with.

use std::fmt;
use std::net::IpAddr;

use sunaba_task::Scheme;

/// The longest name of a host.
const MAX_HOST_BYTES: usize = 253;

/// A scheme, a host and a port. The host is a name in lower case or an address in its one canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Place {
    /// None: it says who asks (`user@host`), or is no name and no address, or no port.
    pub(crate) fn of(uri: &http::Uri) -> Option<Self> {
        let scheme = match uri.scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let authority = uri.authority()?.as_str();
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port {
            "" => scheme.default_port(),
            port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
        };
        let host = host.to_ascii_lowercase();
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) if is_name(&host) => host,
            Err(_) => return None,
        };
        Some(Self { scheme, host, port })
    }

    /// The address, where the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host, and the port where it is not the scheme's own: what the `host` header says.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

fn is_name(host: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    (1..=MAX_HOST_BYTES).contains(&host.len()) && host.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str) -> Option<String> {
        uri.parse().ok().as_ref().and_then(Place::of).map(|place| place.to_string())
    }

    #[test]
    fn place_has_one_form() {
        for (uri, shown) in [
            ("http://A.Example/x?y", "http://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("https://a.example:80", "https://a.example:80"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("http://[::ffff:127.0.0.1]", "http://127.0.0.1"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
        ] {
            assert_eq!(place(uri).as_deref(), Some(shown), "{uri}");
        }
    }

    #[test]
    fn unclear_places_are_refused() {
        for uri in [
            "http://user@a.example",
            "http://a.example@b.example",
            "http://a.example:0",
            "http://a.example:99999",
            "http://a.example:",
            "http://[::1",
            "http://[::1]x",
            "http://a%2eexample",
            "ftp://a.example",
            "/x",
        ] {
            assert_eq!(place(uri), None, "{uri}");
        }
    }
}
