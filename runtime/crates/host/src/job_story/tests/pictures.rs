//! Pictures: exact texts of a small job, and what must hold of pictures of any size.

use std::time::Duration;

use sunaba_task::job::JobState;
use sunaba_task::{StateName, Timestamp};

use super::stories::trip;
use super::*;
use crate::job_story::{Fold, GraphBounds, GraphEdge, GraphNode, JobGraph};

const START: u64 = 1_767_225_600_000;

/// A graph by hand, in the order of its nodes.
struct Hand(JobGraph);

impl Hand {
    fn new(name: &str, state: JobState, took_ms: u64) -> Self {
        let at = |ms| Timestamp::from_unix_ms(START + ms);
        Self(JobGraph {
            id: "0190".into(),
            name: name.into(),
            state,
            submitted_at: at(0),
            ended_at: state.is_terminal().then(|| at(took_ms)),
            now: at(took_ms),
            tasks: 0,
            not_shown: 0,
            fuel: 0,
            nodes: Vec::new(),
            edges: Vec::new(),
            edges_not_shown: 0,
            path: Vec::new(),
        })
    }

    /// A node that ran from one millisecond to another.
    fn add(&mut self, name: &str, state: StateName, ran: (u64, u64), parent: Option<usize>, after: &[usize]) -> usize {
        let at = |ms| Timestamp::from_unix_ms(START + ms);
        let has_run = ran.1 > ran.0;
        let index = self.0.nodes.len();
        self.0.nodes.push(GraphNode {
            name: name.into(),
            task: Some(format!("task-{index}")),
            handler: format!("work/{}", name.rsplit('/').next().unwrap_or_default()),
            state,
            parent,
            undoes: false,
            attempts: u64::from(has_run),
            fuel: (ran.1 - ran.0) * 12_345,
            waited: Duration::ZERO,
            ran: Duration::from_millis(ran.1 - ran.0),
            between_attempts: Duration::ZERO,
            for_somebody: Duration::ZERO,
            pauses: Vec::new(),
            submitted_at: at(ran.0),
            started_at: has_run.then(|| at(ran.0)),
            ran_until: (has_run && state.is_terminal()).then(|| at(ran.1)),
            ended_at: state.is_terminal().then(|| at(ran.1)),
            cause: None,
            critical: false,
            fold: None,
        });
        self.0.edges.extend(after.iter().map(|from| GraphEdge { from: *from, to: index, rule: None, critical: false }));
        (self.0.tasks, self.0.fuel) = (self.0.tasks + 1, self.0.fuel + (ran.1 - ran.0) * 12_345);
        index
    }

    fn done(mut self) -> JobGraph {
        self.0.in_order();
        self.0.mark_path();
        self.0
    }
}

/// A job that decomposed: a plan under a task, and another under one of that.
fn nested() -> JobGraph {
    use StateName::{Blocked, Running, Succeeded};
    let mut hand = Hand::new("crate-audit", JobState::Running, 9_000);
    let list = hand.add("list", Succeeded, (0, 400), None, &[]);
    let audit = hand.add("audit", Blocked, (450, 700), None, &[list]);
    let report = hand.add("report", Blocked, (0, 0), None, &[audit]);
    hand.add("publish", Blocked, (0, 0), None, &[report]);
    let parts: Vec<_> = (1..=6)
        .map(|number| {
            hand.add(
                &format!("crate/{number}"),
                if number < 6 { Succeeded } else { Blocked },
                (800, if number < 6 { 800 + 1_100 * number } else { 880 }),
                Some(audit),
                &[],
            )
        })
        .collect();
    let join = hand.add("join", Blocked, (0, 0), Some(audit), &parts);
    hand.add("sign", Blocked, (0, 0), Some(audit), &[join]);
    let inner = hand.add("download", Succeeded, (900, 2_500), Some(parts[5]), &[]);
    hand.add("build", Running, (2_600, 9_000), Some(parts[5]), &[inner]);
    hand.done()
}

/// So many nodes in some stages.
fn stages(count: usize) -> JobGraph {
    let mut hand = Hand::new("nightly", JobState::Failed, 60_000);
    let width = (count as f64).sqrt().ceil() as usize;
    for index in 0..count {
        let stage = index / width;
        let start = stage as u64 * 3_000 + (index as u64 * 7_919 % 900);
        let state = match index % 37 {
            36 => StateName::Dead,
            17 => StateName::Cancelled,
            _ => StateName::Succeeded,
        };
        let before = if stage == 0 { 0..0 } else { (stage - 1) * width..stage * width };
        let after: Vec<_> = before.filter(|from| (from * 31 + index * 17) % (width + 3) < 2).collect();
        let ran = if state == StateName::Cancelled {
            (start, start)
        } else {
            (start, start + 600 + index as u64 * 131 % 1_900)
        };
        hand.add(&format!("stage-{stage}.{index:03}"), state, ran, None, &after);
    }
    hand.done()
}

