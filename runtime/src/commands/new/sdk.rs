//! The SDK as it was when this program was built, so that a project needs nothing that is not there.

use std::borrow::Cow;

/// The root of the repository, from this file's package.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path)))),*]
    };
}

/// All of it, but for its tests.
const FILES: [(&str, &str); 24] = files![
    "LICENSE",
    "sdk/Cargo.toml",
    "sdk/macros/Cargo.toml",
    "sdk/macros/src/data.rs",
    "sdk/macros/src/handler.rs",
    "sdk/macros/src/lib.rs",
    "sdk/macros/src/manifest.rs",
    "sdk/macros/src/options.rs",
    "sdk/src/artifact.rs",
    "sdk/src/ask.rs",
    "sdk/src/child.rs",
    "sdk/src/context.rs",
    "sdk/src/error.rs",
    "sdk/src/guest.rs",
    "sdk/src/guest/artifacts.rs",
    "sdk/src/handler.rs",
    "sdk/src/lib.rs",
    "sdk/src/outputs.rs",
    "sdk/src/payload.rs",
    "sdk/src/plan.rs",
    "sdk/src/snooze.rs",
    "sdk/src/testing.rs",
    "sdk/src/testing/artifacts.rs",
    "wit/task.wit",
];

/// What the packages of the SDK take from their workspace.
const ROOT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
/// Dependencies of theirs that stand there.
const SHARED: [&str; 7] =
    ["sunaba-sdk", "sunaba-sdk-macros", "bytesize", "humantime", "schemars", "serde", "serde_json"];

/// Each file with its path.
pub(super) fn files() -> Vec<(&'static str, Cow<'static, str>)> {
    let own = FILES.into_iter().map(|(path, text)| (path, Cow::Borrowed(text)));
    own.chain([("Cargo.toml", Cow::Owned(workspace(ROOT)))]).collect()
}

/// The workspace of the SDK alone: of the root's manifest, what it says of all packages, and of the dependencies those that are
/// used.
fn workspace(root: &str) -> String {
    let mut manifest = String::from("[workspace]\nresolver = \"3\"\nmembers = [\"sdk\", \"sdk/macros\"]\n");
    let mut section = "";
    for line in root.lines() {
        if line.starts_with('[') {
            section = line;
            if matches!(section, "[workspace.package]" | "[workspace.dependencies]")
                || section.starts_with("[workspace.lints")
            {
                manifest.push('\n');
                manifest.push_str(line);
                manifest.push('\n');
            }
            continue;
        }
        let is_kept = match section {
            "[workspace.dependencies]" => line.split_once(" = ").is_some_and(|(name, _)| SHARED.contains(&name)),
            "[workspace.package]" => true,
            section => section.starts_with("[workspace.lints"),
        };
        if is_kept && !line.is_empty() {
            manifest.push_str(line);
            manifest.push('\n');
        }
    }
    manifest
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<String>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for entry in std::fs::read_dir(root.join(folder)).expect("it is there") {
            let name = entry.expect("readable").file_name();
            let path = folder.join(name);
            if root.join(&path).is_dir() {
                sources(&path, found);
            } else {
                found.push(path.display().to_string());
            }
        }
    }

    #[test]
    fn project_has_all_of_the_sdk() {
        let mut found = Vec::new();
        for folder in ["sdk/src", "sdk/macros/src", "wit"] {
            sources(Path::new(folder), &mut found);
        }
        let listed: Vec<_> = FILES.iter().map(|(path, _)| *path).collect();
        for path in &found {
            assert!(listed.contains(&path.as_str()), "`{path}` is missing");
        }
    }

    #[test]
    fn workspace_has_what_its_members_take_from_it() {
        let made: toml::Table = toml::from_str(&workspace(ROOT)).expect("it is TOML");
        let dependencies = made["workspace"]["dependencies"].as_table().expect("a table");
        assert_eq!(dependencies.len(), SHARED.len());
        for (path, manifest) in FILES.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
            let manifest: toml::Table = toml::from_str(manifest).expect("it is TOML");
            for (name, dependency) in manifest["dependencies"].as_table().expect("a table") {
                if dependency.get("workspace").is_some() {
                    assert!(dependencies.contains_key(name), "{path}: {name}");
                }
            }
        }
        assert!(
            made["workspace"]["package"].get("edition").is_some() && made["workspace"]["lints"].get("rust").is_some()
        );
    }
}
