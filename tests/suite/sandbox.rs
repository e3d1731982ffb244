//! The sandbox as a library: isolation between attempts, sharing of a shard, how attempts are stopped from outside, and
//! components that are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::{LoadError, Sandbox};
use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptResult, BoxFuture, Cause, ExecuteError, Fuel, FuelMode, Limit, Outcome, Payload,
    Progress, Stop,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{block_on, guest, load, root, run, stop};

fn sandbox(slots: u32) -> Sandbox {
    Sandbox::builder().slots(slots).start().expect("threads")
}

pub(crate) fn output(report: &AttemptReport) -> String {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => String::from_utf8_lossy(&output.bytes).into_owned(),
        other => panic!("it should have completed: {other:?}"),
    }
}

pub(crate) async fn hello_attempt(sandbox: &Sandbox) -> Attempt {
    let component = load(sandbox, "hello").await;
    let attempt = Attempt::of(&component, "hello").expect("it is there");
    attempt.input(Payload::json(r#"{"name":"Ada"}"#)).expect("it matches")
}

pub(crate) async fn hello(sandbox: &Sandbox) -> AttemptReport {
    run(sandbox, hello_attempt(sandbox).await).await
}

#[test]
fn fuel_is_the_same_on_every_run() {
    block_on(async {
        let first = sandbox(2);
        let fuels =
            [hello(&first).await, hello(&first).await, hello(&sandbox(4)).await].map(|report| report.receipt.fuel);
        assert!(fuels[0].is_some_and(|fuel| fuel > 1000));
        assert_eq!([fuels[0]; 3], fuels);
    });
}

#[test]
fn nothing_is_left_from_one_attempt_to_the_next() {
    block_on(async {
        // One slot, so that every attempt gets the same memory.
        let sandbox = sandbox(1);
        let component = load(&sandbox, "remember").await;
        for _ in 0..5 {
            let report = run(&sandbox, Attempt::of(&component, "remember").expect("it is there")).await;
            assert_eq!(output(&report), "0", "bytes of an earlier attempt were left");
        }
    });
}

#[test]
fn nothing_is_left_after_a_stop_either() {
    block_on(async {
        let sandbox = sandbox(1);
        let component = load(&sandbox, "remember").await;
        let attempt = Attempt::of(&component, "remember").expect("it is there");
        let mut stopped = attempt.clone();
        // Enough to write some of it, not enough to finish.
        let whole = run(&sandbox, attempt.clone()).await.receipt.fuel.expect("counted");
        stopped.limits_mut().fuel = Fuel::Exact { limit: Some(whole - 1_000) };
        assert_eq!(stop(run(&sandbox, stopped).await).cause, Cause::Fuel);
        assert_eq!(output(&run(&sandbox, attempt).await), "0");
    });
}

/// Stops the attempt when told to, and records what it hears.
#[derive(Default)]
struct Watch {
    stop: Notify,
    heard: Notify,
    cancelled: AtomicBool,
}

impl AttemptHost for Watch {
    fn on_progress(&self, _: Progress) {
        self.heard.notify_one();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn stopped(&self) -> BoxFuture<'_, Cause> {
        Box::pin(async {
            self.stop.notified().await;
            Cause::LeaseLost
        })
    }
}

/// A guest that computes for ever beside whatever a test does.
struct Spinning {
    watch: Arc<Watch>,
    attempt: JoinHandle<Result<AttemptReport, ExecuteError>>,
}

impl Spinning {
    async fn on(sandbox: &Arc<Sandbox>) -> Self {
        let spin = load(sandbox, "spin").await;
        let watch = Arc::new(Watch::default());
        let attempt = tokio::spawn({
            let (sandbox, watch) = (Arc::clone(sandbox), Arc::clone(&watch));
            async move { Attempt::of(&spin, "spin").expect("it is there").run(&sandbox, watch).await }
        });
        tokio::task::yield_now().await;
        Self { watch, attempt }
    }

    /// Stops it, if it has really been computing all the time.
    async fn stop(self) -> Stop {
        assert!(!self.attempt.is_finished(), "it should have been computing all the time");
        self.watch.stop.notify_one();
        stop(self.attempt.await.expect("no panic").expect("the host can do its part"))
    }
}

#[test]
fn computing_guest_does_not_hold_up_its_neighbour() {
    block_on(async {
        // One thread for both: the neighbour only runs because the other yields.
        let sandbox = Arc::new(sandbox(2));
        let spinning = Spinning::on(&sandbox).await;
        for _ in 0..3 {
            assert_eq!(output(&hello(&sandbox).await), r#"{"greeting":"Hello, Ada!"}"#);
        }
        let stopped = spinning.stop().await;
        assert_eq!(stopped.cause, Cause::LeaseLost);
        assert_eq!(stopped.backtrace[0].function, "spin::spin");
    });
}

#[test]
fn sleeping_guest_is_woken_to_be_stopped() {
    block_on(async {
        let sandbox = sandbox(1);
        let sleep = load(&sandbox, "sleep").await;
        let watch = Arc::new(Watch::default());
        watch.stop.notify_one();
        let report = Attempt::of(&sleep, "sleep").expect("it is there").run(&sandbox, watch).await;
        let stopped = stop(report.expect("the host can do its part"));
        assert_eq!(stopped.cause, Cause::LeaseLost);
        assert!(!stopped.backtrace.is_empty());
    });
}

#[test]
fn attempt_that_nobody_waits_for_gives_its_slot_back() {
    block_on(async {
        let sandbox = sandbox(1);
        for name in ["spin", "sleep"] {
            let component = load(&sandbox, name).await;
            let endless = run(&sandbox, Attempt::of(&component, name).expect("it is there"));
            // Long enough to be sent, and dropped without an answer.
            tokio::time::timeout(Duration::from_millis(50), endless).await.expect_err("it never ends");
        }
        // Without the slot this would wait for the 300 s of the guests before it.
        let next = tokio::time::timeout(Duration::from_secs(60), hello(&sandbox)).await.expect("a slot came free");
        assert_eq!(output(&next), r#"{"greeting":"Hello, Ada!"}"#);
    });
}

#[test]
fn component_can_be_loaded_while_every_slot_is_taken() {
    block_on(async {
        let sandbox = Arc::new(sandbox(1));
        let spinning = Spinning::on(&sandbox).await;
        let loaded = tokio::time::timeout(Duration::from_secs(60), load(&sandbox, "hello")).await;
        assert_eq!(loaded.expect("it does not wait for a slot").handlers[0].name, "hello");
        spinning.stop().await;
    });
}

#[test]
fn handler_sees_what_is_left_and_whether_it_is_cancelled() {
    block_on(async {
        let sandbox = sandbox(1);
        let component = load(&sandbox, "deadline-aware").await;
        let attempt = Attempt::of(&component, "deadline-aware").expect("it is there");
        let attempt = attempt.input(Payload::json(r#"{"up_to":1000000000}"#)).expect("it matches");

        let mut little_fuel = attempt.clone();
        little_fuel.limits_mut().fuel = Fuel::Exact { limit: Some(20_000_000) };
        little_fuel.limits_mut().timeout = Duration::from_secs(600);
        let report = run(&sandbox, little_fuel).await;
        assert!(output(&report).ends_with(r#""because":"little-fuel"}"#), "{}", output(&report));
        let used = report.receipt.fuel.expect("counted");
        assert!((19_000_000..20_000_000).contains(&used), "{used}");

        let mut little_time = attempt.clone();
        little_time.limits_mut().timeout = Duration::from_millis(300);
        let report = run(&sandbox, little_time).await;
        assert!(output(&report).ends_with(r#""because":"little-time"}"#), "{}", output(&report));

        let watch = Watch { cancelled: AtomicBool::new(true), ..Watch::default() };
        let report = attempt.run(&sandbox, Arc::new(watch)).await.expect("the host can do its part");
        assert!(output(&report).ends_with(r#""because":"cancelled"}"#), "{}", output(&report));
        assert!(report.receipt.host_calls >= 2);
    });
}

#[test]
fn output_limit_obeyed_and_violated() {
    block_on(async {
        let sandbox = sandbox(1);
        let mut attempt = hello_attempt(&sandbox).await;
        let size = r#"{"greeting":"Hello, Ada!"}"#.len() as u64;
        attempt.limits_mut().output_bytes = size;
        assert_eq!(run(&sandbox, attempt.clone()).await.receipt.output_bytes, size);
        attempt.limits_mut().output_bytes = size - 1;
        let stopped = stop(run(&sandbox, attempt).await);
        assert_eq!(stopped.cause, Cause::Output);
        assert_eq!(stopped.message, "the output has 26 B: the limit is 25 B");
    });
}

#[test]
fn result_that_is_far_too_large_is_an_output_stop() {
    block_on(async {
        let sandbox = sandbox(1);
        let component = load(&sandbox, "hello").await;
        let name = "x".repeat(3 << 20);
        let input = Payload::json(format!(r#"{{"name":"{name}"}}"#));
        let mut attempt = Attempt::of(&component, "hello").expect("it is there").input(input).expect("it matches");
        attempt.limits_mut().host_call_bytes = 1 << 20;
        let stopped = stop(run(&sandbox, attempt).await);
        assert_eq!(stopped.cause, Cause::Output);
        assert!(stopped.message.starts_with("the result is far larger than the limit of 1.0 MiB (`output`): "));
    });
}

#[test]
fn component_is_asked_for_by_digest_and_mode() {
    block_on(async {
        let (loaded, other) = (sandbox(1), sandbox(1));
        let component = load(&loaded, "hello").await;
        let attempt = Attempt::of(&component, "hello").expect("it is there");
        let attempt = attempt.input(Payload::json(r#"{"name":"Ada"}"#)).expect("it matches");
        let error = attempt.clone().run(&other, Arc::new(Watch::default())).await.expect_err("not loaded there");
        assert_eq!(error.to_string(), format!("component {} is not loaded with fuel exact", component.digest));

        let mut without_fuel = attempt;
        without_fuel.limits_mut().fuel = Fuel::Off;
        let error = without_fuel.clone().run(&loaded, Arc::new(Watch::default())).await.expect_err("not in that mode");
        assert!(error.is_retryable());
        let bytes = std::fs::read(guest("hello")).expect("it is there");
        let again = loaded.load(bytes, FuelMode::Off).await.expect("it loads");
        assert_eq!(again.digest, component.digest);
        assert_eq!(run(&loaded, without_fuel).await.receipt.fuel, None);
    });
}

/// The text of `many-memories`, changed, as a component.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let text = root().join("guest-examples/hostile/many-memories/many-memories.wat");
    let text = std::fs::read_to_string(text).expect("it is there");
    assert!(text.contains(from), "the text has changed: no `{from}`");
    wat::parse_str(text.replacen(from, to, 1)).expect("still a component")
}

fn refused(bytes: Vec<u8>) -> LoadError {
    block_on(async { sandbox(1).load(bytes, FuelMode::Exact).await.expect_err("it should be refused") })
}

#[test]
fn component_with_another_record_is_refused() {
    let error = refused(changed(r#"(field "queue" string)"#, r#"(field "queue" u32)"#));
    assert!(matches!(error, LoadError::Signature(_)), "{error}");
    assert!(error.to_string().starts_with("it does not fit sunaba:task 0.1: "), "{error}");
}

#[test]
fn description_that_never_ends_is_refused() {
    let endless = "(loop $again (br $again)) (unreachable)";
    let error = refused(changed(r#"(result i32) (i32.const 0))"#, &format!("(result i32) {endless})")));
    let LoadError::Describe(stopped) = &error else { panic!("{error}") };
    assert_eq!(stopped.cause, Cause::Fuel);
}

#[test]
fn description_that_traps_or_lies_is_refused() {
    let error = refused(changed("(result i32) (i32.const 0))", "(result i32) (unreachable))"));
    assert!(matches!(&error, LoadError::Describe(stop) if stop.cause == Cause::Trap("unreachable".into())), "{error}");
    // A list that is longer than memory.
    let error = refused(changed(r#""\10\00\00\00\01\00\00\00""#, r#""\10\00\00\00\ff\ff\ff\0f""#));
    assert!(matches!(&error, LoadError::Describe(stop) if stop.cause == Cause::Output), "{error}");
    // No handler at all.
    let error = refused(changed(r#""\10\00\00\00\01\00\00\00""#, r#""\10\00\00\00\00\00\00\00""#));
    assert!(matches!(error, LoadError::HandlerCount { count: 0, .. }), "{error}");
    // A name with a capital letter.
    let error = refused(changed(r#""many-memories")"#, r#""Many-memories")"#));
    assert!(matches!(error, LoadError::Handler { .. }), "{error}");
}

#[test]
fn component_that_was_refused_is_refused_again() {
    block_on(async {
        let sandbox = sandbox(1);
        let bytes = changed("(result i32) (i32.const 0))", "(result i32) (unreachable))");
        for _ in 0..2 {
            let error = sandbox.load(bytes.clone(), FuelMode::Exact).await.expect_err("it traps");
            assert!(matches!(error, LoadError::Describe(_)), "{error}");
        }
    });
}

#[test]
fn component_of_a_later_patch_of_the_contract_is_served() {
    let bytes = changed("sunaba:task/handlers@0.1.0", "sunaba:task/handlers@0.1.9");
    block_on(async {
        let sandbox = sandbox(1);
        let info = sandbox.load(bytes, FuelMode::Exact).await.expect("it loads");
        let attempt = Attempt::of(&info, "many-memories").expect("it is there");
        assert_eq!(stop(run(&sandbox, attempt).await).cause, Cause::Memory);
    });
}

#[test]
fn component_that_is_too_large_for_a_slot_is_refused() {
    let table = "(core module $vast (table 200000 funcref)) (core instance (instantiate $vast)) (core module $hog";
    let error = refused(changed("(core module $hog", table));
    assert!(matches!(error, LoadError::Invalid(_)), "{error}");
}

#[test]
fn package_setting_that_nobody_knows_is_refused_by_name() {
    // One pair at 16: the handler's own name and doc stand there as key and value.
    let with_setting = r#""\10\00\00\00\01\00\00\00\10\00\00\00\01\00\00\00""#;
    let error = refused(changed(r#""\10\00\00\00\01\00\00\00""#, with_setting));
    assert!(matches!(&error, LoadError::PackageSetting { key } if key == "many-memories"), "{error}");
}

#[test]
fn wasi_http_may_be_imported_beside_a_wasi_that_works() {
    // JavaScript toolchains import it whether or not a handler uses it. What it `use`s of wasi:io must be the same
    // wasi:io that everything else uses, in whatever patch version the component names.
    let imports = r#"(component
        (import "wasi:io/poll@0.2.3" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:http/types@0.2.3" (instance $http
            (export "future-incoming-response" (type $response (sub resource)))
            (alias outer 1 $pollable (type $pollable'))
            (export "pollable" (type $pollable'' (eq $pollable')))
            (export "[method]future-incoming-response.subscribe"
                (func (param "self" (borrow $response)) (result (own $pollable''))))))
        (import "wasi:random/insecure-seed@0.2.3" (instance $seed
            (export "insecure-seed" (func (result (tuple u64 u64))))))
        (component $package"#;
    let bytes = changed("(component\n  (component $package", imports);
    block_on(async {
        let sandbox = sandbox(1);
        let info = sandbox.load(bytes, FuelMode::Exact).await.expect("it loads");
        assert!(info.imports.contains(&"wasi:http/types@0.2.3".to_owned()), "{:?}", info.imports);
    });
}

#[test]
fn function_of_the_host_that_nobody_has_is_refused_at_load() {
    let submit = r#"(component
        (import "sunaba:task/host@0.1.0" (instance (export "submit" (func (param "name" string)))))
        (component $package"#;
    let error = refused(changed("(component\n  (component $package", submit));
    assert!(matches!(error, LoadError::Signature(_)), "{error}");
    assert!(error.to_string().contains("submit"), "{error}");
}

#[test]
fn describe_that_nobody_waits_for_leaves_its_place() {
    let spins = std::fs::read(guest("describe-spins")).expect("it is there");
    let hello = std::fs::read(guest("hello")).expect("it is there");
    block_on(async {
        let sandbox = Arc::new(sandbox(1));
        let sleeping = Attempt::of(&*load(&sandbox, "sleep").await, "sleep").expect("it is there");
        let sleeps = tokio::spawn({
            let sandbox = Arc::clone(&sandbox);
            async move { run(&sandbox, sleeping).await }
        });
        // The one slot is taken. What is described is given up at some instant, most likely while it computes.
        for _ in 0..5 {
            let given_up = tokio::time::timeout(Duration::from_millis(300), sandbox.load(spins.clone(), FuelMode::Off));
            assert!(given_up.await.is_err(), "it should have computed for ever");
        }
        let info = sandbox.load(hello, FuelMode::Off).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(info.handler("hello").is_some());
        sleeps.abort();
    });
}

/// Descriptors of this process that hold the first contents of memories.
fn images() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("memfd:")).count()
}

#[test]
fn loaded_component_holds_one_descriptor_until_it_is_forgotten() {
    block_on(async {
        let sandbox = sandbox(1);
        let before = images();
        let info = load(&sandbox, "hello").await;
        for _ in 0..3 {
            hello(&sandbox).await;
        }
        assert_eq!(images(), before + 1);
        sandbox.forget(info.digest).await;
        assert_eq!(images(), before);
    });
}

#[test]
fn handle_limit_obeyed_and_violated() {
    block_on(async {
        let sandbox = sandbox(1);
        let component = load(&sandbox, "flood-stdout").await;
        let attempt = Attempt::of(&component, "flood-stdout").expect("it is there");
        let mut attempt = attempt.input(Payload::json("3")).expect("it matches");
        // Its standard output, one to wait for it, and one while it is lent to a call.
        attempt.limits_mut().resources = 3;
        assert_eq!(output(&run(&sandbox, attempt.clone()).await), "3");
        attempt.limits_mut().resources = 2;
        let stopped = stop(run(&sandbox, attempt).await);
        assert_eq!(stopped.cause, Cause::Limit(Limit::Resources), "{}", stopped.message);
        assert!(stopped.message.starts_with("wanted one more handle: the limit is 2"), "{}", stopped.message);
        assert!(!stopped.backtrace.is_empty());
    });
}
