//! The configuration on the real binary: which layer counts, what is wrong and where, what is declared, and what a reload does.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Host, binaries, guest, guests, root, sunaba, text};

/// `sunaba` in this folder, without any variable of ours but these.
fn run(folder: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries().join("sunaba"));
    for name in ["SUNABA_ADDRESS", "SUNABA_API_KEY", "SUNABA_DATA", "SUNABA_GUESTS", "SUNABA_CONFIG"] {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").envs(env.iter().copied());
    command.stdin(Stdio::null()).output().expect("the binary starts")
}

fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sunaba.toml"), config).expect("written");
    folder
}

/// A host with this configuration, which can be written anew.
fn host(config: &str) -> (Host, tempfile::TempDir) {
    let folder = folder(config);
    let file = folder.path().join("sunaba.toml").display().to_string();
    (Host::start(&["--config", &file]), folder)
}

fn reload(host: &Host, folder: &tempfile::TempDir, config: &str) {
    std::fs::write(folder.path().join("sunaba.toml"), config).expect("written");
    host.signal(Signal::HUP);
}

#[test]
fn values_are_shown_with_where_they_come_from() {
    let folder = folder("[host]\nconcurrency = 3\ngrace = \"5s\"\n\n[queues.mail]\nrate = \"10/1s\"\n");
    let env = [("SUNABA_GRACE", "7s"), ("SUNABA_LISTEN", "127.0.0.1:1234")];
    let shown = run(folder.path(), &env, &["config", "show", "--origin", "--address", "http://127.0.0.1:9"]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let lines: Vec<_> =
        text(&shown.stdout).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_snapshot!(lines.join("\n"), @r"
    KEY VALUE ORIGIN
    address http://127.0.0.1:9 --address
    host.data sunaba-data default
    host.listen 127.0.0.1:1234 SUNABA_LISTEN
    host.require-keys false default
    host.insecure-no-keys false default
    host.allow-host none default
    host.concurrency 3 sunaba.toml:2
    host.memory-budget 75% default
    host.oversubscribe 1 default
    host.follow-active false default
    host.durability sync default
    host.grace 7s SUNABA_GRACE
    host.alerts none default
    host.webhook-allow none default
    host.webhook-http false default
    telemetry.endpoint none default
    grants.dirs none default
    grants.http none default
    grants.secrets none default
    grants.scratch 1GiB default
    grants.fine-clock false default
    grants.http-ca none default
    queues.mail.rate 10/1s sunaba.toml:6
    ");
    let json = run(folder.path(), &env, &["config", "show", "-o", "jsonl"]);
    let rows: Vec<Value> = text(&json.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.contains(&json!({"key": "host.concurrency", "value": "3", "origin": "sunaba.toml:2"})), "{rows:?}");
}

#[test]
fn secrets_are_shown_nowhere() {
    let folder = folder(
        "[grants]\nsecrets = [\"TOKEN=env:HUNTER2@https://api.example.com\"]\n[workers.a]\nslots = 1\nenv = { KEY = \"hunter2\" }\n",
    );
    for arguments in [&["config", "show", "--origin"][..], &["config", "validate"], &["config", "show", "-o", "json"]] {
        let shown = run(folder.path(), &[("HUNTER2", "hunter2hunter2")], arguments);
        assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
        let all = (text(&shown.stdout) + &text(&shown.stderr)).to_lowercase();
        assert!(!all.contains("hunter2"), "{all}");
    }
}

#[test]
fn mistakes_are_told_with_their_places_and_what_was_meant() {
    let folder = folder("[host]\nconcurency = 4\n\n[queues.mail]\nrate = \"fast\"\n");
    let wrong = run(folder.path(), &[], &["config", "validate"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(8), String::new()));
    assert_snapshot!(text(&wrong.stderr), @r"
    error: sunaba.toml:2:1: unknown key `concurency` in `[host]`
    hint: did you mean `concurrency`? there is `data`, `listen`, `require-keys`, `insecure-no-keys`, `allow-host`, `concurrency`, `memory-budget`, `oversubscribe`, `follow-active`, `durability`, `grace`, `alerts`, `webhook-allow`, `webhook-http`
    error: sunaba.toml:5:8: `rate`: `fast` is not a rate
    hint: write COUNT/TIME, such as `100/1s`, with a count from 1 to 1000000 and a time of up to a day, or `none`
    ");
    // A host does not start with it, and a client does not go to another host than the one that was meant.
    for arguments in [&["serve"][..], &["queue", "list"], &["store", "info"]] {
        let refused = run(folder.path(), &[], arguments);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(8), "{arguments:?}: {said}");
        assert!(said.starts_with("error: sunaba.toml:2:1: unknown key `concurency` in `[host]` (and 1 more"), "{said}");
    }
    assert!(!folder.path().join("sunaba-data").exists(), "nothing was touched");
    for (env, arguments, code, message) in [
        (
            [("SUNABA_GRACE", "soon")],
            &["config", "validate"][..],
            8,
            "error: `SUNABA_GRACE`: `soon` is not a duration\nhint: ",
        ),
        ([("SUNABA_GRACE", "soon")], &["serve"], 2, "error: `SUNABA_GRACE`: `soon` is not a duration\nhint: "),
        (
            [("SUNABA_CONFIG", "nowhere.toml")],
            &["config", "show"],
            3,
            "error: cannot read the configuration `nowhere.toml`: ",
        ),
        ([("X", "")], &["serve", "--grace", "soon"], 2, "error: invalid value 'soon' for '--grace <DURATION>': "),
    ] {
        let empty = tempfile::tempdir().expect("a folder");
        let refused = run(empty.path(), &env, arguments);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.starts_with(message), "{said}");
    }
}

#[test]
fn what_the_configuration_names_must_be_there() {
    let folder = folder(
        "[grants]\ndirs = [\"nowhere\"]\n[packages.words]\ncomponent = \"none.wasm\"\n[workers.a]\nslots = 1\ndirs = [\"no::/no\"]\n",
    );
    let wrong = run(folder.path(), &[], &["config", "validate"]);
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(8), "{said}");
    assert!(said.contains("error: sunaba.toml:2: cannot allow `nowhere`: "), "{said}");
    assert!(said.contains("error: the package `words` of sunaba.toml:4: cannot read `none.wasm`: "), "{said}");
    assert!(
        said.contains("error: sunaba.toml:7: the directory `no` of the worker group `a` is not there\nhint: "),
        "{said}"
    );
}

