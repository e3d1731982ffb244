//! What the tests share: where things are, and how the binary and the sandbox are called.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
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

/// A host of a test's own: on a free port, with a data directory that goes with it.
pub(crate) struct Host {
    pub(crate) address: String,
    pub(crate) data: tempfile::TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts `sunaba serve` with these arguments, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (address, said) = (String::new(), Arc::default());
        let mut host = Self { address, data, arguments, process: None, said, listener: None };
        host.restart();
        host
    }

    /// Starts it again, on the same data and another port.
    pub(crate) fn restart(&mut self) {
        self.spawn(Command::new(binaries().join("sunaba")));
    }

    /// The same; the system gives it no more than so many descriptors.
    pub(crate) fn restart_with_descriptors_up_to(&mut self, count: u64) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {count}; exec \"$@\""), "sh"]).arg(binaries().join("sunaba"));
        self.spawn(command);
    }

    /// The same; the system lets none of its files become larger than this.
    pub(crate) fn restart_with_files_up_to(&mut self, bytes: u64) {
        let mut command = Command::new("sh");
        // The shell counts in units of 512 bytes.
        let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
        command.args(["-c", &limited, "sh"]).arg(binaries().join("sunaba"));
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        command.args(["serve", "--listen", "127.0.0.1:0", "-o", "json", "--data"]).arg(self.data.path().join("data"));
        command.args(&self.arguments).env("NO_COLOR", "1").current_dir(root());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the binary starts");
        let said = Arc::new(Mutex::new(String::new()));
        let errors = BufReader::new(process.stderr.take().expect("piped"));
        self.said = Arc::clone(&said);
        self.listener = Some(std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let mut said = said.lock().expect("nobody panicked");
                said.push_str(&line);
                said.push('\n');
            }
        }));
        let mut ready = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut ready).expect("text");
        self.process = Some(process);
        let ready: Value = serde_json::from_str(&ready).unwrap_or_else(|error| {
            panic!("{error}: the host said `{ready}` and {}", self.said.lock().expect("whole"))
        });
        self.address = ready["address"].as_str().expect("an address").to_owned();
    }

    /// From the next start on, it has none of its arguments.
    pub(crate) fn forget_arguments(&mut self) {
        self.arguments.clear();
    }

    /// From the next start on, it has these too.
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    }

    /// Waits until a task is dead.
    pub(crate) fn until_dead(&self, id: &str) {
        while self.json(&["task", "get", id])["state"] != "dead" {
            std::thread::yield_now();
        }
    }

    /// The binary, talking to this host.
    pub(crate) fn sunaba<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        sunaba(arguments.into_iter().chain(["--address", &self.address]))
    }

    /// What a command prints that ends well, without the last line's end.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.sunaba(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// The same as one JSON object.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["-o", "json"]].concat())).expect("JSON")
    }

    /// The same as a JSON object a line.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.ok(&[arguments, &["-o", "jsonl"]].concat());
        printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Deploys a guest under its own name.
    pub(crate) fn deploy(&self, name: &str) {
        let output = self.sunaba(["handler", "deploy", &guest(name).display().to_string()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }

    /// Waits until a task is in this state.
    pub(crate) fn until(&self, id: &str, state: &str) {
        loop {
            let output = self.sunaba(["task", "get", id, "-o", "json"]);
            let task: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            if task["state"] == state {
                return;
            }
            assert!(!["succeeded", "dead", "cancelled"].contains(&task["state"].as_str().expect("text")), "{task:#}");
        }
    }

    /// Waits until the host has said this.
    pub(crate) fn until_said(&self, what: &str) {
        while !self.said.lock().expect("nobody panicked").contains(what) {
            std::thread::yield_now();
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.process.as_ref().expect("it runs")), signal).expect("it runs");
    }

    /// A request as it goes over the wire, and what is answered: the status, and the body.
    pub(crate) fn raw(&self, target: &str, headers: &str, body: &str) -> (String, String) {
        raw(&self.address, target, headers, body)
    }

    /// Sends a signal, and waits for the end; the exit code and what was said on standard error.
    pub(crate) fn stop(&mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        self.end()
    }

    /// Ends it as a power cut would, for the process.
    pub(crate) fn kill(&mut self) {
        self.process.as_mut().expect("it runs").kill().expect("it can be killed");
        self.end();
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let status = self.process.take().expect("it runs").wait().expect("it ends");
        self.listener.take().expect("it listens").join().expect("nobody panicked");
        (status.code(), self.said.lock().expect("nobody panicked").clone())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A request to this address as it goes over the wire, and what is answered: the status, and the body.
pub(crate) fn raw(address: &str, target: &str, headers: &str, body: &str) -> (String, String) {
    let (head, body) = exchange(address, target, headers, body);
    (head.split(' ').nth(1).expect("a status").to_owned(), body)
}

/// The same with the whole head of the answer.
pub(crate) fn exchange(address: &str, target: &str, headers: &str, body: &str) -> (String, String) {
    let address = address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    // Longer than any wait that may be asked for.
    stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout");
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let length = body.len();
    let head = format!("{target} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in time");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// Real time, for whatever waits for another process or measures one.
#[expect(clippy::disallowed_methods, reason = "what other processes do takes real time")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
