//! One figure, as it is written down: a line of JSON.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

/// What a figure is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Of whatever the case counts.
    PerSecond,
    /// Time.
    Microseconds,
    /// Time.
    Milliseconds,
    /// Time.
    Seconds,
    /// Memory or disk.
    Bytes,
    /// Of whatever the case counts.
    Count,
}

/// Which of two figures one wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The larger one.
    Higher,
    /// The smaller one.
    Lower,
}

impl Unit {
    /// Which figure in this unit is the better one.
    pub fn better(self) -> Better {
        match self {
            Self::PerSecond => Better::Higher,
            Self::Microseconds | Self::Milliseconds | Self::Seconds | Self::Bytes | Self::Count => Better::Lower,
        }
    }

    /// As it is written after a figure.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Bytes => "B",
            Self::Count => "",
        }
    }

    /// A figure in this unit, with three digits that count.
    pub fn format(self, value: f64) -> String {
        let (value, prefix) = match self {
            Self::PerSecond | Self::Count if value >= 1e6 => (value / 1e6, "M"),
            Self::PerSecond | Self::Count if value >= 1e4 => (value / 1e3, "k"),
            Self::Bytes if value >= (1u64 << 30) as f64 => (value / (1u64 << 30) as f64, "Gi"),
            Self::Bytes if value >= (1u64 << 20) as f64 => (value / (1u64 << 20) as f64, "Mi"),
            Self::Bytes if value >= 1024.0 => (value / 1024.0, "Ki"),
            _ => (value, ""),
        };
        let digits = match value.abs() {
            0.0..1.0 => 3,
            1.0..10.0 => 2,
            10.0..100.0 => 1,
            _ => 0,
        };
        let symbol = self.symbol();
        let gap = if symbol.is_empty() && prefix.is_empty() { "" } else { " " };
        format!("{value:.digits$}{gap}{prefix}{symbol}")
    }
}

/// One figure of one way in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What is measured: `sandbox`, `store`, `end to end` and so on.
    pub area: String,
    /// Which work.
    pub case: String,
    /// Who did it.
    pub way: String,
    /// From 0; ways of one round were measured right after each other.
    pub round: usize,
    /// The figure.
    pub value: f64,
    /// What it is in.
    pub unit: Unit,
    /// What the case was done at, where that is a number: how many tasks waited, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// Which quantile it is of many measurements, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
}

/// What is to be known of a way beside its figures: what it promises, or why it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// As of a sample.
    pub area: String,
    /// As of a sample.
    pub case: String,
    /// As of a sample.
    pub way: String,
    /// In a few words.
    pub remark: String,
    /// Whether it is why there are no figures.
    pub is_gap: bool,
}

/// What benchmarks have written down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
    /// In the order in which they were made.
    pub remarks: Vec<Remark>,
}

/// All lines of a file; a line that is neither is an error that names it.
///
/// # Errors
/// The file cannot be read, or a line of it is no sample and no remark.
pub fn read_samples(file: impl BufRead) -> std::io::Result<Written> {
    let mut written = Written::default();
    for (number, line) in file.lines().enumerate() {
        let line = line?;
        // A sample is what most are, and so what an error tells of.
        match (serde_json::from_str(&line), serde_json::from_str(&line)) {
            (Ok(sample), _) => written.samples.push(sample),
            (_, Ok(remark)) => written.remarks.push(remark),
            (Err(error), _) => {
                let problem = format!("line {} is no sample: {error}: `{line}`", number + 1);
                return Err(std::io::Error::other(problem));
            }
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        let texts = [
            (Unit::PerSecond, 24_512.0, "24.5 k/s"),
            (Unit::PerSecond, 951.2, "951 /s"),
            (Unit::Microseconds, 9.816, "9.82 us"),
            (Unit::Bytes, 58_000.0, "56.6 KiB"),
            (Unit::Bytes, 176.0, "176 B"),
            (Unit::Seconds, 0.2234, "0.223 s"),
            (Unit::Count, 0.0, "0.000"),
        ];
        for (unit, value, text) in texts {
            assert_eq!(unit.format(value), text);
        }
    }

    #[test]
    fn line_that_is_no_sample_is_named() {
        let error = read_samples("{}\n".as_bytes()).expect_err("it has no fields");
        assert!(error.to_string().starts_with("line 1 is no sample"), "{error}");
    }

    #[test]
    fn samples_and_remarks_are_told_apart() {
        let sample = Sample {
            area: "store".into(),
            case: "life".into(),
            way: "ours".into(),
            round: 2,
            value: 1.5,
            unit: Unit::Seconds,
            at: Some(10.0),
            quantile: None,
        };
        let remark = Remark {
            area: "peers".into(),
            case: "no-op".into(),
            way: "runc".into(),
            remark: "the kernel does not let it".into(),
            is_gap: true,
        };
        let lines =
            [serde_json::to_string(&sample).expect("plain"), serde_json::to_string(&remark).expect("plain")].join("\n");
        let written = read_samples(lines.as_bytes()).expect("both are known");
        assert_eq!((written.samples, written.remarks), (vec![sample], vec![remark]));
    }
}