#[test]
fn file_to_begin_with_is_valid_and_never_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = run(folder.path(), &[], &["config", "init"]);
    assert_eq!((made.status.code(), text(&made.stdout)), (Some(0), String::new()), "{}", text(&made.stderr));
    let valid = run(folder.path(), &[], &["config", "validate"]);
    assert_eq!(valid.status.code(), Some(0), "{}", text(&valid.stderr));
    assert_eq!(text(&valid.stderr), "valid sunaba.toml with 0 values\n");
    let again = run(folder.path(), &[], &["config", "init"]);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
}

#[test]
fn variables_that_mean_nothing_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let valid = run(folder.path(), &[("SUNABA_CONCURENCY", "4")], &["config", "validate"]);
    assert_eq!(valid.status.code(), Some(0));
    let said = text(&valid.stderr);
    assert!(
        said.contains("the variable `SUNABA_CONCURENCY` means nothing; did you mean `SUNABA_CONCURRENCY`?"),
        "{said}"
    );
}

#[test]
fn what_is_declared_is_in_force_at_each_start_and_the_rest_is_remembered() {
    let (mut host, _folder) = host("[queues.mail]\nconcurrency = 4\nrate = \"10/1s\"\n[retention]\nresult = \"2h\"\n");
    let queue = host.json(&["queue", "show", "mail"]);
    assert_eq!((&queue["concurrency"], &queue["rate"], &queue["paused"]), (&json!(4), &json!("10/1s"), &json!(false)));
    assert!(host.ok(&["retention", "show"]).starts_with("result       2h\n"));
    // What is changed while the host runs holds until the next start; what the file does not name is remembered.
    host.ok(&["queue", "set", "mail", "--concurrency=9", "--weight=3"]);
    host.ok(&["queue", "pause", "mail"]);
    assert_eq!(host.json(&["queue", "show", "mail"])["concurrency"], json!(9));
    host.kill();
    host.restart();
    let queue = host.json(&["queue", "show", "mail"]);
    assert_eq!((&queue["concurrency"], &queue["weight"], &queue["paused"]), (&json!(4), &json!(3), &json!(true)));
}

