//! The limits of a task: the smaller of what its handler and its submitter state, over the defaults, and never more than the
//! operator's ceilings.

use std::time::Duration;

use sunaba_task::{Fuel, HandlerSettings, Limit, LimitCaps, LimitError, Limits};

use crate::admission::RefusedTask;

/// What no task passes, unless the operator says otherwise: 600 s, 1 GiB of memory, and for the rest far more than a handler
/// needs and far less than a host has. Fuel has no ceiling.
pub fn default_ceilings() -> LimitCaps {
    let mut caps = LimitCaps::NONE;
    for (limit, most) in [
        (Limit::Timeout, 600_000),
        (Limit::Memory, 1 << 30),
        (Limit::Output, 16 << 20),
        (Limit::Stdout, 1 << 20),
        (Limit::Stderr, 1 << 20),
        (Limit::Log, 1 << 20),
        (Limit::LogLines, 10_000),
        (Limit::HostCallBytes, 16 << 20),
        (Limit::MovedBytes, 16 << 30),
        (Limit::Resources, 1_000),
        (Limit::Instances, 64),
        (Limit::Tables, 32),
        (Limit::OpenFiles, 256),
        (Limit::WrittenBytes, 16 << 30),
        (Limit::RandomBytes, 64 << 20),
        (Limit::Requests, 1_000),
        (Limit::ConcurrentRequests, 32),
        (Limit::RequestBytes, 1 << 30),
        (Limit::ArtifactBytes, 16 << 30),
    ] {
        caps.set(limit, most);
    }
    caps
}

/// Limits that somebody states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatedLimits {
    /// Of time.
    pub timeout: Option<Duration>,
    /// Of instructions, and how they are counted.
    pub fuel: Option<Fuel>,
    /// Of memory.
    pub memory_bytes: Option<u64>,
    /// All others; of one that stands above too, the smaller counts.
    pub others: LimitCaps,
}

impl StatedLimits {
    /// Those of a handler.
    pub(crate) fn of(settings: &HandlerSettings) -> Self {
        Self {
            timeout: settings.timeout,
            fuel: settings.fuel,
            memory_bytes: settings.memory_bytes,
            others: settings.limits.clone(),
        }
    }

    /// Whether they can be enforced.
    ///
    /// # Errors
    /// [`LimitError`]: the first that is out of its range.
    pub fn check(&self) -> Result<(), LimitError> {
        let mut limits = Limits::default();
        limits.fuel = self.fuel.unwrap_or(limits.fuel);
        limits.timeout = self.timeout.unwrap_or(limits.timeout);
        limits.memory_bytes = self.memory_bytes.unwrap_or(limits.memory_bytes);
        limits.check()
    }

