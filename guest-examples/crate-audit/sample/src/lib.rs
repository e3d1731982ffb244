//! A crate to audit.

/// Reads one byte, whatever it is.
///
/// # Safety
/// `at` points to a byte.
pub unsafe fn peek(at: *const u8) -> u8 {
    // SAFETY: the caller's word for it.
    unsafe { at.read() }
}

/* A comment
   of two lines, with "unsafe" in it. */
pub const WORD: &str = "unsafe";
