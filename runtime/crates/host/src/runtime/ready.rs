//! What a host has ready to run, and what it makes ready: at a deploy, and before a task needs it.

use bytes::Bytes;
use sunaba_store::{NewPackage, Package, Readiness};
use sunaba_task::{Digest, Fuel, FuelMode, HandlerInfo, LimitCaps, NewTask};

use super::Runtime;
use crate::deploy::{DeployOptions, Deployed};
use crate::guests::Key;
use crate::memory;
use crate::packages::{self, DeployError};
use crate::refusal::SubmitRefusal;

pub(super) const FUEL_MODES: [FuelMode; 2] = [FuelMode::Exact, FuelMode::Off];

/// The code that a package's tasks need, unless they ask for something else: that which counts fuel, since a submitter, a
/// queue or the operator may limit it, and that without where a handler asks for it and the operator does not limit fuel.
pub(crate) fn keys(component: Digest, handlers: &[HandlerInfo], ceilings: &LimitCaps) -> Vec<Key> {
    let off = runs_without_fuel(handlers, ceilings).then_some(FuelMode::Off);
    [FuelMode::Exact].into_iter().chain(off).map(|mode| (component, mode)).collect()
}

fn runs_without_fuel(handlers: &[HandlerInfo], ceilings: &LimitCaps) -> bool {
    let asked = |handler: &HandlerInfo| handler.settings.fuel.map_or(FuelMode::Exact, Fuel::mode);
    handlers.iter().any(|handler| ceilings.fuel_mode(asked(handler)) == FuelMode::Off)
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
        if runs_without_fuel(&info.handlers, &self.permits.ceilings) {
            self.guests.sandbox().load(component.clone(), FuelMode::Off).await?;
        }
        let (package, handlers) = (name.to_owned(), info.handlers.clone());
        let allow_signature_change = options.allow_signature_change;
        let decider = info.decider;
        let new = NewPackage { name: package, component: info.digest, handlers, decider, allow_signature_change };
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
        let keys = keys(package.component, &package.handlers, &self.permits.ceilings);
        keys.into_iter().find_map(|key| self.guests.readiness(key))
    }

    /// Whether what was asked for can ever run here, by what its queue lets it use. What it needs and what is not there yet is
    /// made ahead of the attempt, and its task waits.
    pub(super) async fn look_ahead(&self, new: &NewTask) -> Result<(), SubmitRefusal> {
        for spec in new.callbacks.iter().map(|callback| &callback.spec).chain([&new.spec]) {
            // Nearly always it fits whatever its queue says, which need not be asked then.
            if memory::check(&spec.limits, self.largest_bytes).is_err() {
                let queue = self.store.queue(spec.queue.clone()).await?;
                memory::check(&spec.limits.clone().at_most(&queue.settings.limits), self.largest_bytes)?;
            }
        }
        if let Some(decider) = new.spec.decider.as_ref().filter(|_| self.runs_guests) {
            // Made ready while the task has not yet failed.
            self.guests.want(&[(decider.component, FuelMode::Exact)]);
        }
        let (component, asked) = (new.spec.component, new.spec.limits.fuel.mode());
        if !self.runs_guests || self.natives.contains(&component) {
            return Ok(());
        }
        let is_loaded = |mode| self.guests.sandbox().is_loaded(component, mode);
        if !is_loaded(asked) || !is_loaded(FuelMode::Exact) {
            let queue = self.store.queue(new.spec.queue.clone()).await?;
            self.guests.want(&[(component, queue.settings.limits.fuel_mode(asked))]);
        }
        Ok(())
    }
}
