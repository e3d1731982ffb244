//! Watches a host: looks at it now and then, tells of what is wrong, and keeps what it has done over restarts.
//!
//! A look is a few reads of the store, of bounded size; nothing that runs tasks waits for it or tells it anything. What it
//! decides is decided by pure functions of what it saw ([`rules`], [`book`], [`history`], [`incidents`], [`checks`]).

mod book;
mod checks;
mod eyes;
mod history;
mod incidents;
mod machine;
mod pulse;
mod report;
mod rules;
mod sample;
mod window;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sunaba_store::{Note, Observations, Store, StoreError};
use sunaba_task::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};

pub use book::{Alert, AlertSink};
pub use checks::Check;
pub(crate) use eyes::{Eyes, LOOK_TIME};
pub use history::{Figures, Hour, TARGETS};
pub use incidents::{Incident, Resolved};
pub use pulse::{MINUTES, Minute, Share};
pub use report::{Every, Period, Report};
pub use rules::{AlertRules, RuleSetting, RuleSettingError};
use sample::Moment;
pub use sample::{FailureSample, HandlerSample, QueueSample, Sample, WaitingSample};

use crate::rule::Rule;
use book::{AlertBook, LogSink};
use history::{HOURS, History, SEEN};
use incidents::{INCIDENTS, Incidents};
use pulse::Pulse;
use window::Window;

/// Looks that are closer together would be no news.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// What a crash may take of the history.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);
/// A look that is no older is as good as a new one, however many ask.
const FRESH: Duration = Duration::from_secs(1);
/// The size of the store is not asked for more often: it is a walk over its directory.
const SIZE_INTERVAL: Duration = Duration::from_secs(60);

/// How a host is watched.
#[derive(Clone)]
pub struct WatchConfig {
    /// How often it is looked at.
    pub interval: Duration,
    /// From where on something is wrong.
    pub rules: AlertRules,
    /// Who is told of alerts, besides the log.
    pub sinks: Vec<Arc<dyn AlertSink>>,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), rules: AlertRules::default(), sinks: Vec::new() }
    }
}

/// A host that is watched. Dropped, it is watched no more.
pub(crate) struct Watch {
    seen: Arc<Seen>,
    eyes: Arc<Eyes>,
    /// The other end is dropped when the last look is noted.
    stop: watch::Sender<bool>,
    watching: AbortHandle,
    /// Somebody wants a look before its time.
    wanted: Arc<Notify>,
    /// Counts the looks.
    looks: watch::Receiver<u64>,
}

/// What was found out so far.
struct Seen(Mutex<Found>);

struct Found {
    book: AlertBook,
    history: History,
    incidents: Incidents,
    pulse: Pulse,
    window: Window,
    /// The last look, and when that was by our own clock.
    last: (Sample, Instant),
    /// When it was by the store's, once it is counted.
    counted: Option<Duration>,
    store_bytes: Option<u64>,
    /// Whether the host is being stopped in good order: that its worker goes is no trouble.
    leaving: bool,
}

impl Seen {
    /// Nothing that runs under this lock can panic or waits.
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Reads what is kept of the times before, and looks from now on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn start(mut eyes: Eyes, mut config: WatchConfig) -> Result<Self, StoreError> {
        config.interval = config.interval.max(MIN_INTERVAL);
        config.sinks.insert(0, Arc::new(LogSink));
        let seen = eyes.store().observe(u64::MAX).await?;
        eyes.begun = Some((Moment { at: seen.now, elapsed: seen.elapsed }, Instant::now()));
        let mut notes = Vec::new();
        for prefix in [SEEN, HOURS, INCIDENTS] {
            notes.extend(all_notes(&**eyes.store(), prefix).await?);
        }
        let found = Found {
            book: AlertBook::default(),
            history: History::read(seen.now, seen.since, &notes),
            incidents: Incidents::read(&notes),
            pulse: Pulse::default(),
            window: Window::default(),
            last: (eyes.look(u64::MAX).await.0, Instant::now()),
            counted: None,
            store_bytes: None,
            leaving: false,
        };
        let (stop, stopping) = watch::channel(false);
        let (eyes, seen) = (Arc::new(eyes), Arc::new(Seen(Mutex::new(found))));
        let (wanted, (looked, looks)) = (Arc::new(Notify::new()), watch::channel(0));
        let asked = Asked { wanted: Arc::clone(&wanted), looked };
        let watching = tokio::spawn(run(stopping, Arc::clone(&eyes), Arc::clone(&seen), asked, config)).abort_handle();
        Ok(Self { seen, eyes, stop, watching, wanted, looks })
    }

    /// The host is being stopped in good order: its worker will be gone, and that is nobody's failure.
    pub(crate) fn leaving(&self) {
        self.seen.lock().leaving = true;
    }

