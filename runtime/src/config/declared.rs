//! What the file declares by name: queues, handlers, how long things are kept, and the packages that are deployed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sunaba_host::{Declared, DeployOptions, RetentionChange};
use sunaba_task::{
    HandlerChange, HandlerControl, HandlerName, LimitCaps, QueueChange, QueueSettings, Retention, format_duration,
    is_name, parse_duration,
};

use super::gather::{Gather, limits_of};
use super::origin::{Origin, Problem, Row};
use super::sheet::{Item, Section, shown};

const QUEUE: [&str; 9] =
    ["paused", "concurrency", "key-concurrency", "rate", "key-rate", "weight", "max-depth", "aging", "limits"];
const HANDLER: [&str; 3] = ["paused", "concurrency", "breaker"];
const RETENTION: [&str; 5] = ["result", "succeeded", "cancelled", "expired", "dead"];
const PACKAGE: [&str; 3] = ["component", "allow-widening", "allow-signature-change"];

/// A component that is deployed when a host starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Where it is.
    pub component: PathBuf,
    /// How it is deployed.
    pub options: DeployOptions,
    /// Where that is said.
    pub origin: Origin,
}

/// What one pass over a section notes.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) problems: Vec<Problem>,
    pub(super) rows: Vec<Row>,
}

impl Notes {
    pub(super) fn row(&mut self, key: String, value: impl Into<String>, item: &Item<'_, '_>) {
        self.rows.push(Row { key, value: value.into(), origin: item.origin() });
    }

    /// What was read, or none and a note.
    pub(super) fn ok<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// A value, or `none`.
fn or_none<T>(item: &Item<'_, '_>, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
    let word = item.word()?;
    if word == "none" {
        return Ok(None);
    }
    read(&word).map(Some).map_err(|message| {
        let hint =
            if message.contains("\nhint: ") { ", or `none`" } else { "\nhint: write a number from 1, or `none`" };
        item.wrong(format!("`{}`: {message}{hint}", item.key))
    })
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("`{}` cannot be: {}", shown(text), error.to_string()))
}

/// Of a type whose errors say what was written.
fn own<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn queue_change(item: &Item<'_, '_>, problems: &mut Vec<Problem>) -> Result<Option<QueueChange>, Problem> {
    Ok(Some(match item.key {
        "paused" => QueueChange::Paused(item.switch()?),
        "concurrency" => QueueChange::Concurrency(or_none(item, parsed)?),
        "key-concurrency" => QueueChange::KeyConcurrency(or_none(item, parsed)?),
        "rate" => QueueChange::Rate(or_none(item, own)?),
        "key-rate" => QueueChange::KeyRate(or_none(item, own)?),
        "weight" => QueueChange::Weight(or_none(item, parsed)?),
        "max-depth" => QueueChange::MaxDepth(or_none(item, parsed)?),
        "aging" => QueueChange::Aging(or_none(item, duration)?),
        "limits" => QueueChange::Limits(limits(item, problems)?),
        _ => return Ok(None),
    }))
}

/// Limits as a section, or as one text.
pub(super) fn limits(item: &Item<'_, '_>, problems: &mut Vec<Problem>) -> Result<LimitCaps, Problem> {
    if let Ok(section) = item.section() {
        let mut caps = LimitCaps::NONE;
        limits_of(&section, problems).into_iter().for_each(|(limit, value, _)| caps.set(limit, value));
        return Ok(caps);
    }
    Ok(or_none(item, own::<LimitCaps>)?.unwrap_or_default())
}

fn handler_change(item: &Item<'_, '_>) -> Result<Option<HandlerChange>, Problem> {
    Ok(Some(match item.key {
        "paused" => HandlerChange::Paused(item.switch()?),
        "concurrency" => HandlerChange::Concurrency(or_none(item, parsed)?),
        "breaker" => HandlerChange::Breaker(or_none(item, own)?),
        _ => return Ok(None),
    }))
}

impl Gather<'_> {
    /// Queues, handlers and retention.
    pub(super) fn declared(&mut self) -> Declared {
        let mut notes = Notes::default();
        let queues = self.section("queues").map(|section| queues(&section, &mut notes)).unwrap_or_default();
        let handlers = self.section("handlers").map(|section| handlers(&section, &mut notes)).unwrap_or_default();
        let retention = self.section("retention").map(|section| retention(&section, &mut notes)).unwrap_or_default();
        self.take(notes);
        Declared { queues, handlers, retention, ..Declared::default() }
    }

    /// Packages.
    pub(super) fn packages(&mut self) -> BTreeMap<String, PackageFile> {
        let mut notes = Notes::default();
        let packages = self.section("packages").map(|section| packages(&section, &mut notes)).unwrap_or_default();
        self.take(notes);
        packages
    }

    pub(super) fn take(&mut self, notes: Notes) {
        self.problems.extend(notes.problems);
        self.rows.extend(notes.rows);
    }
}

