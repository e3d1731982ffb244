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
            request = match tokio::time::timeout(timeout, self.admit(request)).await {
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
            Some(own) => self.at_home(Arc::clone(own), request, host).await,
            None => self.others.execute(request, host).await,
        }
    }

    async fn at_home(
        &self,
        own: Arc<dyn Executor>,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> Result<AttemptReport, ExecuteError> {
        // A set, since that takes what runs in it with it when it is dropped.
        let mut running = JoinSet::new();
        running.spawn_on(async move { own.execute(request, host).await }, &self.home);
        match running.join_next().await {
            Some(Ok(report)) => report,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => Err(ExecuteError::Closed),
        }
    }

    async fn admit(&self, request: AttemptRequest) -> Result<AttemptRequest, ExecuteError> {
        let asked = self.manifests.of(&request);
        let mut request = self.permits.admit_attempt(request, asked.as_ref()).await?;
        if let Some(asked) = asked.filter(|_| !self.given.is_empty()) {
            // On another thread, as what was passed on is.
            let (given, mut grants) = (Arc::clone(&self.given), request.grants);
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
