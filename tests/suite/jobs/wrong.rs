//! What is no job, or too large a one: refused with its place, its task and a hint, and nothing of it is taken on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{Cancel, SubmitJob};
use sunaba_runtime::task::job::JobState;

use super::{JSON_HEADER, file};
use crate::support::{Host, block_on, text};

/// Each wrong job file, how its `job submit` ends, and what it says.
#[test]
fn wrong_jobs_are_refused_with_their_place_and_a_hint() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let node = |rest: &str| format!("[[nodes]]\nname = \"a\"\nhandler = \"hello/hello\"\n{rest}");
    let ada = "input = { name = \"Ada\" }\n";
    let two = |a: &str, b: &str| node(&format!("{ada}{a}")) + &node(&format!("{ada}{b}")).replacen("\"a\"", "\"b\"", 1);
    let mapped = |handler: &str, name: &str| {
        format!("[[nodes]]\nname = \"{name}\"\nmap = {{ handler = \"{handler}\", inputs = [] }}\n")
    };
    for (job, code, said) in [
        (
            two("after = [\"b\"]\n", "after = [\"a\"]\n"),
            8,
            "wait for each other in a circle: `a` waits for `b` waits for `a`",
        ),
        (two("", "after = [\"c\"]\n"), 8, "`b` waits for `c`, which the plan does not have"),
        (two("", "").replace("\"b\"", "\"a\""), 8, "two tasks of the plan are named `a`"),
        (two("", "").replacen("hello/hello", "nobody/hello", 1), 3, "task `a`: no package `nobody` is deployed"),
        (two("", "").replacen("hello/hello", "hello/bye", 1), 3, "task `a`: the package `hello` has no handler `bye`"),
        (
            two("", "").replacen("Ada", "Ada\", nam = \"x", 1).replacen("name = \"Ada\",", "", 1),
            8,
            "task `a`: the input does not match the schema of `hello`",
        ),
        (
            format!("budget = {{ attempts = 0 }}\n{}", node(ada)),
            8,
            "the budget `attempts` cannot be 0: it is at least 1",
        ),
        (format!("budget = {{ time = \"soon\" }}\n{}", node(ada)), 8, "`soon` is not a duration"),
        (format!("result = \"z\"\n{}", node(ada)), 8, "result is to be that of `z`, which its plan does not have"),
        (node("prioritty = 3\n"), 8, ":4:1` is not a job: task `a`: unknown field `prioritty`"),
        (node("priority = \"high\"\n"), 8, ":4:1` is not a job: task `a`: the field `priority`: invalid type"),
        (
            node("timeout = 5\n"),
            8,
            "unknown field `timeout`\nhint: did you mean `timeout_ms`? a task of a job has `name`, ",
        ),
        (node(&format!("{ada}after = \"b\"\n")), 8, "`a` waits for `b`, which the plan does not have"),
        (node("after = 7\n"), 8, "the field `after`: invalid type: integer `7`, expected a list of dependencies"),
        (node("map = []\n"), 8, "the field `map`: invalid type: sequence, expected a map, such as `{"),
        (
            two("", "after = [\"as/*\"]\n").replacen("\"a\"", "\"a/1\"", 1),
            8,
            "`b` waits for `as/*`, which the plan does not have\nhint: there is `a/*`",
        ),
        (mapped("hello/hello", "x") + &mapped("hello/hello", "x"), 8, "task `x`: there are two maps of this name"),
        (mapped("nobody/hello", "x"), 3, "task `x`: no package `nobody` is deployed"),
        (mapped("hello/hello", &"x".repeat(127)), 8, "cannot name a task of a job"),
        (
            format!("budget = [1]\n{}", node(ada)),
            8,
            ":1:1` is not a job: invalid type: sequence, expected a budget, such as",
        ),
        (format!("budget = {{ time = \"0s\" }}\n{}", node(ada)), 8, "the budget `time` cannot be 0s: it is above zero"),
        (format!("budget = {{ time = \"9000h\" }}\n{}", node(ada)), 8, "the budget `time` cannot be 9000h: it is"),
        (node(ada).replace("name = \"a\"\n", ""), 8, "task 1 of the plan: it has no `name`"),
        (node(ada).replace("handler = \"hello/hello\"\n", ""), 8, "task `a`: it has no `handler`"),
        (node("map = { handler = \"hello/hello\", inputs = [] }\n"), 8, "`map` has a handler and inputs of its own"),
        ("nme = \"x\"\n".to_owned() + &node(ada), 8, ":1:1` is not a job: unknown field `nme`"),
        ("name = \n".to_owned(), 8, ":1:"),
        ("name = \"x\"\n".to_owned(), 8, "it has no tasks"),
        (String::new(), 8, "it is empty"),
    ] {
        let output = host.sunaba(["job", "submit", &file(&host, "job.toml", &job)]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{job}{error}");
        assert!(error.contains(said) && error.contains("\nhint: "), "{job}{error}");
    }
    let output = host.sunaba(["job", "submit", &file(&host, "job.json", b"{\"name\": \"\xff\"}")]);
    assert!(output.status.code() == Some(8) && text(&output.stderr).contains(":1:11` is not a job: it is not UTF-8"));
    assert_eq!(host.sunaba(["job", "submit", "nowhere.toml"]).status.code(), Some(3));
    assert_eq!(host.ok(&["job", "list", "-q"]), "", "nothing was taken on");
}

