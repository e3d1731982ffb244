//! The secrets of an attempt: the guest holds placeholders, and this host the texts.
//!
//! A text goes into the headers of requests to its own place and nowhere else, and is looked for in everything that comes
//! back from anywhere.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use sunaba_task::{
    AttemptResult, EnvGrant, ExecuteError, MAX_SECRET_BYTES, MAX_SECRETS, MIN_SECRET_BYTES, Outcome, Secret, Seed,
    format_bytes, is_secret_name,
};
use wasmtime_wasi_http::Error;

use super::head::MAX_HEAD_BYTES;
use super::place::Place;
use super::redact::Redactor;

/// All secrets of an attempt together; each is looked for in some twenty encodings.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// How a placeholder begins.
const MARK: &[u8] = b"sunaba-secret-";
/// `Basic` credentials, with or without the padding that belongs there.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether an attempt can have these secrets.
///
/// # Errors
/// [`ExecuteError::NotAllowed`]: one has no name of a variable, or one that the grants do not have; or its text is too
/// short to be recognised, or too long.
pub(crate) fn check(secrets: &[Secret], granted: &[String]) -> Result<(), ExecuteError> {
    let refused = |why: String| Err(ExecuteError::NotAllowed(why));
    let mut names = HashSet::new();
    for secret in secrets {
        let (name, bytes) = (&secret.name, secret.text.reveal().len());
        if !is_secret_name(name) || !names.insert(name) || !granted.contains(name) {
            return refused("a secret is not among those that the attempt was granted".into());
        }
        if bytes < MIN_SECRET_BYTES {
            return refused(format!(
                "the secret `{name}` has {bytes} bytes: the least is {MIN_SECRET_BYTES}\nhint: a shorter text cannot be \
                 told from other text, so it could not be kept from the handler"
            ));
        }
        if bytes > MAX_SECRET_BYTES {
            let limit = format_bytes(MAX_SECRET_BYTES as u64);
            return refused(format!("the secret `{name}` has {}: the limit is {limit}", format_bytes(bytes as u64)));
        }
    }
    let total = secrets.iter().map(|secret| secret.text.reveal().len()).sum::<usize>();
    if secrets.len() > MAX_SECRETS || total > MAX_TEXT_BYTES {
        let limit = format_bytes(MAX_TEXT_BYTES as u64);
        return refused(format!("the attempt has too many secrets: at most {MAX_SECRETS}, and {limit} together"));
    }
    Ok(())
}

pub(crate) struct Vault {
    items: Vec<Item>,
    redactor: Arc<Redactor>,
    /// For names of headers, which have no capitals.
    lower: Redactor,
}

struct Item {
    secret: Secret,
    placeholder: String,
}

impl Vault {
    /// None: there are no secrets. With a seed, the placeholders are the same each time: the guest sees them.
    pub(crate) fn new(secrets: Vec<Secret>, seed: Option<Seed>) -> Option<Arc<Self>> {
        if secrets.is_empty() {
            return None;
        }
        let salt = seed.map_or_else(|| RandomState::new().hash_one(()), |seed| seed.random);
        let item = |secret: Secret| Item { placeholder: placeholder(&secret.name, salt), secret };
        let items: Vec<Item> = secrets.into_iter().map(item).collect();
        let pairs = || items.iter().map(|item| (item.secret.text.reveal(), item.placeholder.as_str()));
        let redactor = Arc::new(Redactor::new(pairs()));
        let small: Vec<_> = pairs().map(|(text, by)| (text.to_ascii_lowercase(), by.to_ascii_lowercase())).collect();
        let lower = Redactor::new(small.iter().map(|(text, by)| (text.as_str(), by.as_str())));
        Some(Arc::new(Self { items, redactor, lower }))
    }

    /// What the guest has instead: a variable for each.
    pub(crate) fn variables(&self) -> impl Iterator<Item = EnvGrant> {
        self.items.iter().map(|item| EnvGrant { key: item.secret.name.clone(), value: item.placeholder.clone() })
    }

    pub(crate) fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    /// Whether a secret may be sent there.
    pub(super) fn binds(&self, place: &Place) -> bool {
        self.at(place).next().is_some()
    }

