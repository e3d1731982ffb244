//! Schedules make one task at each tick, whatever happens between two of them.

use bytes::Bytes;
use sunaba_task::schedule::{
    CatchUp, MAX_CAUGHT_UP, Occasion, Overlap, Schedule, ScheduleCounts, ScheduleError, ScheduleHappening,
    ScheduleName, ScheduleSpec, ScheduledTask,
};
use sunaba_task::{FeedEvent, HandlerInfo, HandlerSettings, PayloadInfo, Timestamp};

use super::*;
use crate::{EventQuery, Expected, MAX_PAGE, NewPackage, NewSchedule, ScheduleChangeError, ScheduleQuery, TaskQuery};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn called(text: &str) -> ScheduleName {
    text.parse().expect("a name")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// One at each full hour, with every default.
pub(super) fn hourly(change: impl FnOnce(&mut NewSchedule)) -> NewSchedule {
    let NewTask { spec, input, .. } = new_task();
    let task = ScheduledTask {
        spec,
        input: PayloadInfo::of(&input),
        expires: None,
        callbacks: Vec::new(),
        request: "as it was written".into(),
    };
    let spec = ScheduleSpec {
        cron: "0 * * * *".into(),
        time_zone: "UTC".into(),
        overlap: Overlap::Allow,
        catch_up: CatchUp::Last,
        jitter: Duration::ZERO,
        task,
    };
    let name = called("report");
    let (paused, expected) = (None, Expected::Any);
    let mut new = NewSchedule { name, spec, input, paused, expected, is_readmission: false };
    change(&mut new);
    new
}

pub(super) async fn try_put(store: &dyn Store, new: NewSchedule) -> Result<Schedule, ScheduleChangeError> {
    store.put_schedule(new).await.expect("the store works")
}

pub(super) async fn put(store: &dyn Store, new: NewSchedule) -> Schedule {
    try_put(store, new).await.unwrap_or_else(|error| panic!("{error}"))
}

pub(super) async fn schedule(store: &dyn Store) -> Schedule {
    store.schedule(called("report")).await.expect("the store works").expect("it is there")
}

/// All tasks, oldest first.
pub(super) async fn all_tasks(store: &dyn Store) -> Vec<Task> {
    let query = TaskQuery { limit: MAX_PAGE, ..TaskQuery::default() };
    let mut tasks = store.tasks(query).await.expect("the store works").tasks;
    tasks.reverse();
    tasks
}

/// The ticks for which there are tasks, oldest first.
async fn ticks(store: &dyn Store) -> Vec<String> {
    let tick = |task: &Task| task.schedule.as_ref().and_then(|link| link.tick).expect("it has one").to_string();
    all_tasks(store).await.iter().map(tick).collect()
}

/// What is told of schedules, in its order.
pub(super) async fn told(store: &dyn Store) -> Vec<ScheduleHappening> {
    let query = EventQuery { after: Some(0), limit: MAX_PAGE, ..EventQuery::default() };
    let page = store.events(query).await.expect("the store works");
    let what = |event: &FeedEvent| match event {
        FeedEvent::Schedule(event) => Some(event.what.clone()),
        _ => None,
    };
    page.events.iter().filter_map(what).collect()
}

pub(super) async fn words(store: &dyn Store) -> Vec<&'static str> {
    told(store).await.iter().map(ScheduleHappening::word).collect()
}

