//! `cargo xtask bench`: runs every benchmark, one after another, and has a report made of what they have written down.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{cargo, guests, run, say, target};

/// What is measured: by which program, with which words, and whether it is left out when it is to be quick.
const PROGRAMS: [Program; 7] = [
    Program { name: "per_task", program: "per_task", word: None, when: When::Ever },
    Program { name: "operations", program: "operations", word: None, when: When::Ever },
    Program { name: "throughput", program: "throughput", word: None, when: When::Ever },
    Program { name: "jobs", program: "jobs", word: None, when: When::Ever },
    Program { name: "paths", program: "paths", word: None, when: When::Ever },
    Program { name: "peers", program: "peers", word: None, when: When::Thorough },
    Program { name: "soak", program: "throughput", word: Some("soak"), when: When::Thorough },
];

struct Program {
    name: &'static str,
    program: &'static str,
    /// Without it the program leaves this out.
    word: Option<&'static str>,
    when: When,
}

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
    // By name: `--benches` would build every library once more, with its tests.
    let mut build = cargo(&["bench", "--workspace", "--no-run"]);
    build.args(PROGRAMS.iter().flat_map(|program| ["--bench", program.program]));
    run(build)?;
    run(cargo(&["build", "--workspace", "--release", "--bins"]))?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let samples = folder.join("samples.jsonl");
    if samples.exists() {
        fs::remove_file(&samples).with_context(|| format!("cannot remove `{}`", samples.display()))?;
    }
    for Program { name, program, word, .. } in wanted.programs() {
        say::step(&format!("measuring: {name}"));
        let mut bench = cargo(&["bench", "--workspace", "--bench", program, "--"]);
        bench.args(&wanted.passed_on).args(*word);
        bench.env("SUNABA_SAMPLES", &samples).env("SUNABA_GUESTS", guests::folder());
        if wanted.saves_baseline {
            bench.env("SUNABA_SAVE_BASELINE", "1");
        }
        run(bench)?;
    }
    if fs::metadata(&samples).map_or(0, |file| file.len()) == 0 {
        bail!("nothing was measured, so there is no report\nhint: each program above has named the cases that it has");
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
    /// Of instruction counts.
    saves_baseline: bool,
    /// To each program.
    passed_on: Vec<String>,
}

impl Wanted {
    fn read(options: &[&str]) -> Result<Self> {
        let mut wanted = Self { only: None, is_quick: false, saves_baseline: false, passed_on: Vec::new() };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().with_context(|| format!("`{option}` wants a value"));
            match *option {
                "--quick" => {
                    wanted.is_quick = true;
                    wanted.passed_on.push("--quick".into());
                }
                "--save-baseline" => wanted.saves_baseline = true,
                "--rounds" => {
                    let rounds: usize = value()?.parse().context("`--rounds` wants a number of rounds, from 1")?;
                    wanted.passed_on.extend(["--rounds".into(), rounds.to_string()]);
                }
                "--only" => wanted.only = Some((*value()?).to_owned()),
                "--way" => wanted.passed_on.extend(["--way".into(), (*value()?).to_owned()]),
                "--case" => wanted.passed_on.push((*value()?).to_owned()),
                unknown => bail!(
                    "`{unknown}` is no option of `bench`; there are --quick, --rounds N, --only PROGRAM, --case WORDS, --way NAME \
                     and --save-baseline"
                ),
            }
        }
        if let Some(only) = &wanted.only
            && !PROGRAMS.iter().any(|program| program.name == only)
        {
            let names = PROGRAMS.map(|program| program.name).join(", ");
            bail!("`{only}` is no benchmark; there are {names}");
        }
        Ok(wanted)
    }

    fn programs(&self) -> impl Iterator<Item = &'static Program> {
        PROGRAMS.iter().filter(|program| match &self.only {
            Some(only) => only == program.name,
            None => program.when == When::Ever || !self.is_quick,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &[&str]) -> Vec<&'static str> {
        let wanted = Wanted::read(options).expect("they are options");
        wanted.programs().map(|program| program.name).collect()
    }

    #[test]
    fn quick_leaves_out_what_takes_minutes() {
        assert_eq!(names(&["--quick"]), ["per_task", "operations", "throughput", "jobs", "paths"]);
        assert_eq!(names(&[]).len(), PROGRAMS.len());
        // Unless it is asked for.
        assert_eq!(names(&["--quick", "--only", "peers"]), ["peers"]);
    }

    #[test]
    fn what_is_no_option_is_named() {
        let error = |options: &[&str]| Wanted::read(options).err().expect("it is refused").to_string();
        assert!(error(&["--fast"]).starts_with("`--fast` is no option"), "{}", error(&["--fast"]));
        assert!(error(&["--only", "all"]).starts_with("`all` is no benchmark"), "{}", error(&["--only", "all"]));
        assert!(error(&["--rounds"]).contains("wants a value"), "{}", error(&["--rounds"]));
    }
}
