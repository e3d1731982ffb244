//! The commit thread: gathers requests, plans them in one turn, makes the turn durable once, then answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sunaba_task::LeaseToken;
use tokio::sync::mpsc;

use crate::planner::{Planner, SharedClock, Turn};
use crate::{Engine, OpenError, StoreError};

/// Requests of one turn. Each may hold many tasks.
const MAX_GATHERED: usize = 256;

/// A turn that takes this long keeps workers from renewing, through no fault of theirs.
const MIN_STALL: Duration = Duration::from_secs(1);

/// What one caller wants done.
pub(crate) type Request = Box<dyn FnOnce(&mut Planner, &mut Turn<'_>) + Send>;

/// Opens the engine's store; what the process before has left undone is done and durable.
pub(crate) fn open(
    engine: &mut dyn Engine,
    clock: &SharedClock,
    random: fastrand::Rng,
) -> Result<(Planner, mpsc::UnboundedReceiver<LeaseToken>), OpenError> {
    // Bounded by the leases that there are.
    let (unwanted, returned) = mpsc::unbounded_channel();
    let mut turn = Turn::new(engine, &**clock);
    let mut planner = Planner::open(&mut turn, unwanted, random)?;
    planner.finish(&mut turn)?;
    let writes = turn.txn.into_writes();
    let durable = engine.apply(&writes).and_then(|()| engine.barrier());
    durable.map_err(|error| OpenError::Unreadable(error.to_string()))?;
    Ok((planner, returned))
}

/// Serves requests until the last sender is gone. After a failure of the engine nothing is served: nobody knows any more
/// what is durable.
pub(crate) async fn serve(
    mut planner: Planner,
    mut engine: Box<dyn Engine>,
    clock: SharedClock,
    mut requests: mpsc::Receiver<Request>,
    mut returned: mpsc::UnboundedReceiver<LeaseToken>,
    failure: Arc<OnceLock<StoreError>>,
) {
    let mut gathered = Vec::with_capacity(MAX_GATHERED);
    let mut unwanted = None;
    loop {
        let wait = planner.until_next(clock.now(), clock.elapsed());
        // The sleep that loses is made anew; the receivers that lose have taken nothing.
        tokio::select! {
            biased;
            token = returned.recv() => unwanted = token,
            count = requests.recv_many(&mut gathered, MAX_GATHERED) => if count == 0 { return },
            () = clock.sleep(wait) => {}
        }
        let mut turn = Turn::new(&*engine, &*clock);
        let begun = turn.elapsed;
        let nobody_took = unwanted.take().into_iter().chain(std::iter::from_fn(|| returned.try_recv().ok()));
        let planned = plan(&mut planner, &mut turn, nobody_took, gathered.drain(..));
        let answers = std::mem::take(&mut turn.answers);
        let writes = turn.txn.into_writes();
        let durable = planned.and_then(|()| {
            if writes.is_empty() {
                return Ok(());
            }
            engine.apply(&writes)?;
            Ok(engine.barrier()?)
        });
        if let Err(error) = durable {
            tracing::error!(%error, "the store has failed, and takes nothing on any more");
            // Before the answers are dropped, which tells their callers to look here.
            let _ = failure.set(error);
            return;
        }
        let stall = clock.elapsed().saturating_sub(begun);
        if stall >= MIN_STALL {
            tracing::warn!(?stall, "the disk was slow; sessions are given that time again");
            planner.forgive(stall);
        }
        answers.into_iter().for_each(|answer| answer());
    }
}

fn plan(
    planner: &mut Planner,
    turn: &mut Turn<'_>,
    nobody_took: impl Iterator<Item = LeaseToken>,
    requests: impl Iterator<Item = Request>,
) -> Result<(), StoreError> {
    for token in nobody_took {
        planner.take_back(turn, &token)?;
    }
    planner.pass_time(turn)?;
    requests.for_each(|request| request(planner, turn));
    planner.serve_parked(turn)?;
    planner.finish(turn)
}
