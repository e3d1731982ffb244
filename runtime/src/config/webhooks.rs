//! What the file declares of webhooks. Of a URL nothing is shown but its host, and a secret is never in the file.

use std::collections::BTreeMap;

use sunaba_host::{DeclaredWebhook, SecretPlace, WebhookPolicy};
use sunaba_task::webhook::{EventPattern, WebhookName, WebhookSpec};

use super::declared::Notes;
use super::gather::Gather;
use super::origin::Problem;
use super::sheet::{Item, Section, shown};

const WEBHOOK: [&str; 7] = ["url", "events", "queues", "handlers", "tags", "enabled", "secret"];

impl Gather<'_> {
    /// Webhooks, as far as they may be where they are.
    pub(super) fn webhooks(&mut self, policy: &WebhookPolicy) -> BTreeMap<WebhookName, DeclaredWebhook> {
        let mut notes = Notes::default();
        let webhooks = self.section("webhooks").map(|section| webhooks(&section, policy, &mut notes));
        self.take(notes);
        webhooks.unwrap_or_default()
    }
}

fn webhooks(
    section: &Section<'_, '_>,
    policy: &WebhookPolicy,
    notes: &mut Notes,
) -> BTreeMap<WebhookName, DeclaredWebhook> {
    let mut webhooks = BTreeMap::new();
    for item in section.items() {
        let name = match item.key.parse::<WebhookName>() {
            Ok(name) => name,
            Err(error) => {
                notes.problems.push(Problem { origin: item.origin(), message: error.to_string() });
                continue;
            }
        };
        let Some(inner) = notes.ok(item.section()) else { continue };
        inner.check(&format!("`[webhooks.{name}]`"), &WEBHOOK, &mut notes.problems);
        if let Some(webhook) = webhook(&name, &item, &inner, policy, notes) {
            webhooks.insert(name, webhook);
        }
    }
    webhooks
}

/// None: something is wrong, and noted.
fn webhook(
    name: &WebhookName,
    item: &Item<'_, '_>,
    inner: &Section<'_, '_>,
    policy: &WebhookPolicy,
    notes: &mut Notes,
) -> Option<DeclaredWebhook> {
    for needed in ["url", "events"] {
        if inner.get(needed).is_none() {
            let message = format!(
                "`[webhooks.{name}]` has no `{needed}`\nhint: write `url = \"https://example.com/hooks\"` and `events = [\"task.dead\"]`"
            );
            notes.problems.push(Problem { origin: item.origin(), message });
            return None;
        }
    }
    let list = |key: &str, notes: &mut Notes| match inner.get(key) {
        Some(item) => notes.ok(item.list()),
        None => Some(Vec::new()),
    };
    let url = inner.get("url")?;
    let events = inner.get("events")?;
    let wanted = list("events", notes)?;
    let wanted: Result<Vec<EventPattern>, _> = wanted.iter().map(|event| event.parse()).collect();
    let spec = WebhookSpec {
        url: notes.ok(url.word())?,
        events: notes.ok(wanted.map_err(|error| events.wrong(error)))?,
        queues: list("queues", notes)?,
        handlers: list("handlers", notes)?,
        tags: list("tags", notes)?,
    };
    notes.ok(spec.check().map_err(|error| item_of(&error, inner).unwrap_or(url).wrong(error)))?;
    notes.ok(policy.check(&spec.url).map_err(|error| url.wrong(error)))?;
    let enabled = match inner.get("enabled") {
        Some(enabled) => Some(notes.ok(enabled.switch())?),
        None => None,
    };
    let secret = match inner.get("secret") {
        Some(secret) => Some(notes.ok(place(&secret))?),
        None => None,
    };
    let key = |key: &str| format!("webhooks.{name}.{key}");
    for setting in inner.items() {
        let value = match setting.key {
            "url" => spec.shown_url(),
            "enabled" => enabled.unwrap_or_default().to_string(),
            "secret" => match &secret {
                Some(SecretPlace::File(path)) => format!("file:{}", path.display()),
                Some(SecretPlace::Env(variable)) => format!("env:{variable}"),
                None => continue,
            },
            _ => setting.list().unwrap_or_default().join(", "),
        };
        if WEBHOOK.contains(&setting.key) {
            notes.row(key(setting.key), value, &setting);
        }
    }
    Some(DeclaredWebhook { spec, enabled, secret })
}

/// What of the section is wrong, if that is not its URL.
fn item_of<'s, 't>(error: &sunaba_task::webhook::WebhookError, inner: &Section<'s, 't>) -> Option<Item<'s, 't>> {
    use sunaba_task::webhook::WebhookError;
    match error {
        WebhookError::NoEvents => inner.get("events"),
        WebhookError::TooMany { what, .. } => inner.get(what),
        WebhookError::Filter { what, .. } => {
            inner.get(["queues", "handlers", "tags"].into_iter().find(|key| what.starts_with(&key[..3]))?)
        }
        _ => None,
    }
}

