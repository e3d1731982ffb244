//! The example `image-batch` as a job: pictures that travel from task to task as artifacts, and who may read them.

use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::Runtime;
use sunaba_runtime::store::{PlanQuery, Store};
use sunaba_runtime::task::job::{After, Job, JobState, NewJob, Node};
use sunaba_runtime::task::{Digest, NewTask, Payload, StateName, Task, TaskSpec};

use crate::support::{Host, block_on, guest};

const WAIT: Duration = Duration::from_secs(60);

struct House {
    runtime: Runtime,
    component: Digest,
    package: &'static str,
}

impl House {
    async fn with(package: &'static str) -> Self {
        let bytes = std::fs::read(guest(package)).expect("it is there");
        let component = Digest::of(&bytes);
        let runtime = Runtime::builder().start().await.expect("it starts");
        runtime.deploy(package, bytes.into()).await.expect("it deploys");
        Self { runtime, component, package }
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.runtime.store()
    }

    fn node(&self, name: &str, handler: &str, input: &str, after: &[&str]) -> Node {
        let handler = format!("{}/{handler}", self.package).parse().expect("a name");
        let spec = TaskSpec { max_attempts: 1, ..TaskSpec::new(handler, self.component) };
        let after = after.iter().map(|text| After::new(text.parse().expect("it can be awaited"))).collect();
        let task = NewTask::new(spec, Payload::json(input.to_owned()));
        Node { after, ..Node::new(name.parse().expect("a name"), task) }
    }

    async fn run(&self, nodes: Vec<Node>) -> (Job, Vec<Task>) {
        let job = NewJob { nodes, ..NewJob::default() };
        let id = self.store().submit_job(job).await.expect("the store works").expect("it is taken on").into_job().id;
        let job = self.store().wait_job(id, WAIT).await.expect("the store works").expect("it is there");
        let tasks = self.store().plan(PlanQuery::of(id, 100)).await.expect("the store works").tasks;
        (job, tasks)
    }

    async fn read(&self, task: &Task, name: &str) -> Vec<u8> {
        let name = name.parse().expect("a name");
        let artifact = self.store().artifact(task.id, name).await.expect("the store works").expect("it is there");
        let mut reader = self.store().blobs().open(artifact.digest().expect("a file"), 0).await.expect("it is there");
        let mut bytes = Vec::new();
        loop {
            match reader.read(usize::MAX).await.expect("it can be read") {
                piece if piece.is_empty() => return bytes,
                piece => bytes.extend_from_slice(&piece),
            }
        }
    }
}

fn named<'t>(tasks: &'t [Task], name: &str) -> &'t Task {
    tasks.iter().find(|task| task.job.as_ref().is_some_and(|link| link.name.as_str() == name)).expect("it is there")
}

/// The width and the height of a PNG.
fn sides(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (side(16), side(20))
}

