//! Many crates in one job: a plan with an audit for each, and the report that puts them together.

use std::fs;
use std::path::{Component, Path, PathBuf};

use sunaba_sdk::prelude::*;
use sunaba_sdk::{OutputError, Outputs};

use crate::lines::Lines;
use crate::{Report, Request, crate_audit};

/// More are submitted in several jobs.
const MAX_CRATES: usize = 10_000;
/// Where an audit finds its crate.
const CRATE: &str = "/crate";
/// What of each list the report names.
const SHOWN: usize = 10;

#[data]
pub struct Crates {
    /// Where the directory was granted that all of them are in: `/crates`.
    root: PathBuf,
    /// The crates' directories, as they are called in there.
    crates: Vec<PathBuf>,
}

/// What is told of all of them.
#[data]
#[derive(Debug, Default)]
pub struct Summary {
    /// Crates that were audited.
    crates: u64,
    /// Those that could not be, and why.
    failed: Vec<String>,
    /// Rust files of all of them.
    files: u64,
    /// Their lines.
    lines: Lines,
    /// The crates with the most code, and how many lines of it they have.
    largest: Vec<(String, u64)>,
    /// Those that use `unsafe` most often, and how often.
    most_unsafe: Vec<(String, u64)>,
    /// Those that name no licence, or come without its text.
    without_licence: Vec<String>,
}

/// Audits many crates, each in a task of its own, and tells what was found in all of them.
#[handler(dirs = "/crates")]
pub fn audit_all(input: Crates) -> Result<Outcome<Summary>, TaskError> {
    let wrong = |what: String| TaskError::fatal(what).with_kind("bad-crates");
    if input.crates.len() > MAX_CRATES {
        return Err(wrong(format!("{} crates are too many: the limit is {MAX_CRATES}", input.crates.len())));
    }
    let mut plan = Plan::new();
    for folder in &input.crates {
        let is_below = folder.components().all(|part| matches!(part, Component::Normal(_)));
        let name = folder.file_name().filter(|_| is_below).and_then(|name| name.to_str());
        let name = name.ok_or_else(|| wrong(format!("`{}` is not a directory below another", folder.display())))?;
        plan = plan.child(format!("crate/{name}"), audit(&input.root.join(folder)));
    }
    // A crate that cannot be audited is one line of the report, and no reason to have none.
    let summary = summary::task(()).after_with("crate/*", OnFailure::Continue);
    Ok(plan.join("summary", summary).on_failure(OnFailure::Continue).into())
}

/// An audit that sees its own crate and no other: somebody else wrote it, and it is nobody else's business. Of one that is not
/// there, it sees nothing, and says so.
fn audit(folder: &Path) -> Child {
    let audit = crate_audit::task(Request { path: CRATE.into() });
    match folder.to_str() {
        Some(path) if fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) => audit.dir(path, CRATE),
        _ => audit.no_dirs(),
    }
}

/// Puts the audits together.
#[handler]
pub fn summary(ctx: &Context) -> Result<Summary, TaskError> {
    sum(ctx.outputs("crate/*"))
}

fn sum(audits: Outputs<'_, Report>) -> Result<Summary, TaskError> {
    let mut all = Summary::default();
    for audit in audits {
        let audit = match audit {
            Ok(audit) => audit.value,
            // What the host could not tell is not the crate's fault.
            Err(OutputError::Refused(refusal)) => return Err(refusal.into()),
            Err(error) => {
                all.failed.push(error.to_string());
                continue;
            }
        };
        all.crates += 1;
        all.files += audit.files;
        all.lines.add(&audit.lines);
        let name = name(&audit);
        keep_most(&mut all.largest, &name, audit.lines.code);
        keep_most(&mut all.most_unsafe, &name, audit.lines.unsafe_uses);
        if audit.license.is_none() || audit.license_files.is_empty() {
            all.without_licence.push(name);
        }
    }
    Ok(all)
}

fn name(audit: &Report) -> String {
    match &audit.version {
        Some(version) => format!("{} {version}", audit.name),
        None => audit.name.clone(),
    }
}

/// Keeps the largest few, so that the report does not grow with the number of crates.
fn keep_most(most: &mut Vec<(String, u64)>, name: &str, count: u64) {
    if count > 0 {
        let place = most.partition_point(|(_, other)| *other >= count);
        most.insert(place, (name.to_owned(), count));
        most.truncate(SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    fn refused(path: &str) -> bool {
        let input = Crates { root: "/crates".into(), crates: vec![path.into()] };
        audit_all(input).is_err_and(|error| error.kind() == "bad-crates")
    }

    #[test]
    fn each_crate_is_a_task_and_one_that_fails_is_a_line() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let input = Crates { root: root.clone(), crates: vec!["sample".into(), "src".into(), "gone".into()] };
        let Ok(Outcome::Decompose(plan)) = audit_all(input) else { panic!("it decomposes") };
        let names: Vec<_> = plan.children().map(|(name, _)| name).collect();
        assert_eq!(names, ["crate/sample", "crate/src", "crate/gone", "summary"]);
        assert_eq!((plan.joined_by(), plan.option("on-failure")), (Some("summary"), Some("continue")));

        let dirs = |name: &str| plan.child_named(name).expect("it is there").option("dirs").map(str::to_owned);
        assert_eq!(dirs("crate/sample"), Some(format!("{}::/crate", root.join("sample").display())), "its own alone");
        assert_eq!((dirs("crate/gone").as_deref(), dirs("summary")), (Some(""), None));

        let input = Request { path: root.join("sample") };
        let audit = crate_audit(&Attempt::new().context(), input).expect("it is a crate");
        let attempt = Attempt::new().given("crate/sample", audit).not_given("crate/src", "dead");
        let summary = summary(&attempt.context()).expect("it goes on");
        assert_eq!((summary.crates, summary.files, summary.lines.unsafe_uses), (1, 1, 2));
        assert_eq!(summary.failed, ["`crate/src` gave no output: it is dead"]);
        assert_eq!(summary.largest, [("sample 1.2.3".to_owned(), 4)]);
        assert!(summary.without_licence.is_empty());
    }

    #[test]
    fn path_that_leads_elsewhere_is_refused() {
        for path in ["..", "../x", "/etc", "a/../..", "", "."] {
            assert!(refused(path), "{path}");
        }
        assert!(!refused("registry/serde-1.0.0"));
    }

    #[test]
    fn report_names_no_more_than_it_shows() {
        let mut most = Vec::new();
        for count in 0..100 {
            keep_most(&mut most, &count.to_string(), count);
        }
        assert_eq!((most.len(), &*most[0].0, &*most[SHOWN - 1].0), (SHOWN, "99", "90"));
    }
}
