//! What a guest knows of time and chance: coarse clocks, counted random bytes, and deterministic attempts.

use std::sync::Arc;

use serde_json::{Value, json};
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{
    AttemptContext, AttemptReport, AttemptRequest, AttemptResult, Cause, ClockAccess, Executor as _, Fuel, FuelMode,
    Grants, Limit, Limits, Outcome, Payload, Seed, TaskId, Unattended,
};

use crate::support::{block_on, guest, load, run, run_json, stop, sunaba, text};

fn sandbox(shards: usize) -> Sandbox {
    Sandbox::builder().shards(shards).slots(4).start().expect("threads")
}

/// An interface that a guest without an SDK asks.
struct Asked {
    name: &'static str,
    kind: &'static str,
    lower: &'static str,
    core: &'static str,
}

/// A guest without an SDK, whose output is the number that `body` gives.
fn component(asked: &Asked, body: &str) -> Vec<u8> {
    let Asked { name, kind, lower, core } = asked;
    let text = format!(include_str!("clocks.wat"), name = name, kind = kind, lower = lower, core = core, body = body);
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

async fn dice(sandbox: &Sandbox, seed: Option<Seed>, clock: ClockAccess) -> AttemptReport {
    let component = load(sandbox, "dice").await;
    let attempt = Attempt::of(&component, "dice").expect("it is there").grants(Grants { clock, ..Grants::default() });
    let attempt = attempt.input(Payload::json(r#"{"dice":100}"#)).expect("it matches");
    run(sandbox, seed.into_iter().fold(attempt, Attempt::seed)).await
}

fn output(report: &AttemptReport) -> Value {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => serde_json::from_slice(&output.bytes).expect("JSON"),
        other => panic!("it should have completed: {other:?}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_output_and_fuel() {
    block_on(async {
        let seed = Seed { random: 42, clock_ms: 1_000_000 };
        let mut seen = Vec::new();
        // Fresh and used instances, one thread and several.
        for sandbox in [sandbox(1), sandbox(3)] {
            for _ in 0..4 {
                let report = dice(&sandbox, Some(seed), ClockAccess::Coarse).await;
                assert_eq!(report.receipt.seed, Some(seed));
                assert!(report.receipt.fuel_exact);
                seen.push((output(&report), report.receipt.fuel));
            }
        }
        assert!(seen[0].1.is_some_and(|fuel| fuel > 10_000));
        assert!(seen.iter().all(|other| *other == seen[0]), "{seen:#?}");
        let (played, _) = &seen[0];
        assert_eq!(played["began_ms"], 1_000_000);
        // It had the hour that it wanted, in no time; and each look while it waited took a step.
        assert!(played["slept_ms"].as_u64().is_some_and(|slept| (3_600_000..3_600_010).contains(&slept)), "{played}");
        assert!(played["waited_ms"].as_u64().is_some_and(|waited| (100..110).contains(&waited)), "{played}");
        // By its own time it has none left, of 300 s.
        assert_eq!(played["left_ms"], 0);
    });
}

#[test]
fn another_seed_gives_another_output() {
    block_on(async {
        let sandbox = sandbox(1);
        let mut throws = Vec::new();
        for random in 0..3 {
            let report = dice(&sandbox, Some(Seed { random, clock_ms: 0 }), ClockAccess::Coarse).await;
            throws.push(output(&report)["throws"].clone());
        }
        assert!(throws[0] != throws[1] && throws[1] != throws[2] && throws[0] != throws[2]);
        let later = dice(&sandbox, Some(Seed { random: 0, clock_ms: 5_000 }), ClockAccess::Coarse).await;
        assert_eq!((&output(&later)["throws"], &output(&later)["began_ms"]), (&throws[0], &json!(5_000)));
    });
}

#[test]
fn fuel_is_the_same_on_every_run_without_a_seed_when_nobody_is_asked() {
    block_on(async {
        let mut fuels = Vec::new();
        for sandbox in [sandbox(1), sandbox(2), sandbox(3)] {
            let component = load(&sandbox, "hello").await;
            let attempt = Attempt::of(&component, "hello").expect("it is there");
            let attempt = attempt.input(Payload::json(r#"{"name":"Ada"}"#)).expect("it matches");
            // At the same time, so that every shard has some.
            let (a, b, c) = tokio::join!(
                run(&sandbox, attempt.clone()),
                run(&sandbox, attempt.clone()),
                run(&sandbox, attempt.clone())
            );
            for report in [a, b, c, run(&sandbox, attempt).await] {
                assert!(report.receipt.fuel_exact);
                assert_eq!(report.receipt.seed, None);
                fuels.push(report.receipt.fuel);
            }
        }
        assert!(fuels[0].is_some());
        assert!(fuels.iter().all(|fuel| *fuel == fuels[0]), "{fuels:?}");
    });
}

#[test]
fn fuel_is_marked_where_it_is_a_lower_bound() {
    block_on(async {
        let sandbox = sandbox(1);
        let spin = load(&sandbox, "spin").await;
        let mut attempt = Attempt::of(&spin, "spin").expect("it is there");
        attempt.limits_mut().timeout = std::time::Duration::from_millis(50);
        let timeout = run(&sandbox, attempt.clone()).await;
        assert!(!timeout.receipt.fuel_exact);
        attempt.limits_mut().fuel = Fuel::Exact { limit: Some(100_000) };
        attempt.limits_mut().timeout = std::time::Duration::from_secs(300);
        let exhausted = run(&sandbox, attempt).await;
        assert_eq!((exhausted.receipt.fuel, exhausted.receipt.fuel_exact), (Some(100_000), true));
    });
}

#[test]
fn real_timeout_holds_for_a_guest_that_sleeps_in_its_own_time() {
    block_on(async {
        let sandbox = sandbox(1);
        let sleep = load(&sandbox, "sleep").await;
        let mut attempt = Attempt::of(&sleep, "sleep").expect("it is there").seed(Seed { random: 1, clock_ms: 1 });
        attempt.limits_mut().timeout = std::time::Duration::from_millis(100);
        // No sleep of its takes any time, so it computes.
        assert_eq!(stop(run(&sandbox, attempt).await).cause, Cause::Timeout);
    });
}

#[test]
fn run_with_a_seed_can_be_had_again() {
    let (code, first) = run_json("dice", &["--input", r#"{"dice":5}"#, "--seed", "0x2a@1000"]);
    assert_eq!(code, 0, "{first:#}");
    assert_eq!(first["receipt"]["seed"], "42@1000");
    let (_, second) = run_json("dice", &["--input", r#"{"dice":5}"#, "--seed", "42@1000"]);
    for what in ["/output", "/receipt/fuel"] {
        assert_eq!(first.pointer(what), second.pointer(what), "{what}");
    }
    let file = guest("dice").display().to_string();
    let shown = sunaba(["run", &file, "dice", "--input", r#"{"dice":5}"#, "--seed", "42"]);
    assert!(text(&shown.stderr).contains("\n  seed         42@1767225600000\n"), "{}", text(&shown.stderr));
    let refused = sunaba(["run", &file, "dice", "--seed", "luck"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("`luck` is not a seed"), "{}", text(&refused.stderr));
}

/// The output of such a component, or why it was stopped.
async fn run_text(sandbox: &Sandbox, bytes: Vec<u8>, change: impl FnOnce(&mut Attempt)) -> AttemptReport {
    let component = sandbox.load(bytes, FuelMode::Exact).await.unwrap_or_else(|error| panic!("{error}"));
    let mut attempt = Attempt::of(&component, "h").expect("it is there");
    change(&mut attempt);
    run(sandbox, attempt).await
}

/// The same with the fine clock. It asks for nothing, so only whoever asks the sandbox itself can give it that.
async fn run_finely(sandbox: &Sandbox, bytes: Vec<u8>) -> AttemptReport {
    let component = sandbox.load(bytes, FuelMode::Exact).await.unwrap_or_else(|error| panic!("{error}")).digest;
    let context = AttemptContext {
        task_id: TaskId::new(),
        job_id: None,
        queue: "default".into(),
        attempt: 1,
        failures: 0,
        max_attempts: 1,
        submitted_at_ms: 0,
        started_at_ms: 0,
        deadline_ms: None,
        idempotency_key: None,
        attributes: Vec::new(),
    };
    let request = AttemptRequest {
        component,
        handler: "h".into(),
        context,
        input: Payload::json("null"),
        limits: Limits::default(),
        grants: Grants { clock: ClockAccess::Fine, ..Grants::default() },
        secrets: Vec::new(),
        seed: None,
        capture: sunaba_runtime::task::Capture::default(),
    };
    sandbox.execute(request, Arc::new(Unattended)).await.expect("the host can do its part")
}

const MONOTONIC: Asked = Asked {
    name: "wasi:clocks/monotonic-clock@0.2.0",
    kind: r#"(export "now" (func (result u64))) (export "resolution" (func (result u64)))"#,
    lower: r#"(core func $now (canon lower (func $asked "now")))
              (core func $resolution (canon lower (func $asked "resolution")))
              (core instance $lowered (export "a" (func $now)) (export "b" (func $resolution)))"#,
    core: r#"(import "i" "a" (func $a (result i64))) (import "i" "b" (func $b (result i64)))"#,
};

/// A number as the guest wrote it.
fn number(report: &AttemptReport) -> u64 {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => {
            u64::from_le_bytes(output.bytes.as_ref().try_into().expect("eight bytes"))
        }
        other => panic!("it should have completed: {other:?}"),
    }
}

#[test]
fn clock_is_coarse_unless_a_fine_one_is_granted() {
    block_on(async {
        let sandbox = sandbox(1);
        // What the resolution is, and what is left of a thousand readings below a step.
        let resolution = component(&MONOTONIC, "(call $b)");
        let below = component(
            &MONOTONIC,
            "(local $left i32) (local $or i64)
             (loop $again
               (local.set $or (i64.or (local.get $or) (i64.rem_u (call $a) (i64.const 1000000))))
               (local.set $left (i32.add (local.get $left) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $left) (i32.const 1000))))
             (local.get $or)",
        );
        assert_eq!(number(&run_text(&sandbox, resolution.clone(), |_| {}).await), 1_000_000);
        assert_eq!(number(&run_text(&sandbox, below.clone(), |_| {}).await), 0);
        assert_eq!(number(&run_finely(&sandbox, resolution).await), 1);
        assert!(number(&run_finely(&sandbox, below).await) > 0);
    });
}

const RANDOM: Asked = Asked {
    name: "wasi:random/random@0.2.0",
    kind: r#"(export "get-random-bytes" (func (param "len" u64) (result (list u8))))
             (export "get-random-u64" (func (result u64)))"#,
    lower: r#"(core func $bytes (canon lower (func $asked "get-random-bytes")
                (memory $lists-memory) (realloc $lists-realloc)))
              (core func $number (canon lower (func $asked "get-random-u64")))
              (core instance $lowered (export "a" (func $number)) (export "c" (func $bytes)))"#,
    core: r#"(import "i" "a" (func $a (result i64))) (import "i" "c" (func $c (param i64 i32)))"#,
};

fn ask(bytes: u64, times: u32) -> Vec<u8> {
    component(
        &RANDOM,
        &format!(
            "(local $left i32)
             (loop $again
               (call $c (i64.const {bytes}) (i32.const 1024))
               (local.set $left (i32.add (local.get $left) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $left) (i32.const {times}))))
             (call $a)"
        ),
    )
}

#[test]
fn random_bytes_obeyed() {
    block_on(async {
        let sandbox = sandbox(1);
        let limit = |attempt: &mut Attempt| attempt.limits_mut().random_bytes = 40_008;
        number(&run_text(&sandbox, ask(10_000, 4), limit).await);
    });
}

#[test]
fn random_bytes_violated() {
    block_on(async {
        let sandbox = sandbox(1);
        let limit = |attempt: &mut Attempt| attempt.limits_mut().random_bytes = 40_007;
        let stopped = stop(run_text(&sandbox, ask(10_000, 4), limit).await);
        assert_eq!(stopped.cause, Cause::Limit(Limit::RandomBytes));
        assert!(stopped.message.starts_with("asked `wasi:random/random.get-random-u64` for"), "{}", stopped.message);
    });
}

#[test]
fn one_call_for_far_too_many_random_bytes_has_a_cause() {
    block_on(async {
        let sandbox = sandbox(1);
        let stopped = stop(run_text(&sandbox, ask(u64::MAX, 1), |_| {}).await);
        assert_eq!(stopped.cause, Cause::Limit(Limit::HostCallBytes));
        assert!(stopped.message.contains("`wasi:random/random.get-random-bytes`"), "{}", stopped.message);
    });
}

#[test]
fn a_seed_does_not_change_what_is_counted() {
    block_on(async {
        let sandbox = sandbox(1);
        let seeded = |attempt: &mut Attempt| {
            attempt.limits_mut().random_bytes = 1;
            *attempt = attempt.clone().seed(Seed { random: 1, clock_ms: 0 });
        };
        let stopped = stop(run_text(&sandbox, ask(1, 1), seeded).await);
        assert_eq!(stopped.cause, Cause::Limit(Limit::RandomBytes));
        let seeded = |attempt: &mut Attempt| *attempt = attempt.clone().seed(Seed { random: 1, clock_ms: 0 });
        let numbers = [
            number(&run_text(&sandbox, ask(1, 1), seeded).await),
            number(&run_text(&sandbox, ask(1, 1), seeded).await),
        ];
        assert_eq!(numbers[0], numbers[1]);
    });
}

#[test]
fn time_that_is_left_is_the_guests_own() {
    // In own time an hour is gone; the receipt tells how long it really took.
    let (_, report) = run_json("dice", &["--input", r#"{"dice":1}"#, "--seed", "1", "--timeout", "2h"]);
    let left = report["output"]["left_ms"].as_u64().expect("limited");
    assert!((3_500_000..3_600_000).contains(&left), "{report:#}");
    assert!(report["receipt"]["wall_ms"].as_f64().is_some_and(|wall| wall < 60_000.0), "{report:#}");
}

#[test]
fn a_component_describes_itself_in_the_same_way_everywhere() {
    block_on(async {
        let describe = async |sandbox: Sandbox| load(&sandbox, "dice").await;
        let (one, two): (Arc<_>, Arc<_>) = (describe(sandbox(1)).await, describe(sandbox(2)).await);
        assert_eq!(one, two);
    });
}
