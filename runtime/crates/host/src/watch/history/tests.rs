//! What adds up to which figures, over restarts too.

use super::*;

const HOUR: Duration = Duration::from_millis(HOUR_MS);
const MINUTE: Duration = Duration::from_secs(60);

/// Not at the beginning of an hour.
fn start() -> Timestamp {
    Timestamp::from_unix_ms(1_000 * HOUR_MS + HOUR_MS / 2)
}

fn new() -> History {
    History::read(start(), start(), &[])
}

fn all(history: &History) -> Hour {
    history.sum(Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(u64::MAX / 2))
}

#[test]
fn figures_are_those_of_what_was_done() {
    let cases = [
        (Hour::default(), Figures::default(), vec![]),
        (
            Hour {
                up_ms: 99,
                down_ms: 1,
                succeeded: 99,
                dead: 1,
                recovered: 19,
                recovery_ms: 60_000 * 19,
                ..Hour::default()
            },
            Figures {
                availability_percent: Some(99.0),
                recovery: Some(MINUTE),
                error_percent: Some(1.0),
                self_healed_percent: Some(95.0),
            },
            vec![],
        ),
        (
            Hour {
                up_ms: 98,
                down_ms: 2,
                succeeded: 3,
                expired: 1,
                recovered: 1,
                recovered_by_person: 1,
                dead: 1,
                recovery_ms: 240_000,
                // Nobody's failure.
                cancelled: 100,
                ..Hour::default()
            },
            Figures {
                availability_percent: Some(98.0),
                recovery: Some(MINUTE * 2),
                error_percent: Some(40.0),
                self_healed_percent: Some(50.0),
            },
            vec!["availability", "recovery", "errors", "self-healed"],
        ),
    ];
    for (sum, expected, missed) in cases {
        assert_eq!((Figures::of(&sum), Figures::of(&sum).missed()), (expected, missed));
    }
}

#[test]
fn what_is_counted_is_added_once_and_to_its_hour() {
    let mut history = new();
    let counted = |succeeded| Hour { succeeded, ..Hour::default() };
    history.look(None, start(), counted(5), true);
    history.look(Some(Duration::ZERO), start(), counted(5), true);
    let next = start().after(HOUR);
    history.look(None, next, counted(7), true);
    assert_eq!(all(&history).succeeded, 7);
    let half = HOUR / 2;
    assert_eq!(history.sum(start().after(half), start().after(HOUR + half)).succeeded, 2, "of the second hour alone");
    // A store that has failed counts from nothing.
    history.look(None, next, counted(0), true);
    assert_eq!(all(&history).succeeded, 7);
}

#[test]
fn time_is_up_with_workers_and_down_without_them_or_asleep() {
    let mut history = new();
    let at = |minutes: u32| start().after(MINUTE * minutes);
    history.look(Some(MINUTE), at(1), Hour::default(), true);
    history.look(Some(MINUTE), at(2), Hour::default(), false);
    history.look(Some(MINUTE * 58), at(60), Hour::default(), true);
    let sum = all(&history);
    assert_eq!((sum.up_ms, sum.down_ms), (60_000, 59 * 60_000));
    assert_eq!(history.hours.len(), 2, "each hour has its part");
}

#[test]
fn time_passes_while_the_clock_goes_back() {
    let mut history = new();
    for minutes in [30, 20, 10] {
        history.look(Some(MINUTE), start().after(MINUTE * minutes), Hour::default(), true);
    }
    assert_eq!(all(&history).up_ms, 3 * 60_000);
}

fn restarted(stopped: bool, away: Duration) -> (Hour, Option<f64>) {
    let mut history = new();
    history.look(Some(MINUTE), start().after(MINUTE), Hour { dead: 2, ..Hour::default() }, true);
    let last = start().after(MINUTE);
    let notes = history.take_notes(last, stopped);
    let again = History::read(last.after(away), last.after(away), &notes);
    (all(&again), Figures::of(&all(&again)).availability_percent)
}

#[test]
fn history_outlives_a_restart_and_a_crash_counts_as_down() {
    let (sum, availability) = restarted(false, MINUTE);
    assert_eq!((sum.dead, sum.up_ms, sum.down_ms, availability), (2, 60_000, 60_000, Some(50.0)));
}

#[test]
fn time_after_a_stop_in_good_order_is_nobodys_failure() {
    let (sum, availability) = restarted(true, HOUR * 100);
    assert_eq!((sum.dead, sum.up_ms, sum.down_ms, availability), (2, 60_000, 0, Some(100.0)));
}

#[test]
fn host_that_is_started_anew_on_an_open_store_counts_nothing_twice() {
    let mut history = new();
    let counted = |dead| Hour { dead, ..Hour::default() };
    history.look(None, start(), counted(3), true);
    let notes = history.take_notes(start(), true);
    let mut again = History::read(start(), start(), &notes);
    again.look(None, start(), counted(4), true);
    assert_eq!(all(&again).dead, 4);
    let mut reopened = History::read(start(), start().after(MINUTE), &notes);
    reopened.look(None, start(), counted(4), true);
    assert_eq!(all(&reopened).dead, 7);
}

#[test]
fn only_what_has_changed_is_noted_and_what_is_old_goes() {
    let mut history = new();
    history.look(None, start(), Hour { dead: 1, ..Hour::default() }, true);
    assert_eq!(history.take_notes(start(), false).len(), 2);
    let unchanged = history.take_notes(start(), false);
    assert_eq!(unchanged.iter().map(|note| note.name.as_str()).collect::<Vec<_>>(), [SEEN]);
    let later = start().after(HOUR * u32::try_from(MAX_HOURS + 1).expect("small"));
    let notes = history.take_notes(later, false);
    assert!(notes[0].name == "history/00001000" && notes[0].text.is_empty(), "{notes:?}");
    assert_eq!(all(&history), Hour::default());
}

#[test]
fn damaged_notes_are_left_out() {
    let mut history = new();
    history.look(None, start(), Hour { dead: 1, ..Hour::default() }, true);
    let mut notes = history.take_notes(start(), true);
    notes.push(Note { name: "history/00001001".into(), text: "{".into() });
    notes.push(Note { name: "history/many".into(), text: "{}".into() });
    assert_eq!(all(&History::read(start(), start(), &notes)).dead, 1);
}
