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
        "sunaba:task/artifacts.create": async | trappable,
        "sunaba:task/artifacts.open": async | trappable,
        "sunaba:task/artifacts.list": async | trappable,
        "sunaba:task/artifacts.link": async | trappable,
        "sunaba:task/artifacts.[method]writer.write": async | trappable,
        "sunaba:task/artifacts.[method]writer.finish": async | trappable,
        "sunaba:task/artifacts.[drop]writer": async | trappable,
        "sunaba:task/artifacts.[method]reader.info": async | trappable,
        "sunaba:task/artifacts.[method]reader.read": async | trappable,
        "sunaba:task/artifacts.[drop]reader": async | trappable,
        default: trappable,
    },
    with: {
        "sunaba:task/artifacts.writer": crate::guest_artifacts::Writer,
        "sunaba:task/artifacts.reader": crate::guest_artifacts::Reader,
    },
    exports: { default: async },
});

pub use exports::sunaba::task::handlers;
pub use sunaba::task::{artifacts, host, types};

/// The interface that a component calls its host by.
pub const HOST: &str = "sunaba:task/host@0.1.0";
