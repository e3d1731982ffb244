//! Counts what a component is made of before anything is compiled, and refuses what would cost the compiler too much.
//!
//! One pass, in time linear in the file's size, which is bounded itself. The numbers are several times what the largest
//! components of known toolchains have: a Python component is 18 MB with tens of thousands of functions, a JavaScript
//! component 12 MB. What passes here can still be dear to compile; the compiler has limits of its own for that.

use sunaba_task::format_bytes;
use wasmparser::{BinaryReaderError, FunctionBody, Parser, Payload};

use crate::error::LoadError;

/// How deeply components may be nested in components.
const MAX_DEPTH: usize = 16;
/// Bytes of one function's body: compile time is quadratic in what is in one function.
const MAX_FUNCTION_BYTES: usize = 1 << 20;
/// Local variables of one function.
const MAX_LOCALS: u64 = 20_000;
/// Imports of the component itself, and likewise exports.
const MAX_OUTER_NAMES: u64 = 1_000;
/// Bytes of the name of one of these.
const MAX_OUTER_NAME_BYTES: usize = 512;

/// What is counted over the whole file, nested modules and components included.
#[derive(Clone, Copy)]
enum Kind {
    Modules,
    Components,
    Functions,
    Types,
    Imports,
    Exports,
    Globals,
    Tables,
    Memories,
    Elements,
    Data,
    Instances,
    Aliases,
    Canonical,
    Custom,
}

/// In the order of [`Kind`]: what it is called, and how many there may be.
const BOUNDS: [(&str, u64); 15] = [
    ("core modules", 256),
    ("nested components", 256),
    ("functions", 200_000),
    ("types", 100_000),
    ("imports", 100_000),
    ("exports", 200_000),
    ("globals", 100_000),
    ("tables", 1_000),
    ("memories", 1_000),
    ("element segments", 100_000),
    ("data segments", 100_000),
    ("instances", 4_096),
    ("aliases", 100_000),
    ("canonical functions", 20_000),
    ("custom sections", 10_000),
];

#[derive(Default)]
struct Scan {
    counts: [u64; BOUNDS.len()],
    depth: usize,
}

/// Refuses a component that is over a bound. Whether it is valid otherwise is the compiler's business.
///
/// # Errors
/// [`LoadError::TooMuch`] names the first bound that it passes; [`LoadError::Invalid`]: it cannot be read.
pub(crate) fn scan(bytes: &[u8]) -> Result<(), LoadError> {
    let mut scan = Scan::default();
    for payload in Parser::new(0).parse_all(bytes) {
        scan.payload(&payload.map_err(invalid)?)?;
    }
    Ok(())
}

fn invalid(error: BinaryReaderError) -> LoadError {
    LoadError::Invalid(error.to_string())
}

fn too_much(what: &'static str, found: u64, limit: u64) -> LoadError {
    LoadError::TooMuch { what, found: found.to_string(), limit: limit.to_string() }
}

impl Scan {
    fn count(&mut self, kind: Kind, more: u32) -> Result<(), LoadError> {
        let (what, limit) = BOUNDS[kind as usize];
        let count = &mut self.counts[kind as usize];
        *count += u64::from(more);
        if *count > limit { Err(too_much(what, *count, limit)) } else { Ok(()) }
    }

    fn enter(&mut self, kind: Kind) -> Result<(), LoadError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_much("levels of nested components", self.depth as u64, MAX_DEPTH as u64));
        }
        self.count(kind, 1)
    }

    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::ModuleSection { .. } => self.enter(Kind::Modules),
            Payload::ComponentSection { .. } => self.enter(Kind::Components),
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::TypeSection(section) => self.count(Kind::Types, section.count()),
            Payload::CoreTypeSection(section) => self.count(Kind::Types, section.count()),
            Payload::ComponentTypeSection(section) => self.count(Kind::Types, section.count()),
            Payload::ImportSection(section) => self.count(Kind::Imports, section.count()),
            Payload::ExportSection(section) => self.count(Kind::Exports, section.count()),
            Payload::FunctionSection(section) => self.count(Kind::Functions, section.count()),
            Payload::GlobalSection(section) => self.count(Kind::Globals, section.count()),
            Payload::TableSection(section) => self.count(Kind::Tables, section.count()),
            Payload::MemorySection(section) => self.count(Kind::Memories, section.count()),
            Payload::ElementSection(section) => self.count(Kind::Elements, section.count()),
            Payload::DataSection(section) => self.count(Kind::Data, section.count()),
            Payload::InstanceSection(section) => self.count(Kind::Instances, section.count()),
            Payload::ComponentInstanceSection(section) => self.count(Kind::Instances, section.count()),
            Payload::ComponentAliasSection(section) => self.count(Kind::Aliases, section.count()),
            Payload::ComponentCanonicalSection(section) => self.count(Kind::Canonical, section.count()),
            Payload::CustomSection(_) => self.count(Kind::Custom, 1),
            Payload::CodeSectionEntry(body) => function(body),
            Payload::ComponentImportSection(section) => {
                self.count(Kind::Imports, section.count())?;
                self.outer("imports of its own", section.clone().into_iter().map(|one| one.map(|one| one.name.name)))
            }
            Payload::ComponentExportSection(section) => {
                self.count(Kind::Exports, section.count())?;
                self.outer("exports of its own", section.clone().into_iter().map(|one| one.map(|one| one.name.name)))
            }
            _ => Ok(()),
        }
    }

    /// The names that the component itself shows. These are kept and printed.
    fn outer<'a>(
        &self,
        what: &'static str,
        names: impl Iterator<Item = Result<&'a str, BinaryReaderError>>,
    ) -> Result<(), LoadError> {
        if self.depth > 0 {
            return Ok(());
        }
        for (name, count) in names.zip(1..) {
            let length = name.map_err(invalid)?.len();
            if length > MAX_OUTER_NAME_BYTES {
                let what = "bytes in the name of an import or export";
                return Err(too_much(what, length as u64, MAX_OUTER_NAME_BYTES as u64));
            }
            if count > MAX_OUTER_NAMES {
                return Err(too_much(what, count, MAX_OUTER_NAMES));
            }
        }
        Ok(())
    }
}

fn function(body: &FunctionBody<'_>) -> Result<(), LoadError> {
    let size = body.range().len();
    if size > MAX_FUNCTION_BYTES {
        return Err(LoadError::TooMuch {
            what: "in one function",
            found: format_bytes(size as u64),
            limit: format_bytes(MAX_FUNCTION_BYTES as u64),
        });
    }
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(invalid)? {
        locals += u64::from(group.map_err(invalid)?.0);
        if locals > MAX_LOCALS {
            return Err(too_much("local variables in one function", locals, MAX_LOCALS));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
