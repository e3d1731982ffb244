//! Who is signed in: a cookie's text, and the digest of the key that it stands for. In memory alone, of bounded number and life; the
//! key itself is looked up at each request, and its text is kept nowhere.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sunaba_task::{Digest, KeyText};
use tokio::time::Instant;

/// How long somebody stays signed in.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Those who are signed in at a time; the one that has been for longest makes room.
const MAX_SESSIONS: usize = 1_000;
/// The same of one key, so that whoever has one signs nobody else out.
const MAX_OF_A_KEY: usize = 50;

struct Session {
    key: Digest,
    since: Instant,
}

/// Those who are signed in, and what tokens are made with.
pub(super) struct Sessions {
    by_cookie: Mutex<HashMap<Digest, Session>>,
    /// Known to this process alone. None: there were no random numbers, and no form is taken.
    secret: Option<KeyText>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { by_cookie: Mutex::default(), secret: sunaba_store::new_key_text().ok() }
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.by_cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of whoever has this cookie, while it is good.
    pub(super) fn key(&self, cookie: &str) -> Option<Digest> {
        let cookie = Digest::of(cookie.as_bytes());
        let mut sessions = self.lock();
        let session = sessions.get(&cookie)?;
        if session.since.elapsed() < LIFE {
            return Some(session.key);
        }
        sessions.remove(&cookie);
        None
    }

    pub(super) fn enter(&self, cookie: &str, key: Digest) {
        let mut sessions = self.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| session.since.elapsed() < LIFE);
        }
        make_room(&mut sessions, MAX_OF_A_KEY, |session| session.key == key);
        make_room(&mut sessions, MAX_SESSIONS, |_| true);
        sessions.insert(Digest::of(cookie.as_bytes()), Session { key, since: Instant::now() });
    }

    pub(super) fn leave(&self, cookie: &str) {
        self.lock().remove(&Digest::of(cookie.as_bytes()));
    }

    /// What every form of whoever has this cookie has in it. Both parts are of fixed length.
    pub(super) fn token(&self, cookie: &str) -> Option<String> {
        let cookie = Digest::of(cookie.as_bytes());
        let made = Digest::of(format!("{} {cookie}", self.secret.as_ref()?.reveal()).as_bytes()).to_string();
        Some(made.rsplit(':').next().unwrap_or_default().to_owned())
    }
}

/// Ends the oldest of these, if there are as many as may be.
fn make_room(sessions: &mut HashMap<Digest, Session>, most: usize, is_of: impl Fn(&Session) -> bool) {
    let of = || sessions.iter().filter(|(_, session)| is_of(session));
    let oldest = of().min_by_key(|(_, session)| session.since).map(|(cookie, _)| *cookie);
    if of().count() >= most
        && let Some(oldest) = oldest
    {
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_at_a_time_obeyed_and_violated() {
        let sessions = Sessions::default();
        let key = |number: usize| Digest::of(format!("key {}", number / MAX_OF_A_KEY).as_bytes());
        for number in 0..=MAX_SESSIONS {
            sessions.enter(&number.to_string(), key(number));
            assert_eq!(sessions.lock().len(), (number + 1).min(MAX_SESSIONS));
        }
        assert_eq!(sessions.key("0"), None);
        assert_eq!(sessions.key("1"), Some(key(1)));
        sessions.leave("1");
        assert_eq!(sessions.key("1"), None);
    }

    #[test]
    fn sessions_of_a_key_obeyed_and_violated() {
        let sessions = Sessions::default();
        sessions.enter("other", Digest::of(b"other"));
        for number in 0..MAX_OF_A_KEY {
            sessions.enter(&number.to_string(), Digest::of(b"key"));
        }
        assert!(sessions.key("0").is_some(), "as many as may be");
        sessions.enter("more", Digest::of(b"key"));
        assert_eq!(sessions.key("0"), None, "its own oldest makes room");
        assert_eq!(sessions.lock().len(), MAX_OF_A_KEY + 1);
        assert!(sessions.key("other").is_some() && sessions.key("1").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn session_ends_with_its_life() {
        let sessions = Sessions::default();
        sessions.enter("cookie", Digest::of(b"key"));
        tokio::time::advance(LIFE - Duration::from_secs(1)).await;
        assert!(sessions.key("cookie").is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.key("cookie").is_none());
    }

    #[test]
    fn token_is_of_one_cookie_and_one_process() {
        let (one, two) = (Sessions::default(), Sessions::default());
        assert_eq!(one.token("a"), one.token("a"));
        assert_ne!(one.token("a"), one.token("b"));
        assert_ne!(one.token("a"), two.token("a"));
        assert_eq!(one.token("a").map(|token| token.len()), Some(64));
    }
}
