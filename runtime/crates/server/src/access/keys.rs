//! Finds the key that a request has sent, without asking the store each time: what the store has is read once a second at most,
//! while there are requests, and at once after a change that was made here. What takes longer ends with its key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use sunaba_store::{ApiKeys, Store, StoreError};
use sunaba_task::{ApiKey, Digest, KeyId, KeyStanding, KeyText, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::problem::Problem;

/// How old what is known of the keys may be, and how often what goes on looks whether its key is good: one that was revoked
/// elsewhere is good for a second at most.
const MAX_AGE: Duration = Duration::from_millis(500);
/// The use of a key is told to the store this often; it writes that down less often yet.
const TOLD_AGAIN: Duration = Duration::from_secs(5 * 60);

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The keys of a host.
pub(crate) struct Keys {
    store: Arc<dyn Store>,
    max_age: Duration,
    /// Whoever finds it too old reads it anew, and the others wait for that.
    known: Mutex<Option<Known>>,
    /// Wakes what goes on by a key.
    changes: watch::Sender<()>,
}

struct Known {
    by_id: HashMap<KeyId, Arc<ApiKey>>,
    /// The store's clock when they were read, and ours.
    now: Timestamp,
    read: Instant,
    /// Whose use the store was told of since.
    told: HashSet<KeyId>,
}

impl Keys {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, max_age: MAX_AGE, known: Mutex::new(None), changes: watch::Sender::new(()) }
    }

    /// The key with this text, if it is good.
    pub(crate) async fn find(&self, text: &KeyText) -> Result<Arc<ApiKey>, Problem> {
        self.find_digest(&text.digest()).await
    }

    /// Waits until this key is good no more, and says why.
    pub(crate) async fn end_of(&self, key: &ApiKey) -> Problem {
        let mut changes = self.changes.subscribe();
        loop {
            // A change that was made here is one; of others nobody tells. The sender is ours, and is there.
            let _ = tokio::time::timeout(self.max_age, changes.changed()).await;
            match self.find_digest(&key.digest).await {
                Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => return problem,
                // A store that cannot be read says nothing of the key.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// The key whose text has this digest, if it is good.
    pub(crate) async fn find_digest(&self, digest: &Digest) -> Result<Arc<ApiKey>, Problem> {
        let mut slot = self.known.lock().await;
        let known = self.young(&mut slot).await?;
        let key = known.by_id.get(&KeyId::of(digest)).filter(|key| key.is(digest)).cloned();
        let Some(key) = key else {
            let message = "there is no such key\nhint: `sunaba key list` shows the ids of those that there are";
            return Err(refused(message, "key-unknown"));
        };
        let now = known.now.after(known.read.elapsed());
        let id = key.id;
        match key.standing(now) {
            KeyStanding::Good => {}
            KeyStanding::Expired => {
                let message = format!("the time of the key {id} is over\nhint: an administrator makes another one");
                return Err(refused(message, "key-expired"));
            }
            KeyStanding::Revoked => {
                let message = format!("the key {id} was revoked\nhint: an administrator makes another one");
                return Err(refused(message, "key-revoked"));
            }
        }
        if key.last_used_at.is_none_or(|at| now.since(at) >= TOLD_AGAIN) && known.told.insert(id) {
            let store = Arc::clone(&self.store);
            // Nobody waits for it, and one that is lost is no harm.
            tokio::spawn(async move { store.keys_used(vec![id]).await });
        }
        Ok(key)
    }

    /// The store's clock, as far as what is known of the keys tells it: whoever looks at a page costs the store nothing more.
    pub(crate) async fn now(&self) -> Result<Timestamp, Problem> {
        let mut slot = self.known.lock().await;
        let known = self.young(&mut slot).await?;
        Ok(known.now.after(known.read.elapsed()))
    }

    /// What is known, read anew where it is too old.
    async fn young<'a>(&self, slot: &'a mut Option<Known>) -> Result<&'a mut Known, StoreError> {
        Ok(match slot.take().filter(|known| known.read.elapsed() < self.max_age) {
            Some(known) => slot.insert(known),
            None => slot.insert(Known::read(&*self.store).await?),
        })
    }

    /// The store has other keys now. From here on nobody goes by what it had before.
    pub(crate) async fn forget(&self) {
        *self.known.lock().await = None;
        self.changes.send_replace(());
    }
}

