//! Rounds: each way of a case once, right after each other.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::sample::{Remark, Sample, Unit};
use crate::stats::{Spread, ratios};

/// Where the samples go, a line each; unset: nowhere but to the terminal.
const SAMPLES: &str = "SUNABA_SAMPLES";
const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 3;
/// What is written down of a distribution.
const QUANTILES: [f64; 11] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0];

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: impl Display) {
    println!("{line}");
}

/// A benchmark program: what it was asked for, and where its samples go.
///
/// Its arguments: `--quick` (fewer rounds, less work), `--rounds N`, `--way NAME` (this way, and others so named, alone), and words, of which
/// `area: case` must contain one.
pub struct Bench {
    area: &'static str,
    rounds: usize,
    quick: bool,
    /// Empty: all.
    wanted_ways: Vec<String>,
    words: Vec<String>,
    /// The cases that there are, as far as the program has come, and whether one of them has a word that was asked for.
    met: Mutex<(BTreeSet<String>, bool)>,
    file: Option<File>,
}

impl Bench {
    /// Reads the program's arguments. What it does not know is a word: cargo passes `--bench`.
    ///
    /// # Panics
    /// `--rounds` is followed by no number, or the file of samples cannot be opened.
    pub fn start(area: &'static str) -> Self {
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        let (mut rounds, mut quick, mut wanted_ways, mut words) = (None, false, Vec::new(), Vec::new());
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--quick" => quick = true,
                "--rounds" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    rounds = Some(number.expect("`--rounds` is followed by a number, such as `--rounds 5`"));
                }
                "--way" => {
                    wanted_ways.push(arguments.next().expect("`--way` is followed by a name, such as `--way sunaba`"));
                }
                _ => words.push(argument),
            }
        }
        let file = std::env::var_os(SAMPLES).map(|path| {
            let opened = OpenOptions::new().append(true).create(true).open(&path);
            opened.unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
        });
        let rounds = rounds.unwrap_or(if quick { QUICK_ROUNDS } else { ROUNDS }).max(1);
        Self { area, rounds, quick, wanted_ways, words, met: Mutex::default(), file }
    }

    /// Whether less work was asked for, for everyday use.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// How often each way is measured.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// A case of this name, without ways yet.
    pub fn case<'a>(&mut self, name: impl Into<String>, unit: Unit) -> Case<'_, 'a> {
        Case { bench: self, name: name.into(), unit, at: None, rounds: None, ways: Vec::new() }
    }

    /// Whether somebody wants it.
    pub fn wants(&self, case: &str) -> bool {
        let whole = format!("{}: {case}", self.area);
        let is_wanted = self.words.is_empty() || self.words.iter().any(|word| whole.contains(word.as_str()));
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.1 |= is_wanted;
        met.0.insert(case.to_owned());
        is_wanted
    }

    /// That no case has a word that was asked for, and which cases there are.
    fn missed(&self) -> Option<String> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let (cases, is_found) = &*met;
        if self.words.is_empty() || *is_found {
            return None;
        }
        let (area, words) = (self.area, self.words.join("`, `"));
        let cases: Vec<_> = cases.iter().map(|case| format!("`{area}: {case}`")).collect();
        Some(format!("no case of {area} has `{words}`; there are {}", cases.join(", ")))
    }

    /// Whether somebody wants this way of its cases.
    pub fn wants_way(&self, way: &str) -> bool {
        self.wanted_ways.is_empty() || self.wanted_ways.iter().any(|wanted| wanted == way)
    }

    /// Whether somebody has asked for the whole area by its name: what takes too long to be measured unasked.
    pub fn is_asked_for(&self) -> bool {
        self.words.iter().any(|word| word == self.area)
    }

    /// Writes down what a reader is to know of a way: how durable it is, how it isolates, in what batches it works.
    pub fn remark(&mut self, case: &str, way: &str, remark: &str) {
        self.write_remark(case, way, remark, false);
    }

    /// Writes down, and says, why a way of a case has no figures.
    pub fn gap(&mut self, case: &str, way: &str, reason: impl Display) {
        if self.wants(case) {
            say(format_args!("{}: {case}: {way} is not measured: {reason}", self.area));
            self.write_remark(case, way, &reason.to_string(), true);
        }
    }

    fn write_remark(&mut self, case: &str, way: &str, remark: &str, is_gap: bool) {
        let (area, case, way, remark) = (self.area.to_owned(), case.to_owned(), way.to_owned(), remark.to_owned());
        self.write_line(&Remark { area, case, way, remark, is_gap });
    }

    /// Writes down, and says, what was measured of one case: figures of each way, with their rounds. The first way is what the others
    /// are held against.
    /// A figure that is no number says that the way has failed in that round, and is a gap.
    pub fn note(&mut self, case: &str, unit: Unit, at: Option<f64>, ways: &[(String, Figures)]) {
        for (way, figures) in ways {
            for (round, _) in figures.iter().filter(|(_, value)| !value.is_finite()) {
                self.gap(case, way, format_args!("it failed in round {round}"));
            }
            for (round, value) in figures.iter().filter(|(_, value)| value.is_finite()) {
                let (area, case, way) = (self.area.to_owned(), case.to_owned(), way.clone());
                self.write(&Sample { area, case, way, round: *round, value: *value, unit, at, quantile: None });
            }
        }
        say(format_args!("{}: {case}", self.area));
        for (way, own) in ways {
            let values: Vec<f64> = own.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).collect();
            let Some(spread) = Spread::of(&values) else { continue };
            let [least, middle, most] = [spread.min, spread.median, spread.max].map(|value| unit.format(value));
            let beside =
                Spread::of(&ratios(own, &ways[0].1)).filter(|_| ways.len() > 1).map_or_else(String::new, |ratio| {
                    format!("  {:.2}x ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)
                });
            say(format_args!("  {way:<40} {middle:>12}  ({least} to {most}){beside}"));
        }
    }

    /// Writes down, and says, how the many figures of a way were spread in one round.
    pub fn distribution(&mut self, case: &str, unit: Unit, way: &str, round: usize, mut figures: Vec<f64>) {
        figures.sort_by(f64::total_cmp);
        let Some(last) = figures.len().checked_sub(1) else { return };
        let at = |quantile: f64| figures[(last as f64 * quantile).round() as usize];
        for quantile in QUANTILES {
            let (area, case, way) = (self.area.to_owned(), case.to_owned(), way.to_owned());
            let value = at(quantile);
            self.write(&Sample { area, case, way, round, value, unit, at: None, quantile: Some(quantile) });
        }
        let [half, most, all] = [0.5, 0.99, 1.0].map(|quantile| unit.format(at(quantile)));
        say(format_args!("{}: {case}\n  {way:<40} p50 {half}, p99 {most}, at most {all}", self.area));
    }

    /// Writes a sample down as it is.
    pub fn write(&mut self, sample: &Sample) {
        self.write_line(sample);
    }

    /// In one piece: a program may have others write to the same file.
    fn write_line(&mut self, line: &impl serde::Serialize) {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(line).expect("a sample is plain data") + "\n";
            file.write_all(line.as_bytes()).expect("the file of samples takes lines");
        }
    }
}

