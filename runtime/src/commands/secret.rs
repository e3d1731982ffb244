//! `sunaba secret`: secrets that a host keeps for its handlers. A text is read from where only we can read it, and is never an
//! argument, which every process of the machine could see.

use std::ffi::OsString;
use std::path::PathBuf;

use comfy_table::Table;
use sunaba_runtime::server::api::{SecretView, SetSecret};
use sunaba_runtime::task::{HttpGrant, MAX_SECRET_BYTES, SecretText};

use super::input::Input;
use super::read;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep a secret, in place of the one of its name; its text is read from standard input, without the end of its last line
    Set {
        /// Its name, as an environment variable's: `API_KEY`
        name: String,
        /// The only place that it is sent to, such as `https://api.example.com`
        #[arg(long, value_name = "URL")]
        host: HttpGrant,
        /// Read the text from this environment variable
        #[arg(long, value_name = "VAR", conflicts_with = "from_file")]
        from_env: Option<OsString>,
        /// Read the text from this file
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List secrets: their names, where they are sent to, and when they were set; never their texts
    List,
    /// Forget a secret
    Remove {
        /// Its name
        name: String,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Set { name, host, from_env, from_file } => {
            let text = text(from_env, from_file)?;
            show(global, &client.set_secret(&name, &SetSecret { host: host.to_string(), text }).await?)?;
        }
        Command::List => list(global, &client.list_secrets().await?)?,
        Command::Remove { name } => {
            let removed = client.remove_secret(&name).await?;
            match global.output {
                Format::Text => print::aside(global, format_args!("removed {}", removed.removed)),
                format => print::json(format, &removed)?,
            }
        }
    }
    Ok(Exit::Ok)
}

fn text(from_env: Option<OsString>, from_file: Option<PathBuf>) -> Result<SecretText, CommandError> {
    let bytes = match (from_env, from_file) {
        (Some(name), _) => {
            let shown = name.to_string_lossy().into_owned();
            let text = std::env::var_os(&name).ok_or_else(|| {
                CommandError::new(Exit::NotFound, format!("the environment variable `{shown}` is not set"))
            })?;
            text.into_encoded_bytes()
        }
        // One more for the end of a line.
        (None, Some(file)) => read(&file, MAX_SECRET_BYTES as u64 + 2)?,
        (None, None) => Input::Stdin.read()?,
    };
    let mut text = String::from_utf8(bytes).map_err(|_| {
        CommandError::new(
            Exit::Invalid,
            "the secret is not UTF-8\nhint: encode it as its server takes it, such as in base64",
        )
    })?;
    // Editors and `echo` end the last line, and a header has no lines.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(SecretText::new(text))
}

fn show(global: &Global, secret: &SecretView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, secret);
    }
    print::rows(&[
        ("secret", secret.name.clone()),
        ("host", secret.host.clone()),
        ("created", secret.created_at.clone()),
        ("changed", secret.changed_at.clone()),
    ])
}

fn list(global: &Global, secrets: &[SecretView]) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return secrets.iter().try_for_each(|secret| print::json(Format::Jsonl, secret));
    }
    if secrets.is_empty() {
        print::aside(global, "no secret is kept");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["SECRET", "HOST", "CREATED", "CHANGED"]);
    for secret in secrets {
        table.add_row([&secret.name, &secret.host, &secret.created_at, &secret.changed_at]);
    }
    print::table(&table)
}
