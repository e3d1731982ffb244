//! Ticks where the clocks change, as tables and against a search of every minute; what is due, and the bounds of all that.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::DateTime;

use super::*;
use crate::{TaskSpec, Timestamp};

const NO_JITTER: Duration = Duration::ZERO;

fn calendar(cron: &str, zone: &str) -> Calendar {
    Calendar::new(cron, zone).unwrap_or_else(|error| panic!("{error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn name(text: &str) -> ScheduleName {
    text.parse().expect("a name")
}

/// The ticks of some hours, as clocks show them.
fn shown(cron: &str, zone: &str, from: &str, hours: u64) -> Vec<String> {
    let calendar = calendar(cron, zone);
    let (from, mut found) = (at(from), Vec::new());
    let until = from.after(Duration::from_secs(hours * 3_600));
    let mut last = from;
    while let Some(tick) = calendar.next_after(last).filter(|tick| *tick <= until) {
        found.push(calendar.on_the_wall(tick)[5..].to_owned());
        last = tick;
    }
    found
}

#[test]
fn ticks_in_spring_in_berlin() {
    let ticks = |cron| shown(cron, "Europe/Berlin", "2026-03-28T23:30:00Z", 4);
    // There is no time from 2:00 to 3:00.
    assert_eq!(ticks("30 2 * * *"), ["03-29 03:00:00 +02:00"]);
    assert_eq!(ticks("0,30 2 * * *"), ["03-29 03:00:00 +02:00"]);
    assert_eq!(ticks("0 2,3 * * *"), ["03-29 03:00:00 +02:00"]);
    assert_eq!(
        ticks("*/30 * * * *"),
        [
            "03-29 01:00:00 +01:00",
            "03-29 01:30:00 +01:00",
            "03-29 03:00:00 +02:00",
            "03-29 03:30:00 +02:00",
            "03-29 04:00:00 +02:00",
            "03-29 04:30:00 +02:00",
            "03-29 05:00:00 +02:00",
            "03-29 05:30:00 +02:00",
        ]
    );
    assert_eq!(ticks("*/20 2 * * *"), Vec::<String>::new());
    assert_eq!(ticks("59 1 * * *"), ["03-29 01:59:00 +01:00"]);
}

#[test]
fn ticks_in_autumn_in_berlin() {
    let ticks = |cron| shown(cron, "Europe/Berlin", "2026-10-24T23:30:00Z", 3);
    // From 2:00 to 3:00 comes twice.
    assert_eq!(ticks("30 2 * * *"), ["10-25 02:30:00 +02:00"]);
    assert_eq!(
        ticks("0,30 2,3 * * *"),
        ["10-25 02:00:00 +02:00", "10-25 02:30:00 +02:00", "10-25 03:00:00 +01:00", "10-25 03:30:00 +01:00"]
    );
    assert_eq!(
        ticks("*/30 2 * * *"),
        ["10-25 02:00:00 +02:00", "10-25 02:30:00 +02:00", "10-25 02:00:00 +01:00", "10-25 02:30:00 +01:00"]
    );
    assert_eq!(ticks("@hourly"), ["10-25 02:00:00 +02:00", "10-25 02:00:00 +01:00", "10-25 03:00:00 +01:00"]);
    assert_eq!(ticks("0 3 * * *"), ["10-25 03:00:00 +01:00"]);
}

#[test]
fn ticks_where_clocks_move_by_half_an_hour() {
    let spring = |cron| shown(cron, "Australia/Lord_Howe", "2026-10-03T15:00:00Z", 1);
    assert_eq!(spring("15 2 * * *"), ["10-04 02:30:00 +11:00"]);
    assert_eq!(
        spring("*/15 * * * *"),
        ["10-04 01:45:00 +10:30", "10-04 02:30:00 +11:00", "10-04 02:45:00 +11:00", "10-04 03:00:00 +11:00",]
    );
    let autumn = |cron| shown(cron, "Australia/Lord_Howe", "2026-04-04T14:20:00Z", 1);
    assert_eq!(autumn("45 1 * * *"), ["04-05 01:45:00 +11:00"]);
    assert_eq!(
        autumn("*/15 * * * *"),
        ["04-05 01:30:00 +11:00", "04-05 01:45:00 +11:00", "04-05 01:30:00 +10:30", "04-05 01:45:00 +10:30",]
    );
}

#[test]
fn ticks_of_midnight_come_once_where_midnight_is_left_out_or_comes_twice() {
    // In Beirut the clocks go from 0:00 to 1:00, and in Havana from 1:00 back to 0:00.
    assert_eq!(shown("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00:00Z", 24), ["03-29 01:00:00 +03:00"]);
    assert_eq!(shown("@daily", "America/Havana", "2026-10-31T12:00:00Z", 24), ["11-01 00:00:00 -04:00"]);
}

/// By its definition: a fixed time is due when clocks show it, or something later, for the first time; any other whenever they
/// show it.
fn searched(cron: &str, zone: &str, from: Timestamp, minutes: i64) -> BTreeSet<Timestamp> {
    let matcher: croner::Cron = cron.parse().expect("a cron expression");
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).expect("a zone");
    let is_match = |time: &DateTime| matcher.is_time_matching(time).expect("it can be matched");
    let start = jiff::Timestamp::from_millisecond(from.unix_ms() as i64).expect("in range");
    let instants: Vec<_> = (1..=minutes).map(|minute| start + minute.minutes()).collect();
    let by_wall_clock = cron.split(' ').take(2).any(|field| field.contains('*'));
    let ticks: Vec<_> = if by_wall_clock {
        instants.into_iter().filter(|at| is_match(&zone.to_datetime(*at))).collect()
    } else {
        let mut latest = zone.to_datetime(start);
        let mut ticks = Vec::new();
        for at in instants {
            let shown = zone.to_datetime(at);
            let mut is_tick = false;
            while latest < shown {
                latest += 1.minutes();
                is_tick |= is_match(&latest);
            }
            if is_tick {
                ticks.push(at);
            }
        }
        ticks
    };
    ticks.into_iter().map(|at| Timestamp::from_unix_ms(at.as_millisecond() as u64)).collect()
}

#[test]
fn ticks_are_those_of_a_search_of_every_minute() {
    let zones = [
        ("Europe/Berlin", "2026-03-28T12:00:00Z"),
        ("Europe/Berlin", "2026-10-24T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T03:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T03:00:00Z"),
        ("America/Havana", "2026-10-31T14:00:00Z"),
        ("Asia/Beirut", "2026-03-28T12:00:00Z"),
        ("Africa/Casablanca", "2026-02-14T16:00:00Z"),
        ("UTC", "2026-02-28T12:00:00Z"),
    ];
    let crons = [
        "30 2 * * *",
        "0,15,45 0-3 * * *",
        "*/7 * * * *",
        "* 2 * * *",
        "45 1-2 * * SUN",
        "10 * * * *",
        "0 0 * * *",
        "59 23 L * *",
        "0-59 1-3 * * *",
    ];
    for (zone, from) in zones {
        for cron in crons {
            let (calendar, from, minutes) = (calendar(cron, zone), at(from), 36 * 60);
            let expected = searched(cron, zone, from, minutes);
            let until = from.after(Duration::from_secs(minutes as u64 * 60));
            let mut found = BTreeSet::new();
            let mut last = from;
            while let Some(tick) = calendar.next_after(last).filter(|tick| *tick <= until) {
                assert!(tick > last, "{cron} in {zone}");
                found.insert(tick);
                last = tick;
            }
            assert_eq!(found, expected, "{cron} in {zone}");
            for minute in (0..minutes as u64).step_by(5) {
                // Between two minutes too.
                let now = from.after(Duration::from_millis(minute * 60_000 + (minute % 3) * 1_500));
                let last = calendar.last_until(now).filter(|tick| *tick > from);
                assert_eq!(last, expected.range(..=now).next_back().copied(), "{cron} in {zone} at {now}");
                let next = calendar.next_after(now).filter(|tick| *tick <= until);
                let after = Timestamp::from_unix_ms(now.unix_ms() + 1);
                assert_eq!(next, expected.range(after..).next().copied(), "{cron} in {zone} at {now}");
            }
        }
    }
}

#[test]
fn what_is_no_calendar_is_refused_with_its_reason() {
    for cron in
        ["", "* * * *", "60 * * * *", "* * * * * * * *", "a b c d e", "@reboot", "* * * * \u{e9}", &"1,".repeat(200)]
    {
        let error = Calendar::new(cron, "UTC").expect_err("it is refused").to_string();
        assert!(error.contains("hint:") && error.len() < 500, "{error}");
    }
    let error = Calendar::new("* * * * *", "Europe/Berln").expect_err("it is refused").to_string();
    assert_eq!(
        error,
        "there is no time zone `Europe/Berln`\nhint: write its name in the IANA database, such as `Europe/Berlin`"
    );
    assert_eq!(calendar("* * * * *", "europe/berlin").time_zone(), "Europe/Berlin");
}

#[test]
fn no_text_makes_the_parser_panic() {
    let letters = b"0123456789*/,-?#LW+@ MONSUNJANDEChourly\t";
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text: String =
            (0..random.usize(..24)).map(|_| char::from(letters[random.usize(..letters.len())])).collect();
        if let Ok(calendar) = Calendar::new(&text, "Europe/Berlin") {
            let now = Timestamp::from_unix_ms(random.u64(..4_000_000_000_000));
            if let Some(next) = calendar.next_after(now) {
                assert!(next > now, "{text}");
            }
        }
    }
}

