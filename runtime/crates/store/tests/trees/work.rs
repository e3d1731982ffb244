//! What workers do with what they have leased: they settle it, one or many at a time, and meanwhile somebody may stop it.

use std::sync::Arc;

use sunaba_store::{CancelWish, Leased, SettleError, Settlement, Store as _, Submitted};
use sunaba_task::job::NewPlan;
use sunaba_task::{Clock as _, Fuel, Observation, Receipt, Task, Verdict, decide};

use crate::fuel::{self, Gets};
use crate::plans;
use crate::world::{SECOND, World, link, settlement};

/// An attempt that has ended.
struct Ended {
    leased: Leased,
    /// The record by which it is decided.
    task: Task,
    verdict: Verdict,
    receipt: Receipt,
    plan: Option<Arc<NewPlan>>,
    /// What is seen of it if it has used up all its fuel.
    ran_out: Option<Observation>,
    gets: Gets,
}

/// What somebody else does in the turn in which attempts are settled.
#[derive(Clone, Copy)]
enum Meanwhile {
    Nothing,
    /// Cancels the task of the first.
    CancelsTask,
    /// Cancels its job.
    CancelsJob,
}

impl World {
    fn verdict(&mut self, task: &Task) -> Verdict {
        let undoes = link(task).undoes;
        let soon = SECOND * self.random.u32(0..4);
        match (task.cancel.is_some(), self.random.u8(..24)) {
            (true, _) => Verdict::Cancel,
            (false, 0..=1) => Verdict::Retry(soon),
            (false, 2) => Verdict::Snooze(soon),
            (false, 3) => Verdict::Requeue,
            (false, 4..=6) if !undoes => Verdict::Await(SECOND * 20),
            (false, 7..=9) => Verdict::GiveUp,
            // Plans below the first, and failures in them.
            (false, 11..) if self.trouble.waiters && link(task).depth == 1 && !undoes => Verdict::Decompose,
            (false, 17..) if self.trouble.waiters => Verdict::GiveUp,
            (false, 10..=15) if !undoes => Verdict::Decompose,
            _ => Verdict::Succeed,
        }
    }

    /// What an attempt has used: at most what it may.
    fn receipt(&mut self, leased: &Leased) -> Receipt {
        let used = match leased.task.spec.limits.fuel {
            Fuel::Exact { limit: Some(limit) } => Some(self.random.u64(0..=limit)),
            Fuel::Exact { limit: None } => Some(self.random.u64(0..20)),
            Fuel::Off => None,
        };
        Receipt { fuel: used, ..Receipt::unmeasured(leased.task.spec.component) }
    }

    /// A worker that has something, if there is one.
    fn busy(&mut self) -> Option<usize> {
        let busy: Vec<_> = (0..self.workers.len()).filter(|at| !self.workers[*at].leased.is_empty()).collect();
        (!busy.is_empty()).then(|| busy[self.random.usize(..busy.len())])
    }

    async fn submit_child(&mut self, leased: &Leased) {
        let named = format!("s{}", self.random.u8(..3));
        let child = plans::node(&named);
        // Refused or not: it may be stopping, or have spent its budgets.
        let answer = self.store.submit_child(leased.token, child.clone()).await.expect("it works");
        if let Ok(Submitted::Created(task)) = &answer {
            self.book.has_child(leased.task.id, link(task), child);
        }
        self.say(format!("child {named} {}", answer.is_ok()));
    }

    /// Somebody who runs submits a child, and goes on: it may have ended when he has.
    pub(crate) async fn ask(&mut self) {
        let Some(worker) = self.busy() else { return };
        let at = self.random.usize(..self.workers[worker].leased.len());
        let leased = self.workers[worker].leased[at].clone();
        if !link(&leased.task).undoes {
            self.submit_child(&leased).await;
        }
    }

    /// Settles what a worker has leased, sometimes many in one call: what follows from them is then to be done in one turn.
    pub(crate) async fn settle(&mut self) {
        let Some(worker) = self.busy() else { return };
        let wanted = if self.random.u8(..4) == 0 { self.random.usize(2..5) } else { 1 };
        let mut all = Vec::new();
        for _ in 0..wanted.min(self.workers[worker].leased.len()) {
            let at = self.random.usize(..self.workers[worker].leased.len());
            let leased = self.workers[worker].leased.swap_remove(at);
            all.push(self.end(leased).await);
        }
        let mut sent = Vec::new();
        for ended in &mut all {
            sent.push(self.settlement(ended));
        }
        let answers = self.send(&all, sent).await;
        for (ended, answer) in all.into_iter().zip(answers) {
            self.answered(ended, answer).await;
        }
    }

