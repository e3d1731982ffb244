//! The HTTP API of a host, under `/v1`: JSON in and out, components as they are, errors as problem+json (RFC 9457); and a dashboard,
//! under `/ui`, which asks that API for all that it shows and does.
//!
//! On a loopback address whoever reaches it may do everything, unless told otherwise; on any other only whoever has a key, and what
//! that may ([`Admission`]). It checks Host and Origin of every request and takes no body that a web page could send without asking
//! first, so that no page that somebody visits can submit a task. What is checked of tasks and components is the business of [`sunaba_host`].

mod access;
pub mod api;
mod body;
mod envelope;
mod extract;
mod file_body;
mod guard;
mod metrics;
mod patient;
mod problem;
mod range;
mod routes;
mod server;
mod ui;
mod unread;

pub use access::Admission;
pub use problem::Problem;
pub use server::{BindError, NotAdmitted, Server};
pub use ui::{Setting, Settings};
