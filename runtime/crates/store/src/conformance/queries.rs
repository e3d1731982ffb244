//! What is shown of a store.

use bytes::Bytes;
use sunaba_task::{HandlerInfo, HandlerSettings, StateName};

use super::*;
use crate::{NewPackage, TaskQuery};

pub(super) async fn ids(store: &dyn Store, query: TaskQuery) -> Vec<TaskId> {
    store.tasks(query).await.expect("the store works").tasks.iter().map(|task| task.id).collect()
}

/// Every task once, whatever the size of the page.
pub async fn newest_tasks_are_listed_first_page_by_page(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = store.submit(vec![new_task(); 25]).await.expect("the store works");
    let mut expected: Vec<_> = submitted.into_iter().map(|task| task.expect("it is taken on").into_task().id).collect();
    expected.reverse();
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = store.tasks(TaskQuery { before, limit: 10, ..TaskQuery::default() }).await.expect("the store works");
        assert!(page.tasks.len() <= 10);
        listed.extend(page.tasks.iter().map(|task| task.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, expected);
}

/// By state, queue, handler and package.
pub async fn filters_leave_out_what_does_not_match(subject: &mut impl Subject) {
    let store = subject.store();
    let running = submit(&*store, with(|new| new.spec.queue = "a".into())).await.id;
    let session = open(&*store).await;
    lease_one(&*store, session).await;
    let queued = submit(&*store, with(|new| new.spec.queue = "a".into())).await.id;
    let other = submit(&*store, with(|new| new.spec.handler = "words/other".parse().expect("a name"))).await.id;
    let query = |states: &[StateName], queue: Option<&str>, handler: Option<&str>| TaskQuery {
        states: states.to_vec(),
        queue: queue.map(str::to_owned),
        handler: handler.map(str::to_owned),
        limit: 10,
        ..TaskQuery::default()
    };
    assert_eq!(ids(&*store, query(&[], None, None)).await, [other, queued, running]);
    assert_eq!(ids(&*store, query(&[StateName::Running], None, None)).await, [running]);
    assert_eq!(ids(&*store, query(&[StateName::Queued, StateName::Dead], None, None)).await, [other, queued]);
    assert_eq!(ids(&*store, query(&[StateName::Queued], Some("a"), None)).await, [queued]);
    assert_eq!(ids(&*store, query(&[], None, Some("words/other"))).await, [other]);
    assert_eq!(ids(&*store, query(&[], None, Some("words"))).await, [other, queued, running]);
    assert_eq!(ids(&*store, query(&[], None, Some("word"))).await, []);
}

/// Packages are kept; a component that was replaced is still there for the tasks that have it.
pub async fn package_has_the_component_that_was_deployed_last(subject: &mut impl Subject) {
    let store = subject.store();
    let handler = HandlerInfo {
        name: "word-count".into(),
        doc: "Counts.".into(),
        input_schema: Some("{}".into()),
        output_schema: None,
        settings: HandlerSettings { max_attempts: Some(5), ..HandlerSettings::default() },
    };
    let deploy = |name: &str, component: &Bytes| {
        let package = NewPackage {
            name: name.into(),
            component: Digest::of(component),
            handlers: vec![handler.clone()],
            decider: None,
            allow_signature_change: false,
        };
        store.deploy(package, component.clone())
    };
    let (old, new) = (Bytes::from("old"), Bytes::from(vec![7; 300 << 10]));
    deploy("words", &old).await.expect("the store works");
    deploy("abc", &old).await.expect("the store works");
    subject.advance(SECOND);
    let words = deploy("words", &new).await.expect("the store works").package;
    assert_eq!((words.size_bytes, words.handler("word-count")), (300 << 10, Some(&handler)));
    drop(store);
    subject.restart();
    let store = subject.store();
    let packages = store.packages().await.expect("the store works");
    assert_eq!(packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["abc", "words"]);
    assert_eq!(packages[1], words);
    for component in [old, new] {
        let digest = Digest::of(&component);
        assert_eq!(store.component(digest).await.expect("the store works"), Some(component));
    }
    assert_eq!(store.component(Digest::of(b"never")).await.expect("the store works"), None);
}
