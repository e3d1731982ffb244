//! Where secrets come from: the host's environment and files, as its operator says, and whatever else keeps some. Each is
//! read when an attempt begins, and kept by nobody.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use sunaba_store::{Store, StoreError};
use sunaba_task::{
    BoxFuture, ExecuteError, HttpGrant, HttpGrantError, MAX_SECRET_BYTES, Secret, SecretText, format_bytes,
    is_secret_name,
};

/// Where a secret is. Written `NAME=env:VARIABLE@https://HOST` or `NAME=file:PATH@https://HOST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// Its name, by which handlers ask for it.
    pub name: String,
    /// Where its text is.
    pub place: SecretPlace,
    /// The only place that it is sent to.
    pub host: HttpGrant,
}

/// Where the text of a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// In this variable of the host's own environment.
    Env(String),
    /// In this file of the host's machine.
    File(PathBuf),
}

/// A text that does not say where a secret is. What stood there is not repeated: it may be the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretSourceError {
    /// Not NAME=...
    #[error(
        "a secret has a name of up to 64 capital letters, digits and `_`\nhint: write NAME=env:VARIABLE@https://HOST or \
         NAME=file:PATH@https://HOST"
    )]
    Name,
    /// Neither a variable nor a file, or no host.
    #[error(
        "what is said of the secret `{0}` does not tell where it is and where it goes\nhint: write \
         {0}=env:VARIABLE@https://HOST or {0}=file:PATH@https://HOST; never the secret itself"
    )]
    Form(String),
    /// Not one host.
    #[error(
        "the secret `{name}` cannot be for `{host}`\nhint: name the one host that it is sent to, such as `https://api.example.com`"
    )]
    Host {
        /// The secret's name.
        name: String,
        /// What stood there.
        host: String,
    },
    /// Named twice.
    #[error("the secret `{0}` is defined twice")]
    Twice(String),
}

impl FromStr for SecretSource {
    type Err = SecretSourceError;

    fn from_str(text: &str) -> Result<Self, SecretSourceError> {
        let (name, rest) = text.split_once('=').ok_or(SecretSourceError::Name)?;
        if !is_secret_name(name) {
            return Err(SecretSourceError::Name);
        }
        let name = name.to_owned();
        let form = || SecretSourceError::Form(name.clone());
        // From the right: a path may have an `@`, and a host of one name has none.
        let (place, host) = rest.rsplit_once('@').ok_or_else(form)?;
        let place = match place.split_once(':') {
            Some(("env", variable)) if !variable.is_empty() && !variable.contains(['=', '\0']) => {
                SecretPlace::Env(variable.to_owned())
            }
            Some(("file", path)) if !path.is_empty() && !path.contains('\0') => SecretPlace::File(path.into()),
            _ => return Err(form()),
        };
        let host: HttpGrant = host.parse().map_err(|_: HttpGrantError| form())?;
        check_host(&name, &host)?;
        Ok(Self { name, place, host })
    }
}

/// Whether a secret can be for this host: one, and not a family of them.
fn check_host(name: &str, host: &HttpGrant) -> Result<(), SecretSourceError> {
    if host.host.starts_with('*') || !host.addresses.is_empty() {
        return Err(SecretSourceError::Host { name: name.to_owned(), host: host.to_string() });
    }
    Ok(())
}

impl SecretSource {
    /// The secret as it is now. Blocks.
    ///
    /// # Errors
    /// It is not there, or cannot be one; never with its text.
    pub fn read(&self) -> Result<Secret, ExecuteError> {
        let failed = |reason: String| ExecuteError::Secret { name: self.name.clone(), reason };
        let text = self.place.read().map_err(failed)?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        check_text(text).map_err(failed)?;
        Ok(Secret { name: self.name.clone(), text: SecretText::new(text), host: self.host.clone() })
    }
}

impl SecretPlace {
    /// What is there. Blocks.
    pub(crate) fn read(&self) -> Result<String, String> {
        match self {
            Self::Env(variable) => {
                let set = std::env::var_os(variable).ok_or_else(|| format!("`{variable}` is not set"))?;
                set.into_string().map_err(|_| format!("`{variable}` is not UTF-8"))
            }
            Self::File(path) => read_file(path),
        }
    }
}

/// At most so much of a file that a text over the limit is told from one at it, with its line's end.
fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let problem = |error: std::io::Error| format!("`{shown}`: {error}");
    // A pipe would be waited for, for ever.
    if !std::fs::metadata(path).map_err(problem)?.is_file() {
        return Err(format!("`{shown}` is not a file"));
    }
    let file = std::fs::File::open(path).map_err(problem)?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(problem)?;
    String::from_utf8(bytes).map_err(|_| format!("`{shown}` is not UTF-8"))
}

fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err(format!("it has more than {}", format_bytes(MAX_SECRET_BYTES as u64)));
    }
    // It goes into a header of a request, which is a line.
    if text.chars().any(char::is_control) {
        return Err("it is not one line of text".into());
    }
    Ok(())
}

/// Whoever keeps secrets beside the operator's command line.
pub trait SecretKeeper: Send + Sync + 'static {
    /// The secret of this name, if there is one.
    ///
    /// # Errors
    /// It cannot be looked up at the moment.
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, StoreError>>;
}

/// Those that are kept in the store.
pub(crate) struct InStore(pub(crate) Arc<dyn Store>);

