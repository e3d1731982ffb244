//! The commit thread: gathers changes, plans them in one turn, makes the turn durable, answers, and then serves the reads.
//!
//! While others wait, the next turn is planned beside the barrier of the one before (`beside.rs`), and made durable after it. Reads
//! come after the changes of their turn, so that they see what was kept and nothing else: theirs is a turn that ends here. When the engine fails or
//! the thread panics, no change is taken on any more, and reads are served from what is left (`read_only.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sunaba_task::{Durability, LeaseToken};
use tokio::sync::mpsc;

use crate::beside::{Beside, Flight};
use crate::blobs::LocalBlobs;
use crate::maintenance::{Copying, LastOpened};
use crate::planner::{Answer, Planner, SharedClock, Turn, is_named};
use crate::read_only::ReadOnly;
use crate::{Barrier, Engine, EngineError, OpenError, StoreError, Writes, codec, keys};

/// Requests of one turn. Each may hold many tasks.
const MAX_GATHERED: usize = 256;

/// Keys that the requests of a turn have written when it takes no more of them: the others come in the next.
const MAX_WRITTEN: usize = 20_000;

/// A turn that takes this long keeps workers from renewing, through no fault of theirs.
const MIN_STALL: Duration = Duration::from_secs(1);

/// What is on its way to the disk for longer holds up the next turn: for so long sessions cannot be renewed, and are given the time again.
const MAX_FLIGHT: Duration = Duration::from_millis(100);

/// Keys that are remembered until they are durable, when durability is relaxed; then the barrier comes at once.
const MAX_UNSYNCED: usize = 100_000;

