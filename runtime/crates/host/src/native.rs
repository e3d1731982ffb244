//! Handlers that are functions of the host's own program. They have queue, retries and limits of time as guests have, and
//! no sandbox at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use sunaba_task::{
    Artifact, ArtifactName, ArtifactSink, ArtifactSource, AskError, AskErrorKind, AttemptContext, AttemptHost,
    AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Cause, Child, CompletionToken, Digest, Disposition,
    EndedPage, ExecuteError, Executor, Failure, HandlerInfo, HandlerSettings, Limits, LogEntry, LogLevel, LogSource,
    Outcome, Payload, Progress, Receipt, Stop, TaskId, catch_panic, format_bytes, format_duration,
};

/// A handler of the host's own program.
pub type NativeHandler = Arc<dyn Fn(Native) -> BoxFuture<'static, Result<Outcome, Failure>> + Send + Sync>;

/// What a native handler gets.
pub struct Native {
    /// The attempt.
    pub context: AttemptContext,
    /// The input.
    pub input: Payload,
    book: Arc<Book>,
}

impl Native {
    /// The input, read as JSON.
    ///
    /// # Errors
    /// It is of another shape: a failure of kind `input`, which no retry would mend.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.input.bytes).map_err(|error| Failure {
            kind: "input".into(),
            message: error.to_string(),
            detail: None,
            disposition: Disposition::Fatal,
        })
    }

    /// Adds a line to the task's log. Over the log limits it is dropped and counted.
    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        self.book.log(level, message.into());
    }

    /// Says how far the attempt is; `fraction` is in 0..=1.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let fraction = (!fraction.is_nan()).then(|| fraction.clamp(0.0, 1.0));
        self.book.host.on_progress(Progress { fraction, message: message.into() });
    }

    /// Makes a child of the task, or finds the one that an attempt before has made under this name. It is durable when this
    /// returns, and the task does not end before it has.
    ///
    /// # Errors
    /// [`AskError`]: it cannot be, or not now.
    pub async fn submit_child(&self, child: Child) -> Result<TaskId, AskError> {
        self.book.host.submit_child(child).await
    }

    /// What came of what the task waited for, under this name or in this group (`GROUP/*`): a page, after this name. Of the
    /// task's own children, where it has some of that name, those that have ended.
    ///
    /// # Errors
    /// [`AskError`]: there is nothing of that name, or nobody could look now.
    pub async fn dependency_outputs(
        &self,
        name: impl Into<String>,
        after: Option<String>,
    ) -> Result<EndedPage, AskError> {
        self.book.host.dependency_outputs(name.into(), after).await
    }

    /// What lets whoever has it complete this task, and needs no other right. Give it to the one who is to answer, and do not
    /// log it.
    ///
    /// # Errors
    /// The store cannot say.
    pub async fn completion_token(&self) -> Result<Option<CompletionToken>, AskError> {
        self.book.host.completion_token().await
    }

    /// Begins a file that becomes an artifact of the task.
    ///
    /// # Errors
    /// The name or the media type cannot be one, or the host cannot keep any now.
    pub async fn create_artifact(&self, name: &str, media_type: &str) -> Result<Box<dyn ArtifactSink>, AskError> {
        self.book.host.create_artifact(own_name(name)?, media_type.to_owned()).await
    }

    /// Opens a file of the task itself, or of another one by its name: one in the same plan, or one that this has made.
    ///
    /// # Errors
    /// There is no such file, or none that it may read.
    pub async fn open_artifact(&self, task: Option<&str>, name: &str) -> Result<Box<dyn ArtifactSource>, AskError> {
        self.book.host.open_artifact(task.map(str::to_owned), artifact_name(name)?).await
    }

    /// What there is of the task itself, or of another one as in [`open_artifact`](Self::open_artifact).
    ///
    /// # Errors
    /// There is no such task, or none that it may look at.
    pub async fn artifacts(&self, task: Option<&str>) -> Result<Vec<Artifact>, AskError> {
        self.book.host.artifacts(task.map(str::to_owned)).await
    }

    /// Makes an address an artifact of the task.
    ///
    /// # Errors
    /// The name or the address cannot be one, or the host cannot keep any now.
    pub async fn link_artifact(&self, name: &str, url: &str) -> Result<Artifact, AskError> {
        self.book.host.link_artifact(own_name(name)?, url.to_owned()).await
    }

    /// Whether the task was cancelled: the attempt should end soon.
    pub fn is_cancelled(&self) -> bool {
        self.book.host.is_cancelled()
    }
}

/// A name under which a handler may put something.
fn own_name(name: &str) -> Result<ArtifactName, AskError> {
    artifact_name(name)?.unreserved().map_err(|error| AskError::new(AskErrorKind::Invalid, error.to_string()))
}

