//! Errors as they go over the wire: problem+json, after RFC 9457.

#[cfg(feature = "serve")]
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use sunaba_host::Change;
#[cfg(feature = "serve")]
use sunaba_host::{AllowedDirError, DeployError, GrantRefusal, RefusedTask, RerunRefusal, SubmitRefusal};
use sunaba_store::{DeleteError, RerunError, StoreError, SubmitError, VersionError};
use sunaba_task::{ApiKeyError, TaskId};

#[cfg(feature = "serve")]
use crate::access::Caller;

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// The status of the response.
    pub status: u16,
    /// What the status is called.
    pub title: Box<str>,
    /// What is wrong, for programs: it does not change with the words. The status's own name where nothing tells more.
    #[serde(default)]
    pub code: Box<str>,
    /// What was tried and what is wrong with it; one line.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
    /// Of a deploy that is refused: all that it would widen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widening: Vec<Change>,
    /// By which the request is found in the host's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
    /// After how many seconds it is worth asking again: the `Retry-After` of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u16>,
}

/// What is full for a moment: it empties as what was taken on is done, which nobody knows beforehand.
const SOON_S: u16 = 2;
/// What takes a person, or a start of the host: whoever asks every few seconds learns nothing more.
const LATER_S: u16 = 30;

impl Problem {
    /// `message` may have a `hint:` line, as all of ours have.
    pub(crate) fn new(status: StatusCode, message: impl ToString) -> Self {
        let message = message.to_string();
        let (detail, hint) = match message.split_once("\nhint: ") {
            Some((detail, hint)) => (detail.to_owned(), Some(hint.into())),
            None => (message, None),
        };
        let title = status.canonical_reason().unwrap_or("Error");
        let code = title.to_ascii_lowercase().replace(' ', "-").into();
        Self {
            status: status.as_u16(),
            title: title.into(),
            code,
            detail,
            hint,
            widening: Vec::new(),
            request_id: None,
            retry_after_s: matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
                .then_some(SOON_S),
        }
    }

    /// Its status, as an answer has it.
    #[cfg(feature = "serve")]
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same with a code of its own.
    pub(crate) fn code(self, code: &str) -> Self {
        Self { code: code.into(), ..self }
    }

    /// The same, to be asked for again after a person has done something.
    fn later(self) -> Self {
        Self { retry_after_s: self.retry_after_s.map(|_| LATER_S), ..self }
    }

    pub(crate) fn not_found(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn no_task(id: TaskId) -> Self {
        Self::not_found(format!("there is no task {id}\nhint: `sunaba task list` shows what there is"))
    }

    pub(crate) fn invalid(message: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

#[cfg(feature = "serve")]
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(&self)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        // For whoever knows which request it answers.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NoRoom { .. } => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::ApiKey(ApiKeyError::TooMany(_)) => StatusCode::CONFLICT,
            StoreError::Control(_) | StoreError::Secret(_) | StoreError::ApiKey(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StoreError::Version(VersionError::NoPackage(_) | VersionError::NoVersion { .. }) => StatusCode::NOT_FOUND,
            StoreError::Version(_) => StatusCode::CONFLICT,
            StoreError::Changed { .. } => StatusCode::PRECONDITION_FAILED,
            StoreError::Unreachable(_) | StoreError::Busy { .. } | StoreError::Failed(_) | StoreError::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // A store that has failed, or is elsewhere and does not answer, is looked at before it works again.
        match &error {
            StoreError::Failed(_) | StoreError::Unreachable(_) => Self::new(status, error).later(),
            _ => Self::new(status, error),
        }
    }
}

#[cfg(feature = "serve")]
impl From<RefusedTask> for Problem {
    fn from(error: RefusedTask) -> Self {
        let status = match &error {
            RefusedTask::UnknownPackage { .. } | RefusedTask::UnknownHandler { .. } => StatusCode::NOT_FOUND,
            RefusedTask::Directory(AllowedDirError::Path { .. } | AllowedDirError::Missing { .. }) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            RefusedTask::Directory(_) | RefusedTask::Grant(GrantRefusal::NotAllowed { .. }) => StatusCode::FORBIDDEN,
            RefusedTask::Input(sunaba_host::InputError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error)
    }
}

#[cfg(feature = "serve")]
impl From<SubmitRefusal> for Problem {
    fn from(error: SubmitRefusal) -> Self {
        match error {
            SubmitRefusal::Refused(error) => error.into(),
            SubmitRefusal::Store(error) => error.into(),
            SubmitRefusal::Key(error) => {
                let status = match &error {
                    SubmitError::Conflict { .. } | SubmitError::Taken { .. } | SubmitError::Unchecked { .. } => {
                        StatusCode::CONFLICT
                    }
                    SubmitError::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                match &error {
                    // Keys are one for all queues, and whose it is may be none of the caller's.
                    SubmitError::Conflict { key, .. } | SubmitError::Taken { key, .. }
                        if Caller::now().queues().is_some() =>
                    {
                        let message = format!(
                            "the key `{key}` stands for another task\nhint: use a new key for a new request; if the other is \
                             yours, a list of your tasks has it"
                        );
                        Self::new(status, message)
                    }
                    error => Self::new(status, error),
                }
            }
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

#[cfg(feature = "serve")]
impl From<RerunRefusal> for Problem {
    fn from(error: RerunRefusal) -> Self {
        match error {
            RerunRefusal::Refused(error) => error.into(),
            RerunRefusal::Store(error) => error.into(),
            RerunRefusal::Rerun(RerunError::Unknown(id)) => Self::no_task(id),
            RerunRefusal::Rerun(
                error @ (RerunError::NotEnded { .. }
                | RerunError::Already { .. }
                | RerunError::NoHandler { .. }
                | RerunError::Unchecked { .. }),
            ) => Self::new(StatusCode::CONFLICT, error),
            error @ RerunRefusal::OldInput { .. } => Self::new(StatusCode::CONFLICT, error),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

impl From<DeleteError> for Problem {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Unknown(id) => Self::no_task(id),
            error @ (DeleteError::NotEnded { .. } | DeleteError::JobNotEnded { .. }) => {
                Self::new(StatusCode::CONFLICT, error)
            }
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

#[cfg(feature = "serve")]
impl From<DeployError> for Problem {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Store(error) => error.into(),
            DeployError::Widening { ref widening, .. } => {
                let widening = widening.clone();
                Self { widening, ..Self::new(StatusCode::CONFLICT, error) }
            }
            DeployError::Native(_) => Self::new(StatusCode::CONFLICT, error),
            DeployError::Load(error) if error.is_retryable() => Self::new(StatusCode::SERVICE_UNAVAILABLE, error),
            error => Self::invalid(error),
        }
    }
}

#[cfg(all(test, feature = "serve"))]
mod tests {
    use super::*;

    #[test]
    fn whoever_cannot_be_served_now_is_told_when_to_ask_again_and_others_are_not() {
        let told = |problem: Problem| {
            let response = problem.into_response();
            response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().expect("digits").to_owned())
        };
        assert_eq!(told(Problem::new(StatusCode::TOO_MANY_REQUESTS, "full")), Some("2".into()));
        assert_eq!(told(StoreError::Busy { waiting: 9 }.into()), Some("2".into()));
        assert_eq!(told(StoreError::Unreachable("it is away".into()).into()), Some("30".into()));
        assert_eq!(told(Problem::new(StatusCode::CONFLICT, "taken")), None);
        assert_eq!(told(Problem::invalid("wrong")), None);
    }
}
