//! How the host stands: whether it is ready, its metrics, its alerts, what it has done, and what went wrong.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use sunaba_host::Every;
use sunaba_store::Readiness;
use sunaba_task::{Scope, Timestamp};

use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{AlertsView, IncidentsView, ReportBy, ReportView};
use crate::body::Reply;
use crate::extract::Asked;
use crate::metrics::{CONTENT_TYPE, Page};
use crate::problem::Problem;

/// Incidents are shown that were seen so lately, unless asked otherwise.
const DEFAULT_DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/alerts", get(alerts))
        .route("/v1/report", get(report))
        .route("/v1/incidents", get(incidents))
}

/// Ready is a host whose store takes changes and has room, and whose worker was heard of lately. Whoever may read is told each of
/// these, and how durable answers are; all others that it is ready, or not.
pub(super) async fn ready(State(shared): State<Shared>) -> Result<String, Problem> {
    let checks = shared.runtime.checks().await;
    let caller = Caller::now();
    let may_read = caller.may(Scope::Read) && caller.queues().is_none();
    if checks.iter().any(|check| !check.is_good) {
        let told = checks.iter().map(|check| {
            let word = if check.is_good { "good" } else { "bad" };
            format!("{} is {word} ({})", check.name, check.found)
        });
        let message = match may_read {
            true => format!("the host is not ready: {}", told.collect::<Vec<_>>().join("; ")),
            false => "the host is not ready\nhint: send a key that may read, and be told why".to_owned(),
        };
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, message));
    }
    if !may_read {
        return Ok("ok\n".to_owned());
    }
    let mut text = format!("ok\ndurability {}\n", shared.runtime.store().durability());
    checks.iter().for_each(|check| text.push_str(&format!("{}: {}\n", check.name, check.found)));
    // A package that cannot run yet holds up nobody else, so that the host is ready all the same.
    for package in shared.runtime.packages() {
        if let Some(problem) = shared.runtime.readiness(&package).map(problem) {
            text.push_str(&format!("package {}: {problem}\n", package.name));
        }
    }
    Ok(text)
}

/// What is said of a package that cannot run yet, in one line.
pub(super) fn problem(readiness: Readiness) -> String {
    match readiness {
        Readiness::Compiling(None) => "its component is being compiled".into(),
        Readiness::Compiling(Some(problem)) => format!("its component is compiled again after: {problem}"),
        Readiness::Failed(problem) => format!("its component cannot be compiled on this host: {problem}"),
    }
}

async fn metrics(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let (sample, observations) = shared.runtime.sample().await;
    let (alerts, alerts_fired) = (shared.runtime.alerts(), shared.runtime.alerts_fired());
    let page = Page { version: env!("CARGO_PKG_VERSION"), sample, observations, alerts, alerts_fired };
    let text = page.text().map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

pub(super) async fn alerts(State(shared): State<Shared>) -> Reply<AlertsView> {
    Reply(AlertsView { alerts: shared.runtime.alerts().into_iter().map(Into::into).collect() })
}

/// By which periods.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Periods {
    #[serde(default)]
    /// Of which spans of time.
    by: ReportBy,
}

pub(super) async fn report(State(shared): State<Shared>, Asked(Periods { by }): Asked<Periods>) -> Answer<ReportView> {
    let every = match by {
        ReportBy::Last => Every::Last,
        ReportBy::Day => Every::Day,
        ReportBy::Week => Every::Week,
    };
    Ok(Reply(shared.runtime.report(every).await?.into()))
}

/// How far back.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Back {
    /// Seen in so many days; in all that are kept if nothing is said.
    days: Option<u32>,
}

pub(super) async fn incidents(State(shared): State<Shared>, Asked(Back { days }): Asked<Back>) -> Reply<IncidentsView> {
    let (sample, _) = shared.runtime.sample().await;
    let back = DAY.saturating_mul(days.unwrap_or(DEFAULT_DAYS));
    let back = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
    let since = Timestamp::from_unix_ms(sample.at.unix_ms().saturating_sub(back));
    Reply(IncidentsView { incidents: shared.runtime.incidents(since).into_iter().map(Into::into).collect() })
}