    fn at(&self, place: &Place) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.secret.host.covers(place.scheme, &place.host, place.port))
    }

    /// Puts the texts in the place of their placeholders.
    ///
    /// # Errors
    /// A value is no header with its text, or too large.
    pub(super) fn fill(&self, place: &Place, headers: &mut HeaderMap) -> Result<(), Error> {
        let items: Vec<_> = self.at(place).collect();
        for (name, value) in headers.iter_mut() {
            if let Some(filled) = fill(value.as_bytes(), &items) {
                let too_large = || Error::HttpRequestHeaderSize {
                    field_name: Some(name.to_string()),
                    field_size: u32::try_from(filled.len()).ok(),
                };
                if filled.len() > MAX_HEAD_BYTES {
                    return Err(too_large());
                }
                // A text with a line break, say. What it is, nobody is told.
                let why = || Error::InternalError(Some("a secret cannot stand in a header".into()));
                *value = HeaderValue::from_bytes(&filled).map_err(|_| why())?;
                value.set_sensitive(true);
            }
        }
        Ok(())
    }

    /// Takes the texts out of the headers or trailers of a response.
    pub(super) fn redact(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(redacted) = self.redactor.replaced(value.as_bytes()) {
                // A value made of parts of values and placeholders is one.
                *value = HeaderValue::from_bytes(&redacted).unwrap_or(HeaderValue::from_static(""));
            }
        }
        let named: Vec<_> =
            headers.keys().filter(|name| self.lower.replaced(name.as_str().as_bytes()).is_some()).cloned().collect();
        for name in named {
            let redacted = self.lower.replaced(name.as_str().as_bytes()).unwrap_or_default();
            let value = headers.remove(&name);
            if let (Ok(name), Some(value)) = (HeaderName::from_bytes(&redacted), value) {
                headers.insert(name, value);
            }
        }
    }

    /// Takes the texts out of how an attempt ended: the last line, should one ever have come so far.
    pub(crate) fn redact_result(&self, result: &mut AttemptResult) {
        match result {
            AttemptResult::Returned(Outcome::Complete(output)) => self.redactor.bytes(&mut output.bytes),
            AttemptResult::Returned(Outcome::Snooze(snooze)) => self.redactor.text(&mut snooze.reason),
            // All of a plan was looked through when it came.
            AttemptResult::Returned(Outcome::Decompose(_)) => {}
            AttemptResult::Failed(failure) => {
                self.redactor.text(&mut failure.kind);
                self.redactor.text(&mut failure.message);
                if let Some(detail) = &mut failure.detail {
                    self.redactor.bytes(&mut detail.bytes);
                }
            }
            AttemptResult::Stopped(stop) => self.redactor.text(&mut stop.message),
        }
    }
}

fn placeholder(name: &str, salt: u64) -> String {
    let hash = Sha256::new().chain_update(salt.to_le_bytes()).chain_update(name).finalize();
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("sunaba-secret-{name}-{number:016x}")
}

/// The value with texts in it; none when no placeholder stands there.
fn fill(value: &[u8], items: &[&Item]) -> Option<Vec<u8>> {
    let basic = value.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "));
    if let Some((scheme, credentials)) = basic
        && let Ok(pair) = BASIC.decode(credentials.trim_ascii())
        && let Some(filled) = filled(&pair, items)
    {
        return Some([scheme, BASIC.encode(filled).as_bytes()].concat());
    }
    filled(value, items)
}

