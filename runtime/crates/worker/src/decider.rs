//! Asks a task's decider what follows from an attempt, before it is settled and never where the store commits.
//!
//! Whatever keeps it from deciding, the built-in rules decide then, and the reason says so.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{Leased, Store};
use sunaba_task::job::NewPlan;
use sunaba_task::{
    DeciderRecord, DeciderVerdict, Decision, Executor, NotDecided, Observation, Payload, Receipt, Seen, Situation,
    Task, TaskDecider, Timestamp, asks_decider, catch_panic, decide, format_duration, judge, undecided,
};

use crate::admission::{Admission, NotAdmitted};

/// How long a decision may take, with loading the decider's code where that is not there. A decision itself is far shorter.
const DECIDE_TIME: Duration = Duration::from_secs(10);
/// What is kept of why a decider did not decide, in bytes.
const MAX_WHY_BYTES: usize = 512;

/// Whom a settlement asks.
pub(crate) struct Deciding<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) executor: &'a dyn Executor,
    pub(crate) admission: &'a dyn Admission,
    /// Whether attempts have spans, which the log names.
    pub(crate) is_traced: bool,
}

/// What a decider is told of an attempt that is not in the task's record.
pub(crate) struct About {
    seen: Seen,
    receipt: Receipt,
    input: Payload,
    /// Why the plan that it answered with cannot be run. It is not asked again, then.
    refused: Option<NotDecided>,
}

/// What follows from an attempt.
#[derive(Clone)]
pub(crate) struct Ruling {
    pub(crate) decision: Decision,
    /// The plan that the decider answered with.
    pub(crate) plan: Option<Arc<NewPlan>>,
    pub(crate) record: Option<Box<DeciderRecord>>,
}

/// Taken down before the plan that the attempt returned is admitted: of that only the tasks are left.
pub(crate) fn about(leased: &Leased, seen: &Observation) -> Option<About> {
    let Observation::Reported(report) = seen else { return None };
    if !asks_decider(&leased.task, seen) {
        return None;
    }
    let (receipt, input) = (report.receipt.clone(), leased.input.clone());
    Some(About { seen: Seen::of_report(report)?, receipt, input, refused: None })
}

impl About {
    /// The store does not take its plan; the rules decide from now on.
    pub(crate) fn refuse_plan(&mut self, reason: &str) {
        let reason = reason.lines().next().unwrap_or_default();
        self.refused = Some(NotDecided::because(bounded(format!("its plan cannot be run: {reason}"))));
    }
}

impl Deciding<'_> {
    /// What follows from this; `now` is by the store's clock.
    pub(crate) async fn rule(&self, about: &About, task: &Task, seen: &Observation, now: Timestamp) -> Ruling {
        let Some(decider) = task.spec.decider.as_ref().filter(|_| asks_decider(task, seen)) else {
            return Ruling { decision: decide(task, seen, now), plan: None, record: None };
        };
        let situation = self.situation(task, about, now).await;
        let recorded = situation.recorded();
        let answer = match &about.refused {
            Some(refused) => Err(refused.clone()),
            None => self.ask(decider, situation).await,
        };
        let record = |verdict, reason: &str, fuel| {
            let (decider, reason) = (decider.clone(), reason.to_owned());
            Some(Box::new(DeciderRecord { decider, verdict, reason, fuel, situation: recorded.clone() }))
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return self.fall_back(task, seen, decider, &why, now, record(None, &why.reason, why.fuel)),
        };
        let (words, fuel) = (answer.verdict.words(), Some(answer.fuel));
        let plan = match &answer.verdict {
            DeciderVerdict::Decompose(plan) => match self.admitted(task, plan.clone()).await {
                Ok(plan) => Some(Arc::new(plan)),
                Err(reason) => {
                    let why = NotDecided { reason: bounded(format!("its plan cannot be run: {reason}")), fuel };
                    return self.fall_back(task, seen, decider, &why, now, record(None, &why.reason, fuel));
                }
            },
            _ => None,
        };
        let decision = judge(task, seen, &answer.verdict, &answer.reason, now);
        Ruling { decision, plan, record: record(Some(words), &answer.reason, fuel) }
    }

    fn fall_back(
        &self,
        task: &Task,
        seen: &Observation,
        decider: &TaskDecider,
        why: &NotDecided,
        now: Timestamp,
        record: Option<Box<DeciderRecord>>,
    ) -> Ruling {
        tracing::warn!(task = %task.id, %decider, %why, "a decider did not decide; the built-in rules do");
        Ruling { decision: undecided(task, seen, decider, why, now), plan: None, record }
    }

    async fn situation(&self, task: &Task, about: &About, now: Timestamp) -> Situation {
        let job = match &task.job {
            Some(link) => self.store.job(link.job).await.unwrap_or_else(|error| {
                tracing::debug!(task = %task.id, %error, "a decider is not told of its job's budgets");
                None
            }),
            None => None,
        };
        Situation::of(task, &about.input, about.seen.clone(), &about.receipt, job.as_ref(), now)
    }

    async fn ask(&self, decider: &TaskDecider, situation: Situation) -> Result<sunaba_task::DeciderAnswer, NotDecided> {
        // A panic of host code is no decision, and nobody else's matter.
        let asked = catch_panic(async { self.executor.decide(decider.component, situation).await });
        match tokio::time::timeout(DECIDE_TIME, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotDecided::because("host code panicked over the decision")),
            Err(_) => Err(NotDecided::because(format!("there was no answer after {}", format_duration(DECIDE_TIME)))),
        }
        .map_err(|why| NotDecided { reason: bounded(why.reason), ..why })
    }

    /// The plan as the host admits one that a handler has returned; or by which rule it does not.
    async fn admitted(&self, task: &Task, plan: sunaba_task::Plan) -> Result<NewPlan, String> {
        match catch_panic(self.admission.plan(task, plan)).await {
            Ok(Ok(plan)) => Ok(plan),
            Ok(Err(NotAdmitted::Refused(reason) | NotAdmitted::Unavailable(reason))) => Err(reason),
            Err(_) => Err("host code panicked over it".into()),
        }
    }
}

/// One line, and not a long one.
fn bounded(text: String) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.len() > MAX_WHY_BYTES {
        true => format!("{}...", &line[..line.floor_char_boundary(MAX_WHY_BYTES)]),
        false => line.to_owned(),
    }
}
