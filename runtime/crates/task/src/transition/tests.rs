//! Every state at every event, and what the rules of their own say.

use super::*;
use crate::testing;
use std::time::Duration;

const NOW: Timestamp = testing::NOW;

fn settled(verdict: Verdict, charged: bool) -> Event {
    let decision = Decision { verdict, charged, policy: Policy::Retry, reason: "r".into() };
    Event::Settled(Box::new(Settled { ending: Ending::Completed, decision, receipt: None, output: None }))
}

fn completed() -> Event {
    Event::Completed(Box::new(testing::completion()))
}

fn events() -> Vec<Event> {
    let verdicts = [
        (Verdict::Succeed, false),
        (Verdict::Decompose, false),
        (Verdict::Retry(Duration::from_secs(1)), true),
        (Verdict::Snooze(Duration::from_secs(1)), false),
        (Verdict::Await(Duration::from_secs(1)), false),
        (Verdict::Requeue, false),
        (Verdict::GiveUp, true),
        (Verdict::Cancel, false),
    ];
    let settled = verdicts.map(|(verdict, charged)| settled(verdict, charged));
    let others = [
        Event::Released,
        Event::Due,
        Event::Leased(testing::lease()),
        Event::HasChildren(None),
        Event::ChildrenEnded { output: None, failed: None },
        Event::HostLost,
        Event::HandedBack { begun: true },
        Event::CancelRequested(testing::cancel()),
        Event::Expired,
        completed(),
    ];
    settled.into_iter().chain(others).collect()
}

/// A letter for what becomes of each state at each event, in the order of `events`: the state's initial, `-` where
/// it cannot happen.
fn letter(state: StateName) -> char {
    match state {
        StateName::Blocked => 'b',
        StateName::Scheduled => 's',
        StateName::Queued => 'q',
        StateName::Running => 'r',
        StateName::RetryScheduled => 't',
        StateName::Succeeded => 'S',
        StateName::Dead => 'D',
        StateName::Cancelled => 'C',
        StateName::Expired => 'E',
    }
}

#[test]
fn every_state_at_every_event() {
    // Settled as succeed, decompose, retry, snooze, await, requeue, give-up, cancel; released, due, leased, has-children,
    // children-ended, host-lost, handed-back, cancel-requested, expired, completed.
    let table = [
        (StateName::Blocked, "--------q------CE-"),
        (StateName::Scheduled, "---------q-----CE-"),
        (StateName::Queued, "----------r----CE-"),
        (StateName::Running, "SbtssqDC---r-qqr-r"),
        (StateName::RetryScheduled, "---------q-----C--"),
        (StateName::Succeeded, "------------------"),
        (StateName::Dead, "------------------"),
        (StateName::Cancelled, "------------------"),
        (StateName::Expired, "------------------"),
    ];
    assert_eq!(table.map(|(state, _)| state), StateName::ALL);
    for (state, expected) in table {
        assert_eq!(row(&testing::task_in(state)), expected, "{state}");
    }
}

fn row(task: &Task) -> String {
    let after = |event| transition(task, event, NOW).map_or('-', |change| letter(change.task.state.name()));
    events().into_iter().map(after).collect()
}

#[test]
fn every_state_of_a_task_with_children_at_every_event() {
    // As above: wherever it would end, it waits for its children.
    let table = [
        (StateName::Scheduled, "---------q-----b-s"),
        (StateName::Queued, "----------r----b-q"),
        (StateName::Running, "bbtssqbb---r-qqr-r"),
        (StateName::RetryScheduled, "---------q-----b-t"),
        (StateName::Dead, "------------------"),
    ];
    for (state, expected) in table {
        let task = Task { has_children: true, begun: true, ..testing::task_in(state) };
        assert_eq!(row(&task), expected, "{state}");
    }
    assert_eq!(row(&waits_for_children(Verdict::Decompose)), "------------S--b--");
}

/// A task whose last attempt was decided about like that, and that waits for its children.
fn waits_for_children(verdict: Verdict) -> Task {
    let running = Task { has_children: true, ..testing::task_in(StateName::Running) };
    let task = transition(&running, settled(verdict, false), NOW).expect("it runs").task;
    match verdict {
        Verdict::Snooze(_) => {
            let asked = Event::CancelRequested(testing::cancel());
            transition(&task, asked, NOW).expect("it waits").task
        }
        _ => task,
    }
}

