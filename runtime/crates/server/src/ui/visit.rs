//! Who visits, and what they bring: a cookie that tells their forms from those of other sites and by which they may be signed in, a
//! theme, and a note for the next page.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sunaba_task::{KeyText, Timestamp};

use super::desk::Desk;
use super::form::Form;
use super::frame::{Frame, Note, Theme};
use super::{Ui, sessions};
use crate::access::{Admission, Caller};
use crate::envelope::RequestId;
use crate::problem::Problem;

/// With the port behind it: a browser has one jar for all hosts of a machine.
const VISIT: &str = "sunaba_visit";
const THEME: &str = "sunaba_theme";
const NOTE: &str = "sunaba_note";
/// The longest note; a cookie holds a little more.
const MAX_NOTE_BYTES: usize = 800;

/// A visit: one request of somebody.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) ui: Arc<Ui>,
    pub(super) desk: Desk,
    pub(super) caller: Caller,
    pub(super) now: Option<Timestamp>,
    pub(super) theme: Theme,
    /// The path and what stands behind its question mark.
    pub(super) here: String,
    /// Whether they look, and send no form.
    pub(super) is_look: bool,
    cookie: String,
    /// What that cookie is called.
    name: String,
    /// Whether they came without a cookie, or with a bad one.
    is_new: bool,
    note: Option<Note>,
}

impl Visit {
    pub(super) async fn of(ui: &Arc<Ui>, parts: &Parts) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port = host.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok()).unwrap_or("80");
        let name = format!("{VISIT}_{port}");
        let is_whole = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sent = cookie(headers, &name).filter(is_whole);
        let is_new = sent.is_none();
        let cookie_text = match sent {
            Some(sent) => sent,
            None => new_cookie()?,
        };
        let signed = ui.sessions.key(&cookie_text);
        let (caller, signed) = match signed {
            // A key that is revoked meanwhile signs its owner out.
            Some(digest) => match ui.keys.find_digest(&digest).await {
                Ok(key) => (Caller::Key(key), Some(digest)),
                Err(problem) if problem.status == 401 => {
                    ui.sessions.leave(&cookie_text);
                    (Caller::Nobody, None)
                }
                Err(problem) => return Err(problem),
            },
            None if ui.admission == Admission::Anybody => (Caller::Anybody, None),
            None => (Caller::Nobody, None),
        };
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let uri = &parts.uri;
        Ok(Self {
            desk: Desk { api: ui.api.clone(), signed, request: request_id },
            ui: Arc::clone(ui),
            caller,
            now: ui.keys.now().await.ok(),
            theme: cookie(headers, THEME).map_or(Theme::System, |word| Theme::read(&word)),
            here: uri.path_and_query().map_or(uri.path(), |both| both.as_str()).to_owned(),
            is_look: parts.method == Method::GET,
            cookie: cookie_text,
            name,
            is_new,
            note: cookie(headers, NOTE).and_then(|text| Note::read(&text)),
        })
    }

    /// Whether there is a cookie of ours at all: without one no form is taken, whatever is in it.
    pub(super) fn check_cookie(&self) -> Result<(), Problem> {
        if self.is_new { Err(no_token()) } else { Ok(()) }
    }

    /// What this form must have in it, as one that was on a page of this visitor's.
    pub(super) fn check(&self, form: &Form) -> Result<(), Problem> {
        let expected = self.ui.sessions.token(&self.cookie);
        // Compared by digests, so that the time that it takes tells nothing of the token.
        let digest = |text: &str| sunaba_task::Digest::of(text.as_bytes());
        let is_own = expected.is_some_and(|expected| digest(&expected) == digest(form.text("csrf")));
        if is_own { self.check_cookie() } else { Err(no_token()) }
    }

    /// Signs in by a key.
    pub(super) async fn enter(&mut self, text: &str) -> Result<(), Problem> {
        let malformed = || {
            let message = "what was sent as a key is none\nhint: a key is `sunaba_` and 64 hexadecimal digits";
            Problem::new(StatusCode::UNAUTHORIZED, message).code("key-malformed")
        };
        let text = KeyText::read(text).ok_or_else(malformed)?;
        let key = self.ui.keys.find(&text).await?;
        self.ui.sessions.leave(&self.cookie);
        // Another cookie than before: whoever knew that one is not signed in with it.
        self.cookie = new_cookie()?;
        self.ui.sessions.enter(&self.cookie, text.digest());
        self.caller = Caller::Key(key);
        Ok(())
    }

    pub(super) fn exit(&mut self) -> Result<(), Problem> {
        self.ui.sessions.leave(&self.cookie);
        self.cookie = new_cookie()?;
        self.caller = Caller::Nobody;
        Ok(())
    }

    pub(super) fn token(&self) -> String {
        self.ui.sessions.token(&self.cookie).unwrap_or_default()
    }

    pub(super) async fn frame(&self, title: &str, section: &'static str) -> Frame {
        Frame::new(self, title, section, self.note.clone()).await
    }

    /// Gives a response the cookie of a new visitor, and takes a note away that it shows.
    pub(super) fn leave(&self, response: &mut Response) {
        if self.is_new && !has_cookie(response, &self.name) {
            self.keep(response);
        }
        if self.note.is_some() && !response.status().is_redirection() && !has_cookie(response, NOTE) {
            set(response, &format!("{NOTE}=; Path=/ui; Max-Age=0; HttpOnly; SameSite=Strict"));
        }
    }

    /// Gives a response this visit's cookie.
    pub(super) fn keep(&self, response: &mut Response) {
        let life = sessions::LIFE.as_secs();
        let Self { name, cookie, .. } = self;
        set(response, &format!("{name}={cookie}; Path=/ui; Max-Age={life}; HttpOnly; SameSite=Strict"));
    }

    /// To a page of ours, which shows this note.
    pub(super) fn back(&self, form: &Form, otherwise: &str, note: Note) -> Response {
        let to = form.get("back").filter(|to| is_own(to)).unwrap_or(otherwise);
        let mut response = see_other(to);
        set(
            &mut response,
            &format!("{NOTE}={}; Path=/ui; Max-Age=60; HttpOnly; SameSite=Strict", note.cookie(MAX_NOTE_BYTES)),
        );
        response
    }
}

