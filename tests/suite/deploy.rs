//! What a deploy changes is shown, and what would widen what a package may do is refused unless somebody says so.

use std::path::Path;

use sunaba_runtime::{Client, ClientError};

use crate::support::{Host, block_on, guest, sunaba, text};

/// `manifest` as an author might have written it before: it reads `/out` only, and sends requests to one host fewer.
fn narrower(folder: &Path) -> String {
    let mut component = std::fs::read(guest("manifest")).expect("it is there");
    for (new, old) in [(&b"/in,/out:rw"[..], &b"/in,/out:ro"[..]), (b"open-files=8", b"open-files=4")] {
        let places: Vec<_> =
            component.windows(new.len()).enumerate().filter(|(_, part)| *part == new).map(|(place, _)| place).collect();
        assert!(!places.is_empty(), "the guest does not say `{}`", String::from_utf8_lossy(new));
        places.into_iter().for_each(|place| component[place..place + old.len()].copy_from_slice(old));
    }
    let file = folder.join("manifest.wasm");
    std::fs::write(&file, component).expect("written");
    file.display().to_string()
}

#[test]
fn first_deploy_shows_what_is_asked_for() {
    let host = Host::start(&[]);
    let output = host.sunaba(["handler", "deploy", &guest("manifest").display().to_string()]);
    let shown = text(&output.stderr);
    let asked: Vec<_> = shown.lines().skip(1).collect();
    let expected = [
        "  manifest asks for clock fine",
        "  manifest asks for dirs /in,/out:rw",
        "  manifest asks for env COLOR",
        "  manifest asks for http https://api.example.com",
        "  manifest asks for scratch 64.0 MiB",
        "  manifest asks for secrets API_KEY",
    ];
    assert_eq!((output.status.code(), asked), (Some(0), expected.to_vec()), "{shown}");
    assert_eq!(text(&output.stdout), "manifest/manifest\n");
    // The same again changes nothing.
    let output = host.sunaba(["handler", "deploy", &guest("manifest").display().to_string()]);
    assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
}

#[test]
fn widening_is_refused_with_its_list_unless_it_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::start(&[]);
    let (narrow, wide) = (narrower(folder.path()), guest("manifest").display().to_string());
    host.ok(&["handler", "deploy", &narrow]);
    let before = host.json(&["handler", "describe", "manifest/manifest"]);

    let refused = host.sunaba(["handler", "deploy", &wide]);
    let shown = text(&refused.stderr);
    assert_eq!((refused.status.code(), text(&refused.stdout).as_str()), (Some(4), ""), "{shown}");
    let list: Vec<_> = shown.lines().take(2).collect();
    let expected =
        ["  manifest: limit open-files 8, was 4 (wider)", "  manifest: dirs /in,/out:rw, was /in,/out (wider)"];
    assert_eq!(list, expected, "{shown}");
    assert!(shown.contains("error: the component wants more than the active version of `manifest` has: "), "{shown}");
    assert!(shown.ends_with("\nhint: deploy it with `--allow-widening`, if that is meant to be\n"), "{shown}");
    assert_eq!(host.json(&["handler", "describe", "manifest/manifest"]), before, "nothing has changed");

    let dry = host.sunaba(["handler", "deploy", &wide, "--dry-run"]);
    assert_eq!(text(&dry.stdout), expected.map(|line| format!("{}\n", line.trim())).concat());
    assert_eq!(text(&dry.stderr), "a deploy needs `--allow-widening`\n");
    assert_eq!(host.json(&["handler", "describe", "manifest/manifest"]), before, "nothing has changed");

    // Over the wire, the list is there for programs.
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let component = std::fs::read(&wide).expect("it is there");
        let Err(ClientError::Refused(problem)) = client.deploy("manifest", component.into()).await else {
            panic!("it is refused")
        };
        assert_eq!((problem.status, problem.widening.len()), (409, 2));
        assert!(problem.widening.iter().all(|change| change.widens));
    });

    let allowed = host.sunaba(["handler", "deploy", &wide, "--allow-widening"]);
    assert_eq!(allowed.status.code(), Some(0), "{}", text(&allowed.stderr));
    assert_eq!(text(&allowed.stderr).lines().skip(1).collect::<Vec<_>>(), expected);
    // To ask for less needs nobody's leave, and is told.
    let back = host.sunaba(["handler", "deploy", &narrow]);
    assert!(text(&back.stderr).contains("  manifest: dirs /in,/out, was /in,/out:rw\n"), "{}", text(&back.stderr));
    assert_eq!(back.status.code(), Some(0));
}

#[test]
fn handlers_that_come_and_go_are_told() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let manifest = guest("manifest").display().to_string();
    let refused = host.sunaba(["handler", "deploy", &manifest, "--name=hello"]);
    assert!(refused.status.code() == Some(4) && text(&refused.stderr).contains("env COLOR, new (wider)"));
    let other = host.json(&["handler", "deploy", &guest("spin").display().to_string(), "--name=hello"]);
    let told: Vec<_> =
        other["changes"].as_array().expect("a list").iter().filter(|change| change["what"] == "handler").collect();
    assert_eq!(told.len(), 2, "{other:#}");
    assert_eq!((&told[0]["is"], &told[1]["was"]), (&"spin".into(), &"hello".into()));
}

#[test]
fn deploy_flags_that_cannot_be_together() {
    let output = sunaba(["handler", "deploy", "x.wasm", "--dry-run", "--allow-widening"]);
    assert_eq!(output.status.code(), Some(2));
    let host = Host::start(&[]);
    let (status, problem) =
        host.raw("PUT /v1/packages/x?allow_widening=perhaps", "Content-Type: application/wasm\r\n", "");
    assert_eq!(status, "400", "{problem}");
    let (status, problem) = host.raw("POST /v1/packages/x/preview", "Content-Type: application/wasm\r\n", "text");
    assert_eq!(status, "422", "{problem}");
}
