//! Tables of manifest, operator and submitter, and what comes of the three.

use sunaba_task::HandlerSettings;

use super::*;

fn places(texts: &[&str]) -> Vec<HttpGrant> {
    texts.iter().map(|text| text.parse().expect("a place")).collect()
}

fn asked(pairs: &[(&str, &str)]) -> GrantRequests {
    HandlerSettings::parse(pairs.iter().copied()).expect("a manifest").requests
}

fn env(text: &str) -> Grants {
    Grants { env: vec![text.parse().expect("a variable")], ..Grants::default() }
}

fn dir(text: &str) -> Grants {
    Grants { dirs: vec![text.parse().expect("a directory")], ..Grants::default() }
}

fn http(texts: &[&str]) -> Grants {
    Grants { http: places(texts), ..Grants::default() }
}

fn scratch(bytes: u64) -> Grants {
    Grants { scratch_bytes: Some(bytes), ..Grants::default() }
}

fn fine() -> Grants {
    Grants { clock: ClockAccess::Fine, ..Grants::default() }
}

fn of(asked: &GrantRequests, operator: &Operator, passed: &Grants) -> Result<Grants, GrantRefusal> {
    effective("h", asked, operator, passed)
}

fn hint(refused: Result<Grants, GrantRefusal>) -> String {
    let error = refused.expect_err("it is refused").to_string();
    error.split_once("\nhint: ").expect("a hint").1.to_owned()
}

#[test]
fn nothing_passed_on_is_nothing_granted() {
    let all = asked(&[
        ("env", "*"),
        ("dirs", "*:rw"),
        ("http", "https://a.b"),
        ("secrets", "K"),
        ("scratch", "1MiB"),
        ("clock", "fine"),
    ]);
    assert_eq!(of(&all, &Operator::default(), &Grants::default()), Ok(Grants::default()));
}

#[test]
fn manifest_obeyed() {
    for (manifest, passed) in [
        (("env", "K"), env("K=1")),
        (("env", "*"), env("K=1")),
        (("dirs", "/data"), dir("/x::/data")),
        (("dirs", "/data:rw"), dir("/x::/data/")),
        (("dirs", "*:rw"), dir("/x::/y:rw")),
        (("scratch", "1MiB"), scratch(5)),
    ] {
        assert_eq!(of(&asked(&[manifest]), &Operator::default(), &passed), Ok(passed), "{manifest:?}");
    }
}

#[test]
fn manifest_violated_says_what_its_author_would_have_to_write() {
    let operator = Operator {
        http: places(&["https://*.b", "https://a.b"]),
        secrets: [("K".to_owned(), "https://a.b".parse().expect("a place"))].into(),
        clock: ClockAccess::Fine,
        ..Operator::default()
    };
    let secret = Grants { secrets: vec!["K".into()], ..Grants::default() };
    for (manifest, passed, option) in [
        (("env", "L"), env("K=1"), "env = \"K\""),
        (("dirs", "/other"), dir("/x::/data"), "dirs = \"/data\""),
        (("dirs", "/data"), dir("/x::/data:rw"), "dirs = \"/data:rw\""),
        (("dirs", "*"), dir("/x::/data:rw"), "dirs = \"/data:rw\""),
        (("http", "https://c.b"), http(&["https://a.b"]), "http = \"https://a.b\""),
        (("http", "http://a.b:443"), http(&["https://a.b"]), "http = \"https://a.b\""),
        (("secrets", "L"), secret, "secrets = \"K\""),
        (("clock", "coarse"), fine(), "clock = \"fine\""),
        (("clock", "coarse"), scratch(1 << 20), "scratch = \"1.0MiB\""),
    ] {
        let hint = hint(of(&asked(&[manifest]), &operator, &passed));
        assert_eq!(hint, format!("its author would have to write `#[handler({option})]`"));
    }
}

#[test]
fn operator_violated_names_the_flag() {
    let all = asked(&[("http", "https://a.b"), ("secrets", "K"), ("scratch", "1MiB"), ("clock", "fine")]);
    let secret = Grants { secrets: vec!["K".into()], ..Grants::default() };
    let operator = Operator { max_scratch_bytes: 0, ..Operator::default() };
    for (passed, flag) in [
        (http(&["https://a.b"]), "--allow-http https://a.b"),
        (secret, "--secret K=env:VARIABLE@https://HOST"),
        (scratch(1 << 20), "--max-scratch 1.0MiB"),
        (fine(), "--allow-fine-clock"),
    ] {
        let hint = hint(of(&all, &operator, &passed));
        assert_eq!(hint, format!("its operator would have to start it with `serve {flag}`"));
    }
}

