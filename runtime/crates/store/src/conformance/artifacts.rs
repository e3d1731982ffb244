//! Artifacts: files by their content, links, and when they go.

use bytes::Bytes;
use sunaba_task::{Artifact, ArtifactKind, MAX_ARTIFACTS};

use super::*;
use crate::{BlobError, KeptBlob, NewArtifact, PutArtifactError};

async fn write(store: &dyn Store, pieces: &[&[u8]]) -> KeptBlob {
    let mut writer = store.blobs().create().await.expect("there is room");
    for piece in pieces {
        writer.write(Bytes::copy_from_slice(piece)).await.expect("there is room");
    }
    writer.finish().await.expect("there is room")
}

pub(super) fn named(name: &str, kind: ArtifactKind) -> NewArtifact {
    NewArtifact { name: name.parse().expect("a name"), media_type: "text/plain".into(), kind }
}

pub(super) async fn put_new(
    store: &dyn Store,
    leased: &Leased,
    new: NewArtifact,
) -> Result<Artifact, PutArtifactError> {
    store.put_artifact(leased.token, new).await.expect("the store works")
}

pub(super) async fn put(store: &dyn Store, leased: &Leased, name: &str, content: &[u8]) -> Artifact {
    let file = write(store, &[content]).await;
    let kind = ArtifactKind::File { size_bytes: file.size_bytes, digest: file.digest };
    let artifact = put_new(store, leased, named(name, kind)).await.expect("it has the lease");
    file.release();
    artifact
}

async fn read(store: &dyn Store, digest: Digest, from: u64) -> Result<Vec<u8>, BlobError> {
    let mut reader = store.blobs().open(digest, from).await?;
    let mut read = Vec::new();
    loop {
        // Pieces of a size that no file here is a multiple of.
        let piece = reader.read(7).await?;
        assert!(piece.len() <= 7);
        if piece.is_empty() {
            return Ok(read);
        }
        read.extend_from_slice(&piece);
    }
}

pub(super) async fn is_there(store: &dyn Store, digest: Digest) -> bool {
    match store.blobs().open(digest, 0).await {
        Ok(_) => true,
        Err(BlobError::Missing(missing)) if missing == digest => false,
        Err(error) => panic!("{error}"),
    }
}

async fn begin(store: &dyn Store) -> Leased {
    let session = open(store).await;
    submit(store, new_task()).await;
    lease_one(store, session).await
}

/// A file in pieces, an empty one and a link; across a restart, and after the task has ended.
pub async fn artifacts_are_put_listed_and_read(subject: &mut impl Subject) {
    let store = subject.store();
    let leased = begin(&*store).await;
    let id = leased.task.id;
    assert_eq!(store.artifacts(id).await.expect("the store works"), []);
    let file = write(&*store, &[b"one ", b"", b"two ", b"three"]).await;
    assert_eq!((file.size_bytes, file.digest), (13, Digest::of(b"one two three")));
    let kind = ArtifactKind::File { size_bytes: 13, digest: file.digest };
    let text = put_new(&*store, &leased, named("b", kind)).await.expect("it has the lease");
    file.release();
    let empty = put(&*store, &leased, "a", b"").await;
    let url = named("c", ArtifactKind::Url("https://example.org/x".into()));
    let link = put_new(&*store, &leased, url).await.expect("it has the lease");
    assert_eq!((text.attempt, link.digest(), empty.size_bytes()), (1, None, Some(0)));
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(store.artifacts(id).await.expect("the store works"), [empty.clone(), text.clone(), link]);
    assert_eq!(store.artifact(id, text.name.clone()).await.expect("the store works"), Some(text.clone()));
    assert_eq!(store.artifact(id, "d".parse().expect("a name")).await.expect("the store works"), None);
    let digest = text.digest().expect("it is a file");
    for (from, expected) in [(0, "one two three"), (4, "two three"), (13, ""), (99, "")] {
        assert_eq!(read(&*store, digest, from).await.expect("it is there"), expected.as_bytes(), "{from}");
    }
    assert_eq!(read(&*store, empty.digest().expect("a file"), 0).await.expect("it is there"), b"");
    assert!(!is_there(&*store, Digest::of(b"never written")).await);
}

/// Another file under the same name takes the place of the first, which goes.
pub async fn artifact_of_the_same_name_is_replaced(subject: &mut impl Subject) {
    let store = subject.store();
    let leased = begin(&*store).await;
    let first = put(&*store, &leased, "a", b"first").await;
    let again = put(&*store, &leased, "a", b"first").await;
    assert_eq!(first.digest(), again.digest());
    assert!(is_there(&*store, Digest::of(b"first")).await, "the same file has not gone for itself");
    settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    subject.advance(SECOND);
    let leased = lease_one(&*store, open(&*store).await).await;
    let second = put(&*store, &leased, "a", b"second").await;
    assert_eq!(second.attempt, 2);
    assert_eq!(store.artifacts(leased.task.id).await.expect("the store works"), [second]);
    assert!(!is_there(&*store, Digest::of(b"first")).await, "nothing names it any more");
    let url = named("a", ArtifactKind::Url("https://example.org".into()));
    put_new(&*store, &leased, url).await.expect("it has the lease");
    assert!(!is_there(&*store, Digest::of(b"second")).await, "a link has taken its place");
}

