//! The record of a webhook: where it is, what it wants, and whether it gets it. Its secrets are not part of it.

use serde::{Deserialize, Serialize};

use super::{EventPattern, WebhookName, WebhookStanding};
use crate::{HandlerName, HttpGrant, HttpGrantError, Scheme, TaskSpec, Timestamp, is_name};

/// The longest address of a webhook.
pub const MAX_WEBHOOK_URL_BYTES: usize = 2_048;
/// The most events, and queues, and handlers, and tags, that one webhook names.
pub const MAX_FILTERS: usize = 50;
/// The longest tag that can be asked for.
const MAX_TAG_BYTES: usize = 128;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSpec {
    /// Where requests go.
    pub url: String,
    /// Of what it is told. Never empty.
    pub events: Vec<EventPattern>,
    /// Of tasks only those in one of these queues. Empty: in any. What is of no task is told whatever is said here, and below.
    pub queues: Vec<String>,
    /// Of tasks only those of one of these handlers, as `package/handler`, or packages. Empty: of any.
    pub handlers: Vec<String>,
    /// Of tasks only those with one of these tags. Empty: with any, or none.
    pub tags: Vec<String>,
}

/// Why there is no such webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not a URL of a webhook.
    #[error(
        "a webhook cannot be at `{0}`\nhint: write a URL without a user or a fragment, such as `https://example.com/hooks`"
    )]
    Url(String),
    /// Its host is none.
    #[error(transparent)]
    Host(#[from] HttpGrantError),
    /// It wants nothing.
    #[error("the webhook wants no events\nhint: name some, such as `task.dead`, or all, `*`")]
    NoEvents,
    /// Too many of something.
    #[error("the webhook names {count} {what}; the limit is {MAX_FILTERS}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// Something that it names cannot be.
    #[error("`{value}` is no {what}")]
    Filter {
        /// What it should be.
        what: &'static str,
        /// What stood there.
        value: String,
    },
}

/// The place that a webhook's URL leads to.
///
/// # Errors
/// It is none: of another scheme, with a user or a fragment, too long, or not as it would be sent.
pub fn check_webhook_url(url: &str) -> Result<HttpGrant, WebhookError> {
    let wrong = || WebhookError::Url(url.chars().take(300).collect());
    if url.len() > MAX_WEBHOOK_URL_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
        return Err(wrong());
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    // A user, or a wildcard of grants.
    if authority.contains(['@', '*', '\\']) {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{authority}").parse::<HttpGrant>()?)
}

impl WebhookSpec {
    /// Whether it can be.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn check(&self) -> Result<(), WebhookError> {
        check_webhook_url(&self.url)?;
        if self.events.is_empty() {
            return Err(WebhookError::NoEvents);
        }
        let counts = [
            ("events", self.events.len()),
            ("queues", self.queues.len()),
            ("handlers", self.handlers.len()),
            ("tags", self.tags.len()),
        ];
        if let Some((what, count)) = counts.into_iter().find(|(_, count)| *count > MAX_FILTERS) {
            return Err(WebhookError::TooMany { what, count });
        }
        let is_handler = |text: &String| is_name(text) || text.parse::<HandlerName>().is_ok();
        let is_tag = |text: &String| !text.is_empty() && text.len() <= MAX_TAG_BYTES;
        let wrong = |what, value: &String| WebhookError::Filter { what, value: value.chars().take(80).collect() };
        if let Some(queue) = self.queues.iter().find(|queue| !is_name(queue)) {
            return Err(wrong("queue's name", queue));
        }
        if let Some(handler) = self.handlers.iter().find(|handler| !is_handler(handler)) {
            return Err(wrong("handler's or package's name", handler));
        }
        match self.tags.iter().find(|tag| !is_tag(tag)) {
            Some(tag) => Err(wrong("tag", tag)),
            None => Ok(()),
        }
    }

    /// Its URL as far as everybody may see it: others keep a secret in what follows the host.
    pub fn shown_url(&self) -> String {
        let host_ends = self.url.match_indices('/').nth(2).map_or(self.url.len(), |(at, _)| at);
        let host = self.url[..host_ends].split('?').next().unwrap_or_default();
        if host.len() == self.url.len() { host.to_owned() } else { format!("{host}/\u{2026}") }
    }

    /// Whether its requests are encrypted.
    pub fn is_encrypted(&self) -> bool {
        check_webhook_url(&self.url).is_ok_and(|place| place.scheme == Scheme::Https)
    }

    /// Whether it wants events of this kind and word, of whatever they are.
    pub fn wants(&self, kind: &str, word: &str) -> bool {
        self.events.iter().any(|pattern| pattern.includes(kind, word))
    }

    /// Whether it wants what happens to tasks of this queue and handler, as far as their tags do not matter.
    pub fn wants_of(&self, queue: &str, handler: &HandlerName) -> bool {
        let is_of = |name: &String| {
            *name == handler.package
                || name
                    .split_once('/')
                    .is_some_and(|(package, own)| package == handler.package && own == handler.handler)
        };
        (self.queues.is_empty() || self.queues.iter().any(|own| own == queue))
            && (self.handlers.is_empty() || self.handlers.iter().any(is_of))
    }

    /// Whether it wants what happens to this task, as far as that is a matter of its tags.
    pub fn wants_tags_of(&self, task: Option<&TaskSpec>) -> bool {
        self.tags.is_empty() || task.is_some_and(|task| self.tags.iter().any(|tag| task.tags.contains(tag)))
    }
}

