//! Sends each attempt to whatever can run it.

use std::collections::HashMap;
use std::sync::Arc;

use sunaba_task::{AttemptHost, AttemptReport, AttemptRequest, BoxFuture, Digest, ExecuteError, Executor};

/// Executors by the component that they have, and one for all others.
pub(crate) struct Executors {
    pub(crate) own: HashMap<Digest, Arc<dyn Executor>>,
    pub(crate) others: Arc<dyn Executor>,
}

impl Executor for Executors {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        self.own.get(&request.component).unwrap_or(&self.others).execute(request, host)
    }
}
