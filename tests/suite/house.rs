//! The house rules that a compiler does not check: who depends on whom, whose licences, where files are and how they
//! begin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spdx::Expression;

use crate::support::{root, text};

/// What each of our packages may depend on, of ours. A new edge is a change of the architecture.
const EDGES: [(&str, &[&str]); 15] = [
    ("sunaba-task", &[]),
    // What benchmarks are written with is a dependency of theirs alone.
    ("sunaba-store", &["sunaba-bench", "sunaba-task"]),
    ("sunaba-sandbox", &["sunaba-bench", "sunaba-task"]),
    ("sunaba-worker", &["sunaba-store", "sunaba-task"]),
    // A store and a worker are what its test has spans from.
    ("sunaba-telemetry", &["sunaba-store", "sunaba-task", "sunaba-worker"]),
    ("sunaba-host", &["sunaba-sandbox", "sunaba-store", "sunaba-task", "sunaba-worker"]),
    ("sunaba-server", &["sunaba-host", "sunaba-store", "sunaba-task"]),
    (
        "sunaba-runtime",
        &[
            "sunaba-client",
            "sunaba-host",
            "sunaba-sandbox",
            "sunaba-server",
            "sunaba-store",
            "sunaba-task",
            "sunaba-telemetry",
            "sunaba-worker",
        ],
    ),
    // Each without what makes it heavy: `client_brings_neither_an_engine_nor_a_store_nor_a_server`.
    ("sunaba-client", &["sunaba-host", "sunaba-server", "sunaba-store", "sunaba-task"]),
    ("sunaba-sdk-macros", &[]),
    ("sunaba-sdk", &["sunaba-sdk-macros"]),
    ("sunaba-bench", &[]),
    ("sunaba-report", &["sunaba-bench"]),
    ("sunaba-tests", &["sunaba-bench", "sunaba-runtime"]),
    ("xtask", &[]),
];

/// Dependencies that shape a crate have one owner; of templates, whoever writes pages.
const OWNERS: [(&str, &str); 18] = [
    ("sled", "sunaba-store"),
    ("croner", "sunaba-task"),
    ("jiff", "sunaba-task"),
    ("axum", "sunaba-server"),
    // Metrics are a format of the wire; who counts keeps plain numbers.
    ("prometheus-client", "sunaba-server"),
    ("opentelemetry", "sunaba-telemetry"),
    ("opentelemetry-otlp", "sunaba-telemetry"),
    ("opentelemetry_sdk", "sunaba-telemetry"),
    ("jsonschema", "sunaba-host"),
    ("wasmtime", "sunaba-sandbox"),
    ("wasmtime-wasi", "sunaba-sandbox"),
    ("wasmparser", "sunaba-sandbox"),
    ("clap", "sunaba-runtime"),
    ("clap_complete", "sunaba-runtime"),
    ("clap_mangen", "sunaba-runtime"),
    ("plotters", "sunaba-report"),
    ("askama", "sunaba-report, sunaba-server"),
    ("wit-bindgen", "sunaba-sdk"),
];

/// Licences that ask for no more than to be named.
const LICENSES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What may stand at the root, besides what git does not track.
const TOP_LEVEL: [&str; 19] = [
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "guest-examples",
    "runtime",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "sdk",
    "tests",
    "wit",
];

/// A longer file wants to be two.
const MAX_LINES: usize = 500;

fn metadata(workspace: &Path, more: &[&str]) -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).args(more).current_dir(workspace);
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn packages(metadata: &Value) -> &Vec<Value> {
    metadata["packages"].as_array().expect("a list of packages")
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().expect("a list of dependencies").iter()
}

#[test]
fn our_crates_depend_on_each_other_as_drawn() {
    let metadata = metadata(&root(), &["--no-deps"]);
    let drawn: BTreeMap<_, BTreeSet<_>> =
        EDGES.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let ours: BTreeSet<_> = packages(&metadata).iter().map(name).collect();
    assert_eq!(ours, drawn.keys().copied().collect());
    for package in packages(&metadata) {
        let edges: BTreeSet<_> = dependencies(package).map(name).filter(|name| ours.contains(name)).collect();
        assert_eq!(edges, drawn[name(package)], "{}", name(package));
    }
}

