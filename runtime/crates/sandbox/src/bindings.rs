//! What wasmtime's generator makes of `wit/`. Its types stay in this crate; `convert` turns them into plain data.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "handler",
    imports: {
        "sunaba:task/host.submit": async | trappable,
        "sunaba:task/host.dependency-outputs": async | trappable,
        "sunaba:task/host.checkpoint": async | trappable,
        "sunaba:task/host.last-checkpoint": async | trappable,
        "sunaba:task/host.completion-token": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});

pub use exports::sunaba::task::handlers;
pub use sunaba::task::{host, types};

/// The interface that a component calls its host by.
pub const HOST: &str = "sunaba:task/host@0.1.0";
