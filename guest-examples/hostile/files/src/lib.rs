//! Does to a directory that it was granted whatever a directory lets one do. It is at `/data`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use sunaba_sdk::prelude::*;

/// Fails with kind `denied` when nothing of it worked; succeeds with what did.
fn got(tries: Vec<(&str, std::io::Result<()>)>) -> Result<Vec<String>, TaskError> {
    let (got, denied): (Vec<_>, Vec<_>) = tries.into_iter().partition(|(_, result)| result.is_ok());
    if got.is_empty() {
        let denied: Vec<_> =
            denied.iter().filter_map(|(what, result)| Some(format!("{what}: {}", result.as_ref().err()?))).collect();
        return Err(TaskError::fatal(denied.join("; ")).with_kind("denied"));
    }
    Ok(got.into_iter().map(|(what, _)| what.to_owned()).collect())
}

/// Opens the same file again and again and closes none.
#[handler(dirs = "*:rw")]
pub fn open_many() -> Result<usize, TaskError> {
    fs::write("/data/file", "x")?;
    let mut open = Vec::new();
    for _ in 0..100_000 {
        open.push(File::open("/data/file")?);
    }
    Ok(open.len())
}

/// Writes until the disk is full.
#[handler(dirs = "*:rw")]
pub fn write_on() -> Result<(), TaskError> {
    let mut file = File::create("/data/large")?;
    let piece = vec![b'x'; 64 << 10];
    loop {
        file.write_all(&piece)?;
        // What was written is written over: the test's disk must not fill, and the bytes count all the same.
        file.set_len(0)?;
    }
}

/// Makes a file of a tebibyte without writing a byte.
#[handler(dirs = "*:rw")]
pub fn make_sparse() -> Result<u64, TaskError> {
    let file = File::create("/data/sparse")?;
    file.set_len(1 << 40)?;
    Ok(file.metadata()?.len())
}

/// Makes a folder in a folder in a folder, 200 of them.
#[handler(dirs = "*:rw")]
pub fn dig() -> Result<usize, TaskError> {
    let mut place = PathBuf::from("/data");
    for _ in 0..200 {
        place.push("d");
        fs::create_dir(&place)?;
    }
    Ok(place.iter().count())
}

/// Makes 2,000 files and lists them all.
#[handler(dirs = "*:rw")]
pub fn crowd() -> Result<usize, TaskError> {
    for number in 0..2_000 {
        File::create(format!("/data/{number}"))?;
    }
    Ok(fs::read_dir("/data")?.count())
}

/// Leaves the directory by `..`, by an absolute path and by a path that no file can have.
#[handler(dirs = "*:rw")]
pub fn climb_out() -> Result<Vec<String>, TaskError> {
    let long = format!("/data/{}", "x".repeat(100_000));
    let read = |path: &str| fs::read(path).map(drop);
    got(vec![
        ("..", read("/data/../../../../../../etc/passwd")),
        ("absolute", read("/etc/passwd")),
        ("through a file", read("/data/./../etc/passwd")),
        ("NUL", read("/data/x\0/../../etc/passwd")),
        ("too long", read(&long)),
    ])
}

/// Leaves the directory by links that it makes, symbolic and hard.
#[handler(dirs = "*:rw")]
pub fn link_out() -> Result<Vec<String>, TaskError> {
    // Making the links may work or not: following them must not.
    let links = [("/etc", "/data/absolute"), ("../../../../../../etc", "/data/relative"), ("absolute/..", "/data/two")];
    for (to, from) in links {
        #[expect(deprecated, reason = "the only way that std has here")]
        let _ = fs::soft_link(to, from);
    }
    got(vec![
        ("absolute", fs::read("/data/absolute/hostname").map(drop)),
        ("relative", fs::read("/data/relative/hostname").map(drop)),
        ("two links", fs::read("/data/two/etc/hostname").map(drop)),
        ("hard", fs::hard_link("/data/absolute/hostname", "/data/hard")),
        ("written", fs::write("/data/absolute/sunaba-was-here", "x")),
        ("listed", fs::read_dir("/data/relative").map(drop)),
    ])
}

/// Follows a link that points at itself, and a chain of a hundred links.
#[handler(dirs = "*:rw")]
pub fn link_round() -> Result<Vec<String>, TaskError> {
    #[expect(deprecated, reason = "the only way that std has here")]
    let link = |to: &str, from: &str| fs::soft_link(to, from);
    link("round", "/data/round")?;
    fs::write("/data/end", "x")?;
    link("end", "/data/l0")?;
    for number in 1..100 {
        link(&format!("l{}", number - 1), &format!("/data/l{number}"))?;
    }
    got(vec![("itself", fs::read("/data/round").map(drop)), ("a chain", fs::read("/data/l99").map(drop))])
}

/// Changes a directory that it may only read, in every way that there is.
#[handler(dirs = "*:rw")]
pub fn write_read_only() -> Result<Vec<String>, TaskError> {
    let kept = Path::new("/data/kept");
    #[expect(deprecated, reason = "the only way that std has here")]
    let link = fs::soft_link("kept", "/data/link");
    got(vec![
        ("create", File::create("/data/new").map(drop)),
        ("truncate", OpenOptions::new().write(true).truncate(true).open(kept).map(drop)),
        ("append", OpenOptions::new().append(true).open(kept).and_then(|mut file| file.write_all(b"x"))),
        ("resize", File::open(kept).and_then(|file| file.set_len(0))),
        ("touch", File::open(kept).and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))),
        ("rename", fs::rename(kept, "/data/moved")),
        ("remove", fs::remove_file(kept)),
        ("folder", fs::create_dir("/data/folder")),
        ("link", link),
        ("hard link", fs::hard_link(kept, "/data/hard")),
    ])
}

/// Removes the directory itself, and renames it.
#[handler(dirs = "*:rw")]
pub fn saw_off() -> Result<Vec<String>, TaskError> {
    got(vec![
        ("remove", fs::remove_dir("/data")),
        ("remove it by `.`", fs::remove_dir("/data/.")),
        ("rename", fs::rename("/data", "/other")),
        ("rename it away", fs::rename("/data", "/data/../other")),
    ])
}

/// Reads a pipe that nobody writes to.
#[handler(dirs = "*:rw")]
pub fn open_pipe() -> Result<usize, TaskError> {
    let mut text = String::new();
    Ok(File::open("/data/pipe")?.read_to_string(&mut text)?)
}

export!(
    open_many,
    write_on,
    make_sparse,
    dig,
    crowd,
    climb_out,
    link_out,
    link_round,
    write_read_only,
    saw_off,
    open_pipe
);
