//! The commands of every README, run as they stand, with the output that they promise.
//!
//! A block marked `sh` is run by bash in a folder of its own in which `target/debug` is on the path. A block marked
//! `text` or `json` right behind it is the output: `...` stands for whatever varies. A block marked `sh background` is a
//! host, on a port of its own, for the rest of the README. A block marked `sh no-test` is not run; the reason stands in
//! the README.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{binaries, guests, root, text};

struct Block {
    kind: String,
    body: String,
    line: usize,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some(Block { kind: kind.into(), body: String::new(), line: index + 1 }),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.body.push_str(line);
                block.body.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Whether a line is as promised: `...` stands for anything.
fn matches(promised: &str, line: &str) -> bool {
    let mut parts = promised.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn check(readme: &str) -> usize {
    let markdown = std::fs::read_to_string(root().join(readme)).expect("it is there");
    let blocks = blocks(&markdown);
    let folder = tempfile::tempdir().expect("a folder");
    let mut place = root();
    let mut run = 0;
    let mut background = Background::new();
    for (index, block) in blocks.iter().enumerate() {
        let output = match block.kind.as_str() {
            "sh" => {
                let (output, after) = bash(&block.body, &place, folder.path(), &background);
                place = after;
                output
            }
            "sh background" => background.start(&block.body, &place),
            _ => continue,
        };
        run += 1;
        let promised = blocks.get(index + 1).filter(|next| next.kind == "text" || next.kind == "json");
        let Some(promised) = promised else { continue };
        let (promised, shown): (Vec<_>, Vec<_>) = (promised.body.lines().collect(), output.lines().collect());
        let same = promised.len() == shown.len()
            && promised.iter().zip(&shown).all(|(promised, line)| matches(promised, line));
        assert!(same, "{readme}:{} promises\n{}\nand got\n{output}", block.line, promised.join("\n"));
    }
    run
}

/// Runs a block; gives both outputs together and the folder where it ended.
fn bash(script: &str, place: &Path, home: &Path, background: &Background) -> (String, PathBuf) {
    let marker = home.join("place");
    let mut bash = Command::new("bash");
    let script = format!("set -e\n{script}\npwd > '{}'\n", marker.display());
    bash.args(["-c", &script]).current_dir(place).env("NO_COLOR", "1").env("SUNABA", root());
    bash.env("TMPDIR", home)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_TARGET_DIR");
    bash.env("PATH", path()).env("SUNABA_ADDRESS", background.address());
    if let Ok(compiler) = std::fs::read_to_string(guests().join("rustc")) {
        bash.env("RUSTC", compiler);
    }
    let output = bash.output().expect("bash starts");
    // Standard error first: what sunaba says of a run comes before its result is worth reading.
    let shown = text(&output.stderr) + &text(&output.stdout);
    let after = std::fs::read_to_string(&marker).unwrap_or_else(|_| panic!("`{script}` failed:\n{shown}"));
    (shown, after.trim().into())
}

/// The path on which the binary is.
fn path() -> String {
    format!("{}:{}", binaries().display(), std::env::var("PATH").unwrap_or_default())
}

/// A host in another terminal.
struct Background {
    /// A port that was free a moment ago.
    port: u16,
    process: Option<Child>,
}

impl Background {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        Self { port: listener.local_addr().expect("it is bound").port(), process: None }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it; gives what it says until it is ready, with the port that a reader would see.
    fn start(&mut self, script: &str, place: &Path) -> String {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec {script}")]).current_dir(place).env("NO_COLOR", "1").env("PATH", path());
        bash.env("SUNABA_LISTEN", format!("127.0.0.1:{}", self.port));
        let mut process = bash.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("bash starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        self.process = Some(process);
        let mut said = String::new();
        while !said.contains("  packages ") {
            said += &lines.next().unwrap_or_else(|| panic!("it ended: {said}")).expect("text");
            said.push('\n');
        }
        said.replace(&self.address(), "http://127.0.0.1:7878")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn project_readme_keeps_its_word() {
    assert!(check("README.md") >= 10);
}

#[test]
fn guests_readmes_keep_their_word() {
    for guest in [
        "hello",
        "approval",
        "crate-audit",
        "deadline-aware",
        "decider",
        "dice",
        "fetch",
        "manifest",
        "render-markdown",
        "resume",
        "retry-or-fail",
        "saga",
        "thumbnail",
        "toil",
        "word-count",
        "hostile",
    ] {
        assert!(check(&format!("guest-examples/{guest}/README.md")) >= 2, "{guest}");
    }
}

#[test]
fn dots_stand_for_anything() {
    assert!(matches("a ... c", "a b c"));
    assert!(matches("...", ""));
    assert!(matches("in ... (... of it sandbox)", "in 2ms (1us of it sandbox)"));
    assert!(!matches("a ... c", "a b d"));
    assert!(!matches("a", "ab"));
}
