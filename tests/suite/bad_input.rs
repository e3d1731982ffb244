//! Bad input of every kind: one line that says what was tried, a hint, and the right exit code.

use std::path::Path;

use crate::support::{Host, guest, sunaba, text};

/// What `sunaba` answers: its exit code and standard error. Nothing may be on standard output.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = sunaba(arguments.iter().copied());
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    (output.status.code().expect("it was not killed"), text(&output.stderr))
}

fn hello(more: &[&str]) -> (i32, String) {
    let file = guest("hello").display().to_string();
    let mut arguments = vec!["run", &file, "hello"];
    arguments.extend(more);
    refused(&arguments)
}

fn file_with(folder: &Path, bytes: &[u8]) -> String {
    let file = folder.join("file.wasm");
    std::fs::write(&file, bytes).expect("written");
    file.display().to_string()
}

#[test]
fn file_that_is_no_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[u8], &str, &str); 5] = [
        (b"", "it is not a WebAssembly file", "wasm32-wasip2"),
        (b"hello there, I am text", "it is not a WebAssembly file", "wasm32-wasip2"),
        (b"\0asm\x01\0\0\0", "it is a core WebAssembly module, not a component", "wasm32-wasip2"),
        (b"\0asm\x0d\0\x01\0\xff", "it is not a valid component: ", "build it again"),
        (b"\0asm\x0d\0\x01\0", "it is not a component of task handlers: it exports nothing", "sunaba_sdk::export!"),
    ];
    for (bytes, message, hint) in cases {
        let file = file_with(folder.path(), bytes);
        for command in [&["run", &file, "hello"][..], &["component", "inspect", &file]] {
            let (code, shown) = refused(command);
            assert_eq!(code, 8, "{shown}");
            assert!(shown.starts_with(&format!("error: cannot load `{file}`: {message}")), "{shown}");
            let hints = shown.lines().nth(1).is_some_and(|line| line.starts_with("hint: ") && line.contains(hint));
            assert!(hints, "{shown}");
        }
    }
}

#[test]
fn component_for_another_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = |name: &str| {
        let text = format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
        file_with(folder.path(), &wat::parse_str(text).expect("the test's own text"))
    };
    for (name, message) in [
        ("wasi:cli/run@0.2.0", "it is not a component of task handlers: it exports `wasi:cli/run@0.2.0`"),
        ("sunaba:task/handlers@0.2.0", "it exports `sunaba:task/handlers@0.2.0`; this host serves sunaba:task 0.1"),
        ("sunaba:task/policy@0.1.0", "it does not fit sunaba:task 0.1"),
    ] {
        let (code, shown) = refused(&["run", &other(name), "x"]);
        assert_eq!(code, 8, "{shown}");
        assert!(shown.contains(message), "{shown}");
    }
}

#[test]
fn file_that_is_not_there() {
    const NOWHERE: &str =
        "No such file or directory (os error 2)\nhint: check the path, and the folder that you are in\n";
    assert_eq!(
        refused(&["run", "nowhere.wasm", "hello"]),
        (3, format!("error: cannot read `nowhere.wasm`: {NOWHERE}"))
    );
    assert_eq!(hello(&["--input", "@nowhere.json"]), (3, format!("error: cannot read `nowhere.json`: {NOWHERE}")));
    let (code, shown) = refused(&["component", "inspect", "."]);
    let expected = "error: cannot read `.`: Is a directory (os error 21)\nhint: name a file that you can read\n";
    assert_eq!((code, shown.as_str()), (8, expected));
}

#[test]
fn unknown_handler_is_told_which_there_are() {
    let file = guest("hello").display().to_string();
    let (code, shown) = refused(&["run", &file, "goodbye", "--input", "{}"]);
    assert_eq!((code, shown.as_str()), (3, "error: the component has no handler `goodbye`\nhint: it has `hello`\n"));
}

