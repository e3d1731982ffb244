//! How requests are signed. Source: the specification of Standard Webhooks, symmetric signatures (`v1`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{SecretText, Timestamp};

/// What the text of a secret begins with; base64 follows.
pub const SECRET_PREFIX: &str = "whsec_";

/// A secret by which requests are signed. Its bytes are shown once, as the text that whoever verifies needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SigningSecret(SecretText);

impl SigningSecret {
    /// The secret of these bytes, which nobody can guess.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(SecretText::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// The secret that has this text: the prefix, and 24 to 64 bytes in base64.
    pub fn of_text(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(SecretText::new(text)))
    }

    /// Its text, for its owner alone.
    pub fn reveal(&self) -> &SecretText {
        &self.0
    }

    /// The signature of a request by it.
    pub fn sign(&self, id: &str, at_seconds: u64, body: &[u8]) -> String {
        let text = self.0.reveal();
        let key = STANDARD.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length will do");
        mac.update(format!("{id}.{at_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The header of a request that is signed by all of these, the newest first.
pub fn signatures(secrets: &[SigningSecret], id: &str, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.unix_ms() / 1_000;
    secrets.iter().map(|secret| secret.sign(id, seconds, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes 0 to 31, and 32 bytes of 0x0b.
    const FIRST: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const SECOND: &str = "whsec_CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=";

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::of_text(text).expect("a secret")
    }

    /// Made with Python's `hmac`: `base64.b64encode(hmac.new(key, f"{id}.{seconds}.{body}".encode(), "sha256").digest())`.
    #[test]
    fn signatures_are_those_of_another_implementation() {
        for (text, id, seconds, body, expected) in VECTORS {
            assert_eq!(secret(text).sign(id, seconds, body.as_bytes()), format!("v1,{expected}"), "{id}");
        }
    }

    #[test]
    fn both_secrets_of_a_rotation_sign() {
        let (first, second) = (secret(FIRST), secret(SECOND));
        let at = Timestamp::from_unix_ms(1_700_000_000_999);
        let header = signatures(&[first.clone(), second.clone()], "msg_1", at, b"{}");
        let expected = [first, second].map(|secret| secret.sign("msg_1", 1_700_000_000, b"{}"));
        assert_eq!(header.split(' ').collect::<Vec<_>>(), expected);
    }

    #[test]
    fn secret_is_shown_to_nobody_by_chance() {
        let secret = SigningSecret::new(&[7; 32]);
        assert_eq!(SigningSecret::of_text(secret.reveal().reveal()), Some(secret.clone()));
        assert!(!format!("{secret:?}").contains("whsec_"));
        let bare = FIRST.strip_prefix(SECRET_PREFIX).expect("it has it");
        for text in [
            "",
            "whsec_",
            bare,
            "whsec_AAEC",
            "whsec_!",
            "WHSEC_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            &FIRST[..49],
        ] {
            assert_eq!(SigningSecret::of_text(text), None, "{text}");
        }
    }

    fn is_secret_of(bytes: usize) -> bool {
        SigningSecret::of_text(&format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![7; bytes]))).is_some()
    }

    #[test]
    fn length_of_a_secret_obeyed() {
        assert!(is_secret_of(24) && is_secret_of(64));
    }

    #[test]
    fn length_of_a_secret_violated() {
        assert!(!is_secret_of(23) && !is_secret_of(65) && !is_secret_of(0));
    }

    #[test]
    fn one_secret_signs_once_and_none_not_at_all() {
        let (first, at) = (secret(FIRST), Timestamp::from_unix_ms(1_700_000_000_000));
        assert_eq!(signatures(&[], "msg_1", at, b"{}"), "");
        assert_eq!(
            signatures(std::slice::from_ref(&first), "msg_1", at, b"{}"),
            first.sign("msg_1", 1_700_000_000, b"{}")
        );
        // All three of what is signed count.
        let signed = first.sign("msg_1", 1_700_000_000, b"{}");
        for other in [
            first.sign("msg_2", 1_700_000_000, b"{}"),
            first.sign("msg_1", 1_700_000_001, b"{}"),
            first.sign("msg_1", 1_700_000_000, b"{ }"),
        ] {
            assert_ne!(other, signed);
        }
    }

    /// Those of ours, and one that has the form of the example that the specification's own libraries are tried with.
    const VECTORS: [(&str, &str, u64, &str, &str); 7] = [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            "msg_4",
            1,
            "{\"type\":\"task.dead\",\"data\":{\"name\":\"\u{dc}n\u{ef}code \u{2603}\"}}",
            "n2ZliOrJn9YTgVQ90ixE/FVKDNaqqVa35mu+IO7L5OI=",
        ),
        (
            "whsec_+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+w==",
            "msg_5",
            4_102_444_800,
            "{}",
            "DMOvR+hChIKchjwl2AtBWX2bTGvGNFFFRelCf956CB0=",
        ),
        (FIRST, "msg_1", 1_700_000_000, r#"{}"#, "fhksJF5ElKjlPoT/jtefCO5XjQPvhf7Dhf/8R1ad9yU="),
        (SECOND, "msg_1", 1_700_000_000, r#"{}"#, "suje0OdZ1jisEDS4Z26Tij5IlAnzvsbv6JgMGBZNc7A="),
        (
            FIRST,
            "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
            1_674_087_231,
            r#"{"type":"task.dead","data":{"task":"x"}}"#,
            "GffctWEYTNjz1+c3diK+D2jQDMplxGxKccnJo+v82iY=",
        ),
        (FIRST, "msg_3", 0, r#""#, "mhlhP3U3UKRSUjzCmqRSNr63z2R/5HQE889CNTwznzM="),
    ];
}
