//! The keys of webhooks: `V`, a letter for what it is, and the name; of a delivery that is kept also 0 and its id, and of what is owed
//! a sequence in place of the name.

use sunaba_task::TaskId;
use sunaba_task::webhook::WebhookName;

/// What was asked for, and the secrets.
pub(crate) const SETTINGS: u8 = b's';
/// What has come of its deliveries.
pub(crate) const STANDING: u8 = b'p';
/// That a delivery has ended and is kept, and what it takes up.
pub(crate) const KEPT: u8 = b'e';
/// Events of which it is still to be told.
pub(crate) const OWED: u8 = b'o';

pub(crate) fn key(what: u8, name: &WebhookName) -> Vec<u8> {
    super::of(b'V', &[&[what], name.as_str().as_bytes()])
}

/// One end of all settings, and the other.
pub(crate) fn all_settings() -> (Vec<u8>, Vec<u8>) {
    (super::of(b'V', &[&[SETTINGS]]), super::of(b'V', &[&[SETTINGS + 1]]))
}

pub(crate) fn kept(name: &WebhookName, delivery: TaskId) -> Vec<u8> {
    super::of(b'V', &[&[KEPT], name.as_str().as_bytes(), &[0], delivery.as_bytes()])
}

/// One end of all deliveries of a webhook that are kept, and the other.
pub(crate) fn all_kept(name: &WebhookName) -> (Vec<u8>, Vec<u8>) {
    let end = |end: u8| super::of(b'V', &[&[KEPT], name.as_str().as_bytes(), &[end]]);
    (end(0), end(1))
}

/// The delivery that a key of [`kept`] is of.
pub(crate) fn kept_delivery(key: &[u8]) -> Option<TaskId> {
    let (rest, id) = key.split_last_chunk::<16>()?;
    matches!(rest, [b'V', KEPT, .., 0]).then(|| TaskId::from_bytes(*id))
}

pub(crate) fn owed(sequence: u64) -> Vec<u8> {
    super::of(b'V', &[&[OWED], &sequence.to_be_bytes()])
}

/// One end of all that is owed, and the other.
pub(crate) fn all_owed() -> (Vec<u8>, Vec<u8>) {
    (super::of(b'V', &[&[OWED]]), super::of(b'V', &[&[OWED + 1]]))
}

/// What a key is of, and of which webhook; of settings and standings alone.
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

    #[test]
    fn keys_of_deliveries_that_are_kept_read_back_and_lie_between_their_ends() {
        let (name, other): (WebhookName, WebhookName) = ("a".parse().expect("a name"), "a-b".parse().expect("a name"));
        let (first, end) = all_kept(&name);
        for id in [[0; 16], [u8::MAX; 16]] {
            let key = kept(&name, TaskId::from_bytes(id));
            assert_eq!(kept_delivery(&key), Some(TaskId::from_bytes(id)));
            assert!((first.clone()..end.clone()).contains(&key));
            assert!(!(first.clone()..end.clone()).contains(&kept(&other, TaskId::from_bytes(id))));
        }
        let (first, end) = all_owed();
        assert!((first..end).contains(&owed(u64::MAX)) && kept_delivery(&owed(7)).is_none());
    }

    /// What changes with each delivery is no setting, or a store that fails would hide all of them.
    #[test]
    fn what_has_come_of_deliveries_is_no_setting() {
        let name: WebhookName = "billing".parse().expect("a name");
        assert!(super::super::is_setting(&key(SETTINGS, &name)));
        for other in [key(STANDING, &name), kept(&name, TaskId::from_bytes([7; 16])), owed(1)] {
            assert!(!super::super::is_setting(&other), "{other:?}");
        }
    }
}
