//! What the operator of this host lets tasks do and use: asked when a task is submitted, and again before each attempt, since
//! the host may have been started with less by then, or a directory been replaced by a link.

use std::borrow::Cow;
use std::sync::Arc;

use sunaba_store::{Store, StoreError};
use sunaba_task::{
    AttemptRequest, ClockAccess, DirGrant, ExecuteError, GrantRequests, Grants, HandlerInfo, HttpGrant, LimitCaps,
};

use crate::admission::{RefusedTask, TaskRequest};
use crate::allowed::{Allowance, AllowedDir, AllowedDirError};
use crate::effective::{self, Operator};
use crate::guests::Guests;
use crate::limits::default_ceilings;
use crate::packages::Packages;
use crate::runtime::RuntimeBuilder;
use crate::secrets::{InStore, SecretKeeper, SecretSource, Secrets};

/// All that the operator has said.
#[derive(Clone)]
pub(crate) struct Permits {
    pub(crate) allowance: Allowance,
    pub(crate) operator: Operator,
    pub(crate) ceilings: LimitCaps,
    pub(crate) secrets: Secrets,
    /// Whether tasks follow when their submitters do not say.
    pub(crate) follow_active: bool,
}

impl Default for Permits {
    fn default() -> Self {
        Self {
            allowance: Allowance::default(),
            operator: Operator::default(),
            ceilings: default_ceilings(),
            secrets: Secrets::default(),
            follow_active: false,
        }
    }
}

impl RuntimeBuilder {
    /// What no task may pass. Limits that are not named keep their ceilings: 600 s, 1 GiB of memory, and
    /// [`default_ceilings`](crate::default_ceilings).
    #[must_use]
    pub fn ceilings(mut self, ceilings: &LimitCaps) -> Self {
        ceilings.iter().for_each(|(limit, value)| self.permits.ceilings.set(limit, value));
        self
    }

    /// Directories out of which submitters may grant. Default: none.
    #[must_use]
    pub fn allow_dirs(mut self, allowed: impl IntoIterator<Item = AllowedDir>) -> Self {
        self.permits.allowance.dirs.extend(allowed);
        self
    }

    /// Places to which submitters may let requests go, each with the addresses that are not public and may be reached there.
    /// Default: none.
    #[must_use]
    pub fn allow_http(mut self, allowed: impl IntoIterator<Item = HttpGrant>) -> Self {
        self.permits.operator.http.extend(allowed);
        self
    }

    /// Secrets that submitters may pass on. They are read when an attempt begins. Default: none.
    #[must_use]
    pub fn secrets(mut self, sources: impl IntoIterator<Item = SecretSource>) -> Self {
        for source in sources {
            self.permits.operator.secrets.insert(source.name.clone(), source.host.clone());
            self.permits.secrets.sources.insert(source.name.clone(), source);
        }
        self
    }

    /// Whoever keeps other secrets. Those of [`secrets`](Self::secrets) come first. Default: nobody.
    #[must_use]
    pub fn secret_keeper(mut self, keeper: Arc<dyn SecretKeeper>) -> Self {
        self.permits.secrets.keeper = Some(keeper);
        self
    }

    /// The largest scratch directory of an attempt, in bytes; with 0 there is none. Default: 1 GiB.
    #[must_use]
    pub fn max_scratch(mut self, bytes: u64) -> Self {
        self.permits.operator.max_scratch_bytes = bytes;
        self
    }

    /// Lets submitters grant the fine clock.
    #[must_use]
    pub fn allow_fine_clock(mut self) -> Self {
        self.permits.operator.clock = ClockAccess::Fine;
        self
    }
}

impl Permits {
    /// The same, with the secrets of this store, unless something else keeps them.
    pub(crate) fn keeping(mut self, store: &Arc<dyn Store>) -> Self {
        self.secrets.keeper.get_or_insert_with(|| Arc::new(InStore(Arc::clone(store))));
        self
    }