impl Known {
    async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        // Before it is asked, so that what is known is never taken for younger than it is.
        let read = Instant::now();
        let ApiKeys { keys, now } = store.api_keys().await?;
        let by_id = keys.into_iter().map(|key| (key.id, Arc::new(key))).collect();
        Ok(Self { by_id, now, read, told: HashSet::new() })
    }
}

/// The key that a request has sent, which is not in it any more then; none when it has sent none.
pub(super) fn sent(headers: &mut HeaderMap) -> Result<Option<KeyText>, Problem> {
    let own = one(headers, &API_KEY)?;
    let bearer = one(headers, &AUTHORIZATION)?.and_then(|value| {
        // What is for a proxy on the way is no business of ours.
        let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| text.trim().to_owned())
    });
    headers.remove(API_KEY);
    headers.remove(AUTHORIZATION);
    let own = own.map(|value| value.to_str().unwrap_or_default().trim().to_owned());
    let text = match (own, bearer) {
        (Some(own), Some(bearer)) if own != bearer => {
            let message = "there are two keys, in `X-API-Key` and in `Authorization`\nhint: send one of them";
            return Err(Problem::new(StatusCode::BAD_REQUEST, message).code("key-ambiguous"));
        }
        (own, bearer) => own.or(bearer),
    };
    let Some(text) = text else { return Ok(None) };
    let malformed = || {
        let message = "what was sent as a key is none\nhint: a key is `sunaba_` and 64 hexadecimal digits";
        refused(message, "key-malformed")
    };
    KeyText::read(&text).map(Some).ok_or_else(malformed)
}

/// The value of a header that may stand there once. It is not told what it was.
fn one(headers: &HeaderMap, name: &HeaderName) -> Result<Option<HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next().cloned(), values.next()) {
        (_, Some(_)) => {
            let message = format!("the header `{name}` is there twice\nhint: send one key");
            Err(Problem::new(StatusCode::BAD_REQUEST, message).code("key-ambiguous"))
        }
        (value, None) => Ok(value),
    }
}

fn refused(message: impl ToString, code: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, message).code(code)
}

#[cfg(test)]
mod tests {
    use sunaba_store::{EmbeddedStore, ManualClock, MemoryEngine};
    use sunaba_task::{NewApiKey, Scope};

    use super::*;

