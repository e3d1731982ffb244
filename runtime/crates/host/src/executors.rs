//! Sends each attempt to whatever can run it.

use std::collections::HashMap;
use std::sync::Arc;

use sunaba_task::{AttemptHost, AttemptReport, AttemptRequest, BoxFuture, Digest, DirGrant, ExecuteError, Executor};

use crate::allowed::{Allowance, AllowedDirError};

/// Executors by the component that they have, and one for all others. What the operator allows is asked once more before
/// each attempt: since the submit, the host may have been started with less, or a directory been replaced by a link.
pub(crate) struct Executors {
    pub(crate) own: HashMap<Digest, Arc<dyn Executor>>,
    pub(crate) others: Arc<dyn Executor>,
    pub(crate) allowance: Allowance,
}

impl Executors {
    async fn run(&self, request: AttemptRequest, host: Arc<dyn AttemptHost>) -> Result<AttemptReport, ExecuteError> {
        if !request.grants.dirs.is_empty() {
            // On another thread, and not for longer than the attempt may last: a file system that hangs must not hang the host.
            let (allowance, dirs) = (self.allowance.clone(), request.grants.dirs.clone());
            let checking = tokio::task::spawn_blocking(move || check(&allowance, &dirs));
            match tokio::time::timeout(request.limits.timeout, checking).await {
                Ok(checked) => checked.map_err(|error| ExecuteError::Internal(error.to_string()))??,
                Err(_) => {
                    let grant = request.grants.dirs[0].to_string();
                    let reason = "looking at it took all of the attempt's time".into();
                    return Err(ExecuteError::Grant { grant, reason });
                }
            }
        }
        self.own.get(&request.component).unwrap_or(&self.others).execute(request, host).await
    }
}

fn check(allowance: &Allowance, dirs: &[DirGrant]) -> Result<(), ExecuteError> {
    for grant in dirs {
        match allowance.check(grant) {
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

impl Executor for Executors {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(self.run(request, host))
    }
}