#[test]
fn ticks_that_never_come_are_none() {
    for cron in ["0 0 30 2 *", "0 0 0 1 1 * 2020", "0 0 31 4,6,9,11 *"] {
        assert_eq!(calendar(cron, "Europe/Berlin").next_after(at("2026-01-01T00:00:00Z")), None, "{cron}");
    }
    assert_eq!(calendar("* * * * *", "UTC").next_after(Timestamp::from_unix_ms(u64::MAX)), None);
}

fn due(cron: &str, after: &str, now: &str, policy: CatchUp) -> Due {
    calendar(cron, "UTC").due(&name("n"), (at(after), at(now)), NO_JITTER, policy, |_| false)
}

#[test]
fn missed_ticks_are_made_up_for_as_the_policy_says() {
    let day = |policy| due("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00Z", policy);
    let hours = |hours: &[u32]| hours.iter().map(|hour| at(&format!("2026-01-01T0{hour}:00:00Z"))).collect::<Vec<_>>();
    assert_eq!((day(CatchUp::None).made, day(CatchUp::None).missed), (hours(&[]), 5));
    assert_eq!((day(CatchUp::Last).made, day(CatchUp::Last).missed), (hours(&[5]), 4));
    assert_eq!((day(CatchUp::All(3)).made, day(CatchUp::All(3)).missed), (hours(&[3, 4, 5]), 2));
    assert_eq!((day(CatchUp::All(9)).made, day(CatchUp::All(9)).missed), (hours(&[1, 2, 3, 4, 5]), 0));
    assert_eq!(day(CatchUp::None).newest, Some(at("2026-01-01T05:00:00Z")));
    assert_eq!(due("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:59:59Z", CatchUp::Last), Due::default());
}

