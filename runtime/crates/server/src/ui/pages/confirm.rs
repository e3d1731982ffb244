//! Asks before something is done that cannot be taken back.

use askama::Template;

use super::Answer;
use crate::ui::form::Form;
use crate::ui::frame::Frame;
use crate::ui::visit::is_own;
use crate::ui::{Visit, page};

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'a> {
    frame: Frame,
    question: String,
    consequence: String,
    verb: &'a str,
    to: String,
    back: String,
    fields: Vec<&'a (String, String)>,
}

/// The same form once more, to be sent by whoever is sure.
pub(super) async fn ask(visit: &Visit, form: &Form, question: String, consequence: &str, verb: &str) -> Answer {
    let frame = visit.frame("Are you sure?", "").await;
    let back = form.get("back").filter(|to| is_own(to)).unwrap_or("/ui/overview").to_owned();
    let to = visit.here.split('?').next().unwrap_or_default().to_owned();
    let fields = form.again().filter(|(name, _)| name != "back").collect();
    let consequence = consequence.to_owned();
    Ok(page(&Confirm { frame, question, consequence, verb, to, back, fields }))
}
