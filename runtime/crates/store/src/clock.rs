//! The clocks that a store can go by.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sunaba_task::{BoxFuture, Clock, Timestamp};
use tokio::sync::watch;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// The clock; its `elapsed` counts from here.
    #[expect(clippy::new_without_default, reason = "two clocks count from different moments")]
    #[expect(clippy::disallowed_methods, reason = "this is the edge where the clock is read")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge where the clock is read")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves when it is told to, for tests and simulations.
#[derive(Debug, Clone)]
pub struct ManualClock {
    hands: Arc<watch::Sender<Hands>>,
}

#[derive(Debug, Clone, Copy)]
struct Hands {
    now_ms: u64,
    elapsed: Duration,
}

impl ManualClock {
    /// A clock that stands at this time of day.
    pub fn at(now: Timestamp) -> Self {
        Self { hands: Arc::new(watch::Sender::new(Hands { now_ms: now.unix_ms(), elapsed: Duration::ZERO })) }
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        self.hands.send_modify(|hands| {
            hands.elapsed += by;
            hands.now_ms += u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        });
    }

    /// Somebody sets the time of day, and no time passes.
    pub fn set(&self, now: Timestamp) {
        self.hands.send_modify(|hands| hands.now_ms = now.unix_ms());
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.hands.borrow().now_ms)
    }

    fn elapsed(&self) -> Duration {
        self.hands.borrow().elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut hands = self.hands.subscribe();
        let until = hands.borrow().elapsed.saturating_add(duration);
        Box::pin(async move {
            // The sender lives as long as any clone of the clock; without one, time stands still for ever.
            if hands.wait_for(|hands| hands.elapsed >= until).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