#[test]
fn tick_is_not_missed_for_a_minute() {
    let made = |now| due("0 * * * *", "2026-01-01T00:00:00Z", now, CatchUp::None);
    assert_eq!(made("2026-01-01T01:01:00Z").made, [at("2026-01-01T01:00:00Z")]);
    assert_eq!((made("2026-01-01T01:01:00.001Z").made, made("2026-01-01T01:01:00.001Z").missed), (vec![], 1));
}

#[test]
fn years_of_missed_seconds_are_not_counted_one_by_one() {
    let due = due("* * * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", CatchUp::All(MAX_CAUGHT_UP));
    assert_eq!(due.made.len(), MAX_CAUGHT_UP as usize);
    assert_eq!((due.made.last().copied(), due.newest), (Some(at("2026-01-01T00:00:00Z")), due.newest));
    assert!(due.made.is_sorted() && due.missed >= 1, "{}", due.missed);
    let last = super::tests::due("* * * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", CatchUp::Last);
    assert_eq!((last.made, last.missed), (vec![at("2026-01-01T00:00:00Z")], MAX_COUNTED as u64));
}

#[test]
fn jitter_is_a_function_of_name_and_tick_and_keeps_their_order() {
    let (calendar, jitter) = (calendar("*/5 * * * *", "UTC"), Duration::from_secs(3_600));
    let mut from = at("2026-01-01T00:00:00Z");
    let (mut last, mut spread) = (from, BTreeSet::new());
    for _ in 0..200 {
        let fire = calendar.next_fire(&name("report"), from, jitter).expect("there is one");
        assert_eq!(calendar.next_fire(&name("report"), from, jitter), Some(fire));
        let next = calendar.next_after(fire.tick).expect("there is one");
        assert!(fire.tick <= fire.at && fire.at < next && last < fire.at, "{fire:?}");
        spread.insert(fire.at.since(fire.tick));
        (from, last) = (fire.tick, fire.at);
    }
    assert!(spread.len() > 190, "{}", spread.len());
    let tick = at("2026-01-01T00:05:00Z");
    assert_ne!(calendar.fires_at(&name("a"), tick, jitter), calendar.fires_at(&name("b"), tick, jitter));
    assert_eq!(calendar.fires_at(&name("a"), tick, NO_JITTER), tick);
    // What was made of them once is so for ever.
    assert_eq!(calendar.fires_at(&name("a"), tick, jitter), Timestamp::from_unix_ms(1_767_226_013_381));
}

