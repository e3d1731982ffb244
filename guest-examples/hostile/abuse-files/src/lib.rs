//! Does one thing to files that a host might not survive: holds many open, writes without end, opens what waits for ever,
//! reads directories without end, or hands over more than a host call may take.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;

use sunaba_sdk::prelude::*;

/// What to do, and to what.
#[data]
pub struct Abuse {
    /// `hold`, `write`, `append`, `grow`, `read`, `list`, `nest`, `copy`, `hand` or `say`.
    what: String,
    /// The file or directory.
    #[serde(default)]
    path: String,
    /// How often, or how many bytes.
    #[serde(default)]
    count: u64,
}

/// Gives how much it got.
#[handler(dirs = "*:rw")]
pub fn abuse_files(ctx: &Context, abuse: Abuse) -> Result<u64, TaskError> {
    let Abuse { what, path, count } = abuse;
    let failed = |error: std::io::Error| TaskError::fatal(error.to_string()).with_kind("denied");
    match what.as_str() {
        "hold" => {
            let held: Result<Vec<File>, _> = (0..count).map(|_| File::open(&path)).collect();
            Ok(held.map_err(failed)?.len() as u64)
        }
        "write" => write(File::create(&path).map_err(failed)?, count).map_err(failed),
        "append" => {
            let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
            write(file, count).map_err(failed)
        }
        "grow" => {
            let file = File::create(&path).map_err(failed)?;
            file.set_len(count).map_err(failed)?;
            Ok(count)
        }
        "read" => Ok(fs::read(&path).map_err(failed)?.len() as u64),
        "list" => Ok(fs::read_dir(&path).map_err(failed)?.filter(|entry| entry.is_ok()).count() as u64),
        "nest" => {
            let mut folder = path;
            for depth in 0..count {
                folder.push_str("/d");
                if fs::create_dir(&folder).is_err() {
                    return Ok(depth);
                }
            }
            Ok(count)
        }
        "copy" => fs::copy(&path, format!("{path}.copy")).map_err(failed),
        "hand" => {
            ctx.progress(None, "x".repeat(usize::try_from(count).unwrap_or(usize::MAX)));
            Ok(count)
        }
        // Says something, and waits for ever.
        "say" => {
            println!("it waits for what never comes");
            ctx.progress(0.5, "half way");
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        }
        other => Err(TaskError::fatal(format!("it does not know how to {other}"))),
    }
}

fn write(mut file: File, count: u64) -> std::io::Result<u64> {
    let chunk = vec![b'x'; 32 << 10];
    let mut left = count;
    while left > 0 {
        let part = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&chunk[..part])?;
        left -= part as u64;
    }
    Ok(count)
}

export!(abuse_files);
