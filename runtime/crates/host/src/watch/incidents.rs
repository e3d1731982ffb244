//! What went wrong, like failures together: by handler, by kind, and by what was said without the numbers and names in it. With
//! what came of them, so that whoever meets one again sees what has helped before. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_store::{Came, Note, Trouble};
use sunaba_task::{Digest, Timestamp};

/// Incidents that are kept; one that is new takes the place of the one that was seen least lately.
pub(crate) const MAX_INCIDENTS: usize = 400;
/// What begins the names of their notes.
pub(super) const INCIDENTS: &str = "incidents/";
/// What is kept of a pattern.
const MAX_PATTERN_CHARS: usize = 160;
/// Shorter words of hexadecimal digits may be words.
const MIN_HEX: usize = 8;

/// Failures that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Short, and always the same for the same.
    pub id: String,
    /// `package/handler`.
    pub handler: String,
    /// The word that retry policies go by.
    pub kind: String,
    /// What was said, without the numbers and names in it.
    pub pattern: String,
    /// What was said last.
    pub example: String,
    /// The task that failed last.
    pub task: String,
    /// Milliseconds since the epoch.
    pub first_ms: u64,
    /// Milliseconds since the epoch.
    pub last_ms: u64,
    /// Attempts that failed so.
    pub failures: u64,
    /// Those after which the task was over.
    pub ended: u64,
    /// What resolved it.
    pub resolved: Resolved,
}

/// What came of tasks that had failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolved {
    /// They succeeded when they were tried again, by themselves.
    pub by_retry: u64,
    /// Somebody had them run again, as they were.
    pub by_rerun: u64,
    /// Somebody had them run again, by another version of their package.
    pub by_other_version: u64,
    /// From the first failure to the success, in milliseconds, of all of them.
    pub after_ms: u64,
    /// When the last of them did; milliseconds since the epoch. 0: none has.
    pub last_ms: u64,
}

impl Resolved {
    /// How many.
    pub fn count(&self) -> u64 {
        self.by_retry + self.by_rerun + self.by_other_version
    }

    /// From the first failure to the success.
    pub fn mean(&self) -> Option<Duration> {
        self.after_ms.checked_div(self.count()).map(Duration::from_millis)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    by_id: BTreeMap<String, Incident>,
    changed: BTreeSet<String>,
}

impl Incidents {
    /// What notes have of them.
    pub(crate) fn read<'a>(notes: impl IntoIterator<Item = &'a Note>) -> Self {
        let mut incidents = Self::default();
        for note in notes.into_iter().filter(|note| note.name.starts_with(INCIDENTS)) {
            match serde_json::from_slice::<Incident>(&note.text) {
                Ok(incident) => drop(incidents.by_id.insert(incident.id.clone(), incident)),
                Err(error) => tracing::warn!(note.name, %error, "an incident cannot be read"),
            }
        }
        incidents
    }

    /// Takes in what went wrong.
    pub(crate) fn add(&mut self, trouble: &Trouble) {
        let Trouble { at, task, handler, fault, came, .. } = trouble;
        let pattern = pattern(&fault.message);
        let handler = handler.to_string();
        let digest = Digest::of(format!("{handler}\n{}\n{pattern}", fault.kind).as_bytes());
        let id: String = digest.as_bytes()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let at_ms = at.unix_ms();
        let is_failure = matches!(came, Came::Retry | Came::End);
        if !self.by_id.contains_key(&id) {
            if !is_failure {
                // Its failure is not known any more.
                return;
            }
            self.make_room();
        }
        let incident = self.by_id.entry(id.clone()).or_insert_with(|| Incident {
            id: id.clone(),
            handler,
            kind: fault.kind.clone(),
            pattern,
            example: String::new(),
            task: String::new(),
            first_ms: at_ms,
            last_ms: at_ms,
            failures: 0,
            ended: 0,
            resolved: Resolved::default(),
        });
        if is_failure {
            incident.failures += 1;
            incident.ended += u64::from(*came == Came::End);
            incident.last_ms = at_ms;
            (incident.example, incident.task) = (fault.message.clone(), task.to_string());
        }
        let resolved = &mut incident.resolved;
        let (count, after) = match came {
            Came::Recovered(after) => (&mut resolved.by_retry, after),
            Came::RanAgain { after, other_version: false } => (&mut resolved.by_rerun, after),
            Came::RanAgain { after, other_version: true } => (&mut resolved.by_other_version, after),
            Came::Retry | Came::End => {
                self.changed.insert(id);
                return;
            }
        };
        *count += 1;
        resolved.after_ms = resolved.after_ms.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        resolved.last_ms = at_ms;
        self.changed.insert(id);
    }

    fn make_room(&mut self) {
        if self.by_id.len() < MAX_INCIDENTS {
            return;
        }
        let oldest = self.by_id.values().min_by_key(|incident| incident.last_ms).map(|incident| incident.id.clone());
        if let Some(id) = oldest {
            self.by_id.remove(&id);
            self.changed.insert(id);
        }
    }

    /// What is to be noted: those that have changed or are gone.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let note = |id: String| {
            let text = self.by_id.get(&id).map(|incident| serde_json::to_vec(incident).expect("texts and numbers"));
            Note { name: format!("{INCIDENTS}{id}"), text: text.unwrap_or_default().into() }
        };
        changed.map(note).collect()
    }

    /// These were not noted after all.
    pub(crate) fn note_again(&mut self, names: &BTreeSet<String>) {
        self.changed.extend(names.iter().filter_map(|name| name.strip_prefix(INCIDENTS)).map(str::to_owned));
    }

    /// Those that were seen since, the last first.
    pub(crate) fn list(&self, since: Timestamp) -> Vec<Incident> {
        let mut list: Vec<_> =
            self.by_id.values().filter(|incident| incident.last_ms >= since.unix_ms()).cloned().collect();
        list.sort_by_key(|incident| std::cmp::Reverse(incident.last_ms));
        list
    }
}

