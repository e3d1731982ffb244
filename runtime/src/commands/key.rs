//! `sunaba key`: the keys by which a host knows who may do what. A key is shown once, when it is made; nothing else shows it.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sunaba_runtime::server::api::{CreateKey, CreatedKey, KeyView};
use sunaba_runtime::store::{AccessStore as _, EmbeddedStore, OpenError, StoreError, audited, new_key_text};
use sunaba_runtime::task::{KeyId, KeyText, NewApiKey, NewAudit, Scope, parse_duration};

use super::{frame, ms, read};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// A file that has more has no key in it.
const MAX_FILE_BYTES: u64 = 1 << 10;

/// A key as it was given. What cannot be one is found when it is needed, and not told.
#[derive(Clone)]
pub(crate) struct ApiKey(String);

impl FromStr for ApiKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Work on this data directory, which no host holds: so the first key is made
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key, and print it; it is not shown again
    Create {
        /// Whose it is, or what it is for
        name: String,
        /// What it may do: `submit`, `read`, `operate` (and read), `deploy` (and read), or `admin`, which is everything
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// A queue to which it is bound; may be repeated [default: every queue]
        #[arg(long = "queue", value_name = "QUEUE")]
        queues: Vec<String>,
        /// How long it is good, such as `90d` [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires: Option<Duration>,
        /// Write it into this file, which only you can read and which must not exist, instead of printing it
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// List keys: what they may do and when they were used; never the keys themselves
    List,
    /// End a key: from then on the host answers to nobody who has it
    Revoke {
        /// Its id, as the list has it
        // A text, which an error does not repeat: it may be a key.
        id: String,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let Args { command, data } = args;
    match command {
        Command::Create { name, scopes, queues, expires, save } => {
            let queues = (!queues.is_empty()).then_some(queues);
            let wanted = CreateKey { name, scopes, queues, expires_in_ms: expires.map(ms) };
            // Before the key is made: one that cannot be written would be lost.
            let file = save.as_deref().map(private_file).transpose()?;
            let made = create(global, data.as_deref(), wanted).await.inspect_err(|_| {
                // What was made for it is not left behind.
                if let Some(path) = &save {
                    let _ = std::fs::remove_file(path);
                }
            })?;
            show_new(global, &made, file.zip(save))?;
            Ok(Exit::Ok)
        }
        Command::List => {
            let keys: Vec<KeyView> = match &data {
                Some(data) => {
                    let known = open(data)?.api_keys().await.map_err(failed)?;
                    known.keys.iter().map(|key| KeyView::new(key, known.now)).collect()
                }
                None => global.client()?.list_keys().await?,
            };
            list(global, &keys)
        }
        Command::Revoke { id } => {
            let id: KeyId = id.parse().map_err(|error| CommandError::new(Exit::Usage, error))?;
            let revoked = match &data {
                Some(data) => revoke_offline(data, id).await?,
                None => global.client()?.revoke_key(&id.to_string()).await?,
            };
            frame::done(global, &revoked, |revoked| format!("revoked {} ({})", revoked.id, revoked.name))
        }
    }
}

/// The key that was given, by itself or in a file; none when none was.
pub(crate) fn given(key: Option<&ApiKey>, file: Option<&Path>) -> Result<Option<KeyText>, CommandError> {
    let (text, place) = match (key, file) {
        // An empty variable is as good as none.
        (Some(ApiKey(text)), _) if !text.is_empty() => (text.clone(), "what was given as the API key".to_owned()),
        (_, Some(file)) => {
            let text = String::from_utf8(read(file, MAX_FILE_BYTES)?).unwrap_or_default();
            (text.trim().to_owned(), format!("what `{}` has", file.display()))
        }
        _ => return Ok(None),
    };
    KeyText::read(&text).map(Some).ok_or_else(|| {
        let message = format!("{place} is no key\nhint: a key is `sunaba_` and 64 hexadecimal digits");
        CommandError::new(Exit::Usage, message)
    })
}

/// The store in a directory that no host holds.
pub(super) fn open(data: &Path) -> Result<EmbeddedStore, CommandError> {
    EmbeddedStore::sled(data).map_err(|error| match error {
        OpenError::InUse { .. } => {
            let message = format!("{error}\nhint: a host has it: leave `--data` out, and ask the host");
            CommandError::new(Exit::Unavailable, message)
        }
        error => CommandError::new(Exit::Error, error),
    })
}

/// In whose name this program changes a store itself.
fn offline(what: &str, of: &str) -> NewAudit {
    NewAudit::by("offline", what, of)
}

async fn create(global: &Global, data: Option<&Path>, wanted: CreateKey) -> Result<CreatedKey, CommandError> {
    match data {
        Some(data) => create_offline(data, wanted).await,
        None => Ok(global.client()?.create_key(&wanted).await?),
    }
}

async fn create_offline(data: &Path, wanted: CreateKey) -> Result<CreatedKey, CommandError> {
    let no_random = |error| CommandError::new(Exit::Error, format!("there are no random numbers for a key: {error}"));
    let text = new_key_text().map_err(no_random)?;
    let CreateKey { name, scopes, queues, expires_in_ms } = wanted;
    let expires_in = expires_in_ms.map(Duration::from_millis);
    let new = NewApiKey { name, scopes, queues, digest: text.digest(), expires_in };
    let store = open(data)?;
    let made = audited(offline("key.create", ""), store.create_key(new)).await.map_err(failed)?;
    Ok(CreatedKey { key: text.reveal().to_owned(), view: KeyView::new(&made, made.created_at) })
}

async fn revoke_offline(data: &Path, id: KeyId) -> Result<KeyView, CommandError> {
    let store = open(data)?;
    let revoked = audited(offline("key.revoke", &id.to_string()), store.revoke_key(id)).await.map_err(failed)?;
    let revoked = revoked.ok_or_else(|| CommandError::new(Exit::NotFound, format!("there is no key {id}")))?;
    Ok(KeyView::new(&revoked, revoked.revoked_at.unwrap_or(revoked.created_at)))
}

fn failed(error: StoreError) -> CommandError {
    let exit = match &error {
        StoreError::ApiKey(_) => Exit::Invalid,
        _ => Exit::Error,
    };
    CommandError::new(exit, error)
}

fn private_file(path: &Path) -> Result<std::fs::File, CommandError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::AlreadyExists { Exit::Conflict } else { Exit::Error };
        CommandError::new(
            exit,
            format!("cannot make `{}`: {error}\nhint: name a file that does not exist", path.display()),
        )
    })
}

