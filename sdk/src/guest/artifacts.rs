//! Artifacts by the contract.

use super::bindings::sunaba::task::artifacts as wit;
use super::refusal;
use crate::artifact::Artifact;
use crate::{Context, Refusal};

pub(crate) struct Writer(wit::Writer);
pub(crate) struct Reader(wit::Reader);

pub(crate) fn create(_: &Context, name: &str, media_type: &str) -> Result<Writer, Refusal> {
    wit::create(name, media_type).map(Writer).map_err(refusal)
}

pub(crate) fn open(_: &Context, task: Option<&str>, name: &str) -> Result<Reader, Refusal> {
    wit::open(task, name).map(Reader).map_err(refusal)
}

pub(crate) fn list(_: &Context, task: Option<&str>) -> Result<Vec<Artifact>, Refusal> {
    wit::list(task).map(|found| found.into_iter().map(artifact).collect()).map_err(refusal)
}

pub(crate) fn link(_: &Context, name: &str, url: &str) -> Result<Artifact, Refusal> {
    wit::link(name, url).map(artifact).map_err(refusal)
}

impl Writer {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.0.write(bytes).map_err(refusal)
    }

    pub(crate) fn finish(&mut self) -> Result<Artifact, Refusal> {
        self.0.finish().map(artifact).map_err(refusal)
    }
}

impl Reader {
    pub(crate) fn info(&self) -> Artifact {
        artifact(self.0.info())
    }

    pub(crate) fn read(&mut self, max_bytes: u32) -> Result<Vec<u8>, Refusal> {
        self.0.read(max_bytes).map_err(refusal)
    }
}

fn artifact(info: wit::ArtifactInfo) -> Artifact {
    let wit::ArtifactInfo { name, media_type, size_bytes, digest, url, attempt } = info;
    Artifact { name, media_type, size_bytes, digest, url, attempt }
}
