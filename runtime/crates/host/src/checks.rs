//! What inputs are checked on. A check by a schema may take a second: whoever is not done at once goes to another thread, one
//! after another, so that neither a host's callers nor the other guests of a shard wait for it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde_json::Value;
use sunaba_task::job::MAX_PLAN_BYTES;
use sunaba_task::{NewTask, Payload, format_bytes};
use tokio::sync::{Semaphore, oneshot};

use crate::input::{self, InputError};
use crate::schema::{MAX_WORK, Schema};

/// A longer input is not read at once.
const QUICK_BYTES: usize = 32 << 10;
/// What takes more steps is not checked at once: some ten microseconds.
const QUICK_STEPS: u64 = 2_000;
/// What the inputs of one plan may take for each of their bytes: many times what an ordinary schema takes.
const STEPS_A_BYTE: u64 = 256;
/// What all inputs of the largest plan may take: some seconds.
const MAX_TOTAL: u64 = 64 * MAX_WORK;

/// One at a time: two that take long are not done sooner side by side, and everybody else would have no core.
static TURN: Semaphore = Semaphore::const_new(1);

/// Bytes of a task that its plan holds, as far as a submitter says them. The store counts all of what it writes; this is known before
/// a plan is made, which is in memory meanwhile.
pub(crate) fn weight(task: &NewTask) -> u64 {
    let NewTask { spec, input, .. } = task;
    let grants = &spec.grants;
    let env = grants.env.iter().map(|env| env.key.len() + env.value.len());
    let dirs = grants.dirs.iter().map(|dir| dir.host.as_os_str().len() + dir.guest.len());
    let attributes = spec.attributes.iter().map(|(name, value)| name.len() + value.len());
    let words = spec.tags.iter().chain(&grants.secrets).map(String::len);
    (input.bytes.len() + env.chain(dirs).chain(attributes).chain(words).sum::<usize>()) as u64
}

/// That a plan has too much of all that.
pub(crate) fn too_heavy(bytes: u64) -> String {
    format!(
        "the plan has more than {} of inputs, grants and tags: at least {}\nhint: give large things by artifacts, and fewer \
         variables to each task",
        format_bytes(MAX_PLAN_BYTES),
        format_bytes(bytes)
    )
}

/// What checks may take together that belong to one request.
#[derive(Debug)]
pub(crate) struct Steps {
    total: u64,
    left: u64,
}

impl Steps {
    /// For one input.
    pub(crate) fn of_one() -> Self {
        Self { total: MAX_WORK, left: MAX_WORK }
    }

    /// For inputs of so many bytes together.
    pub(crate) fn of_all(bytes: usize) -> Self {
        let total = (bytes as u64).saturating_mul(STEPS_A_BYTE).clamp(MAX_WORK, MAX_TOTAL);
        Self { total, left: total }
    }
}

/// Whether a handler with this schema takes this input.
///
/// # Errors
/// It takes JSON and this is none, or of another shape; or finding that out takes more than there is for the request.
pub(crate) async fn check(
    handler: &str,
    schema: Option<Arc<Schema>>,
    input: &Payload,
    steps: &mut Steps,
) -> Result<(), InputError> {
    let Some(schema) = schema else { return Ok(()) };
    let violated = |violation| Err(InputError::Schema { handler: handler.to_owned(), violation });
    if input.bytes.len() <= QUICK_BYTES {
        let value = input::parsed(input)?;
        if let Some(taken) = schema.steps(&value, QUICK_STEPS.min(steps.left)) {
            steps.left -= taken;
            return schema.violation(&value).map_or(Ok(()), violated);
        }
    }
    let Ok(turn) = TURN.acquire().await else { return std::future::pending().await };
    let (bytes, left) = (input.clone(), steps.left);
    let checked = apart(move || {
        // Whoever does not wait for it any more lets no other begin before it is done.
        let _turn = turn;
        let value: Value = input::parsed(&bytes)?;
        // Beyond its own bound it is refused by the check itself, which says so.
        let taken = schema.steps(&value, MAX_WORK).unwrap_or(0);
        Ok(if taken > left { None } else { Some((taken, schema.violation(&value))) })
    });
    match checked.await {
        Ok(Some((taken, violation))) => {
            steps.left -= taken;
            violation.map_or(Ok(()), violated)
        }
        Ok(None) => violated(format!("checking the inputs takes more than {} steps together", steps.total)),
        Err(error) => Err(error),
    }
}