#[test]
fn tick_whose_jitter_has_not_passed_is_not_due() {
    let (calendar, jitter) = (calendar("0 * * * *", "UTC"), Duration::from_secs(1_800));
    let fire = calendar.next_fire(&name("n"), at("2026-01-01T00:00:00Z"), jitter).expect("there is one");
    let due = |now| calendar.due(&name("n"), (at("2026-01-01T00:00:00Z"), now), jitter, CatchUp::None, |_| false);
    assert_eq!(due(Timestamp::from_unix_ms(fire.at.unix_ms() - 1)), Due::default());
    assert_eq!(due(fire.at).made, [fire.tick]);
}

fn spec(change: impl FnOnce(&mut ScheduleSpec)) -> ScheduleSpec {
    let mut spec = ScheduleSpec {
        cron: "0 3 * * *".into(),
        time_zone: "europe/berlin".into(),
        overlap: Overlap::Skip,
        catch_up: CatchUp::Last,
        jitter: NO_JITTER,
        task: ScheduledTask {
            spec: TaskSpec::clone(&crate::testing::task().spec),
            input: crate::testing::task().input,
            expires: None,
            callbacks: Vec::new(),
            request: String::new(),
        },
    };
    change(&mut spec);
    spec
}

#[test]
fn bounds_of_a_schedule_obeyed() {
    let now = at("2026-01-01T00:00:00Z");
    let mut most = spec(|spec| (spec.jitter, spec.catch_up) = (MAX_JITTER, CatchUp::All(MAX_CAUGHT_UP)));
    most.check(now).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(most.time_zone, "Europe/Berlin");
}

#[test]
fn bounds_of_a_schedule_violated() {
    let now = at("2026-01-01T00:00:00Z");
    let refused = |change: fn(&mut ScheduleSpec)| spec(change).check(now).map(|_| ()).expect_err("it is refused");
    let long = MAX_JITTER + Duration::from_millis(1);
    assert_eq!(refused(|spec| spec.jitter = MAX_JITTER + Duration::from_millis(1)), ScheduleError::Jitter(long));
    assert_eq!(refused(|spec| spec.catch_up = CatchUp::All(1_001)), ScheduleError::CatchUp(1_001));
    assert_eq!(refused(|spec| spec.catch_up = CatchUp::All(0)), ScheduleError::CatchUp(0));
    assert_eq!(refused(|spec| spec.cron = "0 0 30 2 *".into()), ScheduleError::Never { cron: "0 0 30 2 *".into() });
}
