//! What an operator declares beside the store: settings that are in force whenever a host starts or reads them again.
//!
//! What is declared takes the place of what was set while a host ran. What is not declared is never touched, so that a queue that
//! somebody has paused stays paused unless the declaration says otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use sunaba_store::{Store, StoreError, audited};
use sunaba_task::webhook::WebhookName;
use sunaba_task::{HandlerChange, HandlerName, NewAudit, QueueChange, Retention, format_duration};

use crate::webhooks::DeclaredWebhook;

/// Settings of queues and handlers, and how long things are kept; and webhooks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    /// By the names of queues.
    pub queues: BTreeMap<String, Vec<QueueChange>>,
    /// By the names of handlers, as they are written. What is not deployed may be declared.
    pub handlers: BTreeMap<String, (HandlerName, Vec<HandlerChange>)>,
    /// What is said of retention.
    pub retention: RetentionChange,
    /// By the names of webhooks.
    pub webhooks: BTreeMap<WebhookName, DeclaredWebhook>,
}

/// What is said of how long things are kept; the rest stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionChange {
    /// [`Retention::result`].
    pub result: Option<Duration>,
    /// [`Retention::succeeded`].
    pub succeeded: Option<Option<Duration>>,
    /// [`Retention::cancelled`].
    pub cancelled: Option<Option<Duration>>,
    /// [`Retention::expired`].
    pub expired: Option<Option<Duration>>,
    /// [`Retention::dead`].
    pub dead: Option<Option<Duration>>,
}

impl RetentionChange {
    /// The retention with this change.
    #[must_use]
    pub fn of(&self, kept: Retention) -> Retention {
        Retention {
            result: self.result.unwrap_or(kept.result),
            succeeded: self.succeeded.unwrap_or(kept.succeeded),
            cancelled: self.cancelled.unwrap_or(kept.cancelled),
            expired: self.expired.unwrap_or(kept.expired),
            dead: self.dead.unwrap_or(kept.dead),
        }
    }
}

fn or_none<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".into(), ToString::to_string)
}

/// The value of a change, as it is written.
pub fn queue_change_value(change: &QueueChange) -> String {
    match change {
        QueueChange::Paused(paused) => paused.to_string(),
        QueueChange::Weight(value) | QueueChange::Concurrency(value) | QueueChange::KeyConcurrency(value) => {
            or_none(value.as_ref())
        }
        QueueChange::Rate(rate) | QueueChange::KeyRate(rate) => or_none(rate.as_ref()),
        QueueChange::MaxDepth(depth) => or_none(depth.as_ref()),
        QueueChange::Aging(aging) => aging.map_or_else(|| "none".into(), format_duration),
        QueueChange::Limits(limits) if limits.is_empty() => "none".into(),
        QueueChange::Limits(limits) => limits.to_string(),
    }
}

fn queue_change_name(change: &QueueChange) -> &'static str {
    match change {
        QueueChange::Paused(_) => "paused",
        QueueChange::Weight(_) => "weight",
        QueueChange::Concurrency(_) => "concurrency",
        QueueChange::KeyConcurrency(_) => "key-concurrency",
        QueueChange::Rate(_) => "rate",
        QueueChange::KeyRate(_) => "key-rate",
        QueueChange::MaxDepth(_) => "max-depth",
        QueueChange::Aging(_) => "aging",
        QueueChange::Limits(_) => "limits",
    }
}

/// The value of a change, as it is written.
pub fn handler_change_value(change: &HandlerChange) -> String {
    match change {
        HandlerChange::Paused(paused) => paused.to_string(),
        HandlerChange::Concurrency(limit) => or_none(limit.as_ref()),
        HandlerChange::Breaker(breaker) => or_none(breaker.as_ref()),
    }
}

fn handler_change_name(change: &HandlerChange) -> &'static str {
    match change {
        HandlerChange::Paused(_) => "paused",
        HandlerChange::Concurrency(_) => "concurrency",
        HandlerChange::Breaker(_) => "breaker",
    }
}

impl Declared {
    /// In whose name what is declared is put in force, in the log of changes.
    pub const WHO: &str = "configuration";

