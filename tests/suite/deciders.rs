//! Deciders: policies of packages. What they are checked for, what they decide in a real host, and that the built-in rules decide
//! where they do not.

use serde_json::{Value, json};
use sunaba_runtime::sandbox::{Sandbox, imports};
use sunaba_runtime::task::{DeciderAnswer, DeciderVerdict, Executor as _, NotDecided, Situation};

use crate::support::{Host, block_on, guest, load, sunaba, text};

/// A situation after failures of this kind, with this input.
fn situation(input: &str, failures: u32, kind: &str) -> Situation {
    let attempt = |number: u32| {
        json!({
            "number": number, "started_at_ms": 1, "ended_at_ms": 2, "fuel": 3, "peak_memory_bytes": 4,
            "observation": { "failed": { "kind": kind, "message": "m", "detail": null, "disposition": "ByPolicy" } },
        })
    };
    let situation = json!({
        "task_id": "0192-a", "handler": "a/b", "input": { "media_type": "application/json", "text": input },
        "failures": failures, "hosts_lost": 0, "max_attempts": 9, "now_ms": 5,
        "attempts": (1..=failures).map(attempt).collect::<Vec<_>>(), "budgets": [], "settings": [],
    });
    serde_json::from_value(situation).expect("it is one")
}

fn decide(name: &str, situation: Situation) -> Result<DeciderAnswer, NotDecided> {
    let sandbox = Sandbox::builder().start().expect("it starts");
    block_on(async {
        let component = load(&sandbox, name).await;
        sandbox.decide(component.digest, situation).await
    })
}

#[test]
fn decider_imports_nothing_and_what_it_imports_is_a_trap() {
    let of = |name: &str| imports(&std::fs::read(guest(name)).expect("it is there")).expect("it is one of ours");
    assert_eq!(of("decider"), Vec::<String>::new());
    assert!(of("impure-decider").len() > 3);
    let sandbox = Sandbox::builder().start().expect("it starts");
    let shown = |name| {
        let info = block_on(load(&sandbox, name));
        (info.handlers.len(), info.decider.map(|decider| decider.to_string()))
    };
    assert_eq!(shown("decider"), (0, Some("pure: no imports".into())));
    let (handlers, decider) = shown("impure-decider");
    assert!(handlers == 0 && decider.as_ref().is_some_and(|it| it.ends_with(" imports, each a trap")), "{decider:?}");
    assert_eq!(shown("hello"), (1, None));
}

#[test]
fn same_situation_gives_the_same_decision_with_the_same_fuel() {
    let first = decide("decider", situation("{}", 2, "network")).expect("it decides");
    assert_eq!(first.verdict, DeciderVerdict::RetryAfter(500));
    assert_eq!(first.reason, "`network` may pass");
    assert!((1..1_000_000).contains(&first.fuel), "{}", first.fuel);
    assert_eq!(decide("decider", situation("{}", 2, "network")), Ok(first));
}

#[test]
fn bounds_of_a_decision_obeyed() {
    let long = decide("bad-decider", situation("long-reason", 1, "a")).expect("it decides");
    assert_eq!(long.verdict, DeciderVerdict::GiveUp);
    assert!(long.reason.len() <= 1024 && long.reason.starts_with("one two xx") && long.reason.ends_with("..."));
    let large = "x".repeat(1 << 20);
    assert!(decide("bad-decider", situation(&large, 100, "a")).is_ok(), "a large input is within its memory");
}

#[test]
fn bounds_of_a_decision_violated() {
    for (how, says) in [
        ("spin", "it used up its fuel: the limit is 100,000,000"),
        ("fill", "it used up its fuel: the limit is 100,000,000"),
        ("trap", "it trapped: "),
        ("hoard", "it wanted "),
        ("giant-reason", "its answer has more than 4.0 MiB of room"),
        ("giant-plan", "its plan of 1 tasks has 2.0 MiB: the limit is 1.0 MiB"),
    ] {
        let why = decide("bad-decider", situation(how, 1, "a")).expect_err(how);
        assert!(why.reason.starts_with(says) && !why.reason.contains('\n'), "{how}: {why}");
        assert!(why.fuel.is_some_and(|fuel| fuel <= 100_000_000), "{how}: {why:?}");
    }
    let why = decide("impure-decider", situation("", 1, "a")).expect_err("it looks at the clock");
    assert!(why.reason.contains("wasi:clocks"), "{why}");
    let why = decide("hello", situation("", 1, "a")).expect_err("it has none");
    assert!(why.reason.ends_with("is not loaded, or has no policy"), "{why}");
}

