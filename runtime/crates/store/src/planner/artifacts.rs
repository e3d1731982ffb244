//! Keeps the names of artifacts, and lets go of their files.
//!
//! What names a file has a key beside the artifact's own, in the same turn, so that who names a file is found by its digest.
//! The file goes after the turn that deletes the last such key is durable, and never before.

use bytes::Bytes;
use sunaba_task::{Artifact, ArtifactName, Digest, LeaseToken, MAX_ARTIFACTS, TaskId};

use super::retention::Part;
use super::{Planner, Turn};
use crate::blobs::LocalBlobs;
use crate::{Engine, NewArtifact, PutArtifactError, StoreError, codec, keys};

/// Artifacts of a task that go in one step. What is left of them is noted, and goes later.
const MAX_FORGOTTEN: usize = 32;

/// Whether a record names this file. An engine that cannot say keeps it.
pub(crate) fn is_named(engine: &dyn Engine, digest: &Digest) -> bool {
    let (first, end) = keys::names(digest);
    engine.scan(&first, &end, false).next().is_some()
}

impl Turn<'_> {
    /// Files that perhaps nobody names once the turn is durable.
    pub(crate) fn take_released(&mut self) -> Vec<Digest> {
        std::mem::take(&mut self.released)
    }

    fn unname(&mut self, artifact: &Artifact, task: TaskId) {
        if let Some(digest) = artifact.digest() {
            self.txn.delete(keys::name(&digest, task, artifact.name.as_str()));
            self.released.push(digest);
        }
    }
}

impl Planner {
    /// Names a file that is durable, or keeps a link, for whoever has the lease.
    pub(crate) fn put_artifact(
        &mut self,
        turn: &mut Turn<'_>,
        token: &LeaseToken,
        new: NewArtifact,
        blobs: &LocalBlobs,
    ) -> Result<Result<Artifact, PutArtifactError>, StoreError> {
        turn.txn.check_room()?;
        let id = token.task;
        let Some(running) = self.running.get(&id).filter(|_| self.has_lease(token)) else {
            return Ok(Err(PutArtifactError::LeaseLost));
        };
        let attempt = running.stored.task.attempts_started;
        let key = keys::artifact(id, new.name.as_str());
        let before = match turn.txn.get(&key)? {
            Some(stored) => turn.read_or_set_aside::<Artifact>(&key, &stored)?,
            None => None,
        };
        let count = match running.artifacts {
            Some(count) => count,
            None => artifact_keys(turn, id, MAX_ARTIFACTS)?.len(),
        };
        if before.is_none() && count >= MAX_ARTIFACTS {
            return Ok(Err(PutArtifactError::TooMany));
        }
        let NewArtifact { name, media_type, kind } = new;
        let artifact = Artifact { name, media_type, kind, attempt, created_at: turn.now };
        if let Some(digest) = artifact.digest().filter(|digest| !blobs.has(digest)) {
            return Ok(Err(PutArtifactError::NoFile(digest)));
        }
        if let Some(before) = &before {
            turn.unname(before, id);
        }
        if let Some(digest) = artifact.digest() {
            turn.txn.put(keys::name(&digest, id, artifact.name.as_str()), Bytes::new());
        }
        turn.txn.put(key, codec::write(&artifact));
        if let Some(running) = self.running.get_mut(&id) {
            running.artifacts = Some(count + usize::from(before.is_none()));
        }
        Ok(Ok(artifact))
    }

    pub(crate) fn artifact(
        &self,
        turn: &Turn<'_>,
        task: TaskId,
        name: &ArtifactName,
    ) -> Result<Option<Artifact>, StoreError> {
        let key = keys::artifact(task, name.as_str());
        turn.txn.get(&key)?.map(|stored| codec::read(&key, &stored)).transpose()
    }

    /// All of a task, by name.
    pub(crate) fn artifacts(&self, turn: &Turn<'_>, task: TaskId) -> Result<Vec<Artifact>, StoreError> {
        let mut artifacts = Vec::new();
        let (first, end) = keys::artifacts(task);
        for pair in turn.txn.scan(&first, &end, false).take(MAX_ARTIFACTS) {
            let (key, stored) = pair?;
            artifacts.extend(turn.read_or_suspect::<Artifact>(&key, &stored));
        }
        Ok(artifacts)
    }

    /// Gives a task that stands for another all artifacts of that one: those that follow read them by its name. Each file has
    /// one name more, and is not written again.
    pub(super) fn name_again(&self, turn: &mut Turn<'_>, old: TaskId, new: TaskId) -> Result<(), StoreError> {
        for artifact in self.artifacts(turn, old)? {
            if let Some(digest) = artifact.digest() {
                turn.txn.put(keys::name(&digest, new, artifact.name.as_str()), Bytes::new());
            }
            turn.txn.put(keys::artifact(new, artifact.name.as_str()), codec::write(&artifact));
        }
        Ok(())
    }

    /// Lets go of the artifacts of a task that is being deleted.
    pub(super) fn forget_artifacts(&self, turn: &mut Turn<'_>, task: TaskId) -> Result<(), StoreError> {
        let (first, end) = keys::artifacts(task);
        let pairs: Vec<_> = turn.txn.scan(&first, &end, false).take(MAX_FORGOTTEN + 1).collect::<Result<_, _>>()?;
        for (key, stored) in pairs.iter().take(MAX_FORGOTTEN) {
            match codec::read::<Artifact>(key, stored) {
                Ok(artifact) => turn.unname(&artifact, task),
                Err(error) => tracing::error!(%error, "the file of an artifact is kept for ever"),
            }
            turn.txn.delete(key.to_vec());
        }
        if pairs.len() > MAX_FORGOTTEN {
            self.note_end(turn, std::time::Duration::ZERO, task, Part::Artifacts);
        }
        Ok(())
    }
}

fn artifact_keys(turn: &Turn<'_>, task: TaskId, most: usize) -> Result<Vec<Bytes>, StoreError> {
    let (first, end) = keys::artifacts(task);
    turn.txn.scan(&first, &end, false).take(most).map(|pair| pair.map(|(key, _)| key)).collect()
}
