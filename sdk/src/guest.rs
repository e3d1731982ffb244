//! The component side of the contract: generated bindings, the log facade and the panic hook. Only built for WASM.

pub(crate) mod artifacts;

use std::sync::Once;
use std::time::{Duration, SystemTime};

use crate::ask::{EndedPage, EndedTask};
use crate::child::Dependency;
use crate::context::{Facts, Host, Remaining};
use crate::handler::{self, Entry};
use crate::{Child, Context, Disposition, Outcome, Payload, Plan, Refusal, RefusalKind, TaskError};

/// What wit-bindgen makes of `wit/`.
#[allow(missing_docs, unreachable_pub, clippy::all, unsafe_code)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "handler",
        pub_export_macro: true,
        default_bindings_module: "sunaba_sdk::__private::bindings",
    });
}

use bindings::exports::sunaba::task::handlers as wit;
use bindings::sunaba::task::{host, types};

pub(crate) fn say_progress(fraction: Option<f64>, message: &str) {
    host::progress(fraction, message);
}

pub(crate) fn see_cancelled() -> bool {
    host::is_cancelled()
}

pub(crate) fn see_remaining() -> Remaining {
    let left = host::remaining();
    Remaining { fuel: left.fuel, time: left.time_ms.map(Duration::from_millis) }
}

pub(crate) fn submit_child(name: String, wanted: &Child, input: Payload) -> Result<String, Refusal> {
    host::submit(&child(name, wanted, input)).map_err(refusal)
}

pub(crate) fn page(awaited: &str, after: Option<&str>) -> Result<EndedPage, Refusal> {
    let page = host::dependency_outputs(awaited, after).map_err(refusal)?;
    let task = |task: host::EndedTask| EndedTask {
        name: task.name,
        task_id: task.task_id,
        state: task.state,
        output: task.output.map(|output| Payload { media_type: output.media_type, bytes: output.bytes }),
    };
    Ok(EndedPage { tasks: page.tasks.into_iter().map(task).collect(), next: page.next })
}

pub(crate) fn keep(bytes: Vec<u8>) -> Result<(), Refusal> {
    host::checkpoint(&bytes).map_err(refusal)
}

pub(crate) fn kept() -> Result<Option<Vec<u8>>, Refusal> {
    host::last_checkpoint().map_err(refusal)
}

fn refusal(wit: types::Refusal) -> Refusal {
    let kind = match wit.kind {
        types::RefusalKind::Invalid => RefusalKind::Invalid,
        types::RefusalKind::Conflict => RefusalKind::Conflict,
        types::RefusalKind::NotFound => RefusalKind::NotFound,
        types::RefusalKind::Limit => RefusalKind::Limit,
        types::RefusalKind::Unavailable => RefusalKind::Unavailable,
    };
    Refusal { kind, message: wit.message }
}

fn child(name: String, child: &Child, input: Payload) -> types::Child {
    let after = |after: &Dependency| types::Dependency {
        name: after.name.clone(),
        settings: after.on_failure.map(|rule| ("on-failure".into(), rule.word().into())).into_iter().collect(),
    };
    types::Child {
        name,
        handler: child.handler().into(),
        input: payload(input),
        after: child.dependencies().iter().map(after).collect(),
        settings: child.settings().to_vec(),
    }
}

fn plan(plan: Plan) -> Result<types::Plan, TaskError> {
    let (children, join, settings) = plan.into_parts();
    let children = children.into_iter().map(|(name, wanted)| {
        let input = wanted.payload()?;
        Ok(child(name, &wanted, input))
    });
    Ok(types::Plan { children: children.collect::<Result<_, TaskError>>()?, join, settings })
}

pub(crate) fn see_token() -> Option<String> {
    host::completion_token()
}

struct HostLog;

impl log::Log for HostLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Fields(Vec<(String, String)>);
        impl<'kvs> log::kv::VisitSource<'kvs> for Fields {
            fn visit_pair(
                &mut self,
                key: log::kv::Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                self.0.push((key.to_string(), value.to_string()));
                Ok(())
            }
        }
        let level = match record.level() {
            log::Level::Error => host::Level::Error,
            log::Level::Warn => host::Level::Warn,
            log::Level::Info => host::Level::Info,
            log::Level::Debug => host::Level::Debug,
            log::Level::Trace => host::Level::Trace,
        };
        let mut fields = Fields(Vec::new());
        // Only a visitor can fail, and ours does not.
        let _ = record.key_values().visit(&mut fields);
        host::log(level, &record.args().to_string(), &fields.0);
    }

    fn flush(&self) {}
}

/// Sends `log` records and panics to the host. An instance runs one attempt, yet a toolchain may call twice.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if log::set_logger(&HostLog).is_ok() {
            log::set_max_level(log::LevelFilter::Trace);
        }
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(|place| place.to_string()).unwrap_or_default();
            let text = panic.payload_as_str().unwrap_or("a value that is not text");
            host::log(host::Level::Error, text, &[("panic".into(), place)]);
        }));
    });
}

/// `handlers.describe` for [`export!`](crate::export).
pub fn describe_guest(entries: &[Entry]) -> wit::PackageInfo {
    install();
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let handlers = handler::describe(entries)
        .map(|info| types::HandlerInfo {
            name: info.name.into(),
            doc: info.doc.into(),
            input_schema: info.input_schema,
            output_schema: info.output_schema,
            settings: info.settings.iter().map(owned).collect(),
        })
        .collect();
    wit::PackageInfo { handlers, settings: Vec::new() }
}

/// `handlers.run` for [`export!`](crate::export).
///
/// # Errors
/// Whatever the handler returns.
pub fn run_guest(
    entries: &[Entry],
    context: wit::Context,
    name: &str,
    input: wit::Payload,
) -> Result<wit::Outcome, wit::Failure> {
    install();
    let context = Context::new(facts(context), Host::Sandbox);
    match handler::run(entries, &context, name, Payload { media_type: input.media_type, bytes: input.bytes }) {
        Ok(Outcome::Complete(output)) => Ok(wit::Outcome::Complete(payload(output))),
        Ok(Outcome::Decompose(children)) => plan(children).map(wit::Outcome::Decompose).map_err(failure),
        Ok(Outcome::Snooze(snooze)) => {
            let (delay_ms, reason) = (millis(snooze.delay()), snooze.why().into());
            Ok(wit::Outcome::Snooze(types::Snooze { delay_ms, reason, settings: snooze.settings().to_vec() }))
        }
        Err(error) => Err(failure(error)),
    }
}

fn facts(context: wit::Context) -> Facts {
    let instant = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    Facts {
        task_id: context.task_id,
        job_id: context.job_id,
        queue: context.queue,
        attempt: context.attempt,
        failures: context.failures,
        max_attempts: context.max_attempts,
        submitted_at: instant(context.submitted_at_ms),
        started_at: instant(context.started_at_ms),
        deadline: context.deadline_ms.map(instant),
        idempotency_key: context.idempotency_key,
        attributes: context.attributes,
    }
}

fn payload(payload: Payload) -> types::Payload {
    types::Payload { media_type: payload.media_type, bytes: payload.bytes }
}

fn failure(error: TaskError) -> wit::Failure {
    let disposition = match error.disposition() {
        Disposition::ByPolicy => types::Disposition::ByPolicy,
        Disposition::RetryAfter(delay) => types::Disposition::RetryAfter(millis(delay)),
        Disposition::Fatal => types::Disposition::Fatal,
    };
    wit::Failure {
        kind: error.kind().into(),
        message: error.message().into(),
        detail: error.detail().cloned().map(payload),
        disposition,
        settings: Vec::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
