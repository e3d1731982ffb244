//! Info, verify, backup and restore of a data directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::maintenance::{MaintenanceError, Report, backup, compact, info, restore, verify};
use sunaba_store::{
    CancelWish, EmbeddedStore, Engine, LeaseRequest, Leased, ManualClock, NewCompletion, NewPackage, OpenError,
    Options, Queues, Settlement, SledEngine, Store, TaskQuery, Writes,
};
use sunaba_task::{
    AttemptDetail, Callback, CallbackOn, Decision, Digest, Durability, Ending, HandlerChange, NewTask, OnConflict,
    Payload, Policy, QueueChange, Retention, StateName, TaskId, TaskSpec, Timestamp, Unique, Verdict, When,
};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("sunaba-maintenance-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

fn new_task(input_bytes: usize) -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::new("a/b", vec![7; input_bytes]))
}

async fn submit(store: &EmbeddedStore, new: NewTask) -> TaskId {
    store.submit(vec![new]).await.expect("it works").remove(0).expect("taken on").into_task().id
}

async fn lease(store: &EmbeddedStore, slots: usize) -> Vec<Leased> {
    let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
    let request = LeaseRequest { session, queues: Queues::All, slots, wait: Duration::ZERO };
    store.lease(request).await.expect("the session lives")
}

fn done(leased: &Leased, output_bytes: usize) -> Settlement {
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending: Ending::Completed,
        decision: Decision { verdict: Verdict::Succeed, charged: false, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output: Some(Payload::new("a/b", vec![8; output_bytes])),
        detail: AttemptDetail { failure_detail: Some(Payload::json("{}")), ..AttemptDetail::default() },
        plan: None,
    }
}

fn unique(key: &str) -> Option<Unique> {
    Some(Unique { key: key.into(), window: Some(Duration::from_secs(3600)), on_conflict: OnConflict::Reject })
}

fn callbacks() -> Vec<Callback> {
    vec![Callback { on: CallbackOn::Success, spec: new_task(1).spec }]
}

/// One of everything: succeeded with large bodies, running, queued, delayed, with a key, cancelled with all that a task can
/// have; a queue and a handler with settings, a package.
async fn fill(store: &EmbeddedStore) -> Vec<TaskId> {
    let mut ids = vec![submit(store, new_task(100_000)).await, submit(store, new_task(10)).await];
    let leased = lease(store, 2).await;
    assert_eq!(leased.len(), 2);
    store.settle(vec![done(&leased[0], 90_000)]).await.expect("it works").remove(0).expect("it has the lease");
    ids.push(submit(store, new_task(2_000)).await);
    let hour = Some(When::After(Duration::from_secs(3600)));
    ids.push(submit(store, NewTask { start: hour, ..new_task(10) }).await);
    let mut keyed = new_task(10);
    keyed.spec.idempotency_key = Some("k".into());
    keyed.spec.queue = "mail".into();
    ids.push(submit(store, keyed).await);
    let mut marked = NewTask { unique: unique("u"), callbacks: callbacks(), ..new_task(10) };
    marked.expires = Some(When::After(Duration::from_secs(3600)));
    marked.spec.tags = vec!["red".into()];
    let marked = submit(store, marked).await;
    store.cancel(vec![marked], CancelWish::default()).await.expect("it works");
    store.set_queue("mail".into(), vec![QueueChange::MaxDepth(Some(9))]).await.expect("it works");
    store.set_handler(new_task(1).spec.handler, vec![HandlerChange::Concurrency(Some(9))]).await.expect("it works");
    store.set_retention(Retention::default()).await.expect("it works");
    let (name, component) = ("words".into(), Digest::of(b"component"));
    let package = NewPackage { name, component, handlers: Vec::new(), decider: None, allow_signature_change: false };
    store.deploy(package, Bytes::from("component")).await.expect("it works");
    ids
}

/// A directory with one of everything, which no host holds.
fn filled(folder: &Folder) -> Vec<TaskId> {
    let mut ids = Vec::new();
    test(async {
        let store = EmbeddedStore::sled(&folder.data()).expect("it is free");
        ids = fill(&store).await;
    });
    ids
}

fn all(directory: &Path) -> Vec<(Bytes, Bytes)> {
    let engine = SledEngine::open(directory).expect("it is free");
    engine.scan(&[], &[255], false).map(|pair| pair.expect("it can be read")).collect()
}

fn write(directory: &Path, change: impl FnOnce(&dyn Engine) -> Writes) {
    let mut engine = SledEngine::open(directory).expect("it is free");
    let writes = change(&engine);
    engine.apply(&writes).and_then(|()| engine.barrier()).expect("it can be written");
}