/// Every kind of graph that there is.
fn samples(trip: JobGraph) -> Vec<(&'static str, JobGraph)> {
    let mut three = Hand::new("three", JobState::Succeeded, 900);
    let a = three.add("fetch", StateName::Succeeded, (10, 300), None, &[]);
    let b = three.add("count", StateName::Succeeded, (310, 800), None, &[a]);
    three.add("report", StateName::Succeeded, (810, 900), None, &[b]);
    let mut folded = Hand::new("audit", JobState::Succeeded, 50_000);
    let first = folded.add("list", StateName::Succeeded, (0, 900), None, &[]);
    let group = folded.add("crate/*", StateName::Dead, (1_000, 48_000), None, &[first]);
    folded.add("report", StateName::Succeeded, (48_100, 50_000), None, &[group]);
    let member = GraphNode {
        name: "crate/serde".into(),
        cause: Some("attempt 4: error: it does not compile".into()),
        ..folded.0.nodes[group].clone()
    };
    let by_state = [(StateName::Succeeded, 99_990), (StateName::Dead, 10)].into();
    folded.0.nodes[group].fold =
        Some(Fold { members: 100_000, by_state, failed: vec![member], last: None, is_rest: false });
    vec![
        ("three", three.done()),
        ("trip", trip),
        ("thirty", stages(30)),
        ("three-hundred", stages(300)),
        ("nested", nested()),
        ("folded", folded.done()),
    ]
}

async fn all() -> Vec<(&'static str, JobGraph)> {
    let house = House::new().await;
    let id = trip(&house).await;
    samples(house.read(id, GraphBounds::default()).await.graph)
}

#[test]
fn tree_of_a_job_that_was_undone() {
    sunaba_store::conformance::run(async {
        let graphs = all().await;
        let trip = &graphs.iter().find(|(name, _)| *name == "trip").expect("it is there").1;
        assert_eq!(trip.text(), TREE);
        assert_eq!(trip.dot(), DOT);
    });
}

#[test]
fn tree_of_plans_under_plans_and_of_a_fold() {
    sunaba_store::conformance::run(async {
        let graphs = all().await;
        let text = |wanted: &str| graphs.iter().find(|(name, _)| *name == wanted).expect("it is there").1.text();
        assert_eq!(text("nested"), NESTED);
        assert_eq!(text("folded"), FOLDED);
    });
}

