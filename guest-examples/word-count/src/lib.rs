//! Map and reduce over a text: one handler cuts it into pieces, many count them side by side, and one puts the counts together.
//!
//! No handler waits for another. The first returns a plan and is done; the host runs the children as there is room, and the
//! last when all of the others have ended. However many pieces there are, the join reads their counts one after the other.

mod words;

use std::collections::BTreeMap;

use sunaba_sdk::prelude::*;
use words::{pieces, words};

/// A piece is at least so long: to make a task for a line would cost more than to count it.
const PIECE_BYTES: usize = 1024;
/// There are no more pieces than this, however long the text is.
const MAX_PIECES: usize = 1000;
/// Words that the report names.
const TOP: usize = 5;

/// How often each word stands in a piece of text.
#[data]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

/// What is told of a whole text.
#[data]
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// All words.
    words: u64,
    /// Different ones.
    different: u64,
    /// The most frequent, and how often each stands there; of those that are as frequent the first in the alphabet.
    top: Vec<(String, u64)>,
}

/// Counts the words of a text, in as many pieces as it is worth.
#[handler]
pub fn word_count(input: Bytes) -> Result<Outcome<Report>, TaskError> {
    let text = String::from_utf8(input.into_vec())
        .map_err(|_| TaskError::fatal("the input is not a text in UTF-8").with_kind("not-text"))?;
    let size = PIECE_BYTES.max(text.len().div_ceil(MAX_PIECES));
    let texts = pieces(&text, size).map(str::to_owned);
    // What is joined waits for the whole group. A text without a word has no pieces, and is joined at once.
    Ok(Plan::map("count", texts, count::task).join("report", report::task(()).after("count/*")).into())
}

/// Counts the words of a piece.
#[handler]
pub fn count(text: String) -> Result<Counts, TaskError> {
    let mut counts = Counts::default();
    for word in words(&text) {
        *counts.0.entry(word).or_default() += 1;
    }
    Ok(counts)
}

/// Puts the counts of all pieces together.
#[handler]
pub fn report(ctx: &Context) -> Result<Report, TaskError> {
    let mut all = Counts::default();
    for piece in ctx.outputs::<Counts>("count/*") {
        for (word, times) in piece?.value.0 {
            *all.0.entry(word).or_default() += times;
        }
    }
    let (words, different) = (all.0.values().sum(), all.0.len() as u64);
    let mut top: Vec<_> = all.0.into_iter().collect();
    // Stable: what is as frequent stays in the order of the alphabet.
    top.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    top.truncate(TOP);
    Ok(Report { words, different, top })
}

export!(word_count, count, report);

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    const SAMPLE: &str = include_str!("../sample/tides.txt");

    fn plan(text: &str) -> Plan {
        match word_count(Bytes::from(text.as_bytes().to_vec())) {
            Ok(Outcome::Decompose(plan)) => plan,
            other => panic!("it decomposes: {other:?}"),
        }
    }

    /// What a host does with the plan.
    fn carried_out(plan: &Plan) -> Report {
        let mut attempt = Attempt::new();
        for (name, child) in plan.children().filter(|(_, child)| child.handler() == count::NAME) {
            attempt = attempt.given(name, count(child.input().expect("a text")).expect("it counts"));
        }
        report(&attempt.context()).expect("all have counted")
    }

    #[test]
    fn text_in_pieces_has_the_words_of_the_whole() {
        let plan = plan(SAMPLE);
        assert!(plan.children().len() > 3 && plan.joined_by() == Some("report"));
        let all = words(SAMPLE).count() as u64;
        let report = carried_out(&plan);
        assert_eq!((report.words, report.top[0].0.as_str()), (all, "the"));
    }

    #[test]
    fn text_without_words_is_joined_at_once() {
        for text in ["", " \n "] {
            let plan = plan(text);
            assert_eq!(plan.children().len(), 1);
            assert_eq!(carried_out(&plan), Report { words: 0, different: 0, top: Vec::new() });
        }
    }

    #[test]
    fn long_text_has_no_more_pieces_than_there_may_be() {
        let plan = plan(&"word ".repeat(1_000_000));
        assert!((900..=MAX_PIECES + 1).contains(&plan.children().len()), "{}", plan.children().len());
    }

    #[test]
    fn bytes_that_are_no_text_are_fatal() {
        let error = word_count(Bytes::from(vec![0xff])).expect_err("not a text");
        assert_eq!(error.kind(), "not-text");
    }
}
