//! strace, where it is and may trace: counts a process's calls, and spoils the one that is wanted.

use std::process::{Command, Stdio};

/// Calls by which a process changes what is on the disk, or says something.
pub(super) const WRITES: &str = "write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,ftruncate,rename,unlink";

/// Whether this machine has it and lets us trace.
pub(super) fn works() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "true"]);
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Words before a command that spoil its calls: `inject` is what strace is to do with `calls`.
pub(super) fn spoil(calls: &str, inject: &str) -> Vec<String> {
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e"].map(str::to_owned);
    words.into_iter().chain([format!("trace={calls}"), "-e".into(), format!("inject={calls}:{inject}")]).collect()
}

/// Words before a command that write down its calls to a file.
pub(super) fn record(calls: &str, file: &std::path::Path) -> Vec<String> {
    let words = ["strace", "-f", "-qq", "-y", "-s", "64", "-o"].map(str::to_owned);
    words.into_iter().chain([file.display().to_string(), "-e".into(), format!("trace={calls}")]).collect()
}