impl SecretKeeper for InStore {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, StoreError>> {
        self.0.secret(name.to_owned())
    }
}

/// All the secrets of a host. What its command line defines comes before what is kept.
#[derive(Default, Clone)]
pub(crate) struct Secrets {
    pub(crate) sources: BTreeMap<String, SecretSource>,
    pub(crate) keeper: Option<Arc<dyn SecretKeeper>>,
}

impl Secrets {
    /// Where the secret is sent, if there is one of this name.
    ///
    /// # Errors
    /// It cannot be looked up at the moment.
    pub(crate) async fn host(&self, name: &str) -> Result<Option<HttpGrant>, StoreError> {
        if let Some(source) = self.sources.get(name) {
            return Ok(Some(source.host.clone()));
        }
        let Some(keeper) = self.keeper.as_ref().filter(|_| is_secret_name(name)) else { return Ok(None) };
        Ok(keeper.secret(name).await?.map(|secret| secret.host))
    }

    /// The secrets of these names, as they are now.
    ///
    /// # Errors
    /// [`ExecuteError::Secret`]: the first that is not there; by its name.
    pub(crate) async fn resolve(&self, names: &[String]) -> Result<Vec<Secret>, ExecuteError> {
        let mut secrets = Vec::with_capacity(names.len());
        for name in names {
            let failed = |reason: String| ExecuteError::Secret { name: name.clone(), reason };
            if let Some(source) = self.sources.get(name).cloned() {
                let read = tokio::task::spawn_blocking(move || source.read()).await;
                secrets.push(read.map_err(|error| ExecuteError::Internal(error.to_string()))??);
                continue;
            }
            let kept = match &self.keeper {
                Some(keeper) => keeper.secret(name).await.map_err(|error| failed(error.to_string()))?,
                None => None,
            };
            secrets.push(kept.ok_or_else(|| failed("this host has none of that name".into()))?);
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<SecretSource, SecretSourceError> {
        text.parse()
    }

    fn in_file(bytes: &[u8]) -> Result<String, String> {
        let path = std::env::temp_dir().join(format!("sunaba-secret-{}-{}", std::process::id(), bytes.len()));
        std::fs::write(&path, bytes).expect("written");
        let secret = source(&format!("K=file:{}@https://a.b", path.display())).expect("a source").read();
        std::fs::remove_file(&path).expect("removed");
        secret.map(|secret| secret.text.reveal().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn sources_are_variables_and_files_for_one_host() {
        let env = source("API_KEY=env:TOKEN@https://api.example.com").expect("a source");
        assert_eq!((env.name.as_str(), env.place), ("API_KEY", SecretPlace::Env("TOKEN".into())));
        assert_eq!(env.host.to_string(), "https://api.example.com");
        let file = source("K=file:/run/a@b:c@http://h:81").expect("a source");
        assert_eq!(file.place, SecretPlace::File("/run/a@b:c".into()));
    }

    #[test]
    fn malformed_sources_are_refused_and_not_repeated() {
        for text in ["", "hunter2", "key=env:T@https://a", "K", "=env:hunter2@https://a"] {
            assert_eq!(source(text), Err(SecretSourceError::Name), "{text}");
        }
        for text in ["K=hunter2", "K=hunter2@https://a.b", "K=env:@https://a.b", "K=env:T", "K=file:/x@hunter2"] {
            let error = source(text).expect_err(text);
            assert_eq!(error, SecretSourceError::Form("K".into()), "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(matches!(source("K=env:T@https://*.a.b"), Err(SecretSourceError::Host { .. })));
        assert_eq!(source("K=env:T@https://a@10.0.0.0/8"), Err(SecretSourceError::Form("K".into())));
    }

    #[test]
    fn end_of_the_line_is_no_part_of_a_secret() {
        assert_eq!(in_file(b"hunter2\n"), Ok("hunter2".into()));
        assert_eq!(in_file(b"hunter23\r\n"), Ok("hunter23".into()));
        assert_eq!(in_file(b" spaces stay "), Ok(" spaces stay ".into()));
    }

    #[test]
    fn secret_bytes_obeyed() {
        let longest = "x".repeat(MAX_SECRET_BYTES);
        assert_eq!(in_file(format!("{longest}\n").as_bytes()), Ok(longest));
    }

    #[test]
    fn secret_bytes_violated() {
        let error = in_file("x".repeat(MAX_SECRET_BYTES + 1).as_bytes()).expect_err("it is too long");
        assert!(error.contains("`K`") && error.contains("more than 8.0 KiB"), "{error}");
    }

    #[test]
    fn text_that_cannot_be_a_secret_is_refused_without_being_shown() {
        for bytes in [&b""[..], b"\n", b"hunter2\nand more", b"hunter2\xff", b"hunter2\0"] {
            let error = in_file(bytes).expect_err("it cannot be one");
            assert!(error.contains("`K`") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn secret_that_is_not_there_is_named() {
        for place in ["env:SUNABA_TEST_IS_NOT_SET", "file:/nowhere/at/all", "file:/"] {
            let error = source(&"K=env:T@https://a.b".replace("env:T", place)).expect("a source").read();
            assert!(matches!(error, Err(ExecuteError::Secret { name, .. }) if name == "K"), "{place}");
        }
    }
}