fn decisions(story: &Value) -> Vec<&Value> {
    story["attempts"].as_array().expect("attempts").iter().map(|attempt| &attempt["decision"]).collect()
}

#[test]
fn decider_decides_in_a_host_and_its_decision_is_made_again_on_paper() {
    let host = Host::start(&[]);
    ["approval", "retry-or-fail"].into_iter().for_each(|name| host.deploy(name));
    let file = guest("decider").display().to_string();
    let deployed = host.sunaba(["handler", "deploy", &file]);
    assert!(text(&deployed.stderr).contains("decider, pure: no imports"), "{}", text(&deployed.stderr));
    assert!(host.ok(&["handler", "list"]).contains("decides, pure: no imports"));
    let input = r#"{"how":"plain"}"#;
    let submit =
        ["task", "submit", "retry-or-fail/retry-or-fail", "--decider", "decider", "--max-attempts", "9", "--input"];
    let id = host.ok(&[&submit[..], &[input]].concat());
    // What is deployed under its name later changes nothing of the task.
    let other = guest("bad-decider").display().to_string();
    host.ok(&["handler", "deploy", &other, "--name", "decider"]);
    host.until(&id, "blocked");

    let story = host.json(&["task", "explain", &id]);
    let decisions = decisions(&story);
    let told: Vec<_> = decisions.iter().map(|it| (&it["policy"]["name"], &it["verdict"], &it["delay_ms"])).collect();
    let (by, retry, split) = (json!("decider"), json!("retry"), json!("decompose"));
    let (short, long, none) = (json!(250), json!(500), Value::Null);
    assert_eq!(told, [(&by, &retry, &short), (&by, &retry, &long), (&by, &split, &none)]);
    let decider = &decisions[2]["decider"];
    assert_eq!((&decider["package"], &decider["verdict"]), (&by, &json!("do it by 1 task instead")));
    let seen = &decider["situation"];
    assert_eq!(
        (&seen["failures"], &seen["max_attempts"], &seen["input"]["text"]),
        (&json!(3), &json!(9), &json!(input))
    );
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(3));
    let shown = host.ok(&["task", "explain", &id]);
    assert!(
        shown.contains("\n  decider    decider@") && shown.contains(": do it by 1 task instead: failed 3 times"),
        "{shown}"
    );

    let paper = host.data.path().join("situation.json");
    std::fs::write(&paper, seen.to_string()).expect("written");
    let again = sunaba(["handler", "decide", &file, "--situation", &paper.display().to_string(), "-o", "json"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("{}", text(&again.stderr)));
    for field in ["verdict", "reason", "fuel", "component"] {
        assert_eq!(again[field], decider[field], "{field}");
    }

    let waits = host.lines(&["task", "list", "--waits-for-completion"]);
    let waits = match waits.first() {
        Some(task) => task["id"].as_str().expect("an id").to_owned(),
        None => {
            let tasks = host.lines(&["task", "list"]);
            let asked = tasks.iter().find(|task| task["handler"] == "approval/approval").expect("a person is asked");
            let asked = asked["id"].as_str().expect("an id").to_owned();
            host.until(&asked, "scheduled");
            asked
        }
    };
    host.ok(&["task", "complete", &waits, "--output", r#"{"approved":true}"#]);
    assert_eq!(host.ok(&["task", "result", &id, "--wait", "-q"]), r#"{"approved":true}"#);
}

/// What was decided about the only attempt, or the last.
fn last(host: &Host, id: &str) -> Value {
    let story = host.json(&["task", "explain", id]);
    decisions(&story).pop().expect("it has ended").clone()
}

#[test]
fn bad_decider_leaves_it_to_the_rules_and_harms_nobody() {
    let host = Host::start(&["--concurrency", "2"]);
    ["hello", "bad-decider", "impure-decider", "retry-or-fail"].into_iter().for_each(|name| host.deploy(name));
    let bad = |how: &str| {
        let input = json!({ "name": how }).to_string();
        host.ok(&[
            "task",
            "submit",
            "hello/hello",
            "--decider",
            "bad-decider",
            "--max-attempts",
            "3",
            "--input",
            &input,
        ])
    };
    let hows = [
        ("spin", "it used up its fuel"),
        ("trap", "it trapped"),
        ("hoard", "it wanted"),
        ("giant-reason", "its answer has more"),
        ("giant-plan", "its plan of 1 tasks has 2.0 MiB"),
        ("no-such-handler", "its plan cannot be run: "),
    ];
    let ids = hows.map(|(how, _)| bad(how));
    let (good, again) = (bad("nothing"), bad("retry-for-ever"));
    let others: Vec<_> =
        (0..5).map(|_| host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"sibling"}"#])).collect();
    for id in others {
        host.until(&id, "succeeded");
    }
    for (id, (how, says)) in ids.iter().zip(hows) {
        host.until(id, "succeeded");
        let decision = last(&host, id);
        let reason = decision["reason"].as_str().expect("text");
        let expected = format!("the handler completed; its decider `bad-decider` did not decide: {says}");
        assert!(reason.starts_with(&expected), "{how}: {reason}");
        assert_eq!((&decision["policy"]["name"], &decision["decider"]["verdict"]), (&json!("success"), &Value::Null));
    }
    host.until(&good, "succeeded");
    assert_eq!(last(&host, &good)["policy"]["name"], "decider");
    host.until_dead(&again);
    let decision = last(&host, &again);
    assert!(
        decision["reason"].as_str().is_some_and(|it| it.contains("its decider wanted a retry after")),
        "{decision}"
    );

    let fatal = ["task", "submit", "retry-or-fail/retry-or-fail", "--decider", "impure-decider", "--input"];
    let id = host.ok(&[&fatal[..], &[r#"{"how":"fatal"}"#]].concat());
    host.until_dead(&id);
    let decision = last(&host, &id);
    let reason = decision["reason"].as_str().expect("text");
    assert!(reason.contains("no retry would help; its decider `impure-decider` did not decide: "), "{reason}");
    assert!(reason.contains("wasi:clocks"), "{reason}");
}

#[test]
fn decider_that_is_not_there_is_refused_by_name() {
    let host = Host::start(&[]);
    ["hello", "decider"].into_iter().for_each(|name| host.deploy(name));
    let submit = |decider: &str| {
        let input = r#"{"name":"Ada"}"#;
        host.sunaba(["task", "submit", "hello/hello", "--input", input, "--decider", decider])
    };
    for (decider, says) in [
        (
            "nowhere",
            "`nowhere` cannot decide: no such package is deployed\nhint: deciders that are deployed are `decider`",
        ),
        ("hello", "`hello` cannot decide: it exports no policy\nhint: "),
    ] {
        let output = submit(decider);
        assert_eq!(output.status.code(), Some(8), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
    assert_eq!(submit("none").status.code(), Some(0));
    let file = host.data.path().join("job.json");
    let node =
        |decider: Value| json!({ "name": "a", "handler": "hello/hello", "input": { "name": "A" }, "decider": decider });
    for (job, policy) in [(node(Value::Null), "decider"), (node(json!("none")), "success")] {
        let job = json!({ "decider": "decider", "nodes": [job] });
        std::fs::write(&file, job.to_string()).expect("written");
        let id = host.ok(&["job", "submit", &file.display().to_string(), "-q"]);
        host.ok(&["job", "result", &id, "--wait"]);
        let tasks = host.lines(&["job", "tasks", &id]);
        let task = tasks[0]["id"].as_str().or(tasks[0]["task"].as_str()).expect("an id").to_owned();
        assert_eq!(last(&host, &task)["policy"]["name"], policy);
    }
}

#[test]
fn situation_that_is_not_whole_is_no_ground_for_a_decision() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("situation.json");
    let mut whole = serde_json::to_value(situation("{}", 1, "network")).expect("JSON");
    whole["input"] =
        json!({ "media_type": "a/b", "omitted": { "size_bytes": 9, "digest": format!("sha256:{:064}", 0) } });
    let (decider, path) = (guest("decider").display().to_string(), file.display().to_string());
    for (text_of, code, says) in [
        (whole.to_string(), 8, "the situation is not whole: the input was left out"),
        ("{}".into(), 8, "is no situation: "),
    ] {
        std::fs::write(&file, text_of).expect("written");
        let output = sunaba(["handler", "decide", &decider, "--situation", &path]);
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}
