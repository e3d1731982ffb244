//! Tells whoever has started the host how it is, by the protocol of `sd_notify`: ready, reloading, stopping, and that it lives.
//!
//! Source: the manual page sd_notify(3).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sunaba_runtime::Runtime;

/// Looks are no closer to each other, however short a time is asked for.
const MIN_LOOK: Duration = Duration::from_millis(100);

/// Where it is told, if somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// By what the environment says.
    pub(super) fn from_env() -> Self {
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                // In no file system.
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(&name),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours && to.is_some()).map(Duration::from_micros);
        Self { to, watchdog: watchdog.filter(|time| !time.is_zero()) }
    }

    /// Says this. Whoever does not listen misses it.
    pub(super) fn say(&self, what: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
    }

    /// Says that the host lives, as long as its store answers and its threads run, for ever. A store that has failed is shown as it
    /// is, and is no reason to be killed; one that does not answer is.
    pub(super) async fn keep_alive(&self, runtime: &Runtime) {
        let Some(within) = self.watchdog else { return std::future::pending().await };
        let look = (within / 2).max(MIN_LOOK);
        loop {
            let answers = tokio::time::timeout(look, runtime.store().retention()).await;
            if answers.is_ok() || runtime.store().failure().is_some() {
                self.say("WATCHDOG=1");
            }
            tokio::time::sleep(look).await;
        }
    }
}
