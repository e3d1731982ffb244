//! Which of an attempt's output streams are kept whole, as artifacts of its task, and what these are called.
//!
//! A captured stream is called `attempt-N.stdout` or `attempt-N.stderr`. Names of this form are the host's: no handler may
//! put an artifact under one, so that what is read there is what was said, and a retry replaces nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ArtifactName, LogSource};

/// The media type of what was captured.
pub const CAPTURED: &str = "text/plain";

/// The output streams of an attempt that are kept whole. Written `stdout`, `stderr`, `stdout,stderr`, or `none`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Whether standard output is.
    pub stdout: bool,
    /// Whether standard error is.
    pub stderr: bool,
}

impl Capture {
    /// The streams that are kept.
    pub fn sources(self) -> impl Iterator<Item = LogSource> {
        [(self.stdout, LogSource::Stdout), (self.stderr, LogSource::Stderr)]
            .into_iter()
            .filter_map(|(is_kept, source)| is_kept.then_some(source))
    }
}

/// What an attempt's stream is called among the artifacts of its task.
pub fn captured_name(source: LogSource, attempt: u32) -> ArtifactName {
    format!("attempt-{attempt}.{source}").parse().expect("it is short and visible")
}

/// Whether a name is one of those that captured streams have.
pub(crate) fn is_captured_name(name: &str) -> bool {
    let number = name.strip_prefix("attempt-").and_then(|rest| {
        let number = rest.strip_suffix(".stdout").or_else(|| rest.strip_suffix(".stderr"));
        number.filter(|number| !number.is_empty())
    });
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.stdout, self.stderr) {
            (false, false) => "none",
            (true, false) => "stdout",
            (false, true) => "stderr",
            (true, true) => "stdout,stderr",
        })
    }
}

/// A text that names no streams.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be captured\nhint: write `stdout`, `stderr`, `stdout,stderr`, or `none`")]
pub struct CaptureError(String);

impl FromStr for Capture {
    type Err = CaptureError;

    fn from_str(text: &str) -> Result<Self, CaptureError> {
        let mut capture = Self::default();
        if text.trim() == "none" {
            return Ok(capture);
        }
        for stream in text.split(',') {
            match stream.trim() {
                "stdout" => capture.stdout = true,
                "stderr" => capture.stderr = true,
                _ => return Err(CaptureError(text.chars().take(64).collect())),
            }
        }
        Ok(capture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_read_and_read_back() {
        for (text, stdout, stderr) in [
            ("stdout", true, false),
            ("stderr", false, true),
            ("stdout,stderr", true, true),
            ("stderr, stdout", true, true),
            ("none", false, false),
        ] {
            let capture = Capture { stdout, stderr };
            assert_eq!(text.parse(), Ok(capture), "{text}");
            assert_eq!(capture.to_string().parse(), Ok(capture));
        }
        for text in ["", "all", "stdout,", "stdin", "none,stdout", "STDOUT"] {
            assert!(text.parse::<Capture>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_what_is_captured_are_the_hosts() {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            for attempt in [1, 20, u32::MAX] {
                let name = captured_name(source, attempt);
                assert!(name.is_reserved(), "{name}");
            }
        }
        for name in
            ["stdout", "attempt-1", "attempt-.stdout", "attempt-1.log", "attempt-x.stderr", "my-attempt-1.stdout"]
        {
            assert!(!name.parse::<ArtifactName>().expect("a name").is_reserved(), "{name}");
        }
    }
}
