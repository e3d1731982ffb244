//! The layers, the errors with their places, and the file that `init` writes.

use sunaba_store::Queues;
use sunaba_task::{HandlerChange, Limit, QueueChange};
use sunaba_worker::Slots;

use super::*;

fn layers(text: &str) -> Layers {
    Layers { file: Some(("etc/sunaba.toml".into(), text.into())), ..Layers::default() }
}

fn read(text: &str) -> Config {
    Config::read(&layers(text)).unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(text: &str) -> Vec<String> {
    match Config::read(&layers(text)) {
        Err(ConfigError::Wrong(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("it should be wrong: {other:?}"),
    }
}

/// The template with its examples in force.
fn examples() -> String {
    let line = |line: &str| {
        let example = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        format!("{}\n", example.unwrap_or(line))
    };
    // Groups and one number for all do not go together.
    TEMPLATE.lines().map(line).filter(|line| !line.starts_with("concurrency = \"auto\"")).collect()
}

#[test]
fn a_flag_counts_more_than_a_variable_and_that_more_than_the_file() {
    let mut layers = layers("[host]\nconcurrency = 2\ngrace = \"5s\"\n[limits]\nmemory = \"1MiB\"\ntimeout = \"9s\"\n");
    let show = |layers: &Layers| {
        let config = Config::read(layers).unwrap_or_else(|error| panic!("{error}"));
        (config.host.concurrency, config.origin("host.concurrency").to_string())
    };
    assert_eq!(show(&Layers::default()), (None, "default".into()));
    assert_eq!(show(&layers), (Some(2), "etc/sunaba.toml:2".into()));
    layers.env.insert("SUNABA_CONCURRENCY".into(), "3".into());
    assert_eq!(show(&layers), (Some(3), "SUNABA_CONCURRENCY".into()));
    layers.flag("host.concurrency", ["4".to_owned()]);
    assert_eq!(show(&layers), (Some(4), "--concurrency".into()));

    // Limit by limit: the others stay as they are.
    layers.env.insert("SUNABA_MAX".into(), "memory=2MiB,open-files=7".into());
    let limits = Config::read(&layers).expect("valid").limits;
    assert_eq!((limits.get(Limit::Memory), limits.get(Limit::OpenFiles)), (Some(2 << 20), Some(7)));
    assert_eq!(limits.get(Limit::Timeout), Some(9_000));
}

#[test]
fn lists_are_taken_from_one_layer_whole() {
    let mut layers = layers("[grants]\nhttp = [\"https://a.example\", \"https://b.example\"]\n");
    let http = |layers: &Layers| {
        Config::read(layers).expect("valid").grants.http.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(http(&layers).len(), 2);
    layers.env.insert("SUNABA_ALLOW_HTTP".into(), "https://c.example, https://d.example".into());
    assert_eq!(http(&layers), ["https://c.example", "https://d.example"]);
    layers.env.insert("SUNABA_ALLOW_HTTP".into(), String::new());
    assert_eq!(http(&layers).len(), 2, "a variable without a value says nothing");
}

#[test]
fn paths_of_the_file_are_meant_from_its_folder() {
    let mut layers = layers(
        "[host]\ndata = \"queue\"\n[grants]\ndirs = [\"in:ro\", \"/abs\"]\n[packages.words]\ncomponent = \"words.wasm\"\n\
         [workers.a]\nslots = 1\ndirs = [\"models::/models\"]\n",
    );
    let config = Config::read(&layers).expect("valid");
    assert_eq!(config.host.data, Path::new("etc/queue"));
    assert_eq!(config.grants.dirs, ["etc/in:ro", "/abs"]);
    assert_eq!(config.packages["words"].component, Path::new("etc/words.wasm"));
    assert_eq!(config.workers[0].dirs[0].host, Path::new("etc/models"));
    layers.flag("host.data", ["here".to_owned()]);
    assert_eq!(Config::read(&layers).expect("valid").host.data, Path::new("here"));
}

#[test]
fn unknown_keys_are_told_with_their_place_and_the_nearest_that_there_is() {
    let told = wrong("[host]\nconcurency = 4\n");
    assert_eq!(told.len(), 1);
    let expected =
        "etc/sunaba.toml:2:1: unknown key `concurency` in `[host]`\nhint: did you mean `concurrency`? there is ";
    assert!(told[0].starts_with(expected), "{}", told[0]);
    for (text, place, near) in [
        ("[hosts]\n", "1:2: unknown key `hosts`", "`host`"),
        ("[queues.mail]\nrates = \"1/1s\"\n", "2:1: unknown key `rates`", "`rate`"),
        ("[queues.mail]\n\n  maxdepth = 1\n", "3:3: unknown key `maxdepth`", "`max-depth`"),
        ("[handlers.\"a/b\"]\nbraker = \"none\"\n", "2:1: unknown key `braker`", "`breaker`"),
        (
            "[packages.words]\ncomponent = \"a\"\nallow_widening = true\n",
            "3:1: unknown key `allow_widening`",
            "`allow-widening`",
        ),
        ("[limits]\ntimeouts = \"1s\"\n", "2:1: there is no limit `timeouts`", "`timeout`"),
        ("[workers.a]\nslots = 1\nqueue = []\n", "3:1: unknown key `queue`", "`queues`"),
    ] {
        let told = wrong(text).join("\n");
        assert!(told.contains(place) && told.contains(&format!("did you mean {near}?")), "{text}: {told}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_its_order() {
    let told = wrong(
        "[host]\nlisten = \"nowhere\"\nconcurrency = true\n[queues.mail]\nconcurrency = 0\nrate = \"fast\"\n\
         [queues.\"A b\"]\n[retention]\ndead = \"1ms\"\n",
    );
    let places: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(
        places,
        [
            "etc/sunaba.toml:2:10",
            "etc/sunaba.toml:3:15",
            "etc/sunaba.toml:5:15",
            "etc/sunaba.toml:6:8",
            "etc/sunaba.toml:7:9",
            "etc/sunaba.toml:9:8"
        ],
        "{told:#?}"
    );
    assert!(told.iter().all(|line| line.contains("\nhint: ")), "{told:#?}");
    let first = ConfigError::Wrong(vec![
        Problem { origin: Origin::Default, message: "a\nhint: b".into() },
        Problem { origin: Origin::Default, message: "c".into() },
    ]);
    assert_eq!(first.to_string(), "a (and 1 more: `sunaba config validate` shows them)\nhint: b");
}

#[test]
fn what_is_wrong_on_another_layer_is_told_by_its_name() {
    let mut layers = Layers::default();
    layers.env.insert("SUNABA_GRACE".into(), "soon".into());
    layers.flag("host.listen", ["x".to_owned()]);
    let Err(ConfigError::Wrong(problems)) = Config::read(&layers) else { panic!("it is wrong") };
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|line| line.starts_with("`SUNABA_GRACE`: `soon` is not a duration\nhint: ")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("`--listen`: `x` is not an address")), "{told:?}");
}

#[test]
fn a_secret_is_repeated_by_no_error_and_shown_by_no_row() {
    for text in [
        "[grants]\nsecrets = [\"TOKEN=hunter2hunter2\"]\n",
        "[grants]\nsecrets = [\"hunter2hunter2\"]\n",
        "[grants]\nsecrets = \"hunter2hunter2\"\n",
        "[grants]\nsecrets = [\"A=env:B@https://a.example\", \"A=env:hunter2hunter2@https://a.example\"]\n",
        "[grants]\nsecrets = [\"hunter2hunter2\"\n",
        "[workers.a]\nslots = 1\nenv = { \"A=B\" = \"hunter2hunter2\" }\n",
    ] {
        let told = wrong(text).join("\n");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let config = read(
        "[grants]\nsecrets = [\"TOKEN=env:HUNTER@https://a.example\"]\n[workers.a]\nslots = 1\nenv = { TOKEN = \"hunter2\" }\n",
    );
    assert_eq!(config.workers[0].env[0].value, "hunter2");
    assert!(config.rows().iter().all(|row| !row.value.to_lowercase().contains("hunter")), "{:?}", config.rows());
}

#[test]
fn what_the_file_declares_is_read() {
    let config = read(&examples());
    assert_eq!(config.declared.queues["mail"].len(), 9);
    assert!(config.declared.queues["mail"].contains(&QueueChange::Concurrency(Some(4))));
    let (name, changes) = &config.declared.handlers["words/word-count"];
    assert_eq!((name.to_string().as_str(), changes.len()), ("words/word-count", 3));
    assert!(changes.contains(&HandlerChange::Paused(false)));
    assert_eq!(config.declared.retention.dead, Some(None));
    assert!(!config.packages["words"].options.allow_widening);
    let [fast, slow] = &config.workers[..] else { panic!("{:?}", config.workers) };
    assert_eq!(fast.queues, Queues::Only(vec!["mail".into(), "default".into()]));
    assert_eq!((fast.slots, fast.most_slots()), (Slots::fixed(4), 8));
    assert_eq!((fast.limits.get(Limit::Timeout), fast.limits.get(Limit::Memory)), (Some(30_000), Some(64 << 20)));
    assert_eq!((slow.slots.min, slow.slots.max, &slow.queues), (1, 4, &Queues::All));
}

#[test]
fn the_file_that_init_writes_is_valid_and_changes_nothing() {
    let template = read(TEMPLATE);
    let nothing = Config::read(&Layers::default()).expect("valid");
    assert_eq!(Config { file: None, rows: Vec::new(), ..template }, Config { rows: Vec::new(), ..nothing });
    // Every setting stands in it, with its default, its flag and its variable.
    for setting in SETTINGS {
        let key = setting.key.rsplit('.').next().unwrap_or_default();
        assert!(TEMPLATE.contains(&format!("\n#{key} = ")), "{}", setting.key);
        assert!(TEMPLATE.contains(&format!("{}  {}\n", setting.env, setting.flag)), "{}", setting.key);
    }
}

#[test]
fn who_is_answered_is_said_once_on_all_layers() {
    assert_eq!(read("").host.admits(), None);
    assert_eq!(read("[host]\nrequire-keys = true\n").host.admits(), Some(Admission::Keys));
    let mut layers = layers("[host]\nrequire-keys = true\n");
    layers.env.insert("SUNABA_INSECURE_NO_KEYS".into(), "true".into());
    let Err(ConfigError::Wrong(problems)) = Config::read(&layers) else { panic!("it is wrong") };
    let expected = "`SUNABA_INSECURE_NO_KEYS`: `host.insecure-no-keys` does not go with `host.require-keys`, which \
                    etc/sunaba.toml:2 says\nhint: ";
    assert!(problems[0].to_string().starts_with(expected), "{problems:?}");
    // A flag takes back what the file says.
    layers.flag("host.require-keys", ["false".to_owned()]);
    assert_eq!(Config::read(&layers).expect("valid").host.admits(), Some(Admission::Anybody));
}

#[test]
fn names_of_a_host_and_alerts_are_checked() {
    let config =
        read("[host]\nallow-host = [\"queue.example.org\"]\nalerts = [\"min-workers=2\", \"queue-wait=5m\"]\n");
    assert_eq!((config.host.allow_host.len(), config.host.alerts.len()), (1, 2));
    let told = wrong("[host]\nallow-host = [\"https://a.example\"]\nalerts = [\"speed=1\"]\n");
    assert!(told[0].starts_with("etc/sunaba.toml:2:14: `https://a.example` is no name of a host\nhint: "), "{told:?}");
    assert!(told[1].starts_with("etc/sunaba.toml:3:10: `speed=1` sets no alert rule\nhint: "), "{told:?}");
}

#[test]
fn place_for_spans_is_a_collector_over_http() {
    assert_eq!(read("").otlp_endpoint, None);
    let mut layers = layers("[telemetry]\nendpoint = \"http://10.0.0.1:4318\"\n");
    let said = |layers: &Layers| {
        let config = Config::read(layers).expect("valid");
        (config.otlp_endpoint.clone().unwrap_or_default(), config.origin("telemetry.endpoint"))
    };
    assert_eq!(said(&layers).0, "http://10.0.0.1:4318");
    // What others go by counts more than the file, and our own name more than that.
    for (name, place) in [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"), ("SUNABA_OTLP_ENDPOINT", "http://b:1/x")] {
        layers.env.insert(name.into(), place.into());
        assert_eq!(said(&layers), (place.to_owned(), Origin::Env(name.into())));
    }
    layers.flag("telemetry.endpoint", ["none".to_owned()]);
    assert_eq!(said(&layers), (String::new(), Origin::Flag("--otlp-endpoint".into())));
    for wrong_place in ["https://a.example", "a.example:4318", "http://", "http://user:pass@a.example"] {
        let told = wrong(&format!("[telemetry]\nendpoint = \"{wrong_place}\"\n")).join("\n");
        assert!(told.contains("this is no place to send spans to\nhint: ") && !told.contains("pass@"), "{told}");
    }
}

#[test]
fn worker_groups_and_a_number_of_slots_for_all_do_not_go_together() {
    let told = wrong("[host]\nconcurrency = 4\n[workers.a]\nslots = 1\n").join("\n");
    assert!(told.contains("the worker groups have slots of their own, and etc/sunaba.toml:2 says `4`"), "{told}");
    let mut layers = layers("[workers.a]\nslots = 1\n");
    layers.flag("host.concurrency", ["2".to_owned()]);
    assert!(Config::read(&layers).is_err_and(|error| error.to_string().contains("--concurrency says `2`")));
}

#[test]
fn slots_of_a_process_obeyed() {
    let config = read("[workers.a]\nslots = 256\n[workers.b]\nslots = \"1..256\"\n");
    assert_eq!(config.workers.iter().map(WorkerGroup::most_slots).sum::<usize>(), MAX_SLOTS);
}

#[test]
fn slots_of_a_process_violated() {
    let told = wrong("[workers.a]\nslots = 256\n[workers.b]\nslots = \"1..257\"\n").join("\n");
    assert!(told.contains("2 worker groups have 513 slots together\nhint: "), "{told}");
}

#[test]
fn bad_worker_groups_are_told() {
    for (text, message) in [
        ("[workers.a]\n", "`[workers.a]` has no slots\nhint: "),
        ("[workers.\"A\"]\nslots = 1\n", "`A` cannot name a worker group\nhint: "),
        ("[workers.a]\nslots = 0\n", "`0` is no number of slots\nhint: "),
        ("[workers.a]\nslots = \"4..2\"\n", "`4..2` is no number of slots\nhint: "),
        ("[workers.a]\nslots = 4\nmax-slots = 2\n", "`max-slots` is 2, and `slots` is 4\nhint: "),
        ("[workers.a]\nslots = 1\nqueues = []\n", "a group without queues runs nothing\nhint: "),
        ("[workers.a]\nslots = 1\nqueues = [\"A b\"]\n", "`A b` cannot name a queue\nhint: "),
        ("[workers.a]\nslots = 1\ntimeout = \"soon\"\n", "the limit `timeout` cannot be `soon`\nhint: "),
        ("[workers.a]\nslots = 1\ndirs = [\"nowhere\"]\n", "`nowhere` is not a directory grant\nhint: "),
        ("workers = 4\n", "`workers` is a number\nhint: write a section"),
    ] {
        let told = wrong(text).join("\n");
        assert!(told.contains(message), "{text}: {told}");
    }
    let config = read("[workers.a]\nslots = 1\nqueues = [\"mail\"]\n");
    assert!(config.warnings.iter().any(|warning| warning.contains("tasks of queues that no group names wait")));
}

#[test]
fn variables_that_mean_nothing_are_worth_a_look() {
    let mut layers = Layers::default();
    layers.env.insert("SUNABA_CONCURENCY".into(), "4".into());
    layers.env.insert("SUNABA_CONFIG".into(), "x".into());
    let warnings = Config::read(&layers).expect("valid").warnings;
    assert_eq!(warnings, ["the variable `SUNABA_CONCURENCY` means nothing; did you mean `SUNABA_CONCURRENCY`?"]);
}

#[test]
fn example_of_the_readme_is_valid() {
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let (_, example) = readme.split_once("```toml\n[host]\n").expect("it has an example");
    let (example, _) = example.split_once("```").expect("it ends");
    let config = read(&format!("[host]\n{example}"));
    assert_eq!((config.workers.len(), config.packages.len(), config.declared.queues.len()), (2, 1, 1));
}
