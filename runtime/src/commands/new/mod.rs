//! `sunaba new`: a project with a handler that builds and runs at once, with the SDK of this very release beside it.

mod sdk;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sunaba_runtime::task::is_name;

use crate::exit::{CommandError, Exit};
use crate::{Global, print};

/// Where the SDK is put.
const SDK: &str = "sunaba";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to make, whose last part names the package
    path: PathBuf,
    /// An SDK that is there already, in place of one in the project
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CommandError> {
    let name = args.path.file_name().and_then(|name| name.to_str()).filter(|name| is_package(name));
    let name = name.ok_or_else(|| {
        let message = format!(
            "`{}` does not name a package\nhint: its last part has up to 64 lower-case letters, digits and `-`, and begins \
             with a letter",
            args.path.display()
        );
        CommandError::new(Exit::Usage, message)
    })?;
    let sdk = args.sdk.as_deref().map(existing).transpose()?;
    // Not into a folder that is there: nothing of anybody's is written over.
    std::fs::create_dir(&args.path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("`{}` is there already\nhint: name a folder that is not", args.path.display());
            CommandError::new(Exit::Conflict, message)
        }
        _ => cannot_write(&args.path, &error),
    })?;
    let sdk = match sdk {
        Some(sdk) => sdk.display().to_string(),
        None => {
            sdk::files().iter().try_for_each(|(file, text)| write(&args.path.join(SDK).join(file), text))?;
            format!("{SDK}/sdk")
        }
    };
    let module = name.replace('-', "_");
    for (file, text) in [
        ("Cargo.toml", CARGO.replace("NAME", name).replace("SDK_PATH", &toml_text(&sdk))),
        ("src/lib.rs", LIB.into()),
        (".gitignore", "/target\n".into()),
        ("README.md", README.replace("NAME", name).replace("MODULE", &module)),
    ] {
        write(&args.path.join(file), &text)?;
    }
    print::aside(global, format_args!("made {}; build it, and run it once:", args.path.display()));
    print::aside(global, format_args!("  cd {}", args.path.display()));
    print::aside(global, "  sunaba build");
    let run = format!("sunaba run target/wasm32-wasip2/release/{module}.wasm hello --input '{{\"name\":\"Ada\"}}'");
    print::aside(global, format_args!("  {run}"));
    Ok(Exit::Ok)
}

/// What cargo takes, and a package of a host too.
fn is_package(name: &str) -> bool {
    is_name(name) && name.starts_with(|c: char| c.is_ascii_lowercase()) && !["test", "sunaba"].contains(&name)
}

fn existing(folder: &Path) -> Result<PathBuf, CommandError> {
    let found = folder.canonicalize().ok().filter(|folder| folder.join("Cargo.toml").is_file());
    found.ok_or_else(|| {
        let message = format!(
            "there is no SDK in `{}`\nhint: name the folder `sdk` of a checkout, or leave it out to have one in the project",
            folder.display()
        );
        CommandError::new(Exit::NotFound, message)
    })
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CommandError {
    let hint = "name a folder that you can write to";
    CommandError::new(Exit::Error, format!("cannot write `{}`: {error}\nhint: {hint}", path.display()))
}

/// A text as it stands in TOML between its quotation marks.
fn toml_text(text: &str) -> String {
    text.chars().flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect()
}

const CARGO: &str = r#"[package]
name = "NAME"
version = "0.1.0"
edition = "2024"
publish = false

[lib]
crate-type = ["cdylib"]

[dependencies]
sunaba-sdk = { path = "SDK_PATH" }

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = "debuginfo" # keep the names of functions, for backtraces

# A workspace of its own, wherever the folder is.
[workspace]
exclude = ["sunaba"]
"#;

const LIB: &str = r#"//! A handler of sunaba: a function with a typed input and a typed output.

use sunaba_sdk::prelude::*;

#[data]
pub struct Person {
    /// Whom to greet.
    name: String,
}

#[data]
pub struct Greeting {
    greeting: String,
}

/// Greets somebody by name.
#[handler(timeout = "5s", memory = "16MiB")]
pub fn hello(input: Person) -> Result<Greeting, TaskError> {
    if input.name.is_empty() {
        return Err(TaskError::fatal("there is nobody to greet").with_kind("empty"));
    }
    Ok(Greeting { greeting: format!("Hello, {}!", input.name) })
}

export!(hello);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        let greeting = hello(Person { name: "Ada".into() }).expect("she has a name");
        assert_eq!(greeting.greeting, "Hello, Ada!");
    }
}
"#;

const README: &str = r#"# NAME

A handler for [sunaba](https://docs.rs/sunaba-sdk).

    cargo test
    sunaba build

That is `cargo build --release --target wasm32-wasip2`, with the target added by rustup where it is missing, and shows what came of it.

    sunaba run target/wasm32-wasip2/release/MODULE.wasm hello --input '{"name":"Ada"}'

On a host (`sunaba serve`):

    sunaba handler deploy --name NAME target/wasm32-wasip2/release/MODULE.wasm
    sunaba task submit NAME/hello --input '{"name":"Ada"}' --wait
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_and_a_host_take() {
        for name in ["words", "word-count", "a1"] {
            assert!(is_package(name), "{name}");
        }
        for name in ["", "Words", "1a", "-a", "a_b", "test", "sunaba"] {
            assert!(!is_package(name), "{name}");
        }
    }

    #[test]
    fn paths_are_texts_in_toml() {
        assert_eq!(toml_text(r#"a "b" \c"#), r#"a \"b\" \\c"#);
    }
}