fn queues(section: &Section<'_, '_>, notes: &mut Notes) -> BTreeMap<String, Vec<QueueChange>> {
    let mut queues = BTreeMap::new();
    for item in section.items() {
        if !is_name(item.key) {
            notes.problems.push(not_a_name(&item, "a queue"));
            continue;
        }
        let Some(inner) = notes.ok(item.section()) else { continue };
        inner.check(&format!("`[queues.{}]`", item.key), &QUEUE, &mut notes.problems);
        let mut changes = Vec::new();
        for setting in inner.items() {
            let change = queue_change(&setting, &mut notes.problems);
            let Some(Some(change)) = notes.ok(change) else { continue };
            // Its range is known to the one who keeps it.
            match QueueSettings::default().with(std::slice::from_ref(&change)) {
                Ok(_) => {
                    let key = format!("queues.{}.{}", item.key, setting.key);
                    notes.row(key, sunaba_host::queue_change_value(&change), &setting);
                    changes.push(change);
                }
                Err(error) => notes.problems.push(setting.wrong(error)),
            }
        }
        queues.insert(item.key.to_owned(), changes);
    }
    queues
}

fn handlers(section: &Section<'_, '_>, notes: &mut Notes) -> BTreeMap<String, (HandlerName, Vec<HandlerChange>)> {
    let mut handlers = BTreeMap::new();
    for item in section.items() {
        let Ok(name) = item.key.parse::<HandlerName>() else {
            let message = format!(
                "`{}` names no handler\nhint: write `[handlers.\"PACKAGE/HANDLER\"]`, with the quotation marks",
                shown(item.key)
            );
            notes.problems.push(Problem { origin: item.origin(), message });
            continue;
        };
        let Some(inner) = notes.ok(item.section()) else { continue };
        inner.check(&format!("`[handlers.\"{}\"]`", item.key), &HANDLER, &mut notes.problems);
        let mut changes = Vec::new();
        for setting in inner.items() {
            let Some(Some(change)) = notes.ok(handler_change(&setting)) else { continue };
            match HandlerControl::default().with(std::slice::from_ref(&change)) {
                Ok(_) => {
                    let key = format!("handlers.{}.{}", item.key, setting.key);
                    notes.row(key, sunaba_host::handler_change_value(&change), &setting);
                    changes.push(change);
                }
                Err(error) => notes.problems.push(setting.wrong(error)),
            }
        }
        handlers.insert(item.key.to_owned(), (name, changes));
    }
    handlers
}

fn retention(section: &Section<'_, '_>, notes: &mut Notes) -> RetentionChange {
    section.check("`[retention]`", &RETENTION, &mut notes.problems);
    let mut change = RetentionChange::default();
    for item in section.items() {
        let before = change.clone();
        let read = match item.key {
            "result" => match or_none(&item, duration) {
                Ok(Some(result)) => {
                    change.result = Some(result);
                    Ok(())
                }
                Ok(None) => Err(item.wrong("results are not kept for ever\nhint: write a time of up to ten years")),
                Err(problem) => Err(problem),
            },
            "succeeded" => or_none(&item, duration).map(|kept| change.succeeded = Some(kept)),
            "cancelled" => or_none(&item, duration).map(|kept| change.cancelled = Some(kept)),
            "expired" => or_none(&item, duration).map(|kept| change.expired = Some(kept)),
            "dead" => or_none(&item, duration).map(|kept| change.dead = Some(kept)),
            _ => continue,
        };
        let checked = read.and_then(|()| change.of(Retention::default()).check().map_err(|error| item.wrong(error)));
        match checked {
            Ok(()) => {
                let shown = item.word().unwrap_or_default();
                let shown = parse_duration(&shown).map_or(shown, format_duration);
                notes.row(format!("retention.{}", item.key), shown, &item);
            }
            Err(problem) => {
                change = before;
                notes.problems.push(problem);
            }
        }
    }
    change
}

fn packages(section: &Section<'_, '_>, notes: &mut Notes) -> BTreeMap<String, PackageFile> {
    let mut packages = BTreeMap::new();
    for item in section.items() {
        if !is_name(item.key) {
            notes.problems.push(not_a_name(&item, "a package"));
            continue;
        }
        let Some(inner) = notes.ok(item.section()) else { continue };
        inner.check(&format!("`[packages.{}]`", item.key), &PACKAGE, &mut notes.problems);
        let Some(component) = inner.get("component") else {
            let message =
                format!("`[packages.{}]` names no component\nhint: write `component = \"FILE.wasm\"`", item.key);
            notes.problems.push(Problem { origin: item.origin(), message });
            continue;
        };
        let Some(written) = notes.ok(component.word()) else { continue };
        let mut options = DeployOptions::default();
        notes.row(format!("packages.{}.component", item.key), written.clone(), &component);
        for setting in inner.items().into_iter().filter(|setting| setting.key.starts_with("allow-")) {
            let Some(allowed) = notes.ok(setting.switch()) else { continue };
            match setting.key {
                "allow-widening" => options.allow_widening = allowed,
                "allow-signature-change" => options.allow_signature_change = allowed,
                _ => continue,
            }
            notes.row(format!("packages.{}.{}", item.key, setting.key), allowed.to_string(), &setting);
        }
        let package = PackageFile { component: component.path(&written), options, origin: component.origin() };
        packages.insert(item.key.to_owned(), package);
    }
    packages
}

pub(super) fn not_a_name(item: &Item<'_, '_>, what: &str) -> Problem {
    let message = format!(
        "`{}` cannot name {what}\nhint: a name has up to 64 lower-case letters, digits and `-`",
        shown(item.key)
    );
    Problem { origin: item.origin(), message }
}
