//! What the tests share: where things are, and how the binary and the sandbox are called.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::{ComponentInfo, Sandbox};
use sunaba_runtime::task::{AttemptReport, AttemptResult, FuelMode, Stop, Unattended};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is at tests").to_owned()
}

/// The folder of built guests.
pub(crate) fn guests() -> PathBuf {
    let folder = std::env::var_os("SUNABA_GUESTS").map_or_else(|| root().join("target/guests"), PathBuf::from);
    assert!(folder.is_dir(), "`{}` is not there: `cargo xtask guests` builds it", folder.display());
    folder
}

/// A built guest.
pub(crate) fn guest(name: &str) -> PathBuf {
    let file = guests().join(name).with_extension("wasm");
    assert!(file.is_file(), "`{}` is not there: `cargo xtask guests` builds it", file.display());
    file
}

/// The folder of the `sunaba` binary: the one where this test's own folder is.
pub(crate) fn binaries() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    let folder = test.ancestors().nth(2).expect("a test is in target/PROFILE/deps").to_owned();
    assert!(folder.join("sunaba").is_file(), "no `sunaba` in `{}`: `cargo xtask test` builds it", folder.display());
    folder
}

/// The binary, with these arguments, in the repository's root.
pub(crate) fn sunaba<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = Command::new(binaries().join("sunaba"));
    command.args(arguments).current_dir(root()).env("NO_COLOR", "1").stdin(Stdio::null());
    command.output().expect("the binary starts")
}

/// `sunaba run GUEST GUEST ... -o json`: every test guest has a handler of its own name.
pub(crate) fn run_json(guest_name: &str, arguments: &[&str]) -> (i32, Value) {
    let file = guest(guest_name).display().to_string();
    let output = sunaba(["run", &file, guest_name].into_iter().chain(arguments.iter().copied()).chain(["-o", "json"]));
    let code = output.status.code().expect("it was not killed");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)));
    (code, report)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// Loads a built guest.
pub(crate) async fn load(sandbox: &Sandbox, name: &str) -> Arc<ComponentInfo> {
    let bytes = std::fs::read(guest(name)).expect("it is there");
    sandbox.load(bytes, FuelMode::Exact).await.unwrap_or_else(|error| panic!("cannot load `{name}`: {error}"))
}

/// Runs an attempt that nobody watches.
pub(crate) async fn run(sandbox: &Sandbox, attempt: Attempt) -> AttemptReport {
    attempt.run(sandbox, Arc::new(Unattended)).await.expect("the host can do its part")
}

/// Why the host stopped an attempt.
pub(crate) fn stop(report: AttemptReport) -> Stop {
    match report.result {
        AttemptResult::Stopped(stop) => stop,
        other => panic!("it should have been stopped: {other:?}"),
    }
}