#[test]
fn of_wildcard_and_name_the_narrower_is_granted_with_the_addresses_of_the_operator() {
    for (manifest, operator, passed, granted) in [
        ("https://a.b", &["https://a.b"][..], "https://a.b", &["https://a.b"][..]),
        ("https://*.b", &["https://*.b"], "https://a.b", &["https://a.b"]),
        ("https://a.b", &["https://*.b"], "https://*.b", &["https://a.b"]),
        ("https://*.b", &["https://a.b", "https://c.b"], "https://*.b", &["https://a.b", "https://c.b"]),
        ("https://*.a.b", &["https://*.b"], "https://*.b", &["https://*.a.b"]),
        ("https://a.b,https://c.b", &["https://a.b"], "https://*.b", &["https://a.b"]),
        ("http://a.b", &["http://*.b@10.0.0.0/8"], "http://a.b", &["http://a.b@10.0.0.0/8"]),
        (
            "http://a.b",
            &["http://*.b@10.0.0.0/8", "http://a.b@fd00::/8"],
            "http://a.b",
            &["http://a.b@10.0.0.0/8+fd00::/8"],
        ),
        // What is allowed for one name is not allowed for all of them.
        (
            "http://*.b",
            &["http://*.b", "http://a.b@10.0.0.0/8"],
            "http://*.b",
            &["http://*.b", "http://a.b@10.0.0.0/8"],
        ),
    ] {
        let operator = Operator { http: places(operator), ..Operator::default() };
        let effective = of(&asked(&[("http", manifest)]), &operator, &http(&[passed])).map(|grants| grants.http);
        assert_eq!(effective, Ok(places(granted)), "{manifest} {passed}");
        // Asked again with what came of it, nothing changes.
        let again = without_addresses(http(granted));
        assert_eq!(of(&asked(&[("http", manifest)]), &operator, &again).map(|grants| grants.http), effective);
    }
}

#[test]
fn submitter_never_names_addresses() {
    let operator = Operator { http: places(&["http://a.b@10.0.0.0/8"]), ..Operator::default() };
    let refused = of(&asked(&[("http", "http://a.b")]), &operator, &http(&["http://a.b@10.0.0.0/8"]));
    assert_eq!(refused, Err(GrantRefusal::Addresses("http://a.b@10.0.0.0/8".into())));
}

#[test]
fn secret_opens_no_way_of_its_own() {
    let host: HttpGrant = "https://a.b".parse().expect("a place");
    let operator = Operator {
        http: places(&["https://a.b", "https://c.b"]),
        secrets: [("K".to_owned(), host)].into(),
        ..Operator::default()
    };
    let asked = asked(&[("secrets", "K"), ("http", "https://*.b")]);
    let with = |http: &[&str]| Grants { http: places(http), secrets: vec!["K".into()], ..Grants::default() };
    let name = "K".to_owned();
    for passed in [&[][..], &["https://c.b"]] {
        let refused = Err(GrantRefusal::SecretHost { name: name.clone(), host: "https://a.b".into() });
        assert_eq!(of(&asked, &operator, &with(passed)), refused);
    }
    for passed in [&["https://a.b"][..], &["https://*.b"]] {
        assert_eq!(of(&asked, &operator, &with(passed)).map(|grants| grants.secrets), Ok(vec![name.clone()]));
    }
}

#[test]
fn scratch_is_the_smallest_of_the_three() {
    for (manifest, operator, passed, granted) in [("3B", 2, 1, 1), ("3B", 2, 9, 2), ("1B", 2, 3, 1)] {
        let operator = Operator { max_scratch_bytes: operator, ..Operator::default() };
        let granted = Ok(scratch(granted));
        assert_eq!(of(&asked(&[("scratch", manifest)]), &operator, &scratch(passed)), granted);
    }
}

#[test]
fn clock_is_fine_only_if_all_three_say_so() {
    let operator = |clock| Operator { clock, ..Operator::default() };
    for (manifest, clock, passed, is_granted) in [
        ("fine", ClockAccess::Fine, fine(), true),
        ("fine", ClockAccess::Coarse, fine(), false),
        ("coarse", ClockAccess::Fine, fine(), false),
        ("fine", ClockAccess::Fine, Grants::default(), true),
    ] {
        let effective = of(&asked(&[("clock", manifest)]), &operator(clock), &passed);
        assert_eq!(effective.is_ok(), is_granted, "{manifest} {clock:?}");
        assert!(effective.is_err() || effective == Ok(passed));
    }
}
