//! How much of the machine's memory attempts may hold: what there is, what is said of it, and whether a task can ever fit.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sunaba_task::{Limits, format_bytes, parse_bytes};

use crate::{RefusedTask, Runtime};

/// The rest is for the host itself, for the kernel's caches, and for whoever else is on the machine.
const DEFAULT_PERCENT: u8 = 75;
const MAX_FACTOR: f64 = 100.0;
const CGROUPS: &str = "/sys/fs/cgroup";

/// What all attempts at a time may hold. Written `6GiB`, or `75%` of what the machine has or the control group lets us have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryBudget {
    /// So much.
    Bytes(u64),
    /// Such a part of the memory that there is; 1 to 100.
    Percent(u8),
}

/// A text that is no such budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a memory budget\nhint: write a size, such as `6GiB`, or a part of what there is, such as `75%`")]
pub struct MemoryBudgetError(String);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::Percent(DEFAULT_PERCENT)
    }
}

impl FromStr for MemoryBudget {
    type Err = MemoryBudgetError;

    fn from_str(text: &str) -> Result<Self, MemoryBudgetError> {
        let read = match text.trim().strip_suffix('%') {
            Some(percent) => {
                percent.trim().parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Percent)
            }
            None => parse_bytes(text).ok().filter(|bytes| *bytes > 0).map(Self::Bytes),
        };
        read.ok_or_else(|| MemoryBudgetError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&format_bytes(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl MemoryBudget {
    /// The budget in bytes, so many times over; none when it is a part of what nobody knows.
    pub(crate) fn bytes(self, factor: f64) -> Option<u64> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => machine_memory_bytes()? / 100 * u64::from(percent),
        };
        Some(times(bytes, factor))
    }
}

fn times(bytes: u64, factor: f64) -> u64 {
    let factor = if factor.is_nan() { 1.0 } else { factor.clamp(1.0, MAX_FACTOR) };
    let product = bytes as f64 * factor;
    let product = product as u64;
    product.max(bytes)
}

/// The smaller of the machine's memory and of what its control groups let this process have, in bytes; none where the system
/// does not tell.
pub fn machine_memory_bytes() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).as_deref().and_then(total);
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| read(&file)?.trim().parse::<u64>().ok());
    machine.into_iter().chain(limits).min()
}

/// The part of the memory that is free, from 0 to 1: of the machine's, or of what its control groups let this process have, whichever
/// is smaller. None where the system does not tell.
pub(crate) fn free_memory() -> Option<f64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let meminfo = read(Path::new("/proc/meminfo"))?;
    let machine = free_part(kilobytes(&meminfo, "MemAvailable:")?, total(&meminfo)?);
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let of_group = |file: PathBuf| {
        // The first version of control groups names these otherwise, and counts otherwise.
        let limit = read(&file)?.trim().parse::<u64>().ok()?;
        let used = read(&file.with_file_name("memory.current"))?.trim().parse::<u64>().ok()?;
        let stat = read(&file.with_file_name("memory.stat")).unwrap_or_default();
        // What the kernel drops when somebody needs the room is as good as free.
        let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
        Some(free_part(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))), limit))
    };
    let groups = limit_files(&groups).into_iter().filter_map(of_group);
    Some(groups.fold(machine, f64::min))
}

fn free_part(free: u64, all: u64) -> f64 {
    if all == 0 { 1.0 } else { (free as f64 / all as f64).min(1.0) }
}

/// The machine's memory, as `/proc/meminfo` has it.
fn total(meminfo: &str) -> Option<u64> {
    kilobytes(meminfo, "MemTotal:")
}

fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Where the limits of the process's control groups stand, and those of the groups around them: `/proc/self/cgroup` names them,
/// for the second version of control groups and for the first. In a container the named group may not be there, and its root is.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (PathBuf::from(CGROUPS), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (Path::new(CGROUPS).join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(path.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| root.join(group).join(file)));
    }
    files
}

impl Runtime {
    /// What the attempts that run at a time may hold of the machine's memory, in bytes. None: nobody knows how much there is.
    pub fn memory_budget_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// What those that run now may hold of it, in bytes.
    pub fn memory_held_bytes(&self) -> u64 {
        self.workers.held_bytes()
    }
}

/// Whether a task of these limits can ever run here.
///
/// # Errors
/// [`RefusedTask::Memory`].
pub(crate) fn check(limits: &Limits, budget_bytes: Option<u64>) -> Result<(), RefusedTask> {
    let needs_bytes = limits.host_bytes();
    match budget_bytes.filter(|budget| needs_bytes > *budget) {
        Some(budget_bytes) => Err(RefusedTask::Memory { needs_bytes, budget_bytes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_reads_back_and_nothing_else_is_one() {
        for (text, budget) in [("75%", MemoryBudget::Percent(75)), ("6GiB", MemoryBudget::Bytes(6 << 30))] {
            assert_eq!(text.parse(), Ok(budget));
            assert_eq!(budget.to_string().parse(), Ok(budget));
        }
        for text in ["", "0", "0%", "101%", "-1%", "much", "75 per cent"] {
            assert!(text.parse::<MemoryBudget>().is_err(), "{text}");
        }
    }

    #[test]
    fn budget_of_a_task_obeyed() {
        let limits = Limits::default();
        assert_eq!(check(&limits, Some(limits.host_bytes())), Ok(()));
        assert_eq!(check(&limits, None), Ok(()));
    }

    #[test]
    fn budget_of_a_task_violated() {
        let limits = Limits::default();
        let (needs_bytes, budget_bytes) = (limits.host_bytes(), limits.host_bytes() - 1);
        assert_eq!(check(&limits, Some(budget_bytes)), Err(RefusedTask::Memory { needs_bytes, budget_bytes }));
    }

    #[test]
    fn memory_of_the_machine_is_read() {
        assert_eq!(total("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(total("nothing"), None);
        assert!(free_memory().is_none_or(|free| (0.0..=1.0).contains(&free)));
        assert_eq!((free_part(1, 4), free_part(5, 4), free_part(0, 0)), (0.25, 1.0, 1.0));
    }

    #[test]
    fn limits_of_both_kinds_of_control_groups_are_looked_for_up_to_the_root() {
        let second = ["a/b/memory.max", "a/memory.max", "memory.max"].map(|file| Path::new(CGROUPS).join(file));
        assert_eq!(limit_files("0::/a/b\n"), second);
        let first = ["memory/x/memory.limit_in_bytes", "memory/memory.limit_in_bytes"];
        let first = first.map(|file| Path::new(CGROUPS).join(file));
        assert_eq!(limit_files("9:cpu,memory:/x\n3:pids:/y\nnonsense\n"), first);
    }

    #[test]
    fn budget_is_given_so_many_times_over() {
        assert_eq!((times(100, 1.0), times(100, 2.5)), (100, 250));
        // Never less than there is, and never beyond all numbers.
        assert_eq!((times(100, 0.1), times(100, f64::NAN), times(100, 1e9)), (100, 100, 10_000));
        assert_eq!((times(u64::MAX, 1.0), times(u64::MAX, 9.0)), (u64::MAX, u64::MAX));
    }
}
