//! Components that mean harm to whoever compiles them: a child does it, within limits, and nothing of it stays behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sunaba_runtime::compile::{CompileLimits, Compiler};
use sunaba_runtime::sandbox::{LoadError, Sandbox};
use sunaba_runtime::task::FuelMode;

use crate::support::{Host, binaries, block_on, guest, sunaba, text};

fn sandbox(program: impl Into<PathBuf>, limits: CompileLimits) -> Sandbox {
    Sandbox::builder().slots(1).compiler(Compiler::child(program).limits(limits)).start().expect("it starts")
}

fn load(sandbox: &Sandbox, bytes: impl Into<bytes::Bytes>) -> Result<(), LoadError> {
    block_on(sandbox.load(bytes, FuelMode::Exact)).map(|_| ())
}

fn with_child(limits: CompileLimits, bytes: impl Into<bytes::Bytes>) -> Result<(), LoadError> {
    let sandbox = sandbox(binaries().join("sunaba"), limits);
    let loaded = load(&sandbox, bytes);
    assert!(children(std::process::id()).is_empty());
    loaded
}

/// The processes that this one has started and not seen end.
fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread may be gone by now, and had no children then.
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let lists: Vec<_> = tasks.filter_map(of).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(|id| id.parse().expect("a number")).collect()
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count()
}

fn hello() -> Vec<u8> {
    std::fs::read(guest("hello")).expect("it is there")
}

/// Bytes with their length before them, in as many bytes as that takes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let (mut length, mut all) = (bytes.len(), Vec::new());
    loop {
        let (low, rest) = ((length & 0x7f) as u8, length >> 7);
        all.push(if rest == 0 { low } else { low | 0x80 });
        if rest == 0 {
            return [all, bytes.to_vec()].concat();
        }
        length = rest;
    }
}

/// A component of handlers, as far as its exports say, with a function that takes the compiler very long: its time grows with
/// the square of what is in one function, and this has as much as passes the scan.
fn slow() -> Vec<u8> {
    let mut body = vec![1, 0xe8, 0x07, 0x7e];
    // Blocks one in another and one behind another, with locals that are set and read in all of them.
    for step in 0..40_000_u32 {
        let index = |add: u32| {
            let local = step.wrapping_mul(7).wrapping_add(add) % 1_000;
            [(local & 0x7f) as u8 | 0x80, (local >> 7) as u8]
        };
        body.extend([&[0x20][..], &index(1), &[0x20], &index(3), &[0x7c, 0x21], &index(0)].concat());
        body.extend(
            [&[0x20][..], &index(0), &[0xa7, 0x04, 0x40, 0x20], &index(2), &[0x21], &index(5), &[0x0b]].concat(),
        );
    }
    body.push(0x0b);
    let section = |id: u8, content: &[u8]| [vec![id], sized(content)].concat();
    let code = [vec![1], sized(&body)].concat();
    let module = [b"\0asm\x01\0\0\0".to_vec(), section(1, &[1, 0x60, 0, 0]), section(3, &[1, 0]), section(10, &code)];
    let export = wat::parse_str(r#"(component (instance $i) (export "sunaba:task/handlers@0.1.0" (instance $i)))"#);
    [export.expect("the test's own text"), section(1, &module.concat())].concat()
}

#[test]
fn child_compiles_what_this_process_would() {
    with_child(CompileLimits::default(), hello()).expect("it loads");
}

#[test]
fn processor_time_violated() {
    let limits = CompileLimits { cpu: Duration::from_secs(1), ..CompileLimits::default() };
    let error = with_child(limits, slow()).expect_err("it is stopped");
    assert!(matches!(error, LoadError::CompileLimit(_)), "{error}");
    let said = error.to_string();
    assert!(said.starts_with("compiling it took more than 1s of processor time\nhint: "), "{said}");
    assert!(!error.is_retryable());
}

#[test]
fn time_violated() {
    // The child never reads and never answers.
    let folder = tempfile::tempdir().expect("a folder");
    let program = script(folder.path(), "exec sleep 1000");
    let limits = CompileLimits { wall: Duration::from_millis(100), ..CompileLimits::default() };
    let error = load(&sandbox(program, limits), hello()).expect_err("it is stopped");
    assert!(error.to_string().starts_with("compiling it took longer than 100ms\nhint: "), "{error}");
    assert!(children(std::process::id()).is_empty());
}

#[test]
fn address_space_violated() {
    let limits = CompileLimits { address_bytes: 100 << 20, ..CompileLimits::default() };
    let error = with_child(limits, slow()).expect_err("it is stopped");
    let said = error.to_string();
    assert!(said.starts_with("compiling it needed more than 100.0 MiB of address space"), "{said}");
}

#[test]
fn size_of_the_code_obeyed_and_violated() {
    let with = |artifact_bytes| with_child(CompileLimits { artifact_bytes, ..CompileLimits::default() }, hello());
    with(64 << 20).expect("it loads");
    let error = with(64 << 10).expect_err("it is refused");
    assert!(error.to_string().starts_with("compiling it gave more than 64.0 KiB of code\nhint: "), "{error}");
}

fn script(folder: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.join("compiler");
    std::fs::write(&program, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("ours");
    program
}

#[test]
fn child_that_is_no_compiler_is_told_apart_from_a_bad_component() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, expected) in [
        ("exit 0", "the compiler's process has not answered: exit status: 0"),
        ("exit 7", "the compiler's process has not answered: exit status: 7"),
        ("kill -KILL $$", "the compiler's process was ended: signal: 9 (SIGKILL)"),
        ("head -c 100000 /dev/zero; cat >/dev/null", "the compiler's process has not answered: "),
        ("head -c 100000 /dev/zero >&2; cat >/dev/null", "the compiler's process has not answered: exit status: 0"),
    ] {
        let error =
            load(&sandbox(script(folder.path(), text), CompileLimits::default()), hello()).expect_err("no code");
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert!(error.is_retryable(), "{error}");
    }
    let nowhere = load(&sandbox("/nowhere", CompileLimits::default()), hello()).expect_err("there is none");
    assert!(nowhere.to_string().contains("the compiler's process `/nowhere` does not start: "), "{nowhere}");
    assert!(children(std::process::id()).is_empty());
}