    async fn end(&mut self, leased: Leased) -> Ended {
        if self.random.u8(..8) == 0 && !link(&leased.task).undoes {
            self.submit_child(&leased).await;
        }
        if self.random.u8(..12) == 0 {
            self.complete(leased.task.id).await;
        }
        let task = self.task(leased.task.id).await;
        let (verdict, receipt) = (self.verdict(&task), self.receipt(&leased));
        let (ran_out, gets) = (self.runs_out(&leased), self.book.has(leased.task.id));
        Ended { leased, task, verdict, receipt, plan: None, ran_out, gets }
    }

    fn settlement(&mut self, ended: &mut Ended) -> Settlement {
        let now = self.clock.now();
        if let Some(seen @ Observation::Reported(report)) = &ended.ran_out {
            (ended.verdict, ended.receipt) = (decide(&ended.task, seen, now).verdict, report.receipt.clone());
        }
        let splits = ended.verdict == Verdict::Decompose;
        ended.plan = splits.then(|| Arc::new(plans::plan(&mut self.random, self.trouble)));
        let sent = Settlement {
            plan: ended.plan.clone(),
            receipt: Some(ended.receipt.clone()),
            ..settlement(&ended.leased, ended.task.revision, ended.verdict)
        };
        match &ended.ran_out {
            Some(seen) => fuel::by_rules(sent, &ended.task, seen, now),
            None => sent,
        }
    }

    /// Settles attempts; in the same turn somebody may stop the first, so that what was begun with it is stopped before it is done.
    async fn send(&mut self, all: &[Ended], sent: Vec<Settlement>) -> Vec<Result<Task, SettleError>> {
        let splits = all[0].verdict == Verdict::Decompose && self.trouble.cancels;
        let meanwhile = match self.random.u8(..10) {
            0..=1 if splits => Meanwhile::CancelsTask,
            2 if splits => Meanwhile::CancelsJob,
            _ => Meanwhile::Nothing,
        };
        let (task, job) = (all[0].task.id, link(&all[0].task).job);
        match meanwhile {
            Meanwhile::Nothing => return self.store.settle(sent).await.expect("it works"),
            Meanwhile::CancelsTask => {
                self.say("cancel what is split".into());
                self.book.task_cancelled(task);
            }
            Meanwhile::CancelsJob => {
                self.say("cancel the job of what is split".into());
                let before = self.job(job).await;
                self.book.job_cancelled(&before);
            }
        }
        let stop = async {
            match meanwhile {
                Meanwhile::CancelsJob => self.store.cancel_job(job, CancelWish::default()).await.map(drop),
                _ => self.store.cancel(vec![task], CancelWish::default()).await.map(drop),
            }
        };
        let (settled, stopped) = tokio::join!(self.store.settle(sent), stop);
        stopped.expect("it works");
        settled.expect("it works")
    }

    async fn answered(&mut self, mut ended: Ended, mut answer: Result<Task, SettleError>) {
        loop {
            match answer {
                Ok(settled) => {
                    let verdict = ended.verdict;
                    self.say(format!("settle {} {verdict:?} {}", link(&settled).name, settled.state.name()));
                    self.book.settled(&settled, verdict, ended.plan.as_deref(), &ended.receipt);
                    if ended.ran_out.is_some() {
                        fuel::follows(self, &ended.leased, ended.gets, &settled).await;
                    }
                    return;
                }
                // It was cancelled or completed meanwhile.
                Err(SettleError::Stale(now)) => {
                    ended.task = *now;
                    if ended.task.cancel.is_some() {
                        ended.verdict = Verdict::Cancel;
                    }
                }
                Err(SettleError::Plan(_)) => ended.verdict = Verdict::GiveUp,
                Err(error) => panic!("{error}"),
            }
            let sent = self.settlement(&mut ended);
            answer = self.store.settle(vec![sent]).await.expect("it works").remove(0);
        }
    }
}
