//! `sunaba component validate` and `sunaba component compile`: whether a host would take a component, and what that costs it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use sunaba_runtime::needs_grant;
use sunaba_runtime::sandbox::{ComponentInfo, LoadError};
use sunaba_runtime::task::{FuelMode, counted, format_bytes, format_duration};
use tokio::time::Instant;

use super::{frame, load, read_component, small_sandbox};
use crate::exit::{CommandError, Exit, cannot_load};
use crate::{Format, Global, print};

/// What is looked at, one after the other: whoever fails at one has passed those before.
const STEPS: [(&str, &str); 6] = [
    ("file", "a WebAssembly component, within the bounds of what is compiled"),
    ("world", "exports handlers, or a policy, of sunaba:task 0.1"),
    ("imports", "imports what a host has"),
    ("code", "compiles within the limits of the compiler"),
    ("types", "its imports and exports have the types of the contract"),
    ("handlers", "describes handlers that a host takes"),
];

/// A step, and how it went.
#[derive(Debug, Serialize)]
struct Step {
    check: &'static str,
    /// What it is about.
    what: &'static str,
    /// Whether it was passed. Null: one before it was not.
    passed: Option<bool>,
    /// What was found; what is wrong, where it was not passed.
    found: String,
    /// What to do about it.
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Validity {
    component: String,
    valid: bool,
    checks: Vec<Step>,
}

/// The number of the step that an error belongs to. None: the host could not do its part.
fn step_of(error: &LoadError) -> Option<usize> {
    Some(match error {
        LoadError::NotWasm
        | LoadError::CoreModule
        | LoadError::TooLarge { .. }
        | LoadError::TooMuch { .. }
        | LoadError::Invalid(_) => 0,
        LoadError::OtherWorld { .. } | LoadError::OtherVersion { .. } => 1,
        LoadError::UnknownImport { .. } => 2,
        LoadError::CompileLimit(_) => 3,
        LoadError::Signature(_) => 4,
        LoadError::Internal(_) => return None,
        _ => 5,
    })
}

/// Checks a component as a host would before it takes it.
///
/// # Errors
/// It cannot be read, or the checks cannot be made here.
pub(super) async fn validate(global: &Global, path: &Path) -> Result<Exit, CommandError> {
    let bytes = read_component(path)?;
    let loaded = small_sandbox()?.load(bytes, FuelMode::Exact).await;
    let failed = match &loaded {
        Ok(_) => None,
        Err(error) => Some((step_of(error).ok_or_else(|| cannot_load(path, error))?, error)),
    };
    let step = |(number, (check, what)): (usize, &(&'static str, &'static str))| {
        let (passed, found, hint) = match (&failed, &loaded) {
            (Some((at, error)), _) if number == *at => {
                let text = error.to_string();
                let (found, hint) = match text.split_once("\nhint: ") {
                    Some((found, hint)) => (found.to_owned(), Some(hint.to_owned())),
                    None => (text, None),
                };
                (Some(false), found, hint)
            }
            (Some((at, _)), _) if number > *at => (None, String::new(), None),
            (_, Ok(info)) => (Some(true), found(number, info), None),
            _ => (Some(true), String::new(), None),
        };
        Step { check, what, passed, found, hint }
    };
    let checks: Vec<_> = STEPS.iter().enumerate().map(step).collect();
    let validity = Validity { component: path.display().to_string(), valid: failed.is_none(), checks };
    if global.output == Format::Text {
        show(global, &validity)?;
    } else {
        print::json(global.output, &validity)?;
    }
    Ok(if validity.valid { Exit::Ok } else { Exit::Invalid })
}

/// What was found at a step of a component that passes all.
fn found(step: usize, info: &ComponentInfo) -> String {
    let count = |count: usize, one: &str, many: &str| counted(count as u64, one, many);
    match step {
        0 => format!("{}, {}", format_bytes(info.size_bytes), info.digest),
        1 => info.exports.join(", "),
        2 => {
            let granted = info.imports.iter().filter(|import| needs_grant(import)).count();
            let imports = count(info.imports.len(), "interface", "interfaces");
            format!("{imports}, {granted} of them useless without a grant")
        }
        3 | 4 => String::new(),
        _ => {
            let names: Vec<_> = info.handlers.iter().map(|handler| handler.name.as_str()).collect();
            match (names.is_empty(), info.decider) {
                (true, _) => "a policy alone".into(),
                (false, None) => names.join(", "),
                (false, Some(_)) => format!("{}, and a policy", names.join(", ")),
            }
        }
    }
}

fn show(global: &Global, validity: &Validity) -> Result<(), CommandError> {
    print::table(&frame::table(&validity.checks, ["CHECK", "STATE", "FOUND"], |step| {
        let (state, found) = match step.passed {
            Some(true) if step.found.is_empty() => ("ok", step.what),
            Some(true) => ("ok", step.found.as_str()),
            Some(false) => ("FAIL", step.found.as_str()),
            None => ("-", "not looked at"),
        };
        [step.check.into(), state.into(), found.into()]
    }))?;
    let failed = validity.checks.iter().find(|step| step.passed == Some(false));
    match failed {
        None if global.quiet => {}
        None => print::headline(true, "valid", "a host takes it"),
        Some(step) => {
            let hint = step.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            let message = format!("`{}` is not valid: {}{hint}", validity.component, step.found);
            print::error(&CommandError::new(Exit::Invalid, message));
        }
    }
    Ok(())
}

/// What compiling a component costs.
#[derive(Debug, Serialize)]
struct Compiled {
    component: String,
    digest: String,
    size_bytes: u64,
    /// With fuel counted exactly, as it is unless a task says otherwise.
    exact: Cost,
    /// Without fuel.
    off: Cost,
}

#[derive(Debug, Serialize)]
struct Cost {
    /// Until it is ready to run, its checks included, in milliseconds.
    compile_ms: f64,
    /// Bytes of its machine code. Null for a policy alone.
    code_bytes: Option<u64>,
}

/// Compiles a component in both ways in which a host runs one.
///
/// # Errors
/// It cannot be read, or is not taken.
pub(super) async fn compile(global: &Global, path: &Path) -> Result<Exit, CommandError> {
    let bytes = read_component(path)?;
    let sandbox = small_sandbox()?;
    let mut costs = Vec::with_capacity(2);
    let mut info = None;
    for mode in [FuelMode::Exact, FuelMode::Off] {
        let begun = Instant::now();
        let loaded = load(&sandbox, path, bytes.clone(), mode).await?;
        let compile_ms = (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        costs.push(Cost { compile_ms, code_bytes: sandbox.code_bytes(loaded.digest, mode) });
        info = Some(loaded);
    }
    let (Some(info), Some(off), Some(exact)) = (info, costs.pop(), costs.pop()) else {
        return Err(CommandError::new(Exit::Error, "nothing was compiled"));
    };
    let component = path.display().to_string();
    let (digest, size_bytes) = (info.digest.to_string(), info.size_bytes);
    let compiled = Compiled { component, digest, size_bytes, exact, off };
    frame::one(global, &compiled, |compiled| {
        let cost = |cost: &Cost| {
            let code = cost
                .code_bytes
                .map_or_else(|| "a policy alone".into(), |bytes| format!("{} of code", format_bytes(bytes)));
            format!("{code} in {}", format_duration(Duration::from_secs_f64(cost.compile_ms / 1e3)))
        };
        vec![
            ("component", compiled.component.clone()),
            ("digest", compiled.digest.clone()),
            ("size", format_bytes(compiled.size_bytes)),
            ("fuel exact", cost(&compiled.exact)),
            ("fuel off", cost(&compiled.off)),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_belong_to_the_step_that_finds_them() {
        let step = |error: &LoadError| step_of(error).map(|number| STEPS[number].0);
        assert_eq!(step(&LoadError::NotWasm), Some("file"));
        assert_eq!(step(&LoadError::OtherWorld { exports: Vec::new() }), Some("world"));
        assert_eq!(step(&LoadError::UnknownImport { name: "a:b/c".into() }), Some("imports"));
        assert_eq!(step(&LoadError::CompileLimit(String::new())), Some("code"));
        assert_eq!(step(&LoadError::Signature(String::new())), Some("types"));
        assert_eq!(step(&LoadError::HandlerCount { count: 0, max: 256 }), Some("handlers"));
        assert_eq!(step(&LoadError::Internal(String::new())), None);
    }
}
