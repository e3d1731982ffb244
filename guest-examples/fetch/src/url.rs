//! The parts of a URL that a request needs.

use wasip2::http::types::Scheme;

/// Where a request goes.
#[derive(Debug)]
pub struct Url<'a> {
    pub scheme: Scheme,
    /// The host, and the port where it is not the usual one.
    pub authority: &'a str,
    /// With the query, without the fragment: that one stays on this side.
    pub path: &'a str,
}

/// Takes a URL apart. None: it is not one that can be fetched.
pub fn parse(url: &str) -> Option<Url<'_>> {
    let url = url.split('#').next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    (!authority.is_empty()).then_some(Url { scheme, authority, path: if path.is_empty() { "/" } else { path } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_taken_apart() {
        let url = parse("https://a.example:8443/b/c?d=e#f").expect("a URL");
        assert!(matches!(url.scheme, Scheme::Https));
        assert_eq!((url.authority, url.path), ("a.example:8443", "/b/c?d=e"));
        assert_eq!(parse("http://a").expect("a URL").path, "/");
        assert_eq!(parse("http://a?b").expect("a URL").path, "?b");
        for text in ["", "a.example", "ftp://a", "http://", "https:///x"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
