//! What a host has ready to run, and what it makes ready: at a deploy, and before a task needs it.

use bytes::Bytes;
use sunaba_store::{NewPackage, Package, Standing, StoreError};
use sunaba_task::{Digest, FuelMode, HandlerInfo, Limit, LimitCaps, NewTask, State, Task};

use super::Runtime;
use crate::deploy::{DeployOptions, Deployed};
use crate::guests::{Key, Readiness};
use crate::packages::{self, DeployError};

pub(super) const FUEL_MODES: [FuelMode; 2] = [FuelMode::Exact, FuelMode::Off];

/// The code that a package's tasks need, unless they ask for something else. Where the operator limits fuel, all count it.
pub(super) fn keys(package: &Package, ceilings: &LimitCaps) -> Vec<Key> {
    let mut modes = modes(&package.handlers);
    if ceilings.get(Limit::Fuel).is_some() && !modes.contains(&FuelMode::Exact) {
        modes.push(FuelMode::Exact);
    }
    modes.into_iter().map(|mode| (package.component, mode)).collect()
}

/// The fuel modes that a package's handlers ask for.
pub(crate) fn modes(handlers: &[HandlerInfo]) -> Vec<FuelMode> {
    let asked = |mode| {
        let of = |handler: &HandlerInfo| handler.settings.fuel.map_or(FuelMode::Exact, |fuel| fuel.mode());
        handlers.iter().any(|handler| of(handler) == mode)
    };
    FUEL_MODES.into_iter().filter(|mode| asked(*mode)).collect()
}

impl Runtime {
    /// Loads a component in the modes that its handlers ask for, and only then keeps it in the store.
    pub(super) async fn deploy_checked(
        &self,
        name: &str,
        component: Bytes,
        options: DeployOptions,
    ) -> Result<Deployed, DeployError> {
        let info = self.guests.sandbox().load(component.clone(), FuelMode::Exact).await?;
        packages::check(name, &info.handlers)?;
        let difference = self.difference(name, &info).await?;
        difference.check(name, options)?;
        if modes(&info.handlers).contains(&FuelMode::Off) {
            self.guests.sandbox().load(component.clone(), FuelMode::Off).await?;
        }
        let (package, handlers) = (name.to_owned(), info.handlers.clone());
        let allow_signature_change = options.allow_signature_change;
        let new = NewPackage { name: package, component: info.digest, handlers, allow_signature_change };
        let sunaba_store::Deployed { package, change, dropped, idle } = self.store.deploy(new, component).await?;
        // It may have been given up before, for want of memory or by an older host.
        for mode in FUEL_MODES.into_iter().filter(|mode| self.guests.sandbox().is_loaded(info.digest, *mode)) {
            self.guests.is_ready((info.digest, mode));
        }
        tracing::info!(package = name, component = %info.digest, version = package.version, ?change, "deployed");
        let package = self.packages.put(package);
        self.release(&dropped, &idle).await;
        Ok(Deployed { package, change, difference })
    }

    /// Frees what is kept in memory of components that nothing runs, and all that is kept of those that no version has any more.
    /// What needs an idle one again (a rollback, a callback of long ago) loads it from disk, and waits for that.
    async fn release(&self, dropped: &[Digest], idle: &[Digest]) {
        for component in dropped.iter().chain(idle) {
            self.guests.unload(*component);
            self.packages.forget_schemas(*component);
        }
        for component in dropped {
            self.guests.sandbox().forget(*component).await;
        }
    }

    /// How many components the sandbox has loaded.
    pub fn loaded(&self) -> usize {
        self.guests.sandbox().loaded()
    }

    /// How often the sandbox has compiled something since the host was started.
    pub fn compilations(&self) -> u64 {
        self.guests.sandbox().compilations()
    }

    /// How far a package's component is when it cannot run yet; none when it can.
    pub fn readiness(&self, package: &Package) -> Option<Readiness> {
        keys(package, &self.permits.ceilings).into_iter().find_map(|key| self.guests.readiness(key))
    }

    /// What a task waits for, on this host too.
    ///
    /// # Errors
    /// The store has failed.
    pub async fn standing(&self, task: &Task) -> Result<Standing, StoreError> {
        let mut standing = self.store.standing(task.id).await?;
        if task.state == State::Queued {
            let active = task.spec.follows.then(|| self.packages.package(&task.spec.handler).ok()).flatten();
            let component = active.map_or(task.spec.component, |package| package.component);
            standing.holds.extend(self.guests.hold((component, task.spec.limits.fuel.mode())));
        }
        Ok(standing)
    }

    /// What was taken on may need code that is not there yet: it is made ahead of the attempt, and its task waits.
    pub(super) fn make_ready(&self, new: &NewTask) {
        let key = (new.spec.component, new.spec.limits.fuel.mode());
        if self.runs_guests && !self.natives.contains(&key.0) && !self.guests.sandbox().is_loaded(key.0, key.1) {
            self.guests.want(&[key]);
        }
    }
}
