//! A component of ours: compiled code that a shard can load, and what it says of itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sunaba_task::{DeciderInfo, Digest, HandlerInfo, HandlerSettings, MAX_NAME_BYTES, format_bytes, is_name};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::artifacts::Known;
use crate::attempt::Prepared;
use crate::bindings::{HandlerPre, handlers, types};
use crate::error::{LoadError, one_line};
use crate::inspect::Interfaces;
use crate::state::{State, add_host_to_linker};
use crate::{guest_artifacts, wasi_cli, wasi_clocks, wasi_files, wasi_http, wasi_io, wasi_random};

/// More handlers in one component are refused.
const MAX_HANDLERS: usize = 256;
/// A longer doc comment is refused.
const MAX_DOC_BYTES: usize = 16 << 10;
/// A longer schema is refused.
const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// The rules by which a component is taken: [`accept`], [`scan`](crate::scan) and [`inspect`](crate::inspect). Raised with
/// every change of one of them, or of how what was found is written down, so that nothing that was taken by older ones is
/// believed.
pub(crate) const RULES: u32 = 3;

/// What a loaded component is and asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// By which it is named in an attempt.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// The interfaces that it imports, as written in it.
    pub imports: Vec<String>,
    /// What it exports, as written in it.
    pub exports: Vec<String>,
    /// In its own order; none of one that has only a policy.
    pub handlers: Vec<HandlerInfo>,
    /// What is known of its policy, if it exports one.
    pub decider: Option<DeciderInfo>,
}

impl ComponentInfo {
    /// The handler of this name.
    pub fn handler(&self, name: &str) -> Option<&HandlerInfo> {
        self.handlers.iter().find(|handler| handler.name == name)
    }
}

/// Machine code of whose origin we are sure.
pub(crate) enum Code {
    /// The sandbox's own compiler has just made it.
    Compiled(Vec<u8>),
    /// From an authenticated file.
    Known(Known),
}

impl Code {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Compiled(bytes) => bytes,
            Self::Known(known) => known.code(),
        }
    }

    /// Loads the code into an engine of the same settings and resolves its imports.
    ///
    /// # Errors
    /// [`LoadError::Invalid`]: it is too large for a slot. [`LoadError::Signature`]: an import or export has another type than the contract says.
    pub(crate) fn prepare(&self, linker: &Linker<State>) -> Result<Prepared, LoadError> {
        // The code is ours and whole, so what the engine may dislike is the component's size: memories, tables and core
        // instances beyond what a slot of the pool has.
        let component = self.load(linker.engine()).map_err(|error| LoadError::Invalid(one_line(&error)))?;
        let signature = |error: wasmtime::Error| LoadError::Signature(one_line(&error));
        let pre = linker.instantiate_pre(&component).map_err(signature)?;
        Ok(Prepared::new(HandlerPre::new(pre).map_err(signature)?))
    }

    #[expect(unsafe_code, reason = "loads machine code")]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes were made by `precompile_component`, in this process or in its child of the same program, or
        // their authentication code says that they were, and nobody else can have changed them since: they are in memory.
        unsafe { Component::deserialize(engine, self.bytes()) }
    }
}

/// All that a component can import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasi_io::add_to_linker(&mut linker)?;
    wasi_cli::add_to_linker(&mut linker)?;
    wasi_files::add_to_linker(&mut linker)?;
    wasi_clocks::add_to_linker(&mut linker)?;
    wasi_random::add_to_linker(&mut linker)?;
    wasi_http::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    add_host_to_linker(&mut linker)?;
    guest_artifacts::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Checks what `describe` returned.
///
/// # Errors
/// The first thing that is not acceptable, with the handler's name.
pub(crate) fn accept(
    digest: Digest,
    size_bytes: u64,
    interfaces: Interfaces,
    described: handlers::PackageInfo,
) -> Result<ComponentInfo, LoadError> {
    if let Some((key, _)) = described.settings.first() {
        return Err(LoadError::PackageSetting { key: key.clone() });
    }
    let described = described.handlers;
    if described.is_empty() || described.len() > MAX_HANDLERS {
        return Err(LoadError::HandlerCount { count: described.len(), max: MAX_HANDLERS });
    }
    let mut names = BTreeSet::new();
    for handler in &described {
        if !names.insert(handler.name.as_str()) {
            return Err(refused(&handler.name, "the component has two of this name".into()));
        }
    }
    let handlers = described.into_iter().map(accept_handler).collect::<Result<_, _>>()?;
    Ok(ComponentInfo { handlers, ..of_no_handlers(digest, size_bytes, interfaces) })
}

