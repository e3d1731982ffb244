//! Takes each setting from the layer that counts, reads it, and notes what is wrong and where everything came from.

use std::path::PathBuf;

use sunaba_host::{SecretSource, SecretSourceError};
use sunaba_task::{Limit, LimitCaps};
use toml::Spanned;
use toml::de::DeTable;

use super::origin::{ConfigError, Origin, Problem, Row};
use super::settings::{self, COMMON_ENV, Kind, LIMITS, Setting, keys_of, setting, variables};
use super::sheet::{Item, Section, Sheet};
use super::{Layers, unknown_variable};

/// The sections that name things, beside those of settings.
const NAMING: [&str; 7] = ["limits", "queues", "handlers", "retention", "webhooks", "packages", "workers"];

/// What was said of a setting, on the level that counts.
struct Said {
    values: Vec<String>,
    origin: Origin,
}

/// While the layers are read.
pub(super) struct Gather<'l> {
    layers: &'l Layers,
    document: Option<(Sheet<'l>, Spanned<DeTable<'l>>)>,
    pub(super) problems: Vec<Problem>,
    pub(super) rows: Vec<Row>,
    pub(super) warnings: Vec<String>,
}

impl<'l> Gather<'l> {
    /// # Errors
    /// The file is no TOML: of what it says nothing is known.
    pub(super) fn new(layers: &'l Layers) -> Result<Self, ConfigError> {
        let document = match &layers.file {
            None => None,
            Some((path, text)) => {
                let sheet = Sheet::new(path, text);
                let document = sheet.document().map_err(|problem| ConfigError::Wrong(vec![problem]))?;
                Some((sheet, document))
            }
        };
        let mut gather = Self { layers, document, problems: Vec::new(), rows: Vec::new(), warnings: Vec::new() };
        gather.check_keys();
        Ok(gather)
    }

    /// Says what no section knows. The sections that name things look at theirs themselves.
    fn check_keys(&mut self) {
        let mut problems = Vec::new();
        let Some(root) = self.root() else { return };
        let known: Vec<_> = ["address", "host", "telemetry", "grants"].into_iter().chain(NAMING).collect();
        root.check("the configuration", &known, &mut problems);
        for name in ["host", "telemetry", "grants"] {
            match root.get(name).map(|item| item.section()) {
                Some(Ok(section)) => section.check(&format!("`[{name}]`"), &keys_of(name), &mut problems),
                Some(Err(problem)) => problems.push(problem),
                None => {}
            }
        }
        self.problems = problems;
    }

    fn root(&self) -> Option<Section<'_, 'l>> {
        self.document.as_ref().map(|(sheet, document)| Section::new(*sheet, document.get_ref()))
    }

    /// A section of the file; with another kind of thing there, that is wrong.
    pub(super) fn section(&mut self, name: &str) -> Option<Section<'_, 'l>> {
        // The borrow of what is found and that of the problems must not meet.
        let wrong = self.root()?.get(name)?.section().err();
        if let Some(problem) = wrong {
            self.problems.push(problem);
            return None;
        }
        self.root()?.get(name)?.section().ok()
    }

    fn item(&self, key: &str) -> Option<Item<'_, 'l>> {
        match key.split_once('.') {
            Some((section, key)) => self.root()?.get(section)?.section().ok()?.get(key),
            None => self.root()?.get(key),
        }
    }

    /// What is said of a setting on the level that counts; what stands in the file is what it must be there, or wrong.
    fn said(&mut self, setting: &Setting) -> Said {
        let from_file = match self.item(setting.key).map(|item| (read(setting.kind, &item), item.origin())) {
            Some((Ok(values), origin)) => Some(Said { values, origin }),
            Some((Err(problem), _)) => {
                self.problems.push(problem);
                None
            }
            None => None,
        };
        if let Some(values) = self.layers.flags.get(setting.key) {
            return Said { values: values.clone(), origin: Origin::Flag(setting.flag.into()) };
        }
        let common = COMMON_ENV.iter().find(|(key, _)| *key == setting.key).map(|(_, env)| *env);
        let mut names = [Some(setting.env), common].into_iter().flatten();
        let said = |name: &str| self.layers.env.get(name).filter(|value| !value.is_empty());
        if let Some((name, value)) = names.find_map(|name| Some((name, said(name)?))) {
            let values = match setting.kind {
                Kind::List => value.split(',').map(|part| part.trim().to_owned()).collect(),
                Kind::Word | Kind::Switch => vec![value.clone()],
            };
            return Said { values, origin: Origin::Env(name.into()) };
        }
        from_file.unwrap_or_else(|| {
            let values = if setting.kind == Kind::List { Vec::new() } else { vec![setting.default.into()] };
            Said { values, origin: Origin::Default }
        })
    }

