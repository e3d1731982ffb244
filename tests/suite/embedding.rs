//! The queue inside another Rust program: native handlers beside guests, without a command line and without HTTP.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sunaba_runtime::store::{EmbeddedStore, ManualClock, MemoryEngine, StoreError};
use sunaba_runtime::task::{
    BoxFuture, Disposition, Ending, Failure, LogLevel, Outcome, Payload, Secret, SecretText, Snooze, State, StateName,
    Task, Timestamp, When,
};
use sunaba_runtime::{RefusedTask, Runtime, RuntimeBuilder, SecretKeeper, StartError, SubmitRefusal, TaskRequest};

use crate::support::{block_on, guest};

const WAIT: Duration = Duration::from_secs(60);

fn request(handler: &str) -> TaskRequest {
    TaskRequest::new(handler.parse().expect("a name"))
}

async fn end(runtime: &Runtime, request: TaskRequest) -> Task {
    let task = runtime.submit(request).await.expect("it is taken on").into_task();
    runtime.wait(task.id, WAIT).await.expect("the store works").expect("it is there")
}

fn failure(kind: &str, disposition: Disposition) -> Failure {
    Failure { kind: kind.into(), message: "it failed".into(), detail: None, disposition }
}

#[test]
fn native_handler_has_its_input_its_log_and_its_output() {
    block_on(async {
        let runtime = Runtime::builder()
            .native("maths/double", |native| async move {
                let number: u64 = native.json()?;
                native.log(LogLevel::Info, format!("attempt {} doubles {number}", native.context.attempt));
                Ok(Outcome::Complete(Payload::json((number * 2).to_string())))
            })
            .start()
            .await
            .expect("it starts");
        let task = end(&runtime, request("maths/double").input(Payload::json("21"))).await;
        assert_eq!(task.state, State::Succeeded);
        assert_eq!(runtime.output(task.id).await.expect("the store works"), Some(Payload::json("42")));
        let detail =
            runtime.store().attempt_detail(task.id, 1).await.expect("the store works").expect("it said something");
        assert_eq!(detail.logs[0].message, "attempt 1 doubles 21");
        let wrong = end(&runtime, request("maths/double").input(Payload::json("\"x\""))).await;
        assert_eq!((&wrong.state, wrong.attempts_started), (&State::Dead, 1));
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn native_handler_is_retried_snoozed_stopped_and_may_panic() {
    block_on(async {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let runtime = Runtime::builder()
            .native("odd/second-time", move |_| {
                let calls = counted.fetch_add(1, Ordering::SeqCst);
                async move {
                    match calls {
                        0 => Err(failure("network", Disposition::RetryAfter(Duration::from_millis(1)))),
                        1 => {
                            let delay = Duration::from_millis(1);
                            Ok(Outcome::Snooze(Snooze { delay, reason: "not yet".into(), until_completed: false }))
                        }
                        _ => Ok(Outcome::Complete(Payload::json("3"))),
                    }
                }
            })
            .native("odd/for-ever", |_| std::future::pending())
            .native("odd/panics", |_| async { panic!("on purpose") })
            .start()
            .await
            .expect("it starts");
        let task = end(&runtime, request("odd/second-time")).await;
        assert_eq!((&task.state, task.attempts_started, task.failures_charged), (&State::Succeeded, 3, 1));

        let once = |handler| TaskRequest { max_attempts: Some(1), ..request(handler) };
        let timeout = Some(Duration::from_millis(10));
        let stopped = end(&runtime, TaskRequest { timeout, ..once("odd/for-ever") }).await;
        assert!(matches!(&stopped.attempts[0].ending, Ending::Stopped { cause, .. } if cause.word() == "timeout"));
        let panicked = end(&runtime, once("odd/panics")).await;
        let expected = Ending::Failed { kind: "panic".into(), message: "on purpose".into() };
        assert_eq!((panicked.state.name(), &panicked.attempts[0].ending), (StateName::Dead, &expected));
    });
}

#[test]
fn guests_and_native_handlers_share_a_durable_queue() {
    block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let start = async || {
            Runtime::builder()
                .data(folder.path().join("data"))
                .expect("it is free")
                .native("native/echo", |native| async move { Ok(Outcome::Complete(native.input)) })
                .start()
                .await
                .expect("it starts")
        };
        let runtime = start().await;
        runtime.deploy("hello", std::fs::read(guest("hello")).expect("it is there").into()).await.expect("it deploys");
        let later = TaskRequest { start: Some(When::After(Duration::from_secs(3600))), ..request("native/echo") };
        let later = runtime.submit(later).await.expect("it is taken on").into_task();
        runtime.stop(WAIT).await.expect("the store is there");
        drop(runtime);

        let runtime = start().await;
        let names: Vec<_> = runtime.packages().iter().map(|package| package.name.clone()).collect();
        assert_eq!(names, ["hello", "native"]);
        let greeted = end(&runtime, request("hello/hello").input(Payload::json(r#"{"name":"Ada"}"#))).await;
        assert_eq!(greeted.state, State::Succeeded);
        let kept = runtime.store().task(later.id).await.expect("the store works").expect("it is there");
        assert_eq!(kept, later);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn hooks_are_called_once_for_what_happens_while_the_host_runs() {
    block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let start = async || {
            let hook = |word: &'static str| {
                let heard = Arc::clone(&heard);
                move |task: &Task| heard.lock().expect("no test panicked").push(format!("{word} {}", task.spec.handler))
            };
            Runtime::builder()
                .data(folder.path().join("data"))
                .expect("it is free")
                .concurrency(1)
                .native("hooked/fine", |_| async { Ok(Outcome::Complete(Payload::json("1"))) })
                .native("hooked/fatal", |_| async { Err(failure("error", Disposition::Fatal)) })
                .native("hooked/for-ever", |_| std::future::pending())
                .native("hooked/again", |native| async move {
                    match native.context.attempt {
                        1 => Err(failure("network", Disposition::RetryAfter(Duration::from_millis(1)))),
                        _ => Ok(Outcome::Complete(Payload::json("2"))),
                    }
                })
                .on_success(|_| panic!("on purpose"))
                .on_success(hook("success"))
                .on_failure(hook("failure"))
                .on_timeout(hook("timeout"))
                .on_retry(hook("retry"))
                .start()
                .await
                .expect("it starts")
        };
        let said = |lines: &[&str]| {
            let heard = std::mem::take(&mut *heard.lock().expect("no test panicked"));
            assert_eq!(heard, lines);
        };
        let runtime = start().await;
        end(&runtime, request("hooked/fine")).await;
        end(&runtime, request("hooked/fatal")).await;
        end(&runtime, request("hooked/again")).await;
        let timeout = Some(Duration::from_millis(10));
        end(&runtime, TaskRequest { timeout, max_attempts: Some(1), ..request("hooked/for-ever") }).await;
        // A stop waits for the hooks of all that has happened before.
        runtime.stop(WAIT).await.expect("the store is there");
        said(&[
            "success hooked/fine",
            "failure hooked/fatal",
            "retry hooked/again",
            "success hooked/again",
            "timeout hooked/for-ever",
            "failure hooked/for-ever",
        ]);
        drop(runtime);

        let runtime = start().await;
        runtime.stop(WAIT).await.expect("the store is there");
        said(&[]);
    });
}

#[test]
fn what_cannot_be_is_refused() {
    block_on(async {
        let nameless = Runtime::builder().native("nameless", |_| std::future::pending()).start().await;
        assert!(matches!(nameless.map(|_| ()), Err(StartError::NativeName(_))));
        let runtime = Runtime::builder()
            .native("native/echo", |native| async move { Ok(Outcome::Complete(native.input)) })
            .start()
            .await
            .expect("it starts");
        let refused = runtime.submit(request("native/other")).await.expect_err("there is none");
        assert!(matches!(refused, SubmitRefusal::Refused(RefusedTask::UnknownHandler { .. })), "{refused}");
        let component = std::fs::read(guest("hello")).expect("it is there");
        let refused = runtime.deploy("native", component.into()).await.expect_err("the name is taken");
        assert!(refused.to_string().contains("is part of the host's program\nhint: "), "{refused}");
    });
}

/// Secrets of the program's own.
struct Vault;

impl SecretKeeper for Vault {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, StoreError>> {
        let host = "https://api.example.com".parse().expect("a place");
        let secret = Secret { name: name.to_owned(), text: SecretText::new("correct-horse"), host };
        Box::pin(async move { Ok((name == "API_KEY").then_some(secret)) })
    }
}

#[test]
fn store_and_clock_of_the_programs_own_are_what_the_queue_goes_by() {
    block_on(async {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("it is new");
        let runtime = Runtime::builder()
            .store(Arc::new(store))
            .native("native/echo", |native| async move { Ok(Outcome::Complete(native.input)) })
            .start()
            .await
            .expect("it starts");
        let later = TaskRequest { start: Some(When::After(Duration::from_secs(3600))), ..request("native/echo") };
        let task = runtime.submit(later).await.expect("it is taken on").into_task();
        assert_eq!(task.state.name(), StateName::Scheduled);
        clock.advance(Duration::from_secs(3599));
        let kept = runtime.store().task(task.id).await.expect("the store works").expect("it is there");
        assert_eq!(kept.state.name(), StateName::Scheduled);
        clock.advance(Duration::from_secs(1));
        let ended = runtime.wait(task.id, WAIT).await.expect("the store works").expect("it is there");
        assert_eq!(ended.state, State::Succeeded);
        runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn secrets_of_the_programs_own_are_those_of_its_tasks() {
    block_on(async {
        let place = || "https://api.example.com".parse().expect("a place");
        let start = async |builder: RuntimeBuilder| {
            let runtime = builder.allow_http([place()]).start().await.expect("it starts");
            let component = std::fs::read(guest("fetch")).expect("it is there");
            runtime.deploy("fetch", component.into()).await.expect("it deploys");
            runtime
        };
        let fetch = || TaskRequest {
            http: vec![place()],
            secrets: vec!["API_KEY".into()],
            start: Some(When::After(Duration::from_secs(3600))),
            ..request("fetch/fetch").input(Payload::json(r#"{"url":"https://api.example.com/"}"#))
        };
        let with = start(Runtime::builder().secret_keeper(Arc::new(Vault))).await;
        assert_eq!(with.submit(fetch()).await.expect("it has one").into_task().spec.grants.secrets, ["API_KEY"]);
        let package = with.package(&"fetch/fetch".parse().expect("a name")).expect("it is deployed");
        let asked = with.asked(package.handler("fetch").expect("it has one")).await.expect("it is asked");
        let allowed: Vec<_> =
            asked.iter().map(|asked| (asked.by.as_str(), asked.what.as_str(), asked.allowed)).collect();
        assert_eq!(allowed, [("http", "*", true), ("secrets", "API_KEY", true)]);
        with.stop(WAIT).await.expect("the store is there");
        let without = start(Runtime::builder()).await;
        let refused = without.submit(fetch()).await.expect_err("there is none").to_string();
        assert!(refused.starts_with("this host does not allow the secret `API_KEY`"), "{refused}");
        without.stop(WAIT).await.expect("the store is there");
    });
}
