//! Tables of what widens, and what only differs.

use super::*;

fn handler(pairs: &[(&str, &str)]) -> HandlerInfo {
    HandlerInfo {
        name: "h".into(),
        doc: "It does.".into(),
        input_schema: None,
        output_schema: None,
        settings: HandlerSettings::parse(pairs.iter().copied()).expect("settings"),
    }
}

/// The changes of one setting to another.
fn change(was: &[(&str, &str)], is: &[(&str, &str)]) -> Vec<Change> {
    let (was, is) = ([handler(was)], [handler(is)]);
    diff(Some(Side { imports: &[], handlers: &was }), Side { imports: &[], handlers: &is })
}

#[test]
fn same_component_changes_nothing() {
    let all = [("dirs", "/a:rw"), ("limits", "open-files=4"), ("queue", "q")];
    assert_eq!(change(&all, &all), []);
    assert_eq!(change(&[("dirs", "/a:rw")], &[("dirs", "/a:rw,/b")]).len(), 1);
}

#[test]
fn widening_obeyed() {
    for (key, was, is) in [
        ("env", "K,L", "K"),
        ("env", "*", "K"),
        ("dirs", "/a:rw", "/a"),
        ("dirs", "*:rw", "/a:rw"),
        ("dirs", "*:rw", "*"),
        ("http", "https://*.a.b", "https://c.a.b"),
        ("http", "https://*.b", "https://*.a.b"),
        ("secrets", "K,L", "L"),
        ("scratch", "2MiB", "1MiB"),
        ("clock", "fine", "coarse"),
        ("timeout", "20s", "10s"),
        ("memory", "64MiB", "32MiB"),
        ("limits", "output=2MiB", "output=1KiB"),
        ("fuel", "off", "5"),
        ("fuel", "9", "5"),
        ("queue", "a", "b"),
        ("max-attempts", "2", "9"),
        ("deterministic", "true", "false"),
        ("capture", "stdout", "stdout,stderr"),
    ] {
        let changes = change(&[(key, was)], &[(key, is)]);
        assert!(changes.len() == 1 && !changes[0].widens, "{key} {was} {is}: {changes:?}");
    }
}

#[test]
fn widening_violated() {
    for (key, was, is) in [
        ("env", "K", "K,L"),
        ("env", "K", "*"),
        ("dirs", "/a", "/a:rw"),
        ("dirs", "/a", "/a,/b"),
        ("dirs", "/a:rw", "*"),
        ("dirs", "*", "*:rw"),
        ("http", "https://c.a.b", "https://*.a.b"),
        ("http", "https://a.b", "http://a.b"),
        ("http", "https://a.b", "https://a.b:444"),
        ("secrets", "K", "K,L"),
        ("scratch", "1MiB", "2MiB"),
        ("clock", "coarse", "fine"),
        ("timeout", "10s", "20s"),
        ("memory", "32MiB", "64MiB"),
        ("limits", "output=1KiB", "output=2KiB"),
        ("fuel", "5", "9"),
        ("fuel", "5", "off"),
    ] {
        let changes = change(&[(key, was)], &[(key, is)]);
        assert!(changes.len() == 1 && changes[0].widens, "{key} {was} {is}: {changes:?}");
    }
    for more in
        [("scratch", "1MiB"), ("clock", "fine"), ("dirs", "/a"), ("timeout", "301s"), ("limits", "requests=101")]
    {
        assert!(change(&[], &[more])[0].widens, "{more:?}");
    }
    // A limit that is stated no more is the default again.
    assert!(change(&[("timeout", "10s")], &[])[0].widens);
}

#[test]
fn imports_count_by_their_interface() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (was, is) = (
        names(&["wasi:io/poll@0.2.0", "wasi:cli/exit@0.2.0"]),
        names(&["wasi:io/poll@0.2.6", "wasi:http/types@0.2.6"]),
    );
    let changes = diff(Some(Side { imports: &was, handlers: &[] }), Side { imports: &is, handlers: &[] });
    let lines: Vec<_> = changes.iter().map(Change::line).collect();
    assert_eq!(lines, ["import wasi:http/types@0.2.6, new (wider)", "import wasi:cli/exit@0.2.0, gone"]);
}

#[test]
fn handlers_that_come_go_and_change_are_told() {
    let old = [handler(&[]), HandlerInfo { name: "gone".into(), ..handler(&[]) }];
    let mut changed = handler(&[]);
    changed.input_schema = Some("{}".into());
    let new = [changed, HandlerInfo { name: "new".into(), ..handler(&[("env", "K")]) }];
    let changes = diff(Some(Side { imports: &[], handlers: &old }), Side { imports: &[], handlers: &new });
    let lines: Vec<_> = changes.iter().map(Change::line).collect();
    let expected =
        ["h: input JSON, was any bytes", "handler new, new", "new: env K, new (wider)", "handler gone, gone"];
    assert_eq!(lines, expected);
}

#[test]
fn first_deploy_tells_all_and_widens_nothing() {
    let imports = ["wasi:io/poll@0.2.0".to_owned()];
    let handlers = [handler(&[("env", "K"), ("timeout", "10m")])];
    let changes = diff(None, Side { imports: &imports, handlers: &handlers });
    assert!(changes.iter().all(|change| !change.widens));
    let what: Vec<_> = changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(what, ["import", "handler", "limit timeout", "env"]);
}
