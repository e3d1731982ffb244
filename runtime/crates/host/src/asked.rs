//! What a handler asks for beside what its host allows, and which of its imports do nothing without it. Told to whoever
//! operates or submits; what is granted is decided elsewhere, when a task is submitted and before each attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "run")]
use crate::runtime::Runtime;
#[cfg(feature = "run")]
use sunaba_store::StoreError;
#[cfg(feature = "run")]
use sunaba_task::{ClockAccess, GrantRequests, HandlerInfo, format_bytes};

#[cfg(feature = "run")]
use crate::effective::{Operator, permitted};

/// The settings by which a handler asks for what lies behind an interface, by how its name begins, and whether the interface does
/// nothing without.
const BEHIND: [(&str, &[&str], bool); 5] = [
    ("wasi:cli/environment", &["env"], true),
    ("wasi:filesystem/", &["dirs", "scratch"], true),
    ("wasi:http/", &["http", "secrets"], true),
    ("wasi:clocks/", &["clock"], false),
    ("wasi:random/", &["deterministic"], false),
];

/// The settings by which a handler asks for what lies behind an interface. Empty: nothing that could be granted does.
pub fn asked_by(import: &str) -> &'static [&'static str] {
    BEHIND.iter().find(|(start, ..)| import.starts_with(start)).map_or(&[], |(_, settings, _)| settings)
}

/// Whether an interface does nothing without a grant.
pub fn needs_grant(import: &str) -> bool {
    BEHIND.iter().any(|(start, _, needs)| *needs && import.starts_with(start))
}

/// Something that a handler asks for, and whether a task may have it on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The setting by which it asks: `env`, `dirs`, `http`, `secrets`, `scratch` or `clock`.
    pub by: String,
    /// What it asks for.
    pub what: String,
    /// Whether the host allows it. A task has it when its submitter grants it, too.
    pub allowed: bool,
    /// How a submitter grants it; how the operator allows it, where that is missing.
    pub how: String,
}

#[cfg(feature = "run")]
impl Runtime {
    /// All that a handler asks for, beside what this host allows.
    ///
    /// # Errors
    /// A secret cannot be looked up at the moment.
    pub async fn asked(&self, handler: &HandlerInfo) -> Result<Vec<Asked>, StoreError> {
        let asked = &handler.settings.requests;
        let mut operator = self.permits.operator.clone();
        for name in &asked.secrets {
            if let Some(host) = self.permits.secrets.host(name).await? {
                operator.secrets.insert(name.clone(), host);
            }
        }
        Ok(standing(asked, &operator, !self.permits.allowance.dirs.is_empty()))
    }
}

#[cfg(feature = "run")]
fn standing(asked: &GrantRequests, operator: &Operator, allows_dirs: bool) -> Vec<Asked> {
    let mut all = Vec::new();
    let mut add = |by: &str, what: String, allowed: bool, submitter: String, missing: String| {
        let how = if allowed { submitter } else { missing };
        all.push(Asked { by: by.to_owned(), what, allowed, how });
    };
    for key in &asked.env {
        let how = if key == "*" { "--env KEY=VALUE".to_owned() } else { format!("--env {key}=VALUE") };
        // Variables are the submitter's own words.
        add("env", key.clone(), true, how, String::new());
    }
    for dir in &asked.dirs {
        let guest = if dir.guest == "*" { "/GUEST" } else { &dir.guest };
        let rw = if dir.to_string().ends_with(":rw") { ":rw" } else { "" };
        let how = format!("--dir HOST::{guest}{rw}, out of what the host allows");
        add("dirs", dir.to_string(), allows_dirs, how, "serve --allow-dir ROOT".into());
    }
    for place in &asked.http {
        let allowed = !permitted(place, &operator.http).is_empty();
        add("http", place.to_string(), allowed, format!("--http {place}"), format!("serve --allow-http {place}"));
    }
    if asked.any_http {
        let (how, missing) = ("--http URL, of those that the host allows", "serve --allow-http URL");
        add("http", "*".into(), !operator.http.is_empty(), how.into(), missing.into());
    }
    for name in &asked.secrets {
        let allowed = operator.secrets.contains_key(name);
        let missing = format!("secret set {name} --host URL");
        add("secrets", name.clone(), allowed, format!("--secret {name}, with --http for its host"), missing);
    }
    if let Some(bytes) = asked.scratch_bytes {
        let most = bytes.min(operator.max_scratch_bytes);
        let shown = |bytes| format_bytes(bytes).replace(' ', "");
        let (how, missing) = (format!("--scratch {}", shown(most)), format!("serve --max-scratch {}", shown(bytes)));
        add("scratch", format_bytes(bytes), most > 0, how, missing);
    }
    if asked.clock == ClockAccess::Fine {
        let allowed = operator.clock == ClockAccess::Fine;
        add("clock", "fine".into(), allowed, "--fine-clock".into(), "serve --allow-fine-clock".into());
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn imports_are_told_apart_by_what_lies_behind_them() {
        assert_eq!(asked_by("wasi:filesystem/types@0.2.6"), ["dirs", "scratch"]);
        assert!(asked_by("wasi:io/streams@0.2.6").is_empty());
        assert!(needs_grant("wasi:http/outgoing-handler@0.2.6"));
        assert!(!needs_grant("wasi:clocks/monotonic-clock@0.2.6") && !needs_grant("sunaba:task/host@0.1.0"));
    }

    #[test]
    fn what_is_asked_for_stands_beside_what_is_allowed() {
        let place = |text: &str| text.parse().expect("a place");
        let asked = GrantRequests {
            env: vec!["HOME".into()],
            dirs: vec!["/data:rw".parse().expect("a directory")],
            http: vec![place("https://a.example"), place("https://b.example")],
            any_http: false,
            secrets: vec!["TOKEN".into()],
            scratch_bytes: Some(2 << 30),
            clock: ClockAccess::Fine,
        };
        let words = |operator: &Operator, dirs| {
            let standing = standing(&asked, operator, dirs).into_iter();
            standing.map(|asked| (asked.what, asked.allowed, asked.how)).collect::<Vec<_>>()
        };
        let own = |what: &str, allowed, how: &str| (what.to_owned(), allowed, how.to_owned());
        assert_eq!(
            words(&Operator { max_scratch_bytes: 0, ..Operator::default() }, false),
            [
                own("HOME", true, "--env HOME=VALUE"),
                own("/data:rw", false, "serve --allow-dir ROOT"),
                own("https://a.example", false, "serve --allow-http https://a.example"),
                own("https://b.example", false, "serve --allow-http https://b.example"),
                own("TOKEN", false, "secret set TOKEN --host URL"),
                own("2.0 GiB", false, "serve --max-scratch 2.0GiB"),
                own("fine", false, "serve --allow-fine-clock"),
            ]
        );
        let operator = Operator {
            http: vec![place("https://b.example")],
            secrets: BTreeMap::from([("TOKEN".into(), place("https://b.example"))]),
            clock: ClockAccess::Fine,
            ..Operator::default()
        };
        let allowed: Vec<_> = words(&operator, true).into_iter().map(|(_, allowed, how)| (allowed, how)).collect();
        assert_eq!(allowed.iter().filter(|(allowed, _)| !allowed).count(), 1, "{allowed:?}");
        assert_eq!(allowed[1].1, "--dir HOST::/data:rw, out of what the host allows");
        assert_eq!(allowed[5].1, "--scratch 1.0GiB");
    }
}
