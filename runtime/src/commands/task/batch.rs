//! `sunaba task submit --batch`: a task for each line, many in one commit.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sunaba_runtime::server::api::{MAX_BULK_BYTES, MAX_BULK_TASKS, Submit, SubmittedView};
use sunaba_runtime::task::format_bytes;
use sunaba_runtime::{Client, InputError, MAX_INPUT_BYTES};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// What of a request is not tasks.
const AROUND_BYTES: usize = 64 << 10;

/// Tasks that are gathered for one request, and the lines that they come from.
#[derive(Default)]
struct Gathered {
    tasks: Vec<Box<RawValue>>,
    lines: Vec<u64>,
    bytes: usize,
}

/// Submits a task as `template` has it for each line that is not empty. Ids are printed in the order of the lines; a line
/// that is refused is told on standard error, and holds back no other.
///
/// # Errors
/// The file cannot be read, or the host did not answer; what was printed before that is taken on.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    file: &Path,
    is_json: bool,
    template: &Submit,
) -> Result<Exit, CommandError> {
    let source: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(std::fs::File::open(file).map_err(|error| CommandError::file(file, &error))?))
    };
    let mut lines = Lines { source, number: 0 };
    let (mut gathered, mut exit) = (Gathered::default(), Exit::Ok);
    loop {
        let (number, line) = match lines.next(file) {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                send(global, client, &mut gathered, &mut exit).await?;
                return Err(error);
            }
        };
        let task = match with_input(template, is_json, &line) {
            Ok(task) => task,
            Err(error) => {
                refuse(&CommandError::from(error).about(format_args!("line {number}")), &mut exit);
                continue;
            }
        };
        let bytes = task.get().len() + 1;
        if gathered.tasks.len() == MAX_BULK_TASKS || gathered.bytes + bytes > MAX_BULK_BYTES - AROUND_BYTES {
            send(global, client, &mut gathered, &mut exit).await?;
        }
        gathered.tasks.push(task);
        gathered.lines.push(number);
        gathered.bytes += bytes;
    }
    send(global, client, &mut gathered, &mut exit).await?;
    Ok(exit)
}

struct Lines {
    source: Box<dyn BufRead>,
    number: u64,
}

impl Lines {
    /// The next line that is not empty, and its number, from 1.
    fn next(&mut self, file: &Path) -> Result<Option<(u64, Vec<u8>)>, CommandError> {
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut self.source).take(MAX_INPUT_BYTES + 2);
            let read = bounded.read_until(b'\n', &mut line).map_err(|error| CommandError::file(file, &error))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if line.len() as u64 > MAX_INPUT_BYTES {
                let message = format!(
                    "line {} has more than {}\nhint: that is the limit for an input; the lines before it were submitted",
                    self.number,
                    format_bytes(MAX_INPUT_BYTES)
                );
                return Err(CommandError::new(Exit::Invalid, message));
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some((self.number, line)));
            }
        }
    }
}

/// The task of a line, as JSON.
fn with_input(template: &Submit, is_json: bool, line: &[u8]) -> Result<Box<RawValue>, InputError> {
    let wrong = |error: serde_json::Error| InputError::Json(error.to_string());
    let (name, input) = if is_json {
        ("input", serde_json::from_slice::<Box<RawValue>>(line).map_err(wrong)?)
    } else {
        ("input_base64", serde_json::value::to_raw_value(&STANDARD.encode(line)).map_err(wrong)?)
    };
    // An object ends with a brace; the input goes before it.
    let mut task = serde_json::to_string(template).map_err(wrong)?;
    task.pop();
    task.push_str(&format!(",\"{name}\":{}}}", input.get()));
    RawValue::from_string(task).map_err(wrong)
}

/// Tells why a line was refused. When all were for one reason, that is what the exit code says.
fn refuse(error: &CommandError, exit: &mut Exit) {
    print::error(error);
    *exit = if [Exit::Ok, error.exit].contains(exit) { error.exit } else { Exit::Invalid };
}

/// Sends what is gathered, and prints what became of it.
async fn send(global: &Global, client: &Client, gathered: &mut Gathered, exit: &mut Exit) -> Result<(), CommandError> {
    let Gathered { tasks, lines, .. } = std::mem::take(gathered);
    if tasks.is_empty() {
        return Ok(());
    }
    let answers = client.submit_tasks(tasks).await?.tasks;
    let mut shown = String::new();
    for (number, answer) in lines.iter().zip(&answers) {
        match answer {
            SubmittedView::Refused { problem } => {
                let error = CommandError::from(sunaba_runtime::ClientError::Refused(problem.clone()));
                refuse(&error.about(format_args!("line {number}")), exit);
            }
            SubmittedView::Taken { id, .. } => {
                shown.push_str(id);
                shown.push('\n');
            }
        }
        if global.output != Format::Text {
            print::json(Format::Jsonl, answer)?;
        }
    }
    if global.output == Format::Text {
        print::data(shown.as_bytes())?;
    }
    if answers.len() != lines.len() {
        let message = format!("the host answered for {} of {} tasks", answers.len(), lines.len());
        return Err(CommandError::new(Exit::Error, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn line_is_the_input_of_a_task_like_the_others() {
        let template = Submit { handler: "a/b".into(), priority: Some(3), ..Submit::default() };
        let task = |is_json, line: &[u8]| with_input(&template, is_json, line).map(|task| task.get().to_owned());
        let read =
            |text: Result<String, InputError>| serde_json::from_str::<Value>(&text.expect("JSON")).expect("JSON");
        assert_eq!(read(task(true, b"{\"n\":1}")), json!({"handler": "a/b", "priority": 3, "input": {"n": 1}}));
        assert_eq!(read(task(false, b"\xff")), json!({"handler": "a/b", "priority": 3, "input_base64": "/w=="}));
        assert!(task(true, b"{").is_err());
        assert!(task(true, b"1,\"queue\":\"x\"").is_err());
    }
}
