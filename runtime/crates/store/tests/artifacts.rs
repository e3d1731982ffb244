//! The files of artifacts on disk: what a crash leaves, who may read them, and what verify and a backup make of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::maintenance::{MaintenanceError, backup, info, restore, verify};
use sunaba_store::{
    BlobPlace, EmbeddedStore, Engine, EngineError, KeptBlob, LeaseRequest, Leased, NewArtifact, Pair, Queues,
    SledEngine, Store, StoreError, SystemClock, Writes,
};
use sunaba_task::{ArtifactKind, Digest, NewTask, Payload, TaskId, TaskSpec};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("sunaba-artifacts-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn open(&self) -> EmbeddedStore {
        EmbeddedStore::sled(&self.data()).expect("it is free")
    }

    /// The files that have a name, by it.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = walk(&self.data().join("blobs")).into_iter().filter(|path| !is_new(path)).collect();
        files.sort();
        files
    }

    /// The files that have none.
    fn unnamed(&self) -> usize {
        walk(&self.data().join("blobs")).into_iter().filter(|path| is_new(path)).count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_new(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("new"))
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.expect("it can be read").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

async fn begin(store: &EmbeddedStore) -> Leased {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    store.submit(vec![NewTask::new(spec, Payload::json("{}"))]).await.expect("it works").remove(0).expect("taken on");
    let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
    let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
    store.lease(request).await.expect("the session lives").remove(0)
}

async fn write(store: &EmbeddedStore, content: &[u8]) -> KeptBlob {
    let mut writer = store.blobs().create().await.expect("there is room");
    for piece in content.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.expect("there is room");
    }
    writer.finish().await.expect("there is room")
}

async fn name(store: &EmbeddedStore, leased: &Leased, name: &str, file: KeptBlob) -> Result<(), StoreError> {
    let kind = ArtifactKind::File { size_bytes: file.size_bytes, digest: file.digest };
    let new = NewArtifact { name: name.parse().expect("a name"), media_type: "text/plain".into(), kind };
    store.put_artifact(leased.token, new).await?.expect("it has the lease");
    file.release();
    Ok(())
}

async fn put(store: &EmbeddedStore, leased: &Leased, called: &str, content: &[u8]) {
    let file = write(store, content).await;
    name(store, leased, called, file).await.expect("the store works");
}

async fn read(store: &EmbeddedStore, digest: Digest) -> Vec<u8> {
    let mut reader = store.blobs().open(digest, 0).await.expect("it is there");
    let mut content = Vec::new();
    loop {
        match reader.read(usize::MAX).await.expect("it can be read") {
            piece if piece.is_empty() => return content,
            piece => content.extend_from_slice(&piece),
        }
    }
}

fn large() -> Vec<u8> {
    (0..700_001_u32).map(|at| (at % 251) as u8).collect()
}

#[test]
fn files_are_of_their_digest_once_and_of_the_hosts_user_alone() {
    let folder = Folder::new();
    test(async {
        let store = folder.open();
        let leased = begin(&store).await;
        assert!(!folder.data().join("blobs").exists(), "nothing is made before it is needed");
        put(&store, &leased, "../../etc/passwd".replace('/', "_").as_str(), b"x").await;
        put(&store, &leased, "b", b"x").await;
        let digest = Digest::of(b"x").to_string();
        let digits = digest.strip_prefix("sha256:").expect("a digest");
        let file = folder.data().join("blobs").join(&digits[..2]).join(&digits[2..]);
        assert_eq!(folder.files(), std::slice::from_ref(&file), "one file, by its content");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().expect("a folder"))), (0o600, 0o700));
        assert_eq!(mode(&folder.data().join("blobs")), 0o700);
    });
}

