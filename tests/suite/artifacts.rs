//! Compiled code on disk: believed only when it is as it was written, and made again otherwise.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{AttemptResult, Digest, FuelMode, Outcome, Payload};

use crate::support::{block_on, guest, run};

fn start(directory: &Path) -> std::io::Result<Sandbox> {
    Sandbox::builder().slots(1).artifacts(directory).start()
}

fn hello() -> Vec<u8> {
    std::fs::read(guest("hello")).expect("it is there")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some()).collect();
    files.sort();
    files
}

/// A sandbox of its own loads `hello` and runs it; how often it has compiled.
fn compilations(directory: &Path) -> u64 {
    let sandbox = start(directory).expect("it starts");
    block_on(async {
        let info = sandbox.load(hello(), FuelMode::Exact).await.expect("it loads");
        let attempt = Attempt::of(&info, "hello").expect("its handler");
        let attempt = attempt.input(Payload::json(r#"{"name":"Ada"}"#)).expect("it fits");
        let report = run(&sandbox, attempt).await;
        assert!(matches!(report.result, AttemptResult::Returned(Outcome::Complete(_))), "{report:?}");
    });
    sandbox.compilations()
}

#[test]
fn second_process_compiles_nothing_and_needs_no_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    assert_eq!([compilations(&directory), compilations(&directory)], [1, 0]);
    let sandbox = start(&directory).expect("it starts");
    let digest = Digest::of(&hello());
    block_on(async {
        let known = sandbox.load_known(digest, FuelMode::Exact).await.expect("the host can").expect("it is there");
        // What it said of itself, without having been asked again.
        assert_eq!(known.handlers[0].name, "hello");
        assert!(known.handlers[0].input_schema.is_some());
        assert!(sandbox.load_known(digest, FuelMode::Off).await.expect("the host can").is_none());
    });
    assert_eq!(sandbox.compilations(), 0);
}

#[test]
fn directory_and_what_is_in_it_are_of_this_user_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    compilations(&directory);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("key"))), (0o700, 0o600));
    assert!(files(&directory).iter().all(|file| mode(file) == 0o600));
}

#[test]
fn file_that_is_not_as_it_was_written_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    compilations(&directory);
    let file = files(&directory).pop().expect("one");
    let whole = std::fs::read(&file).expect("it is there");
    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        bytes
    };
    // Its magic, its code, its engine, its component, its mode, its description, its machine code, its last byte.
    let mut wrongs: Vec<_> =
        [0, 8, 40, 72, 104, 105, 120, whole.len() / 2, whole.len() - 1].into_iter().map(flipped).collect();
    wrongs.extend([Vec::new(), whole[..100].to_vec(), whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat()]);
    for wrong in wrongs {
        std::fs::write(&file, &wrong).expect("written");
        assert_eq!(compilations(&directory), 1, "{} bytes", wrong.len());
        assert!(std::fs::read(&file).expect("it is there") != wrong);
        assert_eq!(compilations(&directory), 0);
    }
}

#[test]
fn file_of_another_directory_or_under_another_name_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    compilations(&one);
    compilations(&other);
    let file = |directory: &Path| files(directory).pop().expect("one");
    // Made by the same program of the same component, and with another key.
    std::fs::copy(file(&one), file(&other)).expect("copied");
    assert_eq!(compilations(&other), 1);
    let sandbox = start(&one).expect("it starts");
    block_on(sandbox.load(hello(), FuelMode::Off)).expect("it loads");
    drop(sandbox);
    let [exact, off] = files(&one).try_into().expect("one for each mode");
    std::fs::copy(exact, &off).expect("copied");
    let sandbox = start(&one).expect("it starts");
    let known = block_on(sandbox.load_known(Digest::of(&hello()), FuelMode::Off)).expect("the host can");
    assert!(known.is_none() && !off.exists());
}

#[test]
fn link_in_the_place_of_a_file_is_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    compilations(&directory);
    let file = files(&directory).pop().expect("one");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).expect("moved");
    symlink(&elsewhere, &file).expect("linked");
    assert_eq!(compilations(&directory), 1);
    assert!(elsewhere.exists() && !file.is_symlink());
}

#[test]
fn directory_that_others_could_write_to_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    compilations(&directory);
    let refused = |directory: &Path| start(directory).err().expect("it is refused").to_string();
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    set(&directory, 0o755);
    let said = refused(&directory);
    assert!(said.contains("cannot keep compiled code: its mode is 0755\nhint: "), "{said}");
    set(&directory, 0o700);
    set(&directory.join("key"), 0o644);
    assert!(refused(&directory).contains("key` cannot keep compiled code: its mode is 0644"));
    set(&directory.join("key"), 0o600);
    let link = folder.path().join("link");
    symlink(&directory, &link).expect("linked");
    assert!(refused(&link).contains("it is no directory, or a link to one"));
    std::fs::rename(directory.join("key"), folder.path().join("key")).expect("moved");
    symlink(folder.path().join("key"), directory.join("key")).expect("linked");
    assert!(refused(&directory).contains("it is a link"));
}

#[test]
fn cut_key_is_made_anew_and_what_it_had_signed_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    compilations(&directory);
    std::fs::write(directory.join("key"), b"short").expect("written");
    assert_eq!([compilations(&directory), compilations(&directory)], [1, 0]);
}

#[test]
fn what_a_crash_has_left_and_what_is_old_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    compilations(&directory);
    let file = files(&directory).pop().expect("one");
    let name = file.file_name().expect("a name").to_str().expect("text").to_owned();
    let (begin, _) = name.rsplit_once('-').expect("the engine comes last");
    let others = [format!("{name}.tmp"), format!("{begin}-0011223344556677.cwasm"), "ab-exact-00.cwasm".to_owned()];
    for other in &others {
        std::fs::write(directory.join(other), b"old").expect("written");
    }
    let sandbox = start(&directory).expect("it starts");
    assert!(!directory.join(&others[0]).exists());
    block_on(sandbox.prune(BTreeSet::from([Digest::of(&hello())])));
    assert_eq!(files(&directory), [file]);
    block_on(sandbox.prune(BTreeSet::new()));
    assert!(files(&directory).is_empty() && directory.join("key").exists());
}

#[test]
fn refused_component_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("artifacts");
    let sandbox = start(&directory).expect("it starts");
    let text = r#"(component (instance $i) (export "sunaba:task/handlers@0.1.0" (instance $i)))"#;
    let bytes = wat::parse_str(text).expect("the test's own text");
    // It compiles, and does not fit.
    assert!(block_on(sandbox.load(bytes, FuelMode::Exact)).is_err());
    assert_eq!(sandbox.compilations(), 1);
    assert!(files(&directory).is_empty());
}