/// That a webhook gets nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why; for people.
    pub reason: String,
    /// Whether its failures are why, and nobody has asked for it.
    pub by_failure: bool,
}

/// When a secret was made, and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretLife {
    /// When it was made.
    pub created_at: Timestamp,
    /// Until then it signs beside its successor. None: it has none.
    pub until: Option<Timestamp>,
}

/// A webhook, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: WebhookName,
    /// Grows with every change that somebody makes, from 1.
    pub revision: u64,
    /// What is asked for.
    pub spec: WebhookSpec,
    /// That it gets nothing. None: it does.
    pub disabled: Option<Disabled>,
    /// The secrets that sign now, the newest first.
    pub secrets: Vec<SecretLife>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// What has come of its deliveries.
    pub standing: WebhookStanding,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn spec() -> WebhookSpec {
        let events = vec!["task.*".parse().expect("a pattern")];
        let (queues, handlers, tags) = (Vec::new(), Vec::new(), Vec::new());
        WebhookSpec { url: "https://example.com/hooks?x=1".into(), events, queues, handlers, tags }
    }

    #[test]
    fn urls_of_webhooks_lead_to_one_clear_place() {
        for (url, place) in [
            ("https://example.com", "https://example.com"),
            ("https://Example.com:8443/a?b=c@d", "https://example.com:8443"),
            ("http://[::1]:80/x", "http://[::1]"),
            ("http://example.com?x", "http://example.com"),
        ] {
            assert_eq!(check_webhook_url(url).map(|place| place.to_string()), Ok(place.to_owned()), "{url}");
        }
        let long = format!("https://example.com/{}", "a".repeat(MAX_WEBHOOK_URL_BYTES));
        for url in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://user@example.com/",
            "https://a.example\\@b.example/",
            "https://*.example.com/",
            "https://example.com/#x",
            "https://example.com/ x",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://example.com:0/",
            &long,
        ] {
            assert!(check_webhook_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_follows_the_host_of_a_url_is_not_shown() {
        for (url, shown) in [
            ("https://example.com", "https://example.com"),
            ("https://example.com:8443/a/b?c=d", "https://example.com:8443/\u{2026}"),
            ("https://example.com?token=x/y/z", "https://example.com/\u{2026}"),
        ] {
            assert_eq!(WebhookSpec { url: url.into(), ..spec() }.shown_url(), shown);
        }
    }

    #[test]
    fn filters_are_of_tasks() {
        let task = testing::task();
        let (queue, handler) = (&*task.spec.queue, &task.spec.handler);
        assert!(spec().wants("task", "dead") && !spec().wants("job", "failed") && spec().wants_of(queue, handler));
        let of = |queues: &[&str], handlers: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            WebhookSpec { queues: owned(queues), handlers: owned(handlers), ..spec() }.wants_of(queue, handler)
        };
        assert!(of(&[queue], &[]) && !of(&["other"], &[]) && of(&[], &[&handler.package]));
        assert!(of(&[], &[&handler.to_string()]) && !of(&[], &[&format!("{}/other", handler.package)]));
        let tagged = WebhookSpec { tags: vec!["mail".into()], ..spec() };
        let with_tag = TaskSpec { tags: vec!["mail".into()], ..(*task.spec).clone() };
        assert!(tagged.wants_tags_of(Some(&with_tag)) && !tagged.wants_tags_of(Some(&task.spec)));
        assert!(!tagged.wants_tags_of(None) && spec().wants_tags_of(None));
    }

    #[test]
    fn number_of_filters_obeyed() {
        let queues = (0..MAX_FILTERS).map(|number| format!("q-{number}")).collect();
        assert_eq!(WebhookSpec { queues, ..spec() }.check(), Ok(()));
    }

    #[test]
    fn number_of_filters_violated() {
        let tags = (0..=MAX_FILTERS).map(|number| format!("t-{number}")).collect();
        let expected = WebhookError::TooMany { what: "tags", count: MAX_FILTERS + 1 };
        assert_eq!(WebhookSpec { tags, ..spec() }.check(), Err(expected));
    }

    #[test]
    fn what_no_task_can_have_is_no_filter() {
        for spec in [
            WebhookSpec { queues: vec!["sunaba:webhooks".into()], ..spec() },
            WebhookSpec { handlers: vec!["a/b/c".into()], ..spec() },
            WebhookSpec { tags: vec![String::new()], ..spec() },
            WebhookSpec { events: Vec::new(), ..spec() },
        ] {
            assert!(spec.check().is_err(), "{spec:?}");
        }
    }
}
