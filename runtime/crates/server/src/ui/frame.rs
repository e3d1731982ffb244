//! What is around every page: where it is, who looks at it, what they may do, and how it is shown.

use std::borrow::{Borrow, Cow};

use askama::filters::Safe;
use sunaba_task::Timestamp;

use super::visit::Visit;
use super::{assets, desk, show};
use crate::access::{Caller, allows};
use crate::api::{AlertState, AlertsView};

/// The sections, in the order in which they are shown: the word of each, its name, the key behind `g` that leads to it, and the
/// route that its page asks first.
const SECTIONS: &[Section] = &[
    Section { word: "overview", name: "Overview", key: "o", asks: "GET /v1/host" },
    Section { word: "tasks", name: "Tasks", key: "t", asks: "GET /v1/tasks" },
    Section { word: "jobs", name: "Jobs", key: "j", asks: "GET /v1/jobs" },
    Section { word: "queues", name: "Queues", key: "q", asks: "GET /v1/queues" },
    Section { word: "dead", name: "Dead letters", key: "d", asks: "GET /v1/dead/groups" },
    Section { word: "schedules", name: "Schedules", key: "s", asks: "GET /v1/schedules" },
    Section { word: "webhooks", name: "Webhooks", key: "b", asks: "GET /v1/webhooks" },
    Section { word: "handlers", name: "Handlers", key: "h", asks: "GET /v1/packages" },
    Section { word: "workers", name: "Workers", key: "w", asks: "GET /v1/workers" },
    Section { word: "incidents", name: "Incidents", key: "i", asks: "GET /v1/incidents" },
    Section { word: "keys", name: "Keys", key: "k", asks: "GET /v1/keys" },
    Section { word: "audit", name: "Audit log", key: "a", asks: "GET /v1/audit" },
    Section { word: "settings", name: "Settings", key: "c", asks: "GET /v1/keys" },
];

#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) word: &'static str,
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    asks: &'static str,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    /// As the visitor's system has it.
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) fn read(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// What came of a form, for the page after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) is_good: bool,
    pub(super) text: String,
}

impl Note {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { is_good: true, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { is_good: false, text: text.into() }
    }

    pub(super) fn cookie(&self, most_bytes: usize) -> String {
        let end = self.text.floor_char_boundary(most_bytes);
        format!("{}{}", if self.is_good { '+' } else { '-' }, desk::encoded(&self.text[..end]))
    }

    pub(super) fn read(cookie: &str) -> Option<Self> {
        let is_good = cookie.starts_with('+');
        let rest = cookie.strip_prefix(['+', '-'])?;
        let form = super::form::Form::read(format!("note={}", rest.replace('+', "%2B")).as_bytes()).ok()?;
        Some(Self { is_good, text: form.whole("note")?.to_owned() }).filter(|note| !note.text.is_empty())
    }
}

/// What is around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) section: &'static str,
    pub(super) caller: Caller,
    pub(super) theme: Theme,
    pub(super) note: Option<Note>,
    pub(super) here: String,
    /// Whether the page can be asked for again, and not only be the answer to a form.
    is_look: bool,
    token: String,
    now: Option<Timestamp>,
    /// Alerts that fire; none where the visitor may not know.
    pub(super) firing: Option<usize>,
}

impl Frame {
    pub(super) async fn new(visit: &Visit, title: &str, section: &'static str, note: Option<Note>) -> Self {
        let caller = visit.caller.clone();
        let alerts = match allows(&caller, "GET /v1/alerts") {
            true => visit.desk.get::<AlertsView>("/v1/alerts").await.ok(),
            false => None,
        };
        let is_firing =
            |alerts: AlertsView| alerts.alerts.iter().filter(|alert| alert.state == AlertState::Firing).count();
        Self {
            title: title.to_owned(),
            section,
            theme: visit.theme,
            note,
            here: visit.here.clone(),
            is_look: visit.is_look,
            token: visit.token(),
            now: visit.now,
            firing: alerts.map(is_firing),
            caller,
        }
    }

    /// The sections that the visitor may see.
    pub(super) fn sections(&self) -> impl Iterator<Item = &'static Section> {
        SECTIONS.iter().filter(|section| self.may(section.asks))
    }

    /// Whether the visitor would be let through to this route.
    pub(super) fn may(&self, route: &str) -> bool {
        allows(&self.caller, route)
    }

    /// What every form has in it: its token, and the way back to this page.
    pub(super) fn token(&self) -> Safe<String> {
        Safe(format!(
            "<input type=\"hidden\" name=\"csrf\" value=\"{}\"><input type=\"hidden\" name=\"back\" value=\"{}\">",
            self.token,
            show::escaped(&self.here)
        ))
    }

    /// Who is signed in.
    pub(super) fn who(&self) -> Option<Cow<'_, str>> {
        match &self.caller {
            Caller::Key(key) => Some(Cow::Borrowed(&key.name)),
            Caller::Anybody | Caller::Nobody => None,
        }
    }

    pub(super) fn scopes(&self) -> String {
        let Caller::Key(key) = &self.caller else { return String::new() };
        let scopes = key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
        let queues = key.queues.as_ref().map(|queues| format!("; queues {}", queues.join(", ")));
        scopes + &queues.unwrap_or_default()
    }

    /// Whether there are pages to be seen.
    pub(super) fn is_in(&self) -> bool {
        !matches!(self.caller, Caller::Nobody)
    }

    /// Whether the page is kept up to date: what a form was answered with, a new key or a question, is shown once.
    pub(super) fn is_live(&self) -> bool {
        self.is_look && self.is_in()
    }

    pub(super) fn next_theme(&self) -> Theme {
        match self.theme {
            Theme::System => Theme::Dark,
            Theme::Dark => Theme::Light,
            Theme::Light => Theme::System,
        }
    }

    pub(super) fn style(&self) -> &'static str {
        assets::style()
    }

    pub(super) fn script(&self) -> &'static str {
        assets::script()
    }

    pub(super) fn icon(&self) -> &'static str {
        assets::icon()
    }

    /// An instant as `3 min ago` or `in 3 min`, with itself in its title.
    pub(super) fn ago(&self, at: impl AsRef<str>) -> Safe<String> {
        Safe(show::ago(self.now, at.as_ref()))
    }

    /// The same of one that may not be there.
    pub(super) fn maybe(&self, at: impl Borrow<Option<String>>) -> Safe<String> {
        Safe(at.borrow().as_ref().map_or_else(|| "\u{2013}".to_owned(), |at| show::ago(self.now, at)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn note_comes_back_as_it_was_and_is_bounded() {
        let note = Note::good("3 tasks cancelled; +1 \u{e9} = \"x\"\r\n");
        assert_eq!(Note::read(&note.cookie(100)), Some(note.clone()));
        let long = Note::bad("\u{e9}".repeat(1_000));
        let read = Note::read(&long.cookie(101)).expect("a note");
        assert_eq!((read.is_good, read.text.len()), (false, 100));
        assert_eq!(Note::read("x"), None);
        assert!(note.cookie(100).bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b','));
    }

    #[test]
    fn every_section_has_a_key_of_its_own() {
        let keys: BTreeSet<_> = SECTIONS.iter().map(|section| section.key).collect();
        assert_eq!(keys.len(), SECTIONS.len());
        assert!(SECTIONS.iter().all(|section| allows(&Caller::Anybody, section.asks)));
    }
}
