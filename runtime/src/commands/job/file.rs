//! Job files: JSON or TOML, of the shape that goes over the wire. What is wrong is told with its place.

use std::path::Path;

use sunaba_runtime::server::api::{MAX_JOB_BYTES, SubmitJob, explain_field};

use super::super::{ReadError, read as read_file, read_all};
use super::toml_text::{self, Lines};
use crate::exit::{CommandError, Exit};

/// Reads a job from a file, or from standard input by `-`. A file that ends in `.toml` is TOML, one in `.json` JSON, and of
/// others the first character says it.
///
/// # Errors
/// It cannot be read, or is no job.
pub(super) fn read(path: &Path) -> Result<SubmitJob, CommandError> {
    let limit = MAX_JOB_BYTES as u64;
    let (bytes, name) = if path == Path::new("-") {
        let bytes = read_all(std::io::stdin().lock(), limit, "standard input").map_err(|error| match error {
            ReadError::Io(error) => CommandError::new(Exit::Error, format!("cannot read standard input: {error}")),
            ReadError::TooLarge(error) => error,
        })?;
        (bytes, "standard input".to_owned())
    } else {
        (read_file(path, limit)?, path.display().to_string())
    };
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let is_toml = match extension.as_deref() {
        Some("toml") => true,
        Some("json") => false,
        _ => unmarked(&bytes).iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{'),
    };
    parse(&bytes, is_toml).map_err(|wrong| wrong.about(&name))
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The line and the column, from 1; none when it is all of it.
    pub(super) place: Option<(usize, usize)>,
    /// With an optional `hint:` line.
    pub(super) problem: String,
}

impl Wrong {
    fn whole(problem: impl Into<String>) -> Self {
        Self { place: None, problem: problem.into() }
    }

    fn about(self, file: &str) -> CommandError {
        let place = self.place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        CommandError::new(Exit::Invalid, format!("`{file}{place}` is not a job: {}", self.problem))
    }
}

/// Without the mark that some editors put before UTF-8.
fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn parse(bytes: &[u8], is_toml: bool) -> Result<SubmitJob, Wrong> {
    let bytes = unmarked(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| Wrong {
        place: Some(place_of(bytes, error.valid_up_to())),
        problem: "it is not UTF-8 from here on\nhint: a job is written in JSON or TOML, which are UTF-8".into(),
    })?;
    if text.trim().is_empty() {
        return Err(Wrong::whole("it is empty\nhint: a job has `nodes`, each with a `name` and a `handler`"));
    }
    let job: SubmitJob = if is_toml {
        let (json, lines) = toml_text::to_json(text)?;
        serde_json::from_str(&json).map_err(|error| wrong(&error, Some((&lines, text))))?
    } else {
        if !text.trim_start().starts_with('{') {
            return Err(Wrong::whole(
                "it is not a JSON object\nhint: a job is an object with `nodes`, which is a list",
            ));
        }
        serde_json::from_str(text).map_err(|error| wrong(&error, None))?
    };
    if let Some(place) = job.nodes.iter().position(|node| node.name.is_empty()) {
        return Err(Wrong::whole(format!(
            "task {} of the plan: it has no `name`\nhint: each task of a job has one, by which others can wait for it",
            place + 1
        )));
    }
    Ok(job)
}

/// An error of the parser, with its place apart. In TOML that is where the item stands of which the line was made.
fn wrong(error: &serde_json::Error, toml: Option<(&Lines, &str)>) -> Wrong {
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let problem = text.strip_suffix(&suffix).unwrap_or(&text);
    let place = match toml {
        Some((lines, text)) => place_of(text.as_bytes(), lines.offset(error.line())),
        None => (error.line(), error.column()),
    };
    if problem.contains("missing field `nodes`") {
        return Wrong::whole(
            "it has no tasks\nhint: write them as `nodes`, each with a `name` and a `handler`; in TOML as `[[nodes]]`",
        );
    }
    let problem = explain_field(problem);
    let hint = if problem.contains("\nhint: ") { "" } else { "\nhint: look at this place of the file" };
    Wrong { place: Some(place).filter(|place| place.0 > 0), problem: format!("{problem}{hint}") }
}

/// The line and the column of a byte, from 1. Columns are bytes, as in JSON's own errors.
pub(super) fn place_of(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
name = "nightly"
budget = { attempts = 10, time = "5m" }

[[nodes]]
name = "fetch"
handler = "web/fetch"
input = { url = "https://example.org", tries = [1, 2.5, -3], big = 0xff }

[[nodes]]
name = "report"
handler = "web/report"
after = ["fetch", { name = "other", on_failure = "continue" }]
"#;

    fn told(text: &str, is_toml: bool) -> (Option<(usize, usize)>, String) {
        let wrong = parse(text.as_bytes(), is_toml).map(drop).expect_err("it is wrong");
        (wrong.place, wrong.problem)
    }

    #[test]
    fn toml_and_json_are_the_same_job() {
        let from_toml = parse(TOML.as_bytes(), true).expect("a job");
        let json = serde_json::to_string(&from_toml).expect("JSON");
        let from_json = parse(json.as_bytes(), false).expect("a job");
        assert_eq!(serde_json::to_string(&from_json).expect("JSON"), json);
        let input = from_toml.nodes[0].task.input.as_ref().expect("an input").get();
        let expected = serde_json::json!({"url": "https://example.org", "tries": [1, 2.5, -3], "big": 255});
        assert_eq!(serde_json::from_str::<serde_json::Value>(input).expect("JSON"), expected);
    }

    #[test]
    fn unknown_field_is_told_with_its_task_and_its_place() {
        let (place, problem) = told(&TOML.replace("after =", "afterwards ="), true);
        assert_eq!(place, Some((13, 1)), "{problem}");
        assert!(
            problem.starts_with("task `report`: unknown field `afterwards`\nhint: did you mean `after`? "),
            "{problem}"
        );
        assert!(problem.contains("a task of a job has `name`, `after`, ") && problem.contains(", `timeout_ms`, "));
        let json = "{\"nodes\": [\n  {\"name\": \"a\", \"handler\": \"x/y\", \"wait\": 1}]}";
        let (place, problem) = told(json, false);
        assert_eq!(place.map(|place| place.0), Some(2));
        assert!(problem.starts_with("task `a`: unknown field `wait`"), "{problem}");
    }

    #[test]
    fn wrong_type_is_told_with_its_field() {
        let (place, problem) = told(&TOML.replace("\"web/report\"", "\"web/report\"\npriority = \"high\""), true);
        assert_eq!(place, Some((13, 1)), "{problem}");
        assert!(problem.starts_with("task `report`: the field `priority`: invalid type: string \"high\""), "{problem}");
        let (_, problem) = told(&TOML.replace("\"web/report\"", "\"web/report\"\non_failure = \"continue\""), true);
        assert!(problem.contains("a rule such as `continue` stands in the job"), "{problem}");
        let (_, problem) = told(&TOML.replace("\"continue\"", "\"go on\""), true);
        assert!(problem.contains("the field `after`: ") && problem.contains("go on"), "{problem}");
    }

    #[test]
    fn plan_without_tasks_is_one_if_somebody_says_so() {
        assert_eq!(parse(b"{\"nodes\": []}", false).expect("a job").nodes.len(), 0);
        assert_eq!(parse(b"nodes = []", true).expect("a job").nodes.len(), 0);
    }

    #[test]
    fn mark_before_the_text_is_no_part_of_it() {
        let marked = format!("\u{feff}{TOML}");
        assert_eq!(parse(marked.as_bytes(), true).expect("a job").nodes.len(), 2);
        assert_eq!(parse("\u{feff}{\"nodes\": []}".as_bytes(), false).expect("a job").nodes.len(), 0);
        assert_eq!(unmarked("\u{feff}{".as_bytes()), b"{");
        assert_eq!(told("\u{feff}nme = 1\nnodes = []", true).0, Some((1, 1)));
    }

    #[test]
    fn short_forms_are_the_long_ones() {
        let with = |more: &str| {
            let job = parse(format!("[[nodes]]\nname = \"a\"\n{more}").as_bytes(), true).expect("a job");
            serde_json::to_value(&job.nodes[0]).expect("JSON")
        };
        let list = with("after = [\"b\"]");
        assert_eq!((&with("after = \"b\""), &with("after = { name = \"b\" }")), (&list, &list));
        assert_eq!(with("after = [{ name = \"b\" }]"), list);
        assert_eq!(with("compensation = \"x/y\""), with("compensation = { handler = \"x/y\" }"));
    }

    #[test]
    fn wrong_form_is_told_with_the_right_one() {
        let node = |more: &str| told(&format!("[[nodes]]\nname = \"a\"\n{more}"), true).1;
        let map = node("map = [\"x/y\", [1]]");
        assert!(
            map.starts_with("task `a`: the field `map`: invalid type: sequence, expected a map, such as `{"),
            "{map}"
        );
        let after = node("after = 7");
        assert!(
            after.contains("the field `after`: invalid type: integer `7`, expected a list of dependencies"),
            "{after}"
        );
        let undo = node("compensation = []");
        assert!(undo.contains("expected what undoes the task, such as `{ \"handler\""), "{undo}");
        let budget = told("budget = [1, \"5m\"]\nnodes = []", true).1;
        assert!(budget.starts_with("invalid type: sequence, expected a budget, such as `{ \"attempts\""), "{budget}");
        let groups = told("may_be_empty = [\"part\"]\nnodes = []", true).1;
        assert_eq!(groups, "`part` is no group\nhint: write `part/*`");
    }

    #[test]
    fn field_that_is_there_twice_is_refused() {
        let map = r#"{"handler":"x/y","inputs":[]}"#;
        for (field, value) in [("name", r#""b""#), ("after", "[]"), ("map", map), ("compensation", r#""x/y""#)] {
            let all = format!(r#""name":"a","after":[],"map":{map},"compensation":"x/y""#);
            let (_, problem) = told(&format!(r#"{{"nodes":[{{{all},"{field}":{value}}}]}}"#), false);
            assert!(problem.starts_with(&format!("task `a`: duplicate field `{field}`")), "{problem}");
        }
    }

    #[test]
    fn what_is_no_job_at_all_is_told() {
        assert!(told("", true).1.starts_with("it is empty"));
        assert!(told(" \n", false).1.starts_with("it is empty"));
        assert!(told("[1]", false).1.starts_with("it is not a JSON object"));
        assert!(told("{}", false).1.starts_with("it has no tasks\nhint: "));
        assert!(told("name = \"x\"", true).1.starts_with("it has no tasks\nhint: "));
        assert_eq!(told("{\n\"nodes\": [", false).0.map(|place| place.0), Some(2));
        assert_eq!(told("name = \"x\"\nname = \"y\"", true).0, Some((2, 1)));
        let wrong = parse(b"name = \"\xff\"", true).map(drop).expect_err("it is not UTF-8");
        assert_eq!(wrong.place, Some((1, 9)));
        let (_, problem) = told("{\"nodes\": [{\"name\": \"a b\", \"handler\": \"x/y\"}]}", false);
        assert!(problem.contains("`a b` cannot name a task of a job\nhint: "), "{problem}");
    }
}
