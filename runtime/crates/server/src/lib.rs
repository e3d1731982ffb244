//! The HTTP API of a host, under `/v1`: JSON in and out, components as they are, errors as problem+json (RFC 9457).
//!
//! It serves loopback addresses only, as long as there are no keys to tell callers apart. It checks Host and Origin of
//! every request and takes no body that a web page could send without asking first, so that no page that somebody visits
//! can submit a task. What is checked of tasks and components is the business of [`sunaba_host`].

pub mod api;
mod body;
mod extract;
mod file_body;
mod guard;
mod metrics;
mod patient;
mod problem;
mod range;
mod routes;
mod server;
mod unread;

pub use problem::Problem;
pub use server::{BindError, Server};
