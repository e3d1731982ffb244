//! What the API can do, for whoever describes it or calls it: clients, verbs of the command line, documents.

use sunaba_task::Scope;

use crate::access::{Needs, ROUTES};

/// What whoever asks for an operation must have, where a host answers by keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// A key with this scope.
    Scope(Scope),
    /// A key with this scope, or the token of the task that it is about.
    ScopeOrToken(Scope),
}

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// What it does: a verb and a noun, with `_` between the words. No two have the same.
    pub id: &'static str,
    /// By which method.
    pub method: &'static str,
    /// Where, with the names of its parameters in braces.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
}

/// Every operation, in the order of its path.
pub fn operations() -> impl Iterator<Item = Operation> {
    ROUTES.iter().filter_map(|route| {
        let access = match route.needs {
            // Pages are for people.
            Needs::Visit => return None,
            Needs::Nothing => Access::Open,
            Needs::Scope(scope) => Access::Scope(scope),
            Needs::ScopeOrToken => Access::ScopeOrToken(Scope::Operate),
        };
        Some(Operation { id: route.id, method: route.method, path: route.path, access })
    })
}
