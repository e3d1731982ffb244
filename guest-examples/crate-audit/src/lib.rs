//! Real work on real files: audits the source of one Rust crate, or of many, each as a task of its own.
//!
//! The handler can read the directory that it was granted and nothing else: no other file, no network, no environment.
//! That is the point of running it in a sandbox: the crate that it reads is somebody else's.

mod all;
mod lines;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use all::{audit_all, summary};
use lines::Lines;
use sunaba_sdk::prelude::*;

/// Deeper directories are not looked at.
const MAX_DEPTH: usize = 32;

#[data]
pub struct Request {
    /// Where the crate's directory was granted: `/crate`.
    path: PathBuf,
}

#[data]
#[derive(Debug, Default)]
pub struct Report {
    name: String,
    /// None when it is the workspace's.
    version: Option<String>,
    /// The SPDX expression of the manifest; none when it is the workspace's.
    license: Option<String>,
    /// Files in the crate's root that hold licence texts.
    license_files: Vec<String>,
    /// Rust files.
    files: u64,
    /// Their lines.
    lines: Lines,
    /// The Rust file with the most code.
    largest_file: Option<LargestFile>,
}

#[data]
#[derive(Debug)]
pub struct LargestFile {
    path: String,
    code: u64,
}

/// What matters here of a `Cargo.toml`.
#[data]
struct Manifest {
    package: Package,
}

#[data]
struct Package {
    name: String,
    version: Option<Field>,
    license: Option<Field>,
}

/// A field that stands in the manifest, or `{ workspace = true }`.
#[data]
#[serde(untagged)]
enum Field {
    Here(String),
    Inherited { workspace: bool },
}

impl Field {
    fn here(self) -> Option<String> {
        match self {
            Self::Here(text) => Some(text),
            Self::Inherited { .. } => None,
        }
    }
}

/// Counts lines and `unsafe`, and finds the licence of the Rust crate in a granted directory.
#[handler(timeout = "60s", memory = "64MiB", dirs = "/crate")]
pub fn crate_audit(ctx: &Context, input: Request) -> Result<Report, TaskError> {
    let root = &input.path;
    let manifest = read_manifest(root)?;
    let sources = rust_files(root)?;
    log::info!("{} has {} Rust files", manifest.package.name, sources.len());

    let mut report = Report {
        name: manifest.package.name,
        version: manifest.package.version.and_then(Field::here),
        license: manifest.package.license.and_then(Field::here),
        license_files: license_files(root)?,
        files: sources.len() as u64,
        ..Report::default()
    };
    for (index, path) in sources.iter().enumerate() {
        // A percent at a time: a report for each file would only be noise.
        if index % (sources.len() / 100 + 1) == 0 {
            ctx.progress(index as f64 / sources.len() as f64, path.display());
        }
        let lines = Lines::of(&String::from_utf8_lossy(&fs::read(path)?));
        report.lines.add(&lines);
        if report.largest_file.as_ref().is_none_or(|largest| largest.code < lines.code) {
            let path = path.strip_prefix(root).unwrap_or(path).display().to_string();
            report.largest_file = Some(LargestFile { path, code: lines.code });
        }
    }
    Ok(report)
}

export!(crate_audit, audit_all, summary);

/// A directory without a manifest is no crate, and no retry will make it one; another error may pass.
fn read_manifest(root: &Path) -> Result<Manifest, TaskError> {
    let wrong = |problem: &dyn std::fmt::Display| {
        TaskError::fatal(format!("`{}` is not a crate: {problem}", root.display())).with_kind("not-a-crate")
    };
    let text = fs::read_to_string(root.join("Cargo.toml")).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidData => wrong(&error),
        _ => error.into(),
    })?;
    toml::from_str(&text).map_err(|error| wrong(&error.message()))
}

/// All Rust files below a directory, in a stable order. Links are not followed.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let mut files = Vec::new();
    let mut directories = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < MAX_DEPTH {
                directories.push((entry.path(), depth + 1));
            } else if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "rs") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn license_files(root: &Path) -> Result<Vec<String>, TaskError> {
    const BEGINNINGS: [&str; 4] = ["license", "licence", "copying", "unlicense"];
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if BEGINNINGS.iter().any(|beginning| name.to_lowercase().starts_with(beginning)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    #[test]
    fn audits_the_sample() {
        let attempt = Attempt::new();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/sample").into();
        let report = crate_audit(&attempt.context(), Request { path }).expect("it is a crate");
        assert_eq!((report.name.as_str(), report.version.as_deref()), ("sample", Some("1.2.3")));
        assert_eq!(report.license.as_deref(), Some("Apache-2.0 OR MIT"));
        assert_eq!(report.license_files, ["LICENSE.txt"]);
        assert_eq!(report.lines, Lines { code: 4, comments: 8, blank: 2, unsafe_uses: 2 });
        assert_eq!(attempt.progress().len(), 1);
    }

    #[test]
    fn fields_of_the_workspace_are_left_out() {
        let path = env!("CARGO_MANIFEST_DIR").into();
        let report = crate_audit(&Attempt::new().context(), Request { path }).expect("it is a crate");
        assert_eq!((report.name.as_str(), report.version, report.license), ("crate-audit", None, None));
    }

    #[test]
    fn a_directory_without_a_manifest_is_fatal() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src").into();
        let error = crate_audit(&Attempt::new().context(), Request { path }).expect_err("no manifest there");
        assert_eq!(error.kind(), "not-a-crate");
    }
}
