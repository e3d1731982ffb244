//! Uploads that are no guests: each is refused with its reason, by a host that goes on as before and keeps nothing of it.

use std::fmt::Write as _;

use sunaba_runtime::{Client, ClientError};

use crate::support::{Host, block_on, guest, sunaba, text};

use super::measure::Held;

/// What a host may keep of all of them: compiling takes room, and the allocator gives it back late.
const KEPT_BYTES: u64 = 256 << 20;
const ONE: &str = "it is not a valid component: ";

/// An upload: its name, its bytes, and what the refusal must have in it.
type Upload = (&'static str, Vec<u8>, &'static str);

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).expect("it is there")
}

fn component(inner: &str) -> Vec<u8> {
    let handlers = r#"(instance $h) (export "sunaba:task/handlers@0.1.0" (instance $h))"#;
    wat::parse_str(format!("(component {inner} {handlers})")).expect("the test's own text")
}

/// A core module in a component, with nothing that an instance would need.
fn module(inner: &str) -> Vec<u8> {
    component(&format!("(core module $m {inner}) (core instance (instantiate $m))"))
}

fn repeated(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut all, index| {
        let _ = write!(all, "{} ", piece(index));
        all
    })
}

/// A number as sections have it.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        bytes.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

/// A component in a component in a component.
fn nested(depth: usize) -> Vec<u8> {
    let (head, body) = (b"\0asm\x0d\0\x01\0", component(""));
    let inner = (0..depth).fold(head.to_vec(), |inner, _| [&head[..], &[4], &leb(inner.len()), &inner].concat());
    [&head[..], &[4], &leb(inner.len()), &inner, &body[head.len()..]].concat()
}

/// A custom section: a name and so many zeros.
fn custom(name: &[u8], zeros: usize) -> Vec<u8> {
    let length = leb(name.len());
    let mut section = vec![0];
    section.extend(leb(length.len() + name.len() + zeros));
    section.extend(length);
    section.extend(name);
    section.resize(section.len() + zeros, 0);
    section
}

