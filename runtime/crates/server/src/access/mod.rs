//! Who calls, and what they may: keys, their scopes and their queues.
//!
//! A request goes through [`admit`] before anything looks at it. What its route asks for stands in one table ([`table`]); a route
//! that is not in it is answered by nobody. Whose request it is goes with the request's own work ([`Caller::now`]), and its changes
//! are logged in that name. What runs outside of a request is nobody, who may do nothing.

mod caller;
mod keys;
mod layer;
mod table;

pub(crate) use caller::Caller;
pub(crate) use keys::Keys;
pub(crate) use layer::{Gate, Signed, admit};
pub(crate) use table::{Needs, ROUTES, allows};

/// Whether requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Whoever reaches the host may do everything; a key that is sent is checked all the same.
    Anybody,
    /// Only whoever has a key that is good, and what that may.
    Keys,
}