#[test]
fn names_of_a_deep_tree_are_all_there() {
    let mut hand = Hand::new("deep", JobState::Succeeded, 100);
    let mut parent = None;
    for level in 0..20 {
        parent = Some(hand.add(&format!("level-{level:02}"), StateName::Succeeded, (level, 100), parent, &[]));
    }
    let text = hand.done().text();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for level in 0..20 {
        let name = format!(" level-{level:02} ");
        assert!(text.lines().any(|line| line.contains(&name) && line.contains('\u{2713}')), "{name}: {text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("under level-00 > level-01 > ")).count(), 2, "{text}");
    assert_eq!(text.matches("1 under it, further down").count(), 2, "{text}");
}

#[test]
fn pictures_of_every_size_are_whole() {
    sunaba_store::conformance::run(async {
        for (name, graph) in all().await {
            let text = graph.text();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{name}: {text}");
            let (svg, dot) = (graph.svg(), graph.dot());
            check_markup(name, &svg);
            assert_eq!(dot.matches('{').count(), dot.matches('}').count(), "{name}");
            for node in &graph.nodes {
                assert!(svg.contains(&node.name) && dot.contains(&node.name), "{name}: {}", node.name);
            }
            let read: JobGraph =
                serde_json::from_str(&serde_json::to_string(&graph).expect("JSON")).expect("it reads back");
            assert_eq!(read, graph, "{name}");
            assert_eq!(graph.svg(), svg, "the same graph gives the same picture");
        }
    });
}

/// Tags are closed in their order, and texts have no tags.
fn check_markup(name: &str, svg: &str) {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("{name}: `{tag}` does not end"));
        assert!(!text.contains('>'), "{name}: {text}");
        let word = tag.split([' ', '/']).next().unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(word) => assert_eq!(open.pop(), Some(word), "{name}"),
            None if tag.ends_with('/') => {}
            None => open.push(word),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{name}: {tag}");
        assert!(word != "script" && !tag.contains("href"), "{name}: {tag}");
        let is_event = |part: &str| part.starts_with("on") && part.contains('=');
        assert!(!tag.split(' ').any(is_event), "{name}: {tag}");
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

#[test]
fn hostile_texts_are_inert_in_every_picture() {
    let hostile = "\"];</text><script>x</script>\x1b[2J\n\u{202e}\\N";
    let mut hand = Hand::new(hostile, JobState::Failed, 10);
    let node = hand.add(hostile, StateName::Dead, (1, 9), None, &[]);
    hand.0.nodes[node].cause = Some(hostile.into());
    hand.0.nodes[node].handler = hostile.into();
    let undo = hand.add("undo", StateName::Succeeded, (9, 10), Some(node), &[]);
    hand.0.nodes[undo].undoes = true;
    hand.0.nodes[undo].handler = hostile.into();
    let graph = hand.done();
    check_markup("hostile", &graph.svg());
    assert!(!graph.svg().contains("<script") && !graph.svg().contains('\x1b'));
    let (text, dot) = (graph.text(), graph.dot());
    for picture in [&text, &dot] {
        assert!(picture.chars().all(|c| c == '\n' || !crate::job_story::plain::is_command(c)), "{picture:?}");
    }
    // A quote that is not escaped would end a text: there are as many as begin and end one.
    let unescaped = dot.replace("\\\\", "").replace("\\\"", "");
    assert!(unescaped.lines().all(|line| line.matches('"').count() % 2 == 0), "{dot}");
    assert!(!unescaped.contains("\\N"), "{dot}");
}

#[test]
fn chain_goes_into_the_plans_of_tasks() {
    let graph = nested();
    let names: Vec<_> = graph.path.iter().map(|index| graph.nodes[*index].name.as_str()).collect();
    assert_eq!(names.first(), Some(&"list"), "{names:?}");
    let place = |name| names.iter().position(|known| *known == name);
    assert!(place("audit") < place("build") && place("build").is_some(), "{names:?}");
    assert_eq!(graph.steps().iter().map(|step| step.waited_ms + step.ran_ms).sum::<u64>(), 9_000);
}

const TREE: &str = "\
trip: failed after 2.1s, 7 tasks, fuel 5.23M
├─ ✓   car          300ms    1.50M
│  └─ ✓ * undo       35ms    10.0k  by work/return-car
├─ ✓ * flight       200ms    2.00M
│  └─ ✓ * undo       65ms    20.0k  by work/cancel-flight
├─ ✗ * hotel        800ms    1.70M  after flight
│        attempt 2: error: no room is left
├─ ⊘   pay              -        -  after flight, car, hotel
│        `hotel`, which it waits for, did not succeed
└─ ⊘   mail             -        -  after pay
         `pay`, which it waits for, did not succeed
✓ succeeded  ✗ dead  ⊘ cancelled  * longest chain
";
const DOT: &str = "\
digraph job {
  rankdir=LR;
  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];
  label=\"trip: failed after 2.1s, 7 tasks, fuel 5.23M\";
  labelloc=t;
  n0 [label=\"car\\nsucceeded\\n300ms, fuel 1.50M\", fillcolor=\"#c8e6c9\"];
  n5 [label=\"undo\\nsucceeded\\n35ms, fuel 10.0k\", fillcolor=\"#c8e6c9\", penwidth=3, style=\"rounded,filled,dashed\"];
  n1 [label=\"flight\\nsucceeded\\n200ms, fuel 2.00M\", fillcolor=\"#c8e6c9\", penwidth=3];
  n6 [label=\"undo\\nsucceeded\\n65ms, fuel 20.0k\", fillcolor=\"#c8e6c9\", penwidth=3, style=\"rounded,filled,dashed\"];
  n2 [label=\"hotel\\ndead\\n800ms, fuel 1.70M\", fillcolor=\"#ffcdd2\", tooltip=\"attempt 2: error: no room is left\", penwidth=3];
  n3 [label=\"pay\\ncancelled\\nnot run\", fillcolor=\"#e0e0e0\", tooltip=\"`hotel`, which it waits for, did not succeed\"];
  n4 [label=\"mail\\ncancelled\\nnot run\", fillcolor=\"#e0e0e0\", tooltip=\"`pay`, which it waits for, did not succeed\"];
  n1 -> n2 [label=\"fail\", penwidth=3];
  n3 -> n4 [];
  n1 -> n3 [];
  n0 -> n3 [];
  n2 -> n3 [];
  n0 -> n5 [style=dashed, label=\"undone by\"];
  n1 -> n6 [style=dashed, label=\"undone by\"];
}
";
const NESTED: &str = "\
crate-audit: running after 9s, 14 tasks, fuel 311M
├─ ✓ * list              400ms    4.93M
├─ · * audit             250ms    3.08M  after list
│  ├─ ✓   crate/1         1.1s    13.5M
│  ├─ ✓   crate/2         2.2s    27.1M
│  ├─ ✓   crate/3         3.3s    40.7M
│  ├─ ✓   crate/4         4.4s    54.3M
│  ├─ ✓   crate/5         5.5s    67.8M
│  ├─ · * crate/6         80ms     987k
│  │  ├─ ✓ * download     1.6s    19.7M
│  │  └─ ● * build        6.4s    79.0M  after download
│  ├─ ·   join               -        -  after crate/1, crate/2, crate/3, crate…
│  └─ ·   sign               -        -  after join
├─ ·   report                -        -  after audit
└─ ·   publish               -        -  after report
· blocked  ● running  ✓ succeeded  * longest chain
";
const FOLDED: &str = "\
audit: succeeded after 50s, 3 tasks, fuel 614M
├─ ✓ * list              900ms    11.1M
├─ ✗ * crate/*             47s     580M  100,000: 99,990 succeeded, 10 dead
│        after list
│  └─ ✗   crate/serde      47s     580M
│           attempt 4: error: it does not compile
└─ ✓ * report             1.9s    23.4M  after crate/*
✓ succeeded  ✗ dead  * longest chain
";
