//! Bad input of every kind: one line that says what was tried, a hint, and the right exit code.

use std::path::Path;

use crate::support::{guest, sunaba, text};

/// What `sunaba` answers: its exit code and standard error. Nothing may be on standard output.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = sunaba(arguments.iter().copied());
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    (output.status.code().expect("it was not killed"), text(&output.stderr))
}

fn hello(more: &[&str]) -> (i32, String) {
    let file = guest("hello").display().to_string();
    let mut arguments = vec!["run", &file, "hello"];
    arguments.extend(more);
    refused(&arguments)
}

fn file_with(folder: &Path, bytes: &[u8]) -> String {
    let file = folder.join("file.wasm");
    std::fs::write(&file, bytes).expect("written");
    file.display().to_string()
}

#[test]
fn file_that_is_no_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[u8], &str, &str); 5] = [
        (b"", "it is not a WebAssembly file", "wasm32-wasip2"),
        (b"hello there, I am text", "it is not a WebAssembly file", "wasm32-wasip2"),
        (b"\0asm\x01\0\0\0", "it is a core WebAssembly module, not a component", "wasm32-wasip2"),
        (b"\0asm\x0d\0\x01\0\xff", "it is not a valid component: ", "build it again"),
        (b"\0asm\x0d\0\x01\0", "it is not a component of task handlers: it exports nothing", "sunaba_sdk::export!"),
    ];
    for (bytes, message, hint) in cases {
        let file = file_with(folder.path(), bytes);
        for command in [&["run", &file, "hello"][..], &["component", "inspect", &file]] {
            let (code, shown) = refused(command);
            assert_eq!(code, 8, "{shown}");
            assert!(shown.starts_with(&format!("error: cannot load `{file}`: {message}")), "{shown}");
            let hints = shown.lines().nth(1).is_some_and(|line| line.starts_with("hint: ") && line.contains(hint));
            assert!(hints, "{shown}");
        }
    }
}

#[test]
fn component_for_another_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = |name: &str| {
        let text = format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
        file_with(folder.path(), &wat::parse_str(text).expect("the test's own text"))
    };
    for (name, message) in [
        ("wasi:cli/run@0.2.0", "it is not a component of task handlers: it exports `wasi:cli/run@0.2.0`"),
        ("sunaba:task/handlers@0.2.0", "it exports `sunaba:task/handlers@0.2.0`; this host serves sunaba:task 0.1"),
        ("sunaba:task/policy@0.1.0", "it is a decider; deciders are not supported yet"),
    ] {
        let (code, shown) = refused(&["run", &other(name), "x"]);
        assert_eq!(code, 8, "{shown}");
        assert!(shown.contains(message), "{shown}");
    }
}

#[test]
fn file_that_is_not_there() {
    const NOWHERE: &str =
        "No such file or directory (os error 2)\nhint: check the path, and the folder that you are in\n";
    assert_eq!(
        refused(&["run", "nowhere.wasm", "hello"]),
        (3, format!("error: cannot read `nowhere.wasm`: {NOWHERE}"))
    );
    assert_eq!(hello(&["--input", "@nowhere.json"]), (3, format!("error: cannot read `nowhere.json`: {NOWHERE}")));
    let (code, shown) = refused(&["component", "inspect", "."]);
    let expected = "error: cannot read `.`: Is a directory (os error 21)\nhint: name a file that you can read\n";
    assert_eq!((code, shown.as_str()), (8, expected));
}

#[test]
fn unknown_handler_is_told_which_there_are() {
    let file = guest("hello").display().to_string();
    let (code, shown) = refused(&["run", &file, "goodbye", "--input", "{}"]);
    assert_eq!((code, shown.as_str()), (3, "error: the component has no handler `goodbye`\nhint: it has `hello`\n"));
}

#[test]
fn wrong_json() {
    let deep = "[".repeat(100_000);
    for (input, problem) in [
        ("{name: Ada}", "key must be a string at line 1 column 2"),
        ("", "EOF while parsing a value at line 1 column 0"),
        (deep.as_str(), "recursion limit exceeded at line 1 column 128"),
    ] {
        let (code, shown) = hello(&["--input", input]);
        assert_eq!(code, 8, "{shown}");
        assert!(shown.starts_with(&format!("error: the input is not JSON: {problem}\nhint: ")), "{shown}");
    }
}