#[test]
fn pictures_are_drawn_apart_and_come_together_on_a_sheet() {
    block_on(async {
        let house = House::with("image-batch").await;
        let render = |number: u32| {
            let input = format!(r#"{{"hue":{},"side":64}}"#, number * 70);
            house.node(&format!("render/{number}"), "render", &input, &[])
        };
        let mut nodes: Vec<_> = (1..=5).map(render).collect();
        let pictures = (1..=5).map(|number| format!("\"render/{number}\"")).collect::<Vec<_>>().join(",");
        let input = format!(r#"{{"pictures":[{pictures}],"columns":3}}"#);
        nodes.push(house.node("sheet", "sheet", &input, &["render/*"]));
        let (job, tasks) = house.run(nodes).await;
        assert_eq!(job.state, JobState::Succeeded, "{tasks:#?}");
        assert_eq!(sides(&house.read(named(&tasks, "render/1"), "picture.png").await), (64, 64));
        let sheet = house.read(named(&tasks, "sheet"), "sheet.png").await;
        assert_eq!(sides(&sheet), (3 * 104 + 8, 2 * 104 + 8));
        house.runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn one_submit_draws_a_batch_and_its_sheet() {
    let host = Host::start(&["--concurrency", "4"]);
    host.deploy("image-batch");
    let scenes: Vec<_> = (0..7).map(|number| serde_json::json!({"hue": number * 50, "side": 32})).collect();
    let input = serde_json::json!({"scenes": scenes, "columns": 3}).to_string();
    let drawn = host.ok(&["task", "submit", "image-batch/batch", "--input", &input, "--wait", "--quiet"]);
    let side = 3 * 104 + 8;
    assert!(drawn.starts_with(&format!("{{\"side\":{side},")), "{drawn}");
    assert_eq!(host.lines(&["task", "list", "--handler", "image-batch/render"]).len(), 7);
    let sheets = host.lines(&["task", "list", "--handler", "image-batch/sheet"]);
    let id = sheets[0]["id"].as_str().expect("an id");
    let file = host.data.path().join("sheet.png");
    host.ok(&["task", "artifacts", id, "sheet.png", "--output", &file.display().to_string()]);
    assert_eq!(sides(&std::fs::read(&file).expect("it is saved")), (side, side));
}

#[test]
fn batch_with_a_picture_that_cannot_be_drawn_has_no_sheet() {
    let host = Host::start(&[]);
    host.deploy("image-batch");
    let input = r#"{"scenes":[{"hue":1,"side":8},{"hue":2,"side":100000}],"columns":2}"#;
    let ended = host.sunaba(["task", "submit", "image-batch/batch", "--input", input, "--wait", "--quiet"]);
    assert_eq!(ended.status.code(), Some(7), "{}", crate::support::text(&ended.stderr));
    let sheets = host.lines(&["task", "list", "--handler", "image-batch/sheet"]);
    assert!(sheets.iter().all(|sheet| sheet["state"] == "cancelled"), "{sheets:#?}");
}

#[test]
fn task_reads_the_artifacts_of_its_own_plan_and_of_no_other() {
    block_on(async {
        let house = House::with("abuse-artifacts").await;
        let abuse = |name: &str, input: &str, after: &[&str]| house.node(name, "abuse-artifacts", input, after);
        let secret = || abuse("one", r#"{"what":"put","name":"secret.txt","bytes":3}"#, &[]);
        let read = r#"{"what":"read-of","name":"one"}"#;
        let (_, tasks) = house.run(vec![secret(), abuse("two", read, &["one"])]).await;
        let two = named(&tasks, "two");
        assert_eq!(two.state.name(), StateName::Succeeded, "{two:#?}");
        let output = house.runtime.output(two.id).await.expect("the store works");
        assert_eq!(output, Some(Payload::json(r#""***""#)));
        // The same name, in a plan that has no such task.
        let (_, tasks) = house.run(vec![abuse("two", read, &[])]).await;
        assert_eq!(named(&tasks, "two").state.name(), StateName::Dead);
        house.runtime.stop(WAIT).await.expect("the store is there");
    });
}

#[test]
fn native_handler_puts_reads_and_links_artifacts() {
    block_on(async {
        let runtime = Runtime::builder()
            .native("native/report", |native| async move {
                let mut file = native.create_artifact("report.txt", "text/plain").await?;
                file.write("all is ".into()).await?;
                file.write("well".into()).await?;
                let artifact = file.finish().await?;
                native.link_artifact("home", "https://example.org").await?;
                let mut read = native.open_artifact(None, "report.txt").await?;
                let text = read.read(100).await?;
                assert_eq!((&text[..], artifact.size_bytes()), (b"all is well".as_slice(), Some(11)));
                let refused = native.create_artifact("../x", "text/plain").await.err().expect("it is no name");
                assert_eq!(refused.kind.word(), "invalid");
                let count = native.artifacts(None).await?.len();
                Ok(sunaba_runtime::task::Outcome::Complete(Payload::json(count.to_string())))
            })
            .start()
            .await
            .expect("it starts");
        let request = sunaba_runtime::TaskRequest::new("native/report".parse().expect("a name"));
        let task = runtime.submit(request).await.expect("it is taken on").into_task();
        let task = runtime.wait(task.id, WAIT).await.expect("the store works").expect("it is there");
        assert_eq!(task.state.name(), StateName::Succeeded, "{task:#?}");
        assert_eq!(runtime.output(task.id).await.expect("the store works"), Some(Payload::json("2")));
        runtime.stop(WAIT).await.expect("the store is there");
    });
}