/// As a submit at that instant, and no earlier; the schedule says what it has done and what comes next.
pub async fn schedule_makes_one_task_at_each_tick(subject: &mut impl Subject) {
    let store = subject.store();
    let put = put(&*store, hourly(|new| new.spec.task.expires = Some(MINUTE))).await;
    assert_eq!(
        (put.revision, put.paused, put.next.map(|next| next.tick)),
        (1, false, Some(at("2026-01-01T01:00:00Z")))
    );
    subject.advance(HOUR - Duration::from_millis(1));
    assert_eq!(ticks(&*store).await, Vec::<String>::new());
    subject.advance(Duration::from_millis(1));
    let made = all_tasks(&*store).await.pop().expect("there is one");
    let link = made.schedule.as_deref().expect("a schedule made it");
    assert_eq!((link.name.as_str(), link.tick), ("report", Some(at("2026-01-01T01:00:00Z"))));
    assert_eq!(made.expires_at, Some(at("2026-01-01T01:01:00Z")));
    assert_eq!(made.spec, new_task().spec.into());
    assert_eq!(store.input(made.id).await.expect("the store works"), Some(new_task().input));
    let session = open(&*store).await;
    assert_eq!(lease_one(&*store, session).await.task.schedule, made.schedule);
    // In one step: a store with a thread of its own may look between two.
    subject.advance(2 * HOUR);
    assert_eq!(ticks(&*store).await, ["2026-01-01T01:00:00.000Z", "2026-01-01T03:00:00.000Z"]);
    let now = schedule(&*store).await;
    let counts = ScheduleCounts { made: 2, missed: 1, ..ScheduleCounts::default() };
    assert_eq!(
        (now.progress.counts, now.revision, now.progress.last_tick),
        (counts, 1, Some(at("2026-01-01T03:00:00Z")))
    );
    assert_eq!(now.progress.last_task, all_tasks(&*store).await.last().map(|task| task.id));
    assert_eq!(now.next.map(|next| next.at), Some(at("2026-01-01T04:00:00Z")));
    assert_eq!(words(&*store).await, ["schedule-created", "schedule-fired", "schedule-missed", "schedule-fired"]);
    let shown = store.schedule_input(called("report")).await.expect("the store works");
    assert_eq!((shown, now.spec.task.request.as_str()), (Some(new_task().input), "as it was written"));
}

/// The task and the note that the tick is over are one change: before it, there is neither, and after it, both are.
pub async fn tick_makes_one_task_over_restarts(subject: &mut impl Subject) {
    put(&*subject.store(), hourly(|_| {})).await;
    for hours in 1..=4 {
        subject.restart();
        subject.advance(HOUR);
        for _ in 0..2 {
            assert_eq!(ticks(&*subject.store()).await.len(), hours);
            subject.restart();
        }
        let next = schedule(&*subject.store()).await.next.expect("there is one");
        assert_eq!(next.tick, at("2026-01-01T01:00:00Z").after(HOUR * u32::try_from(hours).expect("few")));
    }
    assert_eq!(
        schedule(&*subject.store()).await.progress.counts,
        ScheduleCounts { made: 4, ..ScheduleCounts::default() }
    );
}