fn no_token() -> Problem {
    let message = "the form has no token of this visit, and nothing was done\nhint: go back, load the page anew, and send it \
                   again; cookies must be allowed for this host";
    Problem::new(StatusCode::FORBIDDEN, message).code("csrf")
}

/// Whether this leads to a page of ours and nowhere else.
pub(super) fn is_own(to: &str) -> bool {
    to.starts_with("/ui/") && to.len() <= 4_096 && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

pub(super) fn set_theme(response: &mut Response, theme: Theme) {
    let life = if theme == Theme::System { 0 } else { 365 * 24 * 60 * 60 };
    set(response, &format!("{THEME}={}; Path=/ui; Max-Age={life}; HttpOnly; SameSite=Strict", theme.word()));
}

pub(super) fn see_other(to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/ui/overview"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

fn new_cookie() -> Result<String, Problem> {
    let made = sunaba_store::new_key_text().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("there are no random numbers for a cookie: {error}"))
    })?;
    // It is no key, and does not look like one.
    Ok(made.reveal().trim_start_matches("sunaba_").to_owned())
}

/// The value of a cookie, if it is there once.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = found.by_ref().filter(|(own, _)| *own == name).map(|(_, value)| value.to_owned());
    let value = values.next();
    value.filter(|_| values.next().is_none())
}

fn set(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn has_cookie(response: &Response, name: &str) -> bool {
    let all = response.headers().get_all(header::SET_COOKIE).iter();
    all.filter_map(|value| value.to_str().ok()).any(|value| value.split('=').next() == Some(name))
}

/// Put there by whoever has looked who visits.
impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let none = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody has looked who visits");
        parts.extensions.get::<Self>().cloned().ok_or_else(none)
    }
}

/// The fields of a form, or of a query.
pub(super) struct Fields(pub(super) Arc<Form>);

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Arc<Form>>().cloned().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn way_back_leads_to_our_pages_alone() {
        for own in ["/ui/tasks", "/ui/tasks?state=dead&queue=a%20b"] {
            assert!(is_own(own), "{own}");
        }
        for other in ["//example.org", "https://example.org/ui/", "/v1/tasks", "/ui/\r\nx: y", "/ui/\\example.org", ""]
        {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn cookie_that_is_there_twice_is_none() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::COOKIE, value.parse().expect("a header's value"));
            }
            cookie(&headers, VISIT)
        };
        assert_eq!(of(&["a=b; sunaba_visit=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(of(&["sunaba_visit=x; sunaba_visit=y"]), None);
        assert_eq!(of(&["sunaba_visit=x", "sunaba_visit=x"]), None);
        assert_eq!(of(&["other=x"]), None);
    }
}
