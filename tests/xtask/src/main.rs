//! `cargo xtask`: sets up what is missing on a fresh machine, builds, tests and shows.

mod bench;
mod browser;
mod component;
mod contract;
mod frame;
mod guests;
mod say;
mod toolchain;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  guests           build every guest into target/guests, and what that needs
  test [FILTER]    run all tests, or those whose name contains FILTER
  contract         install what reads the API's document and tests it, into target/contract
  look             look at each screen of the dashboard in a browser, and write them to target/dashboard/screens
  soak [--minutes N] [--seed S]
                   crash, starve and unplug the queue for N minutes (5), and show what was lost
  demo             run a host, and on it some hundred tasks, each in its own sandbox
  tour             do what the README says of a host, and record it: target/tour/tour.html, target/tour/tour.cast
  bench [--quick] [--rounds N] [--only PROGRAM] [--case WORDS] [--save-baseline]
                   measure everything beside its limit and its peers, and write target/bench/report.html
  check-cargo-component
                   build a handler by cargo component too, and run it (installing that takes some ten minutes)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["guests"] => guests::build(),
        ["test"] => test(None),
        ["contract"] => contract::set_up(),
        ["test", filter] => test(Some(filter)),
        ["look"] => look(),
        ["soak", options @ ..] => soak(options),
        ["demo"] => demo(),
        ["tour"] => tour(),
        ["bench", options @ ..] => bench::bench(options),
        ["check-cargo-component"] => component::check(),
        [] | ["help" | "--help" | "-h"] => {
            say::plain(USAGE);
            Ok(())
        }
        [unknown, ..] => {
            say::error(&format!("`{unknown}` is no command, or has the wrong arguments\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the package is at tests/xtask").to_owned()
}

/// The folder of built things.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

fn test(filter: Option<&str>) -> Result<()> {
    guests::build()?;
    contract::set_up()?;
    say::step("building the binaries that the tests run");
    run(build())?;
    if filter.is_none() {
        say::step("testing the guests natively");
        run(cargo(&["test", "--manifest-path", "guest-examples/Cargo.toml", "--quiet"]))?;
        say::step("testing the documentation's examples");
        run(cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    }
    say::step("testing everything else");
    let mut tests = if tools::has_nextest() {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        say::note(
            "cargo-nextest is not here, so cargo test does it (`cargo install cargo-nextest` is faster from then on)",
        );
        cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    tests.args(filter).env("SUNABA_GUESTS", guests::folder()).env("SUNABA_CONTRACT", contract::folder());
    if filter.is_none() {
        // First, so that the log ends with the summary of the others.
        browser::look()?;
    }
    run(tests)
}

fn look() -> Result<()> {
    guests::build()?;
    say::step("building the binary");
    run(build())?;
    browser::look()
}

fn soak(options: &[&str]) -> Result<()> {
    say::step("building what is to be soaked");
    run(build())?;
    say::step("soaking");
    let mut soak = Command::new(target().join("debug/soak"));
    soak.args(options).current_dir(root());
    run(soak)
}

fn demo() -> Result<()> {
    guests::build()?;
    say::step("fetching the sources of every dependency");
    run(cargo(&["fetch", "--locked"]))?;
    say::step("building the demo (the first time takes some minutes: the engine is compiled)");
    run(build())?;
    say::step("running the demo");
    let mut demo = Command::new(target().join("debug/demo"));
    demo.current_dir(root()).env("SUNABA_GUESTS", guests::folder());
    run(demo)
}

fn tour() -> Result<()> {
    guests::build()?;
    say::step("building the binary");
    run(build())?;
    say::step("doing what the README says");
    let mut tour = Command::new(target().join("debug/tour"));
    tour.current_dir(root()).env("SUNABA_GUESTS", guests::folder());
    run(tour)
}

/// Builds all binaries, and the examples that tests run. Always the whole workspace: with fewer packages cargo turns fewer features on, and compiles the
/// engine once more.
fn build() -> Command {
    cargo(&["build", "--workspace", "--bins", "--examples"])
}

/// Cargo, in the root.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = tools::clean(Command::new("cargo"));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command to its end; its output goes where ours goes.
fn run(mut command: Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("`{}` ended with {status}", tools::show(&command));
    }
    Ok(())
}