/// In spring and in autumn, also where the clocks move by half an hour.
pub async fn schedule_follows_the_clocks_of_its_zone(subject: &mut impl Subject) {
    let store = subject.store();
    for (place, (zone, from, cron, expected)) in [
        // 2:30 is left out, and then comes twice.
        (
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "30 2 * * *",
            ["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T02:00:00Z",
            "45 1 * * *",
            ["2026-04-04T14:45:00.000Z", "2026-04-05T15:15:00.000Z"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T02:00:00Z",
            "15 2 * * *",
            ["2026-10-03T15:30:00.000Z", "2026-10-04T15:15:00.000Z"],
        ),
        (
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            "30 2 * * *",
            ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"],
        ),
        // Every hour is every hour.
        ("Europe/Berlin", "2027-03-28T00:30:00Z", "@hourly", ["2027-03-28T01:00:00.000Z", "2027-03-28T02:00:00.000Z"]),
        ("Europe/Berlin", "2027-10-31T00:30:00Z", "@hourly", ["2027-10-31T01:00:00.000Z", "2027-10-31T02:00:00.000Z"]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = called(&format!("s-{place}"));
        let zoned = |new: &mut NewSchedule| {
            new.name = name.clone();
            (new.spec.cron, new.spec.time_zone) = (cron.into(), zone.into());
        };
        let paused = put(&*store, hourly(|new| (zoned(new), new.paused = Some(true)).0)).await;
        subject.advance(at(from).since(paused.updated_at));
        store.pause_schedule(name.clone(), false, Expected::Any).await.expect("the store works").expect("it is there");
        let mut made = Vec::new();
        for _ in 0..2 {
            let next = store.schedule(name.clone()).await.expect("the store works").and_then(|schedule| schedule.next);
            let (next, now) = (next.expect("there is one"), schedule_now(&*store).await);
            subject.advance(next.at.since(now));
            let last = store.schedule(name.clone()).await.expect("the store works").expect("it is there").progress;
            made.push(last.last_tick.expect("it has fired").to_string());
        }
        assert_eq!(made, expected, "{cron} in {zone}");
        store.delete_schedule(name, Expected::Any).await.expect("the store works").expect("it is there");
    }
}

/// What the store's clock says.
async fn schedule_now(store: &dyn Store) -> Timestamp {
    store.observe(0).await.expect("the store works").now
}

/// What nobody was there for, by policy; the same after a jump of the clock and after a restart.
pub async fn missed_ticks_are_made_up_for_as_the_policy_says(subject: &mut impl Subject) {
    for (policy, made, missed) in
        [(CatchUp::None, 0, 5), (CatchUp::Last, 1, 4), (CatchUp::All(3), 3, 2), (CatchUp::All(9), 5, 0)]
    {
        let store = subject.store();
        let name = called(&format!("s-{made}"));
        // The last is half an hour late.
        let put = put(&*store, hourly(|new| (new.name, new.spec.catch_up) = (name.clone(), policy))).await;
        let next = put.next.expect("there is one").tick;
        subject.advance(next.since(put.updated_at) + HOUR * 4 + HOUR / 2);
        let now = store.schedule(name.clone()).await.expect("the store works").expect("it is there");
        assert_eq!(now.progress.counts, ScheduleCounts { made, missed, ..ScheduleCounts::default() }, "{policy}");
        assert_eq!(now.progress.decided_until, next.after(HOUR * 4), "{policy}");
        let made = usize::try_from(made).expect("few");
        assert_eq!(all_tasks(&*store).await.iter().filter(|task| is_of(task, &name)).count(), made, "{policy}");
        store.delete_schedule(name, Expected::Any).await.expect("the store works").expect("it is there");
    }
}

fn is_of(task: &Task, name: &ScheduleName) -> bool {
    task.schedule.as_ref().is_some_and(|link| link.name == *name)
}

/// However long nobody was there, and however often it would have fired.
pub async fn no_outage_makes_more_tasks_than_the_policy_allows(subject: &mut impl Subject) {
    let store = subject.store();
    let each_second = hourly(|new| {
        new.spec.cron = "* * * * * *".into();
        new.spec.catch_up = CatchUp::All(MAX_CAUGHT_UP);
        // So that all are taken on, and none is active.
        new.spec.overlap = Overlap::Allow;
        new.spec.task.expires = Some(SECOND);
    });
    put(&*store, each_second).await;
    subject.advance(HOUR * 24 * 365);
    let counts = loop {
        let now = schedule(&*store).await;
        if now
            .next
            .is_some_and(|next| next.tick > now.progress.decided_until && next.tick == at("2027-01-01T00:00:01Z"))
        {
            break now.progress.counts;
        }
    };
    // Beyond what may be active at once they are left out, each with its note.
    assert_eq!(counts.made + counts.skipped, u64::from(MAX_CAUGHT_UP));
    assert!(counts.missed > 0 && counts.made >= 100, "{counts:?}");
}

/// The ticks keep their order, and each has its own delay, which is the same after a restart.
pub async fn jitter_puts_a_tick_off_by_the_same_after_a_restart(subject: &mut impl Subject) {
    let next = put(&*subject.store(), hourly(|new| new.spec.jitter = HOUR / 2)).await.next.expect("there is one");
    assert!(next.at > next.tick && next.at < next.tick.after(HOUR / 2), "{next:?}");
    subject.restart();
    assert_eq!(schedule(&*subject.store()).await.next, Some(next));
    let start = at("2026-01-01T00:00:00Z");
    subject.advance(next.at.since(start) - Duration::from_millis(1));
    assert_eq!(ticks(&*subject.store()).await.len(), 0);
    subject.advance(Duration::from_millis(1));
    assert_eq!(ticks(&*subject.store()).await, ["2026-01-01T01:00:00.000Z"]);
    let then = schedule(&*subject.store()).await;
    assert_eq!((then.progress.counts.made, then.next.map(|next| next.tick)), (1, Some(at("2026-01-01T02:00:00Z"))));
    // A change of something else does not lose a tick that waits for its jitter.
    let (store, wait) = (subject.store(), HOUR * 2 - next.at.since(start) + SECOND);
    subject.advance(wait);
    let changed = put(&*store, hourly(|new| (new.spec.jitter, new.spec.overlap) = (HOUR / 2, Overlap::Skip))).await;
    assert_eq!((changed.revision, changed.next.map(|next| next.tick)), (2, Some(at("2026-01-01T02:00:00Z"))));
    // And a change of the ticks begins anew.
    let changed = put(&*store, hourly(|new| new.spec.cron = "30 * * * *".into())).await;
    assert_eq!(changed.next.map(|next| next.tick), Some(at("2026-01-01T02:30:00Z")));
}

/// Somebody else's change is not overwritten, if one asks for that.
pub async fn schedules_are_changed_by_revision_and_listed_page_by_page(subject: &mut impl Subject) {
    let store = subject.store();
    let new = |expected| hourly(|new| new.expected = expected);
    let conflict = |expected, found| Err(ScheduleChangeError::Conflict { name: called("report"), expected, found });
    assert_eq!(try_put(&*store, new(Expected::Revision(1))).await, conflict(Expected::Revision(1), None));
    assert_eq!(put(&*store, new(Expected::Absent)).await.revision, 1);
    assert_eq!(try_put(&*store, new(Expected::Absent)).await, conflict(Expected::Absent, Some(1)));
    assert_eq!(put(&*store, new(Expected::Revision(1))).await.revision, 1, "it is put as it is");
    let other = hourly(|new| (new.expected, new.spec.jitter) = (Expected::Revision(1), SECOND));
    assert_eq!(put(&*store, other).await.revision, 2);
    assert_eq!(try_put(&*store, new(Expected::Revision(1))).await, conflict(Expected::Revision(1), Some(2)));
    let readmitted = put(&*store, hourly(|new| new.is_readmission = true)).await;
    assert_eq!(readmitted.revision, 2);
    let pause =
        async |paused, expected| store.pause_schedule(called("report"), paused, expected).await.expect("it works");
    assert_eq!(pause(true, Expected::Revision(1)).await, conflict(Expected::Revision(1), Some(2)));
    assert_eq!(
        pause(true, Expected::Revision(2)).await.map(|it| (it.revision, it.paused, it.next)),
        Ok((3, true, None))
    );
    assert_eq!(pause(true, Expected::Any).await.map(|it| it.revision), Ok(3));

    for name in ["a", "z", "report-2"] {
        put(&*store, hourly(|new| new.name = called(name))).await;
    }
    let other = |new: &mut NewSchedule| new.spec.task.spec.handler = "mail/send".parse().expect("a name");
    put(&*store, hourly(|new| (new.name = called("m"), other(new)).0)).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let names = async |package: Option<&str>, after: Option<&str>, limit| {
        let query = ScheduleQuery { package: package.map(str::to_owned), after: after.map(called), limit };
        let page = store.schedules(query).await.expect("the store works");
        let names: Vec<_> = page.schedules.iter().map(|schedule| schedule.name.to_string()).collect();
        (names.join(" "), page.next.map(|next| next.to_string()))
    };
    assert_eq!(names(None, None, 100).await, ("a m report report-2 z".into(), None));
    assert_eq!(names(None, None, 3).await, ("a m report".into(), Some("report".into())));
    assert_eq!(names(None, Some("report"), 3).await, ("report-2 z".into(), None));
    assert_eq!(names(Some("mail"), None, 100).await, ("m".into(), None));
    assert!(schedule(&*store).await.paused);
}

/// A pause, the end of it, and the end of the schedule.
pub async fn ticks_of_a_paused_or_deleted_schedule_pass_by(subject: &mut impl Subject) {
    let store = subject.store();
    let unknown = Err(ScheduleChangeError::Unknown(called("report")));
    let pause = async |paused| store.pause_schedule(called("report"), paused, Expected::Any).await.expect("it works");
    assert_eq!(pause(true).await, unknown);
    put(&*store, hourly(|new| new.spec.catch_up = CatchUp::All(100))).await;
    pause(true).await.expect("it is there");
    subject.advance(HOUR * 3 + MINUTE);
    assert_eq!(ticks(&*store).await, Vec::<String>::new());
    let resumed = pause(false).await.expect("it is there");
    assert_eq!((resumed.progress.counts, resumed.revision), (ScheduleCounts::default(), 3));
    subject.advance(HOUR);
    assert_eq!(ticks(&*store).await, ["2026-01-01T04:00:00.000Z"]);
    let delete = async || store.delete_schedule(called("report"), Expected::Any).await.expect("the store works");
    assert_eq!(delete().await.map(|it| it.revision), Ok(3));
    assert_eq!(delete().await, unknown);
    subject.advance(HOUR);
    let tasks = all_tasks(&*store).await;
    assert_eq!(tasks.len(), 1);
    // Its task goes on, and its end is nobody's business.
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(store.schedule(called("report")).await.expect("the store works"), None);
    assert_eq!(
        store.trigger_schedule(called("report")).await.expect("the store works"),
        Err(ScheduleChangeError::Unknown(called("report")))
    );
    let told = ["schedule-created", "schedule-paused", "schedule-resumed", "schedule-fired", "schedule-deleted"];
    assert_eq!(words(&*store).await, told);
}

/// What would never fire, or too often, is none.
pub async fn schedule_that_cannot_be_is_refused(subject: &mut impl Subject) {
    let store = subject.store();
    for (change, expected) in [
        ((|new| new.spec.cron = "0 0 30 2 *".into()) as fn(&mut NewSchedule), "has no tick any more"),
        (|new| new.spec.cron = "every day".into(), "is not a cron expression"),
        (|new| new.spec.time_zone = "Mars/Olympus".into(), "there is no time zone `Mars/Olympus`"),
        (|new| new.spec.jitter = HOUR * 25, "the jitter is"),
        (|new| new.spec.catch_up = CatchUp::All(MAX_CAUGHT_UP + 1), "missed ticks"),
    ] {
        match try_put(&*store, hourly(change)).await {
            Err(ScheduleChangeError::Schedule(error)) => assert!(error.to_string().contains(expected), "{error}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert_eq!(store.schedule(called("report")).await.expect("the store works"), None);
    let never = ScheduleError::Never { cron: "0 0 30 2 *".into() };
    assert!(never.to_string().contains("hint:"));
}

async fn deploy(store: &dyn Store, component: &str, handler: &str, schema: &str) {
    let handler = HandlerInfo {
        name: handler.into(),
        doc: String::new(),
        input_schema: Some(schema.to_owned()),
        output_schema: None,
        settings: HandlerSettings::default(),
    };
    let (name, digest) = ("words".into(), Digest::of(component.as_bytes()));
    let new =
        NewPackage { name, component: digest, handlers: vec![handler], decider: None, allow_signature_change: true };
    store.deploy(new, Bytes::from(component.to_owned())).await.expect("the store works");
}

/// What cannot be made is noted with its reason, and the next tick is tried again: no deploy and no full queue stops a schedule.
pub async fn tick_that_can_make_no_task_is_noted_and_the_next_is_tried(subject: &mut impl Subject) {
    let store = subject.store();
    deploy(&*store, "component", "word-count", "{}").await;
    put(&*store, hourly(|_| {})).await;
    // Of another version, the same input.
    deploy(&*store, "second", "word-count", "{ }").await;
    subject.advance(HOUR);
    let made = all_tasks(&*store).await;
    assert_eq!(made.iter().map(|task| task.spec.component).collect::<Vec<_>>(), [Digest::of(b"second")]);
    let changed = "`words/word-count` of version 3 takes another input than the schedule was put with";
    let gone = "version 4 of the package `words` has no handler `word-count`";
    for (component, handler, schema, reason) in
        [("third", "word-count", r#"{"type": "string"}"#, changed), ("fourth", "word-list", "{}", gone)]
    {
        deploy(&*store, component, handler, schema).await;
        subject.advance(HOUR);
        let now = schedule(&*store).await;
        let problem = now.progress.problem.expect("there is one");
        assert_eq!((problem.reason.as_str(), now.progress.counts.made), (reason, 1));
        assert_eq!(problem.occasion.tick(), Some(problem.at));
        assert!(told(&*store).await.iter().any(|what| matches!(what, ScheduleHappening::Failed { .. })));
        let triggered = store.trigger_schedule(called("report")).await.expect("the store works");
        assert!(
            matches!(&triggered, Err(ScheduleChangeError::Failed { reason: said, .. }) if said == reason),
            "{triggered:?}"
        );
    }
    // Whoever puts it must have checked it against what there is.
    match try_put(&*store, hourly(|_| {})).await {
        Err(ScheduleChangeError::Unchecked { active }) => assert_eq!(active.component, Digest::of(b"fourth")),
        other => panic!("{other:?}"),
    }
    deploy(&*store, "component", "word-count", "{}").await;
    set_queue(&*store, "default", &[QueueChange::MaxDepth(Some(1))]).await;
    subject.advance(HOUR);
    let problem = schedule(&*store).await.progress.problem.expect("there is one");
    assert_eq!(problem.reason, "1 tasks wait in the queue `default`, and its greatest depth is 1");
    set_queue(&*store, "default", &[QueueChange::MaxDepth(None)]).await;
    subject.advance(HOUR);
    let now = schedule(&*store).await.progress;
    assert_eq!((now.counts.made, now.counts.failed, now.counts.missed), (2, 5, 0));
    assert_eq!(now.problem.map(|problem| matches!(problem.occasion, Occasion::Tick(_))), Some(true));
}
