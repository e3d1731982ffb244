//! Attempts that use up all the fuel that they may: what their worker makes of it by the rules, and what must follow.

use sunaba_store::{Leased, Settlement};
use sunaba_task::job::JobId;
use sunaba_task::{
    AttemptReport, AttemptResult, Cause, Fuel, Observation, Receipt, Stop, Task, Timestamp, Verdict, decide,
};

use crate::world::{World, link};

/// What an attempt may use, seen from its job's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gets {
    /// As much as its own limit says, or as nobody has limited.
    Own,
    /// A part of what is left, because nobody has said what it may use.
    Share,
    /// All that is left.
    All,
}

impl World {
    /// What a worker sees of an attempt that uses up all that it may, if this one does.
    pub(crate) fn runs_out(&mut self, leased: &Leased) -> Option<Observation> {
        let Fuel::Exact { limit: Some(limit) } = leased.task.spec.limits.fuel else { return None };
        if self.random.u8(..4) > 0 {
            return None;
        }
        let receipt = Receipt { fuel: Some(limit), ..Receipt::unmeasured(leased.task.spec.component) };
        let stop = Stop { cause: Cause::Fuel, message: "out of fuel".into(), backtrace: Vec::new() };
        let report = AttemptReport { result: AttemptResult::Stopped(stop), receipt, logs: Vec::new() };
        Some(Observation::Reported(Box::new(report)))
    }
}

/// A settlement as the rules want it.
pub(crate) fn by_rules(sent: Settlement, task: &Task, seen: &Observation, now: Timestamp) -> Settlement {
    let Observation::Reported(report) = seen else { panic!("it was reported") };
    let (ending, receipt) = (seen.ending(), Some(report.receipt.clone()));
    Settlement { ending, decision: decide(task, seen, now), receipt, ..sent }
}

/// What must follow when an attempt has used up what it might. A share that was too little costs nothing, and once; all that was left
/// is the budget.
pub(crate) async fn follows(world: &mut World, leased: &Leased, gets: Gets, settled: &Task) {
    let (id, name) = (settled.id, link(settled).name.clone());
    world.say(format!("ran out of {gets:?} `{name}`"));
    let last = settled.attempts.last().expect("it has one").decision.clone();
    if last.verdict == Verdict::Cancel {
        return;
    }
    let charged = settled.failures_charged - leased.task.failures_charged;
    match gets {
        Gets::Own => assert_eq!(charged, 1, "`{name}` has used all that it might"),
        Gets::Share => {
            assert_eq!(
                (charged, last.verdict),
                (0, Verdict::Requeue),
                "its share was no limit of its own: {settled:#?}"
            );
            assert!(world.book.small_shares.insert(id), "`{name}` has had a share that was too little, twice");
        }
        Gets::All => assert!(is_over(world, link(settled).job).await, "`{name}` has had all, and its job goes on"),
    }
}

async fn is_over(world: &World, job: JobId) -> bool {
    let job = world.job(job).await;
    job.is_stopping() || job.state.is_terminal()
}
