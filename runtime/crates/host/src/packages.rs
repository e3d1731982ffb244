//! The packages that tasks can ask for: deployed ones from the store, and the program's own.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use sunaba_sandbox::LoadError;
use sunaba_store::{Package, StoreError};
use sunaba_task::{Digest, HandlerInfo, HandlerName, NO_DECIDER, TaskDecider, is_name};

use crate::admission::RefusedTask;
use crate::diff::Change;
use crate::input::{InputError, schema_of};
use crate::schema::Schema;

/// Why a component is not deployed. Nothing of it stays behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// Not a package's name.
    #[error(
        "`{0}` cannot name a package\nhint: a package has up to 64 lower-case letters, digits and `-`; name it with `--name`"
    )]
    Name(String),
    /// The name belongs to handlers of the host's own program.
    #[error("the package `{0}` is part of the host's program\nhint: deploy under another name")]
    Native(String),
    /// It may do or use more than the active version.
    #[error(
        "the component wants more than the active version of `{package}` has: {}\nhint: deploy it with `--allow-widening`, if \
         that is meant to be", counted(.widening)
    )]
    Widening {
        /// The package.
        package: String,
        /// All that is wider.
        widening: Vec<Change>,
    },
    /// The component cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A handler's schema cannot be used.
    #[error(transparent)]
    Schema(#[from] InputError),
    /// A version that was deployed before does not load any more.
    #[error("version {version} of `{package}` cannot be made ready: {problem}\nhint: deploy its component again")]
    Prepare {
        /// The package.
        package: String,
        /// Which version.
        version: u32,
        /// What is wrong.
        problem: String,
    },
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first of the changes, and how many there are.
fn counted(widening: &[Change]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = widening.iter().take(SHOWN).map(|change| format!("`{}`", change.line())).collect();
    let more = widening.len().saturating_sub(SHOWN);
    format!("{}{}", shown.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
}

/// The package's name for a component's file: its stem, with `-` for `_`.
pub fn package_name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase().replace('_', "-")
}

/// Each handler's, by its component and name; none where it takes any bytes.
type Schemas = HashMap<(Digest, String), Option<Arc<Schema>>>;

/// What is deployed, as far as this host knows, and the schemas that were needed.
#[derive(Default)]
pub(crate) struct Packages {
    by_name: RwLock<BTreeMap<String, Arc<Package>>>,
    schemas: RwLock<Schemas>,
}

impl Packages {
    pub(crate) fn put(&self, package: Package) -> Arc<Package> {
        let package = Arc::new(package);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(package.name.clone(), Arc::clone(&package));
        package
    }

    pub(crate) fn all(&self) -> Vec<Arc<Package>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The package of a handler.
    ///
    /// # Errors
    /// There is no such package, or it has no such handler.
    pub(crate) fn package(&self, name: &HandlerName) -> Result<Arc<Package>, RefusedTask> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let package = by_name.get(&name.package).ok_or_else(|| RefusedTask::UnknownPackage {
            package: name.package.clone(),
            known: by_name.keys().cloned().collect(),
        })?;
        handler(package, name)?;
        Ok(Arc::clone(package))
    }

    /// The policy of this package, pinned to what the package has now; none when nobody asks for one.
    ///
    /// # Errors
    /// There is no such package, or it exports no policy.
    pub(crate) fn decider(&self, asked: Option<&str>) -> Result<Option<TaskDecider>, RefusedTask> {
        let Some(name) = asked.filter(|name| *name != NO_DECIDER) else { return Ok(None) };
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let problem = match by_name.get(name) {
            Some(package) if package.decider.is_some() => {
                return Ok(Some(TaskDecider { package: package.name.clone(), component: package.component }));
            }
            Some(_) => "it exports no policy",
            None => "no such package is deployed",
        };
        let deciders = by_name.values().filter(|package| package.decider.is_some());
        let known = deciders.map(|package| package.name.clone()).collect();
        Err(RefusedTask::Decider { package: name.chars().take(64).collect(), problem, known })
    }

    /// The schema of a handler's input, compiled once.
    pub(crate) fn schema(&self, component: Digest, handler: &HandlerInfo) -> Result<Option<Arc<Schema>>, InputError> {
        let key = (component, handler.name.clone());
        if let Some(schema) = self.schemas.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(schema.clone());
        }
        let schema = schema_of(handler)?.map(Arc::new);
        self.schemas.write().unwrap_or_else(PoisonError::into_inner).insert(key, schema.clone());
        Ok(schema)
    }

    /// Forgets the schemas of a component; what needs one again compiles it again.
    pub(crate) fn forget_schemas(&self, component: Digest) {
        self.schemas.write().unwrap_or_else(PoisonError::into_inner).retain(|(kept, _), _| *kept != component);
    }
}

/// The handler of this name in its package.
///
/// # Errors
/// The package has no such handler.
pub(crate) fn handler<'a>(package: &'a Package, name: &HandlerName) -> Result<&'a HandlerInfo, RefusedTask> {
    package.handler(&name.handler).ok_or_else(|| {
        let known = package.handlers.iter().map(|handler| handler.name.clone()).collect();
        RefusedTask::UnknownHandler { name: name.clone(), known }
    })
}

/// Whether a name and handlers can be deployed.
pub(crate) fn check(name: &str, handlers: &[HandlerInfo]) -> Result<(), DeployError> {
    if !is_name(name) {
        return Err(DeployError::Name(name.chars().take(80).collect()));
    }
    for handler in handlers {
        schema_of(handler)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_is_named_by_its_file() {
        assert_eq!(package_name_of(Path::new("target/wasm32-wasip2/release/word_count.wasm")), "word-count");
        assert_eq!(package_name_of(Path::new("Words.wasm")), "words");
    }
}
