//! What is wrong with the fields of a job: told with the task and the field, and with the fields that there are.

use sunaba_task::nearest;

/// What a task of a job has besides what a task alone has.
const OF_A_TASK: [&str; 4] = ["name", "after", "compensation", "map"];

/// What is wrong with a field of a task.
pub(super) fn in_field(node: &str, field: &str, error: &str) -> String {
    let (problem, place) = error.rfind(" at line ").map_or((error, ""), |at| error.split_at(at));
    let task = if node.is_empty() { String::new() } else { format!("task `{node}`: ") };
    let problem = match Unknown::read(problem) {
        Some(unknown) if unknown.field == field => unknown.told("a task of a job has", &OF_A_TASK),
        Some(unknown) => format!("the field `{field}`: {}", unknown.told("it has", &[])),
        None if field.is_empty() || problem == format!("duplicate field `{field}`") => problem.to_owned(),
        None => format!("the field `{field}`: {problem}"),
    };
    // Beside the callbacks of a task, a job and a dependency have rules of this name.
    let hint = if field == "on_failure" && !problem.contains("\nhint: ") {
        "\nhint: of a task these are handlers; a rule such as `continue` stands in the job, or in `after` as `{\"name\": ..., \
         \"on_failure\": \"continue\"}`"
    } else {
        ""
    };
    format!("{task}{problem}{hint}{place}")
}

/// The same problem of a job, and a hint if it has none: what its fields are, or its tasks.
pub fn explain_field(problem: &str) -> String {
    if problem.contains("\nhint: ") {
        return problem.to_owned();
    }
    if let Some(at) = problem.find("unknown field `")
        && let (before, told) = problem.split_at(at)
        && let (told, place) = told.rfind(" at line ").map_or((told, ""), |at| told.split_at(at))
        && let Some(unknown) = Unknown::read(told)
    {
        let what = if unknown.known.contains(&"nodes") { "a job has" } else { "here are" };
        let told = unknown.told(what, &[]);
        let (told, hint) = told.split_once("\nhint: ").unwrap_or((&told, ""));
        return format!("{before}{told}{place}\nhint: {hint}");
    }
    if problem.contains("missing field `nodes`") {
        return format!("{problem}\nhint: the tasks of a job are its `nodes`, each with a `name` and a `handler`");
    }
    problem.to_owned()
}

/// A field that there is not, as serde tells it.
struct Unknown<'e> {
    field: &'e str,
    known: Vec<&'e str>,
}

impl<'e> Unknown<'e> {
    fn read(problem: &'e str) -> Option<Self> {
        let (field, known) = problem.strip_prefix("unknown field `")?.rsplit_once("`, expected ")?;
        // Every other piece stands between two backticks. A field that has some of its own is not taken apart.
        let known = known.split('`').skip(1).step_by(2).collect();
        Some(Self { field, known })
    }

    fn told(&self, what: &str, more: &[&'e str]) -> String {
        let all: Vec<&str> = more.iter().chain(&self.known).copied().collect();
        let near = nearest(self.field, all.iter().copied());
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let all = all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let field: String = self.field.chars().take(64).collect();
        format!("unknown field `{field}`\nhint: {near}{what} {all}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_field_of_a_task_is_told_with_the_near_one_and_all_others() {
        let error = "unknown field `timeout`, expected one of `handler`, `input`, `timeout_ms` at line 2 column 7";
        assert_eq!(
            in_field("a", "timeout", error),
            "task `a`: unknown field `timeout`\nhint: did you mean `timeout_ms`? a task of a job has `name`, `after`, \
             `compensation`, `map`, `handler`, `input`, `timeout_ms` at line 2 column 7"
        );
    }

    #[test]
    fn unknown_field_within_a_field_is_told_with_both() {
        let error = "unknown field `input`, expected `handler` or `inputs` at line 1 column 9";
        let told = in_field("a", "map", error);
        assert!(
            told.starts_with("task `a`: the field `map`: unknown field `input`\nhint: did you mean `inputs`? "),
            "{told}"
        );
        assert!(told.ends_with("it has `handler`, `inputs` at line 1 column 9"), "{told}");
    }

    #[test]
    fn field_that_is_there_twice_is_told_once() {
        assert_eq!(in_field("a", "map", "duplicate field `map`"), "task `a`: duplicate field `map`");
    }

    #[test]
    fn unknown_field_of_a_job_is_told_with_its_fields() {
        let told = explain_field("the body: unknown field `nme`, expected one of `name`, `nodes` at line 1 column 6");
        assert_eq!(
            told,
            "the body: unknown field `nme` at line 1 column 6\nhint: did you mean `name`? a job has `name`, `nodes`"
        );
        assert_eq!(explain_field("EOF while parsing"), "EOF while parsing");
        assert!(explain_field("missing field `nodes`").contains("\nhint: the tasks of a job are its `nodes`"));
    }
}
