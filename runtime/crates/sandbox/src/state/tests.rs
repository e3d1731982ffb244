//! What a progress report may be.

use std::sync::Mutex;

use super::*;
use crate::http::Redactor;
use crate::testing::state_for;

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<Progress>>);

impl AttemptHost for Told {
    fn on_progress(&self, progress: Progress) {
        self.0.lock().expect("nobody panics").push(progress);
    }
}

/// What is told of such a report, where `hunter2-hunter2` is a secret.
fn told(fraction: Option<f64>, message: &str) -> Progress {
    let told = Arc::new(Told::default());
    let mut state = state_for(&Limits::default(), None, Arc::clone(&told) as Arc<dyn AttemptHost>);
    state.book.redact_with(Arc::new(Redactor::new([("hunter2-hunter2", "<key>")].into_iter())));
    host::Host::progress(&mut state, fraction, message.to_owned()).expect("it may be told");
    told.0.lock().expect("nobody panics").remove(0)
}

#[test]
fn progress_message_obeyed() {
    assert_eq!(told(None, "hunter2-hunter2").message, "<key>");
    let long = "x".repeat(MAX_PROGRESS_BYTES);
    assert_eq!(told(None, &long).message, long);
}

#[test]
fn progress_message_violated_is_cut_after_its_secrets_are_taken_out() {
    let long = format!("{}hunter2-hunter2 and more", "x".repeat(MAX_PROGRESS_BYTES - 10));
    let message = told(None, &long).message;
    assert_eq!(message.len(), MAX_PROGRESS_BYTES);
    assert!(message.ends_with("x<key> a..."), "{message}");
}

#[test]
fn fraction_is_one() {
    for (said, kept) in [(f64::NAN, None), (-1.0, Some(0.0)), (7.0, Some(1.0)), (0.5, Some(0.5))] {
        assert_eq!(told(Some(said), "").fraction, kept);
    }
}
