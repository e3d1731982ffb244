//! What a child gets of what its parent has: which directories, by the setting `dirs`, and how much time and memory. A child may get
//! less than its parent, and never more, but for the time and the memory that its own handler was deployed with.
//!
//! Pure. Where a path really leads stands on the disk, and is asked when the child is admitted: see [`no_links`].

use std::path::{Component, Path};
use std::time::Duration;

use sunaba_task::{DirGrant, Limit, Limits};

/// More than any task may be granted; the rest is not read.
const MOST: usize = 65;

/// Reads the setting: paths as the parent sees them, each with the path at which the child does (`/all/one::/data`, `:rw` to
/// write there), or alone where that is the same. Nothing means no directory.
///
/// # Errors
/// One is not below a directory that the parent was granted, or not for that.
pub(super) fn dirs(granted: &[DirGrant], wanted: &str) -> Result<Vec<DirGrant>, String> {
    let texts = wanted.split(',').map(str::trim).filter(|text| !text.is_empty());
    texts.take(MOST).map(|text| dir(granted, text)).collect()
}

fn dir(granted: &[DirGrant], text: &str) -> Result<DirGrant, String> {
    let shown: String = text.chars().take(128).collect();
    let wanted: DirGrant = match text.contains("::") {
        true => text.parse(),
        false => {
            let path = text.strip_suffix(":rw").or_else(|| text.strip_suffix(":ro")).unwrap_or(text);
            format!("{path}::{text}").parse()
        }
    }
    .map_err(|error: sunaba_task::GrantError| format!("the setting `dirs` cannot be `{shown}`: {error}"))?;
    let is_plain =
        wanted.host.is_absolute() && wanted.host.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    if !is_plain {
        return Err(format!(
            "the setting `dirs` cannot be `{shown}`: the path is not a full one\nhint: write it from the root, without `..`"
        ));
    }
    let holds = |grant: &&DirGrant| wanted.host.starts_with(Path::new(&grant.guest));
    // The closest one is what the parent sees there.
    let closest = granted.iter().filter(holds).max_by_key(|grant| Path::new(&grant.guest).components().count());
    let Some(closest) = closest else {
        return Err(format!(
            "its parent was granted no directory that holds `{shown}`\nhint: a child gets what its parent was granted, or less"
        ));
    };
    if wanted.access > closest.access {
        return Err(format!("its parent may only read `{}`\nhint: leave out `:rw`", closest.guest));
    }
    let rest = wanted.host.strip_prefix(&closest.guest).unwrap_or(Path::new(""));
    // Joined with nothing, a path would end in a separator.
    let host = if rest.as_os_str().is_empty() { closest.host.clone() } else { closest.host.join(rest) };
    Ok(DirGrant { host, ..wanted })
}

/// Whether each directory that a child would get is the one that was passed on to it, and no link to another: links within what
/// its parent has would lead a child that was narrowed back to its siblings.
pub(super) fn no_links(passed: &[DirGrant], dirs: &[DirGrant]) -> Result<(), String> {
    match dirs.iter().find(|dir| !passed.contains(dir)) {
        None => Ok(()),
        Some(dir) => Err(format!(
            "the directory for `{}` is reached by a link\nhint: name the directory itself, as its parent was granted it",
            dir.guest
        )),
    }
}

