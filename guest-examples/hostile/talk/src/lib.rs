//! Talks to the host: too much, too often, or in a way that hurts whoever reads it.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use sunaba_sdk::prelude::*;

/// Logs 20,000 empty lines: no bytes at all, and a record for each.
#[handler]
pub fn log_nothing() -> Result<(), TaskError> {
    for _ in 0..20_000 {
        log::info!("");
    }
    Ok(())
}

/// Prints 1 MiB without ever ending the line.
#[handler]
pub fn endless_line() -> Result<(), TaskError> {
    let mut stdout = std::io::stdout().lock();
    for _ in 0..1024 {
        stdout.write_all(&[b'x'; 1024])?;
    }
    Ok(())
}

/// Prints, logs and reports escape sequences that would clear a terminal, rename its window and forge lines.
#[handler]
pub fn say_escapes(ctx: &Context) -> Result<(), TaskError> {
    const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{9b}31mforged\u{202e}";
    println!("{ESCAPES}");
    eprintln!("{ESCAPES}");
    log::info!(target: "x", key = ESCAPES; "{ESCAPES}");
    ctx.progress(0.5, ESCAPES);
    Ok(())
}

/// Prints every byte that there is, most of which is not text.
#[handler]
pub fn print_bytes() -> Result<(), TaskError> {
    let bytes: Vec<u8> = (0..=255).collect();
    std::io::stdout().write_all(&bytes)?;
    Ok(std::io::stderr().write_all(&bytes)?)
}

/// Says how far it is, and nothing else, for ever.
#[handler]
pub fn flood_progress(ctx: &Context) -> Result<(), TaskError> {
    let message = "x".repeat(4096);
    loop {
        ctx.progress(f64::NAN, &message);
        ctx.progress(f64::INFINITY, &message);
    }
}

/// Fills standard error for ever.
#[handler]
pub fn flood_stderr() -> Result<(), TaskError> {
    loop {
        eprintln!("{:>1000}", "");
    }
}

/// Reads the clock until an hour has passed.
#[handler]
#[expect(clippy::disallowed_methods, reason = "to look at the clock is the point")]
pub fn watch_the_clock() -> Result<(), TaskError> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3600) {}
    Ok(())
}

/// Sleeps no time at all, again and again.
#[handler]
pub fn nap() -> Result<(), TaskError> {
    loop {
        std::thread::sleep(Duration::from_nanos(1));
    }
}

/// Asks whether it was cancelled, for ever, and does not care.
#[handler]
pub fn ignore_cancel(ctx: &Context) -> Result<(), TaskError> {
    loop {
        std::hint::black_box(ctx.is_cancelled());
    }
}

/// Waits for input: there is none, and that is told at once.
#[handler]
pub fn read_stdin() -> Result<usize, TaskError> {
    let mut text = Vec::new();
    Ok(std::io::stdin().read_to_end(&mut text)?)
}

export!(
    log_nothing,
    endless_line,
    say_escapes,
    print_bytes,
    flood_progress,
    flood_stderr,
    watch_the_clock,
    nap,
    ignore_cancel,
    read_stdin
);
