//! What is made of the figures of several rounds.

/// The least, the middle and the largest of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these figures; none of none.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { min, median: f64::midpoint(low, high), max })
    }
}

/// The ratio of each figure to its neighbour of the same round.
pub fn ratios(figures: &[(usize, f64)], to: &[(usize, f64)]) -> Vec<f64> {
    let of_round = |round: usize| to.iter().find(|(other, _)| *other == round).map(|(_, value)| *value);
    figures
        .iter()
        .filter_map(|(round, value)| Some(value / of_round(*round)?))
        .filter(|ratio| ratio.is_finite())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_of_an_even_number_has_the_middle_of_two() {
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]), Some(Spread { min: 1.0, median: 3.0, max: 8.0 }));
        assert_eq!(Spread::of(&[5.0]), Some(Spread { min: 5.0, median: 5.0, max: 5.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ours = [(0, 10.0), (1, 30.0), (2, 7.0)];
        let theirs = [(1, 10.0), (0, 5.0)];
        assert_eq!(ratios(&ours, &theirs), [2.0, 3.0]);
    }
}
