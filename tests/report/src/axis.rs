//! What a plot's lines run over: quantiles, seconds, or numbers that grow by powers of ten.

use std::ops::Range;

use sunaba_bench::Unit;

use crate::summary::Case;

/// From so many times the least on, a line is easier to read by powers of ten.
const WIDE: f64 = 30.0;

pub(crate) struct Axis {
    name: &'static str,
    unit: Unit,
    is_by_powers: bool,
    range: Range<f64>,
}

impl Axis {
    /// The share of all that a figure is not exceeded by.
    pub(crate) fn quantiles() -> Self {
        Self { name: "share of all", unit: Unit::Count, is_by_powers: false, range: 0.0..1.0 }
    }

    /// Over these numbers, of this case.
    pub(crate) fn over(case: &Case, numbers: &[f64]) -> Self {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(0.0, f64::max);
        let (name, unit) = match &*case.area {
            "soak" => ("seconds since the load began", Unit::Count),
            "jobs" => ("tenths of the tasks that have ended", Unit::Count),
            _ if case.name.contains("batch") => ("tasks of a batch", Unit::Count),
            _ => ("waiting tasks", Unit::Count),
        };
        let is_by_powers = least > 0.0 && most / least >= WIDE && case.area != "soak";
        let place = |number: f64| if is_by_powers { number.log10() } else { number };
        let start = if is_by_powers { place(least) } else { 0.0 };
        Self { name, unit, is_by_powers, range: start..place(most).max(start + f64::MIN_POSITIVE) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    /// Where a number is.
    pub(crate) fn place(&self, number: f64) -> f64 {
        if self.is_by_powers { number.max(f64::MIN_POSITIVE).log10() } else { number }
    }

    /// What is written at a place.
    pub(crate) fn label(&self, place: f64) -> String {
        match self.is_by_powers {
            true => self.unit.format(10_f64.powf(place)),
            false if self.range.end <= 1.0 => format!("{place:.1}"),
            false => format!("{place:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(area: &str) -> Case {
        Case { area: area.into(), name: "x".into(), unit: Unit::Seconds, at: None, ways: Vec::new() }
    }

    #[test]
    fn wide_numbers_run_by_powers_of_ten() {
        let axis = Axis::over(&case("store"), &[1e3, 1e6]);
        assert_eq!((axis.range(), axis.place(1e4)), (3.0..6.0, 4.0));
        assert_eq!(axis.label(5.0), "100 k");
    }

    #[test]
    fn seconds_run_evenly() {
        let axis = Axis::over(&case("soak"), &[10.0, 600.0]);
        assert_eq!((axis.range(), axis.place(300.0)), (0.0..600.0, 300.0));
        assert_eq!(axis.label(300.0), "300");
    }
}
