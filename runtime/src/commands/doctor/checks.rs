//! The checks: each looks at one thing, and says what to do about it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, FsWord, access, statfs, statvfs};
use rustix::process::{Resource, geteuid, getrlimit};
use sunaba_runtime::config::Config;
use sunaba_runtime::task::{counted, format_bytes, format_count};

use super::Finding;
use crate::commands::serve;

/// With less than that on its disk, a host takes nothing on.
const LEAST_FREE_BYTES: u64 = 64 << 20;
/// With less than that, it is not far from there.
const FEW_FREE_BYTES: u64 = 1 << 30;
/// Descriptors without which a host has hardly any connections.
const LEAST_DESCRIPTORS: u64 = 256;
/// Descriptors with which nothing is refused before long: a quarter is for connections, the rest for guests.
const ENOUGH_DESCRIPTORS: u64 = 4_096;
/// What the kernel allows by default.
const ENOUGH_MAPS: u64 = 65_530;
/// 2026-01-01: no clock of this release is before that.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
/// Two clocks on one machine differ by less.
const CLOCK_SLACK: Duration = Duration::from_secs(60);
const TARGET: &str = "wasm32-wasip2";
// Source: the kernel's include/uapi/linux/magic.h.
const TMPFS: FsWord = 0x0102_1994;
const NFS: FsWord = 0x6969;

/// All of them, in the order in which they are shown.
pub(super) fn all(config: &Config, is_running: bool) -> Vec<Finding> {
    let data = &config.host.data;
    let mut findings = vec![toolchain(), store(data), disk(data), grants(config)];
    let descriptors = getrlimit(Resource::Nofile).maximum;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    findings.push(open_files(descriptors));
    findings.push(maps(number("/proc/sys/vm/max_map_count")));
    findings.push(address_space(getrlimit(Resource::As).current, number("/proc/sys/vm/overcommit_memory")));
    findings.push(clock(now(), newest(data)));
    findings.push(user(geteuid().is_root()));
    findings.push(port(config, is_running));
    findings
}

#[expect(clippy::disallowed_methods, reason = "the machine's clock is what is looked at")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The first line that a program says of itself.
fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(str::to_owned)
}

/// A host needs none; who builds handlers does.
fn toolchain() -> Finding {
    let Some(rustc) = says("rustc", &["--version"]) else {
        return Finding::look(
            "toolchain",
            "there is no `rustc` on the path",
            "to build handlers here, install Rust by rustup; a host needs none",
        );
    };
    let folder = says("rustc", &["--print", "target-libdir", "--target", TARGET]);
    if folder.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Finding::ok("toolchain", format!("{rustc}, with {TARGET}"));
    }
    let todo = format!("`rustup target add {TARGET}`, to build handlers here; a host needs none");
    Finding::look("toolchain", format!("{rustc}, without {TARGET}"), todo)
}

/// The closest folder that is there.
fn existing(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| path.exists());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn store(data: &Path) -> Finding {
    let shown = data.display();
    let Ok(found) = std::fs::metadata(data) else {
        let parent = existing(data);
        return if access(parent, Access::WRITE_OK).is_ok() {
            Finding::ok("store", format!("`{shown}` is made when a host starts"))
        } else {
            let todo =
                format!("let this user write to `{}`, or name another directory with `--data`", parent.display());
            Finding::fail("store", format!("`{shown}` is not there, and cannot be made"), todo)
        };
    };
    if !found.is_dir() {
        return Finding::fail("store", format!("`{shown}` is no directory"), "name another one with `--data`");
    }
    let own = geteuid();
    if found.uid() != own.as_raw() && !own.is_root() {
        let todo = format!("run as the user that has it, or `chown -R` it to {}", own.as_raw());
        return Finding::fail("store", format!("`{shown}` belongs to user {}", found.uid()), todo);
    }
    if access(data, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Finding::fail("store", format!("`{shown}` cannot be written to"), format!("`chmod u+rwx {shown}`"));
    }
    if found.mode() & 0o077 != 0 {
        let todo = format!("`chmod 700 {shown}`: secrets and inputs are in there as they are");
        return Finding::look(
            "store",
            format!("`{shown}` can be read by others (mode {:o})", found.mode() & 0o777),
            todo,
        );
    }
    Finding::ok("store", format!("`{shown}`, of this user alone"))
}

fn disk(data: &Path) -> Finding {
    let place = existing(data);
    let (Ok(room), Ok(kind)) = (statvfs(place), statfs(place)) else {
        return Finding::look(
            "disk",
            "the system does not tell",
            "look at the free room yourself: a host needs 64 MiB",
        );
    };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let shown = format!("{} free", format_bytes(free));
    if free < LEAST_FREE_BYTES {
        return Finding::fail("disk", shown, "make room: with less than 64 MiB a host takes nothing on");
    }
    match kind.f_type {
        TMPFS => {
            Finding::look("disk", format!("{shown}, in memory"), "a restart of the machine loses the queue: use a disk")
        }
        NFS => {
            Finding::look("disk", format!("{shown}, over a network"), "barriers may not hold there: use a local disk")
        }
        _ if free < FEW_FREE_BYTES => Finding::look("disk", shown, "make room soon"),
        _ => Finding::ok("disk", shown),
    }
}

