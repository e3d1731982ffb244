//! Abuses artifacts: in the ways that its input names, on a host, where there are some.

use std::io::{Read as _, Write as _};

use sunaba_sdk::prelude::*;

/// What to try.
#[data]
pub struct Abuse {
    /// Which way.
    pub what: String,
    /// Of an artifact, or of a task.
    #[serde(default)]
    pub name: String,
    /// How much.
    #[serde(default)]
    pub bytes: u64,
}

/// Gives what it got away with.
#[handler(max_attempts = 1)]
pub fn abuse_artifacts(ctx: &Context, input: Abuse) -> Result<String, TaskError> {
    match input.what.as_str() {
        "write-for-ever" => write_for_ever(ctx),
        "open-many" => Ok(open_many(ctx, input.bytes)),
        "names" => Ok(names(ctx)),
        "read-of" => read_of(ctx, &input.name),
        "keep-open" => keep_open(ctx),
        "fill" => fill(ctx, input.bytes),
        "put" => put(ctx, &input.name, input.bytes),
        "finish-after-failure" => Ok(kind(ctx.link("l", "javascript:alert(1)").map(drop))),
        other => Err(TaskError::fatal(format!("`{other}` is no abuse"))),
    }
}

export!(abuse_artifacts);

fn kind(done: Result<(), TaskError>) -> String {
    done.map_or_else(|error| error.kind().to_owned(), |()| "done".into())
}

fn write_for_ever(ctx: &Context) -> Result<String, TaskError> {
    let mut file = ctx.artifact("endless", "application/octet-stream")?;
    loop {
        // Whatever it is told, it goes on.
        let _ = file.write_all(&[7; 65_536]);
    }
}

fn open_many(ctx: &Context, count: u64) -> String {
    let (mut open, mut refused) = (Vec::new(), String::new());
    for number in 0..count {
        match ctx.artifact(&format!("{number}"), "text/plain") {
            Ok(file) => open.push(file),
            Err(error) => refused = error.kind().to_owned(),
        }
    }
    format!("{} {refused}", open.len())
}

fn names(ctx: &Context) -> String {
    let long = "x".repeat(256);
    let names = ["../../etc/passwd", "/etc/passwd", "a\0b", "..", ".", "", "a\\b", "a\nb", "\u{202e}gpj.exe", &long];
    let taken = names.iter().filter(|name| ctx.artifact(name, "text/plain").is_ok()).count();
    let types = ["", "text", "text/html\r\nx: y", "text/html; charset=utf-8"];
    let typed = types.iter().filter(|kind| ctx.artifact("a", kind).is_ok()).count();
    format!("{taken} {typed}")
}

fn read_of(ctx: &Context, task: &str) -> Result<String, TaskError> {
    let mut text = String::new();
    ctx.open_artifact(task, "secret.txt")?.read_to_string(&mut text)?;
    Ok(text)
}

fn keep_open(ctx: &Context) -> Result<String, TaskError> {
    let mut file = ctx.artifact("kept open", "text/plain")?;
    file.write_all(&[7; 100_000])?;
    file.flush()?;
    std::mem::forget(file);
    Ok("still open".into())
}

/// Writes more than there is room for, reads why that cannot be, and makes do with less.
fn fill(ctx: &Context, bytes: u64) -> Result<String, TaskError> {
    let Err(error) = put(ctx, "too large", bytes) else { return Ok("it was kept".into()) };
    put(ctx, "small", 10)?;
    Ok(format!("{}: {}", error.kind(), error.message()))
}

fn put(ctx: &Context, name: &str, bytes: u64) -> Result<String, TaskError> {
    let mut file = ctx.artifact(name, "application/octet-stream")?;
    let piece = [42; 65_536];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(piece.len() as u64) as usize;
        file.write_all(&piece[..length])?;
        left -= length as u64;
    }
    Ok(file.finish()?.digest.unwrap_or_default())
}
