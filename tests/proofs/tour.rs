//! What a tour of a README leaves: a recording that a terminal plays (asciicast, version 2), and a page that needs neither a
//! script nor anything from elsewhere.
//!
//! Source: <https://docs.asciinema.org/manual/asciicast/v2/>.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

/// The size of the terminal.
const COLUMNS: u16 = 110;
const ROWS: u16 = 34;
/// A key, as if somebody typed.
const KEY: Duration = Duration::from_millis(12);
/// Longer commands are typed as quickly as one of so many keys.
const MAX_KEYS: u32 = 120;
/// To read what was said, before the next command.
const READING: Duration = Duration::from_millis(900);

/// A command and what came of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The heading under which it stands.
    pub heading: String,
    /// Whether it is typed in another terminal.
    pub background: bool,
    /// As it was typed.
    pub command: String,
    /// What was said, each with the time since the command began.
    pub said: Vec<(Duration, String)>,
    /// How long it took.
    pub took: Duration,
}

impl Step {
    fn output(&self) -> String {
        self.said.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// The recording.
pub fn cast(title: &str, unix_seconds: u64, steps: &[Step]) -> String {
    let header =
        json!({"version": 2, "width": COLUMNS, "height": ROWS, "timestamp": unix_seconds, "title": title, "env": {}});
    let mut cast = format!("{header}\n");
    let mut now = Duration::ZERO;
    let mut say = |at: Duration, text: &str| {
        let _ = writeln!(cast, "{}", json!([(at.as_secs_f64() * 1e6).round() / 1e6, "o", text.replace('\n', "\r\n")]));
    };
    let mut heading = "";
    for step in steps {
        if step.heading != heading {
            heading = &step.heading;
            say(now, &format!("\u{1b}[1m# {heading}\u{1b}[0m\n"));
            now += READING;
        }
        say(now, if step.background { "(in another terminal) $ " } else { "$ " });
        let keys = u32::try_from(step.command.chars().count()).unwrap_or(u32::MAX).max(1);
        let key = KEY * keys.min(MAX_KEYS) / keys;
        for c in step.command.chars() {
            now += key;
            say(now, c.encode_utf8(&mut [0; 4]));
        }
        say(now, "\n");
        for (at, text) in &step.said {
            say(now + *at, text);
        }
        now += step.took + READING;
    }
    cast
}

/// The page.
pub fn page(title: &str, steps: &[Step]) -> String {
    let mut body = String::new();
    let mut heading = "";
    for step in steps {
        if step.heading != heading {
            heading = &step.heading;
            let _ = writeln!(body, "<h2>{}</h2>", escaped(heading));
        }
        let place = if step.background { "<span class=place>in another terminal</span>" } else { "" };
        let (command, took) = (escaped(&step.command), shown(step.took));
        let _ = writeln!(body, "<section>{place}<pre class=command><b>$ </b>{command}</pre><time>{took}</time>");
        let output = step.output();
        if !output.is_empty() {
            let _ = writeln!(body, "<pre>{}</pre>", escaped(output.trim_end()));
        }
        body.push_str("</section>\n");
    }
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<body><h1>{title}</h1>\n\
         <p>Each command was run as it stands here, and this is what it said. The times are those of the machine that recorded it.\n\
         {body}</body></html>\n"
    )
}

const STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
section { position: relative; margin: 0 0 1rem; border: 1px solid #8884; border-radius: .4rem; overflow: hidden }
pre { margin: 0; padding: .6rem .8rem; overflow-x: auto; font: .82rem/1.45 ui-monospace, monospace }
pre.command { background: #8882; padding-right: 5rem; font-weight: 600; white-space: pre-wrap }
pre.command b { color: #2a7 }
time { position: absolute; top: .65rem; right: .8rem; font: .75rem ui-monospace, monospace; opacity: .7 }
.place { display: block; padding: .3rem .8rem 0; font-size: .75rem; opacity: .7 }
";

fn shown(took: Duration) -> String {
    match took.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// A text that means nothing to a browser.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
