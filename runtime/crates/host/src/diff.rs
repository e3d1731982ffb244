//! What a deploy changes, against the version of the package that is active: pure, and shown before and after.
//!
//! A *widening* is whatever lets the guests do or use more than before: another interface that is imported, a grant that was
//! not asked for, or not so widely, and a larger limit. The version of an interface is none, nor are retries and queues.

use serde::{Deserialize, Serialize};
use sunaba_task::{ClockAccess, DirAccess, GrantRequests, HandlerInfo, HandlerSettings, HttpGrant, Limit, Limits};

/// A component, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The interfaces that it imports.
    pub imports: &'a [String],
    /// Its handlers.
    pub handlers: &'a [HandlerInfo],
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// The handler that it is about. Null: the component as a whole.
    pub handler: Option<String>,
    /// `import`, `handler`, `doc`, `input`, `output`, the key of a setting, or `limit NAME`.
    pub what: String,
    /// As it was. Null: it was not there.
    pub was: Option<String>,
    /// As it is now. Null: it is gone.
    pub is: Option<String>,
    /// Whether it lets the guests do or use more.
    pub widens: bool,
}

impl Change {
    /// The change in one line, for people. What a guest has written is in it: show it inert.
    pub fn line(&self) -> String {
        let handler = self.handler.as_ref().map(|handler| format!("{handler}: ")).unwrap_or_default();
        let what = &self.what;
        let change = match (&self.was, &self.is) {
            (None, Some(is)) => format!("{what} {is}, new"),
            (Some(was), None) => format!("{what} {was}, gone"),
            (Some(was), Some(is)) if was == is => format!("{what} changed"),
            (Some(was), Some(is)) => format!("{what} {is}, was {was}"),
            (None, None) => what.clone(),
        };
        format!("{handler}{change}{}", if self.widens { " (wider)" } else { "" })
    }
}

/// What is different in `is`. Without an active version all that the component asks for is new, and nothing widens.
pub fn diff(was: Option<Side<'_>>, is: Side<'_>) -> Vec<Change> {
    let nothing = Side { imports: &[], handlers: &[] };
    let is_first = was.is_none();
    let was = was.unwrap_or(nothing);
    let mut changes = imports(was.imports, is.imports);
    for handler in is.handlers {
        match was.handlers.iter().find(|old| old.name == handler.name) {
            Some(old) => {
                changes.extend(signature(old, handler));
                changes.extend(settings(handler, &old.settings));
            }
            None => {
                changes.push(row(None, "handler", None, Some(handler.name.clone()), false));
                // Whether it widens is seen by the defaults; but nothing of it was there.
                let new = settings(handler, &HandlerSettings::default());
                changes.extend(new.into_iter().map(|change| Change { was: None, ..change }));
            }
        }
    }
    let gone = was.handlers.iter().filter(|old| !is.handlers.iter().any(|handler| handler.name == old.name));
    changes.extend(gone.map(|old| row(None, "handler", Some(old.name.clone()), None, false)));
    if is_first {
        changes.iter_mut().for_each(|change| change.widens = false);
    }
    changes
}

fn row(handler: Option<&str>, what: &str, was: Option<String>, is: Option<String>, widens: bool) -> Change {
    Change { handler: handler.map(str::to_owned), what: what.to_owned(), was, is, widens }
}

/// Interfaces by their names: another version of the same one is the same.
fn imports(was: &[String], is: &[String]) -> Vec<Change> {
    let name = |import: &String| import.split('@').next().unwrap_or_default().to_owned();
    let missing = |from: &[String], import: &&String| !from.iter().any(|other| name(other) == name(import));
    let new = is.iter().filter(|import| missing(was, import));
    let gone = was.iter().filter(|import| missing(is, import));
    let new = new.map(|import| row(None, "import", None, Some(import.clone()), true));
    new.chain(gone.map(|import| row(None, "import", Some(import.clone()), None, false))).collect()
}

fn signature(was: &HandlerInfo, is: &HandlerInfo) -> Vec<Change> {
    let schema = |schema: &Option<String>| Some(if schema.is_some() { "JSON" } else { "any bytes" }.to_owned());
    let mut changes = Vec::new();
    for (what, old, new) in
        [("input", &was.input_schema, &is.input_schema), ("output", &was.output_schema, &is.output_schema)]
    {
        if old != new {
            changes.push(row(Some(&is.name), what, schema(old), schema(new), false));
        }
    }
    if was.doc != is.doc {
        let doc = |doc: &str| Some(doc.lines().next().unwrap_or_default().to_owned());
        changes.push(row(Some(&is.name), "doc", doc(&was.doc), doc(&is.doc), false));
    }
    changes
}

/// Keys that are told of as limits, one by one.
const LIMIT_KEYS: [&str; 4] = ["timeout", "fuel", "memory", "limits"];

fn settings(handler: &HandlerInfo, was: &HandlerSettings) -> Vec<Change> {
    let (name, is) = (Some(handler.name.as_str()), &handler.settings);
    let mut changes = limits(name, was, is);
    let value = |settings: &HandlerSettings, key: &str| {
        settings.given().find(|(given, _)| *given == key).map(|(_, value)| value)
    };
    let mut keys: Vec<_> = was.given().chain(is.given()).map(|(key, _)| key).collect();
    keys.retain(|key| !LIMIT_KEYS.contains(key));
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (old, new) = (value(was, key), value(is, key));
        if old != new {
            changes.push(row(name, key, old, new, asks_for_more(key, &was.requests, &is.requests)));
        }
    }
    changes
}

/// Limits as they are in effect, whoever has said them.
fn limits(name: Option<&str>, was: &HandlerSettings, is: &HandlerSettings) -> Vec<Change> {
    let [old, new] = [was, is].map(|settings| settings.apply(Limits::default()));
    let mut changes = Vec::new();
    for limit in Limit::ALL {
        let text = |limits: &Limits| match limit {
            Limit::Fuel => limits.fuel.to_string(),
            _ => limits.get(limit).map(|value| limit.format(value)).unwrap_or_default(),
        };
        let (from, to) = (text(&old), text(&new));
        // No value is no limit, the largest of all.
        let widens = new.get(limit).unwrap_or(u64::MAX) > old.get(limit).unwrap_or(u64::MAX);
        if from != to || widens {
            changes.push(row(name, &format!("limit {limit}"), Some(from), Some(to), widens));
        }
    }
    changes
}

/// Whether what is asked for under this key is more than before.
fn asks_for_more(key: &str, was: &GrantRequests, is: &GrantRequests) -> bool {
    match key {
        "env" => is.env.iter().any(|asked| if asked == "*" { !was.env.contains(asked) } else { !was.has_env(asked) }),
        "dirs" => is.dirs.iter().any(|dir| {
            // `*` is covered by nothing but itself, whatever paths there were.
            !was.dirs.iter().any(|old| match dir.guest.as_str() {
                "*" => old.guest == "*" && (old.access == DirAccess::ReadWrite || dir.access == DirAccess::ReadOnly),
                guest => old.covers(guest, dir.access),
            })
        }),
        "http" if was.any_http => false,
        "http" => {
            is.any_http || is.http.iter().any(|place| !was.http.iter().any(|old: &HttpGrant| old.includes(place)))
        }
        "secrets" => is.secrets.iter().any(|name| !was.secrets.contains(name)),
        "scratch" => is.scratch_bytes > was.scratch_bytes,
        "clock" => is.clock == ClockAccess::Fine && was.clock != ClockAccess::Fine,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
