//! Nothing is made or begins below what is being stopped, seen from the events: their order is that in which things happened, however
//! little a turn does.

use std::collections::BTreeMap;
use std::time::Duration;

use sunaba_store::{EventQuery, EventsOf, Store as _};
use sunaba_task::job::{JobHappening, JobId};
use sunaba_task::{FeedEvent, Happening, Task, TaskId, Verdict};

use crate::world::{World, link};

async fn events(world: &World, job: JobId) -> Vec<FeedEvent> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let query = EventQuery { after: Some(after), of: Some(EventsOf::Job(job)), limit: 1_000, wait: Duration::ZERO };
        let page = world.store.events(query).await.expect("it works");
        all.extend(page.events);
        if page.next <= after {
            return all;
        }
        after = page.next;
    }
}

/// Whether a task is cancelled because the plan that it is in is stopped.
fn is_stopped_with_its_plan(task: &Task) -> bool {
    let reason = task.cancel.as_ref().map_or("", |cancel| cancel.reason.as_str());
    reason.starts_with("its parent ") || reason.ends_with("of the same plan, did not succeed")
}

/// Whether this stops the plan below a task: it is cancelled, or given up.
fn stops_children(task: &Task, what: &Happening) -> bool {
    let verdict = task.attempts.last().map(|last| last.decision.verdict);
    match what {
        Happening::CancelRequested => true,
        Happening::Blocked => matches!(verdict, Some(Verdict::GiveUp | Verdict::Cancel)),
        _ => false,
    }
}

/// No task is made in a plan after that began to stop, nor begins, and the same of a job.
pub(crate) async fn nothing_begins_after_a_stop(world: &World, job: JobId, tasks: &BTreeMap<TaskId, Task>) {
    let (mut job_stops, mut plans) = (false, BTreeMap::new());
    for event in events(world, job).await {
        let event = match event {
            FeedEvent::Task(event) => event,
            FeedEvent::Job(event) => {
                job_stops |= !matches!(event.what, JobHappening::Submitted | JobHappening::BudgetLow { .. });
                continue;
            }
            FeedEvent::Schedule(_) => continue,
        };
        let Some(task) = tasks.get(&event.task).filter(|task| !link(task).undoes) else { continue };
        let (name, parent) = (&link(task).name, link(task).parent);
        match &event.what {
            Happening::Submitted | Happening::Started { .. } => {
                let what = event.what.word();
                assert!(!job_stops, "`{name}` is {what} while its job is stopped: {:#?}", world.log);
                let stop = parent.and_then(|parent| plans.get(&parent));
                assert_eq!(stop, None, "`{name}` is {what} while its plan is stopped: {:#?}", world.log);
            }
            Happening::CancelRequested | Happening::Cancelled if is_stopped_with_its_plan(task) => {
                parent.map(|parent| plans.entry(parent).or_insert(event.what.word()));
            }
            _ => {}
        }
        if stops_children(task, &event.what) {
            plans.entry(task.id).or_insert(event.what.word());
        }
    }
}
