//! Each bound of the scan, obeyed and violated by one.

use super::*;

/// A section: its id, and its content with the length before it.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len() as u64), content].concat()
}

fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// As many of the same entry as told, with their count before them.
fn list(count: u64, entry: &[u8]) -> Vec<u8> {
    [leb(count), entry.repeat(usize::try_from(count).expect("small"))].concat()
}

const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [COMPONENT, &sections.concat()].concat()
}

/// A component of one module with these sections.
fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    component(&[section(1, &[MODULE, &sections.concat()].concat())])
}

/// A module of one function with this body.
fn function(body: &[u8]) -> Vec<u8> {
    let entry = [&leb(body.len() as u64)[..], body].concat();
    module(&[
        section(1, &list(1, &[0x60, 0, 0])),
        section(3, &list(1, &[0])),
        section(10, &[&[1][..], &entry].concat()),
    ])
}

fn refusal(bytes: &[u8]) -> String {
    match scan(bytes) {
        Err(error @ LoadError::TooMuch { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// So many of a kind, by a file that has them.
fn file_with(kind: Kind, count: u64) -> Vec<u8> {
    match kind {
        Kind::Modules => component(&vec![section(1, MODULE); usize::try_from(count).expect("small")]),
        Kind::Components => component(&vec![section(4, COMPONENT); usize::try_from(count).expect("small")]),
        Kind::Custom => component(&vec![section(0, &[1, b'x']); usize::try_from(count).expect("small")]),
        Kind::Types => module(&[section(1, &list(count, &[0x60, 0, 0]))]),
        Kind::Imports => module(&[section(2, &list(count, &[0, 0, 3, 0x7f, 0]))]),
        // Their bodies are not there: the count alone is enough to be refused, and so it must be enough here.
        Kind::Functions => module(&[section(3, &list(count, &[0]))]),
        Kind::Tables => module(&[section(4, &list(count, &[0x70, 0, 0]))]),
        Kind::Memories => module(&[section(5, &list(count, &[0, 0]))]),
        Kind::Globals => module(&[section(6, &list(count, &[0x7f, 0, 0x41, 0, 0x0b]))]),
        Kind::Exports => module(&[section(7, &list(count, &[0, 0, 0]))]),
        Kind::Elements => module(&[section(9, &list(count, &[1, 0, 0]))]),
        Kind::Data => module(&[section(11, &list(count, &[1, 0]))]),
        Kind::Instances => component(&[section(2, &list(count, &[0, 0, 0]))]),
        Kind::Aliases => component(&[section(6, &list(count, &[0, 0, 0, 0, 0]))]),
        Kind::Canonical => component(&[section(8, &list(count, &[0, 0, 0, 0, 0]))]),
    }
}

const KINDS: [Kind; BOUNDS.len()] = [
    Kind::Modules,
    Kind::Components,
    Kind::Functions,
    Kind::Types,
    Kind::Imports,
    Kind::Exports,
    Kind::Globals,
    Kind::Tables,
    Kind::Memories,
    Kind::Elements,
    Kind::Data,
    Kind::Instances,
    Kind::Aliases,
    Kind::Canonical,
    Kind::Custom,
];

#[test]
fn counts_obeyed() {
    for kind in KINDS {
        let (what, limit) = BOUNDS[kind as usize];
        let scanned = scan(&file_with(kind, limit));
        // Whatever else is wrong with such a file, it is not over this bound.
        assert!(!matches!(scanned, Err(LoadError::TooMuch { .. })), "{what}: {scanned:?}");
    }
}

#[test]
fn counts_violated() {
    for kind in KINDS {
        let (what, limit) = BOUNDS[kind as usize];
        let said = refusal(&file_with(kind, limit + 1));
        assert!(said.starts_with(&format!("it has {} {what}; the limit is {limit}\nhint: ", limit + 1)), "{said}");
    }
}

#[test]
fn counts_of_nested_modules_are_one_sum() {
    let half = BOUNDS[Kind::Functions as usize].1 / 2 + 1;
    let one = section(1, &[MODULE, &section(3, &list(half, &[0]))].concat());
    // Without bodies the first module is cut short by the reader, so this one has them as types instead.
    let types = section(1, &[MODULE, &section(1, &list(50_001, &[0x60, 0, 0]))].concat());
    assert!(scan(&component(std::slice::from_ref(&types))).is_ok());
    assert!(refusal(&component(&[types.clone(), types])).starts_with("it has 100002 types; the limit is 100000"));
    assert!(!matches!(scan(&component(&[one])), Err(LoadError::TooMuch { .. })));
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(COMPONENT.to_vec(), |inner, _| component(&[section(4, &inner)]))
}

#[test]
fn depth_obeyed() {
    assert!(scan(&nested(MAX_DEPTH)).is_ok());
}

#[test]
fn depth_violated() {
    let said = refusal(&nested(MAX_DEPTH + 1));
    assert!(said.starts_with("it has 17 levels of nested components; the limit is 16"), "{said}");
}

/// A body without locals, of this many bytes.
fn body(bytes: usize) -> Vec<u8> {
    let mut body = vec![0; 1];
    body.resize(bytes - 1, 0x01);
    body.push(0x0b);
    body
}

#[test]
fn function_size_obeyed() {
    assert!(scan(&function(&body(MAX_FUNCTION_BYTES))).is_ok());
}

#[test]
fn function_size_violated() {
    let said = refusal(&function(&body(MAX_FUNCTION_BYTES + 1)));
    assert!(said.starts_with("it has 1.0 MiB in one function; the limit is 1.0 MiB\nhint: "), "{said}");
}

/// A body with this many locals, in two groups.
fn locals(count: u64) -> Vec<u8> {
    [&[2][..], &leb(count - 1), &[0x7f], &[1, 0x7e], &[0x0b]].concat()
}

#[test]
fn locals_obeyed() {
    assert!(scan(&function(&locals(MAX_LOCALS))).is_ok());
}

#[test]
fn locals_violated() {
    let said = refusal(&function(&locals(MAX_LOCALS + 1)));
    assert!(said.starts_with("it has 20001 local variables in one function; the limit is 20000"), "{said}");
    // As many as a count can say are no more work than one over the limit.
    assert!(matches!(scan(&function(&locals(u64::from(u32::MAX)))), Err(LoadError::TooMuch { .. })));
}

/// A component with this many exports of its own instance.
fn exports(count: u64, name: &str) -> Vec<u8> {
    let name = [&[0][..], &leb(name.len() as u64), name.as_bytes()].concat();
    let export = [&name[..], &[5, 0, 0]].concat();
    component(&[section(11, &list(count, &export))])
}

#[test]
fn own_names_obeyed() {
    assert!(scan(&exports(MAX_OUTER_NAMES, "a")).is_ok());
    assert!(scan(&exports(1, &"a".repeat(MAX_OUTER_NAME_BYTES))).is_ok());
}

#[test]
fn own_names_violated() {
    let said = refusal(&exports(MAX_OUTER_NAMES + 1, "a"));
    assert!(said.starts_with("it has 1001 exports of its own; the limit is 1000"), "{said}");
    let said = refusal(&exports(1, &"a".repeat(MAX_OUTER_NAME_BYTES + 1)));
    assert!(said.starts_with("it has 513 bytes in the name of an import or export; the limit is 512"), "{said}");
}

#[test]
fn what_cannot_be_read_is_refused_without_a_panic() {
    // A count that the file cannot have, and one with more bytes than a number has.
    for content in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff; 12]] {
        assert!(scan(&module(&[section(3, content)])).is_err());
    }
}