/// Whether a child gets no more time and no more memory than its parent has, or than its handler gets where nobody asks for
/// anything: what an operator has deployed may be larger than what starts it, and what a guest says may not.
///
/// # Errors
/// It would get more than both.
pub(super) fn limits(parent: &Limits, unasked: &Limits, child: &Limits) -> Result<(), String> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let of = |limits: &Limits| [millis(limits.timeout), limits.memory_bytes];
    let [parent, unasked, child] = [parent, unasked, child].map(of);
    for (at, (what, limit)) in [("timeout", Limit::Timeout), ("memory", Limit::Memory)].into_iter().enumerate() {
        let most = parent[at].max(unasked[at]);
        if child[at] > most {
            return Err(format!(
                "the setting `{what}` cannot be `{}`: its parent has {}, and its handler gets {} unasked\nhint: ask for no more than {}, \
                 or have the handler's own settings say more",
                limit.format(child[at]),
                limit.format(parent[at]),
                limit.format(unasked[at]),
                limit.format(most),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(texts: &[&str]) -> Vec<DirGrant> {
        texts.iter().map(|text| text.parse().expect("a grant")).collect()
    }

    fn narrowed(wanted: &str) -> Result<String, String> {
        let granted = granted(&["/srv/all::/crates", "/srv/out::/out:rw", "/srv/inner::/crates/inner"]);
        let dirs = dirs(&granted, wanted)?;
        Ok(dirs.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn less_than_the_parent_has_obeyed() {
        for (wanted, expected) in [
            ("", ""),
            ("/crates", "/srv/all::/crates"),
            ("/crates/", "/srv/all::/crates/"),
            ("/crates/serde::/crate", "/srv/all/serde::/crate"),
            ("/crates/a/b", "/srv/all/a/b::/crates/a/b"),
            ("/crates/inner/x::/crate", "/srv/inner/x::/crate"),
            ("/crates/innermost::/crate", "/srv/all/innermost::/crate"),
            ("/out:rw", "/srv/out::/out:rw"),
            ("/out/one::/out:rw, /crates::/in", "/srv/out/one::/out:rw,/srv/all::/in"),
            ("/out", "/srv/out::/out"),
        ] {
            assert_eq!(narrowed(wanted).as_deref(), Ok(expected), "{wanted}");
        }
    }

    #[test]
    fn more_than_the_parent_has_violated() {
        for wanted in [
            "/",
            "/etc",
            "/crate",
            "/cratesx",
            "/crates/..",
            "/crates/../etc::/crate",
            "/crates/a/../../out::/crate",
            "crates",
            "./crates::/crate",
            "/crates:rw",
            "/crates/inner:rw",
            "/crates/serde::/crate:rw",
            "/crates::crate",
            "/crates,/etc",
            "::/crate",
        ] {
            assert!(narrowed(wanted).is_err(), "{wanted}: {:?}", narrowed(wanted));
        }
    }

    #[test]
    fn link_to_another_directory_obeyed_and_violated() {
        let passed = granted(&["/srv/all/one::/one", "/srv/out::/out:rw"]);
        assert_eq!(no_links(&passed, &passed), Ok(()));
        assert_eq!(no_links(&passed, &passed[1..]), Ok(()), "less is no matter");
        for really in ["/srv/all/two::/one", "/srv/all::/one", "/srv/all/one::/one:rw"] {
            assert!(no_links(&passed, &granted(&[really])).is_err(), "{really}");
        }
    }

    /// Its handler gets 30 s and 64 MiB where nobody asks for anything, and its parent has 10 s and 256 MiB.
    fn child_with(seconds: u64, mebibytes: u64) -> Result<(), String> {
        let of = |seconds, mebibytes: u64| Limits {
            timeout: Duration::from_secs(seconds),
            memory_bytes: mebibytes << 20,
            ..Limits::default()
        };
        limits(&of(10, 256), &of(30, 64), &of(seconds, mebibytes))
    }

    #[test]
    fn time_and_memory_of_a_child_obeyed() {
        assert_eq!(child_with(1, 1), Ok(()), "it may always have less");
        assert_eq!(child_with(30, 256), Ok(()));
    }

    #[test]
    fn time_and_memory_of_a_child_violated() {
        let error = child_with(31, 64).expect_err("neither has so much time");
        let expected = "the setting `timeout` cannot be `31s`: its parent has 10s, and its handler gets 30s unasked\nhint: ask for no more \
                        than 30s, or have the handler's own settings say more";
        assert_eq!(error, expected);
        let error = child_with(30, 257).expect_err("neither has so much memory");
        assert!(error.starts_with("the setting `memory` cannot be `257.0 MiB`: its parent has 256.0 MiB"), "{error}");
    }
}
