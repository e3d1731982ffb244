//! Holds the guests' folder to the table: every hostile handler has a row, every row a guest, and the README tells of all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::root;

use super::case::Ends;
use super::table::{BY_INPUT, FAMILIES, IN_A_QUEUE, all};

/// What the issue asks for.
const AT_LEAST: usize = 60;

/// Every hostile handler by its guest and its name, with the first line of what it says of itself.
fn handlers() -> BTreeMap<(String, String), String> {
    let hostile = root().join("guest-examples/hostile");
    let mut found = BTreeMap::new();
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("it is there");
        entries.map(|entry| entry.expect("readable").path()).collect::<Vec<_>>()
    };
    let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    for folder in entries(&hostile) {
        let guest = stem(&folder);
        let text = folder.join(&guest).with_extension("wat");
        if let Ok(source) = std::fs::read_to_string(folder.join("src/lib.rs")) {
            for (name, tries) in of_rust(&source) {
                found.insert((guest.clone(), name), tries);
            }
        } else if text.exists() {
            found.insert((guest.clone(), guest), first_line(&text));
        }
    }
    for text in entries(&hostile.join("text")) {
        if stem(&text) != "frame" {
            found.insert((stem(&text), stem(&text)), first_line(&text));
        }
    }
    found
}

fn first_line(text: &Path) -> String {
    let source = std::fs::read_to_string(text).expect("it is there");
    let line = source.lines().next().and_then(|line| line.strip_prefix(";; "));
    line.unwrap_or_else(|| panic!("`{}` does not say what it tries", text.display())).to_owned()
}

/// The handlers of a source: a doc comment, `#[handler]`, and a function.
fn of_rust(source: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = source.lines().collect();
    let module = source.lines().next().and_then(|line| line.strip_prefix("//! ")).expect("a file says what it is");
    let attributes = lines.iter().enumerate().filter(|(_, line)| line.starts_with("#[handler"));
    attributes
        .map(|(at, _)| {
            let function =
                lines[at..].iter().find_map(|line| line.strip_prefix("pub fn ")).expect("a handler is a function");
            let name = function.split('(').next().expect("a name").replace('_', "-");
            let doc = lines[..at].iter().rev().take_while(|line| line.starts_with("/// ")).last();
            let tries = doc.map_or("", |line| &line[4..]);
            // A guest of one lesson says it for the whole file.
            (name, if tries.is_empty() || tries == "Never returns." { module } else { tries }.to_owned())
        })
        .collect()
}

#[test]
fn there_are_at_least_sixty_mechanisms() {
    let names: BTreeSet<_> = all().map(|case| case.name).collect();
    assert_eq!(names.len(), all().count(), "a name stands twice in the table");
    assert!(names.len() >= AT_LEAST, "{}", names.len());
    let handlers = handlers();
    let told: BTreeSet<_> = handlers.values().collect();
    assert_eq!(told.len(), handlers.len(), "two guests say the same of themselves: are they two mechanisms?");
}

#[test]
fn every_hostile_handler_has_a_row_and_every_row_a_handler() {
    let rows = all()
        .map(|case| (case.guest, case.name))
        .chain(IN_A_QUEUE)
        .chain(BY_INPUT.map(|(guest, name, _)| (guest, name)));
    let rows: BTreeSet<_> = rows.map(|(guest, name)| (guest.to_owned(), name.to_owned())).collect();
    let handlers: BTreeSet<_> = handlers().into_keys().collect();
    assert_eq!(rows, handlers);
}

/// The list in the README, as the table and the guests have it.
#[test]
fn readme_tells_of_every_hostile_guest() {
    let handlers = handlers();
    let tries = |guest: &str, name: &str| &handlers[&(guest.to_owned(), name.to_owned())];
    let mut list = String::new();
    for family in &FAMILIES {
        list +=
            &format!("### {}\n\n| guest | handler | what it tries | how it ends |\n|---|---|---|---|\n", family.name);
        for case in family.cases {
            let ends = match case.ends {
                Ends::Stopped(cause) => format!("`stopped {cause}`"),
                Ends::Failed(kind) => format!("`failed {kind}`"),
                Ends::Succeeds => "succeeds".into(),
                Ends::Snoozes => "is put off".into(),
                Ends::Decomposes => "plans in vain".into(),
                Ends::Refused(_) => "is refused".into(),
            };
            let (guest, name) = (case.guest, case.name);
            list += &format!("| `{guest}` | `{name}` | {} | {ends} |\n", tries(guest, name));
        }
        list.push('\n');
    }
    list += "### In a queue\n\n| guest | handler | what it tries |\n|---|---|---|\n";
    for (guest, name) in IN_A_QUEUE {
        list += &format!("| `{guest}` | `{name}` | {} |\n", tries(guest, name));
    }
    list += "\n### As their input says\n\n| guest | handler | what it tries |\n|---|---|---|\n";
    for (guest, name, _) in BY_INPUT {
        list += &format!("| `{guest}` | `{name}` | {} |\n", tries(guest, name));
    }
    let readme = root().join("guest-examples/hostile/README.md");
    let text = std::fs::read_to_string(&readme).expect("it is there");
    let (_, rest) = text.split_once("<!-- list -->\n").expect("where the list begins");
    let (told, _) = rest.split_once("<!-- end of the list -->").expect("where the list ends");
    if told.trim() != list.trim() {
        let fresh = std::env::temp_dir().join("hostile-list.md");
        std::fs::write(&fresh, &list).expect("written");
        panic!("the list in {} is not up to date: put {} in its place", readme.display(), fresh.display());
    }
}
