//! What the system says of this process and of a directory.

use std::path::Path;

/// Entries of a directory that are looked at for its size; of a larger one nothing is said.
const MAX_ENTRIES: usize = 200_000;

/// What of the machine's memory this process has, in bytes; none where the system does not say.
pub(super) fn resident_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// As `/proc/self/status` has it. In contrast to `statm`, it needs no size of a page.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// What the files below a directory have, in bytes; none when it cannot be read or has too many. Follows no link. Blocks.
pub(super) fn size_bytes(directory: &Path) -> Option<u64> {
    let (mut directories, mut size, mut entries) = (vec![directory.to_owned()], 0_u64, 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).ok()? {
            let entry = entry.ok()?;
            entries += 1;
            if entries > MAX_ENTRIES {
                return None;
            }
            // What goes meanwhile has no size.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                size = size.saturating_add(metadata.len());
            }
        }
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   1024 kB\nThreads: 1"), Some(1 << 20));
        assert_eq!((resident(""), resident("VmRSS: many kB")), (None, None));
    }
}