fn grants(config: &Config) -> Finding {
    match serve::permitted(config) {
        Ok(_) => {
            let dirs = counted(config.grants.dirs.len() as u64, "directory", "directories");
            let secrets = counted(config.grants.secrets.len() as u64, "secret", "secrets");
            Finding::ok("grants", format!("{dirs} and {secrets} can be granted"))
        }
        Err(error) => {
            let text = error.to_string();
            let (found, todo) = text.split_once("\nhint: ").unwrap_or((&text, "take it out, or bring it back"));
            Finding::fail("grants", found, todo)
        }
    }
}

fn open_files(most: Option<u64>) -> Finding {
    let todo = "raise the hard limit: `LimitNOFILE=65536` in the unit, or `ulimit -Hn 65536`; a host takes all it may";
    match most {
        None => Finding::ok("open files", "without a limit"),
        Some(most) if most < LEAST_DESCRIPTORS => Finding::fail("open files", format!("up to {most}"), todo),
        Some(most) if most < ENOUGH_DESCRIPTORS => {
            Finding::look("open files", format!("up to {}", format_count(most)), todo)
        }
        Some(most) => Finding::ok("open files", format!("up to {}", format_count(most))),
    }
}

fn maps(most: Option<u64>) -> Finding {
    match most {
        None => Finding::look("memory maps", "the system does not tell", "look at vm.max_map_count yourself"),
        Some(most) if most < ENOUGH_MAPS => {
            let todo = format!("`sysctl -w vm.max_map_count={ENOUGH_MAPS}`: each attempt maps its memories");
            Finding::look("memory maps", format!("up to {}", format_count(most)), todo)
        }
        Some(most) => Finding::ok("memory maps", format!("up to {}", format_count(most))),
    }
}

/// The sandbox reserves much more than it uses.
fn address_space(most: Option<u64>, overcommit: Option<u64>) -> Finding {
    if let Some(most) = most {
        let found = format!("up to {}", format_bytes(most));
        return Finding::fail("address space", found, "take the limit away: `ulimit -v unlimited`");
    }
    if overcommit == Some(2) {
        let todo = "`sysctl -w vm.overcommit_memory=0`: the sandbox reserves terabytes of addresses, and no memory";
        return Finding::fail("address space", "the kernel promises no more than there is", todo);
    }
    Finding::ok("address space", "without a limit")
}

/// When something was last written to the queue.
fn newest(data: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(data).ok()?.filter_map(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

fn clock(now: SystemTime, newest: Option<SystemTime>) -> Finding {
    if now < SystemTime::UNIX_EPOCH + EPOCH {
        let todo = "set it, and keep it right with a time service: what is due is due by this clock";
        return Finding::fail("clock", "it is before 2026", todo);
    }
    if let Some(ahead) = newest.and_then(|newest| newest.duration_since(now).ok()).filter(|ahead| *ahead > CLOCK_SLACK)
    {
        let ahead = Duration::from_secs(ahead.as_secs());
        let found = format!("it is {} behind what the queue has seen", sunaba_runtime::task::format_duration(ahead));
        return Finding::look("clock", found, "set it right: what was due by the other clock waits so much longer");
    }
    // Where another service keeps it, nobody says so.
    let is_kept = Path::new("/run/systemd/timesync/synchronized").exists();
    Finding::ok("clock", if is_kept { "kept by a time service" } else { "later than all that was written" })
}

fn user(is_root: bool) -> Finding {
    if is_root {
        return Finding::look("user", "root", "run a host as a user of its own: it needs no more");
    }
    Finding::ok("user", format!("{}", geteuid().as_raw()))
}

fn port(config: &Config, is_running: bool) -> Finding {
    let listen = config.host.listen;
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && is_running => {
            Finding::ok("port", format!("{listen} is the host's"))
        }
        Err(error) => {
            let todo = "stop what uses it, or choose another with `--listen`";
            Finding::fail("port", format!("{listen} cannot be had: {error}"), todo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn limits_that_are_too_low_are_told_with_what_to_do() {
        for (finding, state) in [
            (open_files(None), State::Ok),
            (open_files(Some(65_536)), State::Ok),
            (open_files(Some(1_024)), State::Look),
            (open_files(Some(100)), State::Fail),
            (maps(Some(ENOUGH_MAPS)), State::Ok),
            (maps(Some(ENOUGH_MAPS - 1)), State::Look),
            (address_space(None, Some(0)), State::Ok),
            (address_space(Some(1 << 40), Some(0)), State::Fail),
            (address_space(None, Some(2)), State::Fail),
            (user(true), State::Look),
        ] {
            assert_eq!(finding.state, state, "{finding:?}");
            assert_eq!(finding.todo.is_none(), state == State::Ok, "{finding:?}");
        }
    }

    #[test]
    fn clock_that_went_back_is_told() {
        let now = SystemTime::UNIX_EPOCH + EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(clock(now, None).state, State::Ok);
        assert_eq!(clock(now, Some(now + CLOCK_SLACK)).state, State::Ok);
        let behind = clock(now, Some(now + Duration::from_secs(3_600)));
        assert_eq!((behind.state, behind.found.as_str()), (State::Look, "it is 1h behind what the queue has seen"));
        assert_eq!(clock(SystemTime::UNIX_EPOCH, None).state, State::Fail);
    }

    #[test]
    fn place_of_a_directory_that_is_not_there_is_the_closest_that_is() {
        assert_eq!(existing(Path::new("/no/where/at/all")), Path::new("/"));
        assert_eq!(existing(Path::new("nowhere")), Path::new("."));
    }
}