    fn caps(&self) -> LimitCaps {
        let mut caps = LimitCaps::NONE;
        if let Some(timeout) = self.timeout {
            caps.set(Limit::Timeout, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }
        if let Some(Fuel::Exact { limit: Some(limit) }) = self.fuel {
            caps.set(Limit::Fuel, limit);
        }
        if let Some(bytes) = self.memory_bytes {
            caps.set(Limit::Memory, bytes);
        }
        caps.tighter(&self.others)
    }

    /// Whether none of them is more than the operator allows.
    ///
    /// # Errors
    /// [`RefusedTask::Ceiling`]: the first that is.
    pub(crate) fn below(&self, ceilings: &LimitCaps) -> Result<(), RefusedTask> {
        let caps = self.caps();
        let over = |limit: Limit, value: String, ceiling: u64| {
            let what = match limit {
                Limit::Timeout => "timeout".to_owned(),
                _ => format!("{limit} limit"),
            };
            RefusedTask::Ceiling { what, value, ceiling: limit.format(ceiling) }
        };
        if let (Some(Fuel::Off), Some(ceiling), None) = (self.fuel, ceilings.get(Limit::Fuel), caps.get(Limit::Fuel)) {
            return Err(over(Limit::Fuel, "off".into(), ceiling));
        }
        for (limit, ceiling) in ceilings.iter() {
            if let Some(value) = caps.get(limit).filter(|value| *value > ceiling) {
                return Err(over(limit, limit.format(value), ceiling));
            }
        }
        Ok(())
    }
}

/// The limits of an attempt.
pub(crate) fn effective(handler: &StatedLimits, submitter: &StatedLimits, ceilings: &LimitCaps) -> Limits {
    let counting = match submitter.fuel.or(handler.fuel) {
        Some(Fuel::Off) => Fuel::Off,
        _ => Fuel::Exact { limit: None },
    };
    let stated = handler.caps().tighter(&submitter.caps());
    Limits { fuel: counting, ..Limits::default() }.with(&stated).at_most(ceilings)
}

/// What a handler states and does not get, since the operator allows less: the limit, what it states, and what it gets.
pub(crate) fn lowered(settings: &HandlerSettings, ceilings: &LimitCaps) -> Vec<(Limit, u64, u64)> {
    let stated = StatedLimits::of(settings).caps();
    let above = |(limit, ceiling): (Limit, u64)| {
        stated.get(limit).filter(|value| *value > ceiling).map(|value| (limit, value, ceiling))
    };
    ceilings.iter().filter_map(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> LimitCaps {
        text.parse().expect("limits")
    }

    fn stated(text: &str) -> StatedLimits {
        StatedLimits { others: caps(text), ..StatedLimits::default() }
    }

    #[test]
    fn default_limits_are_below_the_default_ceilings() {
        let defaults = Limits::default();
        assert_eq!(defaults.clone().at_most(&default_ceilings()), defaults);
    }

    #[test]
    fn effective_limit_is_the_smallest_of_the_three() {
        for (handler, submitter, operator, files) in [
            ("", "", "", 64),
            ("open-files=100", "", "", 100),
            ("open-files=100", "open-files=90", "", 90),
            ("open-files=10", "open-files=90", "", 10),
            ("open-files=100", "open-files=90", "open-files=80", 80),
            ("", "", "open-files=8", 8),
            ("", "open-files=200", "open-files=256", 200),
        ] {
            let limits = effective(&stated(handler), &stated(submitter), &caps(operator));
            assert_eq!(limits.open_files, files, "{handler} {submitter} {operator}");
        }
        // The same limit said in two ways.
        let both = StatedLimits { timeout: Some(Duration::from_secs(9)), ..stated("timeout=5s") };
        assert_eq!(effective(&both, &StatedLimits::default(), &LimitCaps::NONE).timeout, Duration::from_secs(5));
    }

    #[test]
    fn fuel_is_counted_wherever_somebody_limits_it() {
        let exact = |limit| Fuel::Exact { limit };
        for (handler, submitter, operator, fuel) in [
            (None, None, "", exact(None)),
            (Some(Fuel::Off), None, "", Fuel::Off),
            (None, Some(Fuel::Off), "", Fuel::Off),
            (Some(Fuel::Off), Some(exact(None)), "", exact(None)),
            (Some(exact(Some(5))), Some(Fuel::Off), "", exact(Some(5))),
            (Some(exact(Some(5))), Some(exact(Some(9))), "", exact(Some(5))),
            (Some(Fuel::Off), None, "fuel=7", exact(Some(7))),
        ] {
            let of = |fuel| StatedLimits { fuel, ..StatedLimits::default() };
            assert_eq!(effective(&of(handler), &of(submitter), &caps(operator)).fuel, fuel);
        }
    }

    #[test]
    fn ceiling_obeyed() {
        assert_eq!(stated("open-files=8").below(&caps("open-files=8")), Ok(()));
        assert_eq!(StatedLimits::default().below(&caps("open-files=8,fuel=1")), Ok(()));
    }

    #[test]
    fn ceiling_violated() {
        let refused = stated("open-files=9").below(&caps("open-files=8")).expect_err("it is over").to_string();
        let message =
            "the open-files limit `9` is over this host's ceiling of 8\nhint: ask for less, or ask its operator";
        assert_eq!(refused, message);
        let off = StatedLimits { fuel: Some(Fuel::Off), ..StatedLimits::default() };
        assert!(off.below(&caps("fuel=1")).is_err());
    }

    #[test]
    fn handler_that_states_more_than_the_ceiling_is_lowered() {
        let settings = HandlerSettings::parse([("timeout", "20m"), ("limits", "open-files=4")]).expect("settings");
        assert_eq!(lowered(&settings, &default_ceilings()), [(Limit::Timeout, 1_200_000, 600_000)]);
        let limits = effective(&StatedLimits::of(&settings), &StatedLimits::default(), &default_ceilings());
        assert_eq!(limits.timeout, Duration::from_secs(600));
    }
}
