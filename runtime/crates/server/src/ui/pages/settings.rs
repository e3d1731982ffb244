//! What the host was configured with, each value with where it comes from; how long what has ended is kept; and secrets by name.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use sunaba_task::{format_duration, parse_duration};

use super::{Answer, told, unknown};
use crate::api::{HostView, RetentionView, SecretView, SecretsView};
use crate::problem::Problem;
use crate::ui::form::Form;
use crate::ui::frame::Frame;
use crate::ui::settings::Setting;
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    host: HostView,
    settings: Vec<Setting>,
    kept: Vec<(&'static str, &'static str, String)>,
    secrets: Vec<SecretView>,
}

impl SettingsPage {
    fn is_said(&self, setting: &Setting) -> bool {
        setting.origin != "default"
    }
}

pub(super) async fn show(visit: Visit) -> Answer {
    let frame = visit.frame("Settings", "settings").await;
    // Paths and addresses of the machine: for whoever may do everything.
    if !frame.may("GET /v1/keys") {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the settings are for keys with the scope `admin`")
            .code("scope-missing"));
    }
    let host: HostView = visit.desk.get("/v1/host").await?;
    let retention: RetentionView = visit.desk.get("/v1/retention").await?;
    let secrets = visit.desk.maybe::<SecretsView>("/v1/secrets").await?;
    let text = |ms: Option<u64>| ms.map(|ms| format_duration(Duration::from_millis(ms))).unwrap_or_default();
    let kept = vec![
        ("result", "Results of tasks that have succeeded", text(Some(retention.result_ms))),
        ("succeeded", "Records of tasks that have succeeded", text(retention.succeeded_ms)),
        ("cancelled", "Records of cancelled tasks", text(retention.cancelled_ms)),
        ("expired", "Records of expired tasks", text(retention.expired_ms)),
        ("dead", "Records of dead tasks", text(retention.dead_ms)),
    ];
    let settings = visit.ui.settings.list();
    let secrets = secrets.map(|secrets| secrets.secrets).unwrap_or_default();
    Ok(page(&SettingsPage { frame, host, settings, kept, secrets }))
}

pub(super) async fn set(visit: Visit, Fields(fields): Fields) -> Answer {
    if fields.text("action") != "retention" {
        return Err(unknown(fields.text("action")));
    }
    let set = match retention(&fields) {
        Ok(retention) => visit.desk.send::<RetentionView>("PUT", "/v1/retention", &retention).await,
        Err(problem) => Err(problem),
    };
    Ok(visit.back(&fields, "/ui/settings", told(set.map(|_| "what ends from now on is kept for so long".into()))))
}

fn retention(fields: &Form) -> Result<RetentionView, Problem> {
    let time = |name: &str| -> Result<Option<u64>, Problem> {
        let time = fields.get(name).map(parse_duration).transpose().map_err(Problem::invalid)?;
        Ok(time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    };
    let none = || Problem::invalid("nothing says how long results are kept\nhint: write a duration, such as `7d`");
    Ok(RetentionView {
        result_ms: time("result")?.ok_or_else(none)?,
        succeeded_ms: time("succeeded")?,
        cancelled_ms: time("cancelled")?,
        expired_ms: time("expired")?,
        dead_ms: time("dead")?,
    })
}
