//! Samples, brought together by case and way.

use serde::Serialize;
use sunaba_bench::{Better, Remark, Sample, Spread, Unit, Written, ratios};

/// All that was measured of one work.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) area: String,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// What it was done at.
    pub(crate) at: Option<f64>,
    /// In the order in which they were written down; the first is what others are held against.
    pub(crate) ways: Vec<Way>,
}

/// Who did it.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    pub(crate) name: String,
    #[serde(serialize_with = "spread")]
    pub(crate) spread: Spread,
    /// Of its figures to those of the first way, round by round; none for that.
    #[serde(serialize_with = "maybe_spread")]
    pub(crate) ratio: Option<Spread>,
    /// Quantile and value, where a way measured many things in a round.
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) rounds: usize,
    /// What it promises, and the like.
    pub(crate) remarks: Vec<String>,
    #[serde(skip)]
    pub(crate) figures: Vec<(usize, f64)>,
}

fn spread<S: serde::Serializer>(spread: &Spread, serializer: S) -> Result<S::Ok, S::Error> {
    [spread.min, spread.median, spread.max].serialize(serializer)
}

fn maybe_spread<S: serde::Serializer>(spread: &Option<Spread>, serializer: S) -> Result<S::Ok, S::Error> {
    spread.map(|spread| [spread.min, spread.median, spread.max]).serialize(serializer)
}

impl Case {
    pub(crate) fn title(&self) -> String {
        let Self { area, name, at, .. } = self;
        at.map_or_else(|| format!("{area}: {name}"), |at| format!("{area}: {name} ({})", Unit::Count.format(at)))
    }

    pub(crate) fn way(&self, name: &str) -> Option<&Way> {
        self.ways.iter().find(|way| way.name == name)
    }

    pub(crate) fn is_higher_better(&self) -> bool {
        self.unit.better() == Better::Higher
    }
}

impl Way {
    pub(crate) fn range(&self, unit: Unit) -> String {
        format!("{} to {}", unit.format(self.spread.min), unit.format(self.spread.max))
    }
}

/// The cases in the order in which they were first written down.
pub(crate) fn summarize(written: &Written) -> Vec<Case> {
    let Written { samples, remarks } = written;
    let mut cases: Vec<(Case, Vec<&Sample>)> = Vec::new();
    for sample in samples {
        let is_of = |case: &Case| {
            (&case.area, &case.name, case.unit, case.at) == (&sample.area, &sample.case, sample.unit, sample.at)
        };
        match cases.iter_mut().find(|(case, _)| is_of(case)) {
            Some((_, of)) => of.push(sample),
            None => {
                let (area, name) = (sample.area.clone(), sample.case.clone());
                let case = Case { area, name, unit: sample.unit, at: sample.at, ways: Vec::new() };
                cases.push((case, vec![sample]));
            }
        }
    }
    cases.into_iter().map(|(case, samples)| with_ways(case, &samples, remarks)).collect()
}

fn with_ways(mut case: Case, samples: &[&Sample], remarks: &[Remark]) -> Case {
    let mut names: Vec<&str> = Vec::new();
    for sample in samples {
        if !names.contains(&sample.way.as_str()) {
            names.push(&sample.way);
        }
    }
    for name in names {
        let own = || samples.iter().filter(|sample| sample.way == name);
        let figures: Vec<_> = own()
            .filter(|sample| sample.quantile.is_none_or(|quantile| quantile == 0.5))
            .map(|sample| (sample.round, sample.value))
            .collect();
        let values: Vec<_> = figures.iter().map(|(_, value)| *value).collect();
        let Some(spread) = Spread::of(&values) else { continue };
        let ratio = case.ways.first().and_then(|first| Spread::of(&ratios(&figures, &first.figures)));
        let quantiles = quantiles(own().filter_map(|sample| Some((sample.quantile?, sample.value))));
        let of_way = |remark: &&Remark| {
            !remark.is_gap && (&*remark.area, &*remark.case, &*remark.way) == (&*case.area, &*case.name, name)
        };
        let mut remarks: Vec<_> = remarks.iter().filter(of_way).map(|remark| remark.remark.clone()).collect();
        // A program that was run twice says the same twice.
        remarks.dedup();
        case.ways.push(Way { name: name.into(), spread, ratio, quantiles, rounds: figures.len(), remarks, figures });
    }
    case
}

/// The median over the rounds of each quantile.
fn quantiles(figures: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut by_quantile: Vec<(f64, Vec<f64>)> = Vec::new();
    for (quantile, value) in figures {
        match by_quantile.iter_mut().find(|(known, _)| *known == quantile) {
            Some((_, values)) => values.push(value),
            None => by_quantile.push((quantile, vec![value])),
        }
    }
    by_quantile.sort_by(|left, right| left.0.total_cmp(&right.0));
    by_quantile.into_iter().filter_map(|(quantile, values)| Some((quantile, Spread::of(&values)?.median))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(way: &str, round: usize, value: f64) -> Sample {
        let (area, case, way) = ("store".into(), "life".into(), way.into());
        Sample { area, case, way, round, value, unit: Unit::PerSecond, at: None, quantile: None }
    }

    fn summarized(samples: Vec<Sample>) -> Vec<Case> {
        summarize(&Written { samples, remarks: Vec::new() })
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let samples =
            vec![sample("bare", 0, 10.0), sample("ours", 0, 8.0), sample("ours", 1, 15.0), sample("bare", 1, 30.0)];
        let cases = summarized(samples);
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].ways[0].ratio, None);
        assert_eq!(cases[0].ways[1].ratio, Some(Spread { min: 0.5, median: 0.65, max: 0.8 }));
    }

    #[test]
    fn figure_of_a_distribution_is_its_median() {
        let at = |quantile: f64, value| Sample { quantile: Some(quantile), ..sample("ours", 0, value) };
        let cases = summarized(vec![at(0.99, 9.0), at(0.5, 2.0)]);
        assert_eq!(cases[0].ways[0].spread.median, 2.0);
        assert_eq!(cases[0].ways[0].quantiles, [(0.5, 2.0), (0.99, 9.0)]);
    }

    #[test]
    fn remarks_stand_with_their_way_and_gaps_do_not() {
        let remark = |way: &str, text: &str, is_gap| {
            let (area, case, way) = ("store".into(), "life".into(), way.into());
            Remark { area, case, way, remark: text.into(), is_gap }
        };
        let samples = vec![sample("bare", 0, 10.0), sample("ours", 0, 8.0)];
        let remarks = vec![remark("ours", "durable", false), remark("ours", "it failed", true)];
        let cases = summarize(&Written { samples, remarks });
        assert_eq!(cases[0].ways[0].remarks, [""; 0]);
        assert_eq!(cases[0].ways[1].remarks, ["durable"]);
    }
}