    fn row(&mut self, key: &str, value: impl Into<String>, origin: &Origin) {
        self.rows.push(Row { key: key.into(), value: value.into(), origin: origin.clone() });
    }

    /// A value that is wrong stands where its setting stands.
    fn wrong(&mut self, key: &str, origin: &Origin, message: String) {
        let place = match origin {
            Origin::File { .. } => self.item(key).map(|item| item.wrong("").origin),
            _ => None,
        };
        self.problems.push(Problem { origin: place.unwrap_or_else(|| origin.clone()), message });
    }

    /// A setting of one value. One that is wrong is noted, and the default stands in for it.
    pub(super) fn one<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> T {
        let setting = setting(key);
        let Said { values, origin } = self.said(setting);
        let text = values.into_iter().next_back().unwrap_or_default();
        match read(&text) {
            Ok(value) => {
                self.row(key, text, &origin);
                value
            }
            Err(message) => {
                self.wrong(key, &origin, message);
                read(setting.default).unwrap_or_else(|error| unreachable!("a default is valid: {error}"))
            }
        }
    }

    /// A setting that is on or off.
    pub(super) fn switch(&mut self, key: &'static str) -> bool {
        self.one(key, |text| match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            text => Err(format!("`{text}` is neither `true` nor `false`\nhint: write one of these")),
        })
    }

    /// Two switches that do not go together, the first of which is on.
    pub(super) fn excludes(&mut self, key: &'static str, other: &'static str, is_on: bool) {
        let origin = |key: &str| self.rows.iter().find(|row| row.key == key).map(|row| row.origin.clone());
        let (Some(first), Some(second)) = (origin(key), origin(other).filter(|_| is_on)) else { return };
        let message = format!("`{other}` does not go with `{key}`, which {first} says\nhint: take one of the two away");
        self.wrong(other, &second, message);
    }

    /// A path: one in the file is meant from the file's folder.
    pub(super) fn path(&mut self, key: &'static str) -> PathBuf {
        let Said { values, origin } = self.said(setting(key));
        let text = values.into_iter().next_back().unwrap_or_default();
        if text.is_empty() || text.contains('\0') {
            self.wrong(key, &origin, "an empty path names nothing\nhint: name a directory".into());
        }
        let path = self.placed(&origin, &text);
        self.row(key, path.display().to_string(), &origin);
        path
    }

    fn placed(&self, origin: &Origin, written: &str) -> PathBuf {
        match (origin, &self.document) {
            (Origin::File { .. }, Some((sheet, _))) => sheet.path(written),
            _ => written.into(),
        }
    }

    /// A setting of many values.
    pub(super) fn all<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        self.many(key, |_, _, text| read(text))
    }

    /// The same, of paths.
    pub(super) fn paths<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        self.many(key, |gather, origin, text| read(&gather.placed(origin, text).display().to_string()))
    }

    fn many<T>(&mut self, key: &'static str, read: impl Fn(&Self, &Origin, &str) -> Result<T, String>) -> Vec<T> {
        let Said { values, origin } = self.said(setting(key));
        let mut all = Vec::with_capacity(values.len());
        for text in &values {
            match read(self, &origin, text) {
                Ok(value) => all.push(value),
                Err(message) => self.wrong(key, &origin, message),
            }
        }
        self.row(key, if values.is_empty() { "none".into() } else { values.join(", ") }, &origin);
        all
    }

    /// Where secrets are. Of one that is no such place nothing is repeated: it may be the secret.
    pub(super) fn secrets(&mut self) -> Vec<SecretSource> {
        let key = "grants.secrets";
        let Said { values, origin } = self.said(setting(key));
        let mut sources: Vec<SecretSource> = Vec::with_capacity(values.len());
        for text in &values {
            let source = text.parse::<SecretSource>().and_then(|source| {
                let is_new = sources.iter().all(|other| other.name != source.name);
                if is_new { Ok(source) } else { Err(SecretSourceError::Twice(source.name)) }
            });
            match source {
                Ok(mut source) => {
                    if let sunaba_host::SecretPlace::File(path) = &mut source.place {
                        *path = self.placed(&origin, &path.display().to_string());
                    }
                    sources.push(source);
                }
                Err(error) => self.wrong(key, &origin, error.to_string()),
            }
        }
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        self.row(key, if names.is_empty() { "none".into() } else { names.join(", ") }, &origin);
        sources
    }

    /// Ceilings: by flags, else by the variable, else by the section.
    pub(super) fn limits(&mut self) -> LimitCaps {
        let from_file = self.limits_of_file();
        let said = match (self.layers.flags.get(LIMITS.key), self.layers.env.get(LIMITS.env)) {
            (Some(values), _) => Some((values.clone(), Origin::Flag(LIMITS.flag.into()))),
            (None, Some(value)) if !value.is_empty() => Some((vec![value.clone()], Origin::Env(LIMITS.env.into()))),
            _ => None,
        };
        let mut caps = LimitCaps::NONE;
        for (limit, value, origin) in from_file {
            // Limit by limit: a flag for one leaves the others as the file has them.
            let overridden = said.as_ref().is_some_and(|(texts, _)| {
                texts.iter().filter_map(|text| text.parse::<LimitCaps>().ok()).any(|caps| caps.get(limit).is_some())
            });
            if !overridden {
                self.row(&format!("limits.{limit}"), limit.format(value), &origin);
                caps.set(limit, value);
            }
        }
        let Some((texts, origin)) = said else { return caps };
        let mut own = LimitCaps::NONE;
        for text in texts {
            match text.parse::<LimitCaps>() {
                Ok(more) => own = own.tighter(&more),
                Err(error) => self.problems.push(Problem { origin: origin.clone(), message: error.to_string() }),
            }
        }
        for (limit, value) in own.iter() {
            self.row(&format!("limits.{limit}"), limit.format(value), &origin);
            caps.set(limit, value);
        }
        caps
    }

    fn limits_of_file(&mut self) -> Vec<(Limit, u64, Origin)> {
        let mut problems = Vec::new();
        let limits = self.section("limits").map_or_else(Vec::new, |section| limits_of(&section, &mut problems));
        self.problems.append(&mut problems);
        limits
    }

    /// What was gathered.
    ///
    /// # Errors
    /// Something is wrong.
    pub(super) fn done(mut self, layers: &Layers) -> Result<(Vec<Row>, Vec<String>), ConfigError> {
        for name in layers.env.keys().filter(|name| !variables().any(|known| known == *name)) {
            self.warnings.push(unknown_variable(name));
        }
        if self.problems.is_empty() {
            return Ok((self.rows, self.warnings));
        }
        // As they stand in the file; what is said elsewhere comes first.
        self.problems.sort_by_key(|problem| match &problem.origin {
            Origin::File { line, column, .. } => (*line, *column),
            _ => (0, 0),
        });
        self.problems.dedup();
        Err(ConfigError::Wrong(self.problems))
    }
}

fn read(kind: Kind, item: &Item<'_, '_>) -> Result<Vec<String>, Problem> {
    match kind {
        settings::Kind::Word => Ok(vec![item.word()?]),
        settings::Kind::Switch => Ok(vec![item.switch()?.to_string()]),
        settings::Kind::List => item.list(),
    }
}

/// A table of limits by their names.
pub(super) fn limits_of(section: &Section<'_, '_>, problems: &mut Vec<Problem>) -> Vec<(Limit, u64, Origin)> {
    let mut limits = Vec::new();
    let known = Limit::ALL.map(Limit::name);
    for item in section.items() {
        if item.key.parse::<Limit>().is_err() {
            problems.push(item.unknown(&format!("there is no limit `{}`", super::sheet::shown(item.key)), &known));
            continue;
        }
        let read = item.word().and_then(|value| {
            // By the one parser that there is, which says what may stand there.
            let caps = format!("{}={value}", item.key).parse::<LimitCaps>();
            caps.map_err(|error| item.wrong(error))
        });
        match read {
            Ok(caps) => limits.extend(caps.iter().map(|(limit, value)| (limit, value, item.origin()))),
            Err(problem) => problems.push(problem),
        }
    }
    limits
}