#[test]
fn reload_puts_in_force_what_it_can_and_names_what_it_cannot() {
    let (mut host, folder) = host("[queues.mail]\nconcurrency = 4\n");
    reload(&host, &folder, "[host]\ngrace = \"1s\"\n[queues.mail]\nconcurrency = 5\n[queues.slow]\npaused = true\n");
    host.until_said("reloaded\n");
    host.until_said("reloaded: queue `mail`: concurrency 5\n");
    host.until_said("reloaded: queue `slow`: paused true\n");
    host.until_said("reloaded: waits for the next start: host.grace\n");
    assert_eq!(host.json(&["queue", "show", "mail"])["concurrency"], json!(5));
    assert_eq!(host.json(&["queue", "show", "slow"])["paused"], json!(true));
    // What is wrong changes nothing, and the host goes on.
    reload(&host, &folder, "[queues.mail]\nconcurrency = 6\nrates = 1\n");
    host.until_said("error: the configuration was not reloaded: ");
    host.until_said("unknown key `rates` in `[queues.mail]`\n");
    assert_eq!(host.json(&["queue", "show", "mail"])["concurrency"], json!(5));
    let (code, _) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0));
}

#[test]
fn worker_groups_run_the_tasks_of_their_queues() {
    let (mut host, folder) = host(&format!(
        "[packages.hello]\ncomponent = {:?}\n[workers.fast]\nqueues = [\"mail\"]\nslots = 2\nmax-slots = 4\ntimeout = \"9s\"\n\
         [workers.rest]\nslots = \"1..3\"\n",
        guest("hello")
    ));
    let listed = host.lines(&["workers", "list"]);
    let shown = |worker: &Value| {
        [&worker["id"], &worker["queues"], &worker["slots"], &worker["wanted"], &worker["most_slots"]].map(Clone::clone)
    };
    assert_eq!(shown(&listed[0]), [json!("fast"), json!(["mail"]), json!(2), json!("2"), json!(4)]);
    assert_eq!(shown(&listed[1]), [json!("rest"), Value::Null, json!(1), json!("1..3"), json!(3)]);
    assert!(listed[0]["limits"].as_str().is_some_and(|limits| limits.contains("timeout=9s")), "{listed:?}");
    // Deployed by the file, and run by the group that serves its queue alone.
    let pause = host.ok(&["workers", "set", "rest", "--slots", "2", "-o", "json"]);
    assert!(pause.contains("\"slots\": 2"), "{pause}");
    let logged = &host.lines(&["audit", "list"])[0];
    assert_eq!([&logged["what"], &logged["of"]], ["worker.set", "rest"], "{logged}");
    assert_eq!([&logged["before"]["slots"], &logged["after"]["slots"]], ["1..3", "2"], "{logged}");
    // Each group is a worker, and they are watched together; what is told is of the last look, which may have been before they came.
    while !host.raw("GET /readyz", "", "").1.contains("worker: 2 with a session, 0 running") {
        std::thread::yield_now();
    }
    assert_eq!(host.raw("GET /readyz", "", "").0, "200");
    let (_, metrics) = host.raw("GET /metrics", "", "");
    assert!(metrics.contains("sunaba_slots 4\n"), "{metrics}");
    let input = ["--input", r#"{"name":"Ada"}"#];
    let task = host.ok(&["task", "submit", "hello/hello", "--queue=mail", input[0], input[1], "--wait", "-o", "json"]);
    let task: Value = serde_json::from_str(&task).expect("JSON");
    let id = task["task"]["id"].as_str().or(task["id"].as_str()).expect("an id").to_owned();
    let explained = host.ok(&["task", "explain", &id]);
    assert!(explained.contains("-fast, ") || explained.contains("-rest, "), "{explained}");
    for (arguments, code, message) in [
        (["workers", "set", "fast", "--slots", "5"], 8, "was started for up to 4 slots, and not for 5\nhint: "),
        (
            ["workers", "set", "none", "--slots", "1"],
            3,
            "there is no worker group `none`\nhint: there is `fast`, `rest`",
        ),
        (["workers", "set", "fast", "--slots", "0"], 2, "`0` is no number of slots\nhint: "),
    ] {
        let refused = host.sunaba(arguments);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(said.contains(message), "{said}");
    }
    reload(&host, &folder, "[workers.fast]\nqueues = [\"mail\"]\nslots = 3\nmax-slots = 4\ntimeout = \"9s\"\n");
    host.until_said("reloaded: worker `fast`: slots 3\n");
    assert_eq!(host.lines(&["workers", "list"])[0]["slots"], json!(3));
    let (code, _) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0));
}

