//! The file as a tree of which every key knows its place. What is unknown, or of another kind than is asked for, is told there.

use std::path::{Path, PathBuf};

use sunaba_task::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::{Origin, Problem};

/// A longer file is no configuration.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// The text of the file, for places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet<'t> {
    path: &'t Path,
    text: &'t str,
}

impl<'t> Sheet<'t> {
    pub(super) fn new(path: &'t Path, text: &'t str) -> Self {
        Self { path, text }
    }

    /// Where a byte stands.
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Origin::File { path: self.path.to_owned(), line, column }
    }

    /// A path as it is meant in the file: by the file's own folder.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.path.parent().map_or_else(|| written.into(), |folder| folder.join(written))
    }

    /// The document.
    ///
    /// # Errors
    /// It is no TOML. What stands there is not repeated.
    pub(super) fn document(&self) -> Result<Spanned<DeTable<'t>>, Problem> {
        DeTable::parse(self.text).map_err(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let origin = self.origin(error.span().map_or(0, |span| span.start));
            Problem { origin, message: format!("it is not TOML: {message}\nhint: look at this place of the file") }
        })
    }
}

/// A table of the file.
#[derive(Clone, Copy)]
pub(super) struct Section<'s, 't> {
    sheet: Sheet<'s>,
    items: &'s DeTable<'t>,
}

/// A key of it, with what stands there.
#[derive(Clone, Copy)]
pub(super) struct Item<'s, 't> {
    sheet: Sheet<'s>,
    pub(super) key: &'s str,
    key_at: usize,
    value: &'s Spanned<DeValue<'t>>,
}

impl<'s, 't> Section<'s, 't> {
    pub(super) fn new(sheet: Sheet<'s>, items: &'s DeTable<'t>) -> Self {
        Self { sheet, items }
    }

    /// What stands there, in its order.
    pub(super) fn items(&self) -> Vec<Item<'s, 't>> {
        let item = |(key, value): (&'s Spanned<_>, &'s Spanned<DeValue<'t>>)| {
            let name: &'s std::borrow::Cow<'t, str> = key.get_ref();
            Item { sheet: self.sheet, key: name.as_ref(), key_at: key.span().start, value }
        };
        let mut items: Vec<_> = self.items.iter().map(item).collect();
        items.sort_by_key(|item| item.key_at);
        items
    }

    pub(super) fn get(&self, key: &str) -> Option<Item<'s, 't>> {
        self.items().into_iter().find(|item| item.key == key)
    }

    /// What is none of these keys is wrong. `whose` says whose keys they are.
    pub(super) fn check(&self, whose: &str, known: &[&str], problems: &mut Vec<Problem>) {
        for item in self.items() {
            if !known.contains(&item.key) {
                problems.push(item.unknown(&format!("unknown key `{}` in {whose}", shown(item.key)), known));
            }
        }
    }
}

/// What somebody has written, shortened.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl<'s, 't> Item<'s, 't> {
    /// Where its key stands.
    pub(super) fn origin(&self) -> Origin {
        self.sheet.origin(self.key_at)
    }

    /// A path as it is meant here.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.sheet.path(written)
    }

    /// Something is wrong with its value.
    pub(super) fn wrong(&self, message: impl std::fmt::Display) -> Problem {
        Problem { origin: self.sheet.origin(self.value.span().start), message: message.to_string() }
    }

    /// Its key is none of these.
    pub(super) fn unknown(&self, message: &str, known: &[&str]) -> Problem {
        let near = nearest(self.key, known.iter().copied()).map(|near| format!("did you mean `{near}`? "));
        let all: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
        let hint = format!("{}there is {}", near.unwrap_or_default(), all.join(", "));
        Problem { origin: self.origin(), message: format!("{message}\nhint: {hint}") }
    }

    fn of_another_kind(&self, wanted: &str) -> Problem {
        let is = match self.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("`{}` is {is}\nhint: write {wanted}", self.key))
    }

    /// A text or a number, as a text.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn word(&self) -> Result<String, Problem> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref().to_owned()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
            DeValue::Float(number) => Ok(number.as_str().replace('_', "")),
            _ => Err(self.of_another_kind("a text in quotation marks, or a number")),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn switch(&self) -> Result<bool, Problem> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.of_another_kind("`true` or `false`, without quotation marks")),
        }
    }

    /// Texts.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn list(&self) -> Result<Vec<String>, Problem> {
        let error = || self.of_another_kind("a list of texts, such as `[\"a\", \"b\"]`");
        let DeValue::Array(items) = self.value.get_ref() else { return Err(error()) };
        let text = |item: &Spanned<DeValue<'t>>| match item.get_ref() {
            DeValue::String(text) => Ok(text.as_ref().to_owned()),
            _ => Err(Problem { origin: self.sheet.origin(item.span().start), ..error() }),
        };
        items.iter().map(text).collect()
    }

    /// A table.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn section(&self) -> Result<Section<'s, 't>, Problem> {
        match self.value.get_ref() {
            DeValue::Table(items) => Ok(Section { sheet: self.sheet, items }),
            _ => Err(self.of_another_kind(&format!("a section, as `[{}]`", self.key))),
        }
    }
}
