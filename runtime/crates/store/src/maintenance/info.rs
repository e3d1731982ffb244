//! Says what is in a store.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sunaba_task::{Durability, StateName, TaskId, Timestamp, format_bytes, format_count};

use super::{MaintenanceError, open, pairs};
use crate::planner::{Batch, EventBatch, Stored};
use crate::progress::Progress;
use crate::{Engine, SystemClock, codec, keys};

/// How a store was opened by its last host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOpened {
    /// When.
    pub at: Timestamp,
    /// When what it answered was on stable storage.
    pub durability: Durability,
}

/// What is in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Where it is.
    pub directory: PathBuf,
    /// The format of its keys and records.
    pub format: u64,
    /// How its last host opened it.
    pub last_opened: Option<LastOpened>,
    /// Tasks, by state. What runs has lost its host, and is taken back when the store is opened by one.
    pub states: BTreeMap<StateName, u64>,
    /// Tasks that have not ended, by queue.
    pub queues: BTreeMap<String, u64>,
    /// When the oldest task was submitted.
    pub oldest: Option<Timestamp>,
    /// When the newest task was submitted.
    pub newest: Option<Timestamp>,
    /// Tasks whose records cannot be read, and that were not set aside yet.
    pub damaged: u64,
    /// Damaged values that were set aside.
    pub set_aside: u64,
    /// Packages.
    pub packages: u64,
    /// Components, with those that no package has any more.
    pub components: u64,
    /// The first event that is kept, and the first of those that were told last.
    pub events: Option<(u64, u64)>,
    /// Below this all sequences may have been used.
    pub sequence: u64,
    /// What the log takes on the disk.
    pub log_bytes: u64,
    /// Large values, a file each.
    pub files: u64,
    /// What these take.
    pub files_bytes: u64,
    /// Files of artifacts, each of which may be that of several.
    pub blobs: u64,
    /// What these take.
    pub blobs_bytes: u64,
    /// Files in `lost`, of which no task knows.
    pub lost_files: u64,
}

impl Info {
    /// All tasks whose records can be read.
    pub fn tasks(&self) -> u64 {
        self.states.values().sum()
    }
}

/// Says what is in the store of this directory, in one pass over its records.
///
/// # Errors
/// A host holds the directory, there is no store, or it cannot be read.
pub fn info(directory: &Path) -> Result<Info, MaintenanceError> {
    let engine = open(directory)?;
    let engine: &dyn Engine = &engine;
    let (files, files_bytes) = size_of(&directory.join("files"));
    let (blobs, blobs_bytes) = size_of(&directory.join("blobs"));
    let read = |key: &[u8]| engine.get(key).map(|stored| stored.and_then(|stored| codec::read(key, &stored).ok()));
    let last_opened = engine.get(keys::OPENED)?.and_then(|stored| codec::read(keys::OPENED, &stored).ok());
    let mut info = Info {
        directory: directory.to_owned(),
        format: read(keys::FORMAT)?.unwrap_or(0),
        last_opened,
        states: BTreeMap::new(),
        queues: BTreeMap::new(),
        oldest: None,
        newest: None,
        damaged: 0,
        set_aside: count(engine, b'y')?,
        packages: count(engine, b'p')?,
        components: count(engine, b'c')?,
        events: events(engine)?,
        sequence: read(keys::SEQUENCE)?.unwrap_or(0),
        log_bytes: size_of(&directory.join("sled")).1,
        files,
        files_bytes,
        blobs,
        blobs_bytes,
        lost_files: size_of(&directory.join("lost")).0,
    };
    let leased = leased(engine)?;
    let clock = SystemClock::new();
    let mut progress = Progress::new(&clock, "tasks counted");
    for pair in pairs(engine, b't') {
        let (key, value) = pair?;
        progress.add();
        let Ok(Stored { task, .. }) = codec::read::<Stored>(&key, &value) else {
            info.damaged += 1;
            continue;
        };
        let runs = task.state.name() == StateName::Queued && leased.get(&task.id) == Some(&task.revision);
        let state = if runs { StateName::Running } else { task.state.name() };
        *info.states.entry(state).or_default() += 1;
        if !task.state.is_terminal() {
            *info.queues.entry(task.spec.queue.clone()).or_default() += 1;
        }
        let at = task.submitted_at;
        info.oldest = Some(info.oldest.map_or(at, |oldest| oldest.min(at)));
        info.newest = Some(info.newest.map_or(at, |newest| newest.max(at)));
    }
    Ok(info)
}