fn replaced(bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes;
    let places: Vec<_> = (0..=bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

fn files() -> Vec<Upload> {
    let hello = bytes_of("hello");
    let cut = hello[..hello.len() / 2].to_vec();
    let mut endless = b"\0asm\x0d\0\x01\0".to_vec();
    endless.extend([1, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    let mut later = hello.clone();
    later[4] = 0x7f;
    vec![
        ("nothing", Vec::new(), "it is not a WebAssembly file"),
        ("a text", b"#!/bin/sh\nrm -rf /\n".to_vec(), "it is not a WebAssembly file"),
        ("64 MiB of zeros", vec![0; 64 << 20], "it is not a WebAssembly file"),
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), "it is a core WebAssembly module"),
        ("a component cut in the middle", cut, ONE),
        ("a section longer than the file", endless, ONE),
        ("an encoding of the future", later, ""),
        ("a custom section without a name", [&b"\0asm\x0d\0\x01\0"[..], &[0, 0]].concat(), ONE),
    ]
}

fn worlds() -> Vec<Upload> {
    let other = |name: &str| {
        wat::parse_str(format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#)).expect("own text")
    };
    let import = component(r#"(import "acme:db/sql@1.0.0" (instance))"#);
    vec![
        ("a component of another world", other("wasi:cli/run@0.2.0"), "it exports `wasi:cli/run@0.2.0`"),
        ("a decider without a function", other("sunaba:task/policy@0.1.0"), "it does not fit sunaba:task 0.1"),
        ("a version of the future", other("sunaba:task/handlers@0.2.0"), "this host serves sunaba:task 0.1"),
        ("an import that nobody has", import.clone(), "it imports `acme:db/sql@1.0.0`"),
        ("a name of escape sequences", replaced(import, b"acme:db/sql", b"\x1b[2J\x1b]0;xy\x07"), ""),
        ("no function at all", component(""), "it does not fit sunaba:task 0.1"),
        (
            "a function of another type",
            wat::parse_str(
                r#"(component
                    (core module $m (func (export "run")) (func (export "describe")))
                    (core instance $i (instantiate $m))
                    (func $run (canon lift (core func $i "run")))
                    (func $describe (canon lift (core func $i "describe")))
                    (instance $h (export "run" (func $run)) (export "describe" (func $describe)))
                    (export "sunaba:task/handlers@0.1.0" (instance $h)))"#,
            )
            .expect("the test's own text"),
            "it does not fit sunaba:task 0.1",
        ),
    ]
}

/// Proposals that handlers do not need, and more of something than a slot has.
fn engines() -> Vec<Upload> {
    let instances = repeated(65, |_| "(core instance (instantiate $m))".into());
    let memories = repeated(17, |_| "(core instance (instantiate $m))".into());
    let deep_type = repeated(1000, |at| {
        if at == 0 { "(type $t0 (list u8))".into() } else { format!("(type $t{at} (list $t{}))", at - 1) }
    });
    let fields = repeated(20_000, |at| format!("(field \"f{at}\" u8)"));
    vec![
        ("a memory of 64 bits", module("(memory i64 1)"), ONE),
        ("a memory that threads share", module("(memory 1 1 shared)"), ONE),
        ("two memories in a module", module("(memory 1) (memory 1)"), ONE),
        ("a call that leaves no frame", module("(func $f (return_call $f))"), ONE),
        (
            "an instruction whose result varies",
            module("(func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))"),
            ONE,
        ),
        ("an object that is collected", module("(type $s (struct (field i32)))"), ONE),
        ("65 instances", component(&format!("(core module $m) {instances}")), ""),
        ("17 memories", component(&format!("(core module $m (memory 1)) {memories}")), ""),
        ("a table of 200,000", module("(table 200000 funcref)"), ""),
        ("components 1,000 deep", nested(1000), ""),
        ("a type 1,000 deep", component(&deep_type), ""),
        ("a record of 20,000 fields", component(&format!("(type (record {fields}))")), ""),
        (
            "a jump table of 200,000",
            module(&format!("(func (param i32) (block (br_table {} (local.get 0))))", "0 ".repeat(200_000))),
            "",
        ),
    ]
}

fn custom_sections() -> Vec<Upload> {
    let with = |sections: Vec<u8>| [component(""), sections].concat();
    vec![
        ("a custom section of 32 MiB", with(custom(b"padding", 32 << 20)), "it does not fit"),
        ("100,000 custom sections", with(custom(b"x", 0).repeat(100_000)), "the limit is 10000"),
        ("a custom section that is not text", with(custom(b"\xff\xfe", 3)), ONE),
    ]
}

/// All of them, by one host. It knows `hello` afterwards as before, and nothing else.
fn refuse(uploads: Vec<Upload>) {
    let host = Host::start(&[]);
    host.deploy("hello");
    let client = Client::new(&host.address).expect("an address");
    let before = Held::by(host.pid(), &host.address);
    for (name, bytes, why) in uploads {
        let refused = block_on(client.deploy("upload", bytes.into())).expect_err(name);
        assert!(matches!(refused, ClientError::Refused(_)), "{name}: {refused}");
        assert!(refused.to_string().contains(why), "{name}: {refused}");
        let left = block_on(client.list_packages()).expect("it answers");
        assert_eq!(left.packages.len(), 1, "{name} left a trace");
    }
    let after = Held::by(host.pid(), &host.address);
    assert!(after.resident_bytes <= before.resident_bytes + KEPT_BYTES, "{before:?}, then {after:?}");
    let greeted = host.json(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#, "--wait"]);
    assert_eq!(greeted["state"], "succeeded");
}

#[test]
fn files_that_are_no_components_leave_no_trace() {
    refuse(files());
}

#[test]
fn components_of_other_worlds_leave_no_trace() {
    refuse(worlds());
}

#[test]
fn components_that_the_engine_does_not_run_leave_no_trace() {
    refuse(engines());
}

#[test]
fn custom_sections_leave_no_trace() {
    refuse(custom_sections());
}

#[test]
fn flipped_bytes_are_refused_or_harmless() {
    let host = Host::start(&[]);
    let client = Client::new(&host.address).expect("an address");
    // A small one, so that most of its bytes mean something.
    let good = bytes_of("result-bad-tag");
    let mut random = fastrand::Rng::with_seed(5);
    let mut refused = 0;
    for round in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..=round % 3 {
            let at = random.usize(8..bytes.len());
            bytes[at] ^= 1 << random.u8(0..8);
        }
        match block_on(client.deploy("flipped", bytes.into())) {
            Ok(_) => {}
            Err(ClientError::Refused(_) | ClientError::RefusedForNow { .. }) => refused += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn refusals_print_no_escape_sequence_of_the_upload() {
    let folder = tempfile::tempdir().expect("a folder");
    for (index, (name, bytes, _)) in worlds().into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.wasm"));
        std::fs::write(&file, bytes).expect("written");
        for command in [&["component", "inspect"][..], &["run"]] {
            let file = file.display().to_string();
            let more: &[&str] = if command == ["run"] { &["x"] } else { &[] };
            let output = sunaba(command.iter().copied().chain([file.as_str()]).chain(more.iter().copied()));
            let raw = output.stdout.iter().chain(&output.stderr).find(|byte| **byte < 0x20 && **byte != b'\n');
            assert_eq!(raw, None, "{name}: {}", text(&output.stderr));
        }
    }
}
