//! From a granted place to a connection: resolved, checked, connected, and with TLS where the scheme says so.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use sunaba_task::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use super::place::Place;
use super::resolve::{self, Resolve, System};
use super::trust::Trust;
use super::{errors, traffic};

/// What the attempts of a sandbox share to send their requests. No connection is among it.
pub(crate) struct Client {
    resolver: Box<dyn Resolve>,
    trust: Trust,
}

/// Why there is no connection, and what the attempt's log should say of it.
pub(super) type Unreached = (Error, Option<String>);

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection whose bytes are counted.
pub(super) type Connection = traffic::Counted<Box<dyn Stream>>;

impl Client {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { resolver: Box::new(System::default()), trust }
    }

    pub(super) fn resolving(resolver: impl Resolve + 'static, trust: Trust) -> Self {
        Self { resolver: Box::new(resolver), trust }
    }

    /// Connects within this time to an address that is permitted, of those that the place's name leads to.
    pub(super) async fn connect(
        &self,
        place: &Place,
        permits: &(dyn Fn(IpAddr) -> bool + Send + Sync),
        within: Duration,
    ) -> Result<Box<dyn Stream>, Unreached> {
        let resolving = resolve::addresses(&*self.resolver, place, permits);
        let connecting = async {
            let addresses = timeout(within, resolving).await.map_err(|_| (Error::DnsTimeout, None))??;
            let stream = reach(&addresses, place.port, within).await.map_err(|error| (error, None))?;
            match place.scheme {
                Scheme::Http => Ok(Box::new(stream) as Box<dyn Stream>),
                Scheme::Https => self.encrypt(place, stream).await,
            }
        };
        timeout(within, connecting).await.unwrap_or(Err((Error::ConnectionTimeout, None)))
    }

    /// The certificate must be the granted host's, whatever address the name led to.
    async fn encrypt(&self, place: &Place, stream: TcpStream) -> Result<Box<dyn Stream>, Unreached> {
        let Some(config) = self.trust.config().await else {
            let note = format!("failed a request to `{place}`: this host has no root certificates to check it by");
            return Err((Error::ConfigurationError, Some(note)));
        };
        let name = ServerName::try_from(place.host.clone()).map_err(|_| (Error::HttpRequestUriInvalid, None))?;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                let note = format!("failed a request to `{place}`: no trusted encryption: {error}");
                Err((errors::of_tls(&error), Some(note)))
            }
        }
    }
}

/// Connects to the first address that answers. Each has its share of the time, so that one that swallows everything does
/// not use up that of the next.
async fn reach(addresses: &[IpAddr], port: u16, within: Duration) -> Result<TcpStream, Error> {
    let mut failed = Error::DestinationUnavailable;
    let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    for address in addresses {
        match timeout(share, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => {
                // Requests are written whole; waiting for more to send helps nobody. Not worth failing for.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = errors::of_connect(&error),
            Err(_) => failed = Error::ConnectionTimeout,
        }
    }
    Err(failed)
}
