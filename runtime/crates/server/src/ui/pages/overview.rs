//! How the host stands, and has stood lately.

use askama::Template;
use askama::filters::Safe;
use sunaba_host::Minute;

use super::Answer;
use crate::api::{
    AlertState, AlertView, AlertsView, GroupsView, HostView, IncidentView, IncidentsView, PeriodView, QueueView,
    QueuesView, ReportView, WorkerView, WorkersView,
};
use crate::ui::chart::Span;
use crate::ui::frame::Frame;
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Rows of what is listed in short.
const FEW: usize = 6;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    host: HostView,
    firing: Vec<AlertView>,
    resolved: Vec<AlertView>,
    queues: Vec<QueueView>,
    more_queues: bool,
    workers: Vec<WorkerView>,
    dead: Option<GroupsView>,
    incidents: Vec<IncidentView>,
    today: Option<PeriodView>,
    targets: Vec<Target>,
    hours: u64,
    charts: Option<Charts>,
}

/// A figure of the service beside what it should be.
struct Target {
    name: &'static str,
    is: String,
    should: String,
    is_missed: bool,
}

struct Charts {
    tasks: Safe<String>,
    failures: Safe<String>,
    wait: Safe<String>,
    run: Safe<String>,
    is_empty: bool,
    whole: Option<Minute>,
}

impl Charts {
    fn of(span: &Span) -> Self {
        Self {
            tasks: span.bars(
                "Tasks that ended",
                &[("good", "succeeded", |minute| minute.succeeded), ("bad", "dead or expired", |minute| minute.lost)],
            ),
            failures: span.bars("Attempts that failed", &[("warn", "failed", |minute| minute.failed)]),
            wait: span.quantiles("Time in the queue", |minute| &minute.wait),
            run: span.quantiles("Time of an attempt", |minute| &minute.run),
            is_empty: span.is_empty(),
            whole: span.whole(),
        }
    }

    fn done(&self) -> u64 {
        self.whole.as_ref().map_or(0, |whole| whole.succeeded)
    }

    fn failed(&self) -> u64 {
        self.whole.as_ref().map_or(0, |whole| whole.failed)
    }

    fn p95(&self) -> String {
        let p95 = self.whole.as_ref().and_then(|whole| whole.wait.quantile(950));
        p95.map_or_else(|| "\u{2013}".into(), show::short_time)
    }
}

impl Overview {
    fn waiting(&self) -> u64 {
        self.queues.iter().map(|queue| queue.queued).sum()
    }

    fn later(&self) -> u64 {
        self.queues.iter().map(|queue| queue.scheduled).sum()
    }

    fn oldest(&self) -> Option<u64> {
        self.queues.iter().filter_map(|queue| queue.oldest_ms).max()
    }

    /// What somebody should look at, of queues: what is no alert yet, or for who sees none.
    fn attention(&self) -> Vec<(&str, &str)> {
        let all = self.queues.iter().flat_map(|queue| queue.attention.iter().map(|word| (&*queue.name, &**word)));
        all.take(FEW).collect()
    }

    fn is_calm(&self) -> bool {
        self.firing.is_empty() && self.attention().is_empty()
    }
}

fn targets(period: &PeriodView, targets: &crate::api::FiguresView) -> Vec<Target> {
    let missed = |word: &str| period.missed.iter().any(|missed| missed == word);
    let (is, should) = (&period.figures, targets);
    vec![
        Target {
            name: "Workers were there",
            is: show::percent(is.availability_percent),
            should: format!("\u{2265} {}", show::percent(should.availability_percent)),
            is_missed: missed("availability"),
        },
        Target {
            name: "Mean time to recovery",
            is: show::maybe_time(is.recovery_ms),
            should: format!("\u{2264} {}", show::maybe_time(should.recovery_ms)),
            is_missed: missed("recovery"),
        },
        Target {
            name: "Tasks lost",
            is: show::percent(is.error_percent),
            should: format!("\u{2264} {}", show::percent(should.error_percent)),
            is_missed: missed("errors"),
        },
        Target {
            name: "Recovered by themselves",
            is: show::percent(is.self_healed_percent),
            should: format!("\u{2265} {}", show::percent(should.self_healed_percent)),
            is_missed: missed("self-healed"),
        },
    ]
}

pub(super) async fn show(visit: Visit, Fields(fields): Fields) -> Answer {
    let desk = &visit.desk;
    let host: HostView = desk.get("/v1/host").await?;
    let QueuesView { queues, next } =
        desk.maybe("/v1/queues").await?.unwrap_or(QueuesView { queues: vec![], next: None });
    let alerts = desk.maybe::<AlertsView>("/v1/alerts").await?;
    let workers = desk.maybe::<WorkersView>("/v1/workers").await?;
    let incidents = desk.maybe::<IncidentsView>("/v1/incidents?days=1").await?;
    let report = desk.maybe::<ReportView>("/v1/report").await?;
    let dead = desk.maybe::<GroupsView>("/v1/dead/groups").await?;
    let hours = if fields.text("hours") == "6" { 6 } else { 1 };
    // What is of all queues is for whoever may see the alerts of all.
    let charts = visit.now.filter(|_| alerts.is_some()).map(|now| {
        let minutes = visit.ui.shared.runtime.minutes();
        Charts::of(&Span::new(&minutes, now, hours))
    });
    let (firing, resolved) = alerts
        .map(|alerts| alerts.alerts)
        .unwrap_or_default()
        .into_iter()
        .partition::<Vec<_>, _>(|alert| alert.state == AlertState::Firing);
    let targets = report.as_ref().and_then(|report| Some(targets(report.periods.first()?, &report.targets)));
    let frame = visit.frame("Overview", "overview").await;
    Ok(page(&Overview {
        frame,
        host,
        firing,
        resolved: resolved.into_iter().take(FEW).collect(),
        queues,
        more_queues: next.is_some(),
        workers: workers.map(|workers| workers.workers).unwrap_or_default(),
        dead,
        incidents: incidents.map(|all| all.incidents.into_iter().take(FEW).collect()).unwrap_or_default(),
        today: report.and_then(|report| report.periods.into_iter().next()),
        targets: targets.unwrap_or_default(),
        hours,
        charts,
    }))
}