#[test]
fn wrong_jobs_are_refused_over_http() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submit = |body: &str| {
        let (status, body) = host.raw("POST /v1/jobs", JSON_HEADER, body);
        let problem: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        (status, problem["detail"].as_str().expect("a detail").to_owned(), problem["hint"].is_string())
    };
    let node = |name: &str, more: &str| {
        format!("{{\"name\":\"{name}\",\"handler\":\"hello/hello\",\"input\":{{\"name\":\"x\"}}{more}}}")
    };
    let job = |nodes: &[String]| format!("{{\"nodes\":[{}]}}", nodes.join(","));
    for (body, status, said) in [
        (job(&[node("a", ",\"after\":[\"a\"]")]), "422", "in a circle: `a` waits for `a`"),
        (job(&[node("a", ",\"after\":[\"b\"]")]), "422", "`a` waits for `b`, which the plan does not have"),
        (job(&[node("a", "").replace("hello/", "nobody/")]), "404", "task `a`: no package `nobody` is deployed"),
        (
            job(&[node("a", "").replace("{\"name\":\"x\"}", "7")]),
            "422",
            "task `a`: the input does not match the schema",
        ),
        (job(&[node("a", ",\"idempotency_key\":\"k\"")]), "422", "task `a`: the idempotency key cannot be `k`"),
        (
            job(&[node("a", "")]).replace("{\"nodes\"", "{\"budget\":{\"tasks\":0},\"nodes\""),
            "422",
            "the budget `tasks` cannot be 0",
        ),
    ] {
        let (given, detail, has_hint) = submit(&body);
        assert!(given == status && detail.contains(said) && has_hint, "{body}: {given} {detail}");
    }
    let (status, detail, _) = submit(&job(&[node("a", ",\"priority\":\"high\"")]));
    assert_eq!(status, "400");
    assert!(
        detail.contains("task `a`: the field `priority`: invalid type: string \"high\", expected i32 at line 1"),
        "{detail}"
    );
    let (status, detail, has_hint) = submit("{\"nodes\":[{\"name\":\"a\",\"x\":1}]}");
    assert!(status == "400" && has_hint && detail.contains("task `a`: unknown field `x` at line 1 column"), "{detail}");
    let (status, detail, has_hint) = submit("{}");
    assert!(status == "400" && has_hint && detail.contains("missing field `nodes`"), "{detail}");
    let (status, detail, _) = submit("{\"nodes\":[{\"name\":\"a\",\"name\":\"b\"}]}");
    assert!(status == "400" && detail.contains("task `a`: duplicate field `name` at line 1"), "{detail}");
    let (status, detail, has_hint) = submit("{\"nme\":\"x\",\"nodes\":[]}");
    assert!(status == "400" && has_hint && detail.contains("unknown field `nme` at line 1"), "{detail}");
    for path in ["GET /v1/jobs/7", "GET /v1/jobs?state=queued", "GET /v1/jobs?before=x"] {
        assert_eq!(host.raw(path, "", "").0, "422", "{path}");
    }
    let nobody = "00000000-0000-7000-8000-000000000000";
    for path in ["", "/result", "/tasks", "/outputs"] {
        let (status, body) = host.raw(&format!("GET /v1/jobs/{nobody}{path}"), "", "");
        assert!(status == "404" && body.contains("there is no job"), "{body}");
    }
    assert_eq!(host.raw(&format!("POST /v1/jobs/{nobody}/cancel"), JSON_HEADER, "{}").0, "404");
    assert_eq!(host.sunaba(["job", "get", nobody]).status.code(), Some(3));
    assert_eq!(host.sunaba(["job", "get", "seven"]).status.code(), Some(2));
}

/// A plan of `count` tasks that wait for an hour.
fn plan(count: usize) -> String {
    let node = |number| {
        format!(
            "{{\"name\":\"part/{number}\",\"handler\":\"hello/hello\",\"input\":{{\"name\":\"x\"}},\"delay_ms\":3600000}}"
        )
    };
    format!("{{\"nodes\":[{}]}}", (0..count).map(node).collect::<Vec<_>>().join(","))
}

#[test]
fn number_of_tasks_of_a_plan_obeyed() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submit: SubmitJob = serde_json::from_str(&plan(100_000)).expect("it is within the limit");
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let job = client.submit_job(&submit).await.expect("it is taken on");
        assert_eq!((job.state, job.tasks.total), (JobState::Running, 100_000));
        let cancelled =
            client.cancel_job(job.id.parse().expect("an id"), &Cancel::default()).await.expect("it answers");
        assert_eq!((cancelled.stopped, cancelled.still_running), (100_000, 0));
    });
}