#[test]
fn json_that_does_not_match_the_schema() {
    for (input, violation) in [
        ("{}", "\"name\" is a required property"),
        (r#"{"name":5}"#, "at `/name`: 5 is not of type \"string\""),
        ("[1]", "[1] is not of type \"object\""),
    ] {
        let (code, shown) = hello(&["--input", input]);
        assert_eq!(code, 8, "{shown}");
        let expected = format!("error: the input does not match the schema of `hello`: {violation}\nhint: ");
        assert!(shown.starts_with(&expected), "{shown}");
    }
    // The message stays short however long the input is.
    let long = format!(r#"{{"name":[{}1]}}"#, "1,".repeat(10_000));
    let (code, shown) = hello(&["--input", &long]);
    assert!(code == 8 && shown.len() < 600, "{shown}");
    // No input at all is `null`.
    let (code, shown) = hello(&[]);
    assert_eq!(code, 8);
    assert!(shown.contains("null is not of type \"object\""), "{shown}");
}

#[test]
fn input_that_is_too_large() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("large.json");
    std::fs::write(&file, vec![b' '; (16 << 20) + 1]).expect("written");
    let (code, shown) = hello(&["--input", &format!("@{}", file.display())]);
    assert_eq!((code, shown), (8, format!("error: `{}` is too large\nhint: the limit is 16.0 MiB\n", file.display())));
}

#[test]
fn directory_that_cannot_be_granted() {
    let input = ["--input", r#"{"name":"Ada"}"#];
    let (code, shown) = hello(&[input[0], input[1], "--dir", "nowhere::/data"]);
    assert_eq!(code, 3);
    assert!(shown.starts_with("error: cannot grant `nowhere::/data`: `nowhere`: No such file or directory"), "{shown}");
    assert!(shown.contains("\nhint: "), "{shown}");
    let (code, shown) = hello(&[input[0], input[1], "--dir", "Cargo.toml::/data"]);
    assert_eq!(code, 8);
    assert!(shown.starts_with("error: cannot grant `Cargo.toml::/data`: `Cargo.toml`: Not a directory"), "{shown}");
}

#[test]
fn flag_values_that_cannot_be() {
    for (flag, value, message) in [
        ("--timeout", "5", "`5` is not a duration"),
        ("--timeout", "soon", "`soon` is not a duration"),
        ("--timeout", "0s", "the timeout `0us` is out of range"),
        ("--timeout", "48h", "the timeout `2days` is out of range"),
        ("--memory", "lots", "`lots` is not a size"),
        ("--memory", "1KiB", "the memory limit `1.0 KiB` is out of range"),
        ("--memory", "5GiB", "the memory limit `5.0 GiB` is out of range"),
        ("--fuel", "0", "`0` is not a fuel limit"),
        ("--fuel", "-5", "`-5` is not a fuel limit"),
        ("--fuel", "full", "`full` is not a fuel limit"),
        ("--dir", "/data", "`/data` is not a directory grant"),
        ("--dir", "/data::data", "the guest path `data` is not absolute"),
        ("--env", "COLOR", "`COLOR` is not an environment variable"),
        ("-o", "xml", "invalid value 'xml' for '--output <OUTPUT>'"),
    ] {
        let (code, shown) = hello(&["--input", r#"{"name":"Ada"}"#, &format!("{flag}={value}")]);
        assert_eq!(code, 2, "{flag} {value}: {shown}");
        assert!(shown.starts_with("error: ") && shown.contains(message), "{flag} {value}: {shown}");
        assert!(shown.contains("hint: ") || shown.contains("possible values"), "{flag} {value}: {shown}");
    }
}

#[test]
fn grants_that_hide_each_other() {
    for more in [["--dir=sdk::/data", "--dir=wit::/data:rw"], ["--env=K=1", "--env=K=2"]] {
        let (code, shown) = hello(&["--input", r#"{"name":"Ada"}"#, more[0], more[1]]);
        assert_eq!(code, 2, "{shown}");
        assert!(shown.contains("is granted twice\nhint: "), "{shown}");
    }
}

#[test]
fn command_line_that_cannot_be() {
    for arguments in [&[][..], &["dance"], &["run"], &["run", "x.wasm"], &["component"], &["run", "a", "b", "--wings"]]
    {
        let (code, shown) = refused(arguments);
        assert_eq!(code, 2, "{arguments:?}: {shown}");
        assert!(shown.contains("Usage: sunaba"), "{arguments:?}: {shown}");
    }
}
