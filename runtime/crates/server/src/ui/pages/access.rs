//! Keys, and the log of changes.

use askama::Template;
use axum::extract::Path;
use sunaba_task::{KeyStanding, Scope, parse_duration};

use super::{Answer, confirm, refused, told};
use crate::api::{AuditView, AuditsView, CreateKey, CreatedKey, KeyView, KeysView};
use crate::problem::Problem;
use crate::ui::desk::{encoded, query};
use crate::ui::form::Form;
use crate::ui::frame::{Frame, Note};
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Keys or changes of a page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "keys.html")]
struct Keys {
    frame: Frame,
    keys: Vec<KeyView>,
    next: Option<String>,
    made: Option<CreatedKey>,
}

impl Keys {
    fn scopes(&self) -> [Scope; 5] {
        Scope::ALL
    }

    fn of(&self, key: &KeyView) -> String {
        key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ")
    }

    fn bound(&self, key: &KeyView) -> String {
        key.queues.as_ref().map_or_else(|| "all".to_owned(), |queues| queues.join(", "))
    }

    fn standing(&self, key: &KeyView) -> &'static str {
        match key.standing {
            KeyStanding::Good => "good",
            KeyStanding::Expired => "expired",
            KeyStanding::Revoked => "revoked",
        }
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    entries: Vec<AuditView>,
    next: Option<String>,
}

async fn shown(visit: &Visit, fields: &Form, made: Option<CreatedKey>) -> Answer {
    let asked = query([("after", fields.get("after"))]);
    let KeysView { keys, next } = visit.desk.get(&format!("/v1/keys?limit={PAGE}&{asked}")).await?;
    Ok(page(&Keys { frame: visit.frame("Keys", "keys").await, keys, next, made }))
}

pub(super) async fn keys(visit: Visit, Fields(fields): Fields) -> Answer {
    shown(&visit, &fields, None).await
}

fn wanted(fields: &Form) -> Result<CreateKey, Problem> {
    let scopes = fields.all("scope").map(|scope| scope.parse::<Scope>().map_err(Problem::invalid));
    let queues: Vec<String> =
        fields.text("queues").split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let expires = fields.get("expires").map(parse_duration).transpose().map_err(Problem::invalid)?;
    Ok(CreateKey {
        name: fields.text("name").to_owned(),
        scopes: scopes.collect::<Result<_, _>>()?,
        queues: Some(queues).filter(|queues| !queues.is_empty()),
        expires_in_ms: expires.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// The text of a new key is on this page alone, so that there is no other to go back to.
pub(super) async fn create(visit: Visit, Fields(fields): Fields) -> Answer {
    let made = match wanted(&fields) {
        Ok(wanted) => visit.desk.send::<CreatedKey>("POST", "/v1/keys", &wanted).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => shown(&visit, &Form::default(), Some(made)).await,
        Err(problem) => Ok(visit.back(&fields, "/ui/keys", refused(&problem))),
    }
}

pub(super) async fn revoke(visit: Visit, Path(id): Path<String>, Fields(fields): Fields) -> Answer {
    if !fields.has("sure") {
        let what = "Whoever has it is not answered any more, from this moment on, and it cannot be made good again.";
        return confirm::ask(&visit, &fields, format!("Revoke the key {id}?"), what, "Revoke").await;
    }
    let gone =
        visit.desk.send::<KeyView>("DELETE", &format!("/v1/keys/{}", encoded(&id)), &serde_json::json!({})).await;
    let note = told(gone.map(|key| format!("the key {} ({}) is revoked", key.id, key.name)));
    Ok(visit.back(&Form::default(), "/ui/keys", Note { ..note }))
}

pub(super) async fn audit(visit: Visit, Fields(fields): Fields) -> Answer {
    let asked = query([("before", fields.get("before"))]);
    let AuditsView { entries, next } = visit.desk.get(&format!("/v1/audit?limit={PAGE}&{asked}")).await?;
    Ok(page(&Audit { frame: visit.frame("Audit log", "audit").await, entries, next }))
}
