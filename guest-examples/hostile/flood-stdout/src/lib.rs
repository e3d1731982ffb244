//! Prints far more than anybody wants to keep. It is cut with a mark, and the guest goes on.

use std::io::Write;

use sunaba_sdk::prelude::*;

/// Prints so many lines of 100 bytes and returns their number.
#[handler]
pub fn flood_stdout(input: u32) -> Result<u32, TaskError> {
    let mut stdout = std::io::stdout().lock();
    for line in 0..input {
        writeln!(stdout, "{line:>99}")?;
    }
    Ok(input)
}

export!(flood_stdout);
