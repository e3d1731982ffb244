//! How much of a plan is made in one turn, by the planner itself.

use sunaba_task::job::{After, JobId, NewJob, Node};
use sunaba_task::{Clock, Digest, NewTask, Payload, TaskSpec, Timestamp};
use tokio::sync::mpsc;

use super::super::chores::MAX_STEPS;
use crate::jobs::{PAGE_EDGES, PreparedJob};
use crate::planner::{Planner, Turn};
use crate::{Engine as _, ManualClock, MemoryEngine, SubmittedJob};

struct House {
    clock: ManualClock,
    engine: MemoryEngine,
    planner: Planner,
}

impl House {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let engine = MemoryEngine::default();
        let (unwanted, _) = mpsc::unbounded_channel();
        let mut turn = Turn::new(&engine, &clock as &dyn Clock);
        let planner = Planner::open(&mut turn, unwanted, fastrand::Rng::with_seed(7)).expect("it can be read");
        Self { clock, engine, planner }
    }

    fn turn<T>(&mut self, work: impl FnOnce(&mut Planner, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn::new(&self.engine, &self.clock);
        let done = work(&mut self.planner, &mut turn);
        self.planner.finish(&mut turn).expect("memory does not fail");
        let writes = turn.txn.into_writes();
        self.engine.apply(&writes).expect("memory does not fail");
        done
    }

    fn submit(&mut self, nodes: Vec<Node>) -> JobId {
        let prepared = PreparedJob::new(NewJob { nodes, ..NewJob::default() }).expect("it can be run");
        let job = self.turn(|planner, turn| planner.submit_job(turn, prepared));
        job.expect("memory does not fail").map(SubmittedJob::into_job).expect("it is taken on").id
    }

    /// A turn; the tasks that are to be made after it.
    fn left(&mut self, job: JobId) -> usize {
        self.turn(|planner, turn| {
            planner.do_chores(turn).expect("memory does not fail");
            let job = planner.job(turn, job).expect("memory does not fail").expect("it is there");
            job.tasks.planned as usize
        })
    }
}

fn node(name: String, after: &[String]) -> Node {
    let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
    let after = after.iter().map(|name| After::new(name.parse().expect("a name"))).collect();
    Node { after, ..Node::new(name.parse().expect("a name"), NewTask::new(spec, Payload::json("1"))) }
}

#[test]
fn what_new_tasks_wait_for_is_bounded_in_a_turn_as_they_are() {
    const FIRST: usize = 100;
    const LAST: usize = 200;
    let mut house = House::new();
    let first: Vec<_> = (0..FIRST).map(|number| format!("first-{number}")).collect();
    let all = first.iter().map(|name| node(name.clone(), &[]));
    let all = all.chain((0..LAST).map(|number| node(format!("last-{number}"), &first)));
    let job = house.submit(all.collect());
    let (mut before, mut turns) = (FIRST + LAST, 0);
    while before > 0 {
        let left = house.left(job);
        let looks = (before.min(LAST) - left.min(LAST)) * FIRST;
        assert!(looks <= MAX_STEPS + PAGE_EDGES + FIRST, "{looks} in turn {turns}");
        (before, turns) = (left, turns + 1);
    }
    assert!(turns >= FIRST * LAST / (MAX_STEPS + PAGE_EDGES + FIRST), "{turns} turns");
}
