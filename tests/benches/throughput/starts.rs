//! What it takes until the first result: of a host that is started again, and of the binary.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use sunaba_bench::{Bench, Stopwatch, Unit};
use sunaba_runtime::{Runtime, TaskRequest};

use crate::LONGEST;
use crate::hosts::{Work, folder, guest, threads};

const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn run(bench: &mut Bench) {
    again(bench);
    binary(bench);
}

/// A host with a deployed handler stops and is started again: how long that takes, and how long its first task then.
fn again(bench: &mut Bench) {
    let (first, ready) = ("first task after a restart", "restart with a deployed handler, to ready");
    if !bench.wants(first) && !bench.wants(ready) {
        return;
    }
    let (threads, folder) = (threads(), folder());
    // The folder is free when the last thread of the host before has let it go; that wait is nobody's start.
    let start = async || {
        let waited = Stopwatch::start();
        loop {
            let began = Stopwatch::start();
            match Runtime::builder().data(folder.path().join("data")) {
                Ok(builder) => break (builder.start().await.expect("it starts"), began.elapsed()),
                Err(error) => assert!(waited.elapsed() < LONGEST, "{error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let stop = async |runtime: Runtime| runtime.stop(LONGEST).await.expect("the store works");
    let request = || -> TaskRequest { Work::hello().request() };
    threads.block_on(async {
        let (runtime, _) = start().await;
        runtime.deploy("hello", guest("hello").into()).await.expect("it can be deployed");
        stop(runtime).await;
    });
    let (mut firsts, mut seconds, mut readies) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds() {
        let [ready, first, second] = threads.block_on(async {
            let (runtime, ready) = start().await;
            let run = async || {
                let began = Stopwatch::start();
                let task = runtime.submit(request()).await.expect("it is taken on").into_task();
                runtime.wait(task.id, LONGEST).await.expect("the store works");
                began.elapsed()
            };
            let (first, second) = (run().await, run().await);
            stop(runtime).await;
            [ready, first, second].map(|time| time.as_secs_f64() * 1e3)
        });
        readies.push((round, ready));
        firsts.push((round, first));
        seconds.push((round, second));
    }
    bench.remark(first, "sunaba", "from its submit to its durable result; its code was read at the start");
    bench.note(
        first,
        Unit::Milliseconds,
        None,
        &[("sunaba".into(), firsts), ("sunaba, the task after it".into(), seconds)],
    );
    bench.note(ready, Unit::Milliseconds, None, &[("sunaba".into(), readies)]);
}

/// The binary, from its start until it says that it is ready, on an empty folder.
fn binary(bench: &mut Bench) {
    let case = "start to ready";
    let myself = std::env::current_exe().expect("the system says");
    // This program is in `target/release/deps`.
    let binary = myself.ancestors().nth(2).map(|folder| folder.join("sunaba")).filter(|binary| binary.exists());
    let Some(binary) = binary else {
        return bench.gap(case, "sunaba", "no `sunaba` in target/release: `cargo build --workspace --release --bins`");
    };
    bench
        .case(case, Unit::Milliseconds)
        .way("sunaba", || {
            let folder = folder();
            let mut command = Command::new(&binary);
            command.args(["serve", "--listen", "127.0.0.1:0", "-o", "json", "--data"]).arg(folder.path().join("data"));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let began = Stopwatch::start();
            let mut process = command.spawn().expect("it starts");
            let mut said = String::new();
            let mut output = BufReader::new(process.stdout.take().expect("piped"));
            output.read_line(&mut said).expect("text");
            let ready = began.elapsed().as_secs_f64() * 1e3;
            process.kill().expect("it runs");
            process.wait().expect("it ends");
            assert!(said.contains("\"address\""), "it said `{said}`");
            ready
        })
        .run();
}
