//! Sends whatever requests it is told to, in whatever order, and tells what came of each.

mod exchange;

use sunaba_sdk::prelude::*;

use exchange::{Open, Step};

#[data]
pub struct Input {
    steps: Vec<Step>,
}

/// Carries the steps out, and returns what each came to.
#[handler(http = "*", secrets = "API_KEY")]
pub fn http_escape(input: Input) -> Result<Vec<String>, TaskError> {
    let mut seen = Vec::new();
    // Held to the end, so that a test can have many at a time.
    let mut held: Vec<Open> = Vec::new();
    for step in &input.steps {
        for _ in 0..step.times.unwrap_or(1) {
            seen.push(exchange::carry_out(step, &mut held).unwrap_or_else(|error| format!("error: {error}")));
        }
    }
    for open in &mut held {
        seen.push(open.finish().unwrap_or_else(|error| format!("error: {error}")));
    }
    // Few at a time are shown, many are counted.
    if seen.len() > 300 {
        seen = vec![format!("{} steps, the last: {}", seen.len(), seen[seen.len() - 1])];
    }
    Ok(seen)
}

export!(http_escape);