#[test]
fn parent_ends_as_its_own_part_and_its_children_have() {
    let failed = || {
        let name = "part/1".parse().expect("a name");
        Box::new(FailedChild { name, task: testing::task().id })
    };
    let end = |task: &Task, failed| {
        let ended = Event::ChildrenEnded { output: None, failed };
        transition(task, ended, NOW).expect("it waits for its children").task
    };
    // What was decided about its attempt, and how it ends when its children have: well, and not well.
    for (verdict, well, badly) in [
        (Verdict::Succeed, StateName::Succeeded, StateName::Dead),
        (Verdict::Decompose, StateName::Succeeded, StateName::Dead),
        (Verdict::GiveUp, StateName::Dead, StateName::Dead),
        (Verdict::Cancel, StateName::Cancelled, StateName::Cancelled),
        (Verdict::Snooze(Duration::ZERO), StateName::Cancelled, StateName::Cancelled),
    ] {
        let task = waits_for_children(verdict);
        assert!(task.waits_for_children(), "{verdict:?}");
        assert_eq!(end(&task, None).state.name(), well, "{verdict:?}");
        assert_eq!(end(&task, Some(failed())).state.name(), badly, "{verdict:?}");
    }
    let dead = end(&waits_for_children(Verdict::Decompose), Some(failed()));
    assert_eq!(dead.failed_child.map(|child| child.name.to_string()).as_deref(), Some("part/1"));
}

#[test]
fn cancel_of_one_that_waits_for_its_children_ends_it_when_they_have_ended() {
    let waits = waits_for_children(Verdict::Decompose);
    let asked = transition(&waits, Event::CancelRequested(testing::cancel()), NOW).expect("it waits").task;
    assert!(asked.waits_for_children() && asked.cancel == Some(testing::cancel()));
    let ended = Event::ChildrenEnded { output: None, failed: None };
    assert_eq!(transition(&asked, ended, NOW).expect("it waits").task.state, State::Cancelled);
}

#[test]
fn output_of_a_handler_is_kept_while_its_children_run_and_goes_before_theirs() {
    let info = |media_type: &str| Some(PayloadInfo { media_type: media_type.into(), size_bytes: 1 });
    let decision = Decision::uncharged(Verdict::Succeed, Policy::Success, "r".into());
    let settled = Settled { ending: Ending::Completed, decision, receipt: None, output: info("a/own") };
    let running = Task { has_children: true, ..testing::task_in(StateName::Running) };
    let waits = transition(&running, Event::Settled(Box::new(settled)), NOW).expect("it runs").task;
    assert_eq!((waits.output.clone(), waits.waits_for_children()), (info("a/own"), true));
    let ended = |task| transition(task, Event::ChildrenEnded { output: info("a/join"), failed: None }, NOW);
    assert_eq!(ended(&waits).expect("it waits").task.output, info("a/own"));
    let decomposed = waits_for_children(Verdict::Decompose);
    assert_eq!(ended(&decomposed).expect("it waits").task.output, info("a/join"));
}

#[test]
fn every_change_moves_the_revision_and_ends_at_most_once() {
    for state in StateName::ALL {
        let task = testing::task_in(state);
        for event in events() {
            let Ok(change) = transition(&task, event, NOW) else { continue };
            assert_eq!(change.expected_revision, task.revision);
            assert_eq!(change.task.revision, task.revision + 1);
            assert_eq!(change.task.ended_at.is_some(), change.task.state.is_terminal());
        }
    }
}

#[test]
fn blocked_task_waits_for_all_and_then_for_its_time() {
    let until = NOW.after(Duration::from_secs(1));
    let others = |waits_for, start| State::Blocked(Block::Others { waits_for, start });
    let blocked = |waits_for, start| Task { state: others(waits_for, start), ..testing::task() };
    let released = |task: &Task| transition(task, Event::Released, NOW).expect("it is blocked").task;
    let once = released(&blocked(2, Some(until)));
    assert_eq!(once.state, others(1, Some(until)));
    assert_eq!(released(&once).state, State::Scheduled { until });
    assert_eq!(released(&blocked(1, Some(NOW))).state, State::Queued);
    assert_eq!(released(&blocked(1, None)).state, State::Queued);
}

#[test]
fn three_counters_are_kept_apart() {
    let counts = |event| {
        let task = transition(&testing::task_in(StateName::Running), event, NOW).expect("it runs").task;
        (task.attempts_started, task.failures_charged, task.hosts_lost)
    };
    assert_eq!(counts(settled(Verdict::Retry(Duration::ZERO), true)), (1, 1, 0));
    assert_eq!(counts(settled(Verdict::Snooze(Duration::ZERO), false)), (1, 0, 0));
    assert_eq!(counts(Event::HostLost), (1, 0, 1));
    assert_eq!(counts(Event::HandedBack { begun: true }), (1, 0, 0));
    let leased = transition(&testing::task(), Event::Leased(testing::lease()), NOW).expect("it is queued").task;
    assert_eq!((leased.attempts_started, leased.failures_charged, leased.hosts_lost), (1, 0, 0));
}

