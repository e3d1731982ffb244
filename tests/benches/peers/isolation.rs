//! What it takes to have a process, or what people put around one, do nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sunaba_bench::{Bench, Stopwatch, Unit};

use crate::LONGEST;
use crate::ours::Ours;
use crate::setup::{self, folder};

const CASE: &str = "one isolated no-op after another";
const STARTS: usize = 20;
/// What a container's first program needs.
const ROOT: [&str; 3] = ["/bin/true", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"];
const START: Duration = Duration::from_secs(30);

struct Way {
    name: &'static str,
    promise: &'static str,
    command: Vec<String>,
}

fn way(name: &'static str, promise: &'static str, command: &[&str]) -> Way {
    Way { name, promise, command: command.iter().map(|part| (*part).to_owned()).collect() }
}

fn measure(ways: &[Way], number: usize) -> f64 {
    let began = Stopwatch::start();
    let command: Vec<&str> = ways[number].command.iter().map(String::as_str).collect();
    let done = (0..STARTS).all(|_| setup::run(&command, LONGEST).is_ok());
    if done { began.elapsed().as_secs_f64() * 1e3 / STARTS as f64 } else { f64::NAN }
}

pub(crate) fn run(bench: &mut Bench) {
    if !bench.wants(CASE) {
        return;
    }
    let mut ways = vec![
        way("fork + exec", "an address space of its own; not durable", &["/bin/true"]),
        way(
            "bubblewrap",
            "all namespaces of its own; not durable",
            &["bwrap", "--ro-bind", "/", "/", "--unshare-all", "/bin/true"],
        ),
        way("python", "a process with Python's start; not durable", &["python3", "-c", "pass"]),
        way("node", "a process with Node.js's start; not durable", &["node", "-e", "0"]),
    ];
    match bundle() {
        Ok(bundle) => {
            let bundle = bundle.display().to_string();
            // A container's name is free again when it has ended.
            let command = ["runc", "--root", &format!("{bundle}/state"), "run", "--bundle", &bundle, "sunaba-bench"];
            ways.push(way("runc", "a container: namespaces, control groups, seccomp; not durable", &command));
        }
        Err(error) => bench.gap(CASE, "runc", format_args!("{error:#}")),
    }
    ways.retain(|way| {
        if way.name == "bubblewrap"
            && let Err(error) = setup::installed("bwrap", "bubblewrap")
        {
            bench.gap(CASE, way.name, format_args!("{error:#}"));
            return false;
        }
        let command: Vec<&str> = way.command.iter().map(String::as_str).collect();
        let tried = setup::run(&command, LONGEST);
        tried.map_err(|error| bench.gap(CASE, way.name, format_args!("{error:#}; {}", way.promise))).is_ok()
    });
    let ours = Ours::start();
    bench.remark(CASE, "sunaba, durable", "a sandbox of its own; submitted and its result on the disk, two barriers");
    for way in &ways {
        bench.remark(CASE, way.name, way.promise);
    }
    let ways = &ways;
    let mut case = bench.case(CASE, Unit::Milliseconds).way("sunaba, durable", || ours.one_by_one(STARTS));
    for (number, way) in ways.iter().enumerate() {
        case = case.way(way.name, move || measure(ways, number));
    }
    case.run();
}

/// A container's folder with as little in it as there can be.
fn bundle() -> Result<PathBuf> {
    setup::installed("runc", "runc")?;
    let bundle = folder()?.join("runc");
    if bundle.exists() {
        fs::remove_dir_all(&bundle)?;
    }
    for file in ROOT {
        let to = bundle.join("rootfs").join(file.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))?;
        fs::copy(file, &to).with_context(|| format!("`{file}` cannot be copied"))?;
    }
    for place in ["proc", "dev", "sys"] {
        fs::create_dir_all(bundle.join("rootfs").join(place))?;
    }
    let path = bundle.display().to_string();
    setup::run(&["runc", "spec", "--bundle", &path], START).context("`runc` (Debian: `apt-get install runc`)")?;
    let config = bundle.join("config.json");
    let mut settings: serde_json::Value = serde_json::from_slice(&fs::read(&config)?)?;
    settings["process"]["terminal"] = false.into();
    settings["process"]["args"] = serde_json::json!(["/bin/true"]);
    fs::write(&config, settings.to_string())?;
    Ok(bundle)
}