    /// Puts in force what is declared of queues, handlers and retention, and is otherwise in the store; what that was, a line each.
    ///
    /// # Errors
    /// The store has failed, or takes no changes on. What was changed before that stays so.
    pub async fn apply(&self, store: &dyn Store) -> Result<Vec<String>, StoreError> {
        let mut changed = Vec::new();
        for (queue, changes) in &self.queues {
            let kept = store.queue(queue.clone()).await?.settings;
            let is_new = |change: &&QueueChange| {
                kept.clone().with(std::slice::from_ref(*change)).is_ok_and(|settings| settings != kept)
            };
            // Only what is otherwise: a rate that is set anew has let nothing through yet.
            let changes: Vec<_> = changes.iter().filter(is_new).cloned().collect();
            if changes.is_empty() {
                continue;
            }
            let told = changes
                .iter()
                .map(|change| format!("queue `{queue}`: {} {}", queue_change_name(change), queue_change_value(change)));
            changed.extend(told);
            audited(NewAudit::by(Self::WHO, "queue.set", queue), store.set_queue(queue.clone(), changes)).await?;
        }
        if !self.handlers.is_empty() {
            let kept = controls(store).await?;
            for (name, changes) in self.handlers.values() {
                let kept = kept.get(&name.to_string()).cloned().unwrap_or_default();
                let is_new = |change: &&HandlerChange| {
                    kept.clone().with(std::slice::from_ref(*change)).is_ok_and(|control| control != kept)
                };
                let changes: Vec<_> = changes.iter().filter(is_new).cloned().collect();
                if changes.is_empty() {
                    continue;
                }
                let told = changes.iter().map(|change| {
                    format!("handler `{name}`: {} {}", handler_change_name(change), handler_change_value(change))
                });
                changed.extend(told);
                let by = NewAudit::by(Self::WHO, "handler.set", name.to_string());
                audited(by, store.set_handler(name.clone(), changes)).await?;
            }
        }
        if self.retention != RetentionChange::default() {
            let kept = store.retention().await?;
            let new = self.retention.of(kept.clone());
            if new != kept {
                changed.push("retention: set as it is declared".into());
                audited(NewAudit::by(Self::WHO, "retention.set", ""), store.set_retention(new)).await?;
            }
        }
        Ok(changed)
    }
}

/// What is set for handlers, by their names.
async fn controls(store: &dyn Store) -> Result<BTreeMap<String, sunaba_task::HandlerControl>, StoreError> {
    let (mut controls, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.handlers(after).await?;
        let last = page.last().map(|handler| handler.name.clone());
        let is_last = page.len() < sunaba_store::NAMES_PAGE;
        controls.extend(page.into_iter().map(|handler| (handler.name.to_string(), handler.control)));
        after = match last {
            Some(last) if !is_last => Some(last),
            _ => return Ok(controls),
        };
    }
}

#[cfg(test)]
mod tests {
    use sunaba_store::{AccessStore as _, AuditQuery, EmbeddedStore};

    use super::*;

    #[tokio::test]
    async fn what_is_declared_is_put_in_force_once_and_all_else_is_left() {
        let store = EmbeddedStore::memory().expect("a store");
        store
            .set_queue("mail".into(), vec![QueueChange::Paused(true), QueueChange::Weight(Some(3))])
            .await
            .expect("set");
        let name: HandlerName = "words/count".parse().expect("a name");
        let declared = Declared {
            queues: [("mail".to_owned(), vec![QueueChange::Concurrency(Some(4)), QueueChange::Weight(None)])].into(),
            handlers: [("words/count".to_owned(), (name, vec![HandlerChange::Concurrency(Some(2))]))].into(),
            retention: RetentionChange { dead: Some(Some(Duration::from_secs(60))), ..RetentionChange::default() },
            webhooks: BTreeMap::new(),
        };
        let changed = declared.apply(&store).await.expect("a store");
        assert_eq!(
            changed,
            [
                "queue `mail`: concurrency 4",
                "queue `mail`: weight none",
                "handler `words/count`: concurrency 2",
                "retention: set as it is declared"
            ]
        );
        let settings = store.queue("mail".into()).await.expect("a queue").settings;
        assert_eq!((settings.paused, settings.concurrency, settings.weight), (true, Some(4), None));
        assert_eq!(store.retention().await.expect("kept").result, Retention::default().result);
        assert_eq!(declared.apply(&store).await.expect("a store"), [""; 0], "a second time there is nothing to do");
        let log = store.audit_log(AuditQuery { before: None, limit: 10 }).await.expect("a log").entries;
        let logged: Vec<_> = log.iter().rev().map(|entry| (&*entry.who, &*entry.what, &*entry.of)).collect();
        let expected = [("queue.set", "mail"), ("handler.set", "words/count"), ("retention.set", "")];
        assert_eq!(logged, expected.map(|(what, of)| (Declared::WHO, what, of)), "and each is logged");
        // What was set meanwhile gives way.
        store.set_queue("mail".into(), vec![QueueChange::Concurrency(Some(9))]).await.expect("set");
        assert_eq!(declared.apply(&store).await.expect("a store"), ["queue `mail`: concurrency 4"]);
    }
}
