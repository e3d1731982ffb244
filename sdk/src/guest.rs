//! The component side of the contract: generated bindings, the log facade and the panic hook. Only built for WASM.

pub(crate) mod artifacts;

use std::sync::Once;
use std::time::{Duration, SystemTime};

use crate::context::{Facts, Host, Remaining};
use crate::handler::{self, Entry};
use crate::{Context, Disposition, Outcome, Payload, TaskError};

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

struct Sandbox;

impl Host for Sandbox {
    fn progress(&self, fraction: Option<f64>, message: &str) {
        host::progress(fraction, message);
    }

    fn is_cancelled(&self) -> bool {
        host::is_cancelled()
    }

    fn remaining(&self) -> Remaining {
        let left = host::remaining();
        Remaining { fuel: left.fuel, time: left.time_ms.map(Duration::from_millis) }
    }
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
    let context = Context::new(facts(context), Box::new(Sandbox));
    match handler::run(entries, &context, name, Payload { media_type: input.media_type, bytes: input.bytes }) {
        Ok(Outcome::Complete(output)) => Ok(wit::Outcome::Complete(payload(output))),
        Ok(Outcome::Snooze(delay)) => {
            let (delay_ms, reason) = (millis(delay), String::new());
            Ok(wit::Outcome::Snooze(types::Snooze { delay_ms, reason, settings: Vec::new() }))
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
