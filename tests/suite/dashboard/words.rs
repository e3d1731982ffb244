//! How the pages speak: of one thing as of one.

use std::path::{Path, PathBuf};

/// What pages count.
const COUNTED: [&str; 12] = [
    "tasks",
    "attempts",
    "slots",
    "letters",
    "dead letters",
    "hosts",
    "lost hosts",
    "ticks",
    "lines",
    "days",
    "events",
    "older attempts",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// What stands behind a value and is a word in the plural, whatever the value is.
fn plurals(text: &str) -> Vec<String> {
    let behind = text.split('}').skip(1).filter_map(|rest| rest.strip_prefix(' '));
    let is_word = |rest: &str, word: &str| {
        rest.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let found = behind.filter(|rest| COUNTED.iter().any(|word| is_word(rest, word)));
    found.map(|rest| rest.chars().take(30).collect()).collect()
}

#[test]
fn plurals_obeyed_and_violated() {
    for text in ["{{ show::of(n, \"task\") }} waiting", "{} tasksets", "format!(\"{}\", tasks)", "} attempts_started"] {
        assert!(plurals(text).is_empty(), "{text}");
    }
    for text in ["{{ n }} tasks", "format!(\"{} tasks will not run\")", "{number} slots", "{{ n }} lost hosts"] {
        assert_eq!(plurals(text).len(), 1, "{text}");
    }
}

#[test]
fn pages_count_by_the_one_helper() {
    let server = crate::support::root().join("runtime/crates/server");
    let mut found = Vec::new();
    files(&server.join("templates"), &mut found);
    files(&server.join("src/ui/pages"), &mut found);
    assert!(found.len() >= 40, "{found:?}");
    for path in found {
        let text = std::fs::read_to_string(&path).expect("text");
        let plurals = plurals(&text);
        assert!(plurals.is_empty(), "{}: say `show::of`: {plurals:?}", path.display());
    }
}
