//! Sends each attempt to whatever can run it.

use std::collections::HashMap;
use std::sync::Arc;

use sunaba_task::{AttemptHost, AttemptReport, AttemptRequest, BoxFuture, Digest, ExecuteError, Executor};

use crate::allowed::{Allowance, AllowedDirError};

/// Executors by the component that they have, and one for all others. What the operator allows is asked once more before
/// each attempt: since the submit, the host may have been started with less, or a directory been replaced by a link.
pub(crate) struct Executors {
    pub(crate) own: HashMap<Digest, Arc<dyn Executor>>,
    pub(crate) others: Arc<dyn Executor>,
    pub(crate) allowance: Allowance,
}

impl Executors {
    fn check(&self, request: &AttemptRequest) -> Result<(), ExecuteError> {
        for grant in &request.grants.dirs {
            match self.allowance.check(grant) {
                // The sandbox follows no link, so what is checked here is what is opened there.
                Ok(_) => {}
                Err(AllowedDirError::Missing { .. }) => {
                    let reason = "it is not there, or no longer what was granted".into();
                    return Err(ExecuteError::Grant { grant: grant.to_string(), reason });
                }
                Err(error) => return Err(ExecuteError::NotAllowed(error.to_string())),
            }
        }
        Ok(())
    }
}

impl Executor for Executors {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        if let Err(error) = self.check(&request) {
            return Box::pin(std::future::ready(Err(error)));
        }
        self.own.get(&request.component).unwrap_or(&self.others).execute(request, host)
    }
}
