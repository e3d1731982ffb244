//! The API, described: an OpenAPI 3.1 document, and a page of it for people.
//!
//! What is described is read off the code: operations from the table of routes, parameters, bodies and answers from the types of the
//! functions that take and give them ([`signature`]), schemas from those types. What types do not tell stands beside each function.

mod document;
mod page;
mod schemas;
mod signature;

use std::sync::LazyLock;

pub(crate) use page::{STYLE, page};
pub(crate) use signature::{Described, of, said};

use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document::document);
static TEXT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string_pretty(&*DOCUMENT).expect("keys are texts") + "\n");

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> &'static Value {
    &DOCUMENT
}

/// The same, as it is served.
pub fn openapi_text() -> &'static str {
    &TEXT
}