#[test]
fn wrong_json() {
    let deep = "[".repeat(100_000);
    for (input, problem) in [
        ("{name: Ada}", "key must be a string at line 1 column 2"),
        ("", "EOF while parsing a value at line 1 column 0"),
        (deep.as_str(), "recursion limit exceeded at line 1 column 128"),
    ] {
        let (code, shown) = hello(&["--input", input]);
        assert_eq!(code, 8, "{shown}");
        assert!(shown.starts_with(&format!("error: the input is not JSON: {problem}\nhint: ")), "{shown}");
    }
}

#[test]
fn json_that_does_not_match_the_schema() {
    for (input, violation) in [
        ("{}", "\"name\" is a required property"),
        (r#"{"name":5}"#, "at `/name`: 5 is not of type \"string\""),
        ("[1]", "[1] is not of type \"object\""),
    ] {
        let (code, shown) = hello(&["--input", input]);
        assert_eq!(code, 8, "{shown}");
        let expected = format!("error: the input does not match the schema of `hello`: {violation}\nhint: ");
        assert!(shown.starts_with(&expected), "{shown}");
    }
    // The message stays short however long the input is.
    let long = format!(r#"{{"name":[{}1]}}"#, "1,".repeat(10_000));
    let (code, shown) = hello(&["--input", &long]);
    assert!(code == 8 && shown.len() < 600, "{shown}");
    // No input at all is `null`.
    let (code, shown) = hello(&[]);
    assert_eq!(code, 8);
    assert!(shown.contains("null is not of type \"object\""), "{shown}");
}

#[test]
fn input_that_is_too_large() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("large.json");
    std::fs::write(&file, vec![b' '; (16 << 20) + 1]).expect("written");
    let (code, shown) = hello(&["--input", &format!("@{}", file.display())]);
    assert_eq!(
        (code, shown),
        (8, format!("error: `{}` has more than 16.0 MiB\nhint: that is the limit\n", file.display()))
    );
}

#[test]
fn directory_that_cannot_be_granted() {
    let file = guest("manifest").display().to_string();
    let run = |grant: &str| refused(&["run", &file, "manifest", "--dir", grant]);
    let (code, shown) = run("nowhere::/in");
    assert_eq!(code, 3);
    assert!(shown.starts_with("error: cannot grant `nowhere::/in`: `nowhere`: No such file or directory"), "{shown}");
    assert!(shown.contains("\nhint: "), "{shown}");
    let (code, shown) = run("Cargo.toml::/in");
    assert_eq!(code, 8);
    assert!(shown.starts_with("error: cannot grant `Cargo.toml::/in`: `Cargo.toml`: Not a directory"), "{shown}");
}

#[test]
fn flag_values_that_cannot_be() {
    for (flag, value, message) in [
        ("--timeout", "5", "`5` is not a duration"),
        ("--timeout", "soon", "`soon` is not a duration"),
        ("--timeout", "0s", "the timeout `0us` is out of range"),
        ("--timeout", "48h", "the timeout `2 days` is out of range"),
        ("--memory", "lots", "`lots` is not a size"),
        ("--memory", "1KiB", "the memory limit `1.0 KiB` is out of range"),
        ("--memory", "5GiB", "the memory limit `5.0 GiB` is out of range"),
        ("--fuel", "0", "`0` is not a fuel limit"),
        ("--fuel", "-5", "`-5` is not a fuel limit"),
        ("--fuel", "full", "`full` is not a fuel limit"),
        ("--dir", "/data", "`/data` is not a directory grant"),
        ("--dir", "/data::data", "the guest path `data` is not absolute"),
        ("--env", "COLOR", "`COLOR` is not an environment variable"),
        ("--http", "api.example.com", "`api.example.com` is not a grant of requests"),
        ("--http", "https://a@10.0.0.0/33", "`10.0.0.0/33` is not a block of addresses"),
        ("--scratch", "lots", "`lots` is not a size"),
        ("--limit", "speed=9", "there is no limit `speed`"),
        ("--limit", "output=1TiB", "the limit `output` cannot be `1TiB`"),
        ("--limit", "output", "`output` sets no limit"),
        ("--secret", "hunter2", "a secret has a name of up to 64 capital letters"),
        ("--secret", "KEY=hunter2", "what is said of the secret `KEY` does not tell where it is"),
        ("--secret", "KEY=env:X@https://*.a.b", "the secret `KEY` cannot be for `https://*.a.b`"),
        ("-o", "xml", "invalid value 'xml' for '--format <FORMAT>'"),
    ] {
        let (code, shown) = hello(&["--input", r#"{"name":"Ada"}"#, &format!("{flag}={value}")]);
        assert_eq!(code, 2, "{flag} {value}: {shown}");
        assert!(shown.starts_with("error: ") && shown.contains(message), "{flag} {value}: {shown}");
        assert!(shown.contains("hint: ") || shown.contains("possible values"), "{flag} {value}: {shown}");
    }
}

#[test]
fn grants_that_hide_each_other() {
    for more in [["--dir=sdk::/data", "--dir=wit::/data:rw"], ["--env=K=1", "--env=K=2"]] {
        let (code, shown) = hello(&["--input", r#"{"name":"Ada"}"#, more[0], more[1]]);
        assert_eq!(code, 2, "{shown}");
        assert!(shown.contains("is granted twice\nhint: "), "{shown}");
    }
}

#[test]
fn command_line_that_cannot_be() {
    for arguments in [&[][..], &["dance"], &["run"], &["run", "x.wasm"], &["component"], &["run", "a", "b", "--wings"]]
    {
        let (code, shown) = refused(arguments);
        assert_eq!(code, 2, "{arguments:?}: {shown}");
        assert!(shown.contains("Usage: sunaba"), "{arguments:?}: {shown}");
    }
}

/// What a command of a host's user is answered.
fn refused_by(host: &Host, arguments: &[&str]) -> (i32, String) {
    let output = host.sunaba(arguments.iter().copied());
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    (output.status.code().expect("it was not killed"), text(&output.stderr))
}

/// Every refusal below leaves the queue as it was.
fn has_no_task(host: &Host) {
    let listed = host.sunaba(["task", "list", "-o", "json"]);
    assert_eq!((listed.status.code(), text(&listed.stdout)), (Some(0), String::new()));
}

#[test]
fn no_host_to_talk_to() {
    for command in [&["task", "list"][..], &["handler", "list"], &["task", "submit", "hello/hello"]] {
        let arguments = [command, &["--address", "http://127.0.0.1:1"]].concat();
        let (code, shown) = refused(&arguments);
        assert_eq!(code, 6, "{shown}");
        assert!(shown.starts_with("error: no host answers at http://127.0.0.1:1: Connection refused"), "{shown}");
        assert!(shown.contains("\nhint: start one with `sunaba serve`"), "{shown}");
    }
    let (code, shown) = refused(&["task", "list", "--address", "localhost"]);
    assert_eq!(code, 2, "{shown}");
    assert!(shown.starts_with("error: `localhost` is not the address of a host\nhint: "), "{shown}");
}

#[test]
fn data_directory_that_another_host_has() {
    let host = Host::start(&[]);
    let data = host.data.path().join("data").display().to_string();
    let (code, shown) = refused(&["serve", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(code, 6, "{shown}");
    assert!(
        shown.starts_with(&format!("error: the data directory `{data}` is in use by another host (process ")),
        "{shown}"
    );
    assert!(shown.contains("\nhint: stop that one, or name another directory with `--data`\n"), "{shown}");
    has_no_task(&host);
}

#[test]
fn data_directory_that_cannot_be() {
    let (code, shown) = refused(&["serve", "--listen", "127.0.0.1:0", "--data", "Cargo.toml"]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.starts_with("error: cannot open the data directory `Cargo.toml`: "), "{shown}");
    assert!(shown.contains("\nhint: "), "{shown}");
}

#[test]
fn port_that_is_in_use_leaves_nothing_behind() {
    let host = Host::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let address = host.address.strip_prefix("http://").expect("an address");
    let (code, shown) = refused(&["serve", "--listen", address, "--data", &data.display().to_string()]);
    assert_eq!(code, 6, "{shown}");
    assert!(shown.starts_with(&format!("error: cannot listen on {address}: the port is in use\nhint: ")), "{shown}");
    assert!(!data.exists());
    let (code, shown) = refused(&["serve", "--listen", "0.0.0.0:0", "--data", &data.display().to_string()]);
    assert_eq!(code, 2, "{shown}");
    assert!(shown.contains("it is not a loopback address, and there is no API key that is good\nhint: "), "{shown}");
    assert!(!data.exists());
}

#[test]
fn task_for_a_handler_that_is_not_deployed() {
    let host = Host::start(&[]);
    let (code, shown) = refused_by(&host, &["task", "submit", "nobody/hello"]);
    let hint = "hint: deploy it with `sunaba handler deploy COMPONENT.wasm`\n";
    assert_eq!((code, shown), (3, format!("error: no package `nobody` is deployed\n{hint}")));
    host.deploy("hello");
    let (code, shown) = refused_by(&host, &["task", "submit", "nobody/hello"]);
    let expected = "error: no package `nobody` is deployed\nhint: deployed are `hello`\n";
    assert_eq!((code, shown.as_str()), (3, expected));
    let (code, shown) = refused_by(&host, &["task", "submit", "hello/goodbye"]);
    let expected = "error: the package `hello` has no handler `goodbye`\nhint: it has `hello`\n";
    assert_eq!((code, shown.as_str()), (3, expected));
    for name in ["hello", "Hello/hello", "hello/../x", "hello/hello/hello"] {
        let (code, shown) = refused_by(&host, &["task", "submit", name]);
        assert_eq!(code, 2, "{shown}");
        assert!(shown.contains("does not name a handler\nhint: write PACKAGE/HANDLER"), "{shown}");
    }
    has_no_task(&host);
}

#[test]
fn task_whose_input_is_refused() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large.json");
    std::fs::write(&large, format!("\"{}\"", "x".repeat(1 << 20))).expect("written");
    let large = format!("@{}", large.display());
    for (input, message) in [
        ("{name: Ada}", "the input is not JSON: "),
        ("{}", "the input does not match the schema of `hello`: \"name\" is a required property\n"),
        (large.as_str(), "the input has 1.0 MiB; the limit is 1.0 MiB\n"),
    ] {
        let (code, shown) = refused_by(&host, &["task", "submit", "hello/hello", "--input", input]);
        assert_eq!(code, 8, "{shown}");
        assert!(shown.starts_with(&format!("error: {message}")) && shown.contains("\nhint: "), "{shown}");
    }
    has_no_task(&host);
}

#[test]
fn directory_that_the_host_does_not_allow() {
    let allowed = crate::support::root().join("guest-examples");
    let host = Host::start(&["--allow-dir", &format!("{}:ro", allowed.display())]);
    host.deploy("open-ungranted");
    let submit = |grant: &str| refused_by(&host, &["task", "submit", "open-ungranted/open-ungranted", "--dir", grant]);
    for outside in ["/etc", "/nowhere", "sdk"] {
        let (code, shown) = submit(&format!("{outside}::/data"));
        assert_eq!(code, 5, "{shown}");
        assert!(shown.contains("is not one that this host allows to grant\nhint: "), "{shown}");
        assert!(shown.contains(&format!("it allows `{}`", allowed.display())), "{shown}");
    }
    for missing in ["guest-examples/nowhere", "guest-examples/Cargo.toml", "guest-examples/../guest-examples"] {
        let (code, shown) = submit(&format!("{missing}::/data"));
        assert_eq!(code, 8, "{shown}");
        assert!(shown.contains("\nhint: "), "{shown}");
    }
    let (code, shown) = submit("guest-examples/hello::/data:rw");
    assert_eq!(code, 5, "{shown}");
    assert!(shown.contains("may be granted for reading only\nhint: "), "{shown}");
    has_no_task(&host);
}

#[test]
fn limits_over_the_ceiling_and_options_that_cannot_be() {
    let host = Host::start(&[]);
    host.deploy("hello");
    for (flag, value, code, message) in [
        ("--timeout", "11m", 8, "the timeout `11m` is over this host's ceiling of 10m\n"),
        ("--memory", "2GiB", 8, "the memory limit `2.0 GiB` is over this host's ceiling of 1.0 GiB\n"),
        ("--queue", "A b", 8, "the queue cannot be `A b`\nhint: "),
        ("--delay", "1000days", 8, "the delay cannot be `"),
        ("--idempotency-key", "", 8, "the idempotency key cannot be ``\nhint: it has 1 to 256 bytes"),
        ("--max-attempts", "0", 2, "invalid value '0' for '--max-attempts"),
        ("--priority", "2147483648", 2, "invalid value '2147483648' for '--priority"),
        ("--delay", "-5s", 2, "`-5s` is not a duration"),
        ("--run-at", "10000-01-01T00:00:00Z", 2, "`10000-01-01T00:00:00Z` is not an instant\nhint: "),
        ("--expires-in", "0s", 8, "the time to expire cannot be `0us`\nhint: "),
        ("--expires-in", "400days", 8, "the time to expire cannot be `1 year 1 month "),
        ("--tag", "", 8, "the tag cannot be ``\nhint: it has 1 to 64 bytes"),
        ("--tag", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", 8, "the number of tags cannot be `17`\nhint: "),
        ("--key", "a\nb", 8, "the key cannot be `a\\nb`\nhint: it has no control characters"),
        ("--max-hosts-lost", "0", 2, "invalid value '0' for '--max-hosts-lost"),
        ("--backoff", "often", 2, "`often` is not a backoff\nhint: "),
        ("--retry-on", "Network", 8, "the kinds to retry cannot be `Network`\nhint: "),
        ("--retry-for", "0s", 8, "the time for retries cannot be `0us`\nhint: it is above zero"),
        ("--unique", "", 8, "the unique key cannot be ``\nhint: it has 1 to 256 bytes"),
        ("--on-success", "nobody/hello", 3, "no package `nobody` is deployed\nhint: "),
        ("--on-failure", "hello", 2, "`hello` does not name a handler\nhint: "),
    ] {
        let option = format!("{flag}={value}");
        let (got, shown) =
            refused_by(&host, &["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#, &option]);
        assert_eq!(got, code, "{option}: {shown}");
        assert!(shown.starts_with("error: ") && shown.contains(message), "{option}: {shown}");
    }
    has_no_task(&host);
}

#[test]
fn numbers_that_cannot_be_are_refused_over_the_wire() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let large = "t".repeat(1 << 20);
    for (field, value, status) in [
        ("delay_ms", "-1", "400"),
        ("delay_ms", "1.5", "400"),
        ("delay_ms", "9223372036854775808", "422"),
        ("delay_ms", "18446744073709551616", "400"),
        ("run_at", r#""10000-01-01T00:00:00Z""#, "422"),
        ("run_at", r#""2026-01-31""#, "422"),
        ("expires_in_ms", "0", "422"),
        ("expires_in_ms", "18446744073709551615", "422"),
        ("expires_at", r#""tomorrow""#, "422"),
        ("priority", "2147483648", "400"),
        ("priority", "-2147483649", "400"),
        ("max_attempts", "0", "422"),
        ("max_attempts", "4294967296", "400"),
        ("max_hosts_lost", "0", "422"),
        ("timeout_ms", "0", "422"),
        ("timeout_ms", "18446744073709551615", "422"),
        ("memory_bytes", "18446744073709551615", "422"),
        ("fuel", r#""-1""#, "422"),
        ("backoff", r#""fixed(0s)""#, "422"),
        ("retry_for_ms", "0", "422"),
        ("retry_for_ms", "18446744073709551615", "422"),
        ("keep_result_ms", "18446744073709551615", "422"),
        ("retry_on", r#"["a b"]"#, "422"),
        ("tags", &format!(r#"["{large}"]"#), "422"),
        ("tags", r#"["a,b"]"#, "422"),
        ("key", &format!(r#""{large}""#), "422"),
        ("unique", r#"{"key":"k","window_ms":0}"#, "422"),
        ("unique", r#"{"key":"k","on_conflict":"fight"}"#, "422"),
        ("debounce", r#"{"key":"k","delay_ms":0}"#, "422"),
        ("debounce", r#"{"key":"k","delay_ms":18446744073709551615}"#, "422"),
        ("debounce", r#"{"key":"k","delay_ms":5000,"longest_ms":4999}"#, "422"),
        ("on_success", r#"["hello"]"#, "422"),
        ("on_success", &format!("[{}]", [r#""hello/hello""#; 9].join(",")), "422"),
        ("on_failure", r#"["nobody/hello"]"#, "404"),
    ] {
        let body = format!(r#"{{"handler":"hello/hello","input":{{"name":"Ada"}},"{field}":{value}}}"#);
        let (answered, problem) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", &body);
        let shown: String = value.chars().take(40).collect();
        assert_eq!(answered, status, "{field}: {shown}: {problem}");
        assert!(problem.len() < 1_000, "{field}: {shown}: {} bytes", problem.len());
    }
    for body in [
        r#"{"handler":"hello/hello","delay_ms":1,"run_at":"2026-01-31T12:00:00Z"}"#,
        r#"{"handler":"hello/hello","expires_in_ms":1,"expires_at":"2026-01-31T12:00:00Z"}"#,
        r#"{"handler":"hello/hello","delay_ms":1,"debounce":{"key":"k","delay_ms":1}}"#,
    ] {
        let (answered, problem) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", body);
        assert!(answered == "422" && problem.contains(r#""hint":"leave out"#), "{answered}: {problem}");
    }
    has_no_task(&host);
}

#[test]
fn component_that_cannot_be_deployed_leaves_no_trace() {
    let host = Host::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_with(folder.path(), b"hello there, I am text");
    let (code, shown) = refused_by(&host, &["handler", "deploy", &file]);
    assert_eq!(code, 8, "{shown}");
    assert!(shown.starts_with("error: it is not a WebAssembly file\nhint: "), "{shown}");
    let good = guest("hello").display().to_string();
    for name in ["..", "a/b", "A", ""] {
        let (code, shown) = refused_by(&host, &["handler", "deploy", &good, "--name", name]);
        assert_eq!(code, 8, "{name}: {shown}");
        assert!(shown.contains("cannot name a package\nhint: "), "{name}: {shown}");
    }
    assert_eq!(text(&host.sunaba(["handler", "list"]).stdout), "");
}

#[test]
fn task_that_is_not_there() {
    let host = Host::start(&[]);
    for command in [["task", "get"], ["task", "result"], ["task", "logs"], ["task", "cancel"]] {
        let unknown = [command[0], command[1], "01a1feb5-f1e9-7000-8000-00335c7532b0"];
        let (code, shown) = refused_by(&host, &unknown);
        assert_eq!(code, 3, "{shown}");
        assert!(shown.starts_with("error: there is no task 01a1feb5-f1e9-7000-8000-00335c7532b0\nhint: "), "{shown}");
        let (code, shown) = refused_by(&host, &[command[0], command[1], "mine"]);
        assert_eq!(code, 2, "{shown}");
        assert!(shown.contains("`mine` is not a task id\nhint: "), "{shown}");
    }
}