/// A change, or a wait: sees the turn, and answers when it is durable.
pub(crate) type Change = Box<dyn FnOnce(&mut Planner, &mut Turn<'_>) + Send>;
/// Shows what is there; answers by itself, and can change nothing.
pub(crate) type Read = Box<dyn FnOnce(&Planner, &Turn<'_>) + Send>;

/// What one caller wants.
pub(crate) enum Request {
    Change(Change),
    /// A read of records.
    Records(Read),
    /// A read that needs to know every setting.
    Settings(Read),
    /// A backup of all that there is.
    Copy(Copying),
}

/// What the commit thread owns.
pub(crate) struct Commit {
    planner: Planner,
    engine: Box<dyn Engine>,
    clock: SharedClock,
    durability: Durability,
    /// What is being applied. It is here so that a panic does not take it.
    applying: Writes,
    /// What was applied since the last barrier has begun.
    unsynced: Vec<Vec<u8>>,
    /// What becomes durable meanwhile.
    flight: Option<Flight>,
    beside: Beside,
    /// Of what was applied since.
    answers: Vec<Answer>,
    /// When the first of that was applied.
    unsynced_since: Option<Duration>,
    returned: mpsc::UnboundedReceiver<LeaseToken>,
    /// A backup on its way; a second one waits for nobody, and takes its place.
    copying: Option<Copying>,
    failure: Arc<OnceLock<EngineError>>,
    /// The files of artifacts. Here it is decided that one goes.
    blobs: LocalBlobs,
}

/// The engine or the thread has failed.
struct Failed;

impl Commit {
    /// Opens the engine's store; what the process before has left undone is done and durable.
    pub(crate) fn open(
        mut engine: Box<dyn Engine>,
        clock: SharedClock,
        random: fastrand::Rng,
        durability: Durability,
        (failure, blobs): (Arc<OnceLock<EngineError>>, LocalBlobs),
    ) -> Result<Self, OpenError> {
        // Bounded by the leases that there are.
        let (unwanted, returned) = mpsc::unbounded_channel();
        let mut turn = Turn::new(&*engine, &*clock);
        let mut planner = Planner::open(&mut turn, unwanted, random)?;
        planner.finish(&mut turn)?;
        turn.txn.put(keys::OPENED.to_vec(), codec::write(&LastOpened { at: turn.now, durability }));
        let writes = turn.txn.into_writes();
        let durable = engine.apply(&writes).and_then(|()| engine.barrier());
        durable.map_err(|error| OpenError::Unreadable(error.to_string()))?;
        blobs.clean(|digest| is_named(&*engine, digest));
        match durability.loss() {
            None => tracing::info!(%durability, "the store is open"),
            Some(loss) => {
                tracing::info!(%durability, "the store is open; a crash may lose what it answered in the last {loss:?}")
            }
        }
        let (applying, unsynced) = (Writes::new(), Vec::new());
        Ok(Self {
            planner,
            engine,
            clock,
            durability,
            applying,
            unsynced,
            flight: None,
            beside: Beside::default(),
            answers: Vec::new(),
            unsynced_since: None,
            returned,
            copying: None,
            failure,
            blobs,
        })
    }

    /// Has a turn do no more steps of what is to be done for jobs than these.
    pub(crate) fn limit_chores(&mut self, steps: usize) {
        self.planner.limit_chores(steps);
    }

    /// Serves requests until the last sender is gone.
    pub(crate) async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut gathered = Vec::with_capacity(MAX_GATHERED);
        let mut unwanted = None;
        let mut wait = Duration::ZERO;
        loop {
            let (mut is_closed, mut is_landed) = (false, false);
            // The sleep that loses is made anew; the receivers that lose have taken nothing.
            tokio::select! {
                biased;
                token = self.returned.recv() => unwanted = token,
                count = requests.recv_many(&mut gathered, MAX_GATHERED), if gathered.is_empty() => is_closed = count == 0,
                // The turn before has left some.
                () = std::future::ready(()), if !gathered.is_empty() => {}
                () = landed(self.flight.as_ref()) => is_landed = true,
                () = room(self.copying.as_ref()) => {}
                () = self.clock.sleep(wait) => {}
            }
            let served = self.guarded(|commit| {
                if is_closed {
                    return commit.barrier().map(|()| Duration::ZERO);
                }
                if is_landed {
                    commit.landed()?;
                } else {
                    commit.turn(unwanted.take(), &mut gathered)?;
                }
                Ok(commit.until_next())
            });
            match served {
                Ok(_) if is_closed => return,
                Ok(until_next) => wait = until_next,
                Err(Failed) => break,
            }
        }
        let _ = self.land();
        let Self { planner, engine, clock, applying, unsynced, copying, failure, answers, .. } = self;
        // Whoever waits is told at once.
        drop((planner, copying, answers));
        let Some(error) = failure.get().cloned() else { return };
        let written = unsynced.into_iter().chain(applying.into_keys());
        ReadOnly::new(engine, clock, error, written).serve(gathered, requests).await;
    }

    /// Does something that may panic, and notes a failure for all callers, before anybody's answer is dropped.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failed>) -> Result<T, Failed> {
        // What a panic leaves half done is not looked at any more: neither the planner nor what it was writing.
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| {
            Err(self.fail(EngineError::new("the commit thread panicked", sunaba_task::panic_text(&*panic))))
        })
    }

    fn fail(&self, error: EngineError) -> Failed {
        tracing::error!(%error, "the store has failed; it takes no changes any more, and goes on showing what is durable");
        let _ = self.failure.set(error);
        Failed
    }

    fn turn(&mut self, unwanted: Option<LeaseToken>, gathered: &mut Vec<Request>) -> Result<(), Failed> {
        self.wait_for_late()?;
        let begun = self.clock.elapsed();
        // Whoever is alone waits for nobody; one who comes while others are on their way goes with them.
        let is_busy = gathered.len() > 1 || self.flight.is_some();
        let returned = &mut self.returned;
        let nobody_took = unwanted.into_iter().chain(std::iter::from_fn(|| returned.try_recv().ok()));
        let mut turn = Turn::new(&*self.engine, &*self.clock);
        let mut reads = Vec::new();
        let planned = plan(&mut self.planner, &mut turn, nobody_took, gathered, &mut reads, &mut self.copying);
        self.answers.append(&mut turn.answers);
        self.blobs.doubt(turn.take_released());
        let planned = turn.txn.failure().map_or(planned.map_err(as_engine_error), Err);
        self.applying = turn.txn.into_writes();
        let mut kept = planned.and_then(|()| self.apply());
        // What reads show is durable, a backup copies what is, and of files only those go that nothing names.
        let ends_here = !is_busy || !reads.is_empty() || self.copying.is_some() || self.blobs.has_to_sweep();
        if kept.is_ok() && !ends_here && self.durability == Durability::Sync {
            match self.go_on(begun, !gathered.is_empty()) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => kept = Err(error),
            }
        }
        let landed = self.land();
        kept = kept.and(landed);
        if self.durability == Durability::Sync {
            kept = kept.and_then(|()| self.sync());
        }
        if let Err(error) = kept {
            // The answers are dropped after it, which tells their callers to look here. Reads can still be answered.
            gathered.append(&mut reads);
            return Err(self.fail(error));
        }
        self.sweep_blobs();
        // Before anybody hears of it: time that passes from here on is the callers' own. But for those who are left to wait.
        self.forgive(begun, !gathered.is_empty());
        self.answer();
        self.show(reads);
        self.copy()?;
        if self.until_barrier().is_some_and(|left| left.is_zero()) || self.unsynced.len() >= MAX_UNSYNCED {
            let begun = self.clock.elapsed();
            self.barrier()?;
            self.forgive(begun, false);
        }
        Ok(())
    }

    /// Gives sessions the time again for which nobody could renew them. `is_behind`: others have waited for the turn to end.
    fn forgive(&mut self, begun: Duration, is_behind: bool) {
        let stall = self.clock.elapsed().saturating_sub(begun);
        if stall >= MIN_STALL {
            tracing::warn!(?stall, "the store was slow; sessions are given that time again");
        }
        if stall >= MIN_STALL || is_behind {
            self.planner.forgive(stall);
        }
    }

    fn show(&mut self, reads: Vec<Request>) {
        if reads.is_empty() {
            return;
        }
        let turn = Turn::new(&*self.engine, &*self.clock);
        for request in reads {
            if let Request::Records(read) | Request::Settings(read) = request {
                read(&self.planner, &turn);
            }
        }
        self.planner.note_suspects(turn);
    }

    fn apply(&mut self) -> Result<(), EngineError> {
        if self.applying.is_empty() {
            return Ok(());
        }
        self.engine.apply(&self.applying)?;
        if let Some(copying) = &mut self.copying {
            copying.note(&self.applying);
        }
        self.unsynced.extend(std::mem::take(&mut self.applying).into_keys());
        self.unsynced_since.get_or_insert_with(|| self.clock.elapsed());
        Ok(())
    }

    fn copy(&mut self) -> Result<(), Failed> {
        let Some(copying) = &mut self.copying else { return Ok(()) };
        match copying.step(&*self.engine) {
            Ok(true) => {}
            Ok(false) => self.copying = None,
            Err(error) => return Err(self.fail(error)),
        }
        Ok(())
    }

    /// Has what was applied become durable beside what comes, as soon as nothing else does; false when the engine can do no two
    /// things at a time.
    fn go_on(&mut self, begun: Duration, is_behind: bool) -> Result<bool, EngineError> {
        let is_young = |flight: &Flight| !self.left_of(flight).is_zero();
        if self.unsynced.len() < MAX_WRITTEN
            && self.flight.as_ref().is_some_and(|flight| !flight.is_over() && is_young(flight))
        {
            self.forgive(begun, is_behind);
            return Ok(true);
        }
        self.land()?;
        if self.unsynced_since.is_none() {
            // It has written nothing.
            self.forgive(begun, is_behind);
            self.answer();
            return Ok(true);
        }
        let Some(barrier) = self.engine.barrier_beside() else { return Ok(false) };
        self.forgive(begun, is_behind);
        self.depart(barrier);
        Ok(true)
    }

    fn depart(&mut self, barrier: Barrier) {
        self.unsynced_since = None;
        let (answers, keys) = (std::mem::take(&mut self.answers), std::mem::take(&mut self.unsynced));
        let begun = self.clock.elapsed();
        self.flight = Some(self.beside.begin(barrier, answers, (keys, begun), Arc::clone(&self.failure)));
    }

    /// What was on its way is durable; the next follows.
    fn landed(&mut self) -> Result<(), Failed> {
        self.land_and_forgive()?;
        if self.unsynced_since.is_none() {
            self.answer();
            return Ok(());
        }
        match self.engine.barrier_beside() {
            Some(barrier) => self.depart(barrier),
            None => self.barrier()?,
        }
        Ok(())
    }

    /// Before time passes: what is on its way for too long is waited for.
    fn wait_for_late(&mut self) -> Result<(), Failed> {
        let is_late = self.flight.as_ref().is_some_and(|flight| self.left_of(flight).is_zero());
        if is_late { self.land_and_forgive() } else { Ok(()) }
    }

    /// Sessions whose renewals were on their way are given that time again, if it was long.
    fn land_and_forgive(&mut self) -> Result<(), Failed> {
        let Some(begun) = self.flight.as_ref().map(|flight| flight.begun) else { return Ok(()) };
        self.land().map_err(|error| self.fail(error))?;
        self.forgive(begun, false);
        Ok(())
    }

    /// How long it may be on its way yet, until the next turn waits for it.
    fn left_of(&self, flight: &Flight) -> Duration {
        MAX_FLIGHT.saturating_sub(self.clock.elapsed().saturating_sub(flight.begun))
    }

    /// Tells those who have waited for what is durable now.
    fn answer(&mut self) {
        self.answers.drain(..).for_each(|answer| answer());
    }

    /// Waits for what is on its way to be durable.
    fn land(&mut self) -> Result<(), EngineError> {
        let Some(flight) = self.flight.take() else { return Ok(()) };
        let landed = flight.land();
        if landed.is_err() {
            // Nobody knows what of it is durable.
            self.unsynced.extend(flight.keys);
        }
        landed
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        if self.unsynced_since.is_some() {
            self.engine.barrier()?;
            self.unsynced.clear();
            self.unsynced_since = None;
        }
        Ok(())
    }

    fn barrier(&mut self) -> Result<(), Failed> {
        self.land().and_then(|()| self.sync()).map_err(|error| self.fail(error))?;
        self.answer();
        self.sweep_blobs();
        Ok(())
    }

    /// Lets files go that nobody names: when that is durable, and no sooner.
    fn sweep_blobs(&self) {
        if self.unsynced_since.is_none() && self.flight.is_none() {
            self.blobs.sweep(|digest| is_named(&*self.engine, digest));
        }
    }

    /// How long what was applied may wait for its barrier; none when there is nothing.
    fn until_barrier(&self) -> Option<Duration> {
        let due = self.unsynced_since?.saturating_add(self.durability.loss().unwrap_or_default());
        Some(due.saturating_sub(self.clock.elapsed()))
    }

    /// How long nothing happens by itself.
    fn until_next(&self) -> Duration {
        // What waits for a barrier is looked at after it.
        if self.unsynced_since.is_none() && self.flight.is_none() && self.blobs.has_to_sweep() {
            return Duration::ZERO;
        }
        let planned = self.planner.until_next(self.clock.now(), self.clock.elapsed());
        // What waits for its own barrier has it after the one that is under way.
        match &self.flight {
            Some(flight) => planned.min(self.left_of(flight)),
            None => self.until_barrier().map_or(planned, |left| left.min(planned)),
        }
    }
}

