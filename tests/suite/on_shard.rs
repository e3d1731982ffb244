//! What runs on a thread of the sandbox: its attempts run there too, and it may be the last to know the sandbox.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{AttemptHost, Executor as _, Live, Unattended};
use tokio::sync::oneshot;

use crate::sandbox::{hello, hello_attempt, output};
use crate::support::{block_on, load};

/// On which thread an attempt begins.
#[derive(Default)]
struct Begins(Mutex<Option<String>>);

impl AttemptHost for Begins {
    fn on_begin(&self, _: Arc<dyn Live>) {
        *self.0.lock().expect("nobody panicked") = thread_name();
    }
}

fn thread_name() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

/// Runs something where attempts are run, and gives what came of it.
async fn on_shard<T: Send + 'static>(sandbox: &Sandbox, work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, done) = oneshot::channel();
    let work = async move {
        let _ = sender.send(work.await);
    };
    assert!(sandbox.spawn(Box::pin(work)).is_ok(), "there is room");
    done.await.expect("it ends")
}

#[test]
fn what_runs_on_a_shard_runs_its_attempts_there() {
    block_on(async {
        let sandbox = Arc::new(Sandbox::builder().shards(2).slots(2).start().expect("threads"));
        let (attempt, begins) = (hello_attempt(&sandbox).await, Arc::new(Begins::default()));
        let (inside, host) = (Arc::clone(&sandbox), Arc::clone(&begins));
        let (report, place) =
            on_shard(
                &sandbox,
                async move { (attempt.run(&inside, host).await.expect("the sandbox works"), thread_name()) },
            )
            .await;
        assert_eq!(output(&report), output(&hello(&sandbox).await));
        assert!(place.as_ref().is_some_and(|name| name.starts_with("sunaba-shard-")), "{place:?}");
        assert_eq!(*begins.0.lock().expect("nobody panicked"), place);
    });
}

#[test]
fn attempt_that_is_dropped_on_its_shard_gives_its_slot_back() {
    block_on(async {
        let sandbox = Arc::new(Sandbox::builder().slots(1).start().expect("threads"));
        let component = load(&sandbox, "spin").await;
        let spinning = Attempt::of(&component, "spin").expect("it is there");
        let (inside, greeting) = (Arc::clone(&sandbox), hello_attempt(&sandbox).await);
        let report = on_shard(&sandbox, async move {
            let spinning = spinning.run(&inside, Arc::new(Unattended));
            let time = tokio::time::timeout(Duration::from_millis(20), spinning).await;
            assert!(time.is_err(), "it ends by itself never");
            greeting.run(&inside, Arc::new(Unattended)).await.expect("the slot is free")
        })
        .await;
        assert!(output(&report).contains("Ada"));
    });
}

#[test]
fn sandbox_that_is_dropped_by_what_runs_on_it_ends() {
    block_on(async {
        let sandbox = Arc::new(Sandbox::builder().shards(2).start().expect("threads"));
        let (inside, known) = (Arc::clone(&sandbox), Arc::downgrade(&sandbox));
        let (go, going) = oneshot::channel::<()>();
        let work = async move {
            let _ = going.await;
            drop(inside);
        };
        assert!(sandbox.spawn(Box::pin(work)).is_ok(), "there is room");
        drop(sandbox);
        assert!(known.upgrade().is_some(), "it is known to what runs on it");
        go.send(()).expect("it waits");
        let gone = async {
            while known.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it does not wait for itself");
    });
}
