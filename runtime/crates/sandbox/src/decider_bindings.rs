//! What wasmtime's generator makes of the world `decider`. Its types stay in this crate; `decider_convert` turns them into
//! plain data.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "decider",
});

pub use exports::sunaba::task::{policy, types};