#[test]
fn number_of_tasks_of_a_plan_violated() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let (status, body) = host.raw("POST /v1/jobs", JSON_HEADER, &plan(100_001));
    assert!(status == "400" && body.contains("the plan has more than 100,000 tasks"), "{status} {body}");
    // Ten million: refused by their length, and none of it is read.
    let mut stream = TcpStream::connect(host.address.strip_prefix("http://").expect("an address")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n{JSON_HEADER}Content-Length: 600000000\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).expect("it answers");
    let answer = text(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("the body has more than 64.0 MiB"), "{answer}");
    let many = file(&host, "many.json", vec![b' '; (64 << 20) + 1]);
    let output = host.sunaba(["job", "submit", &many]);
    assert!(output.status.code() == Some(8) && text(&output.stderr).contains("has more than 64.0 MiB"));
}

/// A map of so many inputs, each of whose tasks waits for so many others.
fn edges(inputs: usize, after: usize) -> String {
    let names: Vec<_> = (1..=after).map(|number| format!("f{number}")).collect();
    let inputs = vec![json!({"name": "y"}); inputs];
    let map = json!({"name": "m", "after": names, "map": {"handler": "hello/hello", "inputs": inputs}});
    let first = |name| json!({"name": name, "handler": "hello/hello", "delay_ms": 3_600_000, "input": {"name": "x"}});
    let nodes: Vec<_> = names.into_iter().map(first).chain([map]).collect();
    json!({"nodes": nodes}).to_string()
}

#[test]
fn number_of_dependencies_of_a_plan_obeyed_and_violated() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submit = |body: &str| host.raw("POST /v1/jobs", JSON_HEADER, body);
    let (status, body) = submit(&edges(200, 1_000));
    assert_eq!(status, "201", "{body}");
    // Others have their turn while its tasks are made, and the host is not busy with it for long.
    assert_eq!(host.raw("GET /v1/jobs", "", "").0, "200");
    let id = serde_json::from_str::<Value>(&body).expect("JSON")["id"].as_str().expect("an id").to_owned();
    assert_eq!(host.raw(&format!("POST /v1/jobs/{id}/cancel"), JSON_HEADER, "{}").0, "200");
    let (status, body) = submit(&edges(201, 1_000));
    let said = "the tasks of the plan have more than 200,000 dependencies";
    assert!(status == "400" && body.contains(said), "{status} {body}");
    let (status, body) = submit(&edges(1, 1_001));
    let said = "the field `after`: it waits for more than 1,000 by name";
    assert!(status == "400" && body.contains(said), "{status} {body}");
    // What a map repeats is counted before it is repeated.
    let env = format!(r#""env":{{"A":"{}"}},"map""#, "x".repeat(6_000));
    let (status, body) = submit(&edges(50_000, 1).replace(r#""map""#, &env));
    assert!(status == "422" && body.contains("is more than 256.0 MiB together"), "{status} {body}");
}

#[test]
fn inputs_of_a_map_obeyed_and_violated() {
    let map = |name: usize, inputs: usize| {
        let inputs = vec!["0"; inputs].join(",");
        format!(r#"{{"name":"m{name}","map":{{"handler":"hello/hello","inputs":[{inputs}]}}}}"#)
    };
    let job = |maps: Vec<String>| format!(r#"{{"nodes":[{}]}}"#, maps.join(","));
    let read = |body: &str| serde_json::from_str::<SubmitJob>(body).map(|job| job.nodes.len());
    assert_eq!(read(&job(vec![map(1, 100_000)])).expect("it is within the limit"), 1);
    let error = read(&job(vec![map(1, 100_001)])).expect_err("one too many").to_string();
    assert!(error.contains("the plan has more than 100,000 tasks"), "{error}");
    // A map without inputs counts as one.
    let empty = |count: usize| job((0..count).map(|name| map(name, 0)).collect());
    assert_eq!(read(&empty(100_000)).expect("it is within the limit"), 100_000);
    assert!(read(&empty(100_001)).is_err());
}

#[test]
fn empty_groups_can_be_awaited_where_they_are_known() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let join = |known: &str, more: &str| {
        let join = "name = \"join\"\nhandler = \"hello/hello\"\ninput.name = \"Ada\"\nafter = \"part/*\"";
        format!("{known}[[nodes]]\n{join}\n{more}")
    };
    let map = "[[nodes]]\nname = \"part\"\nmap = { handler = \"hello/hello\", inputs = [] }\n";
    for job in [join("", map), join("may_be_empty = [\"part/*\"]\n", "")] {
        let output = host.sunaba(["job", "submit", "--wait", &file(&host, "job.toml", &job)]);
        assert_eq!(text(&output.stdout), "{\"greeting\":\"Hello, Ada!\"}\n", "{}", text(&output.stderr));
    }
    let none = file(&host, "none.toml", "\u{feff}nodes = []\n");
    assert_eq!(host.sunaba(["job", "submit", &none]).status.code(), Some(0));
    assert_eq!(host.raw("POST /v1/jobs", JSON_HEADER, "{\"nodes\":[]}").0, "201");
}
