//! The keys of webhooks: `V`, a letter for what it is, and the name.

use sunaba_task::webhook::WebhookName;

/// What was asked for, and the secrets.
pub(crate) const SETTINGS: u8 = b's';
/// What has come of its deliveries.
pub(crate) const STANDING: u8 = b'p';

pub(crate) fn key(what: u8, name: &WebhookName) -> Vec<u8> {
    super::of(b'V', &[&[what], name.as_str().as_bytes()])
}

/// One end of all settings, and the other.
pub(crate) fn all_settings() -> (Vec<u8>, Vec<u8>) {
    (super::of(b'V', &[&[SETTINGS]]), super::of(b'V', &[&[SETTINGS + 1]]))
}

/// What a key is of, and of which webhook.
pub(crate) fn read(key: &[u8]) -> Option<(u8, WebhookName)> {
    let (what, name) = key.get(1..)?.split_first()?;
    Some((*what, str::from_utf8(name).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_webhooks_read_back_and_lie_between_their_ends() {
        let name: WebhookName = "billing".parse().expect("a name");
        for what in [SETTINGS, STANDING] {
            assert_eq!(read(&key(what, &name)), Some((what, name.clone())));
        }
        let (first, end) = all_settings();
        assert!((first.clone()..end.clone()).contains(&key(SETTINGS, &name)));
        assert!(!(first..end).contains(&key(STANDING, &name)));
        assert_eq!((read(b"V"), read(b"Vs")), (None, None));
    }
}