/// Where a secret is. What stands there is not repeated: it may be the secret.
fn place(item: &Item<'_, '_>) -> Result<SecretPlace, Problem> {
    let word = item.word()?;
    match word.split_once(':') {
        Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(SecretPlace::File(item.path(path))),
        Some(("env", variable)) if !variable.is_empty() && !variable.contains(['=', '\0']) => {
            Ok(SecretPlace::Env(shown(variable)))
        }
        _ => Err(item.wrong(
            "this does not tell where the secret is\nhint: write `file:PATH` or `env:VARIABLE`, never the secret itself; without \
             `secret` the host makes one, which `sunaba webhook rotate` replaces and prints",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ConfigError, Layers};
    use super::*;

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let file = Some(("etc/sunaba.toml".into(), text.to_owned()));
        Config::read(&Layers { file, ..Layers::default() }).map_err(|error| match error {
            ConfigError::Wrong(problems) => problems.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn webhooks_of_the_file_are_declared_and_their_paths_are_not_shown() {
        let config = read(
            "[webhooks.billing]\nurl = \"https://example.com/hooks/hunter2\"\nevents = [\"task.dead\", \"job.*\"]\nqueues = [\"mail\"]\n\
             secret = \"file:billing.secret\"\n[webhooks.other]\nurl = \"https://example.com\"\nevents = [\"*\"]\nenabled = false\n\
             secret = \"env:OTHER_SECRET\"\n",
        )
        .expect("valid");
        let billing = &config.declared.webhooks[&"billing".parse().expect("a name")];
        assert_eq!((billing.spec.url.as_str(), billing.enabled), ("https://example.com/hooks/hunter2", None));
        assert_eq!((billing.spec.events.len(), billing.spec.queues.as_slice()), (2, &["mail".to_owned()][..]));
        assert_eq!(billing.secret, Some(SecretPlace::File(Path::new("etc/billing.secret").into())));
        let other = &config.declared.webhooks[&"other".parse().expect("a name")];
        assert_eq!((other.enabled, &other.secret), (Some(false), &Some(SecretPlace::Env("OTHER_SECRET".into()))));
        let shown: Vec<_> = config.rows().iter().filter(|row| row.key.starts_with("webhooks.")).collect();
        let shown: Vec<_> = shown.iter().map(|row| format!("{} {} {}", row.key, row.value, row.origin)).collect();
        assert_eq!(shown.len(), 8, "{shown:?}");
        assert_eq!(shown[0], "webhooks.billing.url https://example.com/\u{2026} etc/sunaba.toml:2");
        assert!(shown.iter().all(|row| !row.contains("hunter2")), "{shown:?}");
    }

    #[test]
    fn what_is_wrong_with_a_webhook_is_told_at_its_place_and_no_secret_is_repeated() {
        let url = "url = \"https://example.com/x\"\n";
        for (text, place, expected) in [
            ("events = [\"*\"]\n".into(), "1:", "has no `url`"),
            (url.into(), "1:", "has no `events`"),
            (format!("{url}events = []\n"), "3:", "wants no events"),
            (format!("{url}events = [\"task.succeded\"]\n"), "3:", "did you mean `task.succeeded`?"),
            (format!("{url}events = [\"*\"]\nqueues = [\"a b\"]\n"), "4:", "is no queue's name"),
            (format!("{url}events = [\"*\"]\nsecret = \"whsec_hunter2\"\n"), "4:", "never the secret itself"),
            (format!("{url}events = [\"*\"]\nurls = 1\n"), "4:", "unknown key `urls` in `[webhooks.a]`"),
            ("url = \"http://example.com/\"\nevents = [\"*\"]\n".into(), "2:", "go to `https` alone"),
            ("url = \"https://127.0.0.1/\"\nevents = [\"*\"]\n".into(), "2:", "go to public addresses alone"),
        ] {
            let wrong = read(&format!("[webhooks.a]\n{text}")).expect_err(&text);
            let place = format!("etc/sunaba.toml:{place}");
            assert!(wrong.iter().any(|wrong| wrong.contains(&place) && wrong.contains(expected)), "{text}: {wrong:?}");
            assert!(wrong.iter().all(|wrong| !wrong.contains("hunter2")), "{wrong:?}");
        }
        assert!(read("[webhooks.\"a b\"]\n").expect_err("no name")[0].contains("cannot name a webhook"));
    }
}
