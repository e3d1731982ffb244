//! The keys of schedules: `Z`, a letter for what it is, and the name.

use sunaba_task::schedule::ScheduleName;

/// What was asked for.
pub(crate) const SETTINGS: u8 = b's';
/// How far it is.
pub(crate) const PROGRESS: u8 = b'p';
/// What its tasks get.
pub(crate) const INPUT: u8 = b'i';

pub(crate) fn key(what: u8, name: &ScheduleName) -> Vec<u8> {
    super::of(b'Z', &[&[what], name.as_str().as_bytes()])
}

/// One end of all settings after this name, and the other.
pub(crate) fn settings_after(name: Option<&ScheduleName>) -> (Vec<u8>, Vec<u8>) {
    let first = match name {
        // No name has a zero.
        Some(name) => super::of(b'Z', &[&[SETTINGS], name.as_str().as_bytes(), &[0]]),
        None => super::of(b'Z', &[&[SETTINGS]]),
    };
    (first, super::of(b'Z', &[&[SETTINGS + 1]]))
}

/// What a key is of, and of which schedule.
pub(crate) fn read(key: &[u8]) -> Option<(u8, ScheduleName)> {
    let (what, name) = key.get(1..)?.split_first()?;
    Some((*what, str::from_utf8(name).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_lie_between_their_ends() {
        let name: ScheduleName = "nightly-report".parse().expect("a name");
        for what in [SETTINGS, PROGRESS, INPUT] {
            assert_eq!(read(&key(what, &name)), Some((what, name.clone())));
        }
        let (first, end) = settings_after(None);
        let (own, (after, _)) = (key(SETTINGS, &name), settings_after(Some(&name)));
        let longer = key(SETTINGS, &"nightly-report-2".parse().expect("a name"));
        assert!(first < own && own < after && after < longer && longer < end);
        assert!(!(first..end).contains(&key(PROGRESS, &name)));
        assert_eq!((read(b"Z"), read(b"Zs")), (None, None));
    }
}
