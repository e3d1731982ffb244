//! Webhooks: who is told of what, whether they take it, and what can be done about it. A secret is on the page that follows its making,
//! and on no other.

use askama::Template;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use serde_json::json;
use sunaba_task::webhook::EVENTS;
use sunaba_task::{StateName, parse_duration};

use super::webhooks as tell;
use super::{Answer, confirm, refused, told, unknown};
use crate::api::{
    ChangedWebhook, DeletedWebhook, DeliveriesView, DeliveryView, PutWebhook, RotateWebhook, SentView, WebhookView,
    WebhooksView,
};
use crate::problem::Problem;
use crate::ui::desk::{absent, encoded, query, unchanged};
use crate::ui::form::Form;
use crate::ui::frame::{Frame, Note};
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Deliveries of a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Webhooks {
    frame: Frame,
    webhooks: Vec<WebhookView>,
    form: Form,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    webhook: WebhookView,
    deliveries: Vec<DeliveryView>,
    next: Option<String>,
    failed: bool,
    form: Form,
}

#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct SecretPage {
    frame: Frame,
    name: String,
    secret: String,
    both_until: Option<String>,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    frame: Frame,
    webhook: String,
    delivery: DeliveryView,
    body: Option<String>,
}

/// What stands in the fields of a form about this webhook.
fn filled(webhook: &WebhookView) -> Form {
    Form::of([
        ("url", webhook.url.clone()),
        ("events", webhook.events.join(", ")),
        ("queues", webhook.queues.join(", ")),
        ("handlers", webhook.handlers.join(", ")),
        ("tags", webhook.tags.join(", ")),
    ])
}

/// What can be told of.
fn events() -> &'static [&'static str] {
    &EVENTS
}

/// Where a URL leads, without what may be a secret in it: a user, a path, a query.
pub(super) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// What somebody should know of a webhook.
pub(super) fn attention(webhook: &WebhookView) -> Option<String> {
    match &webhook.disabled {
        Some(disabled) if disabled.by_failure => Some(format!("disabled: {}", disabled.reason)),
        Some(_) => None,
        None if webhook.failing_since.is_some() => {
            let failure = webhook.last_failure.as_ref().map_or("", |failure| failure.message.as_str());
            Some(format!("fails: {failure}"))
        }
        None if webhook.dropped > 0 => {
            Some(format!("{} left out: too many waited", show::of(webhook.dropped, "event")))
        }
        None => None,
    }
}

/// Whether it gets anything, in a word.
fn standing(webhook: &WebhookView) -> &'static str {
    match &webhook.disabled {
        Some(disabled) if disabled.by_failure => "stopped",
        Some(_) => "disabled",
        None if webhook.failing_since.is_some() => "failing",
        None => "active",
    }
}

/// The word for a delivery's state, as whoever is told has it.
fn delivered(state: &StateName) -> &'static str {
    match state {
        StateName::Succeeded => "delivered",
        StateName::Dead => "given up",
        StateName::RetryScheduled => "to be tried again",
        StateName::Running => "on its way",
        StateName::Cancelled | StateName::Expired => "not sent",
        StateName::Queued | StateName::Scheduled | StateName::Blocked => "waits",
    }
}

/// What the last attempt came to.
fn last(delivery: &DeliveryView) -> String {
    match delivery.attempts.last() {
        None => String::new(),
        Some(SentView { problem: Some(problem), .. }) => problem.clone(),
        Some(SentView { status: Some(status), .. }) => format!("answered {status}"),
        Some(_) => String::new(),
    }
}

pub(super) async fn list(visit: Visit) -> Answer {
    Ok(page(&listed(&visit, Form::default()).await?))
}

async fn listed(visit: &Visit, form: Form) -> Result<Webhooks, Problem> {
    let WebhooksView { webhooks } = visit.desk.get("/v1/webhooks").await?;
    Ok(Webhooks { frame: visit.frame("Webhooks", "webhooks").await, webhooks, form })
}

