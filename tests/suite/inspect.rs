//! `sunaba component inspect`: all that a component is, asks for and limits itself to, before anybody runs it.

use serde_json::{Value, json};

use crate::support::{guest, sunaba, text};

#[test]
fn inspect_tells_settings_limits_and_requests_apart() {
    let file = guest("manifest").display().to_string();
    let output = sunaba(["component", "inspect", &file]);
    let shown = text(&output.stdout);
    for line in [
        "  exports  sunaba:task/handlers@0.1.0",
        "handler manifest",
        "  settings  all by default",
        "  limits    timeout 5s, memory 16.0 MiB, open-files 8",
        "  grants    env COLOR, dirs /in,/out:rw, http https://api.example.com, secrets API_KEY, scratch 64.0 MiB, clock fine",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    for part in ["  digest   sha256:", "  size     ", "           wasi:filesystem/types@", "  output    {"] {
        assert!(shown.lines().any(|shown| shown.starts_with(part)), "{part}\n{shown}");
    }
}

#[test]
fn inspect_as_json_carries_what_is_asked_for() {
    let file = guest("manifest").display().to_string();
    let output = sunaba(["component", "inspect", &file, "-o", "json"]);
    let info: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let handler = &info["handlers"][0];
    let expected = json!({
        "env": ["COLOR"], "dirs": ["/in", "/out:rw"], "http": ["https://api.example.com"], "secrets": ["API_KEY"],
        "scratch_bytes": 64 << 20, "clock": "fine",
    });
    assert_eq!(handler["requests"], expected);
    assert_eq!(handler["settings"]["limits"], json!({"open-files": 8}));
    assert_eq!(
        (&handler["settings"]["timeout_ms"], &handler["settings"]["memory_bytes"]),
        (&json!(5_000), &json!(16 << 20))
    );
    assert!(info["size_bytes"].as_u64().is_some_and(|size| size > 1_000));
}
