//! What a collector gets: the tree of one task's spans, from a worker on a store in memory; and what is dropped when it is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;
use sunaba_store::{EmbeddedStore, Store as _};
use sunaba_task::trace::{Spans, TRACEPARENT, submit_span};
use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Digest, Disposition, ExecuteError, Executor,
    Failure, NewTask, Outcome, Payload, Receipt, TaskSpec,
};
use sunaba_telemetry::Telemetry;
use sunaba_worker::{Worker, WorkerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const GRACE: Duration = Duration::from_secs(30);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector on this machine, that hands on what it has decoded.
async fn collector() -> (String, mpsc::UnboundedReceiver<(String, ExportTraceServiceRequest)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (got, gets) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let got = got.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                loop {
                    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
                    let head = end.map(|end| String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase());
                    let length = head.as_ref().and_then(|head| {
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                        length?.trim().parse::<usize>().ok()
                    });
                    if let (Some(end), Some(head), Some(length)) = (end, head, length)
                        && bytes.len() >= end + 4 + length
                    {
                        let request = ExportTraceServiceRequest::decode(&bytes[end + 4..end + 4 + length]);
                        let target = head.lines().next().unwrap_or_default().to_owned();
                        let _ = got.send((target, request.expect("it is OTLP")));
                        let answer =
                            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.expect("it reads");
                        bytes.drain(..end + 4 + length);
                        continue;
                    }
                    if stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                        continue;
                    }
                    return;
                }
            });
        }
    });
    (format!("http://{address}"), gets)
}

/// Makes two host calls and succeeds, or fails; a handler is told its place in the trace.
struct Calling;

impl Executor for Calling {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(async move {
            assert!(host.wants_calls());
            for name in ["wasi:clocks/wall-clock.now", "wasi:http/outgoing-handler.handle"] {
                #[expect(clippy::disallowed_methods, reason = "whoever runs an attempt has a clock")]
                host.on_call(name, Instant::now(), Duration::from_millis(1));
            }
            let told = request.context.attributes.iter().find(|(name, _)| name == TRACEPARENT);
            let told = told.map(|(_, text)| text.clone()).unwrap_or_default();
            let result = match request.context.attempt {
                1 => AttemptResult::Failed(Failure {
                    kind: "network".into(),
                    message: told,
                    detail: None,
                    disposition: Disposition::ByPolicy,
                }),
                _ => AttemptResult::Returned(Outcome::Complete(Payload::json("1"))),
            };
            Ok(AttemptReport { result, receipt: Receipt::unmeasured(request.component), logs: Vec::new() })
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn said<'s>(span: &'s Span, name: &str) -> Option<&'s Value> {
    span.attributes.iter().find(|pair| pair.key == name)?.value.as_ref()?.value.as_ref()
}

#[tokio::test]
async fn spans_of_a_task_are_a_tree_below_its_submitters_own() {
    let (endpoint, mut gets) = collector().await;
    let telemetry = Telemetry::start(&endpoint, "sunaba").expect("it is an address");
    let spans = Spans::to(telemetry.sink());
    let store: Arc<dyn sunaba_store::Store> = Arc::new(EmbeddedStore::memory().expect("there is memory"));
    let mut spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
    spec.attributes = vec![(TRACEPARENT.into(), format!("00-{TRACE}-{PARENT}-01"))];
    spec.backoff = "fixed(1ms)".parse().expect("a backoff");
    let submitted = store.submit(vec![NewTask::new(spec, Payload::json("1"))]).await.expect("the store works");
    let task = submitted.into_iter().next().expect("one").expect("it is taken on").into_task();
    let sink = spans.sink().expect("it is on");
    sink.take(submit_span(&task, Duration::from_millis(1)).into_iter().collect());
    let config = WorkerConfig { spans, ..WorkerConfig::default() };
    let worker = Worker::start(Arc::clone(&store), Arc::new(Calling), config);
    let ended = store.wait(task.id, GRACE).await.expect("the store works").expect("it is there");
    assert!(ended.state.is_terminal(), "{ended:?}");
    worker.stop(GRACE).await.expect("it stops");
    assert_eq!(telemetry.dropped(), 0);
    telemetry.stop(GRACE).await;

    let mut got = Vec::new();
    let mut services = Vec::new();
    while let Ok((target, request)) = gets.try_recv() {
        assert!(target.starts_with("post /v1/traces "), "{target}");
        for resource in request.resource_spans {
            services.extend(resource.resource.into_iter().flat_map(|resource| resource.attributes));
            got.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    assert!(services.iter().any(|pair| pair.key == "service.name"), "{services:?}");
    assert!(got.iter().all(|span| hex(&span.trace_id) == TRACE), "{got:#?}");
    let named = |name: &str| got.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let submits = named("submit words/count");
    assert_eq!((submits.len(), hex(&submits[0].parent_span_id).as_str()), (1, PARENT));
    let (leases, attempts) = (named("lease words/count"), named("attempt words/count"));
    assert_eq!((leases.len(), attempts.len(), got.len()), (2, 2, 9));
    for (lease, attempt) in leases.iter().zip(&attempts) {
        assert_eq!(lease.parent_span_id, submits[0].span_id);
        assert_eq!(attempt.parent_span_id, lease.span_id);
        let calls: Vec<_> = got.iter().filter(|span| span.parent_span_id == attempt.span_id).collect();
        let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["wasi:clocks/wall-clock.now", "wasi:http/outgoing-handler.handle"]);
        assert!(calls.iter().all(|call| call.end_time_unix_nano - call.start_time_unix_nano == 1_000_000));
        assert_eq!(said(attempt, "sunaba.task.id"), Some(&Value::StringValue(task.id.to_string())));
    }
    let status = attempts[0].status.as_ref().expect("it has failed");
    assert_eq!(status.code, StatusCode::Error as i32);
    // What the handler was told is the place of its own attempt.
    assert_eq!(status.message, format!("network: 00-{TRACE}-{}-01", hex(&attempts[0].span_id)));
    assert_eq!(said(attempts[1], "sunaba.outcome"), Some(&Value::StringValue("completed".into())));
    assert_eq!(said(attempts[1], "sunaba.attempt"), Some(&Value::IntValue(2)));
}

/// More than the queue holds, for a collector that takes nothing: nobody waits, and what is lost is counted.
#[tokio::test]
async fn spans_that_nobody_takes_are_dropped_and_counted() {
    // It listens, and answers nobody.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let telemetry = Telemetry::start(&endpoint, "sunaba").expect("it is an address");
    let spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
    let store = EmbeddedStore::memory().expect("there is memory");
    let submitted = store.submit(vec![NewTask::new(spec, Payload::json("1"))]).await.expect("the store works");
    let task = submitted.into_iter().next().expect("one").expect("it is taken on").into_task();
    let span = submit_span(&task, Duration::ZERO).expect("it is wanted");
    let sink = telemetry.sink();
    for _ in 0..20_000 {
        sink.take(vec![span.clone()]);
    }
    assert!(telemetry.dropped() >= 10_000, "{}", telemetry.dropped());
    telemetry.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let error = Telemetry::start("http://[", "sunaba").err().expect("it is none").to_string();
    assert!(error.contains("`http://[`") && error.contains("hint: name a collector"), "{error}");
}
