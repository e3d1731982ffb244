//! Looks at every value of a store: its checksum, whether it can be read, and whether it agrees with the others.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sunaba_task::{Clock as _, Timestamp, format_bytes, format_count};

use super::artifacts::verify_files;
use super::info::leased;
use super::links::{KINDS, Kind, Links};
use super::{END, MaintenanceError, name_of, open};
use crate::planner::SetAside;
use crate::progress::Progress;
use crate::{Engine, StoreError, SystemClock, codec};

/// Problems that a report shows; all are counted.
pub const MAX_PROBLEMS: usize = 1_000;

/// How many there are of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// The first letter of their keys.
    pub kind: char,
    /// What they are. None: this version does not know.
    pub name: Option<&'static str>,
    /// How many.
    pub count: u64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Of which key: its kind, and the rest in hexadecimal digits.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

/// A damaged value that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAsideRecord {
    /// The key that it had.
    pub key: String,
    /// When it was met.
    pub at: Timestamp,
    /// What was wrong with it.
    pub problem: String,
}

/// What [`verify`] has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the store is.
    pub directory: PathBuf,
    /// Values that were looked at.
    pub values: u64,
    /// Their bytes, without their keys.
    pub bytes: u64,
    /// How many of each kind.
    pub kinds: Vec<KindCount>,
    /// What is wrong; the first [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// All that is wrong.
    pub problem_count: u64,
    /// What was set aside before; the first [`MAX_PROBLEMS`]. No problem any more, and a loss.
    pub set_aside: Vec<SetAsideRecord>,
    /// All that was.
    pub set_aside_count: u64,
    /// Files in `lost`, of which no task knows.
    pub lost_files: u64,
    /// Files of artifacts that were looked at.
    pub artifact_files: u64,
    /// Files of artifacts that nothing names; the next start removes them.
    pub unnamed_files: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    fn add(&mut self, key: &[u8], problem: String) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { key: name_of(key), problem });
        }
    }
}

/// Looks at every value of the store of this directory.
///
/// # Errors
/// A host holds the directory, there is no store, or the engine cannot read it. What is wrong with a value is no error.
pub fn verify(directory: &Path) -> Result<Report, MaintenanceError> {
    let engine = open(directory)?;
    let lost_files = fs::read_dir(directory.join("lost")).map_or(0, |files| files.count() as u64);
    let report = Report { directory: directory.to_owned(), lost_files, ..Report::default() };
    let mut report = verify_engine(&engine, report)?;
    let counts = verify_files(directory, &engine, |key, problem| report.add(key, problem))?;
    (report.artifact_files, report.unnamed_files) = counts;
    Ok(report)
}

fn verify_engine(engine: &dyn Engine, mut report: Report) -> Result<Report, MaintenanceError> {
    let clock = SystemClock::new();
    let links = Links { engine, leased: leased(engine)?, now: clock.now() };
    let (mut counts, mut progress) = (BTreeMap::new(), Progress::new(&clock, "values verified"));
    for pair in engine.scan(&[], END, false) {
        let (key, value) = pair?;
        let letter = key.first().copied().unwrap_or_default();
        *counts.entry(letter).or_default() += 1;
        report.values += 1;
        progress.add();
        report.bytes += value.len() as u64;
        let checked = match KINDS.iter().find(|kind| kind.letter == letter) {
            Some(Kind { check, .. }) => check(&links, &key, &value),
            None if letter == b'y' => codec::read(&key, &value).map(|SetAside { at, problem, .. }| {
                report.set_aside_count += 1;
                if report.set_aside.len() < MAX_PROBLEMS {
                    report.set_aside.push(SetAsideRecord { key: name_of(&key[1..]), at, problem });
                }
                Vec::new()
            }),
            None => Ok(Vec::new()),
        };
        match checked {
            Ok(found) => found.into_iter().for_each(|problem| report.add(&key, problem)),
            Err(StoreError::Damaged { problem, .. }) => report.add(&key, problem),
            Err(error) => return Err(error.into()),
        }
    }
    let name = |letter| KINDS.iter().find(|kind| kind.letter == letter).map(|kind| kind.name);
    let name = |letter| name(letter).or((letter == b'y').then_some("set aside"));
    let counts = counts.into_iter();
    report.kinds = counts.map(|(kind, count)| KindCount { kind: kind.into(), name: name(kind), count }).collect();
    Ok(report)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (values, bytes) = (format_count(self.values), format_bytes(self.bytes));
        writeln!(f, "{}: {values} values, {bytes}", self.directory.display())?;
        for KindCount { kind, name, count } in &self.kinds {
            let name = name.unwrap_or("of a kind that this version does not know");
            writeln!(f, "{:>12} {kind} {name}", format_count(*count))?;
        }
        for SetAsideRecord { key, at, problem } in &self.set_aside {
            writeln!(f, "set aside {key} at {at}: {problem}")?;
        }
        if self.lost_files > 0 {
            writeln!(f, "{} files in `lost`, of which no task knows", format_count(self.lost_files))?;
        }
        if self.artifact_files > 0 {
            writeln!(f, "{:>12} files of artifacts", format_count(self.artifact_files))?;
        }
        if self.unnamed_files > 0 {
            let count = format_count(self.unnamed_files);
            writeln!(f, "{count} files of artifacts that nothing names; the next start removes them")?;
        }
        for Problem { key, problem } in &self.problems {
            writeln!(f, "{key}: {problem}")?;
        }
        match self.problem_count {
            0 => write!(f, "nothing is wrong"),
            problems => {
                write!(f, "{} problems, {} shown", format_count(problems), format_count(self.problems.len() as u64))
            }
        }
    }
}