fn artifact_name(name: &str) -> Result<ArtifactName, AskError> {
    name.parse().map_err(|error| AskError::new(AskErrorKind::Invalid, format!("{error}")))
}

/// What an attempt says.
struct Book {
    host: Arc<dyn AttemptHost>,
    begun: Instant,
    limits: Limits,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    lines: Vec<LogEntry>,
    kept_bytes: u64,
    dropped_bytes: u64,
}

impl Book {
    fn log(&self, level: LogLevel, message: String) {
        let bytes = message.len() as u64;
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let entry = LogEntry { at_ms, source: LogSource::Log, level, message, fields: Vec::new() };
        {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let full =
                said.kept_bytes + bytes > self.limits.log_bytes || said.lines.len() as u64 >= self.limits.log_lines;
            if full {
                said.dropped_bytes += bytes;
                return;
            }
            said.kept_bytes += bytes;
            said.lines.push(entry.clone());
        }
        self.host.on_log(&entry);
    }
}

/// The handlers of one package.
#[derive(Default, Clone)]
pub(crate) struct NativePackage {
    handlers: BTreeMap<String, NativeHandler>,
}

impl NativePackage {
    pub(crate) fn add(&mut self, name: &str, handler: NativeHandler) {
        self.handlers.insert(name.to_owned(), handler);
    }

    /// What stands for a component's digest.
    pub(crate) fn digest(package: &str) -> Digest {
        Digest::of(format!("native:{package}").as_bytes())
    }

    pub(crate) fn describe(&self) -> Vec<HandlerInfo> {
        let info = |name: &String| HandlerInfo {
            name: name.clone(),
            doc: String::new(),
            input_schema: None,
            output_schema: None,
            settings: HandlerSettings::default(),
        };
        self.handlers.keys().map(info).collect()
    }

    async fn run(&self, request: AttemptRequest, host: Arc<dyn AttemptHost>) -> Result<AttemptReport, ExecuteError> {
        let AttemptRequest { component, handler: name, context, input, limits, .. } = request;
        let Some(handler) = self.handlers.get(&name) else {
            return Err(ExecuteError::UnknownHandler { component, handler: name });
        };
        let input_bytes = input.bytes.len() as u64;
        let begun = now();
        let book = Arc::new(Book { host: Arc::clone(&host), begun, limits: limits.clone(), said: Mutex::default() });
        let native = Native { context, input, book: Arc::clone(&book) };
        // Who loses is dropped: a native handler that never awaits cannot be stopped.
        let result = tokio::select! {
            result = call(handler, native) => judge(result, &limits),
            cause = host.stopped() => stopped(cause, "stopped by the host".into()),
            () = tokio::time::sleep(limits.timeout) => {
                stopped(Cause::Timeout, format!("it took more than {}", format_duration(limits.timeout)))
            }
        };
        let said = std::mem::take(&mut *book.said.lock().unwrap_or_else(PoisonError::into_inner));
        let output_bytes = match &result {
            AttemptResult::Returned(Outcome::Complete(output)) => output.bytes.len() as u64,
            _ => 0,
        };
        let receipt = Receipt {
            wall: begun.elapsed(),
            overhead: Duration::ZERO,
            input_bytes,
            output_bytes,
            log_bytes: said.kept_bytes,
            dropped_bytes: said.dropped_bytes,
            ..Receipt::unmeasured(component)
        };
        Ok(AttemptReport { result, receipt, logs: said.lines })
    }
}

impl Executor for NativePackage {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(self.run(request, host))
    }
}

/// Calls a handler. A panic is its failure.
async fn call(handler: &NativeHandler, native: Native) -> Result<Outcome, Failure> {
    let panicked =
        |message| Failure { kind: "panic".into(), message, detail: None, disposition: Disposition::ByPolicy };
    catch_panic(async { handler(native).await }).await.map_err(panicked)?
}

fn judge(result: Result<Outcome, Failure>, limits: &Limits) -> AttemptResult {
    match result {
        Ok(Outcome::Complete(output)) if output.bytes.len() as u64 > limits.output_bytes => {
            let (size, limit) = (format_bytes(output.bytes.len() as u64), format_bytes(limits.output_bytes));
            stopped(Cause::Output, format!("the output has {size}: the limit is {limit}"))
        }
        Ok(outcome) => AttemptResult::Returned(outcome),
        Err(failure) => AttemptResult::Failed(failure),
    }
}

fn stopped(cause: Cause, message: String) -> AttemptResult {
    AttemptResult::Stopped(Stop { cause, message, backtrace: Vec::new() })
}

#[expect(clippy::disallowed_methods, reason = "an attempt's wall time is real time")]
fn now() -> Instant {
    Instant::now()
}
