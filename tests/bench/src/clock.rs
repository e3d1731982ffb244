//! What a benchmark reads: the clock, the CPU time and the memory of its process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Time since it was made.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to count.
    #[expect(clippy::disallowed_methods, reason = "what a benchmark is for")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What it has counted.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// So many in what it has counted, a second.
    pub fn rate(self, count: usize) -> f64 {
        count as f64 / self.elapsed().as_secs_f64()
    }
}

/// What time it is, in microseconds since 1970: to be held against what a guest's clock says.
#[expect(clippy::disallowed_methods, reason = "what a benchmark is for")]
pub fn unix_micros() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// What all threads of the process have computed.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What the process holds in memory, in bytes; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}
