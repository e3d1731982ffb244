//! A host of the test's own: in this process, on a free port, with a queue on disk that is gone afterwards and a handler that
//! does nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::Runtime;
use sunaba_runtime::server::Server;
use sunaba_runtime::task::{HandlerName, Outcome};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::exit::{CommandError, Exit};

/// The handler that does nothing.
const HANDLER: &str = "bench/nothing";
/// Connections beside those of the load.
const SPARE_CONNECTIONS: usize = 16;
/// What still waits then is thrown away with the queue.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A host for as long as a test lasts.
pub(super) struct Local {
    runtime: Arc<Runtime>,
    stop: Arc<Notify>,
    serving: JoinHandle<()>,
    pub(super) address: String,
    pub(super) handler: HandlerName,
    // Last: it goes when nothing uses it any more.
    _folder: Folder,
}

/// A private folder that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("sunaba-bench-{}", std::process::id()));
        // Not one that is there: it would be somebody else's.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "the queue of the test is left behind");
        }
    }
}

impl Local {
    /// Starts it, for so many clients.
    ///
    /// # Errors
    /// There is no place for its queue, or it cannot be started there.
    pub(super) async fn start(clients: usize) -> Result<Self, CommandError> {
        let failed = |error: &dyn std::fmt::Display| {
            let hint = "TMPDIR names another place for its queue";
            CommandError::new(Exit::Error, format!("cannot start a host for the test: {error}\nhint: {hint}"))
        };
        let folder = Folder::new().map_err(|error| failed(&error))?;
        let builder = Runtime::builder().data(folder.0.join("data")).map_err(|error| failed(&error))?;
        let builder = builder.native(HANDLER, |native| async move { Ok(Outcome::Complete(native.input)) });
        let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(|error| failed(&error))?;
        let server = server.connections(clients + SPARE_CONNECTIONS);
        let address = format!("http://{}", server.address());
        let runtime = Arc::new(builder.start().await.map_err(|error| failed(&error))?);
        let stop = Arc::new(Notify::new());
        let serving = tokio::spawn({
            let (runtime, stop) = (Arc::clone(&runtime), Arc::clone(&stop));
            async move { server.serve(runtime, async move { stop.notified().await }).await }
        });
        let handler = HANDLER.parse().map_err(|error| failed(&error))?;
        Ok(Self { runtime, stop, serving, address, handler, _folder: folder })
    }

    /// Stops it.
    pub(super) async fn end(self) {
        self.stop.notify_one();
        let _ = self.serving.await;
        if let Err(error) = self.runtime.stop(STOP_TIME).await {
            tracing::warn!(%error, "the host of the test has not stopped in good order");
        }
    }
}
