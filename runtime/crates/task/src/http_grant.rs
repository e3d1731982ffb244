//! Where a guest may send requests, and which addresses nobody reaches without naming them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of a host.
const MAX_HOST_BYTES: usize = 253;

/// A scheme of outgoing requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of a URL without one.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddressBlock {
    address: IpAddr,
    prefix: u8,
}

impl AddressBlock {
    /// Whether the address lies in it. An IPv4 address that is written as an IPv6 one is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix));
                block.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                block.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for AddressBlock {
    type Err = HttpGrantError;

    fn from_str(text: &str) -> Result<Self, HttpGrantError> {
        let error = || HttpGrantError::Block(shortened(text));
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| error())?;
        // An IPv4 address in IPv6 form has its own count of bits; nobody has to write it so.
        let is_mapped = address.is_ipv6() && address.to_canonical().is_ipv4();
        if prefix > most || is_mapped { Err(error()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl From<AddressBlock> for String {
    fn from(block: AddressBlock) -> Self {
        block.to_string()
    }
}

impl TryFrom<String> for AddressBlock {
    type Error = HttpGrantError;

    fn try_from(text: String) -> Result<Self, HttpGrantError> {
        text.parse()
    }
}

/// Where requests may go. Written `https://api.example.com`, `http://10.0.0.7:8080`, `https://*.example.com`, or, by whoever
/// lets a name lead to addresses that are not public, `http://intranet:8080@10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HttpGrant {
    /// How.
    pub scheme: Scheme,
    /// A name in lower case, an address without brackets, or `*.` and the end of a name, which stands for at least one label.
    pub host: String,
    /// Where on the host.
    pub port: u16,
    /// The addresses, beside public ones, that the name may lead to.
    pub addresses: Vec<AddressBlock>,
}

/// A text that grants no requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpGrantError {
    /// Not SCHEME://HOST[:PORT].
    #[error(
        "`{0}` is not a grant of requests\nhint: write SCHEME://HOST or SCHEME://HOST:PORT, such as `https://api.example.com`"
    )]
    Form(String),
    /// Not a block of addresses.
    #[error(
        "`{0}` is not a block of addresses\nhint: write an address, or one with the length of its prefix, such as `10.0.0.0/8`"
    )]
    Block(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

impl HttpGrant {
    /// Whether a request to there is one of those that are granted.
    pub fn covers(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        self.scheme == scheme && self.port == port && self.covers_host(host)
    }

    fn covers_host(&self, host: &str) -> bool {
        match self.host.strip_prefix('*') {
            // `*.example.com`: what is before the dot is not empty, and an address has no such end.
            Some(end) => host.len() > end.len() && host.ends_with(end) && host.parse::<IpAddr>().is_err(),
            None => self.host == host,
        }
    }

    /// Whether all that `other` grants is granted by this too; the addresses aside, which are the operator's to name.
    pub fn includes(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.port == other.port && {
            match other.host.strip_prefix('*') {
                Some(end) => self.host.strip_prefix('*').is_some_and(|own| end.ends_with(own)),
                None => self.covers_host(&other.host),
            }
        }
    }

    /// Whether a name that is granted may lead to this address: a public one, the one that was named, or one of the block that
    /// was named.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address)
            || self.host.parse::<IpAddr>().is_ok_and(|named| named.to_canonical() == address)
            || self.addresses.iter().any(|block| block.contains(address))
    }
}

impl FromStr for HttpGrant {
    type Err = HttpGrantError;

    fn from_str(text: &str) -> Result<Self, HttpGrantError> {
        let error = || HttpGrantError::Form(shortened(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(error()),
        };
        let (authority, blocks) = rest.split_once('@').map_or((rest, None), |(rest, blocks)| (rest, Some(blocks)));
        let addresses: Vec<AddressBlock> = match blocks {
            Some(blocks) => blocks.split('+').map(str::parse).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(error)?;
            host.parse::<Ipv6Addr>().map_err(|_| error())?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")).ok_or_else(error)?)
        } else {
            authority.split_once(':').unwrap_or((authority, ""))
        };
        let port = if port.is_empty() { scheme.default_port() } else { port.parse().map_err(|_| error())? };
        let host = host.to_ascii_lowercase();
        // An address has one way to be written, so that two grants of it are the same.
        let host = host.parse::<IpAddr>().map_or(host, |address| address.to_canonical().to_string());
        if port == 0 || !is_host(&host) {
            return Err(error());
        }
        Ok(Self { scheme, host, port, addresses })
    }
}

/// A name, an address, or `*.` and a name.
fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.strip_prefix("*.").unwrap_or(host);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let is_label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(allowed);
    // What looks like a number is an address in one of its many forms, for some resolver.
    let is_number =
        name.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x"));
    name.len() <= MAX_HOST_BYTES && name.split('.').all(is_label) && !is_number
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        for (index, block) in self.addresses.iter().enumerate() {
            write!(f, "{}{block}", if index == 0 { '@' } else { '+' })?;
        }
        Ok(())
    }
}

