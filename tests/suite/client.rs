//! The example of the client, as a developer runs it.

use std::process::Command;

use crate::support::{Host, binaries, root, text};

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
fn readme_shows_the_example_of_the_client_as_it_is() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect("it is there");
    let example = read("sdk/client/examples/submit.rs");
    let (_, code) = example.split_once("\n\n").expect("a head");
    let is_for_people = |line: &&str| !line.starts_with("#[expect(");
    let code: Vec<_> = code.lines().filter(is_for_people).collect();
    assert!(read("README.md").contains(&code.join("\n")));
}