/// Does what takes long on a thread of its own, whoever asks: the threads of the runtime that this may run on are a shard's, for
/// the files of its guests. There is one such thread at a time.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waits) = oneshot::channel();
    let work = move || drop(done.send(std::panic::catch_unwind(AssertUnwindSafe(work))));
    if let Err(error) = std::thread::Builder::new().name("sunaba-check".into()).spawn(work) {
        panic!("there is no thread to check an input on: {error}");
    }
    match waits.await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        // It ends by sending.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A value of depth n takes 2 to the n steps.
    fn doubling() -> Arc<Schema> {
        let node = json!({ "allOf": [{ "$ref": "#/$defs/t" }, { "$ref": "#/$defs/t" }] });
        let tree = json!({ "$defs": { "t": { "properties": { "x": node } } }, "$ref": "#/$defs/t" });
        Arc::new(Schema::compile(&tree.to_string()).expect("it can be checked"))
    }

    fn deep(levels: usize) -> Payload {
        Payload::json((0..levels).fold(json!({}), |inner, _| json!({ "x": inner })).to_string())
    }

    #[tokio::test]
    async fn steps_of_a_plan_obeyed() {
        let mut steps = Steps::of_all(0);
        for levels in [1, 12, 14] {
            assert_eq!(check("h", Some(doubling()), &deep(levels), &mut steps).await, Ok(()), "{levels}");
        }
        assert!(steps.left < steps.total);
    }

    #[tokio::test]
    async fn steps_of_a_plan_violated() {
        let mut steps = Steps::of_all(0);
        let mut last = Ok(());
        for _ in 0..1_000 {
            last = check("h", Some(doubling()), &deep(16), &mut steps).await;
            if last.is_err() {
                break;
            }
        }
        let error = last.expect_err("they take too much together").to_string();
        assert!(error.contains("more than 8000000 steps together"), "{error}");
        // What takes little is refused no more than before.
        assert_eq!(check("h", Some(doubling()), &deep(1), &mut steps).await, Ok(()));
    }

    #[tokio::test]
    async fn check_that_takes_long_holds_up_nobody_on_its_thread() {
        let mut steps = Steps::of_one();
        let (schema, input) = (doubling(), deep(18));
        let check = check("h", Some(schema), &input, &mut steps);
        let other = async {
            // Polled once more after the check has begun: on one thread that is only so if the check is elsewhere.
            tokio::task::yield_now().await;
            true
        };
        let mut check = std::pin::pin!(check);
        tokio::select! {
            biased;
            _ = &mut check => panic!("it was done at once"),
            done = other => assert!(done),
        }
        assert_eq!(check.await, Ok(()));
    }

    /// Without a runtime there is no thread of one either.
    #[test]
    fn check_that_takes_long_needs_no_thread_of_the_runtime_it_is_asked_on() {
        let checked = futures_of_nobody(check("h", Some(doubling()), &deep(14), &mut Steps::of_one()));
        assert_eq!(checked, Ok(()));
    }

    /// Runs a future on this thread alone.
    fn futures_of_nobody<T>(work: impl Future<Output = T>) -> T {
        struct Unpark(std::thread::Thread);

        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut work = std::pin::pin!(work);
        loop {
            if let std::task::Poll::Ready(done) = work.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                return done;
            }
            std::thread::park();
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_wherever_it_was_checked() {
        let text = json!({ "type": "array", "items": { "type": "string" } }).to_string();
        let schema = Arc::new(Schema::compile(&text).expect("a schema"));
        for length in [1, 50_000] {
            let input = Payload::json(serde_json::to_string(&vec![1; length]).expect("numbers"));
            let error = check("h", Some(Arc::clone(&schema)), &input, &mut Steps::of_one()).await;
            let error = error.expect_err("numbers are no strings").to_string();
            assert!(error.contains("at `/0`: 1 is not of type"), "{error}");
        }
        let error = check("h", Some(schema), &Payload::json("["), &mut Steps::of_one()).await.expect_err("not JSON");
        assert!(matches!(error, InputError::Json(_)), "{error}");
    }
}