impl Drop for Bench {
    /// Only when the program is through is it known which cases it has.
    fn drop(&mut self) {
        if let Some(missed) = self.missed() {
            say(missed);
        }
    }
}

/// What a way has measured, and in which round.
pub type Figures = Vec<(usize, f64)>;

type Way<'a> = (String, Box<dyn FnMut() -> f64 + 'a>);

/// Ways to do the same work. The first is what the others are held against.
pub struct Case<'b, 'a> {
    bench: &'b mut Bench,
    name: String,
    unit: Unit,
    at: Option<f64>,
    rounds: Option<usize>,
    ways: Vec<Way<'a>>,
}

impl<'a> Case<'_, 'a> {
    /// One more way, which does the work and returns its figure.
    #[must_use]
    pub fn way(mut self, name: &str, run: impl FnMut() -> f64 + 'a) -> Self {
        self.ways.push((name.to_owned(), Box::new(run)));
        self
    }

    /// What it is done at.
    #[must_use]
    pub fn at(mut self, at: f64) -> Self {
        self.at = Some(at);
        self
    }

    /// How often, whatever was asked for: what takes minutes.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = Some(rounds);
        self
    }

    /// Measures, unless nobody wants it; says and writes down what was found.
    pub fn run(mut self) {
        if !self.bench.wants(&self.name) {
            return;
        }
        let bench = &*self.bench;
        self.ways.retain(|(name, _)| bench.wants_way(name));
        if self.ways.is_empty() {
            return;
        }
        let mut figures: Vec<(String, Figures)> = self.ways.iter().map(|(way, _)| (way.clone(), Vec::new())).collect();
        for round in 0..self.rounds.unwrap_or(self.bench.rounds) {
            for step in 0..self.ways.len() {
                // Who comes after whom changes, so that nobody always has the warmer machine.
                let turn = (round + step) % self.ways.len();
                figures[turn].1.push((round, self.ways[turn].1()));
            }
        }
        self.bench.note(&self.name, self.unit, self.at, &figures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(words: &[&str]) -> Bench {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let (wanted_ways, met, file) = (Vec::new(), Mutex::default(), None);
        Bench { area: "store", rounds: 1, quick: true, wanted_ways, words, met, file }
    }

    fn missed(words: &[&str]) -> Option<String> {
        let mut bench = bench(words);
        bench.case("submit", Unit::PerSecond).way("one", || 1.0).run();
        bench.case("lease", Unit::PerSecond).way("one", || 1.0).run();
        bench.missed()
    }

    #[test]
    fn words_that_no_case_has_are_told_with_the_cases_that_there_are() {
        let told = missed(&["settle", "x"]).expect("there is no such case");
        assert_eq!(told, "no case of store has `settle`, `x`; there are `store: lease`, `store: submit`");
    }

    #[test]
    fn words_that_a_case_has_are_not_complained_about() {
        assert_eq!([missed(&[]), missed(&["lease"]), missed(&["store: sub", "x"])], [None, None, None]);
    }
}