#[test]
fn what_is_not_finished_leaves_nothing_behind() {
    let folder = Folder::new();
    test(async {
        let store = folder.open();
        let mut writer = store.blobs().create().await.expect("there is room");
        writer.write(Bytes::from_static(b"half of it")).await.expect("there is room");
        assert_eq!((folder.files().len(), folder.unnamed()), (0, 1));
        drop(writer);
        // It goes on another thread.
        while folder.unnamed() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn process_that_is_killed_between_a_file_and_its_record_leaves_it_to_the_next_start() {
    let folder = Folder::new();
    test(async {
        let store = folder.open();
        let leased = begin(&store).await;
        put(&store, &leased, "kept", b"kept").await;
        // As `kill -9` leaves them: one finished and not recorded, one not finished.
        std::mem::forget(write(&store, b"never recorded").await);
        let mut writer = store.blobs().create().await.expect("there is room");
        writer.write(Bytes::from_static(b"half")).await.expect("there is room");
        std::mem::forget(writer);
        assert_eq!((folder.files().len(), folder.unnamed()), (2, 1));
        drop(store);
        let report = verify(&folder.data()).expect("it is free");
        assert!(report.is_sound() && report.unnamed_files == 1, "{report}");
        assert!(report.to_string().contains("1 files of artifacts that nothing names"), "{report}");
        let store = folder.open();
        assert_eq!((folder.files().len(), folder.unnamed()), (1, 0));
        assert_eq!(read(&store, Digest::of(b"kept")).await, b"kept");
    });
}

/// An engine whose writes fail from some moment on, as a power cut makes them.
struct Cut {
    inner: SledEngine,
    is_cut: Arc<AtomicBool>,
}

impl Engine for Cut {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.inner.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Err(EngineError::new("cannot write", "the power is gone"));
        }
        self.inner.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.inner.barrier()
    }

    fn blobs(&self) -> BlobPlace {
        self.inner.blobs()
    }
}

#[test]
fn file_is_durable_before_its_record_and_goes_only_after_it() {
    let folder = Folder::new();
    test(async {
        let is_cut = Arc::new(AtomicBool::new(false));
        let open = || {
            let engine =
                Cut { inner: SledEngine::open(&folder.data()).expect("it is free"), is_cut: Arc::clone(&is_cut) };
            EmbeddedStore::open(engine, Arc::new(SystemClock::new())).expect("it opens")
        };
        let store = open();
        let leased = begin(&store).await;
        put(&store, &leased, "a", b"old").await;
        let file = write(&store, b"new").await;
        is_cut.store(true, Ordering::SeqCst);
        assert!(name(&store, &leased, "a", file).await.is_err(), "it would have replaced the old one");
        drop(store);
        is_cut.store(false, Ordering::SeqCst);
        assert_eq!(folder.files().len(), 2, "the old one has not gone before its record");
        let store = open();
        let artifacts = store.artifacts(leased.task.id).await.expect("the store works");
        assert_eq!(artifacts[0].digest(), Some(Digest::of(b"old")));
        assert_eq!(read(&store, Digest::of(b"old")).await, b"old");
        assert_eq!(folder.files().len(), 1, "nothing names the new one");
    });
}

#[test]
fn verify_finds_files_that_are_missing_or_changed() {
    let folder = Folder::new();
    test(async {
        let store = folder.open();
        let leased = begin(&store).await;
        for content in ["whole", "changed", "missing"] {
            put(&store, &leased, content, content.as_bytes()).await;
        }
    });
    let sound = verify(&folder.data()).expect("it is free");
    assert!(sound.is_sound() && sound.artifact_files == 3, "{sound}");
    let files = folder.files();
    let of = |content: &str| files.iter().find(|file| fs::read(file).is_ok_and(|found| found == content.as_bytes()));
    fs::write(of("changed").expect("it is there"), "Changed").expect("written");
    fs::remove_file(of("missing").expect("it is there")).expect("removed");
    let report = verify(&folder.data()).expect("it is free");
    assert_eq!(report.problem_count, 2, "{report}");
    let problems: Vec<_> = report.problems.iter().map(|problem| problem.problem.as_str()).collect();
    for expected in ["its file is not there", "its file is not what its digest says"] {
        assert!(problems.contains(&expected), "{report}");
    }
}

#[test]
fn backups_take_the_files_along() {
    for is_online in [false, true] {
        let folder = Folder::new();
        let (file, copy) = (folder.0.join("backup"), folder.0.join("copy"));
        let mut task: Option<TaskId> = None;
        test(async {
            let store = folder.open();
            let leased = begin(&store).await;
            task = Some(leased.task.id);
            put(&store, &leased, "large", &large()).await;
            put(&store, &leased, "empty", b"").await;
            put(&store, &leased, "same", &large()).await;
            put(&store, &leased, "replaced", b"old").await;
            put(&store, &leased, "replaced", b"new").await;
            if is_online {
                store.backup(file.clone()).await.expect("it is new");
            }
        });
        if !is_online {
            backup(&folder.data(), &file).expect("it is new");
        }
        restore(&file, &copy).expect("it is whole");
        let report = verify(&copy).expect("it is free");
        assert!(report.is_sound() && report.artifact_files == 3 && report.unnamed_files == 0, "{report}");
        test(async {
            let store = EmbeddedStore::sled(&copy).expect("it is free");
            let artifacts = store.artifacts(task.expect("there is one")).await.expect("the store works");
            assert_eq!(artifacts.len(), 4);
            assert_eq!(read(&store, Digest::of(&large())).await, large());
            assert_eq!(read(&store, Digest::of(b"")).await, b"");
        });
    }
}

#[test]
fn backup_of_a_changed_file_says_so_and_restores_all_else() {
    let folder = Folder::new();
    test(async {
        let store = folder.open();
        let leased = begin(&store).await;
        put(&store, &leased, "a", b"changed").await;
        put(&store, &leased, "b", b"whole").await;
    });
    let changed = folder.files().into_iter().find(|file| fs::read(file).is_ok_and(|found| found == b"changed"));
    fs::write(changed.expect("it is there"), "CHANGED").expect("written");
    let (file, copy) = (folder.0.join("backup"), folder.0.join("copy"));
    assert_eq!(backup(&folder.data(), &file).expect("it is new").damaged, 1);
    restore(&file, &copy).expect("it is whole");
    assert_eq!(verify(&copy).expect("it is free").problem_count, 1);
    test(async {
        let store = EmbeddedStore::sled(&copy).expect("it is free");
        assert_eq!(read(&store, Digest::of(b"whole")).await, b"whole");
    });
    let bytes = fs::read(&file).expect("it is there");
    fs::write(&file, &bytes[..bytes.len() - 100]).expect("written");
    let cut = restore(&file, &folder.0.join("other"));
    assert!(matches!(cut, Err(MaintenanceError::Damaged { .. })), "{cut:?}");
}

#[test]
fn info_counts_each_file_once_and_what_it_takes() {
    test(async {
        let folder = Folder::new();
        let store = folder.open();
        let leased = begin(&store).await;
        for name in ["a", "b"] {
            put(&store, &leased, name, &large()).await;
        }
        put(&store, &leased, "c", b"another").await;
        drop(store);
        let found = info(&folder.data()).expect("it can be read");
        assert!(found.blobs == 2 && found.blobs_bytes >= 700_001, "{found:?}");
        assert!(found.to_string().contains("\n  artifacts   2 files, "), "{found}");
    });
}
