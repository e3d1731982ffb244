//! Looks at a file before anything is compiled: is it a component, is it one of ours, does it ask for what we have?

use wasmparser::{Parser, Payload};

use crate::error::LoadError;
use crate::scan::scan;

/// A larger component is refused.
pub const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// The interface that makes a component a package of handlers, in any version and in those that are served.
const HANDLERS_PREFIX: &str = "sunaba:task/handlers@";
const HANDLERS_SERVED: &str = "sunaba:task/handlers@0.1.";
/// The interface that makes a component a decider.
const POLICY_PREFIX: &str = "sunaba:task/policy@";
const POLICY_SERVED: &str = "sunaba:task/policy@0.1.";

/// What a component asks for and gives, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interfaces {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Interfaces {
    /// Whether it is a package of handlers.
    pub(crate) fn has_handlers(&self) -> bool {
        self.exports.iter().any(|name| name.starts_with(HANDLERS_SERVED))
    }

    /// Whether it is a decider, perhaps besides.
    pub(crate) fn has_policy(&self) -> bool {
        self.exports.iter().any(|name| name.starts_with(POLICY_SERVED))
    }
}

/// Reads the interfaces of a component of handlers or of a policy.
///
/// # Errors
/// The bytes are no component, or one that this host does not run.
pub(crate) fn inspect(bytes: &[u8]) -> Result<Interfaces, LoadError> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(LoadError::TooLarge { bytes: bytes.len() });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(LoadError::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(LoadError::NotWasm);
    }
    scan(bytes)?;
    let interfaces = read(bytes).map_err(|error| LoadError::Invalid(error.to_string()))?;
    check_world(&interfaces)?;
    check_imports(&interfaces)?;
    Ok(interfaces)
}

/// The interfaces that a component imports, as written in it; nothing is compiled.
///
/// # Errors
/// The bytes are no component, or one that this host does not run.
pub fn imports(bytes: &[u8]) -> Result<Vec<String>, LoadError> {
    inspect(bytes).map(|interfaces| interfaces.imports)
}

fn read(bytes: &[u8]) -> Result<Interfaces, wasmparser::BinaryReaderError> {
    let mut interfaces = Interfaces { imports: Vec::new(), exports: Vec::new() };
    // Nested modules and components have sections of their own, which say nothing about the whole.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    interfaces.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    interfaces.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(interfaces)
}

fn check_world(interfaces: &Interfaces) -> Result<(), LoadError> {
    let starting = |prefix| interfaces.exports.iter().find(|name| name.starts_with(prefix));
    if interfaces.has_handlers() || interfaces.has_policy() {
        return Ok(());
    }
    match (starting(HANDLERS_PREFIX), starting(POLICY_PREFIX)) {
        (Some(name), _) | (None, Some(name)) => Err(LoadError::OtherVersion { found: name.clone() }),
        (None, None) => Err(LoadError::OtherWorld { exports: interfaces.exports.clone() }),
    }
}

fn check_imports(interfaces: &Interfaces) -> Result<(), LoadError> {
    // `sunaba:task/host` may name a later 0.1.x and be served all the same; the engine looks at its functions.
    let known = |name: &str| match name.split_once('@') {
        Some((interface, version)) if interface.starts_with("sunaba:task/") => version.starts_with("0.1."),
        Some((interface, version)) if interface.starts_with("wasi:") => version.starts_with("0.2."),
        _ => false,
    };
    match interfaces.imports.iter().find(|name| !known(name)) {
        Some(name) => Err(LoadError::UnknownImport { name: name.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect_wat(wat: &str) -> Result<Interfaces, LoadError> {
        inspect(&wat::parse_str(wat).expect("the test's own text"))
    }

    #[test]
    fn what_is_not_wasm_is_refused() {
        assert!(matches!(inspect(b""), Err(LoadError::NotWasm)));
        assert!(matches!(inspect(b"#!/bin/sh\n"), Err(LoadError::NotWasm)));
        assert!(matches!(inspect(b"\0asm"), Err(LoadError::NotWasm)));
    }

    #[test]
    fn a_core_module_is_refused() {
        assert!(matches!(inspect_wat("(module)"), Err(LoadError::CoreModule)));
    }

    #[test]
    fn a_cut_component_is_refused() {
        let mut bytes = wat::parse_str("(component (core module (func)))").expect("the test's own text");
        bytes.truncate(bytes.len() - 2);
        assert!(matches!(inspect(&bytes), Err(LoadError::Invalid(_))));
    }

    #[test]
    fn another_world_is_refused_with_its_exports() {
        let Err(LoadError::OtherWorld { exports }) =
            inspect_wat(r#"(component (instance) (export "a:b/c" (instance 0)))"#)
        else {
            panic!("it has no handlers")
        };
        assert_eq!(exports, ["a:b/c"]);
    }

    #[test]
    fn another_version_and_a_decider_are_told_apart() {
        let with = |name: &str| inspect_wat(&format!(r#"(component (instance) (export "{name}" (instance 0)))"#));
        assert!(matches!(with("sunaba:task/handlers@0.2.0"), Err(LoadError::OtherVersion { .. })));
        assert!(with("sunaba:task/handlers@0.1.7").is_ok());
        assert!(with("sunaba:task/policy@0.1.0").is_ok_and(|it| it.has_policy() && !it.has_handlers()));
        assert!(matches!(with("sunaba:task/policy@0.2.0"), Err(LoadError::OtherVersion { .. })));
    }

    #[test]
    fn nested_exports_do_not_count() {
        let nested = r#"(component (component (instance) (export "sunaba:task/handlers@0.1.0" (instance 0))))"#;
        assert!(matches!(inspect_wat(nested), Err(LoadError::OtherWorld { .. })));
    }

    #[test]
    fn an_import_that_no_host_has_is_named() {
        let wat = r#"(component
            (import "acme:db/sql@1.0.0" (instance))
            (instance $handlers)
            (export "sunaba:task/handlers@0.1.0" (instance $handlers)))"#;
        let Err(LoadError::UnknownImport { name }) = inspect_wat(wat) else { panic!("nobody has it") };
        assert_eq!(name, "acme:db/sql@1.0.0");
    }

    #[test]
    fn too_large_is_refused_before_it_is_read() {
        let bytes = vec![0; MAX_COMPONENT_BYTES + 1];
        assert!(matches!(inspect(&bytes), Err(LoadError::TooLarge { .. })));
    }
}
