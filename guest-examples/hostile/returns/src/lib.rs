//! Ends with results that a host has to be careful with.

use sunaba_sdk::prelude::*;

/// Returns 8 MiB: more than anybody keeps.
#[handler]
pub fn return_much() -> Result<Bytes, TaskError> {
    Ok(Bytes::new("application/octet-stream", vec![b'x'; 8 << 20]))
}

/// Returns a media type with a line end and a header in it.
#[handler]
pub fn return_header() -> Result<Bytes, TaskError> {
    Ok(Bytes::new("text/plain\r\nSet-Cookie: a=b", b"x".to_vec()))
}

/// Returns something that says it is JSON and is not.
#[handler]
pub fn return_no_json() -> Result<Bytes, TaskError> {
    Ok(Bytes::new("application/json", b"{\"a\": \x1b[2J".to_vec()))
}

/// Fails with a kind of control characters and a message that would clear a terminal and forge a line of its own.
#[handler]
pub fn fail_with_escapes() -> Result<(), TaskError> {
    Err(TaskError::fatal("\u{1b}[2J\u{1b}]0;owned\u{7}\r\nsucceeded: nothing to see").with_kind("a\u{1b}[31m\nb"))
}

/// Fails with a message of 1 MiB.
#[handler]
pub fn fail_at_length() -> Result<(), TaskError> {
    Err(TaskError::fatal("x".repeat(1 << 20)))
}

/// Fails with a detail of 3 MiB.
#[handler]
pub fn fail_in_detail() -> Result<(), TaskError> {
    Err(TaskError::fatal("see the detail").with_detail(&"x".repeat(3 << 20)))
}

/// Wants to be run again at the end of time.
#[handler]
pub fn snooze_for_ever() -> Result<Outcome<()>, TaskError> {
    Ok(Outcome::Snooze(Duration::MAX.into()))
}

/// Fails, and wants to be tried again at the end of time.
#[handler]
pub fn retry_never() -> Result<(), TaskError> {
    Err(TaskError::retry_after(Duration::MAX, "later"))
}

/// Ends the process, and says that all went well.
#[handler]
pub fn exit_zero() -> Result<(), TaskError> {
    std::process::exit(0)
}

/// Aborts.
#[handler]
pub fn abort() -> Result<(), TaskError> {
    std::process::abort()
}

/// Panics with a message that panics when it is read.
#[handler]
pub fn panic_twice() -> Result<(), TaskError> {
    struct Trap;
    impl std::fmt::Display for Trap {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("again")
        }
    }
    panic!("{Trap}")
}

export!(
    return_much,
    return_header,
    return_no_json,
    fail_with_escapes,
    fail_at_length,
    fail_in_detail,
    snooze_for_ever,
    retry_never,
    exit_zero,
    abort,
    panic_twice
);