/// Waits until a turn is durable; for ever when there is none on its way.
async fn landed(flight: Option<&Flight>) {
    match flight {
        Some(flight) => flight.landed().await,
        None => std::future::pending().await,
    }
}

/// Waits until a backup has room for more; for ever when there is no backup.
async fn room(copying: Option<&Copying>) {
    match copying {
        Some(copying) => copying.room().await,
        None => std::future::pending().await,
    }
}

fn as_engine_error(error: StoreError) -> EngineError {
    match error {
        StoreError::Failed(error) => error,
        // The planner cannot go on, which is a failure of the store as much.
        other => EngineError::new("cannot plan", other),
    }
}

fn plan(
    planner: &mut Planner,
    turn: &mut Turn<'_>,
    nobody_took: impl Iterator<Item = LeaseToken>,
    requests: &mut Vec<Request>,
    reads: &mut Vec<Request>,
    copying: &mut Option<Copying>,
) -> Result<(), StoreError> {
    for token in nobody_took {
        planner.take_back(turn, &token)?;
    }
    planner.pass_time(turn)?;
    let mut left = std::mem::replace(requests, Vec::with_capacity(MAX_GATHERED)).into_iter();
    // However much has happened by itself, somebody is served.
    let full = turn.txn.len() + MAX_WRITTEN;
    while turn.txn.len() < full
        && let Some(request) = left.next()
    {
        match request {
            Request::Change(change) => change(planner, turn),
            Request::Records(_) | Request::Settings(_) => reads.push(request),
            Request::Copy(copy) => *copying = Some(copy),
        }
    }
    requests.extend(left);
    planner.do_chores(turn)?;
    planner.serve_parked(turn)?;
    if turn.txn.len() > 0 {
        planner.set_suspects_aside(turn)?;
    }
    planner.finish(turn)
}
