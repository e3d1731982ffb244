//! From a granted name to the addresses that a request may be sent to.
//!
//! A name is resolved once for a request, and the addresses that were checked are the ones that are connected to: a name
//! that leads elsewhere the next time gains nothing.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use sunaba_task::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;

use super::place::Place;

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;
/// Names that are looked up at a time, by all attempts. A lookup holds a thread that nobody can interrupt, also when its
/// attempt is long gone; these threads must not be all that there are.
const MAX_LOOKUPS: usize = 8;

/// Turns names into addresses.
pub(crate) trait Resolve: Send + Sync {
    /// The addresses of a name, in the order in which they should be tried.
    fn resolve(&self, host: String) -> BoxFuture<'_, std::io::Result<Vec<IpAddr>>>;
}

/// The system's way of resolving names.
pub(crate) struct System {
    lookups: Arc<Semaphore>,
}

impl Default for System {
    fn default() -> Self {
        Self::of(MAX_LOOKUPS)
    }
}

impl System {
    /// With so many look-ups at a time.
    pub(super) fn of(lookups: usize) -> Self {
        Self { lookups: Arc::new(Semaphore::new(lookups)) }
    }
}

impl Resolve for System {
    fn resolve(&self, host: String) -> BoxFuture<'_, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(std::io::Error::other)?;
            let lookup = move || {
                // Held until the thread is free again, whoever still waits.
                let _permit = permit;
                let found = (host.as_str(), 0).to_socket_addrs()?;
                Ok(found.take(MAX_ADDRESSES).map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(lookup).await.map_err(std::io::Error::other)?
        })
    }
}

/// The addresses of a place that are permitted, in order.
///
/// A name may lead to permitted addresses and others at once: `localhost` to `::1` and `127.0.0.1`, a dual-stack name to
/// one family that is granted. The others are left out rather than refused with the rest: nothing is ever sent to them,
/// so a mixed answer gains an attacker as little as a wholly forbidden one.
///
/// # Errors
/// The name leads nowhere, or only to addresses that are not permitted; then with what would have to be granted.
pub(super) async fn addresses(
    resolver: &dyn Resolve,
    place: &Place,
    permits: &(dyn Fn(IpAddr) -> bool + Send + Sync),
) -> Result<Vec<IpAddr>, (Error, Option<String>)> {
    let mut found = match place.address() {
        Some(address) => vec![address],
        None => resolver.resolve(place.host.clone()).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => (Error::DnsTimeout, None),
            _ => (not_found(), None),
        })?,
    };
    found.truncate(MAX_ADDRESSES);
    let Some(first) = found.first().copied() else { return Err((not_found(), None)) };
    found.retain(|address| permits(*address));
    if found.is_empty() {
        let note = format!(
            "refused a request to `{place}`: it leads to {first}, which is not a public address; it would take the \
             grant `{place}@{first}`"
        );
        return Err((Error::DestinationIpProhibited, Some(note)));
    }
    Ok(found)
}

fn not_found() -> Error {
    Error::DnsError { rcode: Some("the name leads nowhere".into()), info_code: None }
}
