//! The commit thread: gathers requests, plans them in one turn, makes the turn durable once, then answers.

use std::sync::{Arc, OnceLock};

use sunaba_task::LeaseToken;
use tokio::sync::mpsc;

use crate::planner::{Planner, SharedClock, Turn};
use crate::{Engine, OpenError, StoreError};

/// Requests of one turn. Each may hold many tasks.
const MAX_GATHERED: usize = 256;

/// What one caller wants done.
pub(crate) type Request = Box<dyn FnOnce(&mut Planner, &mut Turn<'_>) + Send>;

/// Opens the engine's store; what the process before has left undone is done and durable.
pub(crate) fn open(engine: &mut dyn Engine, clock: &SharedClock) -> Result<Planner, OpenError> {
    let mut turn = Turn::new(engine, &**clock);
    let planner = Planner::open(&mut turn)?;
    let writes = turn.txn.into_writes();
    let durable = engine.apply(&writes).and_then(|()| engine.barrier());
    durable.map_err(|error| OpenError::Unreadable(error.to_string()))?;
    Ok(planner)
}

/// Serves requests until the last sender is gone. After a failure of the engine nothing is served: nobody knows any more
/// what is durable.
pub(crate) async fn serve(
    mut planner: Planner,
    mut engine: Box<dyn Engine>,
    clock: SharedClock,
    mut requests: mpsc::Receiver<Request>,
    failure: Arc<OnceLock<StoreError>>,
) {
    let mut gathered = Vec::with_capacity(MAX_GATHERED);
    let mut taken_back = Vec::new();
    loop {
        let wait = planner.until_next(clock.now(), clock.elapsed());
        if taken_back.is_empty() {
            // The sleep that loses is made anew; the receiver that loses has taken nothing.
            tokio::select! {
                biased;
                count = requests.recv_many(&mut gathered, MAX_GATHERED) => if count == 0 { return },
                () = clock.sleep(wait) => {}
            }
        }
        let mut turn = Turn::new(&*engine, &*clock);
        let planned = plan(&mut planner, &mut turn, &std::mem::take(&mut taken_back), gathered.drain(..));
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
        for answer in answers {
            taken_back.extend(answer());
        }
    }
}

fn plan(
    planner: &mut Planner,
    turn: &mut Turn<'_>,
    nobody_took: &[LeaseToken],
    requests: impl Iterator<Item = Request>,
) -> Result<(), StoreError> {
    planner.take_back(turn, nobody_took)?;
    planner.pass_time(turn)?;
    requests.for_each(|request| request(planner, turn));
    planner.serve_parked(turn)
}
