//! Artifacts in a native test: kept in memory, by the name of their task and their own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Context;
use crate::artifact::Artifact;
use crate::{Refusal, RefusalKind};

/// The name of a task, none for the attempt's own, and that of an artifact.
type Key = (Option<String>, String);

/// What the attempt has put, and what a test has laid out for it.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    kept: RefCell<BTreeMap<Key, (Artifact, Vec<u8>)>>,
}

impl Shelf {
    pub(crate) fn put(&self, task: Option<&str>, artifact: Artifact, bytes: Vec<u8>) {
        let key = (task.map(str::to_owned), artifact.name.clone());
        self.kept.borrow_mut().insert(key, (artifact, bytes));
    }

    pub(crate) fn get(&self, task: Option<&str>, name: &str) -> Option<(Artifact, Vec<u8>)> {
        self.kept.borrow().get(&(task.map(str::to_owned), name.to_owned())).cloned()
    }

    fn list(&self, task: Option<&str>) -> Vec<Artifact> {
        let kept = self.kept.borrow();
        kept.iter().filter(|((of, _), _)| of.as_deref() == task).map(|(_, (artifact, _))| artifact.clone()).collect()
    }
}

pub(crate) fn file(name: &str, media_type: &str, bytes: &[u8], attempt: u32) -> Artifact {
    let (name, media_type, size_bytes) = (name.to_owned(), media_type.to_owned(), bytes.len() as u64);
    Artifact { name, media_type, size_bytes, digest: None, url: None, attempt }
}

pub(crate) struct Writer {
    shelf: Rc<Shelf>,
    name: String,
    media_type: String,
    attempt: u32,
    bytes: Vec<u8>,
}

pub(crate) struct Reader {
    artifact: Artifact,
    bytes: Vec<u8>,
    at: usize,
}

/// The host refuses more; a test of a handler should see the plainest of it.
fn check(name: &str) -> Result<(), Refusal> {
    let is_bad = name.is_empty() || name.len() > 255 || matches!(name, "." | "..") || name.contains(['/', '\\', '\0']);
    if is_bad {
        return Err(Refusal { kind: RefusalKind::Invalid, message: format!("{name:?} cannot name an artifact") });
    }
    Ok(())
}

/// What captured output is called is the host's to give.
fn check_own(name: &str) -> Result<(), Refusal> {
    let number = name.strip_prefix("attempt-").and_then(|rest| rest.split_once('.'));
    let is_reserved = number.is_some_and(|(number, stream)| {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number && matches!(stream, "stdout" | "stderr")
    });
    if is_reserved {
        let message = format!("`{name}` is what captured output is called");
        return Err(Refusal { kind: RefusalKind::Invalid, message });
    }
    check(name)
}

pub(crate) fn create(context: &Context, name: &str, media_type: &str) -> Result<Writer, Refusal> {
    check_own(name)?;
    let (name, media_type, attempt) = (name.to_owned(), media_type.to_owned(), context.attempt());
    Ok(Writer { shelf: Rc::clone(&context.shelf), name, media_type, attempt, bytes: Vec::new() })
}

pub(crate) fn open(context: &Context, task: Option<&str>, name: &str) -> Result<Reader, Refusal> {
    check(name)?;
    match context.shelf.get(task, name) {
        Some((artifact, bytes)) if artifact.url.is_none() => Ok(Reader { artifact, bytes, at: 0 }),
        Some(_) => Err(Refusal {
            kind: RefusalKind::Invalid,
            message: format!("the artifact `{name}` is a link, and no file"),
        }),
        None => Err(Refusal { kind: RefusalKind::NotFound, message: format!("there is no artifact `{name}`") }),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a host may refuse")]
pub(crate) fn list(context: &Context, task: Option<&str>) -> Result<Vec<Artifact>, Refusal> {
    Ok(context.shelf.list(task))
}

pub(crate) fn link(context: &Context, name: &str, url: &str) -> Result<Artifact, Refusal> {
    check_own(name)?;
    let link = Artifact { url: Some(url.to_owned()), ..file(name, "text/uri-list", &[], context.attempt()) };
    context.shelf.put(None, link.clone(), Vec::new());
    Ok(link)
}

impl Writer {
    #[expect(clippy::unnecessary_wraps, reason = "a host may refuse")]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "a host may refuse")]
    pub(crate) fn finish(&mut self) -> Result<Artifact, Refusal> {
        let bytes = std::mem::take(&mut self.bytes);
        let artifact = file(&self.name, &self.media_type, &bytes, self.attempt);
        self.shelf.put(None, artifact.clone(), bytes);
        Ok(artifact)
    }
}

impl Reader {
    pub(crate) fn info(&self) -> Artifact {
        self.artifact.clone()
    }

    #[expect(clippy::unnecessary_wraps, reason = "a host may refuse")]
    pub(crate) fn read(&mut self, max_bytes: u32) -> Result<Vec<u8>, Refusal> {
        let end = self.bytes.len().min(self.at + max_bytes as usize);
        let piece = self.bytes[self.at..end].to_vec();
        self.at = end;
        Ok(piece)
    }
}
