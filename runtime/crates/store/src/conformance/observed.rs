//! What a store has seen, and the notes that it keeps for hosts.

use sunaba_task::Receipt;

use super::*;
use crate::{Came, Counts, ENDS, MAX_NOTE_BYTES, MAX_NOTES, Note, NoteError, Observations, Rerun, StoreError};

async fn observe(store: &dyn Store, after: u64) -> Observations {
    store.observe(after).await.expect("the store works")
}

fn counts(seen: &Observations, queue: &str) -> Counts {
    let series = seen.series.iter().find(|series| series.queue == queue && series.handler == "words/word-count");
    series.map(|series| series.counts.clone()).unwrap_or_default()
}

/// Each once, by its queue and its handler.
pub async fn what_happens_is_counted_by_queue_and_handler(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    submit(&*store, with(|new| new.spec.queue = "mail".into())).await;
    let leased = lease_one(&*store, session).await;
    subject.advance(SECOND * 2);
    let receipt = Receipt { fuel: Some(7), wall: SECOND, ..Receipt::unmeasured(Digest::of(b"component")) };
    let done = Settlement { receipt: Some(receipt), ..settlement(&leased, Verdict::Succeed) };
    settle(&*store, done).await.expect("it has the lease");
    finish(&*store, session, Verdict::GiveUp).await;
    let waits = submit(&*store, new_task()).await;
    cancel(&*store, waits.id).await;
    let seen = observe(&*store, 0).await;
    let of_default = counts(&seen, "default");
    assert_eq!((of_default.submitted, of_default.succeeded, of_default.cancelled, of_default.dead), (2, 1, 1, 0));
    assert_eq!((of_default.fuel.sum(), of_default.run_us.sum(), of_default.wait_us.count()), (7, 1_000_000, 1));
    let of_mail = counts(&seen, "mail");
    assert_eq!((of_mail.submitted, of_mail.dead, of_mail.failed(), of_mail.judged()), (1, 1, 1, 1));
    let failed = ENDS.iter().position(|end| *end == ("failed", "")).expect("an end");
    assert_eq!(of_mail.ends[failed], 1);
    assert_eq!((seen.workers, seen.dead, seen.series.len()), (1, 1, 2));
    let told = store.events(crate::EventQuery::default()).await.expect("the store works").next;
    assert_eq!(seen.totals.events, told);
}

/// Of what failed and succeeded later, how long that took; and whether somebody had to run it again.
pub async fn recoveries_are_told_with_what_they_came_from(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    finish(&*store, session, Verdict::Retry(SECOND * 5)).await;
    subject.advance(SECOND * 6);
    finish(&*store, session, Verdict::Succeed).await;
    let first = observe(&*store, 0).await;
    let came: Vec<_> = first.troubles.iter().map(|trouble| (trouble.came, trouble.fault.kind.as_str())).collect();
    assert_eq!(came, [(Came::Retry, "error"), (Came::Recovered(SECOND * 6), "error")]);
    assert_eq!((first.next, first.missed), (2, 0));
    assert_eq!((first.totals.recovered, first.totals.recovery), (1, SECOND * 6));

    let dead = submit(&*store, new_task()).await;
    finish(&*store, session, Verdict::GiveUp).await;
    subject.advance(SECOND * 20);
    let again = Rerun { task: dead.id, input: None, checked: None, once: false };
    store.rerun(vec![again]).await.expect("the store works").remove(0).expect("it has ended");
    finish(&*store, session, Verdict::Succeed).await;
    let second = observe(&*store, first.next).await;
    let came: Vec<_> = second.troubles.iter().map(|trouble| trouble.came).collect();
    assert_eq!(came, [Came::End, Came::RanAgain { after: SECOND * 20, other_version: false }]);
    assert_eq!((second.totals.recovered, second.totals.recovered_by_person), (1, 1));
    assert_eq!(second.totals.recovery, SECOND * 26);
    assert_eq!(observe(&*store, second.next).await.troubles, []);
}

