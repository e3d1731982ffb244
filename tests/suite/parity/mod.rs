//! That the command line and the client can do all that the API can: every operation has a method of its name and a verb. What
//! they ask for is seen on the wire.

mod recorder;
pub(crate) mod verbs;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use sunaba_runtime::client::{Client, EventsOf, EventsWanted, Expected};
use sunaba_runtime::server::api::{
    Bulk, Cancel, CancelJobs, Complete, CreateKey, DeliveryFilter, DeployQuestion, Filter, HandlerPatch, JobFilter,
    JobRetry, NewInput, PlanFilter, PutSchedule, PutWebhook, QueuePatch, ReportBy, RetentionView, Rollback, SetSecret,
    Submit, SubmitJob, UsageBy,
};
use sunaba_runtime::server::operations;
use sunaba_runtime::task::TaskId;

use crate::support::{Host, block_on, guest, sunaba, text};
use recorder::Recorder;
use verbs::VERBS;

/// No task and no job.
const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// The page about the API, which is for people.
const PAGES: [&str; 2] = ["get_docs", "get_docs_style"];

/// Names of all operations, but for pages.
fn all() -> BTreeSet<String> {
    operations().map(|operation| operation.id.to_owned()).filter(|id| !PAGES.contains(&&**id)).collect()
}

/// Calls a method, whatever is answered, and notes it if it has asked for the operation of its name and for nothing else.
macro_rules! call {
    ($client:ident, $recorder:ident, $called:ident: $($method:ident($($argument:expr),*);)+) => {$(
        drop($client.$method($($argument),*).await);
        assert_eq!($recorder.take(), [stringify!($method)]);
        $called.insert(stringify!($method).to_owned());
    )+};
}

