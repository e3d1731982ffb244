//! Scratch directories, and limits on what a component is made of.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use std::sync::Arc;
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::{LoadError, Sandbox};
use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptResult, Cause, ExecuteError, FuelMode, Grants, Limit, Outcome, Payload,
    Unattended,
};

use crate::support::{block_on, load, run, stop};

/// What lies in the one directory of the sandbox's process.
fn left(base: &Path) -> Vec<String> {
    let listed = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder).expect("it is there");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let processes = listed(base);
    assert_eq!(processes.len(), 1, "{processes:?}");
    listed(&processes[0]).iter().map(|path| path.display().to_string()).collect()
}

fn sandbox(base: &Path) -> Sandbox {
    Sandbox::builder().slots(4).scratch(base).start().expect("threads")
}

async fn mess(sandbox: &Sandbox, rounds: u32, files: u32, ending: &str) -> Attempt {
    let component = load(sandbox, "deep-tree").await;
    let input = json!({"rounds": rounds, "files": files, "ending": ending}).to_string();
    let attempt = Attempt::of(&component, "deep-tree").expect("it is there").input(Payload::json(input));
    attempt.expect("it matches").grants(Grants { scratch_bytes: Some(1 << 20), ..Grants::default() })
}

fn completed(report: &AttemptReport) -> bool {
    matches!(report.result, AttemptResult::Returned(Outcome::Complete(_)))
}

