//! A key: what it is called, what it may do, and how its text is known again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::Scope;
use crate::{Digest, Timestamp, is_name};

/// How every key begins, so that one that got where it should not be is found.
pub const KEY_PREFIX: &str = "sunaba_";
/// Random bytes of a key.
const SECRET_BYTES: usize = 32;
/// The longest name of a key.
pub const MAX_KEY_NAME_BYTES: usize = 64;
/// The most queues to which one is bound.
pub const MAX_KEY_QUEUES: usize = 32;
/// The longest life that can be asked for: ten years.
pub const MAX_KEY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The text of a key. Whoever has it may do what the key may.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The key of these random bytes.
    pub fn new(random: [u8; SECRET_BYTES]) -> Self {
        Self(random.iter().fold(KEY_PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}")))
    }

    /// A text that may be a key's. None: by its form it cannot be.
    pub fn read(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(KEY_PREFIX)?;
        let is_hex = secret.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (is_hex && secret.len() == 2 * SECRET_BYTES).then(|| Self(text.to_owned()))
    }

    /// The text itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// By which it is known again.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// What a key is called where it must not be shown: the first bytes of its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Of the key with this digest.
    pub fn of(digest: &Digest) -> Self {
        Self(*digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A text that is no key's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a key\nhint: an id has 16 hexadecimal digits; `sunaba key list` shows them")]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        // What was given is not told: somebody may have given the key.
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(KeyIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A key to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// For people: whose it is, or what it is for.
    pub name: String,
    /// What it may do; one at least.
    pub scopes: Vec<Scope>,
    /// The queues to which it is bound. None: it may do that in every queue, and to what is of no queue.
    pub queues: Option<Vec<String>>,
    /// Of its text.
    pub digest: Digest,
    /// How long it is good. None: until it is revoked.
    pub expires_in: Option<Duration>,
}

/// Why a key is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// Not a name.
    #[error(
        "this cannot be the name of a key\nhint: a name is one line of 1 to {MAX_KEY_NAME_BYTES} bytes, such as `ci`, and is \
         shown in the audit log"
    )]
    Name,
    /// It could do nothing.
    #[error("a key without a scope may do nothing\nhint: name one of `submit`, `read`, `operate`, `deploy`, `admin`")]
    NoScope,
    /// It could do nothing.
    #[error("a key that is bound to no queue may do nothing\nhint: name a queue, or leave the queues out")]
    NoQueue,
    /// Not a queue's name.
    #[error("`{0}` cannot name a queue\nhint: a queue has up to 64 lower-case letters, digits and `-`")]
    Queue(String),
    /// Too many.
    #[error(
        "the key is bound to {0} queues; the limit is {MAX_KEY_QUEUES}\nhint: make several keys, or one for all queues"
    )]
    TooManyQueues(usize),
    /// A key of some queues cannot have what is of all.
    #[error(
        "a key with the scope `{0}` cannot be bound to queues\nhint: what it may do is of no queue; leave the queues out, or the \
         scope"
    )]
    Unbound(Scope),
    /// It would be over before it began, or is not to be.
    #[error("a key cannot be good for this long\nhint: from 1s to ten years, or without an end")]
    Life,
    /// There is no room for another.
    #[error("there are {0} keys that are good, and no more are kept\nhint: revoke one that is not used")]
    TooMany(usize),
}

impl NewApiKey {
    /// The same in the form in which it is kept: what is said twice once, and in order.
    ///
    /// # Errors
    /// [`ApiKeyError`]: it cannot be kept.
    pub fn checked(mut self) -> Result<Self, ApiKeyError> {
        let is_line = !self.name.trim().is_empty() && !self.name.contains(|c: char| c.is_control());
        if !is_line || self.name.len() > MAX_KEY_NAME_BYTES {
            return Err(ApiKeyError::Name);
        }
        self.scopes.sort_unstable();
        self.scopes.dedup();
        if self.scopes.is_empty() {
            return Err(ApiKeyError::NoScope);
        }
        if let Some(queues) = &mut self.queues {
            queues.sort_unstable();
            queues.dedup();
            if queues.is_empty() {
                return Err(ApiKeyError::NoQueue);
            }
            if queues.len() > MAX_KEY_QUEUES {
                return Err(ApiKeyError::TooManyQueues(queues.len()));
            }
            if let Some(queue) = queues.iter().find(|queue| !is_name(queue)) {
                return Err(ApiKeyError::Queue(queue.chars().take(80).collect()));
            }
            let unbound = [Scope::Deploy, Scope::Admin].into_iter().find(|scope| self.scopes.contains(scope));
            if let Some(scope) = unbound {
                return Err(ApiKeyError::Unbound(scope));
            }
        }
        if self.expires_in.is_some_and(|life| life < Duration::from_secs(1) || life > MAX_KEY_LIFE) {
            return Err(ApiKeyError::Life);
        }
        Ok(self)
    }

    /// The record of it.
    pub fn made(self, now: Timestamp) -> ApiKey {
        ApiKey {
            id: KeyId::of(&self.digest),
            name: self.name,
            scopes: self.scopes,
            queues: self.queues,
            digest: self.digest,
            created_at: now,
            expires_at: self.expires_in.map(|life| now.after(life)),
            revoked_at: None,
            last_used_at: None,
        }
    }
}

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What it is called.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// What it may do, in order.
    pub scopes: Vec<Scope>,
    /// The queues to which it is bound, in order. None: all.
    pub queues: Option<Vec<String>>,
    /// Of its text; shown to nobody.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is good for nothing. None: until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to some minutes. None: never yet.
    pub last_used_at: Option<Timestamp>,
}