/// What the fields say of where it goes and of what it is told.
fn wanted(fields: &Form) -> PutWebhook {
    PutWebhook {
        url: fields.text("url").to_owned(),
        events: fields.words("events"),
        queues: fields.words("queues"),
        handlers: fields.words("handlers"),
        tags: tags(fields),
        enabled: None,
    }
}

/// Tags may have blanks in them.
fn tags(fields: &Form) -> Vec<String> {
    let all = fields.text("tags").split(',').map(str::trim);
    all.filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// A webhook as it is, to be put again.
fn same(webhook: WebhookView) -> PutWebhook {
    let WebhookView { url, events, queues, handlers, tags, .. } = webhook;
    PutWebhook { url, events, queues, handlers, tags, enabled: None }
}

pub(super) async fn create(visit: Visit, Fields(fields): Fields) -> Answer {
    let name = fields.text("name");
    let put = PutWebhook { enabled: Some(!fields.has("disabled")), ..wanted(&fields) };
    let at = format!("/v1/webhooks/{}", encoded(name));
    // One that is there is not changed by who meant another.
    match visit.desk.send_if::<ChangedWebhook>("PUT", &at, absent(), &put).await {
        Ok(made) => secret(&visit, made).await,
        // With all that was written, to be mended.
        Err(problem) => {
            let mut list = listed(&visit, Form::clone(&fields)).await?;
            list.frame.note = Some(refused(&problem));
            Ok((problem.status(), page(&list)).into_response())
        }
    }
}

/// The text of a new secret is on this page alone, so that there is no other to go back to.
async fn secret(visit: &Visit, made: ChangedWebhook) -> Answer {
    let ChangedWebhook { secret, webhook } = made;
    let own = format!("/ui/webhooks/{}", encoded(&webhook.name));
    let Some(secret) = secret else {
        let note = Note::good(format!("the webhook {} is set", webhook.name));
        return Ok(visit.back(&Form::default(), &own, note));
    };
    let both_until = webhook.secrets.iter().find_map(|secret| secret.until.clone());
    let frame = visit.frame(&format!("Secret of {}", webhook.name), "webhooks").await;
    Ok(page(&SecretPage { frame, name: webhook.name, secret: secret.reveal().to_owned(), both_until }))
}

pub(super) async fn show(visit: Visit, Path(name): Path<String>, Fields(fields): Fields) -> Answer {
    let at = format!("/v1/webhooks/{}", encoded(&name));
    let webhook: WebhookView = visit.desk.get(&at).await?;
    let failed = fields.text("failed") == "true";
    let asked = query([("failed", failed.then_some("true")), ("before", fields.get("before"))]);
    let found: DeliveriesView = visit.desk.get(&format!("{at}/deliveries?limit={PAGE}&{asked}")).await?;
    let frame = visit.frame(&format!("Webhook {name}"), "webhooks").await;
    let DeliveriesView { deliveries, next } = found;
    let form = filled(&webhook);
    Ok(page(&WebhookPage { frame, webhook, deliveries, next, failed, form }))
}

pub(super) async fn act(visit: Visit, Path(name): Path<String>, Fields(fields): Fields) -> Answer {
    let at = format!("/v1/webhooks/{}", encoded(&name));
    let own = format!("/ui/webhooks/{}", encoded(&name));
    let nothing = json!({});
    let note = match fields.text("action") {
        "test" => match visit.desk.send::<DeliveryView>("POST", &format!("{at}/test"), &nothing).await {
            Ok(made) => {
                let note = Note::good("a test is on its way; this page tells what comes of it");
                return Ok(visit.back(&Form::default(), &format!("{own}/deliveries/{}", encoded(&made.id)), note));
            }
            Err(problem) => refused(&problem),
        },
        word @ ("enable" | "disable") => {
            told(enable(&visit, &at, word == "enable").await.map(|webhook| format!("{} is {word}d", webhook.name)))
        }
        "set" => {
            let set = visit.desk.send_if::<ChangedWebhook>("PUT", &at, unchanged(&fields), &wanted(&fields)).await;
            told(set.map(|set| format!("{} is changed", set.webhook.name)))
        }
        "rotate" if !fields.has("sure") => {
            let what = "Whoever checks signatures must be given the new secret, which is shown once, on the next page.";
            return confirm::ask(&visit, &fields, format!("Make a new secret for {name}?"), what, "Rotate").await;
        }
        "rotate" => match rotate(&visit, &at, &fields).await {
            Ok(made) => return secret(&visit, made).await,
            Err(problem) => refused(&problem),
        },
        "delete" if !fields.has("sure") => {
            let what =
                "It is told of nothing more, and what waits for it is not sent. What was sent stays for a while.";
            return confirm::ask(&visit, &fields, format!("Remove the webhook {name}?"), what, "Remove").await;
        }
        "delete" => {
            let gone = visit.desk.send::<DeletedWebhook>("DELETE", &at, &nothing).await;
            let note = told(gone.map(|gone| format!("the webhook {} is removed", gone.deleted)));
            let to = if note.is_good { "/ui/webhooks" } else { &own };
            return Ok(visit.back(&Form::default(), to, note));
        }
        other => return Err(unknown(other)),
    };
    Ok(visit.back(&fields, &own, note))
}

/// Sets whether it gets anything, and leaves all else as it is by then.
async fn enable(visit: &Visit, at: &str, enabled: bool) -> Result<WebhookView, Problem> {
    let webhook: WebhookView = visit.desk.get(at).await?;
    let revision = Form::of([("revision", webhook.revision.to_string())]);
    let put = PutWebhook { enabled: Some(enabled), ..same(webhook) };
    let set = visit.desk.send_if::<ChangedWebhook>("PUT", at, unchanged(&revision), &put).await?;
    Ok(set.webhook)
}

async fn rotate(visit: &Visit, at: &str, fields: &Form) -> Result<ChangedWebhook, Problem> {
    let overlap = fields.get("overlap").map(parse_duration).transpose().map_err(Problem::invalid)?;
    let overlap_ms = overlap.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    visit.desk.send("POST", &format!("{at}/rotate"), &RotateWebhook { overlap_ms }).await
}

pub(super) async fn delivery(visit: Visit, Path((name, id)): Path<(String, String)>) -> Answer {
    let at = format!("/v1/webhooks/{}/deliveries/{}", encoded(&name), encoded(&id));
    let delivery: DeliveryView = visit.desk.get(&at).await?;
    let body = delivery.body.as_ref().map(|body| body.get().to_owned());
    let frame = visit.frame(&format!("Delivery {id}"), "webhooks").await;
    Ok(page(&DeliveryPage { frame, webhook: name, delivery, body }))
}

pub(super) async fn resend(visit: Visit, Path((name, id)): Path<(String, String)>, Fields(fields): Fields) -> Answer {
    if fields.text("action") != "resend" {
        return Err(unknown(fields.text("action")));
    }
    let own = format!("/ui/webhooks/{}/deliveries", encoded(&name));
    let at = format!("/v1/webhooks/{}/deliveries/{}/resend", encoded(&name), encoded(&id));
    match visit.desk.send::<DeliveryView>("POST", &at, &json!({})).await {
        Ok(made) => {
            let note = Note::good("it is sent again: the same message, in a delivery of its own");
            Ok(visit.back(&Form::default(), &format!("{own}/{}", encoded(&made.id)), note))
        }
        Err(problem) => Ok(visit.back(&fields, &format!("{own}/{}", encoded(&id)), refused(&problem))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_has_nothing_of_a_url_that_may_be_secret() {
        for (url, expected) in [
            ("https://example.com/hooks/T0K3N?key=1", "https://example.com"),
            ("https://user:pass@example.com:8443/x", "https://example.com:8443"),
            ("http://[::1]:9/x#y", "http://[::1]:9"),
            ("https://example.com?key=1", "https://example.com"),
            ("https://example.com", "https://example.com"),
            ("nonsense/secret", "nonsense"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }
}
