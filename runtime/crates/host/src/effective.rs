//! What a task is really granted: what its handler asks for, as far as the operator allows it and the submitter passes it on.
//!
//! Pure, and asked at the submit, before each attempt, and by `sunaba run`. Whether a directory is there, and where it leads,
//! stands on the disk, and is asked elsewhere.

use std::collections::BTreeMap;

use sunaba_task::{ClockAccess, DirAccess, GrantError, GrantRequests, Grants, HttpGrant, format_bytes};

/// The largest scratch directory, unless the operator says otherwise.
pub const DEFAULT_MAX_SCRATCH_BYTES: u64 = 1 << 30;
/// Of a longer text the beginning is shown.
const SHOWN_CHARS: usize = 120;

/// What the operator of a host allows, beside directories. Environment variables are the submitter's own words, and are
/// always allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Where requests may go, with the addresses that are not public and may be reached there.
    pub http: Vec<HttpGrant>,
    /// The secrets that there are, and the place to which each is sent.
    pub secrets: BTreeMap<String, HttpGrant>,
    /// The largest scratch directory. Default: 1 GiB.
    pub max_scratch_bytes: u64,
    /// The finest clock. Default: the coarse one.
    pub clock: ClockAccess,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            http: Vec::new(),
            secrets: BTreeMap::new(),
            max_scratch_bytes: DEFAULT_MAX_SCRATCH_BYTES,
            clock: ClockAccess::Coarse,
        }
    }
}

/// Why a task is not granted what its submitter passes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantRefusal {
    /// The handler's author did not ask for it.
    #[error(
        "the handler `{handler}` does not ask for {grant}\nhint: its author would have to write `#[handler({option})]`"
    )]
    NotRequested {
        /// Which handler.
        handler: String,
        /// What was passed on.
        grant: String,
        /// The option that would ask for it.
        option: String,
    },
    /// The operator does not allow it.
    #[error("this host does not allow {grant}\nhint: its operator would have to start it with `serve {flag}`")]
    NotAllowed {
        /// What was passed on.
        grant: String,
        /// The flag that would allow it.
        flag: String,
    },
    /// The secret would be of no use, or worse, open a way that nobody granted.
    #[error(
        "the secret `{name}` is for `{host}`, where this task may send no requests\nhint: grant it that place too, or \
         leave out the secret"
    )]
    SecretHost {
        /// The secret's name.
        name: String,
        /// Where it is sent.
        host: String,
    },
    /// Only the operator names addresses.
    #[error("`{0}` names addresses\nhint: leave them out; whoever operates the host names them")]
    Addresses(String),
    /// The grants cannot all be given.
    #[error(transparent)]
    Grants(#[from] GrantError),
}

