//! A wall clock that jumps loses nothing.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{EmbeddedStore, ManualClock, MemoryEngine, Store as _};
use sunaba_task::{NewTask, Payload, State, Timestamp, Verdict, When};

use crate::{lease, new_task, settlement, submit, test};

#[test]
fn wall_clock_that_jumps_makes_tasks_due_and_loses_no_lease() {
    test(async {
        let start = Timestamp::from_unix_ms(1_767_225_600_000);
        let clock = ManualClock::at(start);
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        let delayed = NewTask { start: Some(When::After(Duration::from_secs(3600))), ..new_task() };
        store.submit(vec![new_task(), delayed]).await.expect("it works");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let first = lease(&store, session).await.remove(0);
        clock.set(start.after(Duration::from_secs(7200)));
        // Nobody asks the store for anything: it looks at the clock by itself, within a minute.
        clock.advance(Duration::from_secs(60));
        let second = lease(&store, session).await.remove(0);
        assert_eq!(second.task.attempts_started, 1);
        clock.set(start);
        let done = settlement(&first, Verdict::Succeed, Some(Payload::json("1")));
        store.settle(vec![done]).await.expect("it works").remove(0).expect("it still has the lease");
    });
}

#[test]
fn wall_clock_that_is_set_back_runs_nothing_early_and_loses_no_lease() {
    test(async {
        let start = Timestamp::from_unix_ms(1_767_225_600_000);
        let hour = Duration::from_secs(3600);
        let clock = ManualClock::at(start.after(hour));
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        let first = submit(&store).await;
        let delayed = NewTask { start: Some(When::After(Duration::from_secs(60))), ..new_task() };
        store.submit(vec![delayed]).await.expect("it works");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let leased = lease(&store, session).await.remove(0);
        clock.set(start);
        // What comes now is no older than what came before, whatever the clock says.
        let later = submit(&store).await;
        assert!(store.task(later).await.expect("it works").expect("there").sequence > leased.task.sequence);
        clock.advance(Duration::from_secs(60));
        assert_eq!(lease(&store, session).await.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [later]);
        let done = settlement(&leased, Verdict::Succeed, Some(Payload::json("1")));
        store.settle(vec![done]).await.expect("it works").remove(0).expect("it still has the lease");
        assert_eq!(store.task(first).await.expect("it works").expect("there").state, State::Succeeded);
        // The delayed one follows the wall clock: an hour and a minute after the step.
        clock.advance(Duration::from_secs(800));
        store.renew(session, Duration::ZERO).await.expect("the session lives");
        clock.set(start.after(hour + Duration::from_secs(59)));
        assert!(lease(&store, session).await.is_empty());
        clock.set(start.after(hour + Duration::from_secs(60)));
        clock.advance(Duration::from_secs(60));
        assert_eq!(lease(&store, session).await.len(), 1);
    });
}

#[test]
fn result_that_is_gone_stays_gone_when_the_clock_is_set_back() {
    test(async {
        let start = Timestamp::from_unix_ms(1_767_225_600_000);
        let clock = ManualClock::at(start);
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let id = submit(&store).await;
        let leased = lease(&store, session).await.remove(0);
        let output = Payload::new("a/b", vec![7; 1_000]);
        let done = settlement(&leased, Verdict::Succeed, Some(output.clone()));
        store.settle(vec![done]).await.expect("it works").remove(0).expect("it has the lease");
        assert_eq!(store.output(id).await.expect("it works"), Some(output));
        clock.set(start.after(Duration::from_secs(2 * 3600)));
        submit(&store).await;
        clock.set(start);
        assert_eq!(store.output(id).await.expect("it is told as gone, and not as damaged"), None);
    });
}