fn key(kind: u8, id: TaskId) -> Vec<u8> {
    [&[kind], id.as_bytes().as_slice()].concat()
}

fn flipped(value: &Bytes) -> Option<Bytes> {
    let mut value = value.to_vec();
    *value.last_mut().expect("not empty") ^= 1;
    Some(value.into())
}

fn problems(report: &Report) -> Vec<&str> {
    report.problems.iter().map(|problem| problem.problem.as_str()).collect()
}

#[test]
fn info_says_what_is_there_and_changes_nothing() {
    let folder = Folder::new();
    filled(&folder);
    let before = all(&folder.data());
    let info = info(&folder.data()).expect("it can be read");
    let states = [
        (StateName::Scheduled, 1),
        (StateName::Queued, 2),
        (StateName::Running, 1),
        (StateName::Succeeded, 1),
        (StateName::Cancelled, 1),
    ];
    assert_eq!(info.states, states.into());
    assert_eq!(info.tasks(), 6);
    assert_eq!(info.queues, [("default".to_owned(), 3), ("mail".to_owned(), 1)].into());
    assert_eq!((info.packages, info.components, info.files, info.damaged, info.set_aside), (1, 1, 2, 0, 0));
    assert_eq!(info.last_opened.expect("a host has").durability, Durability::Sync);
    assert!(info.log_bytes > 0 && info.files_bytes >= 190_000 && info.oldest <= info.newest);
    assert!(info.to_string().contains("durability sync"), "{info}");
    assert_eq!(all(&folder.data()), before, "what ran still has its lease");
}

#[test]
fn completions_are_verified_at_every_stage() {
    let folder = Folder::new();
    let mut ids = Vec::new();
    test(async {
        let store = EmbeddedStore::sled(&folder.data()).expect("it is free");
        for _ in 0..4 {
            submit(&store, new_task(10)).await;
        }
        let leased = lease(&store, 4).await;
        let output = |bytes| Payload::new("a/b", vec![9; bytes]);
        let given = |bytes| NewCompletion { output: output(bytes), by: None, with_token: true };
        let wait = |leased: &Leased| Settlement {
            decision: Decision::uncharged(Verdict::Await(Duration::from_secs(3600)), Policy::Snooze, "r".into()),
            output: None,
            ..done(leased, 0)
        };
        // One waits, one was completed, and of two that run one keeps a small output and one a large one.
        let waits = store.settle(vec![wait(&leased[0]), wait(&leased[1])]).await.expect("it works");
        assert!(waits.iter().all(Result::is_ok));
        for (leased, bytes) in leased[1..].iter().zip([90_000, 10, 2_000]) {
            store.complete(leased.task.id, given(bytes)).await.expect("it works").expect("it may be completed");
        }
        ids = leased.iter().map(|leased| leased.task.id).collect();
    });
    let report = verify(&folder.data()).expect("it can be read");
    assert!(report.is_sound(), "{report}");
    let index = |id: TaskId| [b"zw".as_slice(), id.as_bytes()].concat();
    write(&folder.data(), |_| [(index(ids[0]), None), (index(ids[1]), Some(Bytes::new()))].into_iter().collect());
    write(&folder.data(), |_| [(key(b'o', ids[3]), None)].into_iter().collect());
    let report = verify(&folder.data()).expect("it can be read");
    let found = problems(&report);
    for problem in ["it cannot be found by its state or by a tag", "its completion is not there"] {
        assert!(found.contains(&problem), "{report}");
    }
    assert!(found.iter().any(|found| found.starts_with("its task is in another state")), "{report}");
}

#[test]
fn info_names_the_loss_that_a_relaxed_store_allows() {
    let folder = Folder::new();
    let durability = Durability::relaxed(Duration::from_millis(50)).expect("it may be");
    drop(EmbeddedStore::sled_with(&folder.data(), Options { durability }).expect("it is free"));
    let info = info(&folder.data()).expect("it can be read");
    assert!(info.to_string().contains("durability relaxed(50ms)"), "{info}");
}

#[test]
fn directory_that_a_host_holds_or_that_has_no_store_is_refused() {
    let folder = Folder::new();
    let missing = info(&folder.data()).expect_err("there is none");
    assert!(matches!(missing, MaintenanceError::Open(OpenError::Missing { .. })), "{missing}");
    assert!(!folder.data().exists(), "nothing was made");
    let _host = EmbeddedStore::sled(&folder.data()).expect("it is free");
    let file = folder.0.join("backup");
    for held in [
        info(&folder.data()).map(drop).expect_err("it is held"),
        verify(&folder.data()).map(drop).expect_err("it is held"),
        backup(&folder.data(), &file).map(drop).expect_err("it is held"),
    ] {
        assert!(matches!(held, MaintenanceError::Open(OpenError::InUse { .. })), "{held}");
    }
    assert_eq!(fs::read_dir(&folder.0).expect("a folder").count(), 1, "no half of a backup is left");
}