/// What a handler is granted of what was passed on: all of it, with wildcards and sizes narrowed to what everybody allows.
///
/// A secret opens no way of its own: its host must be among the places that the task may send requests to.
///
/// # Errors
/// [`GrantRefusal`]: something of it is not asked for, not allowed, or cannot be.
pub fn effective(
    handler: &str,
    asked: &GrantRequests,
    operator: &Operator,
    passed: &Grants,
) -> Result<Grants, GrantRefusal> {
    passed.check()?;
    let not_requested = |grant: String, option: String| GrantRefusal::NotRequested {
        handler: handler.to_owned(),
        grant: shortened(&grant),
        option: shortened(&option),
    };
    if let Some(env) = passed.env.iter().find(|env| !asked.has_env(&env.key)) {
        let key = &env.key;
        return Err(not_requested(format!("the environment variable `{key}`"), format!("env = \"{key}\"")));
    }
    for dir in &passed.dirs {
        if !asked.dirs.iter().any(|request| request.covers(&dir.guest, dir.access)) {
            let suffix = if dir.access == DirAccess::ReadWrite { ":rw" } else { "" };
            let how = if suffix.is_empty() { "" } else { " for writing" };
            let guest = &dir.guest;
            return Err(not_requested(format!("the directory `{guest}`{how}"), format!("dirs = \"{guest}{suffix}\"")));
        }
    }
    let mut http = Vec::new();
    for place in &passed.http {
        if !place.addresses.is_empty() {
            return Err(GrantRefusal::Addresses(place.to_string()));
        }
        let wanted: Vec<_> = match asked.any_http {
            true => vec![place.clone()],
            false => asked.http.iter().filter_map(|request| narrower(request, place)).collect(),
        };
        if wanted.is_empty() {
            return Err(not_requested(format!("requests to `{place}`"), format!("http = \"{place}\"")));
        }
        let allowed: Vec<_> = wanted.iter().flat_map(|place| permitted(place, &operator.http)).collect();
        if allowed.is_empty() {
            let (grant, flag) = (format!("requests to `{}`", wanted[0]), format!("--allow-http {}", wanted[0]));
            return Err(GrantRefusal::NotAllowed { grant, flag });
        }
        http.extend(allowed);
    }
    http.sort();
    http.dedup();
    for name in &passed.secrets {
        if !asked.secrets.contains(name) {
            return Err(not_requested(format!("the secret `{name}`"), format!("secrets = \"{name}\"")));
        }
        let Some(host) = operator.secrets.get(name) else {
            let flag = format!("--secret {name}=env:VARIABLE@https://HOST");
            return Err(GrantRefusal::NotAllowed { grant: format!("the secret `{name}`: it has none"), flag });
        };
        if !http.iter().any(|place| place.includes(host)) {
            return Err(GrantRefusal::SecretHost { name: name.clone(), host: host.to_string() });
        }
    }
    let scratch_bytes = match (passed.scratch_bytes, asked.scratch_bytes) {
        (None, _) => None,
        (Some(wanted), None) => {
            let option = format!("scratch = \"{}\"", format_bytes(wanted).replace(' ', ""));
            return Err(not_requested("a scratch directory".into(), option));
        }
        (Some(wanted), Some(_)) if operator.max_scratch_bytes == 0 => {
            let flag = format!("--max-scratch {}", format_bytes(wanted).replace(' ', ""));
            return Err(GrantRefusal::NotAllowed { grant: "a scratch directory".into(), flag });
        }
        (Some(wanted), Some(asked)) => Some(wanted.min(asked).min(operator.max_scratch_bytes)),
    };
    if passed.clock == ClockAccess::Fine {
        if asked.clock != ClockAccess::Fine {
            return Err(not_requested("the fine clock".into(), "clock = \"fine\"".into()));
        }
        if operator.clock != ClockAccess::Fine {
            let (grant, flag) = ("the fine clock".into(), "--allow-fine-clock".into());
            return Err(GrantRefusal::NotAllowed { grant, flag });
        }
    }
    let grants = Grants { http, scratch_bytes, ..passed.clone() };
    grants.check()?;
    Ok(grants)
}

/// The grants as their submitter could have passed them on: without the addresses, which the operator names anew.
pub(crate) fn without_addresses(mut grants: Grants) -> Grants {
    grants.http.iter_mut().for_each(|place| place.addresses.clear());
    grants
}

/// Of two places the one that lies within the other.
fn narrower(one: &HttpGrant, other: &HttpGrant) -> Option<HttpGrant> {
    let within = if one.includes(other) {
        other
    } else if other.includes(one) {
        one
    } else {
        return None;
    };
    Some(HttpGrant { addresses: Vec::new(), ..within.clone() })
}

/// What the operator allows of a place, with all addresses that are named for it.
pub(crate) fn permitted(place: &HttpGrant, allowed: &[HttpGrant]) -> Vec<HttpGrant> {
    let within = allowed.iter().filter_map(|own| narrower(own, place));
    let with_addresses = |within: HttpGrant| {
        let own = allowed.iter().filter(|own| own.includes(&within));
        let mut addresses: Vec<_> = own.flat_map(|own| own.addresses.iter().copied()).collect();
        addresses.sort();
        addresses.dedup();
        HttpGrant { addresses, ..within }
    };
    within.map(with_addresses).collect()
}

/// Of what a submit has found, what a handler asks for that has changed since: a task that follows may meet another version, and
/// is not dead for that.
pub(crate) fn still_requested(asked: &GrantRequests, mut granted: Grants) -> Grants {
    granted.env.retain(|env| asked.has_env(&env.key));
    granted.dirs.retain(|dir| asked.dirs.iter().any(|request| request.covers(&dir.guest, dir.access)));
    granted.http.retain(|place| asked.any_http || asked.http.iter().any(|own| narrower(own, place).is_some()));
    granted.secrets.retain(|name| asked.secrets.contains(name));
    granted.scratch_bytes = granted.scratch_bytes.filter(|_| asked.scratch_bytes.is_some());
    granted.clock = granted.clock.min(asked.clock);
    granted
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
