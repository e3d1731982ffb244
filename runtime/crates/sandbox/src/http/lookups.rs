//! Look-ups of names for requests of the host itself, so that names that hang hold up no others.
//!
//! Of a name there is one look-up at a time, whoever waits for it, and nobody waits for longer than a while. That it was late, or led
//! nowhere, is remembered: until its thread has come back, and a moment longer. What a name leads to is not, so that each request goes to
//! where it leads by then.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sunaba_task::BoxFuture;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::resolve::{Resolve, System};

/// Names at a time: more than there are webhooks, since those of one that was changed may still hang.
const MAX_NAMES: usize = 64;
/// How long somebody waits for a name.
const WITHIN: Duration = Duration::from_secs(5);
/// How long a name that leads nowhere is not asked for again: less than the first retry waits.
const REMEMBERED: Duration = Duration::from_secs(3);

/// What came of a look-up.
type Found = Result<Vec<IpAddr>, ErrorKind>;
/// The names that are looked up, or have led nowhere a moment ago.
type Names = Arc<Mutex<BTreeMap<String, watch::Receiver<Option<Found>>>>>;

/// Looks each name up apart from all others.
pub(super) struct Lookups {
    inner: Arc<dyn Resolve>,
    names: Names,
    within: Duration,
    remembered: Duration,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::new(System::of(MAX_NAMES), WITHIN, REMEMBERED)
    }
}

/// Forgets a name, however its look-up ends.
struct Forget(Names, String);

impl Drop for Forget {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Lookups {
    fn new(inner: impl Resolve + 'static, within: Duration, remembered: Duration) -> Self {
        Self { inner: Arc::new(inner), names: Names::default(), within, remembered }
    }

    /// The look-up of this name that is on its way, or one that begins now.
    fn of(&self, host: String) -> Result<watch::Receiver<Option<Found>>, Error> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(&host) {
            return Ok(known.clone());
        }
        if names.len() >= MAX_NAMES {
            return Err(Error::new(ErrorKind::TimedOut, "too many names are looked up already"));
        }
        let (sender, receiver) = watch::channel(None);
        names.insert(host.clone(), receiver.clone());
        let forget = Forget(Arc::clone(&self.names), host.clone());
        let (inner, within, remembered) = (Arc::clone(&self.inner), self.within, self.remembered);
        tokio::spawn(async move {
            let _forget = forget;
            let mut looking = inner.resolve(host);
            let looked = timeout(within, &mut looking).await;
            let is_late = looked.is_err();
            let found: Found = looked.map_or(Err(ErrorKind::TimedOut), |found| found.map_err(|error| error.kind()));
            let is_failed = found.is_err();
            sender.send_replace(Some(found));
            if is_late {
                // Its thread is still there: no second one for this name. What it finds is too late for all who have asked.
                let _ = looking.await;
            }
            if is_failed {
                sleep(remembered).await;
            }
        });
        Ok(receiver)
    }
}

impl Resolve for Lookups {
    fn resolve(&self, host: String) -> BoxFuture<'_, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let mut looking = self.of(host)?;
            // Whoever looks says by itself when it is late; it is gone only with its runtime.
            let found = looking.wait_for(Option::is_some).await.map_err(Error::other)?;
            found.clone().unwrap_or(Err(ErrorKind::Other)).map_err(Error::from)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    /// Names that begin with `hangs` are looked up until there is a permit, `none` leads nowhere, and all others lead to an address.
    struct Fake {
        asked: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl Resolve for Fake {
        fn resolve(&self, host: String) -> BoxFuture<'_, std::io::Result<Vec<IpAddr>>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let gate = Arc::clone(&self.gate);
            Box::pin(async move {
                if host.starts_with("hangs") {
                    gate.acquire().await.expect("it is open").forget();
                }
                if host == "none" { Err(Error::from(ErrorKind::NotFound)) } else { Ok(vec![ADDRESS]) }
            })
        }
    }

    fn lookups(remembered: Duration) -> (Lookups, Arc<AtomicUsize>, Arc<Semaphore>) {
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let fake = Fake { asked: Arc::clone(&asked), gate: Arc::clone(&gate) };
        (Lookups::new(fake, Duration::from_millis(20), remembered), asked, gate)
    }

    async fn ask(lookups: &Lookups, host: &str) -> Result<Vec<IpAddr>, ErrorKind> {
        lookups.resolve(host.into()).await.map_err(|error| error.kind())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn names_that_hang_hold_up_no_other_and_have_one_look_up_each() {
        block_on(async {
            let (lookups, asked, gate) = lookups(Duration::ZERO);
            for _ in 0..8 {
                for host in ["hangs-1", "hangs-2"] {
                    assert_eq!(ask(&lookups, host).await, Err(ErrorKind::TimedOut));
                }
            }
            assert_eq!(asked.load(Ordering::SeqCst), 2, "one thread for each name, however often it is asked for");
            assert_eq!(ask(&lookups, "other").await, Ok(vec![ADDRESS]));
            // It has come back: the name is asked for anew.
            gate.add_permits(3);
            while ask(&lookups, "hangs-1").await.is_err() {
                tokio::task::yield_now().await;
            }
            assert_eq!(asked.load(Ordering::SeqCst), 4);
        });
    }

    #[test]
    fn name_that_leads_nowhere_is_remembered_and_one_that_leads_somewhere_is_not() {
        block_on(async {
            let (lookups, asked, _) = lookups(Duration::from_secs(600));
            for _ in 0..3 {
                assert_eq!(ask(&lookups, "none").await, Err(ErrorKind::NotFound));
            }
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            assert_eq!(ask(&lookups, "other").await, Ok(vec![ADDRESS]));
            while !lookups.names.lock().expect("nobody panicked").keys().eq(["none"]) {
                tokio::task::yield_now().await;
            }
            assert_eq!(ask(&lookups, "other").await, Ok(vec![ADDRESS]));
            assert_eq!(asked.load(Ordering::SeqCst), 3);
        });
    }

    #[test]
    fn number_of_names_obeyed() {
        block_on(async {
            let (lookups, ..) = lookups(Duration::from_secs(600));
            for number in 1..MAX_NAMES {
                drop(lookups.of(format!("hangs-{number}")));
            }
            assert_eq!(ask(&lookups, "other").await, Ok(vec![ADDRESS]));
        });
    }

    #[test]
    fn number_of_names_violated() {
        block_on(async {
            let (lookups, asked, _) = lookups(Duration::from_secs(600));
            for number in 0..MAX_NAMES {
                drop(lookups.of(format!("hangs-{number}")));
            }
            assert_eq!(ask(&lookups, "other").await, Err(ErrorKind::TimedOut));
            assert!(asked.load(Ordering::SeqCst) <= MAX_NAMES);
        });
    }
}