#[test]
fn sound_store_has_no_problems() {
    let folder = Folder::new();
    filled(&folder);
    let report = verify(&folder.data()).expect("it can be read");
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.values, all(&folder.data()).len() as u64);
    assert_eq!(report.kinds.iter().map(|kind| kind.kind).collect::<String>(), "HQabcdefghiklmnopqrstuvwz");
}

#[test]
fn store_of_which_a_result_is_gone_has_no_problems() {
    let folder = Folder::new();
    test(async {
        // Ahead of the clock by which the store is verified.
        let clock = ManualClock::at(Timestamp::from_unix_ms(7_258_118_400_000));
        let engine = SledEngine::open(&folder.data()).expect("it is free");
        let store = EmbeddedStore::open(engine, Arc::new(clock.clone())).expect("it opens");
        let id = submit(&store, new_task(10)).await;
        let leased = lease(&store, 1).await.remove(0);
        store.settle(vec![done(&leased, 2_000)]).await.expect("it works").remove(0).expect("it has the lease");
        clock.advance(Duration::from_secs(2 * 3600));
        submit(&store, new_task(10)).await;
        assert_eq!(store.output(id).await.expect("it works"), None);
    });
    assert!(!all(&folder.data()).iter().any(|(key, _)| key[0] == b'o'));
    let report = verify(&folder.data()).expect("it can be read");
    assert!(report.is_sound(), "{report}");
}

#[test]
fn every_value_that_is_damaged_is_found() {
    let folder = Folder::new();
    filled(&folder);
    let pairs = all(&folder.data());
    write(&folder.data(), |_| {
        // What has no checksum begins with an id, or is empty.
        let damaged = |value: &Bytes| match value.split_first() {
            Some((first, rest)) => [&[first ^ 1], rest].concat(),
            None => vec![1],
        };
        let pairs = pairs.iter().filter(|(key, _)| key[0] != b'f');
        pairs.map(|(key, value)| (key.to_vec(), Some(damaged(value).into()))).collect()
    });
    let report = verify(&folder.data()).expect("it can be read");
    let found: std::collections::BTreeSet<_> = report.problems.iter().map(|problem| problem.key.clone()).collect();
    assert_eq!(found.len(), pairs.len() - 1, "{report}");
    let made = backup(&folder.data(), &folder.0.join("copy")).expect("it is copied as it is");
    let without_checksum = pairs.iter().filter(|(key, _)| b"fqdxgz".contains(&key[0])).count();
    assert_eq!(made.damaged, (pairs.len() - without_checksum) as u64);
}

#[test]
fn values_that_do_not_agree_are_found() {
    let folder = Folder::new();
    let ids = filled(&folder);
    let [large, running, queued, delayed, keyed] = ids[..] else { panic!("there are five") };
    let first = |kind: u8| {
        move |engine: &dyn Engine| {
            let pair = engine.scan(&[kind], &[kind + 1], false).next().expect("there is one");
            pair.expect("it can be read").0.to_vec()
        }
    };
    // What is deleted, and what is then said.
    type Change = Box<dyn Fn(&dyn Engine) -> Vec<u8>>;
    let losses: [(Change, &[&str]); 8] = [
        (Box::new(first(b'q')), &["it is queued, and has no place in its queue"]),
        (Box::new(first(b'd')), &["it waits for an instant, and nothing makes it due"]),
        (Box::new(first(b'l')), &["it is queued, and has no place in its queue"]),
        (Box::new(first(b'c')), &["its component is not there"; 2]),
        (Box::new(move |_| key(b'i', queued)), &["its input is not there"]),
        (Box::new(move |_| key(b'o', large)), &["its output is not there"]),
        (Box::new(move |_| key(b't', delayed)), &["its task is not there"]),
        (Box::new(move |_| key(b't', keyed)), &["its task is not there"; 2]),
    ];
    for (what, said) in losses {
        let mut lost = (Vec::new(), None);
        write(&folder.data(), |engine| {
            let key = what(engine);
            lost = (key.clone(), engine.get(&key).expect("it can be read"));
            assert!(lost.1.is_some());
            Writes::from([(key, None)])
        });
        let report = verify(&folder.data()).expect("it can be read");
        assert_eq!(problems(&report), said, "without {lost:?}: {report}");
        write(&folder.data(), |_| Writes::from([lost]));
    }
    let stray = [b"x".as_slice(), &[0; 16]].concat();
    let stray = |value| Writes::from([(stray.clone(), value)]);
    write(&folder.data(), |_| stray(Some(Bytes::copy_from_slice(queued.as_bytes()))));
    let report = verify(&folder.data()).expect("it can be read");
    assert_eq!(problems(&report), [format!("its task does not expire then, {queued}")]);
    write(&folder.data(), |_| stray(None));
    write(&folder.data(), |_| Writes::from([(key(b't', running), None)]));
    let report = verify(&folder.data()).expect("it can be read");
    assert_eq!(problems(&report), [format!("the leased task is not there, {running}")]);
}