/// What is known of a component before anybody has looked at its handlers or its policy.
pub(crate) fn of_no_handlers(digest: Digest, size_bytes: u64, interfaces: Interfaces) -> ComponentInfo {
    let Interfaces { imports, exports } = interfaces;
    ComponentInfo { digest, size_bytes, imports, exports, handlers: Vec::new(), decider: None }
}

fn refused(handler: &str, reason: String) -> LoadError {
    let mut handler = handler.to_owned();
    crate::convert::cut(&mut handler, MAX_NAME_BYTES);
    LoadError::Handler { handler, reason }
}

fn accept_handler(handler: types::HandlerInfo) -> Result<HandlerInfo, LoadError> {
    if !is_name(&handler.name) {
        let reason = format!("a name has 1 to {MAX_NAME_BYTES} lower-case letters, digits and `-`");
        return Err(refused(&handler.name, reason));
    }
    let texts = [
        ("doc", Some(&handler.doc), MAX_DOC_BYTES),
        ("input schema", handler.input_schema.as_ref(), MAX_SCHEMA_BYTES),
        ("output schema", handler.output_schema.as_ref(), MAX_SCHEMA_BYTES),
    ];
    for (what, text, limit) in texts {
        let size = text.map_or(0, String::len);
        if size > limit {
            let (size, limit) = (format_bytes(size as u64), format_bytes(limit as u64));
            return Err(refused(&handler.name, format!("its {what} has {size}; the limit is {limit}")));
        }
    }
    let pairs = handler.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let settings = HandlerSettings::parse(pairs)
        .map_err(|problem| LoadError::Setting { handler: handler.name.clone(), problem })?;
    Ok(HandlerInfo {
        name: handler.name,
        doc: handler.doc,
        input_schema: handler.input_schema,
        output_schema: handler.output_schema,
        settings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(name: &str) -> types::HandlerInfo {
        types::HandlerInfo {
            name: name.into(),
            doc: String::new(),
            input_schema: None,
            output_schema: None,
            settings: Vec::new(),
        }
    }

    fn accepted(handlers: Vec<types::HandlerInfo>) -> Result<ComponentInfo, LoadError> {
        let described = handlers::PackageInfo { handlers, settings: Vec::new() };
        accept(Digest::of(b""), 0, Interfaces { imports: Vec::new(), exports: Vec::new() }, described)
    }

    #[test]
    fn handlers_are_found_by_name() {
        let info = accepted(vec![handler("a"), handler("b")]).expect("both fine");
        assert!(info.handler("b").is_some());
        assert!(info.handler("c").is_none());
    }

    #[test]
    fn handler_count_violated() {
        assert!(matches!(accepted(vec![]), Err(LoadError::HandlerCount { count: 0, .. })));
        let many = (0..=MAX_HANDLERS).map(|index| handler(&format!("h{index}"))).collect();
        assert!(matches!(accepted(many), Err(LoadError::HandlerCount { .. })));
    }

    #[test]
    fn bad_handlers_are_refused_by_name() {
        for name in ["", "A", "a b", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(matches!(accepted(vec![handler(name)]), Err(LoadError::Handler { .. })), "{name}");
        }
        assert!(matches!(accepted(vec![handler("a"), handler("a")]), Err(LoadError::Handler { .. })));
        let long = types::HandlerInfo { doc: "x".repeat(MAX_DOC_BYTES + 1), ..handler("a") };
        assert!(matches!(accepted(vec![long]), Err(LoadError::Handler { .. })));
        let schema = types::HandlerInfo { input_schema: Some("x".repeat(MAX_SCHEMA_BYTES + 1)), ..handler("a") };
        assert!(matches!(accepted(vec![schema]), Err(LoadError::Handler { .. })));
        let setting = types::HandlerInfo { settings: vec![("speed".into(), "9".into())], ..handler("a") };
        assert!(matches!(accepted(vec![setting]), Err(LoadError::Setting { .. })));
    }
}