/// What is said, without what differs from one time to the next: numbers, ids, and what stands in quotation marks.
pub(crate) fn pattern(message: &str) -> String {
    let mut pattern = String::new();
    let mut rest = message.trim();
    while let Some(first) = rest.chars().next() {
        let word_end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(rest.len());
        if matches!(first, '`' | '"' | '\'')
            && let Some(end) = rest[1..].find(first)
        {
            pattern.push('…');
            rest = &rest[end + 2..];
        } else if word_end > 0 {
            pattern.push_str(&word(&rest[..word_end]));
            rest = &rest[word_end..];
        } else {
            pattern.push(if first.is_whitespace() || first.is_control() { ' ' } else { first });
            rest = &rest[first.len_utf8()..];
        }
    }
    pattern
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_PATTERN_CHARS)
        .collect()
}

fn word(word: &str) -> String {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit {
        return word.to_owned();
    }
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_hex && word.len() >= MIN_HEX {
        return "#".to_owned();
    }
    let mut plain = String::new();
    for c in word.chars() {
        if !c.is_ascii_digit() {
            plain.push(c);
        } else if !plain.ends_with('#') {
            plain.push('#');
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use sunaba_store::Fault;
    use sunaba_task::TaskId;

    use super::*;

    fn trouble(at_ms: u64, message: &str, came: Came) -> Trouble {
        Trouble {
            sequence: 1,
            at: Timestamp::from_unix_ms(at_ms),
            task: TaskId::from_bytes([1; 16]),
            handler: "p/h".parse().expect("a name"),
            fault: Fault { kind: "network".into(), message: message.into() },
            came,
        }
    }

    #[test]
    fn patterns_leave_out_what_differs() {
        for (message, expected) in [
            ("", ""),
            ("connection refused", "connection refused"),
            ("timed out after 30s (attempt 2)", "timed out after #s (attempt #)"),
            ("no file `a b.txt` in \"x\"", "no file … in …"),
            ("task 0198c5a2-7d1f-7000-8000-000000000001 is gone", "task # is gone"),
            ("digest deadbeef00 differs", "digest # differs"),
            ("10.0.0.1:8080 said 503", "#.#.#.#:# said #"),
            ("it's a word", "it's a word"),
            ("two\nlines\tand  gaps", "two lines and gaps"),
            ("ünïcödé 7", "ünïcödé #"),
        ] {
            assert_eq!(pattern(message), expected, "{message}");
        }
        assert_eq!(pattern(&"x ".repeat(1_000)).chars().count(), MAX_PATTERN_CHARS);
    }

    #[test]
    fn like_failures_are_one_incident_with_what_resolved_it() {
        let mut incidents = Incidents::default();
        let minute = Duration::from_secs(60);
        incidents.add(&trouble(1, "host a1 said 500", Came::Retry));
        incidents.add(&trouble(2, "host a2 said 502", Came::End));
        incidents.add(&trouble(3, "another thing", Came::End));
        incidents.add(&trouble(4, "host a1 said 500", Came::Recovered(minute)));
        incidents.add(&trouble(5, "host a2 said 502", Came::RanAgain { after: minute * 3, other_version: true }));
        incidents.add(&trouble(6, "nobody knows of it", Came::Recovered(minute)));
        let list = incidents.list(Timestamp::from_unix_ms(0));
        assert_eq!(
            list.iter().map(|incident| incident.pattern.as_str()).collect::<Vec<_>>(),
            ["another thing", "host a# said #"]
        );
        let both = &list[1];
        assert_eq!((both.failures, both.ended, both.first_ms, both.last_ms), (2, 1, 1, 2));
        assert_eq!(both.example, "host a2 said 502");
        let expected = Resolved { by_retry: 1, by_rerun: 0, by_other_version: 1, after_ms: 240_000, last_ms: 5 };
        assert_eq!((both.resolved, both.resolved.mean()), (expected, Some(minute * 2)));
        assert_eq!(incidents.list(Timestamp::from_unix_ms(3)).len(), 1);
    }

    #[test]
    fn incidents_outlive_a_restart() {
        let mut incidents = Incidents::default();
        incidents.add(&trouble(1, "m", Came::Retry));
        let notes = incidents.take_notes();
        assert_eq!((notes.len(), incidents.take_notes().len()), (1, 0));
        let mut again = Incidents::read(&notes);
        again.add(&trouble(9, "m", Came::Recovered(Duration::from_secs(1))));
        let list = again.list(Timestamp::from_unix_ms(0));
        assert_eq!((list[0].failures, list[0].resolved.by_retry), (1, 1));
    }

    fn kept(count: usize) -> (usize, usize) {
        let mut incidents = Incidents::default();
        for number in 0..count {
            let letters: String = number.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
            incidents.add(&trouble(number as u64, &letters, Came::End));
        }
        let gone = incidents.take_notes().iter().filter(|note| note.text.is_empty()).count();
        (incidents.list(Timestamp::from_unix_ms(0)).len(), gone)
    }

    #[test]
    fn number_of_incidents_obeyed() {
        assert_eq!(kept(MAX_INCIDENTS), (MAX_INCIDENTS, 0));
    }

    #[test]
    fn number_of_incidents_violated() {
        assert_eq!(kept(MAX_INCIDENTS + 2), (MAX_INCIDENTS, 2));
    }
}