fn filled(value: &[u8], items: &[&Item]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while at < value.len() {
        let rest = &value[at..];
        let item =
            rest.starts_with(MARK).then(|| items.iter().find(|item| rest.starts_with(item.placeholder.as_bytes())));
        let Some(item) = item.flatten() else {
            at += 1;
            continue;
        };
        let out = out.get_or_insert_default();
        out.extend_from_slice(&value[copied..at]);
        out.extend_from_slice(item.secret.text.reveal().as_bytes());
        at += item.placeholder.len();
        copied = at;
        if out.len() > MAX_HEAD_BYTES {
            break;
        }
    }
    if let Some(out) = &mut out {
        out.extend_from_slice(&value[copied..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_task::SecretText;

    const TEXT: &str = "Hunter2-hunter2";

    fn secret(name: &str, text: &str, host: &str) -> Secret {
        Secret { name: name.into(), text: SecretText::new(text), host: host.parse().expect("a grant") }
    }

    fn place(uri: &str) -> Place {
        Place::of(&uri.parse().expect("a URI")).expect("a place")
    }

    fn vault() -> Arc<Vault> {
        Vault::new(vec![secret("KEY", TEXT, "https://a.example")], None).expect("it has one")
    }

    fn filled(value: &str, to: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(value).expect("a value"));
        vault_filled(&vault(), to, &mut headers);
        headers["authorization"].to_str().expect("text").to_owned()
    }

    fn vault_filled(vault: &Vault, to: &str, headers: &mut HeaderMap) {
        vault.fill(&place(to), headers).expect("a header");
    }

    #[test]
    fn placeholder_is_filled_for_its_own_place_only() {
        let vault = vault();
        let held = vault.variables().next().expect("one").value;
        let send = |value: String, to: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::try_from(value).expect("a value"));
            vault_filled(&vault, to, &mut headers);
            headers["authorization"].to_str().expect("text").to_owned()
        };
        assert_eq!(send(held.clone(), "https://a.example"), TEXT);
        assert_eq!(send(format!("Bearer {held}, {held}"), "https://a.example/"), format!("Bearer {TEXT}, {TEXT}"));
        let basic = format!("basic {}", BASIC.encode(format!("ada:{held}")));
        assert_eq!(send(basic, "https://a.example"), format!("basic {}", BASIC.encode(format!("ada:{TEXT}"))));
        for elsewhere in ["http://a.example:443", "https://a.example:444", "https://b.example", "https://x.a.example"] {
            assert_eq!(send(held.clone(), elsewhere), held, "{elsewhere}");
        }
        assert_eq!(
            filled("sunaba-secret-KEY-0000000000000000", "https://a.example"),
            "sunaba-secret-KEY-0000000000000000"
        );
        assert_eq!(filled("Basic !!!", "https://a.example"), "Basic !!!");
    }

    #[test]
    fn placeholders_are_unique_and_from_the_seed_if_there_is_one() {
        let of = |seed| vault_of(seed).variables().next().expect("one").value;
        fn vault_of(seed: Option<Seed>) -> Arc<Vault> {
            Vault::new(vec![secret("KEY", TEXT, "https://a.example")], seed).expect("it has one")
        }
        assert_ne!(of(None), of(None));
        let seed = Some(Seed { random: 7, clock_ms: 0 });
        assert_eq!(of(seed), of(seed));
        assert_eq!(of(None).len(), "sunaba-secret-KEY-".len() + 16);
    }

    #[test]
    fn secret_that_is_no_header_is_refused_without_being_told() {
        let vault = Vault::new(vec![secret("KEY", "two\r\nlines", "https://a.example")], None).expect("it has one");
        let mut headers = HeaderMap::new();
        let held = vault.variables().next().expect("one").value;
        headers.insert("x", HeaderValue::try_from(held).expect("a value"));
        let refused = vault.fill(&place("https://a.example"), &mut headers).expect_err("it is no header");
        assert!(!format!("{refused:?}").contains("lines"));
    }

    #[test]
    fn header_size_with_secrets_violated() {
        let text = "x".repeat(MAX_SECRET_BYTES);
        let vault = Vault::new(vec![secret("KEY", &text, "https://a.example")], None).expect("it has one");
        let held = vault.variables().next().expect("one").value;
        let mut headers = HeaderMap::new();
        headers.insert("x", HeaderValue::try_from(held.repeat(100)).expect("a value"));
        assert!(vault.fill(&place("https://a.example"), &mut headers).is_err());
    }

    #[test]
    fn text_in_a_response_head_is_redacted_in_values_and_names() {
        let vault = vault();
        let held = vault.variables().next().expect("one").value;
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::try_from(format!("[{TEXT}]")).expect("a value"));
        headers.insert("x-hunter2-hunter2", HeaderValue::from_static("1"));
        vault.redact(&mut headers);
        assert_eq!(headers["x-echo"], format!("[{held}]"));
        assert!(!format!("{headers:?}").to_lowercase().contains("hunter2"), "{headers:?}");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn secret_length_obeyed() {
        let granted = ["KEY".to_owned()];
        for text in ["12345678".to_owned(), "x".repeat(MAX_SECRET_BYTES)] {
            assert!(check(&[secret("KEY", &text, "https://a.example")], &granted).is_ok());
        }
    }

    #[test]
    fn secret_length_violated() {
        let granted = ["KEY".to_owned()];
        for text in ["1234567".to_owned(), "x".repeat(MAX_SECRET_BYTES + 1)] {
            let refused = check(&[secret("KEY", &text, "https://a.example")], &granted).expect_err("refused");
            assert!(!refused.to_string().contains(&text), "{refused}");
        }
        assert!(check(&[secret("OTHER", TEXT, "https://a.example")], &granted).is_err());
        let many: Vec<_> =
            (0..9).map(|index| secret(&format!("K{index}"), &"x".repeat(8 << 10), "https://a.b")).collect();
        let names: Vec<_> = many.iter().map(|secret| secret.name.clone()).collect();
        assert!(check(&many, &names).is_err());
        assert!(check(&many[..8], &names).is_ok());
    }
}
