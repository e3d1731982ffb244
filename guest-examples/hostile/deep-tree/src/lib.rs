//! Leaves a mess in its scratch directory: a tree that is deeper than a path is long, and many files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sunaba_sdk::prelude::*;

/// Directories inside each other before the tree is moved down again. Each has a name of 200 bytes, so that the path to the
/// deepest of all is longer than any system takes.
const STEP: usize = 15;

#[data]
pub struct Mess {
    /// How often the tree is moved into a new one of its depth.
    rounds: u32,
    /// Files beside it.
    files: u32,
    /// How it ends: `return`, `spin`, `trap`.
    ending: String,
}

/// Makes the mess, and says how many directories it has inside each other.
#[handler(scratch = "64GiB")]
pub fn deep_tree(mess: Mess) -> Result<usize, TaskError> {
    make(&mess).map_err(|error| TaskError::new("denied", error.to_string()))?;
    match mess.ending.as_str() {
        "spin" => loop {
            std::hint::spin_loop();
        },
        "trap" => panic!("on purpose"),
        _ => Ok(STEP * mess.rounds as usize),
    }
}

fn make(mess: &Mess) -> io::Result<()> {
    let (root, next) = (Path::new("/scratch/tree"), Path::new("/scratch/next"));
    for _ in 0..mess.rounds {
        let mut deepest = PathBuf::from(next);
        for _ in 1..STEP {
            deepest.push("d".repeat(200));
        }
        fs::create_dir_all(&deepest)?;
        if root.exists() {
            fs::rename(root, deepest.join("d"))?;
        }
        fs::rename(next, root)?;
    }
    for number in 0..mess.files {
        fs::write(format!("/scratch/{number}"), "x")?;
    }
    Ok(())
}

export!(deep_tree);
