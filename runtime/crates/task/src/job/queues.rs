//! In which queues tasks of a job are: what whoever is bound to some goes by.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Queues of a job that are kept by name. A job of more is nobody's who is bound to some.
pub const MAX_JOB_QUEUES: usize = 32;

/// The queues in which tasks of a job are, those of all its plans, made or not, and what undoes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobQueues {
    names: BTreeSet<String>,
    /// Whether there are more.
    has_others: bool,
}

impl JobQueues {
    /// Those of these names.
    pub fn of<'q>(queues: impl IntoIterator<Item = &'q str>) -> Self {
        let mut all = Self::default();
        queues.into_iter().for_each(|queue| all.add(queue));
        all
    }

    /// A task of it is in this one.
    pub fn add(&mut self, queue: &str) {
        if self.names.contains(queue) {
            return;
        }
        if self.names.len() == MAX_JOB_QUEUES {
            self.has_others = true;
        } else {
            self.names.insert(queue.to_owned());
        }
    }

    /// And those of another.
    pub fn join(&mut self, other: &Self) {
        other.names.iter().for_each(|queue| self.add(queue));
        self.has_others |= other.has_others;
    }

    /// Whether all of them are such. Not, if they are not all known, and not of a job that has none.
    pub fn are_all(&self, is_such: impl Fn(&str) -> bool) -> bool {
        !self.has_others && !self.names.is_empty() && self.names.iter().all(|queue| is_such(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize) -> JobQueues {
        let names: Vec<_> = (0..count).map(|number| format!("q{number}")).collect();
        JobQueues::of(names.iter().chain(&names).map(String::as_str))
    }

    #[test]
    fn job_is_of_queues_that_are_all_known_and_all_such() {
        let two = JobQueues::of(["mail", "print"]);
        assert!(two.are_all(|queue| ["mail", "print"].contains(&queue)));
        assert!(!two.are_all(|queue| queue == "mail"));
        assert!(!JobQueues::default().are_all(|_| true));
        let mut joined = JobQueues::of(["mail"]);
        joined.join(&two);
        assert_eq!(joined, two);
    }

    #[test]
    fn queues_of_a_job_obeyed() {
        assert!(many(MAX_JOB_QUEUES).are_all(|_| true));
    }

    #[test]
    fn queues_of_a_job_violated() {
        let more = many(MAX_JOB_QUEUES + 1);
        assert!(!more.are_all(|_| true));
        let mut joined = JobQueues::of(["mail"]);
        joined.join(&more);
        assert!(!joined.are_all(|_| true) && joined.names.len() == MAX_JOB_QUEUES);
    }
}
