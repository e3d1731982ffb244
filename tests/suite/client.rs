//! The example of the client, as a developer runs it.

use std::process::Command;

use sunaba_runtime::client::{Client, task};
use sunaba_runtime::server::api::Cancel;

use crate::support::{Host, binaries, block_on, root, text};

#[test]
fn example_of_the_client_submits_waits_and_follows() {
    let host = Host::start(&[]);
    let example = || Command::new(binaries().join("examples/submit")).args([&host.address, "Ada"]).output();
    let refused = example().expect("it was built with the tests");
    assert_eq!(text(&refused.stderr), "Error: \"nobody has deployed `hello`\"\n");
    host.deploy("hello");
    let output = example().expect("it starts");
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)));
    let said = text(&output.stdout);
    let words: Vec<_> = said.lines().map(|line| line.split_once(' ').map_or(line, |(_, word)| word)).collect();
    assert_eq!(said.lines().next(), Some("Hello, Ada!"));
    assert_eq!((words[1], words.last()), ("submitted", Some(&"succeeded")), "{said}");
    // The key is the same, and so is the task.
    assert_eq!(text(&example().expect("it starts").stdout), said);
}

#[test]
fn example_of_the_client_ends_with_a_task_that_was_cancelled() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "pause", "default"]);
    // As the example submits it: with this key it is its task.
    let mut hello = task("hello/hello", &serde_json::json!({ "name": "Grace" })).expect("JSON");
    hello.idempotency_key = Some("greet-Grace".into());
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let submitted = client.submit_task(&hello).await.expect("it is taken on");
        client.cancel_task(submitted.id.parse().expect("an id"), &Cancel::default()).await.expect("it waits");
    });
    let output = Command::new(binaries().join("examples/submit")).args([&host.address, "Grace"]).output();
    let output = output.expect("it starts");
    let said = text(&output.stdout);
    assert!(said.ends_with(" cancelled\n"), "{said}{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn readme_shows_the_example_of_the_client_as_it_is() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect("it is there");
    let example = read("sdk/client/examples/submit.rs");
    let (_, code) = example.split_once("\n\n").expect("a head");
    let is_for_people = |line: &&str| !line.starts_with("#[expect(");
    let code: Vec<_> = code.lines().filter(is_for_people).collect();
    assert!(read("README.md").contains(&code.join("\n")));
}