#[test]
fn component_that_cannot_be_deployed_keeps_a_host_from_starting() {
    let folder = folder("[packages.words]\ncomponent = \"words.wasm\"\n");
    std::fs::write(folder.path().join("words.wasm"), "nothing").expect("written");
    let refused = run(folder.path(), &[], &["serve", "--listen", "127.0.0.1:0"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(8), "{said}");
    assert!(
        said.starts_with("error: the package `words` of sunaba.toml:2: it is not a WebAssembly file\nhint: "),
        "{said}"
    );
}

/// A host that is told where to say how it is, and what it says there.
struct Notified {
    process: Child,
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Notified {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let mut command = Command::new(binaries().join("sunaba"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--quiet"]).current_dir(folder.path());
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { process: process.expect("the binary starts"), socket, _folder: folder }
    }

    fn until(&self, what: &str) {
        let mut buffer = [0; 256];
        loop {
            let size = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("`{what}` was not said: {error}"));
            if text(&buffer[..size]) == what {
                return;
            }
        }
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn service_manager_is_told_when_a_host_is_ready_lives_reloads_and_stops() {
    let mut host = Notified::start();
    host.until("READY=1");
    host.until("WATCHDOG=1");
    host.until("WATCHDOG=1");
    kill_process(Pid::from_child(&host.process), Signal::HUP).expect("it runs");
    host.until("STATUS=reloading");
    kill_process(Pid::from_child(&host.process), Signal::TERM).expect("it runs");
    host.until("STOPPING=1");
    assert_eq!(host.process.wait().expect("it ends").code(), Some(0));
}

#[test]
fn doctor_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = [("SUNABA_LISTEN", "127.0.0.1:0"), ("SUNABA_ADDRESS", "http://127.0.0.1:1")];
    let told = run(folder.path(), &env, &["doctor", "-o", "jsonl"]);
    let findings: Vec<Value> =
        text(&told.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let checks: Vec<_> = findings.iter().map(|finding| finding["check"].as_str().expect("a name")).collect();
    assert_eq!(
        checks,
        [
            "configuration",
            "host",
            "toolchain",
            "store",
            "disk",
            "grants",
            "open files",
            "memory maps",
            "address space",
            "clock",
            "user",
            "port"
        ]
    );
    assert!(findings.iter().all(|finding| (finding["state"] == "ok") == finding["todo"].is_null()), "{findings:?}");
    std::fs::write(folder.path().join("sunaba.toml"), "[host]\ndata = \"file\"\nx = 1\n").expect("written");
    let told = run(folder.path(), &env, &["doctor"]);
    let shown = text(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{shown}");
    assert!(shown.contains("configuration  FAIL   sunaba.toml:3:1: unknown key `x`"), "{shown}");
    assert!(shown.contains("-> `sunaba config validate` tells all that is wrong"), "{shown}");
}

#[test]
fn completions_and_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sunaba(["completions", shell]);
        assert_eq!(script.status.code(), Some(0), "{shell}");
        for verb in ["validate", "compile", "bench", "build", "grants"] {
            assert!(text(&script.stdout).contains(verb), "{shell}: {verb}");
        }
    }
    let page = sunaba(["man"]);
    assert!(text(&page.stdout).contains(".TH sunaba 1"), "{}", text(&page.stdout));
    let folder = tempfile::tempdir().expect("a folder");
    let written = sunaba(["man", &folder.path().join("man1").display().to_string()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    for verb in [
        "sunaba.1",
        "sunaba-serve.1",
        "sunaba-config-show.1",
        "sunaba-workers-set.1",
        "sunaba-doctor.1",
        "sunaba-bench.1",
    ] {
        assert!(folder.path().join("man1").join(verb).is_file(), "{verb}");
    }
}

#[test]
fn new_project_builds_and_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = run(folder.path(), &[], &["new", "my-words"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let project = folder.path().join("my-words");
    let built = build(&project, &["-o", "jsonl"]);
    assert_eq!(built.status.code(), Some(0), "{}", text(&built.stderr));
    let component = "target/wasm32-wasip2/release/my_words.wasm";
    let told: Value = serde_json::from_slice(&built.stdout).expect("one component, as JSON");
    assert_eq!((&told["path"], &told["handlers"]), (&json!(component), &json!(["hello"])));
    assert_eq!(told["size_bytes"], std::fs::metadata(project.join(component)).expect("it is there").len());
    let ran = run(&project, &[], &["run", component, "hello", "--input", r#"{"name":"Ada"}"#, "--quiet"]);
    assert_eq!(text(&ran.stdout), "{\"greeting\":\"Hello, Ada!\"}\n", "{}", text(&ran.stderr));
    let again = run(folder.path(), &[], &["new", "my-words"]);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
    for name in ["My Words", "1st", "../.."] {
        assert_eq!(run(folder.path(), &[], &["new", name]).status.code(), Some(2), "{name}");
    }
}

/// `sunaba build` in a folder.
fn build(folder: &Path, arguments: &[&str]) -> Output {
    let mut build = Command::new(binaries().join("sunaba"));
    build.arg("build").args(arguments).current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    build.env("CARGO", env!("CARGO"));
    build.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
    if let Ok(compiler) = std::fs::read_to_string(guests().join("rustc")) {
        build.env("RUSTC", compiler);
    }
    build.output().expect("the binary starts")
}

#[test]
fn what_is_no_project_of_a_handler_is_not_built() {
    let folder = tempfile::tempdir().expect("a folder");
    let failed = |code, what: &str| {
        let built = build(folder.path(), &["-q"]);
        let said = text(&built.stderr);
        assert_eq!((built.status.code(), text(&built.stdout)), (Some(code), String::new()), "{said}");
        assert!(said.contains(what) && said.contains("\nhint: "), "{said}");
    };
    failed(3, "error: there is no `Cargo.toml` in `.`\n");
    let manifest = "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::create_dir(folder.path().join("src")).expect("made");
    std::fs::write(folder.path().join("src/lib.rs"), "").expect("written");
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
    failed(8, "error: cargo has built no component\n");
    std::fs::write(folder.path().join("Cargo.toml"), format!("{manifest}[lib]\ncrate-type = [\"cdylib\"]\n"))
        .expect("written");
    failed(8, "is not a component of task handlers");
    std::fs::write(folder.path().join("src/lib.rs"), "fn").expect("written");
    failed(1, "error: `cargo build --target wasm32-wasip2` ended with ");
}

/// The unit and the image run what there is.
#[test]
fn unit_and_image_call_the_binary_as_it_is() {
    let ops = root().join("runtime/ops");
    let unit = std::fs::read_to_string(ops.join("sunaba.service")).expect("it is there");
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "User=sunaba"] {
        assert!(unit.lines().any(|own| own == line), "{line}");
    }
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/sunaba ")).expect("a start");
    let words: Vec<_> = start.split(' ').map(|word| if word.starts_with('/') { "x" } else { word }).collect();
    // Every flag is one: with help beside them, nothing is started.
    let help = sunaba(words.into_iter().chain(["--help"]));
    assert_eq!(help.status.code(), Some(0), "{}", text(&help.stderr));
    let image = std::fs::read_to_string(ops.join("Dockerfile")).expect("it is there");
    assert!(image.lines().any(|line| line == "USER nonroot") && image.contains("CMD [\"serve\"]"));
}
