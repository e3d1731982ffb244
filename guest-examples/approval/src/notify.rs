//! Tells an outside system by one request, in plain `wasi:http`, what it needs to answer.

use sunaba_sdk::TaskError;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};

/// Posts what is asked for, with the task's id and its token, as JSON.
pub(crate) fn post(url: &str, asked: &str, task: &str, token: &str) -> Result<(), TaskError> {
    let invalid = || TaskError::fatal(format!("`{url}` is not of the form http://HOST:PORT/PATH"));
    let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let body = serde_json::json!({ "asked": asked, "task": task, "token": token }).to_string();
    let fields = Fields::new();
    let headers = [("content-type", "application/json".to_owned()), ("content-length", body.len().to_string())];
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|error| TaskError::fatal(error.to_string()))?;
    }
    let request = OutgoingRequest::new(fields);
    request.set_method(&Method::Post).map_err(|()| invalid())?;
    request.set_scheme(Some(&Scheme::Http)).map_err(|()| invalid())?;
    request.set_authority(Some(authority)).map_err(|()| invalid())?;
    request.set_path_with_query(Some(path)).map_err(|()| invalid())?;
    let outgoing = request.body().map_err(|()| invalid())?;
    let coming = handle(request, None).map_err(failed)?;
    let stream = outgoing.write().map_err(|()| invalid())?;
    stream.blocking_write_and_flush(body.as_bytes()).map_err(|error| network(format!("{error:?}")))?;
    drop(stream);
    OutgoingBody::finish(outgoing, None).map_err(failed)?;
    coming.subscribe().block();
    let answer = coming.get().and_then(Result::ok).ok_or_else(|| network("there was no answer".into()))?;
    let status = answer.map_err(failed)?.status();
    if (200..300).contains(&status) { Ok(()) } else { Err(network(format!("the answer was {status}"))) }
}

/// It may go better the next time.
fn network(why: String) -> TaskError {
    TaskError::new("network", format!("nobody could be told: {why}"))
}

fn failed(error: ErrorCode) -> TaskError {
    match error {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            TaskError::fatal(format!("{error}: the request was not granted")).with_kind("denied")
        }
        error => network(format!("{error:?}")),
    }
}
