//! Sends whatever requests it is told to, in whatever order, and tells what came of each.

mod exchange;

use sunaba_sdk::prelude::*;

use exchange::{Open, Step};
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

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

/// Makes requests with addresses, paths and methods of a mebibyte, and keeps them all and sends none.
#[handler]
pub fn hoard_heads() -> Result<(), TaskError> {
    let long = "x".repeat(1 << 20);
    let mut hoard = Vec::new();
    loop {
        let request = OutgoingRequest::new(Fields::new());
        let taken = request.set_authority(Some(&long)).is_ok()
            || request.set_path_with_query(Some(&format!("/{long}"))).is_ok()
            || request.set_method(&Method::Other(long.clone())).is_ok()
            || request.set_scheme(Some(&Scheme::Other(long.clone()))).is_ok();
        if taken {
            return Err(TaskError::fatal("the host keeps a mebibyte").with_kind("kept"));
        }
        // As much as the host takes.
        request.set_path_with_query(Some(&format!("/{}", &long[..8_000]))).expect("a path");
        hoard.push(request);
    }
}

/// Puts one header after another into the head of one request.
#[handler]
pub fn fill_fields() -> Result<(), TaskError> {
    let fields = Fields::new();
    for index in 0_u64.. {
        fields.append(&format!("x-{index}"), b"x").map_err(|error| TaskError::fatal(format!("{error:?}")))?;
    }
    Ok(())
}

export!(http_escape, hoard_heads, fill_fields);
