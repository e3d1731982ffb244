//! How many instructions a task takes on its way: a figure that a busy machine does not move.
//!
//! `cargo bench --workspace --bench paths` runs it. It runs itself under callgrind (Debian: `apt-get install valgrind`) with two
//! numbers of tasks for each path; what lies between the two counts is theirs, and the start of the program is not in it. Beside
//! each stands what `tests/benches/instructions.json` has, so that a regression is seen in `--quick` too. `SUNABA_SAVE_BASELINE=1`
//! writes that file anew.
//!
//! Counts depend on the compiler, and a little on its machine: a few parts in a hundred are no change.

mod work;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use sunaba_bench::{Bench, Unit};

use work::PATHS;

/// Set in a process that is counted: a path, and how often.
const RUN: &str = "SUNABA_BENCH_PATH";
/// Set: what is counted becomes the baseline.
const SAVE: &str = "SUNABA_SAVE_BASELINE";
/// From so many times the baseline on, somebody should look.
const MORE: f64 = 1.05;

fn main() {
    if let Ok(asked) = std::env::var(RUN) {
        let (name, count) = asked.rsplit_once('*').expect("`PATH*COUNT`");
        let path = PATHS.iter().find(|path| path.name == name).expect("a path of the table");
        return (path.run)(count.parse().expect("a number"));
    }
    let mut bench = Bench::start("instructions");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json");
    let mut known = read(&file);
    for path in PATHS {
        let case = format!("{}, of a task", path.name);
        if !bench.wants(&case) {
            continue;
        }
        let counted = count(path.name, path.counts);
        let own = match counted {
            Ok(counted) => counted,
            Err(error) => {
                bench.gap(&case, "sunaba", format_args!("{error:#}"));
                continue;
            }
        };
        let mut ways = vec![("sunaba".to_owned(), vec![(0, own)])];
        match known.get(path.name) {
            Some(before) => {
                ways.insert(0, ("baseline".to_owned(), vec![(0, *before)]));
                if own > before * MORE {
                    bench.remark(&case, "sunaba", "MORE THAN BEFORE: over 5 % above the baseline");
                }
            }
            None => bench.gap(&case, "baseline", "it was never saved: SUNABA_SAVE_BASELINE=1 does that"),
        }
        bench.note(&case, Unit::Count, None, &ways);
        known.insert(path.name.to_owned(), own);
    }
    if std::env::var_os(SAVE).is_some() {
        let text = serde_json::to_string_pretty(&known).expect("names and numbers") + "\n";
        fs::write(&file, text).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
    }
}

fn read(file: &Path) -> BTreeMap<String, f64> {
    let Ok(text) = fs::read_to_string(file) else { return BTreeMap::new() };
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()))
}

/// Instructions of one more task.
fn count(path: &str, [few, many]: [usize; 2]) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    // Code is compiled once, and not in what is counted.
    under_callgrind(path, few, folder.path())?;
    let (least, most) = (under_callgrind(path, few, folder.path())?, under_callgrind(path, many, folder.path())?);
    Ok(most.saturating_sub(least) as f64 / (many - few) as f64)
}

fn under_callgrind(path: &str, count: usize, folder: &Path) -> Result<u64> {
    let counts: PathBuf = folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(std::env::current_exe()?).env(RUN, format!("{path}*{count}")).env(work::CODE, folder.join("code"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().context("`valgrind` does not start (Debian: `apt-get install valgrind`)")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        // A panic says first that it is one, and then why.
        let why = errors.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
        bail!("valgrind ended with {}: {}", output.status, why.or(errors.lines().last()).unwrap_or_default());
    }
    let text = fs::read_to_string(&counts).context("valgrind has written no counts")?;
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line("totals:").or_else(|| line("summary:")).context("valgrind has written no sum")
}