fn show_new(global: &Global, made: &CreatedKey, saved: Option<(std::fs::File, PathBuf)>) -> Result<(), CommandError> {
    let is_saved = saved.is_some();
    if let Some((mut file, path)) = saved {
        let written = writeln!(file, "{}", made.key).and_then(|()| file.sync_all());
        written
            .map_err(|error| CommandError::new(Exit::Error, format!("cannot write `{}`: {error}", path.display())))?;
        print::aside(global, format_args!("key {} ({}) is in `{}`", made.view.id, made.view.name, path.display()));
    }
    match (global.output, is_saved) {
        (Format::Text, true) => Ok(()),
        (Format::Text, false) => {
            print::aside(global, format_args!("key {} ({}); it is not shown again", made.view.id, made.view.name));
            print::data(format!("{}\n", made.key).as_bytes())
        }
        (format, true) => print::json(format, &made.view),
        (format, false) => print::json(format, made),
    }
}

fn list(global: &Global, keys: &[KeyView]) -> Result<Exit, CommandError> {
    let head = ["KEY", "NAME", "SCOPES", "QUEUES", "STANDING", "CREATED", "EXPIRES", "USED"];
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.into());
    frame::list(global, keys, "there is no key", head, |key| {
        [
            key.id.clone(),
            key.name.clone(),
            key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            key.queues.as_ref().map_or_else(|| "all".into(), |queues| queues.join(",")),
            key.standing.name().into(),
            key.created_at.clone(),
            or(&key.expires_at, "never"),
            or(&key.last_used_at, "never"),
        ]
    })
}