/// It goes with the last that names it.
pub async fn equal_files_are_one_until_the_last_of_their_tasks_is_gone(subject: &mut impl Subject) {
    let store = subject.store();
    let (one, other) = (begin(&*store).await, begin(&*store).await);
    for leased in [&one, &other] {
        put(&*store, leased, "a", b"the same").await;
        put(&*store, leased, "b", b"the same").await;
        settle(&*store, settlement(leased, Verdict::Succeed)).await.expect("it has the lease");
    }
    let digest = Digest::of(b"the same");
    let delete = async |id| store.delete(vec![id]).await.expect("the store works").remove(0).expect("it has ended");
    delete(one.task.id).await;
    assert_eq!(store.artifacts(one.task.id).await.expect("the store works"), []);
    assert_eq!(read(&*store, digest, 0).await.expect("the other names it"), b"the same");
    let mut reader = store.blobs().open(digest, 0).await.expect("it is there");
    delete(other.task.id).await;
    assert!(!is_there(&*store, digest).await);
    assert_eq!(reader.read(99).await.expect("whoever reads it reads on"), "the same");
}

/// However many there are.
pub async fn artifacts_go_when_their_task_is_not_kept_any_more(subject: &mut impl Subject) {
    let store = subject.store();
    let leased = begin(&*store).await;
    for number in 0..100 {
        put(&*store, &leased, &number.to_string(), format!("file {number}").as_bytes()).await;
    }
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert!(is_there(&*store, Digest::of(b"file 99")).await);
    let kept = store.retention().await.expect("the store works").succeeded.expect("it is bounded");
    subject.advance(kept + SLACK);
    settle_down(&*store).await;
    assert_eq!(find(&*store, leased.task.id).await, None);
    // What is left of many goes a part at a time.
    for _ in 0..10 {
        subject.advance(SLACK + SLACK);
        settle_down(&*store).await;
    }
    assert_eq!(store.artifacts(leased.task.id).await.expect("the store works"), []);
    for number in 0..100 {
        assert!(!is_there(&*store, Digest::of(format!("file {number}").as_bytes())).await, "{number}");
    }
}

/// A zombie puts nothing, and what it wrote goes.
pub async fn artifact_of_a_lost_lease_is_not_put(subject: &mut impl Subject) {
    let store = subject.store();
    let leased = begin(&*store).await;
    let file = write(&*store, &[b"too late"]).await;
    subject.advance(LEASE + SECOND);
    let again = lease_one(&*store, open(&*store).await).await;
    assert_eq!(again.task.id, leased.task.id);
    let kind = ArtifactKind::File { size_bytes: file.size_bytes, digest: file.digest };
    let refused = put_new(&*store, &leased, named("a", kind)).await;
    assert_eq!(refused, Err(PutArtifactError::LeaseLost));
    assert_eq!(store.artifacts(leased.task.id).await.expect("the store works"), []);
    assert!(is_there(&*store, file.digest).await, "somebody holds it");
    let digest = file.digest;
    file.release();
    submit(&*store, new_task()).await;
    assert!(!is_there(&*store, digest).await);
    let kind = ArtifactKind::File { size_bytes: 8, digest };
    assert_eq!(put_new(&*store, &again, named("a", kind)).await, Err(PutArtifactError::NoFile(digest)));
}

/// As many as there may be, and one more; replacing one takes no room.
pub async fn number_of_artifacts_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let leased = begin(&*store).await;
    let link = |number: usize| named(&number.to_string(), ArtifactKind::Url("https://example.org".into()));
    for number in 0..MAX_ARTIFACTS {
        put_new(&*store, &leased, link(number)).await.expect("there is room");
    }
    put_new(&*store, &leased, link(0)).await.expect("it is there already");
    assert_eq!(put_new(&*store, &leased, link(MAX_ARTIFACTS)).await, Err(PutArtifactError::TooMany));
    settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    subject.advance(SECOND);
    let leased = lease_one(&*store, open(&*store).await).await;
    assert_eq!(put_new(&*store, &leased, link(MAX_ARTIFACTS)).await, Err(PutArtifactError::TooMany), "of all attempts");
    assert_eq!(store.artifacts(leased.task.id).await.expect("the store works").len(), MAX_ARTIFACTS);
}
