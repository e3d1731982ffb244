//! Runs components in the sandbox; fetches from the store what the sandbox does not have yet.

use std::sync::Arc;

use sunaba_sandbox::Sandbox;
use sunaba_store::Store;
use sunaba_task::{AttemptHost, AttemptReport, AttemptRequest, BoxFuture, Digest, ExecuteError, Executor, FuelMode};
use tokio::sync::Mutex;

/// The sandbox, and where its components come from.
pub(crate) struct Guests {
    sandbox: Sandbox,
    store: Arc<dyn Store>,
    /// One component at a time is compiled; who wants the same one finds it there afterwards.
    loading: Mutex<()>,
}

impl Guests {
    pub(crate) fn new(sandbox: Sandbox, store: Arc<dyn Store>) -> Self {
        Self { sandbox, store, loading: Mutex::new(()) }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Makes a deployed component ready to run.
    ///
    /// # Errors
    /// The store does not have it, or it does not load here.
    pub(crate) async fn load(&self, component: Digest, mode: FuelMode) -> Result<(), ExecuteError> {
        let _loading = self.loading.lock().await;
        if self.sandbox.is_loaded(component, mode) {
            return Ok(());
        }
        let internal = |error: &dyn ToString| ExecuteError::Internal(error.to_string());
        let bytes = self.store.component(component).await.map_err(|error| internal(&error))?;
        let bytes = bytes.ok_or(ExecuteError::NotLoaded { component, mode })?;
        self.sandbox.load(bytes, mode).await.map_err(|error| internal(&error))?;
        Ok(())
    }
}

impl Executor for Guests {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(async move {
            let (component, mode) = (request.component, request.limits.fuel.mode());
            if !self.sandbox.is_loaded(component, mode) {
                self.load(component, mode).await?;
            }
            self.sandbox.execute(request, host).await
        })
    }
}
