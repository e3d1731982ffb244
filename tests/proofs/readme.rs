//! The commands of a README, as its readers run them: block by block or command by command, in a folder of their own, with
//! the binary on the path and a host in the background.
//!
//! A block marked `sh` is run by bash. A block marked `sh background` is a host, on a port of its own, for the rest of the
//! README. A block marked `sh no-test` is not run; the reason stands in the README.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// No command of a README takes longer; one that hangs is ended.
const LONGEST: &str = "900";

/// Something between two lines of three backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the backticks.
    pub kind: String,
    /// What is between them.
    pub body: String,
    /// The number of the line of the first ones.
    pub line: usize,
    /// The heading above it, of the second level.
    pub section: String,
    /// The heading right above it, of any level.
    pub heading: String,
}

/// All blocks of a text, in its order.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let (mut section, mut heading) = (String::new(), String::new());
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                let (section, heading) = (section.clone(), heading.clone());
                open = Some(Block { kind: kind.into(), body: String::new(), line: index + 1, section, heading });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.body.push_str(line);
                block.body.push('\n');
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    section = title.to_owned();
                }
                if line.starts_with('#') {
                    heading = line.trim_start_matches('#').trim().to_owned();
                }
            }
        }
    }
    blocks
}

/// The commands of a script, each with the lines that belong to it: those after a backslash, and the text of a here-document.
pub fn commands(script: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut open, mut until) = (false, None::<String>);
    for line in script.lines() {
        match commands.last_mut().filter(|_| open || until.is_some()) {
            Some(command) => {
                command.push('\n');
                command.push_str(line);
            }
            None if line.trim().is_empty() => continue,
            None => commands.push(line.to_owned()),
        }
        match &until {
            Some(end) if line == end => until = None,
            Some(_) => {}
            None => {
                let end = line.split_once("<<").map(|(_, end)| end.trim_matches(|c: char| !c.is_ascii_alphabetic()));
                until = end.filter(|end| !end.is_empty() && !end.contains(' ')).map(str::to_owned);
                open = line.ends_with('\\');
            }
        }
    }
    commands
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct Around {
    /// The repository, in which a reader begins.
    pub root: PathBuf,
    /// The folder of the binary.
    pub binaries: PathBuf,
    /// A compiler for guests in place of the one in use.
    pub compiler: Option<String>,
}

/// Somebody who does what a README says.
pub struct Reader {
    around: Around,
    home: tempfile::TempDir,
    place: PathBuf,
    background: Background,
}

impl Reader {
    /// In the repository's root, with a folder for all that is temporary.
    ///
    /// # Errors
    /// There is no place for that, or no port.
    pub fn new(around: Around) -> io::Result<Self> {
        let (place, home) = (around.root.clone(), tempfile::tempdir()?);
        Ok(Self { around, home, place, background: Background::new()? })
    }

    /// The address of the host in the background, whether it runs or not.
    pub fn address(&self) -> String {
        self.background.address()
    }

    /// Bash with a script, where the last one has ended. It has to be followed by [`Reader::follow`].
    pub fn bash(&self, script: &str) -> Command {
        let marker = self.marker();
        let mut bash = Command::new("timeout");
        let script = format!("set -e\n{script}\npwd > '{}'\n", marker.display());
        bash.args(["--kill-after=5", LONGEST, "bash", "-c", &script]).current_dir(&self.place);
        bash.env("NO_COLOR", "1").env("SUNABA", &self.around.root).env("TMPDIR", self.home.path());
        bash.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
        bash.env("PATH", self.path()).env("SUNABA_ADDRESS", self.address()).stdin(Stdio::null());
        if let Some(compiler) = &self.around.compiler {
            bash.env("RUSTC", compiler);
        }
        bash
    }

    fn marker(&self) -> PathBuf {
        self.home.path().join("place")
    }

    /// Goes on where a script has ended.
    ///
    /// # Errors
    /// It has failed before its end.
    pub fn follow(&mut self) -> io::Result<()> {
        let place = std::fs::read_to_string(self.marker())?;
        // So that it is there only if the next one comes to its end, too.
        std::fs::remove_file(self.marker())?;
        self.place = place.trim().into();
        Ok(())
    }

    /// Runs a script; what it has said, standard error first: what sunaba says of a run comes before its result is worth reading.
    ///
    /// # Errors
    /// It cannot be run, or has failed; with what it has said.
    pub fn run(&mut self, script: &str) -> io::Result<String> {
        let output = self.bash(script).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = text(&output.stderr) + &text(&output.stdout);
        self.follow().map_err(|error| io::Error::other(format!("`{script}` failed: {error}\n{shown}")))?;
        Ok(shown)
    }

    /// Starts the host in the background; what it says until it is ready, with the port that a reader would see.
    ///
    /// # Errors
    /// It has ended before that.
    pub fn start(&mut self, script: &str) -> io::Result<String> {
        let path = self.path();
        self.background.start(script, &self.place, &path)
    }

    /// The path on which the binary is.
    fn path(&self) -> String {
        format!("{}:{}", self.around.binaries.display(), std::env::var("PATH").unwrap_or_default())
    }
}

/// A host in another terminal.
struct Background {
    /// A port that was free a moment ago.
    port: u16,
    process: Option<Child>,
    /// Reads what it says, so that it never waits for that; ends with it.
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Background {
    fn new() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { port: listener.local_addr()?.port(), process: None, reader: None })
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start(&mut self, script: &str, place: &Path, path: &str) -> io::Result<String> {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec {script}")]).current_dir(place).env("NO_COLOR", "1").env("PATH", path);
        bash.env("SUNABA_LISTEN", format!("127.0.0.1:{}", self.port));
        let mut process = bash.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = process.stderr.take().ok_or_else(|| io::Error::other("it has no standard error"))?;
        self.process = Some(process);
        let mut lines = BufReader::new(stderr);
        let mut said = String::new();
        while !said.contains("  packages ") {
            if lines.read_line(&mut said)? == 0 {
                return Err(io::Error::other(format!("`{script}` ended: {said}")));
            }
        }
        self.reader = Some(std::thread::spawn(move || {
            let mut rest = [0; 4096];
            while lines.read(&mut rest).is_ok_and(|read| read > 0) {}
        }));
        Ok(said.replace(&self.address(), "http://127.0.0.1:7878"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
