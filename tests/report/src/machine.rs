//! What the figures were measured on.

use std::fmt::{self, Display, Formatter};
use std::process::Command;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    pub(crate) compiler: String,
    /// Of the program.
    pub(crate) commit: String,
    /// How many processes wanted a core in the minutes before.
    pub(crate) load: String,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.map_or_else(|| "unknown".into(), |value| value.trim().to_owned())
}

impl Machine {
    /// For tests of what is around it.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        let [processor, memory, kernel, compiler, commit, load] = std::array::from_fn(|_| String::new());
        Self { processor, cores: 0, memory, kernel, compiler, commit, load }
    }

    pub(crate) fn look() -> Self {
        let total = field(&read("/proc/meminfo"), "MemTotal");
        let kib: Option<u64> = total.split_whitespace().next().and_then(|number| number.parse().ok());
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: kib.map_or(total, |kib| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20))),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            compiler: output("rustc", &["--version"]),
            commit: output("git", &["rev-parse", "--short", "HEAD"]),
            load: read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory, kernel, compiler, commit, load } = self;
        write!(f, "{processor}, {cores} cores, {memory}; Linux {kernel}; {compiler}; commit {commit}; load {load}")
    }
}