    fn read(headers: &[(&HeaderName, &str)]) -> (Result<Option<String>, Box<str>>, usize) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header's value"));
        }
        let sent = sent(&mut map).map(|text| text.map(|text| text.reveal().to_owned()));
        (sent.map_err(|problem| problem.code), map.len())
    }

    #[test]
    fn key_is_taken_from_either_header_and_does_not_stay_there() {
        let (text, other) = (KeyText::new([1; 32]), KeyText::new([2; 32]));
        let (text, other) = (text.reveal(), other.reveal());
        let (bearer, lower) = (format!("Bearer {text}"), format!("bearer  {text}"));
        for headers in [
            vec![(&API_KEY, text)],
            vec![(&AUTHORIZATION, &*bearer)],
            vec![(&AUTHORIZATION, &*lower)],
            vec![(&API_KEY, text), (&AUTHORIZATION, &*bearer)],
            vec![(&API_KEY, text), (&AUTHORIZATION, "Basic eDp5")],
        ] {
            assert_eq!(read(&headers), (Ok(Some(text.to_owned())), 0), "{headers:?}");
        }
        assert_eq!(read(&[(&AUTHORIZATION, "Basic eDp5")]), (Ok(None), 0));
        for (headers, code) in [
            (vec![(&API_KEY, other), (&AUTHORIZATION, &*bearer)], "key-ambiguous"),
            (vec![(&API_KEY, text), (&API_KEY, text)], "key-ambiguous"),
            (vec![(&API_KEY, "hunter2")], "key-malformed"),
            (vec![(&AUTHORIZATION, "Bearer ")], "key-malformed"),
        ] {
            assert_eq!(read(&headers).0, Err(code.into()));
        }
    }

    fn store() -> (Arc<ManualClock>, Arc<dyn Store>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
        let store = EmbeddedStore::open(MemoryEngine::default(), clock.clone()).expect("a store in memory");
        (clock, Arc::new(store))
    }

    fn new(text: &KeyText, life: Duration) -> NewApiKey {
        let (scopes, digest) = (vec![Scope::Read], text.digest());
        NewApiKey { name: "ci".into(), scopes, queues: None, digest, expires_in: Some(life) }
    }

    #[tokio::test]
    async fn what_goes_on_by_a_key_ends_with_it() {
        for is_told in [true, false] {
            let (_clock, store) = store();
            let mut keys = Keys::new(Arc::clone(&store));
            // Of what was changed here nobody waits to hear; of what was changed elsewhere they look.
            keys.max_age = if is_told { Duration::from_secs(60 * 60) } else { Duration::from_millis(10) };
            let text = KeyText::new([1; 32]);
            let made = store.create_key(new(&text, Duration::from_secs(60 * 60))).await.expect("it is made");
            let key = keys.find(&text).await.expect("it is good");
            let revoke = async {
                store.revoke_key(made.id).await.expect("the store works").expect("it is there");
                if is_told {
                    keys.forget().await;
                }
            };
            let (ended, ()) = tokio::join!(keys.end_of(&key), revoke);
            assert_eq!(&*ended.code, "key-revoked");
        }
    }

    #[tokio::test]
    async fn what_is_known_is_used_while_it_is_young_and_forgotten_at_a_change() {
        let (_clock, store) = store();
        let mut keys = Keys::new(Arc::clone(&store));
        keys.max_age = Duration::from_secs(60 * 60);
        let text = KeyText::new([1; 32]);
        let code = async |keys: &Keys| keys.find(&text).await.map(|key| key.id).map_err(|problem| problem.code);
        assert_eq!(code(&keys).await, Err("key-unknown".into()));
        let made = store.create_key(new(&text, Duration::from_secs(60))).await.expect("it can be kept");
        // It was made elsewhere, and what is known is young.
        assert_eq!(code(&keys).await, Err("key-unknown".into()));
        keys.max_age = Duration::ZERO;
        assert_eq!(code(&keys).await, Ok(made.id));
        keys.max_age = Duration::from_secs(60 * 60);
        store.revoke_key(made.id).await.expect("the store works");
        assert_eq!(code(&keys).await, Ok(made.id));
        keys.forget().await;
        assert_eq!(code(&keys).await, Err("key-revoked".into()));
    }

    #[tokio::test]
    async fn clock_is_told_by_what_is_known_and_not_by_the_store_each_time() {
        let (clock, store) = store();
        let mut keys = Keys::new(store);
        keys.max_age = Duration::from_secs(60 * 60);
        let first = keys.now().await.expect("the store works");
        clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
        let second = keys.now().await.expect("the store works");
        assert!(second.since(first) < Duration::from_secs(24 * 60 * 60), "the store was asked again");
        keys.max_age = Duration::ZERO;
        let third = keys.now().await.expect("the store works");
        assert!(third.since(first) > Duration::from_secs(6 * 24 * 60 * 60), "what is old was not read anew");
    }

    #[tokio::test]
    async fn key_of_which_the_time_is_over_is_refused() {
        let (clock, store) = store();
        let text = KeyText::new([1; 32]);
        store.create_key(new(&text, Duration::from_secs(1))).await.expect("it can be kept");
        let mut keys = Keys::new(store);
        keys.max_age = Duration::ZERO;
        assert!(keys.find(&text).await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert_eq!(keys.find(&text).await.expect_err("it is over").code.as_ref(), "key-expired");
    }
}
