//! How webhooks and their deliveries are printed. What an endpoint has answered is shown inert.

use comfy_table::Table;
use sunaba_runtime::server::api::{ChangedWebhook, DeliveryView, SentView, WebhookView};
use sunaba_runtime::task::format_count;

use crate::exit::CommandError;
use crate::{Format, Global, print};

/// What was made or changed. A new secret goes alone to standard output, so that it can be piped to where it is kept.
pub(super) fn changed(global: &Global, changed: &ChangedWebhook) -> Result<(), CommandError> {
    match (global.output, &changed.secret) {
        (Format::Text, Some(secret)) => {
            let webhook = &changed.webhook;
            print::aside(global, format_args!("the secret of the webhook {}; it is not shown again", webhook.name));
            print::data(format!("{}\n", secret.reveal()).as_bytes())
        }
        (Format::Text, None) => show(global, &changed.webhook),
        (format, _) => print::json(format, changed),
    }
}

pub(super) fn list(global: &Global, webhooks: &[WebhookView]) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return webhooks.iter().try_for_each(|webhook| print::json(Format::Jsonl, webhook));
    }
    if webhooks.is_empty() {
        print::aside(global, "there is no webhook");
        return Ok(());
    }
    let mut table = Table::new();
    let header = ["WEBHOOK", "URL", "EVENTS", "PENDING", "DELIVERED", "GIVEN UP", "ATTENTION"];
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for webhook in webhooks {
        let attention = attention(webhook);
        let [pending, delivered, given_up] = [webhook.pending, webhook.delivered, webhook.given_up].map(format_count);
        let events = webhook.events.join(",");
        let row = [&webhook.name, &webhook.url, &events, &pending, &delivered, &given_up, &attention];
        table.add_row(row);
    }
    print::table(&table)
}

/// Whether something of it wants a look, in few words.
fn attention(webhook: &WebhookView) -> String {
    let disabled = webhook.disabled.as_ref().map(|disabled| format!("disabled: {}", disabled.reason));
    let failing = webhook.failing_since.as_ref().map(|since| {
        let last = webhook.last_failure.as_ref().map_or("", |failure| failure.message.as_str());
        format!("failing since {since}: {last}")
    });
    let dropped = (webhook.dropped > 0).then(|| format!("{} events dropped", format_count(webhook.dropped)));
    let found: Vec<_> = [disabled, failing, dropped].into_iter().flatten().collect();
    if found.is_empty() { "-".into() } else { print::inert(&found.join("; ")).into_owned() }
}

pub(super) fn show(global: &Global, webhook: &WebhookView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, webhook);
    }
    let mut rows = vec![
        ("webhook", format!("{}, revision {}", webhook.name, webhook.revision)),
        ("url", webhook.url.clone()),
        ("events", webhook.events.join(", ")),
    ];
    let filters = [("queues", &webhook.queues), ("handlers", &webhook.handlers), ("tags", &webhook.tags)];
    rows.extend(
        filters.into_iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| (what, names.join(", "))),
    );
    let secrets = webhook.secrets.iter().map(|secret| match &secret.until {
        Some(until) => format!("another until {until}"),
        None => format!("one of {}", secret.created_at),
    });
    rows.push(("secrets", secrets.collect::<Vec<_>>().join(", ")));
    let [pending, delivered, given_up] = [webhook.pending, webhook.delivered, webhook.given_up].map(format_count);
    rows.push(("deliveries", format!("{pending} pending, {delivered} delivered, {given_up} given up")));
    rows.extend(webhook.last_success.clone().map(|at| ("succeeded", at)));
    rows.push(("attention", attention(webhook)));
    print::rows(&rows)
}

pub(super) fn deliveries(global: &Global, deliveries: &[DeliveryView]) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return deliveries.iter().try_for_each(|delivery| print::json(Format::Jsonl, delivery));
    }
    if deliveries.is_empty() {
        print::aside(global, "there is no such delivery");
        return Ok(());
    }
    let mut table = Table::new();
    let header = ["DELIVERY", "EVENT", "STATE", "ATTEMPTS", "LAST", "NEXT"];
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for delivery in deliveries {
        let last = delivery.attempts.last().map_or_else(|| "-".into(), outcome);
        let next = delivery.due_at.clone().unwrap_or_else(|| "-".into());
        let (state, attempts) = (delivery.state.to_string(), delivery.attempts.len().to_string());
        table.add_row([&delivery.id, &delivery.event, &state, &attempts, &last, &next]);
    }
    print::table(&table)
}

pub(super) fn delivery(global: &Global, delivery: &DeliveryView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, delivery);
    }
    let mut rows = vec![
        ("delivery", delivery.id.clone()),
        ("message", delivery.message.clone()),
        ("event", delivery.event.clone()),
        ("state", delivery.state.to_string()),
    ];
    rows.extend(delivery.due_at.clone().map(|at| ("next", at)));
    rows.extend(delivery.resent_as.clone().map(|id| ("resent as", id)));
    for attempt in &delivery.attempts {
        rows.push(("attempt", format!("{}, {}: {}", attempt.number, attempt.at, outcome(attempt))));
        let answer = attempt.answer.as_ref().filter(|answer| !answer.is_empty());
        rows.extend(answer.map(|answer| ("answer", print::inert(answer).into_owned())));
    }
    rows.extend(delivery.body.as_ref().map(|body| ("body", print::inert(body.get()).into_owned())));
    print::rows(&rows)
}

fn outcome(attempt: &SentView) -> String {
    let time = attempt.duration_ms.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
    match (&attempt.problem, attempt.status) {
        (Some(problem), _) => format!("{}{time}", print::inert(problem)),
        (None, Some(status)) => format!("{status}{time}"),
        (None, None) => format!("taken{time}"),
    }
}