/// Whether a key is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyStanding {
    /// It is.
    Good,
    /// Its time is over.
    Expired,
    /// Somebody has ended it.
    Revoked,
}

impl KeyStanding {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiKey {
    /// How it stands at this instant.
    pub fn standing(&self, now: Timestamp) -> KeyStanding {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => KeyStanding::Revoked,
            (None, Some(at)) if at <= now => KeyStanding::Expired,
            _ => KeyStanding::Good,
        }
    }

    /// Whether this is the digest of its text. Takes as long for one that is not as for one that is.
    pub fn is(&self, digest: &Digest) -> bool {
        self.digest.as_bytes().ct_eq(digest.as_bytes()).into()
    }

    /// Whether it may do what asks for this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| own.includes(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_const(1_767_225_600_000);

    fn new() -> NewApiKey {
        NewApiKey {
            name: "ci".into(),
            scopes: vec![Scope::Submit],
            queues: None,
            digest: KeyText::new([7; 32]).digest(),
            expires_in: None,
        }
    }

    #[test]
    fn key_is_known_by_its_text_alone() {
        let text = KeyText::new([7; 32]);
        assert!(text.reveal().starts_with("sunaba_0707") && text.reveal().len() == 71);
        let key = new().made(NOW);
        let read = |text: &str| KeyText::read(text).map(|text| key.is(&text.digest()));
        assert_eq!(read(text.reveal()), Some(true));
        assert_eq!(read(KeyText::new([8; 32]).reveal()), Some(false));
        let (upper, long) = (text.reveal().to_uppercase(), format!("{}0", text.reveal()));
        for wrong in ["", "sunaba_", &text.reveal()[..70], &upper, &long, &text.reveal()[7..], "sunaba_é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{text:?}"), "[key]");
        assert!(!format!("{key:?}").contains("0707"));
    }

    #[test]
    fn ids_read_back_and_what_is_none_is_not_told() {
        let id = new().made(NOW).id;
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "0123", KeyText::new([7; 32]).reveal(), "+123456789abcdef"] {
            let error = wrong.parse::<KeyId>().expect_err("it is none");
            assert!(wrong.is_empty() || !error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn standing_of_a_key_follows_the_clock() {
        let key = NewApiKey { expires_in: Some(Duration::from_secs(2)), ..new() }.made(NOW);
        let at = |seconds| key.standing(NOW.after(Duration::from_secs(seconds)));
        assert_eq!((at(0), at(1), at(2)), (KeyStanding::Good, KeyStanding::Good, KeyStanding::Expired));
        let revoked = ApiKey { revoked_at: Some(NOW), ..key };
        assert_eq!(revoked.standing(NOW), KeyStanding::Revoked);
    }

    #[test]
    fn what_a_key_may_be_obeyed() {
        let queues = (0..MAX_KEY_QUEUES).map(|number| format!("q{number:02}")).collect::<Vec<_>>();
        let most = NewApiKey {
            name: "x".repeat(MAX_KEY_NAME_BYTES),
            scopes: vec![Scope::Read, Scope::Submit, Scope::Read],
            queues: Some(queues.iter().chain(&queues).rev().cloned().collect()),
            expires_in: Some(MAX_KEY_LIFE),
            ..new()
        };
        let kept = most.checked().expect("it may be so");
        assert_eq!((kept.scopes, kept.queues), (vec![Scope::Submit, Scope::Read], Some(queues)));
    }

    #[test]
    fn what_a_key_may_be_violated() {
        let queues = |count: usize| Some((0..count).map(|number| format!("q{number}")).collect::<Vec<_>>());
        let refused = [
            (NewApiKey { name: "x".repeat(MAX_KEY_NAME_BYTES + 1), ..new() }, ApiKeyError::Name),
            (NewApiKey { name: " ".into(), ..new() }, ApiKeyError::Name),
            (NewApiKey { name: "a\nb".into(), ..new() }, ApiKeyError::Name),
            (NewApiKey { scopes: vec![], ..new() }, ApiKeyError::NoScope),
            (NewApiKey { queues: queues(0), ..new() }, ApiKeyError::NoQueue),
            (NewApiKey { queues: queues(MAX_KEY_QUEUES + 1), ..new() }, ApiKeyError::TooManyQueues(33)),
            (NewApiKey { queues: Some(vec!["A b".into()]), ..new() }, ApiKeyError::Queue("A b".into())),
            (NewApiKey { expires_in: Some(Duration::ZERO), ..new() }, ApiKeyError::Life),
            (NewApiKey { expires_in: Some(MAX_KEY_LIFE + Duration::from_secs(1)), ..new() }, ApiKeyError::Life),
            (
                NewApiKey { queues: queues(1), scopes: vec![Scope::Read, Scope::Admin], ..new() },
                ApiKeyError::Unbound(Scope::Admin),
            ),
        ];
        for (key, error) in refused {
            assert_eq!(key.checked().expect_err("it may not be so"), error);
        }
    }
}
