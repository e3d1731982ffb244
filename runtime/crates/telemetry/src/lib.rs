//! Spans over OTLP/HTTP: taken from tasks without a wait, kept in a bounded queue, and sent in batches. What the queue has no room
//! for is dropped and counted, and so is what a collector does not take: no task ever waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind as Kind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use sunaba_task::trace::{Span, SpanKind, SpanSink, SpanValue};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Spans that wait to be sent; more are dropped.
const MAX_WAITING: usize = 8_192;
/// Spans of one request.
const MAX_BATCH: usize = 512;
/// What has come waits so long for others to be sent with.
const PAUSE: Duration = Duration::from_secs(1);
/// A collector that has not answered by then has not got it.
const MAX_TIME: Duration = Duration::from_secs(10);
/// The path of a collector, below the endpoint. Source: OTLP specification, OTLP/HTTP request.
const PATH: &str = "/v1/traces";

/// Sends spans to a collector, until it is stopped.
pub struct Telemetry {
    queue: Arc<Queue>,
    stop: oneshot::Sender<()>,
    sending: JoinHandle<()>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be sent to `{endpoint}`: {problem}\nhint: name a collector, such as `http://127.0.0.1:4318`")]
pub struct TelemetryError {
    endpoint: String,
    problem: String,
}

struct Queue {
    waiting: mpsc::Sender<Span>,
    dropped: AtomicU64,
}

impl SpanSink for Queue {
    fn take(&self, spans: Vec<Span>) {
        for span in spans {
            if self.waiting.try_send(span).is_err() {
                self.drop_some(1);
            }
        }
    }
}

impl Queue {
    fn drop_some(&self, count: u64) {
        // Once, and not for each: a collector that is away for hours must not fill the log.
        if self.dropped.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!("spans are dropped: the collector does not take them, or there are more than it takes");
        }
    }
}

impl Telemetry {
    /// Sends what comes to this endpoint, on the current tokio runtime, in the name of this service.
    ///
    /// # Errors
    /// It is no address of a collector.
    pub fn start(endpoint: &str, service: &str) -> Result<Self, TelemetryError> {
        let error = |problem: String| TelemetryError { endpoint: endpoint.into(), problem };
        let client =
            reqwest::Client::builder().no_proxy().timeout(MAX_TIME).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|problem| error(problem.to_string()))?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
            .with_timeout(MAX_TIME)
            .build()
            .map_err(|problem| error(problem.to_string()))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(
            &Resource::builder_empty().with_service_name(service.to_owned()).with_attribute(version).build(),
        );
        let (waiting, coming) = mpsc::channel(MAX_WAITING);
        let queue = Arc::new(Queue { waiting, dropped: AtomicU64::new(0) });
        let (stop, stopped) = oneshot::channel();
        let sending = tokio::spawn(send(exporter, coming, Arc::clone(&queue), stopped));
        Ok(Self { queue, stop, sending })
    }

    /// Where spans are told.
    pub fn sink(&self) -> Arc<dyn SpanSink> {
        Arc::clone(&self.queue) as Arc<dyn SpanSink>
    }

    /// Spans that nobody has got.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    /// Sends what waits, for no longer than this, and ends.
    pub async fn stop(self, grace: Duration) {
        let _ = self.stop.send(());
        if tokio::time::timeout(grace, self.sending).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
        let dropped = self.queue.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "spans were dropped");
        }
    }
}

/// Sends batches until it is stopped, and then what is left.
async fn send(
    exporter: SpanExporter,
    mut coming: mpsc::Receiver<Span>,
    queue: Arc<Queue>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut is_over = false;
    while !is_over {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut until: Option<Instant> = None;
        // Who loses: a wait for spans, of which none are taken by then; or the look at the stop.
        while batch.len() < MAX_BATCH && !is_over {
            let room = MAX_BATCH - batch.len();
            let full = async move {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut stopped => is_over = true,
                () = full => break,
                _ = coming.recv_many(&mut batch, room) => {
                    until.get_or_insert_with(|| Instant::now() + PAUSE);
                }
            }
        }
        if is_over {
            while let Ok(span) = coming.try_recv() {
                batch.push(span);
            }
        }
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(MAX_BATCH));
            let (count, spans) = (batch.len() as u64, batch.into_iter().map(data).collect());
            if let Err(error) = exporter.export(spans).await {
                tracing::debug!(%error, count, "a collector did not take spans");
                queue.drop_some(count);
            }
            batch = rest;
        }
    }
}

/// A span as the exporter has it.
fn data(span: Span) -> SpanData {
    let context = span.context;
    let at = |after: Duration| UNIX_EPOCH.checked_add(after).unwrap_or(SystemTime::UNIX_EPOCH);
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(context.trace),
            SpanId::from_bytes(context.span),
            TraceFlags::new(context.flags),
            false,
            TraceState::default(),
        ),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: span.has_remote_parent,
        span_kind: match span.kind {
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
            SpanKind::Internal => Kind::Internal,
        },
        name: span.name.into(),
        start_time: at(span.start),
        end_time: at(span.start.saturating_add(span.took)),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("sunaba").with_version(env!("CARGO_PKG_VERSION")).build(),
    }
}

fn attribute((name, value): (&'static str, SpanValue)) -> KeyValue {
    let value = match value {
        SpanValue::Text(text) => Value::from(text),
        SpanValue::Number(number) => Value::I64(number),
    };
    KeyValue::new(name, value)
}
