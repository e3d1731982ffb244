//! Like failures, what came of them, and what has helped before; and alerts.

use askama::Template;

use super::Answer;
use crate::api::{AlertView, AlertsView, IncidentView, IncidentsView};
use crate::ui::frame::Frame;
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

#[derive(Template)]
#[template(path = "incidents.html")]
struct Incidents {
    frame: Frame,
    incidents: Vec<IncidentView>,
    alerts: Vec<AlertView>,
    days: u64,
}

pub(super) async fn list(visit: Visit, Fields(fields): Fields) -> Answer {
    let days = fields.number("days")?.unwrap_or(7).clamp(1, 90);
    let IncidentsView { incidents } = visit.desk.get(&format!("/v1/incidents?days={days}")).await?;
    let alerts = visit.desk.maybe::<AlertsView>("/v1/alerts").await?.map(|alerts| alerts.alerts).unwrap_or_default();
    Ok(page(&Incidents { frame: visit.frame("Incidents", "incidents").await, incidents, alerts, days }))
}
