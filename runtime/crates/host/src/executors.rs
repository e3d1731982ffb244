//! Sends each attempt to whatever can run it.

use std::collections::HashMap;
use std::sync::Arc;

use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, BoxFuture, DeciderAnswer, Digest, ExecuteError, Executor, Grants,
    NotDecided, Situation, format_duration,
};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::groups::Given;
use crate::permits::{Manifests, Permits};

/// Executors by the component that they have, and one for all others. What the operator allows is asked once more before
/// each attempt.
pub(crate) struct Executors {
    pub(crate) own: Arc<HashMap<Digest, Arc<dyn Executor>>>,
    pub(crate) others: Arc<dyn Executor>,
    pub(crate) permits: Arc<Permits>,
    pub(crate) manifests: Arc<Manifests>,
    /// What the worker group grants of its own.
    pub(crate) given: Arc<Given>,
    /// Where the program's own functions run, wherever they are asked for: none of them is to hold up guests.
    pub(crate) home: Handle,
}

impl Executors {
    async fn run(
        &self,
        mut request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> Result<AttemptReport, ExecuteError> {
        request.limits = request.limits.at_most(&self.permits.ceilings);
        if request.grants != Grants::default() || !self.given.is_empty() {
            let (timeout, grants) = (request.limits.timeout, request.grants.clone());
            // Not for longer than the attempt may last: who loses is left to end by itself.
            let admitting = self.at_home(self.admit(request));
            request = match tokio::time::timeout(timeout, admitting).await {
                Ok(admitted) => admitted?,
                Err(_) => {
                    let grant = grants.dirs.first().map(ToString::to_string);
                    let grant = grant.or_else(|| grants.secrets.first().cloned()).unwrap_or_else(|| "grants".into());
                    let reason = format!("looking at it took all of the attempt's {}", format_duration(timeout));
                    return Err(ExecuteError::Grant { grant, reason });
                }
            };
        }
        match self.own.get(&request.component) {
            Some(own) => {
                let own = Arc::clone(own);
                self.at_home(async move { own.execute(request, host).await }).await
            }
            None => self.others.execute(request, host).await,
        }
    }

    /// Does this where the program's own functions run, on the threads that wait for disks there; not on a shard, whose threads are
    /// for the files of its guests.
    async fn at_home<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ExecuteError>> + Send + 'static,
    ) -> Result<T, ExecuteError> {
        // A set, since that takes what runs in it with it when it is dropped.
        let mut running = JoinSet::new();
        running.spawn_on(work, &self.home);
        match running.join_next().await {
            Some(Ok(done)) => done,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => Err(ExecuteError::Closed),
        }
    }

    fn admit(&self, request: AttemptRequest) -> impl Future<Output = Result<AttemptRequest, ExecuteError>> + 'static {
        let asked = self.manifests.of(&request);
        let (permits, given) = (Arc::clone(&self.permits), Arc::clone(&self.given));
        async move {
            let mut request = permits.admit_attempt(request, asked.as_ref()).await?;
            if let Some(asked) = asked.filter(|_| !given.is_empty()) {
                // On another thread, as what was passed on is.
                let mut grants = request.grants;
                let adding = tokio::task::spawn_blocking(move || {
                    given.add(&asked, &mut grants).map_err(|error| ExecuteError::NotAllowed(error.to_string()))?;
                    grants.check().map_err(|error| ExecuteError::NotAllowed(error.to_string()))?;
                    Ok::<_, ExecuteError>(grants)
                });
                request.grants = adding.await.map_err(|error| ExecuteError::Internal(error.to_string()))??;
            }
            Ok(request)
        }
    }
}

impl Executor for Executors {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(self.run(request, host))
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) -> Result<(), BoxFuture<'static, ()>> {
        self.others.spawn(work)
    }

    fn decide(&self, decider: Digest, situation: Situation) -> BoxFuture<'_, Result<DeciderAnswer, NotDecided>> {
        self.others.decide(decider, situation)
    }
}
