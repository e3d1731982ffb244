//! `cargo xtask bench`: runs every benchmark, one after another, and has a report made of what they have written down.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{cargo, guests, run, say, target};

/// The programs, and which of them are left out when it is to be quick.
const PROGRAMS: [(&str, When); 5] = [
    ("per_task", When::Ever),
    ("operations", When::Ever),
    ("throughput", When::Ever),
    ("jobs", When::Ever),
    ("peers", When::Thorough),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Ever,
    Thorough,
}

pub(crate) fn bench(options: &[&str]) -> Result<()> {
    let wanted = Wanted::read(options)?;
    guests::build()?;
    say::step(
        "building the benchmarks (the first time takes some ten minutes: the engine is compiled as for a release)",
    );
    run(cargo(&["bench", "--workspace", "--benches", "--no-run"]))?;
    run(cargo(&["build", "--workspace", "--release", "--bins"]))?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let samples = folder.join("samples.jsonl");
    if samples.exists() {
        fs::remove_file(&samples).with_context(|| format!("cannot remove `{}`", samples.display()))?;
    }
    for program in wanted.programs() {
        say::step(&format!("measuring: {program}"));
        let mut bench = cargo(&["bench", "--workspace", "--bench", program, "--"]);
        bench.args(&wanted.passed_on).env("SUNABA_SAMPLES", &samples).env("SUNABA_GUESTS", guests::folder());
        run(bench)?;
    }
    say::step("writing the report");
    let mut report = std::process::Command::new(target().join("release/sunaba-report"));
    report.arg(&samples).arg(&folder);
    run(report)
}

/// What the caller wants.
struct Wanted {
    only: Option<String>,
    is_quick: bool,
    /// To each program.
    passed_on: Vec<String>,
}

impl Wanted {
    fn read(options: &[&str]) -> Result<Self> {
        let mut wanted = Self { only: None, is_quick: false, passed_on: Vec::new() };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().with_context(|| format!("`{option}` wants a value"));
            match *option {
                "--quick" => {
                    wanted.is_quick = true;
                    wanted.passed_on.push("--quick".into());
                }
                "--rounds" => {
                    let rounds: usize = value()?.parse().context("`--rounds` wants a number of rounds, from 1")?;
                    wanted.passed_on.extend(["--rounds".into(), rounds.to_string()]);
                }
                "--only" => wanted.only = Some((*value()?).to_owned()),
                "--case" => wanted.passed_on.push((*value()?).to_owned()),
                unknown => bail!(
                    "`{unknown}` is no option of `bench`; there are --quick, --rounds N, --only PROGRAM, --case WORDS"
                ),
            }
        }
        if let Some(only) = &wanted.only
            && !PROGRAMS.iter().any(|(program, _)| program == only)
        {
            let names = PROGRAMS.map(|(program, _)| program).join(", ");
            bail!("`{only}` is no benchmark; there are {names}");
        }
        Ok(wanted)
    }

    fn programs(&self) -> impl Iterator<Item = &'static str> {
        let is_wanted = |(program, when): &(&'static str, When)| match &self.only {
            Some(only) => only == program,
            None => *when == When::Ever || !self.is_quick,
        };
        PROGRAMS.into_iter().filter(is_wanted).map(|(program, _)| program)
    }
}