#[test]
fn what_no_version_knows_is_counted_and_what_was_set_aside_is_listed() {
    let folder = Folder::new();
    let ids = filled(&folder);
    write(&folder.data(), |engine| {
        let record = engine.get(&key(b't', ids[2])).expect("it can be read").expect("it is there");
        Writes::from([(b"~1".to_vec(), Some(Bytes::from("x"))), (key(b't', ids[2]), flipped(&record))])
    });
    test(async {
        let store = EmbeddedStore::sled(&folder.data()).expect("it is free");
        assert_eq!(lease(&store, 9).await.len(), 2);
    });
    let report = verify(&folder.data()).expect("it can be read");
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.set_aside_count, report.set_aside.len()), (1, 1));
    assert_eq!(report.set_aside[0].problem, "its checksum is wrong");
    assert!(report.to_string().contains("1 ~ of a kind that this version does not know"), "{report}");
    assert_eq!(info(&folder.data()).expect("it can be read").set_aside, 1);
}

#[test]
fn restored_store_has_all_that_the_backup_had() {
    let folder = Folder::new();
    let ids = filled(&folder);
    let (file, again) = (folder.0.join("backup"), folder.0.join("deep/again"));
    let made = backup(&folder.data(), &file).expect("it can be read");
    let before = all(&folder.data());
    assert_eq!((made.pairs, made.damaged), (before.len() as u64, 0));
    assert_eq!(made.size_bytes, fs::metadata(&file).expect("it is there").len());
    assert_eq!(restore(&file, &again).expect("it is whole"), made);
    assert_eq!(all(&again), before);
    assert!(verify(&again).expect("it can be read").is_sound());
    test(async {
        let store = EmbeddedStore::sled(&again).expect("it is free");
        assert_eq!(store.output(ids[0]).await.expect("it works").expect("it is there").bytes.len(), 90_000);
        // What ran has lost its host, and runs again.
        let leased: Vec<_> = lease(&store, 9).await.iter().map(|leased| leased.task.id).collect();
        assert_eq!(leased, [ids[1], ids[2], ids[4]]);
    });
    assert_eq!(fs::read_dir(folder.0.join("deep")).expect("a folder").count(), 1, "nothing else is left");
}

#[test]
fn nothing_is_overwritten() {
    let folder = Folder::new();
    filled(&folder);
    let file = folder.0.join("backup");
    backup(&folder.data(), &file).expect("it can be read");
    let before = fs::read(&file).expect("it is there");
    let refused = backup(&folder.data(), &file).expect_err("it exists");
    assert!(matches!(refused, MaintenanceError::Exists(_)), "{refused}");
    assert_eq!(fs::read(&file).expect("it is there"), before);
    let refused = restore(&file, &folder.data()).expect_err("it has a store");
    assert!(matches!(refused, MaintenanceError::NotEmpty(_)), "{refused}");
    let empty = folder.0.join("empty");
    fs::create_dir(&empty).expect("a folder");
    assert!(restore(&file, &empty).is_ok());
}

#[test]
fn backup_with_any_damage_is_refused_and_nothing_is_restored() {
    let folder = Folder::new();
    test(async {
        let store = EmbeddedStore::sled(&folder.data()).expect("it is free");
        submit(&store, new_task(10)).await;
    });
    let (file, again) = (folder.0.join("backup"), folder.0.join("again"));
    backup(&folder.data(), &file).expect("it can be read");
    let whole = fs::read(&file).expect("it is there");
    let mut copies: Vec<Vec<u8>> = (0..whole.len()).map(|at| whole[..at].to_vec()).collect();
    copies.extend((0..whole.len()).map(|at| {
        let mut copy = whole.clone();
        copy[at] ^= 0x10;
        copy
    }));
    copies.push([whole.as_slice(), b"x"].concat());
    for copy in copies {
        fs::write(&file, &copy).expect("written");
        let refused = restore(&file, &again).expect_err("it is damaged");
        assert!(matches!(refused, MaintenanceError::Damaged { .. }), "{refused}");
        assert!(!again.exists());
    }
    fs::write(&file, &whole).expect("written");
    assert!(restore(&file, &again).is_ok());
}

