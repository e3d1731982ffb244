//! The commands of every README, run as they stand, with the output that they promise.
//!
//! A block marked `sh` is run by bash in a folder of its own in which `target/debug` is on the path. A block marked
//! `text` or `json` right behind it is the output: `...` stands for whatever varies. A block marked `sh background` is a
//! host, on a port of its own, for the rest of the README. A block marked `sh no-test` is not run; the reason stands in
//! the README.

use std::time::Duration;

use serde_json::Value;
use sunaba_proofs::readme::{Around, Reader, blocks, commands};
use sunaba_proofs::tour::{Step, cast, page};

use crate::support::{binaries, guests, root};

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
    let compiler = std::fs::read_to_string(guests().join("rustc")).ok();
    let mut reader = Reader::new(Around { root: root(), binaries: binaries(), compiler }).expect("a folder and a port");
    let mut run = 0;
    for (index, block) in blocks.iter().enumerate() {
        let output = match block.kind.as_str() {
            "sh" => reader.run(&block.body),
            "sh background" => reader.start(&block.body),
            _ => continue,
        };
        let output = output.unwrap_or_else(|error| panic!("{readme}:{}: {error}", block.line));
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

#[test]
fn commands_have_all_of_their_lines() {
    let script = "cat > a <<END\nx \\\nEND\n\ncat > b <<'END'\ny\nEND\nls \\\n  -l | grep 'a<<b c'\nls\n";
    let expected = ["cat > a <<END\nx \\\nEND", "cat > b <<'END'\ny\nEND", "ls \\\n  -l | grep 'a<<b c'", "ls"];
    assert_eq!(commands(script), expected);
    // Of the README nothing is left out, and nothing is torn apart.
    let markdown = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    for block in blocks(&markdown).iter().filter(|block| block.kind == "sh") {
        let whole: Vec<_> = block.body.lines().filter(|line| !line.trim().is_empty()).collect();
        let commands = commands(&block.body).join("\n");
        let commands: Vec<_> = commands.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(commands, whole, "README.md:{}", block.line);
    }
}

#[test]
fn recording_plays_and_its_page_needs_nothing_else() {
    let ms = Duration::from_millis;
    let step = |heading: &str, command: &str, said: &str| Step {
        heading: heading.into(),
        background: false,
        command: command.into(),
        said: vec![(ms(3), said.into()), (ms(7), "end\n".into())],
        took: ms(9),
    };
    let steps = [step("First", "echo '<b>'", "<b> & more\n"), step("Second", "ls", "")];
    let cast = cast("a \"tour\"", 7, &steps);
    let mut lines = cast.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let header = lines.next().expect("a header");
    assert_eq!(
        (&header["version"], &header["timestamp"], &header["title"]),
        (&2.into(), &7.into(), &"a \"tour\"".into())
    );
    let (mut before, mut shown) = (0.0, String::new());
    for event in lines {
        let at = event[0].as_f64().expect("a time");
        assert!(at >= before && event[1] == "o", "{event}");
        before = at;
        shown.push_str(event[2].as_str().expect("text"));
    }
    assert!(shown.contains("$ echo '<b>'\r\n<b> & more\r\nend\r\n"), "{shown}");
    let page = page("a \"tour\"", &steps);
    assert!(page.contains("echo '&lt;b&gt;'") && page.contains("&lt;b&gt; &amp; more\nend</pre>"), "{page}");
    for foreign in ["<script", "http:", "https:", "src=", "url("] {
        assert!(!page.contains(foreign), "{foreign}: {page}");
    }
}
