//! TOML as JSON, each item on a line of its own, so that an error of the JSON can be told at the item's place in the TOML.

use std::fmt::Write as _;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Wrong, place_of};

/// Where the items stand of which the lines of the JSON were made.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// The place in the TOML, in bytes, of a line of the JSON, which is counted from 1.
    pub(super) fn offset(&self, line: usize) -> usize {
        self.0.get(line.saturating_sub(1)).or(self.0.last()).copied().unwrap_or_default()
    }
}

/// The JSON of a TOML document, and where its lines come from. Its depth is bounded by the parser.
pub(super) fn to_json(text: &str) -> Result<(String, Lines), Wrong> {
    let document = DeTable::parse(text).map_err(|error| {
        let place = error.span().map(|span| place_of(text.as_bytes(), span.start));
        let problem = error.message().lines().collect::<Vec<_>>().join(", ");
        Wrong { place, problem: format!("{problem}\nhint: look at this place of the file") }
    })?;
    let mut writer = Writer { text, json: String::with_capacity(text.len()), lines: Lines(vec![0]) };
    writer.table(document.get_ref())?;
    Ok((writer.json, writer.lines))
}

struct Writer<'t> {
    text: &'t str,
    json: String,
    lines: Lines,
}

impl Writer<'_> {
    fn line(&mut self, offset: usize) {
        self.json.push('\n');
        self.lines.0.push(offset);
    }

    fn table(&mut self, table: &DeTable<'_>) -> Result<(), Wrong> {
        self.json.push('{');
        let mut items: Vec<_> = table.iter().collect();
        // As they stand, so that what comes first is known when something behind it is wrong.
        items.sort_by_key(|(key, _)| key.span().start);
        for (number, (key, value)) in items.into_iter().enumerate() {
            if number > 0 {
                self.json.push(',');
            }
            self.line(key.span().start);
            let _ = write!(self.json, "{}:", Value::from(key.get_ref().as_ref()));
            self.value(value)?;
        }
        self.json.push('}');
        Ok(())
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        let wrong = |problem: &str| {
            let place = Some(place_of(self.text.as_bytes(), value.span().start));
            Wrong { place, problem: problem.to_owned() }
        };
        let scalar = match value.get_ref() {
            DeValue::Table(table) => return self.table(table),
            DeValue::Array(items) => {
                self.json.push('[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        self.json.push(',');
                    }
                    self.line(item.span().start);
                    self.value(item)?;
                }
                self.json.push(']');
                return Ok(());
            }
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(value) => Value::from(*value),
            // An instant is a text wherever one is asked for.
            DeValue::Datetime(at) => Value::from(at.to_string()),
            DeValue::Integer(number) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                let number = number.ok().and_then(serde_json::Number::from_i128);
                Value::from(number.ok_or_else(|| wrong("the number is too large\nhint: it has at most 64 bits"))?)
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                Value::from(number.ok_or_else(|| wrong("JSON has no such number\nhint: write it as a text"))?)
            }
        };
        let _ = write!(self.json, "{scalar}");
        Ok(())
    }
}