#[test]
fn backup_of_a_store_that_is_served_has_what_was_acknowledged_before_it() {
    let folder = Folder::new();
    test(async {
        let store = EmbeddedStore::sled(&folder.data()).expect("it is free");
        let mut before = fill(&store).await;
        for _ in 0..10 {
            let submitted = store.submit(vec![new_task(1_000); 200]).await.expect("it works");
            before.extend(submitted.into_iter().map(|task| task.expect("taken on").into_task().id));
        }
        let file = folder.0.join("backup");
        let backing_up = tokio::spawn({
            let (store, file) = (store.clone(), file.clone());
            async move { store.backup(file).await }
        });
        // The queue goes on meanwhile.
        let mut ended = 0;
        while !backing_up.is_finished() {
            submit(&store, new_task(1_000)).await;
            let leased = lease(&store, 3).await;
            ended += leased.len();
            let settlements = leased.iter().map(|leased| done(leased, 1_000)).collect();
            store.settle(settlements).await.expect("it works");
        }
        let made = backing_up.await.expect("it ends").expect("it is whole");
        assert!(ended > 0, "nothing happened meanwhile");
        let again = folder.0.join("again");
        assert_eq!(restore(&file, &again).expect("it is whole"), made);
        let report = verify(&again).expect("it can be read");
        assert!(report.is_sound(), "{report}");
        let copy = EmbeddedStore::sled(&again).expect("it is free");
        for id in before {
            assert!(copy.task(id).await.expect("it works").is_some());
        }
        let exists = store.backup(file).await.expect_err("it exists");
        assert!(matches!(exists, MaintenanceError::Exists(_)), "{exists}");
        assert!(!store.tasks(TaskQuery { limit: 1, ..TaskQuery::default() }).await.expect("it works").tasks.is_empty());
    });
}

#[test]
fn compacted_store_has_the_same_in_it_and_takes_no_more_room_than_that() {
    let folder = Folder::new();
    filled(&folder);
    let before = all(&folder.data());
    let key = |number: u32| [b"~".as_slice(), &number.to_be_bytes()].concat();
    let filler = Some(Bytes::from(vec![1; 2_000]));
    for batch in 0..20 {
        let numbers = batch * 100..(batch + 1) * 100;
        write(&folder.data(), |_| numbers.clone().map(|number| (key(number), filler.clone())).collect());
    }
    write(&folder.data(), |_| (0..2_000).map(|number| (key(number), None)).collect());
    let compacted = compact(&folder.data()).expect("it can be read");
    assert!(compacted.before_bytes > 4 << 20 && compacted.after_bytes < 1 << 20, "{compacted}");
    assert_eq!(all(&folder.data()), before);
    assert!(verify(&folder.data()).expect("it can be read").is_sound());
    assert!(!folder.data().join("sled.new").exists());
    let _host = EmbeddedStore::sled(&folder.data()).expect("it is free");
    let held = compact(&folder.data()).expect_err("it is held");
    assert!(matches!(held, MaintenanceError::Open(OpenError::InUse { .. })), "{held}");
}

#[test]
fn log_that_is_mostly_empty_is_written_anew_when_a_host_opens_it() {
    let folder = Folder::new();
    filled(&folder);
    let key = |number: u32| [b"~".as_slice(), &number.to_be_bytes()].concat();
    let filler = Some(Bytes::from(vec![1; 60_000]));
    for batch in 0..12 {
        let numbers = batch * 60..(batch + 1) * 60;
        write(&folder.data(), |_| numbers.map(|number| (key(number), filler.clone())).collect());
    }
    let large = info(&folder.data()).expect("it can be read").log_bytes;
    drop(EmbeddedStore::sled(&folder.data()).expect("it is free"));
    let opened = info(&folder.data()).expect("it can be read").log_bytes;
    assert!(opened > large / 2, "it is in use: {large} and then {opened} bytes");
    write(&folder.data(), |_| (0..720).map(|number| (key(number), None)).collect());
    drop(EmbeddedStore::sled(&folder.data()).expect("it is free"));
    let small = info(&folder.data()).expect("it can be read").log_bytes;
    assert!(large > 32 << 20 && small < large / 8, "{large} and then {small} bytes");
    assert!(verify(&folder.data()).expect("it can be read").is_sound());
}
