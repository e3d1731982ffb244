//! What the types of a function that answers requests tell of it.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::body::{Json, Reply};
use crate::extract::{Asked, At};
use crate::problem::Problem;
use crate::routes::Shared;

/// Makes the schema of a type.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// What is in a body.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// JSON of this schema.
    Json(MakeSchema),
    /// Something else, of this media type.
    Other(&'static str),
}

/// A header of a request.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// An operation, as far as the table of routes does not say it.
#[derive(Clone, Default)]
pub(crate) struct Described {
    pub(super) summary: &'static str,
    pub(super) query: Option<MakeSchema>,
    pub(super) body: Option<Content>,
    /// The largest body.
    pub(super) body_bytes: Option<usize>,
    /// Answers that are no problems: the status, and what is in it.
    pub(super) answers: Vec<(u16, &'static str, Vec<Content>)>,
    /// Problems of its own, beside those that all like it have.
    pub(super) problems: Vec<u16>,
    pub(super) headers: Vec<Header>,
    /// Whether good answers have a tag.
    pub(super) is_tagged: bool,
}

/// Something that a function takes.
pub(crate) trait Part {
    /// Adds what it tells.
    fn tell(_: &mut Described) {}
}

impl Part for State<Shared> {}
impl Part for HeaderMap {}
// Where it stands comes from the path itself.
impl<T> Part for At<T> {}
// A function that reads the body itself: what it takes is said beside.
impl Part for Request {}

impl<T: JsonSchema> Part for Asked<T> {
    fn tell(described: &mut Described) {
        described.query = Some(T::json_schema);
    }
}

impl<T: JsonSchema> Part for Json<T> {
    fn tell(described: &mut Described) {
        described.body = Some(Content::Json(SchemaGenerator::subschema_for::<T>));
    }
}

/// Something that a function gives.
pub(crate) trait Given {
    /// Adds what it tells.
    fn tell(described: &mut Described);
}

impl<T: JsonSchema> Given for Reply<T> {
    fn tell(described: &mut Described) {
        described.answers.push((200, "Done.", vec![Content::Json(SchemaGenerator::subschema_for::<T>)]));
    }
}

impl Given for String {
    fn tell(described: &mut Described) {
        described.answers.push((200, "Done.", vec![Content::Other("text/plain")]));
    }
}

impl Given for Response {
    fn tell(_: &mut Described) {}
}

impl<T: Given> Given for Result<T, Problem> {
    fn tell(described: &mut Described) {
        T::tell(described);
    }
}

/// A function that answers requests.
pub(crate) trait Signature<Parts> {
    /// Adds what its types tell.
    fn tell(described: &mut Described);
}

macro_rules! signature {
    ($($part:ident),*) => {
        impl<F, Answer, $($part),*> Signature<($($part,)*)> for F
        where
            F: Fn($($part),*) -> Answer,
            Answer: Future,
            Answer::Output: Given,
            $($part: Part,)*
        {
            fn tell(described: &mut Described) {
                $($part::tell(described);)*
                Answer::Output::tell(described);
            }
        }
    };
}

signature!();
signature!(A);
signature!(A, B);
signature!(A, B, C);
signature!(A, B, C, D);

/// What a function that answers requests tells.
pub(crate) fn of<F: Signature<Parts>, Parts>(summary: &'static str, _: F) -> Described {
    let mut described = said(summary);
    F::tell(&mut described);
    described
}

/// An operation of which everything is said beside.
pub(crate) fn said(summary: &'static str) -> Described {
    Described { summary, ..Described::default() }
}

impl Described {
    /// The same with this body.
    pub(crate) fn takes<T: JsonSchema>(mut self, most_bytes: usize) -> Self {
        self.body = Some(Content::Json(SchemaGenerator::subschema_for::<T>));
        self.body_bytes = Some(most_bytes);
        self
    }

    /// The same with a body of this media type.
    pub(crate) fn takes_other(mut self, media_type: &'static str, most_bytes: usize) -> Self {
        self.body = Some(Content::Other(media_type));
        self.body_bytes = Some(most_bytes);
        self
    }

    /// The same with this answer.
    pub(crate) fn gives<T: JsonSchema>(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push((status, about, vec![Content::Json(SchemaGenerator::subschema_for::<T>)]));
        self
    }

    /// The same with an answer of one of these media types.
    pub(crate) fn gives_other(mut self, status: u16, about: &'static str, media_types: &[&'static str]) -> Self {
        self.answers.push((status, about, media_types.iter().copied().map(Content::Other).collect()));
        self
    }

    /// The same with one more media type of its last answer.
    pub(crate) fn or_other(mut self, media_type: &'static str) -> Self {
        if let Some((_, _, contents)) = self.answers.last_mut() {
            contents.push(Content::Other(media_type));
        }
        self
    }

    /// The same with problems of its own.
    pub(crate) fn may(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    /// The same with a header that is looked at.
    pub(crate) fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push(Header { name, about });
        self
    }

    /// The same with a tag in its good answers.
    pub(crate) fn tagged(self) -> Self {
        Self { is_tagged: true, ..self }
    }
}
