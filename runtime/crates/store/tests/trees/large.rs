//! What no turn touches is found to be stuck; and very many children of one parent cost no more than themselves.

use std::sync::Arc;

use sunaba_store::{Engine as _, LeaseRequest, Leased, Queues, SettleError, Settlement, Store as _};
use sunaba_task::job::{After, BudgetName, JobCause, JobState, NewJob, NewPlan, Node};
use sunaba_task::{StateName, Verdict};

use crate::block_on;
use crate::plans::{node, task};
use crate::world::{SECOND, World, copy, link, settlement};

async fn lease(world: &World, slots: usize) -> Vec<Leased> {
    let request = LeaseRequest { session: world.workers[0].session, queues: Queues::All, slots, wait: SECOND * 30 };
    world.store.lease(request).await.expect("the session lives")
}

/// As if a fault had lost who waits for what, in a turn in which nobody could tell: no turn touches the job any more.
#[test]
fn job_that_nothing_touches_is_found_to_be_stuck() {
    block_on(async {
        let mut world = World::whole(1).await;
        let top = NewJob { nodes: vec![node("top")], ..NewJob::default() };
        let id = world.store.submit_job(top).await.expect("it works").expect("it is taken on").into_job().id;
        let nodes = vec![node("a"), Node { after: vec![After::new("a".parse().expect("a name"))], ..node("b") }];
        let plan = Some(Arc::new(NewPlan { nodes, ..NewPlan::default() }));
        let leased = lease(&world, 1).await.remove(0);
        let decomposed = Settlement { plan, ..settlement(&leased, leased.task.revision, Verdict::Decompose) };
        world.store.settle(vec![decomposed]).await.expect("it works").remove(0).expect("it has the lease");
        world.engine = copy(&world.engine, |key| key[0] != b'D');
        world.reopen().await;
        let leased = lease(&world, 1).await.remove(0);
        let last = settlement(&leased, leased.task.revision, Verdict::Succeed);
        // In the same turn there is so much to do that some is left: it may be what moves the job on.
        let large = NewJob { nodes: (0..3_000).map(|number| node(&number.to_string())).collect(), ..NewJob::default() };
        let (large, settled) = tokio::join!(world.store.submit_job(large), world.store.settle(vec![last]));
        large.expect("it works").expect("it is taken on");
        settled.expect("it works").remove(0).expect("it has the lease");
        assert_eq!(world.job(id).await.state, JobState::Running);
        world.clock.0.advance(SECOND * 61);
        let job = tokio::time::timeout(SECOND * 60, world.store.wait_job(id, SECOND * 60)).await.expect("it is found");
        let job = job.expect("it works").expect("it is there");
        let Some(JobCause::Stuck(reason)) = &job.cause else { panic!("{job:#?}") };
        assert_eq!((job.state, reason.contains("`b`")), (JobState::Failed, true), "{reason}");
    });
}

/// No value grows with the number of children, and each child costs a bounded number of writes.
#[test]
fn hundred_thousand_children_of_one_parent_end() {
    const CHILDREN: usize = 100_000;
    block_on(async {
        let world = World::whole(3).await;
        let nodes = (0..CHILDREN).map(|number| node(&format!("part/{number:06}")));
        let join = Node { after: vec![After::new("part/*".parse().expect("a group"))], ..node("join") };
        let plan = NewPlan {
            nodes: nodes.take(CHILDREN - 1).chain([join]).collect(),
            join: Some("join".parse().expect("a name")),
            ..NewPlan::default()
        };
        let main =
            world.store.submit(vec![task()]).await.expect("it works").remove(0).expect("it is taken on").into_task();
        let leased = lease(&world, 5_000).await.remove(0);
        let settlement_of_main =
            Settlement { plan: Some(Arc::new(plan)), ..settlement(&leased, leased.task.revision, Verdict::Decompose) };
        world.store.settle(vec![settlement_of_main]).await.expect("it works").remove(0).expect("it has the lease");
        let mut done = 0;
        while done < CHILDREN {
            let leased = lease(&world, 5_000).await;
            assert!(!leased.is_empty(), "{done}");
            done += leased.len();
            let all = leased.iter().map(|leased| settlement(leased, leased.task.revision, Verdict::Succeed)).collect();
            let settled: Result<Vec<_>, SettleError> =
                world.store.settle(all).await.expect("it works").into_iter().collect();
            settled.expect("they have their leases");
        }
        let main = world.store.wait(main.id, SECOND * 60).await.expect("it works").expect("it is there");
        assert_eq!(main.state.name(), StateName::Succeeded);
        let job = world.job(link(&main).job).await;
        assert_eq!((job.state, job.tasks.total()), (JobState::Succeeded, CHILDREN as u64 + 1));
        let longest = world.engine.scan(&[], &[u8::MAX], false).map(|pair| pair.expect("memory does not fail"));
        let longest =
            longest.filter(|(key, _)| !matches!(key[0], b'v' | b'l' | b'e' | b'P')).map(|(_, value)| value.len()).max();
        assert!(longest.is_some_and(|bytes| bytes < 4_096), "{longest:?}");
        assert_ne!(job.cause, Some(JobCause::Budget(BudgetName::Tasks)));
    });
}
