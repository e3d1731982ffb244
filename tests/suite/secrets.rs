//! Secrets that a host keeps: their texts go in, and come out nowhere.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::{Host, binaries, text};

const TEXT: &str = "hunter2-and-more";

/// A secret, by standard input.
fn set(host: &Host, name: &str, secret: &str) -> (Option<i32>, String) {
    let mut command = Command::new(binaries().join("sunaba"));
    command.args(["secret", "set", name, "--host", "https://api.example.com", "--address", &host.address]);
    command.env("NO_COLOR", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the binary starts");
    process.stdin.take().expect("piped").write_all(secret.as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn text_of_a_secret_comes_out_nowhere() {
    let mut host = Host::start(&["-vv"]);
    assert_eq!(text(&host.sunaba(["secret", "list"]).stderr), "no secret is kept\n");
    let (code, said) = set(&host, "API_KEY", &format!("{TEXT}\n"));
    assert!(
        code == Some(0) && said.starts_with("secret       API_KEY\nhost         https://api.example.com"),
        "{said}"
    );
    let file = host.data.path().join("secret");
    std::fs::write(&file, TEXT).expect("written");
    let path = file.display().to_string();
    host.ok(&["secret", "set", "FROM_FILE", "--host=https://api.example.com", "--from-file", &path]);
    let mut everything = said + &host.ok(&["secret", "list"]) + &host.ok(&["secret", "list", "-o", "jsonl"]);
    assert!(everything.contains("FROM_FILE"), "{everything}");
    everything += &host.raw("GET /v1/secrets", "", "").1;
    everything += &host.raw("GET /v1/secrets/API_KEY", "", "").1;
    everything += &host.raw("GET /v1/host", "", "").1;
    everything += &host.ok(&["secret", "remove", "FROM_FILE"]);
    let again = host.sunaba(["secret", "remove", "FROM_FILE"]);
    assert_eq!(again.status.code(), Some(3));
    everything += &text(&again.stderr);
    let (code, said) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    everything += &said;
    let data = host.data.path().join("data").display().to_string();
    for command in ["verify", "info"] {
        let output = host.sunaba(["store", command, "--data", &data]);
        everything += &text(&output.stdout);
        everything += &text(&output.stderr);
    }
    assert!(!everything.contains("hunter2"), "{everything}");
    host.restart();
    assert!(host.ok(&["secret", "list"]).contains("API_KEY"), "it is kept");
}

#[test]
fn secrets_that_cannot_be_are_refused_without_their_texts() {
    let host = Host::start(&[]);
    for (name, secret, told) in [
        ("api-key", TEXT, "`api-key` cannot name a secret"),
        ("API_KEY", "", "the secret `API_KEY` is empty"),
        ("API_KEY", "hunter2\nhunter2", "has characters that no header of a request can have"),
        ("API_KEY", &TEXT.repeat(1_000), "the limit is 8.0 KiB"),
    ] {
        let (code, said) = set(&host, name, secret);
        assert!(code == Some(8) && said.contains(told) && !said.contains("hunter2"), "{said}");
    }
    let missing = host.sunaba(["secret", "set", "X", "--host=https://api.example.com", "--from-env", "SUNABA_NO_SUCH"]);
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing.stderr));
}