impl From<HttpGrant> for String {
    fn from(grant: HttpGrant) -> Self {
        grant.to_string()
    }
}

impl TryFrom<String> for HttpGrant {
    type Error = HttpGrantError;

    fn try_from(text: String) -> Result<Self, HttpGrantError> {
        text.parse()
    }
}

/// Whether an address belongs to the public internet: not to this machine, not to a private network, not to a cloud's
/// metadata, and to nothing that is reserved. An address that carries another one inside is as public as that.
///
/// Source: the IANA special-purpose address registries for IPv4 and IPv6.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || a == 10
        || a == 127
        // Shared between a provider and its customers; some clouds have their metadata here.
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 31 && c == 196)
        || (a == 192 && b == 52 && c == 193)
        || (a == 192 && b == 88 && c == 99)
        || (a == 192 && b == 168)
        || (a == 192 && b == 175 && c == 48)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        // Multicast, reserved and broadcast.
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inside = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Mapped and compatible addresses, and what a NAT64 makes of them.
        (0, 0) if [c, d, e] == [0, 0, 0] && (f == 0xffff || f == 0) => inside(g, h),
        (0x64, 0xff9b) => c == 0 && d == 0 && e == 0 && f == 0 && inside(g, h),
        // 6to4.
        (0x2002, _) => inside(b, c),
        // Teredo, benchmarking, documentation and the like.
        (0x2001, b) => b >= 0x0200 && b != 0x0db8,
        (0x3fff, b) => b >= 0x1000,
        // Only this block is given out.
        (a, _) => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> HttpGrant {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn grants_read_back_as_they_are_written() {
        for text in [
            "https://api.example.com",
            "http://api.example.com:8080",
            "https://*.example.com",
            "http://10.0.0.7:8080",
            "http://[::1]:8080",
            "http://intranet:8080@10.0.0.0/8+fd00::/8",
        ] {
            assert_eq!(grant(text).to_string(), text);
        }
        assert_eq!(grant("HTTPS://x.y".replace("HTTPS", "https").as_str()).port, 443);
        assert_eq!(grant("https://API.Example.com:443/").to_string(), "https://api.example.com");
        assert_eq!(grant("http://[::ffff:127.0.0.1]").host, "127.0.0.1");
    }

    #[test]
    fn malformed_grants_are_refused() {
        for text in [
            "",
            "example.com",
            "ftp://a.b",
            "https://",
            "https://*",
            "https://*.",
            "https://a.*.b",
            "https://a..b",
            "https://a:0",
            "https://a:65536",
            "https://a/b",
            "https://a b",
            "https://[::1",
            "https://[::1]x",
            // Addresses in disguise.
            "http://2130706433",
            "http://127.1",
            "http://0x7f000001",
            "http://127.0.0.0x1",
            "http://017700000001",
            "https://a@",
            "https://a@10.0.0.0/33",
            "https://a@x",
        ] {
            assert!(text.parse::<HttpGrant>().is_err(), "{text}");
        }
    }

    #[test]
    fn request_is_covered_by_scheme_host_and_port() {
        let api = grant("https://api.example.com");
        assert!(api.covers(Scheme::Https, "api.example.com", 443));
        for (scheme, host, port) in [
            (Scheme::Http, "api.example.com", 443),
            (Scheme::Https, "api.example.com", 444),
            (Scheme::Https, "example.com", 443),
            (Scheme::Https, "xapi.example.com", 443),
        ] {
            assert!(!api.covers(scheme, host, port), "{host}:{port}");
        }
        let any = grant("https://*.example.com");
        assert!(any.covers(Scheme::Https, "a.b.example.com", 443));
        assert!(!any.covers(Scheme::Https, "example.com", 443) && !any.covers(Scheme::Https, ".example.com", 443));
        assert!(any.includes(&api) && !api.includes(&any));
        assert!(any.includes(&grant("https://*.a.example.com")) && !grant("https://*.a.example.com").includes(&any));
        assert!(!any.includes(&grant("http://api.example.com:443")));
    }

    #[test]
    fn addresses_that_are_not_public_must_be_named() {
        let to = |text: &str| text.parse::<IpAddr>().expect("an address");
        let named = grant("http://10.0.0.7:80");
        assert!(
            named.permits(to("10.0.0.7")) && named.permits(to("::ffff:10.0.0.7")) && !named.permits(to("10.0.0.8"))
        );
        let open = grant("https://intranet@10.1.0.0/16");
        assert!(open.permits(to("10.1.2.3")) && !open.permits(to("10.2.0.1")) && !open.permits(to("127.0.0.1")));
        assert!(open.permits(to("93.184.215.14")));
    }

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "100::1",
            "3fff::1",
            "5f00::1",
            "fec0::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn public_addresses_are() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
        ] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