#[test]
fn every_operation_has_a_client_method_of_its_name() {
    let host = Host::start(&[]);
    let recorder = Recorder::start(&host.address);
    let mut called = BTreeSet::new();
    block_on(async {
        let client = Client::builder(&recorder.address).tries(1).build().expect("an address");
        let (task, job) = (NONE.parse::<TaskId>().expect("an id"), NONE.parse().expect("an id"));
        let (handler, name) = ("none/none".parse().expect("a name"), "none".parse().expect("a name"));
        let hook = "none".parse().expect("a name");
        let (file, filter) = ("none".parse().expect("a name"), Filter::default());
        let secret: SetSecret =
            serde_json::from_str(r#"{"host":"https://example.com","text":"0123456789"}"#).expect("one");
        let retention: RetentionView = serde_json::from_str(r#"{"result_ms":1000}"#).expect("one");
        let wanted = EventsWanted { of: Some(EventsOf::Task(task)), limit: 1, ..EventsWanted::default() };
        let how = DeployQuestion::default();
        call! { client, recorder, called:
            get_liveness();
            get_readiness();
            get_metrics();
            get_host();
            get_openapi();
            list_alerts();
            list_incidents(None);
            get_report(ReportBy::Last);
            list_usage(UsageBy::Handler);
            list_audit(None, 1);
            list_keys();
            create_key(&CreateKey::default());
            revoke_key("0123456789abcdef");
            list_secrets();
            set_secret("NONE", &secret);
            remove_secret("NONE");
            list_workers();
            set_worker("none", "1");
            list_queues();
            get_queue("none");
            set_queue("none", &QueuePatch::default(), Expected::Any);
            list_handlers();
            get_handler(&handler);
            set_handler(&handler, &HandlerPatch::default(), Expected::Any);
            get_retention();
            set_retention(&retention);
            stream_events(wanted);
            list_packages();
            deploy_package("none", Bytes::new(), &how);
            preview_package("none", Bytes::new());
            rollback_package("none", &Rollback::default());
            list_package_versions("none");
            list_schedules(None);
            put_schedule(&name, &PutSchedule::default(), Expected::Any);
            get_schedule(&name);
            delete_schedule(&name, Expected::Any);
            pause_schedule(&name, Expected::Any);
            resume_schedule(&name, Expected::Any);
            trigger_schedule(&name);
            list_schedule_fires(&name, 1);
            list_webhooks();
            put_webhook(&hook, &PutWebhook::default(), Expected::Any);
            get_webhook(&hook);
            delete_webhook(&hook, Expected::Any);
            rotate_webhook_secret(&hook, None);
            test_webhook(&hook);
            list_webhook_deliveries(&hook, &DeliveryFilter::default());
            get_webhook_delivery(&hook, task);
            resend_webhook_delivery(&hook, task);
            list_tasks(&filter, 1);
            submit_task(&Submit::default());
            submit_tasks(Vec::new());
            cancel_tasks(&Bulk::default());
            run_tasks_now(&Bulk::default());
            rerun_tasks(&Bulk::default());
            delete_tasks(&Bulk::default());
            get_task(task);
            delete_task(task);
            list_artifacts(task);
            get_artifact(task, &file);
            cancel_task(task, &Cancel::default());
            complete_task(task, &Complete::default());
            explain_task(task);
            get_task_logs(task);
            rerun_task(task, &NewInput::default());
            get_task_result(task);
            run_task_now(task);
            list_dead_groups(&filter);
            list_jobs(&JobFilter::default(), 1);
            submit_job(&SubmitJob::default());
            cancel_jobs(&CancelJobs::default());
            get_job(job);
            cancel_job(job, &Cancel::default());
            explain_job(job);
            get_job_graph(job, None);
            get_job_outputs(job, &PlanFilter::default());
            get_job_result(job);
            retry_job(job, &JobRetry::default());
            list_job_tasks(job, &PlanFilter::default(), 1);
        }
    });
    assert_eq!(called, all());
}

/// The verbs of the command line: its pages, without those of verbs that have others below them.
fn tree(folder: &Path) -> BTreeSet<String> {
    let pages = folder.join("man");
    let written = sunaba(["man", &pages.display().to_string()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let pages = std::fs::read_dir(pages).expect("it is there").map(|page| page.expect("readable").file_name());
    let pages: BTreeSet<_> =
        pages.filter_map(|page| Some(page.to_str()?.strip_prefix("sunaba-")?.strip_suffix(".1")?.to_owned())).collect();
    let is_leaf = |page: &&String| !pages.iter().any(|other| other.starts_with(&format!("{page}-")));
    pages.iter().filter(is_leaf).cloned().collect()
}

#[test]
fn every_operation_has_a_verb_and_every_verb_asks_for_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let stated: BTreeSet<_> = VERBS.iter().map(|verb| verb.name.replace(' ', "-")).collect();
    assert_eq!((stated.len(), stated), (VERBS.len(), tree(folder.path())));

    let host = Host::start(&["--webhook-http", "--webhook-allow=127.0.0.1"]);
    host.deploy("hello");
    let task = host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#, "-q"]);
    host.until(&task, "succeeded");
    let job = r#"{"nodes":[{"name":"a","handler":"hello/hello","input":{"name":"Ada"}}]}"#;
    std::fs::write(at("job.json"), job).expect("it can be written");
    std::fs::write(at("inputs"), "{\"name\":\"Ada\"}\n").expect("it can be written");
    let job = host.ok(&["job", "submit", &at("job.json").display().to_string(), "-q"]);
    let (guest, folder) = (guest("hello").display().to_string(), folder.path().display().to_string());
    let filled = |argument: &&str| {
        let filled = argument.replace("{task}", &task).replace("{job}", &job).replace("{none}", NONE);
        filled.replace("{folder}", &folder).replace("{guest}", &guest)
    };

    let recorder = Recorder::start(&host.address);
    let (mut asked_for, mut wrong) = (BTreeSet::new(), Vec::new());
    for verb in VERBS {
        let mut said = String::new();
        for call in verb.calls {
            let arguments: Vec<String> =
                verb.name.split(' ').map(str::to_owned).chain(call.iter().map(filled)).collect();
            let output = sunaba(arguments.iter().map(String::as_str).chain(["--address", &recorder.address]));
            said.push_str(&text(&output.stderr));
            if output.status.code() == Some(2) {
                wrong.push(format!("{arguments:?} is no call of it: {said}"));
            }
        }
        let asked = recorder.take();
        if asked != verb.operations {
            wrong.push(format!("{} says {:?} and has asked for {asked:?}: {said}", verb.name, verb.operations));
        }
        asked_for.extend(asked);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The verb for it prints the document of the program itself, which asks no host.
    asked_for.insert("get_openapi".to_owned());
    assert_eq!(asked_for, all());

    // Again, for programs: whatever is printed is an object, or some, a line each.
    for (verb, call) in VERBS.iter().flat_map(|verb| verb.calls.iter().map(move |call| (verb, call))) {
        let arguments: Vec<String> = verb.name.split(' ').map(str::to_owned).chain(call.iter().map(filled)).collect();
        let more = ["-o", "jsonl", "--address", &host.address];
        let output = sunaba(arguments.iter().map(String::as_str).chain(more));
        for line in text(&output.stdout).lines() {
            let is_object = serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
            assert!(is_object, "{arguments:?} prints `{line}`");
        }
    }
}