#[test]
fn task_that_loses_its_hosts_is_dead_as_poison() {
    let mut task = testing::task();
    for lost in 1..=3 {
        task = transition(&task, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        task = transition(&task, Event::HostLost, NOW).expect("it runs").task;
        assert_eq!(task.hosts_lost, lost);
    }
    assert_eq!(task.state, State::Dead);
    let last = task.attempts.last().expect("three");
    assert_eq!((last.number, &last.ending), (3, &Ending::HostLost));
    assert_eq!(last.decision.reason, "lost its host 3 times, of at most 3");
}

#[test]
fn cancel_of_a_running_task_wins_when_its_host_is_lost() {
    let running = testing::task_in(StateName::Running);
    let asked = transition(&running, Event::CancelRequested(testing::cancel()), NOW).expect("it runs").task;
    assert_eq!((asked.state.name(), asked.cancel.clone()), (StateName::Running, Some(testing::cancel())));
    for event in [Event::HostLost, Event::HandedBack { begun: true }] {
        let ended = transition(&asked, event, NOW).expect("it runs").task;
        assert_eq!(ended.state, State::Cancelled);
    }
}

#[test]
fn task_that_has_begun_does_not_expire() {
    let begun = Task { begun: true, ..testing::task() };
    assert!(transition(&begun, Event::Expired, NOW).is_err());
}

#[test]
fn attempt_of_which_nothing_was_run_keeps_the_expiry_and_any_other_ends_it() {
    let ended = |ending| {
        let decision = Decision::uncharged(Verdict::Requeue, Policy::HostStop, "r".into());
        Event::Settled(Box::new(Settled { ending, decision, receipt: None, output: None }))
    };
    for (event, expires) in [
        (ended(Ending::HandedBack), true),
        (Event::HandedBack { begun: false }, true),
        (Event::HandedBack { begun: true }, false),
        (Event::HostLost, false),
        (ended(Ending::Completed), false),
        (ended(Ending::HostFailed { message: "m".into() }), false),
    ] {
        let running = transition(&testing::task(), Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        assert!(transition(&running, Event::Expired, NOW).is_err(), "it runs");
        let back = transition(&running, event.clone(), NOW).expect("it runs").task;
        assert_eq!((back.is_unstarted(), back.attempts_started), (expires, 1), "{event:?}");
        assert_eq!(transition(&back, Event::Expired, NOW).is_ok(), expires, "{event:?}");
        // Once begun, for ever.
        let again = transition(&back, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        let again = transition(&again, ended(Ending::HandedBack), NOW).expect("it runs").task;
        assert_eq!(again.is_unstarted(), expires, "{event:?}");
    }
}

#[test]
fn oldest_attempts_are_dropped_first() {
    let mut task = testing::task();
    for _ in 0..MAX_KEPT_ATTEMPTS + 5 {
        task = transition(&task, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        task = transition(&task, Event::HandedBack { begun: true }, NOW).expect("it runs").task;
    }
    assert_eq!((task.attempts.len(), task.attempts[0].number), (MAX_KEPT_ATTEMPTS, 6));
}

#[test]
fn what_dropped_attempts_have_used_is_summed() {
    let mut task = testing::task();
    for number in 1..=MAX_KEPT_ATTEMPTS as u64 + 3 {
        let receipt = Receipt { fuel: Some(number), ..Receipt::unmeasured(crate::Digest::of(b"component")) };
        let decision = Decision::uncharged(Verdict::Requeue, Policy::Retry, "r".into());
        let settled = Settled { ending: Ending::Completed, decision, receipt: Some(receipt), output: None };
        task = transition(&task, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        task = transition(&task, Event::Settled(Box::new(settled)), NOW).expect("it runs").task;
    }
    let kept: u64 = task.attempts.iter().filter_map(|attempt| attempt.receipt.as_ref()?.fuel).sum();
    let before = task.used_before.as_deref().expect("three were dropped");
    assert_eq!((before.fuel, before.attempts, kept), (1 + 2 + 3, 0, (4..=MAX_KEPT_ATTEMPTS as u64 + 3).sum()));
}

#[test]
fn what_waits_to_be_completed_and_has_children_waits_for_nothing_but_these_once_it_is_completed_or_cancelled() {
    let running = Task { has_children: true, ..testing::task_in(StateName::Running) };
    let waits =
        transition(&running, settled(Verdict::Await(Duration::from_secs(60)), false), NOW).expect("it runs").task;
    let due = transition(&waits, Event::Due, NOW).expect("it is scheduled").task;
    for waits in [waits, due] {
        assert!(waits.awaits.is_some(), "{:?}", waits.state);
        for event in [completed(), Event::CancelRequested(testing::cancel())] {
            let task = transition(&waits, event, NOW).expect("it waits").task;
            assert!(task.waits_for_children());
            assert_eq!(task.awaits, None);
        }
    }
}
