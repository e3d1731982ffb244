//! Whose a request is.

use std::sync::Arc;

use axum::http::StatusCode;
use sunaba_task::{ApiKey, FeedEvent, Scope};

use crate::api::Filter;
use crate::problem::Problem;

tokio::task_local! {
    static CALLER: Caller;
}

/// Who has sent a request.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Somebody who needs no key.
    Anybody,
    /// Whoever has this key.
    Key(Arc<ApiKey>),
    /// Somebody of whom nothing is known.
    Nobody,
}

impl Caller {
    /// Does something on behalf of this one.
    pub(super) async fn does<T>(self, work: impl Future<Output = T>) -> T {
        CALLER.scope(self, work).await
    }

    /// Whose request is being answered. Outside of a request that is nobody.
    pub(crate) fn now() -> Self {
        CALLER.try_with(Clone::clone).unwrap_or(Self::Nobody)
    }

    /// The key that they have.
    pub(super) fn key(&self) -> Option<Arc<ApiKey>> {
        match self {
            Self::Key(key) => Some(Arc::clone(key)),
            Self::Anybody | Self::Nobody => None,
        }
    }

    /// What stands in the log of changes.
    pub(super) fn who(&self) -> String {
        match self {
            Self::Anybody => "anybody".into(),
            Self::Key(key) => format!("key {} ({})", key.id, key.name),
            Self::Nobody => "whoever has the task's token".into(),
        }
    }

    /// Whether they may do what asks for this.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Anybody => true,
            Self::Key(key) => key.may(scope),
            Self::Nobody => false,
        }
    }

    /// Lets them do what asks for this, or says what is missing.
    pub(crate) fn permit(&self, scope: Scope) -> Result<(), Problem> {
        match self {
            caller if caller.may(scope) => Ok(()),
            Self::Key(key) => {
                let has = key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "this takes the scope `{scope}`, and the key {} has {has}\nhint: use another key; an administrator makes one \
                     with `sunaba key create NAME --scope {scope}`",
                    key.id
                );
                Err(Problem::new(StatusCode::FORBIDDEN, message).code("scope-missing"))
            }
            _ => Err(no_key()),
        }
    }

    /// The queues to which they are bound. None: to no one.
    pub(crate) fn queues(&self) -> Option<&[String]> {
        match self {
            Self::Anybody => None,
            Self::Key(key) => key.queues.as_deref(),
            Self::Nobody => Some(&[]),
        }
    }

    /// Whether they have to do with what is in this queue.
    pub(crate) fn sees(&self, queue: &str) -> bool {
        self.queues().is_none_or(|queues| queues.iter().any(|own| own == queue))
    }

    /// Whether they may be told of this event. What is of no queue is for those who see all.
    pub(crate) fn sees_event(&self, event: &FeedEvent, is_of_job: bool) -> bool {
        match event {
            FeedEvent::Task(event) => self.sees(&event.queue),
            FeedEvent::Job(_) => is_of_job || self.queues().is_none(),
            FeedEvent::Schedule(_) => self.queues().is_none(),
        }
    }

    /// Lets them have to do with this queue, or says that they may not.
    pub(crate) fn permit_queue(&self, queue: &str) -> Result<(), Problem> {
        if self.sees(queue) { Ok(()) } else { Err(self.other_queue(&format!("not for `{queue}`"))) }
    }

    /// Lets them ask for what is of no queue, or of all.
    pub(super) fn permit_all_queues(&self) -> Result<(), Problem> {
        if self.queues().is_none() { Ok(()) } else { Err(self.other_queue("and this is of no queue, or of all")) }
    }

    /// Makes a question after tasks one after those that they see.
    pub(crate) fn narrow(&self, filter: &mut Filter) -> Result<(), Problem> {
        let Some(queues) = self.queues() else { return Ok(()) };
        match (&filter.queue, queues) {
            (Some(queue), _) => self.permit_queue(queue),
            (None, [only]) => {
                filter.queue = Some(only.clone());
                Ok(())
            }
            (None, _) => Err(self.other_queue("and nothing says which is meant")),
        }
    }

    pub(crate) fn other_queue(&self, why: &str) -> Problem {
        let queues = self.queues().unwrap_or_default();
        let own = queues.iter().map(|queue| format!("`{queue}`")).collect::<Vec<_>>().join(", ");
        let message = format!("the key is for {own}, {why}\nhint: name one of its queues, or use another key");
        Problem::new(StatusCode::FORBIDDEN, message).code("queue-forbidden")
    }
}

/// Nobody has said who they are, and has to.
pub(super) fn no_key() -> Problem {
    let message = "this host answers to those who have a key\nhint: send it as `X-API-Key`, or as `Authorization: Bearer`; \
                   `sunaba` takes it from SUNABA_API_KEY or from `--api-key-file FILE`";
    Problem::new(StatusCode::UNAUTHORIZED, message).code("key-missing")
}

#[cfg(test)]
mod tests {
    use sunaba_task::{Digest, NewApiKey, Timestamp};

    use super::*;

    fn of(queues: &[&str]) -> Caller {
        let queues = Some(queues.iter().map(|queue| (*queue).to_owned()).collect());
        let digest = Digest::of(b"x");
        let key = NewApiKey { name: "ci".into(), scopes: vec![Scope::Operate], queues, digest, expires_in: None };
        Caller::Key(Arc::new(key.made(Timestamp::from_unix_ms(1))))
    }

    #[test]
    fn question_is_narrowed_to_the_queues_of_a_key() {
        let narrowed = |caller: &Caller, queue: Option<&str>| {
            let mut filter = Filter { queue: queue.map(str::to_owned), ..Filter::default() };
            caller.narrow(&mut filter).map(|()| filter.queue).map_err(|problem| problem.code)
        };
        let (one, two) = (of(&["mail"]), of(&["mail", "print"]));
        assert_eq!(narrowed(&one, None), Ok(Some("mail".into())));
        assert_eq!(narrowed(&one, Some("mail")), Ok(Some("mail".into())));
        assert_eq!(narrowed(&two, Some("print")), Ok(Some("print".into())));
        for (caller, queue) in [(&one, Some("other")), (&two, Some("other")), (&two, None), (&Caller::Nobody, None)] {
            assert_eq!(narrowed(caller, queue), Err("queue-forbidden".into()), "{queue:?}");
        }
        assert_eq!(narrowed(&Caller::Anybody, None), Ok(None));
    }

    #[tokio::test]
    async fn outside_of_a_request_nobody_calls() {
        assert!(matches!(Caller::now(), Caller::Nobody));
        assert!(!Caller::now().may(Scope::Read) && !Caller::now().sees("mail"));
        of(&["mail"]).does(async { assert!(Caller::now().sees("mail") && Caller::now().may(Scope::Read)) }).await;
    }
}