    /// Looks a last time, notes that the host stops in good order, and ends.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(grace, self.stop.closed()).await.is_err() {
            tracing::warn!("what the host has done lately was not noted in time");
            self.watching.abort();
        }
    }

    /// How the host stands now.
    pub(crate) async fn sample(&self) -> (Sample, Option<Observations>) {
        let (mut sample, observations) = self.eyes.look(u64::MAX).await;
        sample.store_bytes = self.seen.lock().store_bytes;
        (sample, observations)
    }

    /// What a host needs, as it was at the last look. That is a second old at most, or however long ago the store could be asked last:
    /// whoever asks has the watch look, once a second for all of them, and waits no longer than that.
    pub(crate) async fn checks(&self) -> Vec<Check> {
        let (wanted_at, mut looks) = (Instant::now(), self.looks.clone());
        looks.mark_unchanged();
        if wanted_at.duration_since(self.seen.lock().last.1) > FRESH {
            self.wanted.notify_one();
            // Who does not wait for it any longer has the one before.
            let _ = tokio::time::timeout(FRESH, looks.changed()).await;
        }
        let (mut sample, looked) = self.seen.lock().last.clone();
        // This costs no look.
        sample.failure = self.eyes.store().failure().map(|failure| failure.to_string()).or(sample.failure);
        checks::checks(&sample, looked.elapsed())
    }

    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.seen.lock().book.alerts()
    }

    pub(crate) fn alerts_fired(&self) -> u64 {
        self.seen.lock().book.fired()
    }

    pub(crate) fn incidents(&self, since: Timestamp) -> Vec<Incident> {
        self.seen.lock().incidents.list(since)
    }

    pub(crate) fn minutes(&self) -> Vec<Minute> {
        self.seen.lock().pulse.minutes()
    }

    pub(crate) fn report(&self, now: Timestamp, every: Every) -> Report {
        report::report(&self.seen.lock().history, now, every)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// All notes whose names begin so: as many as there may be.
async fn all_notes(store: &dyn Store, prefix: &str) -> Result<Vec<Note>, StoreError> {
    let (mut all, mut after) = (Vec::<Note>::new(), None);
    loop {
        let page = store.notes(prefix.to_owned(), after).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.name.clone());
        all.extend(page);
    }
}

/// Who wants a look before its time, and is told that there was one.
struct Asked {
    wanted: Arc<Notify>,
    looked: watch::Sender<u64>,
}

/// Looks until it is stopped. `stop` comes first and is thus dropped last: whoever waits for that may open the store anew.
async fn run(mut stop: watch::Receiver<bool>, eyes: Arc<Eyes>, seen: Arc<Seen>, asked: Asked, config: WatchConfig) {
    let mut ticks = tokio::time::interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut noted, mut sized) = (None, None);
    loop {
        let stopping = *stop.borrow_and_update();
        let place = seen.lock().history.place;
        let (sample, observations) = eyes.look(place).await;
        let now = sample.moment();
        let is_due = |last: Option<Duration>, every| last.is_none_or(|last| now.elapsed.saturating_sub(last) >= every);
        let changes = take_in(&seen, sample, observations.as_ref(), &config.rules);
        asked.looked.send_modify(|looks| *looks += 1);
        for alert in &changes {
            config.sinks.iter().for_each(|sink| sink.tell(alert));
        }
        if (stopping || is_due(noted, NOTE_INTERVAL)) && observations.is_some() {
            noted = Some(now.elapsed);
            note(&eyes, &seen, now.at, stopping).await;
        }
        if stopping {
            return;
        }
        if is_due(sized, SIZE_INTERVAL) {
            sized = Some(now.elapsed);
            let size = eyes.store_bytes().await;
            seen.lock().store_bytes = size;
        }
        next(&mut ticks, &mut stop, &seen, &asked).await;
    }
}

/// Waits until it is time to look again.
async fn next(ticks: &mut Interval, stop: &mut watch::Receiver<bool>, seen: &Seen, asked: &Asked) {
    loop {
        // Who loses: a wait, a look at the stop that is made again, or a wish that stays.
        tokio::select! {
            _ = ticks.tick() => return,
            _ = stop.wait_for(|stop| *stop) => return,
            () = asked.wanted.notified() => {
                // One that came while the last look was made has what it wants.
                if seen.lock().last.1.elapsed() > FRESH {
                    return;
                }
            }
        }
    }
}

/// What has changed by a look.
fn take_in(seen: &Seen, sample: Sample, observations: Option<&Observations>, rules: &AlertRules) -> Vec<Alert> {
    let mut found = seen.lock();
    let Found { book, history, incidents, pulse, window, last, counted, leaving, .. } = &mut *found;
    let (now, mut sample) = (sample.moment(), sample);
    if let Some(observations) = observations {
        sample.failed_webhooks.clone_from(&observations.failed_webhooks);
        sample.failures = window.look(now.elapsed, &observations.series, rules.failure_window);
        pulse.look(observations);
        observations.troubles.iter().for_each(|trouble| incidents.add(trouble));
        if observations.missed > 0 && observations.next > 0 {
            tracing::debug!(missed = observations.missed, "failures came faster than they were looked at");
        }
        history.place = observations.next;
        let gap = counted.map(|last| now.elapsed.saturating_sub(last));
        history.look(gap, now.at, Hour::of(observations), *leaving || sample.workers >= rules.min_workers.max(1));
    }
    *counted = Some(now.elapsed);
    let firing = book.firing();
    let mut conditions = rules::conditions(&sample, rules, &firing);
    let is_news = |found: &rules::Condition| !firing.contains(&(found.rule, found.subject.clone()));
    conditions.retain(|found| !(*leaving && found.rule == Rule::Workers && is_news(found)));
    let changes = book.look(now, conditions, rules);
    *last = (sample, Instant::now());
    changes
}

/// Keeps what has changed. What cannot be kept now is tried again with what comes next.
async fn note(eyes: &Eyes, seen: &Seen, now: Timestamp, stopping: bool) {
    let notes = {
        let mut found = seen.lock();
        let mut notes = found.incidents.take_notes();
        notes.extend(found.history.take_notes(now, stopping));
        notes
    };
    let names: BTreeSet<_> = notes.iter().map(|note| note.name.clone()).collect();
    let error = match tokio::time::timeout(eyes.look_time, eyes.store().set_notes(notes)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the store does not answer".to_owned()),
    };
    if let Some(error) = error {
        tracing::warn!(error, "what the host has done lately is not noted yet");
        let mut found = seen.lock();
        found.incidents.note_again(&names);
        found.history.note_again(&names);
    }
}

#[cfg(test)]
mod tests;