#[test]
fn scratch_is_gone_when_the_report_is_there_however_the_attempt_ended() {
    let base = tempfile::tempdir().expect("a folder");
    block_on(async {
        let sandbox = sandbox(base.path());
        let report = run(&sandbox, mess(&sandbox, 3, 100, "return").await).await;
        assert!(completed(&report), "{:?}", report.result);
        assert_eq!(left(base.path()), [""; 0]);

        let trapped = run(&sandbox, mess(&sandbox, 3, 100, "trap").await).await;
        assert_eq!(stop(trapped).cause, Cause::Trap("unreachable".into()));
        assert_eq!(left(base.path()), [""; 0]);

        let mut spinning = mess(&sandbox, 3, 10, "spin").await;
        spinning.limits_mut().timeout = Duration::from_secs(2);
        assert_eq!(stop(run(&sandbox, spinning).await).cause, Cause::Timeout);
        assert_eq!(left(base.path()), [""; 0]);
    });
    // With the sandbox its own directory goes too, once its sweeping thread lets go of it.
    while std::fs::read_dir(base.path()).expect("it is there").next().is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn scratch_is_gone_when_nobody_waits_for_the_report() {
    let base = tempfile::tempdir().expect("a folder");
    block_on(async {
        let sandbox = sandbox(base.path());
        let attempt = mess(&sandbox, 2, 10, "spin").await;
        let running = attempt.run(&sandbox, Arc::new(Unattended) as Arc<dyn AttemptHost>);
        tokio::select! {
            _ = running => panic!("it spins"),
            () = async { while left(base.path()).is_empty() { tokio::task::yield_now().await } } => {}
        }
        while !left(base.path()).is_empty() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn tree_deeper_than_any_path_is_deleted() {
    let base = tempfile::tempdir().expect("a folder");
    block_on(async {
        let sandbox = sandbox(base.path());
        // 60,000 bytes of names.
        let report = run(&sandbox, mess(&sandbox, 20, 0, "return").await).await;
        assert!(completed(&report), "{:?}", report.result);
        assert_eq!(left(base.path()), [""; 0]);
    });
}

#[test]
fn attempts_do_not_see_each_others_scratch() {
    let base = tempfile::tempdir().expect("a folder");
    block_on(async {
        let sandbox = sandbox(base.path());
        let attempt = mess(&sandbox, 1, 10, "return").await;
        // A tree that is there already would be in the way.
        let (one, two) = tokio::join!(run(&sandbox, attempt.clone()), run(&sandbox, attempt.clone()));
        for report in [one, two, run(&sandbox, attempt).await] {
            assert!(completed(&report), "{:?}", report.result);
        }
    });
}

#[test]
fn without_a_grant_there_is_no_scratch() {
    block_on(async {
        let sandbox = Sandbox::builder().start().expect("threads");
        let attempt = mess(&sandbox, 1, 0, "return").await.grants(Grants::default());
        let report = run(&sandbox, attempt).await;
        assert!(matches!(report.result, AttemptResult::Failed(_)), "{:?}", report.result);
    });
}

#[test]
fn without_room_the_host_is_to_blame() {
    let base = tempfile::tempdir().expect("a folder");
    block_on(async {
        let sandbox = sandbox(base.path());
        let grants = Grants { scratch_bytes: Some(sunaba_runtime::task::MAX_SCRATCH_BYTES), ..Grants::default() };
        let attempt = mess(&sandbox, 1, 0, "return").await.grants(grants);
        let free = rustix::fs::statvfs(base.path()).expect("it is there");
        let error = attempt.run(&sandbox, Arc::new(Unattended) as Arc<dyn AttemptHost>).await;
        if free.f_bavail * free.f_frsize < sunaba_runtime::task::MAX_SCRATCH_BYTES {
            let error = error.expect_err("nobody has that");
            assert!(matches!(error, ExecuteError::Grant { .. }), "{error}");
            assert!(error.to_string().starts_with("cannot grant `/scratch`: its file system has"), "{error}");
        }
        assert_eq!(left(base.path()), [""; 0]);
    });
}

async fn parts(change: impl FnOnce(&mut Attempt)) -> AttemptReport {
    let sandbox = Sandbox::builder().start().expect("threads");
    let component = load(&sandbox, "hello").await;
    let attempt = Attempt::of(&component, "hello").expect("it is there").input(Payload::json(r#"{"name":"Ada"}"#));
    let mut attempt = attempt.expect("it matches");
    change(&mut attempt);
    run(&sandbox, attempt).await
}

/// The smallest limit with which `hello` still runs.
async fn least(set: impl Fn(&mut Attempt, u32)) -> u32 {
    for count in 1..64 {
        if completed(&parts(|attempt| set(attempt, count)).await) {
            return count;
        }
    }
    panic!("it never runs");
}

#[test]
fn instances_obeyed_and_violated() {
    block_on(async {
        let set = |attempt: &mut Attempt, count| attempt.limits_mut().instances = count;
        let least = least(set).await;
        assert!(least > 1, "hello has several instances");
        let stopped = stop(parts(|attempt| set(attempt, least - 1)).await);
        assert_eq!(stopped.cause, Cause::Limit(Limit::Instances));
        assert_eq!(stopped.message, format!("has more than {} core instances: the limit", least - 1));
    });
}

#[test]
fn tables_obeyed_and_violated() {
    block_on(async {
        let set = |attempt: &mut Attempt, count| attempt.limits_mut().tables = count;
        let least = least(set).await;
        assert!(least > 1, "hello has several tables");
        let stopped = stop(parts(|attempt| set(attempt, least - 1)).await);
        assert_eq!(stopped.cause, Cause::Limit(Limit::Tables));
        assert_eq!(stopped.message, format!("has more than {} tables: the limit", least - 1));
    });
}

/// A component around this module, with the right export.
fn around(module: &str) -> Vec<u8> {
    let text = format!(
        "(component (core module $m {module}) (core instance (instantiate $m))
           (component $p) (instance $p (instantiate $p)) (export \"sunaba:task/handlers@0.1.0\" (instance $p)))"
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{module}: {error}"))
}

#[test]
fn what_handlers_do_not_need_is_refused_when_it_is_loaded() {
    let proposals = [
        ("garbage collection", "(type (struct (field i32)))"),
        ("threads", "(memory 1 1 shared)"),
        ("atomics", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        ("memory64", "(memory i64 1)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("exceptions", "(tag (param i32)) (func (throw 0 (i32.const 1)))"),
        ("function references", "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"),
        ("tail calls", "(func $f (return_call $f))"),
        ("custom page sizes", "(memory 1 (pagesize 1))"),
        ("wide arithmetic", "(func (result i64 i64) (i64.mul_wide_s (i64.const 1) (i64.const 2)))"),
        ("relaxed SIMD", "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))"),
        ("stack switching", "(type $f (func)) (type $c (cont $f)) (func (param (ref $c)))"),
    ];
    block_on(async {
        let sandbox = Sandbox::builder().start().expect("threads");
        // What is around them is fine: it is the description that is missing.
        let plain = sandbox.load(around("(memory 1)"), FuelMode::Exact).await;
        assert!(matches!(plain, Err(LoadError::Signature(_))), "{plain:?}");
        for (name, module) in proposals {
            let loaded = sandbox.load(around(module), FuelMode::Exact).await;
            assert!(matches!(loaded, Err(LoadError::Invalid(_))), "{name}: {loaded:?}");
        }
        let components = [
            (
                "async lifting",
                "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) (func (export \"f\") async (canon lift (core func $i \"f\") async))",
            ),
            (
                "error contexts",
                "(core module $m (memory (export \"m\") 1)) (core instance $i (instantiate $m)) (core func (canon error-context.drop))",
            ),
            ("threads", "(core func (canon thread.available_parallelism))"),
            ("streams", "(type (stream u8)) (core func (canon stream.new 0))"),
        ];
        for (name, body) in components {
            let text = format!(
                "(component {body} (component $p) (instance $p (instantiate $p)) (export \"sunaba:task/handlers@0.1.0\" (instance $p)))"
            );
            // Where the assembler itself does not know it, there is nothing to refuse.
            let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let loaded = sandbox.load(bytes, FuelMode::Exact).await;
            assert!(matches!(loaded, Err(LoadError::Invalid(_))), "{name}: {loaded:?}");
        }
    });
}
