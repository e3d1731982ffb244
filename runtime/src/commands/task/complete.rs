//! `sunaba task complete`: gives a task that waits for it its output.

use sunaba_runtime::Client;
use sunaba_runtime::server::api::Complete;
use sunaba_runtime::task::TaskId;

use super::super::input::Input;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(super) struct CompleteArgs {
    /// Its id
    id: TaskId,
    /// What it has given from then on: JSON, `@FILE`, or `-` for standard input
    #[arg(long = "output", value_name = "OUTPUT", allow_hyphen_values = true)]
    given: Input,
    /// What the output is, if it is not JSON
    #[arg(long)]
    media_type: Option<String>,
    /// Who completes it, in one line; kept with the task
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// The task's token, as `@FILE` or `-` for standard input: the only right that is needed then
    #[arg(long)]
    token: Option<Input>,
}

pub(super) async fn run(global: &Global, client: &Client, args: CompleteArgs) -> Result<Exit, CommandError> {
    let CompleteArgs { id, given, media_type, by, token } = args;
    if matches!((&given, &token), (Input::Stdin, Some(Input::Stdin))) {
        return Err(CommandError::new(Exit::Usage, "the output and the token cannot both be on standard input"));
    }
    let given = Complete::of(&given.read()?, media_type.as_deref()).map_err(|error| {
        let hint = "write JSON in single quotes, such as '{\"approved\":true}', or say what it is with `--media-type`";
        CommandError::new(Exit::Invalid, format!("the output is not JSON: {error}\nhint: {hint}"))
    })?;
    let token = token.map(Input::read).transpose()?;
    let token = token.map(|token| String::from_utf8_lossy(&token).trim().to_owned());
    let done = client.complete_task(id, &Complete { by, token, ..given }).await?;
    match global.output {
        Format::Text if global.quiet => {}
        Format::Text if done.taken => print::note(format_args!("task {id} has succeeded with this output")),
        Format::Text => print::note(format_args!(
            "task {id} is {}, and this output is kept: it succeeds with it as soon as its handler waits to be completed",
            done.state
        )),
        format => print::json(format, &done)?,
    }
    Ok(Exit::Ok)
}