/// The tasks that have a lease, and those that had one beside it, each with the revision that its record had before. Bounded
/// by the slots of all workers, times the leases of one key.
pub(super) fn leased(engine: &dyn Engine) -> Result<HashMap<TaskId, u64>, MaintenanceError> {
    let mut leased = HashMap::new();
    for pair in pairs(engine, b'l') {
        let (key, value) = pair?;
        if let Ok(batch) = codec::read::<Batch>(&key, &value) {
            leased.extend(batch.entries.iter().map(|entry| (entry.task, entry.revision)));
        }
    }
    Ok(leased)
}

fn count(engine: &dyn Engine, kind: u8) -> Result<u64, MaintenanceError> {
    let mut count = 0;
    for pair in pairs(engine, kind) {
        pair?;
        count += 1;
    }
    Ok(count)
}

/// The first and the last event.
fn events(engine: &dyn Engine) -> Result<Option<(u64, u64)>, MaintenanceError> {
    let (first, end) = keys::all(b'v');
    let batch = |reverse| engine.scan(&first, &end, reverse).next().transpose();
    let (first, last) = (batch(false)?, batch(true)?);
    let last = last.and_then(|(key, stored)| {
        let batch: EventBatch = codec::read(&key, &stored).ok()?;
        Some(keys::first_event(&key)? + (batch.entries.len() as u64).saturating_sub(1))
    });
    Ok(first.and_then(|(key, _)| keys::first_event(&key)).zip(last))
}

/// Files of a folder and all below, and the bytes that they take. What cannot be looked at counts as nothing.
pub(super) fn size_of(folder: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        // Of 512 bytes, on every system.
        Some(if metadata.is_dir() { size_of(&entry.path()) } else { (1, metadata.blocks() * 512) })
    });
    sizes.fold((0, 0), |(files, bytes), (more, larger)| (files + more, bytes + larger))
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.directory.display())?;
        let mut line = |name: &str, text: String| writeln!(f, "  {name:<12}{text}");
        line("format", self.format.to_string())?;
        if let Some(LastOpened { at, durability }) = self.last_opened {
            line("last opened", format!("{at}, durability {durability}"))?;
        }
        line("tasks", format_count(self.tasks()))?;
        for (state, tasks) in &self.states {
            line("", format!("{:>12} {state}", format_count(*tasks)))?;
        }
        if let Some((oldest, newest)) = self.oldest.zip(self.newest) {
            line("submitted", format!("from {oldest} to {newest}"))?;
        }
        if !self.queues.is_empty() {
            line("queues", "tasks that have not ended".into())?;
        }
        for (queue, tasks) in &self.queues {
            line("", format!("{:>12} {queue}", format_count(*tasks)))?;
        }
        line("packages", format!("{}, components {}", self.packages, self.components))?;
        if let Some((first, last)) = self.events {
            line("events", format!("{first} to {last}"))?;
        }
        line("log", format_bytes(self.log_bytes))?;
        line("files", format!("{}, {}", format_count(self.files), format_bytes(self.files_bytes)))?;
        line("artifacts", format!("{} files, {}", format_count(self.blobs), format_bytes(self.blobs_bytes)))?;
        if self.lost_files > 0 {
            line("lost", format!("{} files of which no task knows", format_count(self.lost_files)))?;
        }
        line("damaged", format!("{} records, {} set aside", format_count(self.damaged), format_count(self.set_aside)))
    }
}
