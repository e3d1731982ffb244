//! Guests in text form whose lesson is a few lines: the frame is what every package of handlers has around them.
//!
//! A guest's text has sections, each begun by a line `;;; SECTION`; what stands before the first is `main`, the body of
//! its core module. Whatever the body does not export itself (`memory`, `realloc`, `describe`, `run`), the frame adds.
//! With `imports` the memory is the frame's `$store`, so that imported functions can be lowered before the module is
//! there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

/// The sections that there are.
const SECTIONS: [&str; 8] =
    ["imports", "lower", "core-imports", "main", "instantiate", "lift-run", "lift-describe", "with"];

const MEMORY: &str = r#"(memory (export "memory") 1)"#;
const STORE: &str = r#"(core module $store (memory (export "memory") 1)) (core instance $store (instantiate $store))"#;
const STORED: &str = r#"(import "store" "memory" (memory $memory 1))"#;
/// Only the host's arguments come through here, and they are small.
const REALLOC: &str = r#"
    (global $free (mut i32) (i32.const 8192))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $place i32)
      (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $place) (local.get $size)))
      (local.get $place))"#;
/// A `package-info` at 0: one `handler-info`, which is at 16, and no settings. Its name is at 128.
const DESCRIBE: &str = r#"
    (data (i32.const 0) "\10\00\00\00\01\00\00\00")
    (data (i32.const 16) "\80\00\00\00\{length}\00\00\00")
    (data (i32.const 128) "{name}")
    (func (export "describe") (result i32) (i32.const 0))"#;
/// A result at 1024: complete, with `null` as JSON.
const RESULT: &str = r#"
    (data (i32.const 192) "application/jsonnull")
    (data (i32.const 1040) "\c0\00\00\00\10\00\00\00\d0\00\00\00\04\00\00\00")"#;
const RUN: &str = r#"
    (func (export "run") (param i32) (result i32) (i32.const 1024))"#;

/// The whole component.
///
/// # Errors
/// A section that there is not, or a name that is too long.
pub(crate) fn fill(frame: &str, name: &str, text: &str) -> Result<String> {
    let sections = sections(text)?;
    let section = |name: &str| sections.get(name).map_or("", String::as_str);
    if name.len() > 64 {
        bail!("`{name}` is too long for a handler");
    }
    let main = section("main");
    let exports = |what: &str| main.contains(&format!("(export \"{what}\""));
    let stored = sections.contains_key("imports");
    let mut body = String::new();
    if stored {
        body += STORED;
    }
    body += section("core-imports");
    if stored {
        body += r#"(export "memory" (memory $memory))"#;
    } else if !exports("memory") {
        body += MEMORY;
    }
    body += if exports("realloc") { "" } else { REALLOC };
    if !exports("describe") {
        body += &DESCRIBE.replace("{length}", &format!("{:02x}", name.len())).replace("{name}", name);
    }
    body += RESULT;
    body += if exports("run") { "" } else { RUN };
    body += main;

    let store = if stored { r#"(with "store" (instance $store))"# } else { "" };
    Ok(frame
        .replace(";;; imports", section("imports"))
        .replace(";;; lower", &format!("{}{}", if stored { STORE } else { "" }, section("lower")))
        .replace(";;; main", &body)
        .replace(";;; instantiate", &format!("{store}{}", section("instantiate")))
        .replace(";;; lift-run", section("lift-run"))
        .replace(";;; lift-describe", section("lift-describe"))
        .replace(";;; with", &with(section("imports"))))
}

fn sections(text: &str) -> Result<BTreeMap<String, String>> {
    let mut sections = BTreeMap::<String, String>::new();
    let mut current = "main".to_owned();
    for line in text.lines() {
        match line.strip_prefix(";;; ") {
            Some(name) if SECTIONS.contains(&name) => current = name.to_owned(),
            Some(name) => bail!("there is no section `{name}`; the sections are {}", SECTIONS.join(", ")),
            None => {
                let section = sections.entry(current.clone()).or_default();
                section.push_str(line);
                section.push('\n');
            }
        }
    }
    sections.get("main").context("there is no text")?;
    Ok(sections)
}

/// What the package is given: the instances that the whole imports, under the same names.
fn with(imports: &str) -> String {
    let import = |line: &str| {
        let (name, rest) = line.trim().strip_prefix("(import \"")?.split_once("\" (instance $")?;
        let id: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        Some(format!("(with \"{name}\" (instance ${id}))"))
    };
    imports.lines().filter_map(import).collect()
}
