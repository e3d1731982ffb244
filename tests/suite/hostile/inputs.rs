//! Inputs that mean harm: JSON that is deep, endless, twice or half there. Each is answered, and the host goes on.

use crate::support::Host;

/// A name, the input as it goes over the wire, and the statuses that are an answer.
fn inputs() -> Vec<(&'static str, String, &'static [&'static str])> {
    const REFUSED: &[&str] = &["400", "413", "422"];
    const EITHER: &[&str] = &["200", "201", "400", "413", "422"];
    let keys: String = (0..100_000).map(|key| format!("\"k{key}\":0,")).collect();
    vec![
        ("arrays 100,000 deep", "[".repeat(100_000) + &"]".repeat(100_000), REFUSED),
        ("arrays that never end", "[".repeat(500_000), REFUSED),
        ("objects 100,000 deep", "{\"a\":".repeat(100_000) + "0" + &"}".repeat(100_000), REFUSED),
        ("100,000 keys", format!("{{{keys}\"name\":\"Ada\"}}"), EITHER),
        ("a key twice", r#"{"name":"Ada","name":{"x":1}}"#.into(), REFUSED),
        ("a number beyond all", r#"{"name":"Ada","age":1e999999}"#.into(), EITHER),
        ("a number of 100,000 digits", format!(r#"{{"name":{}}}"#, "9".repeat(100_000)), REFUSED),
        ("half a character", r#"{"name":"\ud800"}"#.into(), EITHER),
        ("a character of nothing", "{\"name\":\"\\u0000\"}".into(), EITHER),
        ("escape sequences", r#"{"name":"\u001b[2J\u001b]0;x\u0007"}"#.into(), EITHER),
        ("no value", String::new(), REFUSED),
        ("two values", r#"{"name":"Ada"} {"name":"Bob"}"#.into(), REFUSED),
        ("a comment", r#"{"name":"Ada" /* root */}"#.into(), REFUSED),
        ("a prototype", r#"{"name":"Ada","__proto__":{"admin":true}}"#.into(), EITHER),
    ]
}

#[test]
fn hostile_inputs_are_answered() {
    let host = Host::start(&[]);
    host.deploy("hello");
    for (name, input, answers) in inputs() {
        let body = format!(r#"{{"handler":"hello/hello","input":{input}}}"#);
        let (status, answer) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", &body);
        assert!(answers.contains(&status.as_str()), "{name}: {status} {}", &answer[..answer.len().min(300)]);
        assert!(answer.len() < 64 << 10, "{name}: the answer has {} bytes", answer.len());
    }
    // The same as what is around an input.
    for body in ["[".repeat(200_000), "{\"handler\":".repeat(100_000), "null".into(), "\0".into()] {
        let (status, _) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", &body);
        assert!(["400", "413", "422"].contains(&status.as_str()), "{status}");
    }
    let greeted = host.json(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#, "--wait"]);
    assert_eq!(greeted["state"], "succeeded");
}