#[test]
fn child_has_nothing_of_its_parent() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let text = format!("{{ env; ls -l /proc/$$/fd; pwd; }} > {}; cat >/dev/null", told.display());
    let _ = load(&sandbox(script(folder.path(), &text), CompileLimits::default()), hello());
    let told = std::fs::read_to_string(told).expect("it was told");
    assert!(!told.contains("HOME=") && !told.contains("CARGO"), "{told}");
    assert!(told.ends_with("\n/\n"), "{told}");
}

#[test]
fn compilation_that_nobody_waits_for_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let begun = folder.path().join("begun");
    let program = script(folder.path(), &format!("echo $$ > {}; exec sleep 1000", begun.display()));
    let sandbox = sandbox(program, CompileLimits::default());
    block_on(async {
        let is_there = async {
            while !std::fs::read_to_string(&begun).is_ok_and(|id| id.ends_with('\n')) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            loaded = sandbox.load(hello(), FuelMode::Exact) => panic!("{loaded:?}"),
            () = is_there => {}
        }
    });
    // It is killed and reaped by a thread of its own, which nobody waits for.
    while !children(std::process::id()).is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn compiler_is_not_shown_and_not_had_by_mistake() {
    let help = sunaba(["--help"]);
    assert!(!text(&help.stdout).contains("__compile"));
    let wrong = sunaba(["__compile", "exact"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout).as_str()), (Some(2), ""));
}

/// Uploads that no host takes, each for another reason, and what is said.
fn bad_uploads() -> Vec<(Vec<u8>, &'static str)> {
    let parsed = |text: &str| wat::parse_str(text).expect("the test's own text");
    let exporting = |name: &str| parsed(&format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#));
    let whole = hello();
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 0xff;
    let section = |id: u8, content: &[u8]| [vec![id], sized(content)].concat();
    let component = |parts: Vec<u8>| [b"\0asm\x0d\0\x01\0".to_vec(), parts].concat();
    let nested = (0..20).fold(component(Vec::new()), |inner, _| component(section(4, &inner)));
    let modules = component(section(1, b"\0asm\x01\0\0\0").repeat(300));
    let deep_import = r#"(component (import "acme:db/sql@1.0.0" (instance)) (instance $i)
        (export "sunaba:task/handlers@0.1.0" (instance $i)))"#;
    let long = format!(r#"(component (instance $i) (export "a:b/{}" (instance $i)))"#, "c".repeat(600));
    vec![
        (Vec::new(), "it is not a WebAssembly file"),
        (b"#!/bin/sh\n".to_vec(), "it is not a WebAssembly file"),
        (b"\0asm\x01\0\0\0".to_vec(), "it is a core WebAssembly module"),
        (b"\0asm\x0d\0\x01\0\xff".to_vec(), "it is not a valid component"),
        (whole[..whole.len() / 2].to_vec(), "it is not a valid component"),
        (flipped, ""),
        (b"\0asm\x0d\0\x01\0".to_vec(), "it exports nothing"),
        (exporting("wasi:cli/run@0.2.0"), "it is not a component of task handlers"),
        (exporting("sunaba:task/handlers@0.2.0"), "this host serves sunaba:task 0.1"),
        (exporting("sunaba:task/policy@0.1.0"), "it does not fit sunaba:task 0.1"),
        (exporting("sunaba:task/handlers@0.1.0"), "it does not fit sunaba:task 0.1"),
        (parsed(deep_import), "it imports `acme:db/sql@1.0.0`"),
        (parsed(&long), "bytes in the name of an import or export; the limit is 512"),
        (nested, "levels of nested components; the limit is 16"),
        (modules, "core modules; the limit is 256"),
    ]
}

#[test]
fn bad_deploys_leave_no_trace() {
    let host = Host::start(&[]);
    // The first deploy makes what every later one finds.
    host.deploy("hello");
    let pid = host.pid();
    let artifacts = host.data.path().join("data/artifacts");
    let traces = || {
        let mut files: Vec<_> =
            std::fs::read_dir(&artifacts).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
        files.sort();
        let packages: Value = serde_json::from_str(&host.raw("GET /v1/packages", "", "").1).expect("JSON");
        (files, packages, children(pid))
    };
    let (before, open) = (traces(), descriptors(pid));
    let folder = tempfile::tempdir().expect("a folder");
    for (place, (bytes, expected)) in bad_uploads().into_iter().enumerate() {
        let file = folder.path().join(format!("bad-{place}.wasm"));
        std::fs::write(&file, bytes).expect("written");
        let output = host.sunaba(["handler", "deploy", &file.display().to_string()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(8), "{place}: {said}");
        assert!(said.contains(expected), "{place}: {said}");
        assert_eq!(traces(), before, "{place}");
    }
    // Connections end a moment after their answers.
    while descriptors(pid) > open {
        std::thread::yield_now();
    }
}