    /// What the operator allows these requests, with the secrets that are kept elsewhere. Looked up are only names that a
    /// handler asks for.
    ///
    /// # Errors
    /// A secret cannot be looked up at the moment.
    pub(crate) async fn operator<'r>(
        &self,
        packages: &Packages,
        requests: impl IntoIterator<Item = &'r TaskRequest, IntoIter: Send>,
    ) -> Result<Cow<'_, Operator>, StoreError> {
        let mut operator = Cow::Borrowed(&self.operator);
        for request in requests.into_iter().filter(|request| !request.secrets.is_empty()) {
            let Ok(package) = packages.package(&request.handler) else { continue };
            let asked = package.handler(&request.handler.handler).map(|handler| &handler.settings.requests.secrets);
            for name in asked.into_iter().flatten().filter(|name| request.secrets.contains(name)) {
                if operator.secrets.contains_key(name) {
                    continue;
                }
                if let Some(host) = self.secrets.host(name).await? {
                    operator.to_mut().secrets.insert(name.clone(), host);
                }
            }
        }
        Ok(operator)
    }

    /// The grants of a task of this handler.
    ///
    /// # Errors
    /// [`RefusedTask`]: something of what was passed on is not asked for, not allowed, or not there.
    pub(crate) fn grants(
        &self,
        handler: &HandlerInfo,
        operator: &Operator,
        passed: &Grants,
    ) -> Result<Grants, RefusedTask> {
        let mut grants = effective::effective(&handler.name, &handler.settings.requests, operator, passed)?;
        // Last: each is looked for on the disk.
        grants.dirs = grants.dirs.iter().map(|grant| self.allowance.check(grant)).collect::<Result<_, _>>()?;
        Ok(grants)
    }

    /// The attempt as it may run now: with no limit above what is allowed by now, with the grants that are still given, and
    /// with the secrets as they are.
    ///
    /// # Errors
    /// [`ExecuteError`]: a grant is not allowed any more, or something that it names is not there.
    pub(crate) async fn admit_attempt(
        &self,
        mut request: AttemptRequest,
        asked: Option<&GrantRequests>,
    ) -> Result<AttemptRequest, ExecuteError> {
        let operator = self.operator_of_attempt(&request.grants).await?;
        let mut passed = effective::without_addresses(request.grants);
        if let Some(asked) = asked {
            passed = effective::still_requested(asked, passed);
        }
        // Without its manifest, the handler's part is what the submit has found: the record never has more.
        let own = GrantRequests { env: vec!["*".into()], ..as_requests(&passed) };
        let granted = effective::effective(&request.handler, asked.unwrap_or(&own), &operator, &passed);
        request.grants = granted.map_err(|error| ExecuteError::NotAllowed(error.to_string()))?;
        if !request.grants.dirs.is_empty() {
            // On another thread: a file system that hangs must not hang the host.
            let (allowance, dirs) = (self.allowance.clone(), request.grants.dirs.clone());
            let checking = tokio::task::spawn_blocking(move || check_dirs(&allowance, &dirs));
            checking.await.map_err(|error| ExecuteError::Internal(error.to_string()))??;
        }
        request.secrets = self.secrets.resolve(&request.grants.secrets).await?;
        Ok(request)
    }

    async fn operator_of_attempt(&self, grants: &Grants) -> Result<Cow<'_, Operator>, ExecuteError> {
        let mut operator = Cow::Borrowed(&self.operator);
        for name in &grants.secrets {
            let failed = |reason: String| ExecuteError::Secret { name: name.clone(), reason };
            let host = self.secrets.host(name).await.map_err(|error| failed(error.to_string()))?;
            let host = host.ok_or_else(|| failed("this host has none of that name".into()))?;
            if operator.secrets.get(name) != Some(&host) {
                operator.to_mut().secrets.insert(name.clone(), host);
            }
        }
        Ok(operator)
    }
}

/// A manifest that asks for just these grants.
fn as_requests(grants: &Grants) -> GrantRequests {
    GrantRequests {
        env: Vec::new(),
        dirs: grants
            .dirs
            .iter()
            .map(|dir| sunaba_task::DirRequest { guest: dir.guest.clone(), access: dir.access })
            .collect(),
        http: grants.http.clone(),
        any_http: false,
        secrets: grants.secrets.clone(),
        scratch_bytes: grants.scratch_bytes,
        clock: grants.clock,
    }
}

fn check_dirs(allowance: &Allowance, dirs: &[DirGrant]) -> Result<(), ExecuteError> {
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

/// Where the manifests of components are.
pub(crate) struct Manifests {
    pub(crate) packages: Arc<Packages>,
    pub(crate) guests: Arc<Guests>,
}

impl Manifests {
    /// What this handler of this component asks for. None: another executor has it, or nobody, or it is not loaded and so
    /// will not be run.
    pub(crate) fn of(&self, request: &AttemptRequest) -> Option<GrantRequests> {
        let digest = request.component;
        let found = |handlers: &[HandlerInfo]| {
            let handler = handlers.iter().find(|handler| handler.name == request.handler);
            handler.map(|handler| handler.settings.requests.clone())
        };
        if let Some(package) = self.packages.all().iter().find(|package| package.component == digest) {
            return found(&package.handlers);
        }
        found(&self.guests.sandbox().info(digest)?.handlers)
    }
}

/// The rules of somebody who runs an attempt by hand: of a manifest's bounds only those of the handler are left.
pub(crate) fn by_hand(grants: &Grants, secrets: &[(String, HttpGrant)]) -> Operator {
    Operator {
        http: grants.http.clone(),
        secrets: secrets.iter().cloned().collect(),
        max_scratch_bytes: u64::MAX,
        clock: ClockAccess::Fine,
    }
}