/// Deleted or run again, and after a restart.
pub async fn dead_tasks_that_are_kept_are_counted(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let dead = submit(&*store, new_task()).await;
    store.submit(vec![new_task(); 2]).await.expect("the store works");
    for verdict in [Verdict::GiveUp, Verdict::GiveUp, Verdict::Succeed] {
        finish(&*store, session, verdict).await;
    }
    assert_eq!(observe(&*store, 0).await.dead, 2);
    store.delete(vec![dead.id]).await.expect("the store works").remove(0).expect("it has ended");
    assert_eq!(observe(&*store, 0).await.dead, 1);
    drop(store);
    subject.restart();
    assert_eq!(observe(&*subject.store(), 0).await.dead, 1);
}

/// It says nothing of itself: whoever watches sees how long ago it was heard of.
pub async fn worker_that_is_silent_is_seen_to_be(subject: &mut impl Subject) {
    let store = subject.store();
    assert_eq!(observe(&*store, 0).await.quietest, None);
    let session = open(&*store).await;
    subject.advance(SECOND * 7);
    let seen = observe(&*store, 0).await;
    assert_eq!((seen.workers, seen.quietest), (1, Some(SECOND * 7)));
    store.renew(session, Duration::ZERO).await.expect("the session lives");
    assert_eq!(observe(&*store, 0).await.quietest, Some(Duration::ZERO));
}

fn note(name: &str, text: &str) -> Note {
    Note { name: name.into(), text: text.as_bytes().to_vec().into() }
}

async fn names(store: &dyn Store, prefix: &str, after: Option<&str>) -> Vec<String> {
    let notes = store.notes(prefix.into(), after.map(str::to_owned)).await.expect("the store works");
    notes.into_iter().map(|note| note.name).collect()
}

/// Across a restart too.
pub async fn notes_are_kept_by_name_and_replaced(subject: &mut impl Subject) {
    let store = subject.store();
    let kept = vec![note("a/2", "two"), note("a/1", "one"), note("b/1", "other")];
    store.set_notes(kept).await.expect("they can be kept");
    store.set_notes(vec![note("a/1", "new"), note("b/1", "")]).await.expect("they can be kept");
    drop(store);
    subject.restart();
    let store = subject.store();
    let found = store.notes("a/".into(), None).await.expect("the store works");
    assert_eq!(found, [note("a/1", "new"), note("a/2", "two")]);
    assert_eq!(names(&*store, "a/", Some("a/1")).await, ["a/2"]);
    assert_eq!(names(&*store, "b/", None).await, Vec::<String>::new());
}

/// As many and as long as they may be.
pub async fn notes_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    let many = |from: usize, to: usize| (from..to).map(|number| note(&format!("n/{number:04}"), "x")).collect();
    store.set_notes(many(0, MAX_NOTES - 1)).await.expect("there is room");
    let longest = Note { name: "longest".into(), text: vec![7; MAX_NOTE_BYTES].into() };
    store.set_notes(vec![longest.clone()]).await.expect("there is room");
    store.set_notes(many(0, 3)).await.expect("they are there already");
    assert_eq!(store.notes("longest".into(), None).await.expect("the store works"), [longest]);
    assert_eq!(names(&*store, "n/", None).await.len(), NAMES_PAGE);
}

/// One more, one that is too long, and what is no name; nothing of such a call is kept.
pub async fn notes_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let long = Note { name: "long".into(), text: vec![7; MAX_NOTE_BYTES + 1].into() };
    for wrong in [long, note("", "x"), note("A", "x"), note(&"n".repeat(97), "x")] {
        let refused = store.set_notes(vec![note("good", "x"), wrong]).await;
        assert!(matches!(refused, Err(StoreError::Note(_))), "{refused:?}");
    }
    let many = (0..=MAX_NOTES).map(|number| note(&format!("n/{number:04}"), "x")).collect();
    let refused = store.set_notes(many).await;
    assert!(matches!(refused, Err(StoreError::Note(NoteError::TooMany))), "{refused:?}");
    assert_eq!(names(&*store, "", None).await, Vec::<String>::new());
}
