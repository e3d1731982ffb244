//! What a deploy would change, and whether it may.

use std::sync::Arc;

use bytes::Bytes;
use sunaba_sandbox::ComponentInfo;
use sunaba_store::{DeployChange, Package, StoreError};
use sunaba_task::{Digest, FuelMode, Grants, HandlerInfo, Task};

use crate::diff::{Change, Side, diff};
use crate::effective::without_addresses;
use crate::limits::lowered;
use crate::packages::{self, DeployError};
use crate::refusal::RerunRefusal;
use crate::runtime::Runtime;

/// How a component is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeployOptions {
    /// Whether it may do and use more than the active version.
    pub allow_widening: bool,
    /// Whether handlers may go, or take another input, though tasks that follow wait for them.
    pub allow_signature_change: bool,
}

/// What a deploy changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Against the active version; at the first deploy, all that there is.
    pub changes: Vec<Change>,
    /// Limits that handlers state and do not get, since this host allows less; for people.
    pub lowered: Vec<String>,
}

/// A package that was deployed.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// As it is now.
    pub package: Arc<Package>,
    /// Whether there is a new version.
    pub change: DeployChange,
    /// What has changed.
    pub difference: Difference,
}

impl Difference {
    /// Whether this may be deployed.
    ///
    /// # Errors
    /// [`DeployError::Widening`]: it widens what the package may do, and nobody has said that it may.
    pub(crate) fn check(&self, package: &str, options: DeployOptions) -> Result<(), DeployError> {
        let widening: Vec<_> = self.changes.iter().filter(|change| change.widens).cloned().collect();
        if widening.is_empty() || options.allow_widening {
            return Ok(());
        }
        Err(DeployError::Widening { package: package.to_owned(), widening })
    }
}

impl Runtime {
    /// Makes a component the package's own as [`deploy_with`](Self::deploy_with) does, unless it may do more than the active
    /// version.
    ///
    /// # Errors
    /// [`DeployError`]. Nothing of it stays behind.
    pub async fn deploy(&self, name: &str, component: Bytes) -> Result<Arc<Package>, DeployError> {
        Ok(self.deploy_with(name, component, DeployOptions::default()).await?.package)
    }

    /// What a deploy of this component would change. It is checked and compiled as for a deploy; nothing is kept in the store.
    ///
    /// # Errors
    /// [`DeployError`]: it could not be deployed, whatever is allowed.
    pub async fn preview(&self, name: &str, component: Bytes) -> Result<Difference, DeployError> {
        packages::check(name, &[])?;
        let _deploying = self.deploying.lock().await;
        let digest = Digest::of(&component);
        let was_known = self.guests.sandbox().info(digest).is_some();
        let previewed = self.preview_checked(name, component).await;
        match was_known {
            true => {}
            false if self.is_nobodys(digest).await => self.guests.sandbox().forget(digest).await,
            false => self.guests.sandbox().unload(digest),
        }
        previewed
    }

    /// Whether no version of any package has this component. Whether that cannot be known counts as that one has it.
    pub(crate) async fn is_nobodys(&self, component: Digest) -> bool {
        matches!(self.store().component(component).await, Ok(None))
    }

    async fn preview_checked(&self, name: &str, component: Bytes) -> Result<Difference, DeployError> {
        let info = self.guests.sandbox().load(component, FuelMode::Exact).await?;
        packages::check(name, &info.handlers)?;
        self.difference(name, &info).await
    }

    /// What is different from the active version.
    pub(crate) async fn difference(&self, name: &str, is: &ComponentInfo) -> Result<Difference, DeployError> {
        let active = self.packages.all().into_iter().find(|package| package.name == name);
        let imports = match &active {
            Some(package) if package.component == is.digest => is.imports.clone(),
            Some(package) => self.imports(package).await?,
            None => Vec::new(),
        };
        let was = active.as_ref().map(|package| Side { imports: &imports, handlers: &package.handlers });
        let changes = diff(was, Side { imports: &is.imports, handlers: &is.handlers });
        Ok(Difference { changes, lowered: is.handlers.iter().flat_map(|handler| self.lowered(handler)).collect() })
    }

    /// What the active version imports.
    async fn imports(&self, package: &Package) -> Result<Vec<String>, DeployError> {
        Ok(self.imports_of(package.component).await?)
    }

    /// What a component imports. One that is lost or damaged imports nothing, so that against it all is new.
    ///
    /// # Errors
    /// The store could not be asked.
    pub async fn imports_of(&self, component: Digest) -> Result<Vec<String>, StoreError> {
        if let Some(info) = self.guests.sandbox().info(component) {
            return Ok(info.imports.clone());
        }
        let bytes = self.store().component(component).await?;
        Ok(bytes.and_then(|bytes| sunaba_sandbox::imports(&bytes).ok()).unwrap_or_default())
    }

    /// What two versions of a package differ by; none if one of them is not there.
    ///
    /// # Errors
    /// The store could not be asked.
    pub async fn compare(&self, name: &str, was: u32, is: u32) -> Result<Option<Vec<Change>>, StoreError> {
        let versions = self.store().versions(name.to_owned()).await?;
        let find = |number| versions.iter().find(|version| version.version == number);
        let Some((was, is)) = find(was).zip(find(is)) else { return Ok(None) };
        let (before, after) = (self.imports_of(was.component).await?, self.imports_of(is.component).await?);
        let was = Side { imports: &before, handlers: &was.handlers };
        Ok(Some(diff(Some(was), Side { imports: &after, handlers: &is.handlers })))
    }

    /// Whether a task that is made over again may have its grants, from the handler that it would have now.
    pub(crate) async fn check_grants(&self, task: &Task) -> Result<(), RerunRefusal> {
        let name = &task.spec.handler;
        // One that no package has any more is refused by the store, which says so.
        let (false, Ok(package)) = (task.spec.grants == Grants::default(), self.packages.package(name)) else {
            return Ok(());
        };
        let handler = package.handler(&name.handler).expect("the package was found by this handler");
        let mut operator = self.permits.operator.clone();
        for secret in &task.spec.grants.secrets {
            operator.secrets.extend(self.permits.secrets.host(secret).await?.map(|host| (secret.clone(), host)));
        }
        self.permits.grants(handler, &operator, &without_addresses(task.spec.grants.clone()))?;
        Ok(())
    }

    fn lowered(&self, handler: &HandlerInfo) -> Vec<String> {
        let lines = lowered(&handler.settings, &self.permits.ceilings).into_iter();
        let line = |(limit, stated, ceiling): (sunaba_task::Limit, u64, u64)| {
            let (stated, ceiling) = (limit.format(stated), limit.format(ceiling));
            format!(
                "the handler `{}` states {limit} {stated} and gets {ceiling}: that is this host's ceiling",
                handler.name
            )
        };
        lines.map(line).collect()
    }
}
