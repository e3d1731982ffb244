//! The versions of packages: which there are, and going back to one.

use std::sync::Arc;

use sunaba_store::{Activation, Package, PackageVersion, VersionError};

use crate::Runtime;
use crate::packages::DeployError;
use crate::runtime::ready::keys;

impl Runtime {
    /// The versions of a package that are kept, newest first.
    ///
    /// # Errors
    /// [`DeployError`]: there is no such package, or the store has failed.
    pub async fn versions(&self, name: &str) -> Result<Vec<PackageVersion>, DeployError> {
        self.check_not_native(name)?;
        let versions = self.store().versions(name.to_owned()).await?;
        if versions.is_empty() {
            return Err(no_package(name));
        }
        Ok(versions)
    }

    /// Makes another version of a package active: this one, or the one that was active before. It is made ready first, so that
    /// no task waits for that.
    ///
    /// # Errors
    /// [`DeployError`]: there is none, it does not load any more, or tasks that follow wait for what it does not have.
    pub async fn rollback(
        &self,
        name: &str,
        to: Option<u32>,
        allow_signature_change: bool,
    ) -> Result<Arc<Package>, DeployError> {
        self.check_not_native(name)?;
        let _deploying = self.deploying.lock().await;
        let versions = self.versions(name).await?;
        let packages = self.packages.all();
        let before = || packages.iter().find(|package| package.name == name).and_then(|package| package.before);
        if let Some(version) = to.or_else(before)
            && let Some(target) = versions.iter().find(|known| known.version == version)
        {
            for key in keys(target.component, &target.handlers, &self.permits.ceilings) {
                self.guests.make_ready(key).await.map_err(|error| DeployError::Prepare {
                    package: name.to_owned(),
                    version,
                    problem: error,
                })?;
            }
        }
        // Who asks for what is not there is told by the store.
        let wish = Activation { package: name.to_owned(), version: to, allow_signature_change };
        let package = self.store().activate(wish).await?;
        tracing::info!(package = name, component = %package.component, version = package.version, "made active");
        let package = self.packages.put(package);
        self.readmit_schedules(&package).await;
        Ok(package)
    }
}

fn no_package(name: &str) -> DeployError {
    DeployError::Store(VersionError::NoPackage(name.chars().take(80).collect()).into())
}
