//! What is left of requests when their attempts are over: nothing.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{Cause, Executor as _, Limit, Unattended};

use super::{Server, Try, endlessly, exceeded, hang, say, seen};
use crate::support::{block_on, stop};

/// Descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("it is there").count()
}

/// The servers of this process close their ends when they notice that ours are closed.
fn comes_back_to(baseline: usize) {
    for _ in 0..30_000 {
        if descriptors() <= baseline {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("{} descriptors, {baseline} before", descriptors());
}

#[test]
fn connections_come_back_however_attempts_end() {
    block_on(async {
        let sandbox = Sandbox::builder().start().expect("threads");
        let silent = Server::start(|_, stream| hang(stream));
        let endless = Server::start(|_, stream| {
            say(stream, b"HTTP/1.1 200 OK\r\n\r\n");
            endlessly(stream, b"xxxxxxxxxxxxxxxx");
        });
        let attempt = |server: &Server, more: Value| Try::steps(server, json!([server.step(more)]));
        seen(&attempt(&endless, json!({"read": "none"})).on(&sandbox).await);
        comes_back_to(descriptors());
        let baseline = descriptors();
        for _ in 0..5 {
            let held = attempt(&silent, json!({"times": 5, "hold": true}));
            assert_eq!(stop(held.within(Limit::Timeout, 100).on(&sandbox).await).cause, Cause::Timeout);
            seen(&attempt(&silent, json!({"times": 5, "forget": true})).on(&sandbox).await);
            exceeded(
                attempt(&endless, json!({})).within(Limit::RequestBytes, 1 << 20).on(&sandbox).await,
                Limit::RequestBytes,
            );
            seen(&attempt(&endless, json!({"times": 5, "read": "none"})).on(&sandbox).await);
        }
        comes_back_to(baseline);
    });
}

#[test]
fn dropped_attempt_hangs_up_at_once() {
    let (heard, hears): (_, Receiver<&str>) = channel();
    let heard = Mutex::new(heard);
    let server = Server::start(move |_, stream| {
        let tell = |what| heard.lock().expect("nobody panicked").send(what).expect("the test waits");
        tell("a request");
        hang(stream);
        tell("the end");
    });
    block_on(async {
        let sandbox = Arc::new(Sandbox::builder().start().expect("threads"));
        let request = Try::steps(&server, json!([server.step(json!({}))])).request(&sandbox).await;
        let running = tokio::spawn({
            let sandbox = Arc::clone(&sandbox);
            async move { sandbox.execute(request, Arc::new(Unattended)).await }
        });
        tokio::task::yield_now().await;
        let wait = |hears: Receiver<&'static str>| {
            tokio::task::spawn_blocking(move || (hears.recv_timeout(Duration::from_secs(30)), hears))
        };
        let (first, hears) = wait(hears).await.expect("no panic");
        assert_eq!(first, Ok("a request"));
        running.abort();
        let (second, _) = wait(hears).await.expect("no panic");
        assert_eq!(second, Ok("the end"), "the connection outlived its attempt");
    });
}