#[test]
fn heavy_dependencies_have_one_owner() {
    let metadata = metadata(&root(), &["--no-deps"]);
    for (dependency, owner) in OWNERS {
        let users: Vec<_> = packages(&metadata)
            .iter()
            .filter(|package| dependencies(package).any(|edge| name(edge) == dependency))
            .map(name)
            .collect();
        let mut users = users;
        users.sort_unstable();
        assert_eq!(users.join(", "), owner, "{dependency}");
    }
}

/// What a program that speaks to a host is built with.
#[test]
fn client_brings_neither_an_engine_nor_a_store_nor_a_server() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--package", "sunaba-client", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = cargo.args(["--locked", "--offline"]).current_dir(root()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tree = text(&output.stdout);
    let brought: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(brought.contains("reqwest") && brought.contains("sunaba-task"), "{tree}");
    let light = ["croner", "jiff", "reqwest"];
    let owned = OWNERS.iter().map(|(dependency, _)| *dependency).filter(|dependency| !light.contains(dependency));
    let heavy: Vec<_> =
        owned.chain(["sunaba-sandbox", "sunaba-worker"]).filter(|name| brought.contains(name)).collect();
    assert_eq!(heavy, Vec::<&str>::new());
}

#[test]
fn every_dependency_is_permissively_licensed() {
    for workspace in [root(), root().join("guest-examples")] {
        let metadata = metadata(&workspace, &[]);
        for package in packages(&metadata) {
            let written = package["license"].as_str().unwrap_or_else(|| panic!("{} names no licence", name(package)));
            let parsed = Expression::parse_mode(written, spdx::ParseMode::LAX)
                .unwrap_or_else(|error| panic!("{}: `{written}`: {error}", name(package)));
            let allowed = parsed.evaluate(|requirement| LICENSES.contains(&requirement.to_string().as_str()));
            assert!(allowed, "{} is licensed under `{written}`", name(package));
        }
    }
}

/// Every file that git tracks or would track.
fn files() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = git.output().expect("git starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(PathBuf::from).filter(|file| root().join(file).exists()).collect()
}

fn rust_files() -> impl Iterator<Item = (PathBuf, String)> {
    let is_rust = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "rs");
    // The cases of the macro tests are mistakes of users, not ours.
    let is_ours = |file: &PathBuf| !file.starts_with("sdk/tests/compile");
    files().into_iter().filter(is_rust).filter(is_ours).map(|file| {
        let text = std::fs::read_to_string(root().join(&file)).expect("git lists it");
        (file, text)
    })
}

#[test]
fn every_file_says_what_lives_in_it() {
    let silent: Vec<_> = rust_files().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> =
        rust_files().filter(|(_, text)| text.lines().count() > MAX_LINES).map(|(file, _)| file).collect();
    assert_eq!(long, Vec::<PathBuf>::new());
}

#[test]
fn top_level_holds_what_readers_expect() {
    let unexpected: BTreeSet<_> = files()
        .iter()
        .filter_map(|file| file.iter().next().map(|name| name.to_string_lossy().into_owned()))
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert_eq!(unexpected, BTreeSet::new());
}

#[test]
fn every_guest_has_a_test_and_a_description() {
    let built = std::fs::read_dir(crate::support::guests()).expect("it is there");
    let names: Vec<String> = built
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert!(names.len() >= 12, "{names:?}");
    let tests: String =
        rust_files().filter(|(file, _)| file.starts_with("tests/suite")).map(|(_, text)| text).collect();
    let hostile = std::fs::read_to_string(root().join("guest-examples/hostile/README.md")).expect("it is there");
    for name in names {
        assert!(tests.contains(&format!("\"{name}\"")), "no test runs the guest `{name}`");
        let own = root().join("guest-examples").join(&name).join("README.md").exists();
        assert!(own || hostile.contains(&format!("`{name}`")), "no README tells of the guest `{name}`");
    }
}

/// A promise is as good as the test that it names.
#[test]
fn every_test_that_a_document_names_is_there() {
    let is_name =
        |word: &&str| word.matches('_').count() >= 3 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let sources: String = rust_files().map(|(_, text)| text).collect();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("it is there");
        let named: BTreeSet<_> = text.split('`').filter(is_name).collect();
        assert!(named.len() >= 8, "{document}: {named:?}");
        for name in named {
            // A conformance case is a function that a macro makes tests of.
            let is_there = sources.contains(&format!("fn {name}("));
            assert!(is_there, "{document} names the test `{name}`, which is not there");
        }
    }
}
